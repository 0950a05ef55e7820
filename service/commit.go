package service

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store"
)

func (s *Service) commitOne(ctx context.Context, by *Principal, w *write) (Written, error) {
	out, err := s.commit(ctx, by, []*write{w}, nil)
	if err != nil {
		return Written{}, err
	}
	return out[0], nil
}

// commit is commitAll, and tells the senders what profiles warn about.
func (s *Service) commit(ctx context.Context, by *Principal, ws []*write, then func(ctx context.Context, r *store.Reader) error) ([]Written, error) {
	out, err := s.commitAll(ctx, by, ws, then)
	s.bringConsents(ctx)
	if err != nil {
		return nil, err
	}
	return out, s.warn(out)
}

// warn adds what profiles warn about to the results of writes.
func (s *Service) warn(out []Written) error {
	for i := range out {
		r := out[i].Resource
		if r == nil || r.Deleted || !s.profiles.About(r.Type) {
			continue
		}
		n, err := fhir.Parse(r.Body)
		if err != nil {
			return err
		}
		out[i].Issues = append(out[i].Issues, s.profiles.Check(n)...)
	}
	return nil
}

// commitAll stores writes together or not at all, derives what the protocols prescribe for
// the patients concerned, then runs then (if given), all in one transaction. The order is
// that of https://hl7.org/fhir/R4/http.html#trules: deletes, creates, updates. What a
// conditional update, patch or delete is about is looked up before the first of them, the
// condition of a create after the deletes, and conditional references last (late.go).
//
// What can be done before the transaction is: conditions are first looked up on a
// snapshot, patches are applied to the versions there, and the content is made ready.
// Inside the transaction the conditions are looked up again and the versions compared, and
// only what rests on something that has changed is made anew. So no patch is lost, and
// none fails because another came first.
//
// Of many writes, the new resources are stored before the transaction too, unseen; see
// stage.go.
func (s *Service) commitAll(ctx context.Context, by *Principal, ws []*write, then func(ctx context.Context, r *store.Reader) error) ([]Written, error) {
	for _, w := range ws {
		if w.node != nil {
			w.links = s.validator.Links(w.node)
		}
		if err := s.mayLookUp(by, w); err != nil {
			return nil, w.placed(err)
		}
	}
	if s.worthStaging(ws) {
		for range stagingAttempts {
			out, err := s.commitStaged(ctx, by, ws, then)
			if !errors.Is(err, errOvertaken) {
				return out, err
			}
		}
	}
	guess := newResolution(by, ws)
	if dependOnTheStore(ws) {
		err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
			found, err := s.resolve(ctx, r, guess)
			if err == nil {
				guess = found
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if err := s.fill(guess); err != nil {
		return nil, err
	}
	s.bringAnchors(ctx, guess)
	return s.applyInWrite(ctx, guess, nil, then)
}

// applyInWrite is the transaction of commit. It may still run when this has returned an error.
func (s *Service) applyInWrite(ctx context.Context, guess *resolution, a *ahead, then func(ctx context.Context, r *store.Reader) error) ([]Written, error) {
	var out []Written
	var atHand map[string]knownAnchors
	if err := s.store.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		atHand = map[string]knownAnchors{}
		out, err = s.apply(ctx, tx, guess, a, atHand, then)
		return err
	}); err != nil {
		return nil, err
	}
	for id, known := range atHand {
		s.atHand.keep(id, known)
	}
	trailOf(ctx).isLogged()
	return out, nil
}

// apply is what happens in the transaction of commit. guess is what the writes came to before it, and a, if
// not nil, what was done ahead. atHand takes what is good to be kept once it is committed.
func (s *Service) apply(ctx context.Context, tx *store.Tx, guess *resolution, a *ahead, atHand map[string]knownAnchors, then func(ctx context.Context, r *store.Reader) error) ([]Written, error) {
	out := make([]Written, len(guess.ws))
	at := s.now()
	if a != nil {
		at = a.at
	}
	found, sure, err := guess, sure{}, error(nil)
	if a == nil {
		if found, err = s.settle(ctx, tx, guess); err != nil {
			return nil, err
		}
	}
	touched := patients{atHand: atHand}
	if err := s.each(found.ws, http.MethodDelete, func(i int, w *write) (err error) {
		if w.condition != nil {
			match := found.match(i)
			if match == nil {
				return w.when.hold(nil)
			}
			if err := s.mayChange(match); err != nil {
				return err
			}
		}
		id := found.id(i)
		if err = s.touchCurrent(ctx, &tx.Reader, &touched, w.typ, id); err != nil {
			return err
		}
		if out[i], err = s.remove(ctx, tx, found.by, w, id, at); out[i].Changed && s.prescribes(w.typ) {
			touched.deleted = append(touched.deleted, fhir.Reference{Type: w.typ, ID: id})
		}
		return err
	}); err != nil {
		return nil, err
	}
	if a == nil {
		if err := s.resolveCreates(ctx, &tx.Reader, found); err != nil {
			return nil, err
		}
	} else {
		// The deletions count among the changes. There are none where there are conditions.
		if found, sure, err = s.confirm(ctx, &tx.Reader, a); err != nil {
			return nil, err
		}
		if err := distinctTargets(found); err != nil {
			return nil, err
		}
		if err := tx.Reveal(ctx, a.staging); err != nil {
			return nil, err
		}
	}
	put := func(i int, w *write) (err error) {
		if done, ok := sure.done(i); ok {
			out[i] = done
			s.touch(&touched, w.typ, done.Resource.ID, found.contents[i].rows)
			return nil
		}
		id, match := found.id(i), found.match(i)
		if match != nil || w.method != http.MethodPost {
			if err := s.touchCurrent(ctx, &tx.Reader, &touched, w.typ, id); err != nil {
				return err
			}
		}
		if found.finds(i) {
			out[i] = Written{Resource: match}
			return nil
		}
		if err := s.target(ctx, tx, found.by, w, match); err != nil {
			return err
		}
		c := found.contents[i]
		if out[i], err = s.put(ctx, tx, found.by, w, id, c, at); err == nil {
			s.touch(&touched, w.typ, id, c.rows)
			if out[i].Resource.Version == 1 && out[i].Changed {
				touched.isNew(w.typ + "/" + id)
			}
		}
		return err
	}
	if err := s.eachPut(found.ws, func(i int, w *write) error {
		if found.late[i] {
			return nil
		}
		return put(i, w)
	}); err != nil {
		return nil, err
	}
	if err := s.putLate(ctx, &tx.Reader, found, put); err != nil {
		return nil, err
	}
	if err := s.stillAlone(ctx, &tx.Reader, found, out); err != nil {
		return nil, err
	}
	if err := s.requireTargets(ctx, tx, found, sure); err != nil {
		return nil, err
	}
	if err := s.derive(ctx, tx, touched, out, at, sure); err != nil {
		return nil, err
	}
	if err := s.putStated(ctx, tx, found.by, out, at); err != nil {
		return nil, err
	}
	if then != nil {
		if err := then(ctx, &tx.Reader); err != nil {
			return nil, err
		}
	}
	if err := s.hide(ctx, &tx.Reader, found.by, out); err != nil {
		return nil, err
	}
	return out, s.logWrites(ctx, tx, found, out)
}

// settle is what the writes come to inside the transaction, before the first of them.
func (s *Service) settle(ctx context.Context, tx *store.Tx, guess *resolution) (*resolution, error) {
	if !dependOnTheStore(guess.ws) {
		return guess, nil
	}
	found, err := s.resolve(ctx, &tx.Reader, guess)
	if err != nil {
		return nil, err
	}
	if err := distinctTargets(found); err != nil {
		return nil, err
	}
	return found, s.fill(found)
}

// distinctTargets refuses writes whose conditions have led to the same resource
// (https://hl7.org/fhir/R4/http.html#trules). What an unmet condition deletes, or a met one
// does not create, is none.
func distinctTargets(found *resolution) error {
	seen := make(map[string]string, len(found.ws))
	for i, w := range found.ws {
		if found.finds(i) || isDelete(w) && w.condition != nil && found.match(i) == nil {
			continue
		}
		ref := w.typ + "/" + found.id(i)
		if first := seen[ref]; first != "" {
			return fhir.Errorf(fhir.BadRequest, "duplicate", w.entry, "This entry is about the same resource as %s; a transaction may touch a resource once.", first)
		}
		seen[ref] = w.entry
	}
	return nil
}

// each runs do for the writes of one method and puts the entry's place into its error.
func (s *Service) each(ws []*write, method string, do func(i int, w *write) error) error {
	for i, w := range ws {
		if w.method != method {
			continue
		}
		if err := do(i, w); err != nil {
			return w.placed(err)
		}
	}
	return nil
}

// eachPut is each for the methods that store content.
func (s *Service) eachPut(ws []*write, do func(i int, w *write) error) error {
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch} {
		if err := s.each(ws, method, do); err != nil {
			return err
		}
	}
	return nil
}

func isDelete(w *write) bool { return w.method == http.MethodDelete }

// stillAlone refuses conditional writes where what another entry wrote meets the condition too,
// or instead: which resource is meant must not depend on the order of the entries, and no later
// conditional write could tell them apart. It makes no difference whether the write has made a
// resource or found one. A deletion leaves nothing that could be mixed up.
func (s *Service) stillAlone(ctx context.Context, r *store.Reader, found *resolution, out []Written) error {
	last := map[string]int{} // the last write of each type, -1 for one of several
	for i, w := range found.ws {
		if !out[i].Changed || isDelete(w) {
			continue
		}
		if _, another := last[w.typ]; another {
			last[w.typ] = several
		} else {
			last[w.typ] = i
		}
	}
	var texts owners
	return s.eachPut(found.ws, func(i int, w *write) error {
		if w.condition == nil {
			return nil
		}
		others := map[string]bool{}
		for typ, k := range last {
			others[typ] = k != i
		}
		if !looksAt(w.condition, others) {
			return nil
		}
		if texts == nil {
			texts = ownersOf(found)
		}
		if texts.onlyMayMeet(i, w.condition) {
			return nil
		}
		match, err := s.match(ctx, found.by, r, w.condition)
		if err == nil && match != nil && match.ID != found.id(i) {
			err = fhir.Errorf(fhir.PreconditionFailed, "multiple-matches", "", "Another entry makes a %s that meets the condition of this one.", w.typ)
		}
		return at(err, w.entry)
	})
}

// owners tells which write of a group holds a text that a condition may look for, by type
// and text: its position, or several.
type owners map[[2]string]int

const several = -1

func ownersOf(found *resolution) owners {
	o := owners{}
	for i, c := range found.contents {
		if c == nil {
			continue
		}
		typ := found.ws[i].typ
		add := func(text string) {
			key := [2]string{typ, text}
			if first, ok := o[key]; ok && first != i {
				o[key] = several
			} else {
				o[key] = i
			}
		}
		add(found.id(i))
		for k := range c.rows {
			add(c.rows[k].Value)
		}
	}
	return o
}

// onlyMayMeet reports whether of the resources that the group writes none but the i-th can
// meet the condition. If it reports false, they may or may not.
func (o owners) onlyMayMeet(i int, condition *search.Query) bool {
	for k := range condition.Clauses {
		texts, only := store.Sought(&condition.Clauses[k])
		if only && !slices.ContainsFunc(texts, func(text string) bool {
			owner, ok := o[[2]string{condition.Type, text}]
			return ok && owner != i
		}) {
			return true
		}
	}
	return false
}

// requireTargets refuses references to resources that this server does not hold, where
// the reference policy asks for it.
func (s *Service) requireTargets(ctx context.Context, tx *store.Tx, found *resolution, sure sure) error {
	if !s.mustExist {
		return nil
	}
	known, readers := map[string]bool{}, map[string]*store.Reader{}
	for i, c := range found.contents {
		if c == nil { // a deletion
			continue
		}
		for _, l := range c.local {
			key := l.typ + "/" + l.id
			if _, served := fhir.Served(l.typ); !served || known[key] || sure.exists(key) {
				continue
			}
			from := found.ws[i].typ
			if readers[from] == nil {
				readers[from] = s.asReferrer(found.by, &tx.Reader, from)
			}
			r, err := readers[from].Get(ctx, l.typ, l.id)
			switch {
			case fhir.KindOf(err) == fhir.NotFound && err != nil, err == nil && r.Deleted:
				return found.ws[i].placed(fhir.Errorf(fhir.Unprocessable, "not-found", l.place, "The %s that this refers to is not on this server.", l.typ))
			case err != nil:
				return err
			}
			known[key] = true
		}
	}
	return nil
}
