package service

import (
	"context"
	"net/http"
	"slices"

	"aftercare/fhir"
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
// snapshot, patches are applied to the versions there, and the content is made ready.
// Inside the transaction the conditions are looked up again and the versions compared, and
// only what rests on something that has changed is made anew. So no patch is lost, and
// none fails because another came first.
func (s *Service) commit(ctx context.Context, ws []*write, then func(ctx context.Context, r *store.Reader) error) ([]Written, error) {
	for _, w := range ws {
		if w.node != nil {
			w.links = s.validator.Links(w.node)
		}
	}
	guess := newResolution(ws)
	unsure := dependOnTheStore(ws)
	if unsure {
		err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
			found, err := s.resolve(ctx, r, guess)
			if err == nil {
				guess = found
			}
			return err
		})
		if err != nil && !slices.ContainsFunc(ws, isDelete) { // a delete may change the answer
			return nil, err
		}
	}
	if err := s.fill(guess); err != nil {
		return nil, err
	}

	var out []Written
	err := s.store.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
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
		found := guess
		if unsure {
			var err error
			if found, err = s.resolve(ctx, &tx.Reader, guess); err != nil {
				return err
			}
			if err := s.fill(found); err != nil {
				return err
			}
		}
		if err := distinctTargets(found, out); err != nil {
			return err
		}
		putAll := func(late bool) error {
			return s.eachPut(found.ws, func(i int, w *write) (err error) {
				if found.late[i] != late {
					return nil
				}
				id, match := w.id, found.match(i)
				if match != nil {
					id = match.ID
				}
				if match != nil || w.method != http.MethodPost {
					if err := s.touchCurrent(ctx, tx, &touched, w.typ, id); err != nil {
						return err
					}
				}
				if match != nil && w.method == http.MethodPost {
					out[i] = Written{Resource: match}
					return nil
				}
				if err := s.target(ctx, tx, w, match); err != nil {
					return err
				}
				c := found.contents[i]
				if out[i], err = s.put(ctx, tx, w, id, c, at); err == nil {
					s.touch(&touched, w.typ, id, c.rows)
				}
				return err
			})
		}
		if err := putAll(false); err != nil {
			return err
		}
		if len(found.late) > 0 {
			if err := s.resolveLate(ctx, &tx.Reader, found); err != nil {
				return err
			}
			if err := s.fill(found); err != nil {
				return err
			}
			if err := putAll(true); err != nil {
				return err
			}
		}
		if err := s.stillAlone(ctx, &tx.Reader, ws, out); err != nil {
			return err
		}
		if err := s.requireTargets(ctx, tx, found); err != nil {
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
func distinctTargets(found *resolution, deleted []Written) error {
	seen := make(map[string]string, len(found.ws))
	for i, w := range found.ws {
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
func (s *Service) requireTargets(ctx context.Context, tx *store.Tx, found *resolution) error {
	if !s.mustExist {
		return nil
	}
	known := map[string]bool{}
	for i, c := range found.contents {
		if c == nil { // a deletion
			continue
		}
		for _, l := range c.local {
			key := l.typ + "/" + l.id
			if _, served := fhir.Served(l.typ); !served || known[key] {
				continue
			}
			r, err := tx.Get(ctx, l.typ, l.id)
			switch {
			case fhir.KindOf(err) == fhir.NotFound && err != nil, err == nil && r.Deleted:
				return inEntry(fhir.Errorf(fhir.Unprocessable, "not-found", l.place, "The %s that this refers to is not on this server.", l.typ), found.ws[i].entry)
			case err != nil:
				return err
			}
			known[key] = true
		}
	}
	return nil
}
