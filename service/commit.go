package service

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/validate"
	"aftercare/service/store"
)

func (s *Service) commitOne(ctx context.Context, w *write) (Written, error) {
	out, err := s.commit(ctx, []*write{w}, nil)
	if err != nil {
		return Written{}, err
	}
	return out[0], nil
}

// commit stores writes together or not at all, derives what the protocols prescribe for
// the patients concerned, then runs then (if given), all in one transaction. The order is
// that of https://hl7.org/fhir/R4/http.html#trules: deletes, creates, updates.
//
// What can be done before the transaction is: conditions are first looked up on a
// snapshot and the content is made ready for what they found. Inside the transaction they
// are looked up again, and only if the answer has changed is the content made anew.
func (s *Service) commit(ctx context.Context, ws []*write, then func(ctx context.Context, r *store.Reader) error) ([]Written, error) {
	for _, w := range ws {
		if w.node != nil {
			w.links = s.validator.Links(w.node)
		}
	}
	conditional := hasConditions(ws)
	var guess resolution
	if conditional {
		err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
			guess, err = s.resolve(ctx, r, ws)
			return err
		})
		if err != nil && !slices.ContainsFunc(ws, isDelete) { // a delete may change the answer
			return nil, err
		}
	}
	guessed, err := s.contents(ws, guess)
	if err != nil {
		return nil, err
	}

	var out []Written
	err = s.store.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		out = make([]Written, len(ws))
		at := s.now()
		var touched patients
		if err := s.each(ws, http.MethodDelete, func(i int, w *write) (err error) {
			id := w.id
			if w.condition != nil {
				match, err := find(ctx, &tx.Reader, w.condition)
				if err != nil || match == nil {
					return err
				}
				if err := s.mayChange(match); err != nil {
					return err
				}
				id = match.ID
			}
			if err = s.touchCurrent(ctx, tx, &touched, w.typ, id); err == nil {
				out[i], err = s.remove(ctx, tx, w, id, at)
			}
			return err
		}); err != nil {
			return err
		}
		found, contents := guess, guessed
		if conditional {
			if found, err = s.resolve(ctx, &tx.Reader, ws); err != nil {
				return err
			}
			if !found.equal(guess) {
				if contents, err = s.contents(ws, found); err != nil {
					return err
				}
			}
		}
		if err := distinctTargets(ws, found, out); err != nil {
			return err
		}
		putAll := func(late bool) error {
			return s.eachPut(ws, func(i int, w *write) error {
				if found.late[i] != late {
					return nil
				}
				id := w.id
				if match := found.match(i); match != nil {
					id = match.ID
					if err := s.touchCurrent(ctx, tx, &touched, match.Type, id); err != nil {
						return err
					}
					if w.method == http.MethodPost {
						out[i] = Written{Resource: match}
						return nil
					}
				}
				if err := s.target(ctx, tx, w, found.match(i)); err != nil {
					return err
				}
				if w.method != http.MethodPost {
					if err := s.touchCurrent(ctx, tx, &touched, w.typ, id); err != nil {
						return err
					}
				}
				var err error
				if out[i], err = s.put(ctx, tx, w, id, contents[i], at); err == nil {
					s.touch(&touched, w.typ, id, contents[i].rows)
				}
				return err
			})
		}
		if err := putAll(false); err != nil {
			return err
		}
		if len(found.late) > 0 {
			if err := s.resolveLate(ctx, &tx.Reader, ws, found); err != nil {
				return err
			}
			if contents, err = s.contents(ws, found); err != nil {
				return err
			}
			if err := putAll(true); err != nil {
				return err
			}
		}
		if err := s.stillAlone(ctx, &tx.Reader, ws, out); err != nil {
			return err
		}
		if err := s.requireTargets(ctx, tx, ws, contents); err != nil {
			return err
		}
		if err := s.derive(ctx, tx, touched, out, at); err != nil {
			return err
		}
		if then != nil {
			return then(ctx, &tx.Reader)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// distinctTargets refuses writes whose conditions have led to the same resource
// (https://hl7.org/fhir/R4/http.html#trules); deleted are the results of the deletes.
func distinctTargets(ws []*write, found resolution, deleted []Written) error {
	seen := make(map[string]string, len(ws))
	for i, w := range ws {
		ref := w.ref()
		switch {
		case deleted[i].Resource != nil:
			ref = deleted[i].Resource.Ref()
		case found.match(i) != nil && w.method == http.MethodPost:
			continue // nothing is written
		case found.match(i) != nil:
			ref = found.match(i).Ref()
		case w.method == http.MethodDelete && w.condition != nil:
			continue
		}
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
			return inEntry(err, w.entry)
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

// stillAlone refuses conditional creates whose condition another entry's new resource
// meets too: which of them should be there must not depend on the order of the entries,
// and no later conditional create could tell them apart.
func (s *Service) stillAlone(ctx context.Context, r *store.Reader, ws []*write, out []Written) error {
	creates := map[string]int{}
	for i, w := range ws {
		if out[i].Created {
			creates[w.typ]++
		}
	}
	return s.each(ws, http.MethodPost, func(i int, w *write) error {
		if w.condition == nil || !out[i].Created || creates[w.typ] < 2 {
			return nil
		}
		_, err := find(ctx, r, w.condition)
		return at(err, w.entry)
	})
}

// requireTargets refuses references to resources that this server does not hold, where
// the reference policy asks for it.
func (s *Service) requireTargets(ctx context.Context, tx *store.Tx, ws []*write, contents []content) error {
	if !s.mustExist {
		return nil
	}
	known := map[string]bool{}
	for i, c := range contents {
		for _, l := range c.local {
			key := l.typ + "/" + l.id
			if _, served := fhir.Served(l.typ); !served || known[key] {
				continue
			}
			r, err := tx.Get(ctx, l.typ, l.id)
			switch {
			case fhir.KindOf(err) == fhir.NotFound && err != nil, err == nil && r.Deleted:
				return inEntry(fhir.Errorf(fhir.Unprocessable, "not-found", l.place, "The %s that this refers to is not on this server.", l.typ), ws[i].entry)
			case err != nil:
				return err
			}
			known[key] = true
		}
	}
	return nil
}

// resolution is what the conditions of a group of writes came to.
type resolution struct {
	// matched holds, by position of the write, the resource that If-None-Exist found.
	matched map[int]*fhir.Resource
	// references maps a conditional reference, "Patient?identifier=…", to "Patient/id".
	references map[string]string
	// late are the positions of writes with a conditional reference that nothing stored
	// meets, but that something may which the same transaction writes.
	late map[int]bool
}

func (r resolution) match(i int) *fhir.Resource { return r.matched[i] }

func (r resolution) equal(o resolution) bool {
	return maps.Equal(r.references, o.references) &&
		maps.EqualFunc(r.matched, o.matched, func(a, b *fhir.Resource) bool { return a.ID == b.ID })
}

// resolve looks the conditions up. An error of kind PreconditionFailed names the entry.
func (s *Service) resolve(ctx context.Context, r *store.Reader, ws []*write) (resolution, error) {
	found := resolution{matched: map[int]*fhir.Resource{}, references: map[string]string{}, late: map[int]bool{}}
	writesOf := map[string]int{}
	for _, w := range ws {
		if !isDelete(w) {
			writesOf[w.typ]++
		}
	}
	for i, w := range ws {
		if w.condition != nil && w.method != http.MethodDelete {
			match, err := find(ctx, r, w.condition)
			if err != nil {
				return resolution{}, inEntry(err, w.entry)
			}
			if match != nil {
				found.matched[i] = match
			}
		}
		for _, l := range w.links {
			typ, query, ok := conditionalReference(l)
			if !ok || found.references[l.Node.Text] != "" {
				continue
			}
			target, err := s.findTarget(ctx, r, typ, query)
			others := writesOf[typ]
			if w.typ == typ {
				others--
			}
			switch {
			case err != nil:
				return resolution{}, inEntry(at(err, l.Expression), w.entry)
			case target != nil:
				found.references[l.Node.Text] = target.Ref()
			case others > 0:
				found.late[i] = true
			default:
				return resolution{}, inEntry(noTarget(typ, l), w.entry)
			}
		}
	}
	return found, nil
}

// resolveLate looks up the conditional references that were left open, now that all
// other writes are done (https://hl7.org/fhir/R4/http.html#trules).
func (s *Service) resolveLate(ctx context.Context, r *store.Reader, ws []*write, found resolution) error {
	return s.eachPut(ws, func(i int, w *write) error {
		if !found.late[i] {
			return nil
		}
		for _, l := range w.links {
			typ, query, ok := conditionalReference(l)
			if !ok || found.references[l.Node.Text] != "" {
				continue
			}
			target, err := s.findTarget(ctx, r, typ, query)
			switch {
			case err != nil:
				return at(err, l.Expression)
			case target == nil:
				return noTarget(typ, l)
			}
			found.references[l.Node.Text] = target.Ref()
		}
		return nil
	})
}

func noTarget(typ string, l validate.Link) error {
	return fhir.Errorf(fhir.PreconditionFailed, "not-found", l.Expression, "No %s meets the condition of this reference.", typ)
}

// findTarget is the resource that a conditional reference means, nil for none.
func (s *Service) findTarget(ctx context.Context, r *store.Reader, typ, query string) (*fhir.Resource, error) {
	q, err := s.condition(typ, query)
	if err != nil {
		return nil, err
	}
	return find(ctx, r, q)
}
