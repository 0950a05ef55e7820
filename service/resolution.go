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

// resolution is what a group of writes comes to on one state of the store.
type resolution struct {
	// ws are the writes. A patch among them has the content that it makes of the version
	// that is current there.
	ws []*write
	// matched holds, by position of the write, the resource that its condition found.
	matched map[int]*fhir.Resource
	// references maps a conditional reference, "Patient?identifier=…", to "Patient/id".
	references map[string]string
	// late are the positions of writes with a conditional reference that nothing stored
	// meets, but that something may which the same transaction writes.
	late map[int]bool
	// contents are what is stored, by position; nil for a deletion and for one that is
	// still to be made by fill.
	contents []*content
}

// newResolution is that of writes about which nothing has been looked up.
func newResolution(ws []*write) *resolution {
	return &resolution{
		ws: slices.Clone(ws), matched: map[int]*fhir.Resource{}, references: map[string]string{}, late: map[int]bool{},
		contents: make([]*content, len(ws)),
	}
}

func (r *resolution) match(i int) *fhir.Resource { return r.matched[i] }

// leadsWhere reports whether all conditions have found the same as in o.
func (r *resolution) leadsWhere(o *resolution) bool {
	return maps.Equal(r.references, o.references) &&
		maps.EqualFunc(r.matched, o.matched, func(a, b *fhir.Resource) bool { return a.ID == b.ID })
}

// dependOnTheStore reports whether what the writes come to depends on what is stored.
func dependOnTheStore(ws []*write) bool {
	for _, w := range ws {
		if w.condition != nil || w.change != nil {
			return true
		}
		for _, l := range w.links {
			if _, _, ok := conditionalReference(l); ok {
				return true
			}
		}
	}
	return false
}

// resolve looks the conditions up and applies the patches. What before has made of the
// same versions is taken over; before itself stays as it is, since a transaction may run
// more than once. An error of kind PreconditionFailed names the entry.
func (s *Service) resolve(ctx context.Context, r *store.Reader, before *resolution) (*resolution, error) {
	found := newResolution(before.ws)
	for i, w := range found.ws {
		if err := s.resolveWrite(ctx, r, found, i); err != nil {
			return nil, inEntry(err, w.entry)
		}
	}
	if err := s.resolveReferences(ctx, r, found); err != nil {
		return nil, err
	}
	if found.leadsWhere(before) {
		for i, w := range found.ws {
			if w == before.ws[i] {
				found.contents[i] = before.contents[i]
			}
		}
	}
	return found, nil
}

// resolveWrite finds the resource that a condition means, and applies a patch to it.
func (s *Service) resolveWrite(ctx context.Context, r *store.Reader, found *resolution, i int) error {
	w := found.ws[i]
	if w.condition != nil && w.method != http.MethodDelete {
		match, err := find(ctx, r, w.condition)
		if err != nil {
			return err
		}
		if match != nil {
			found.matched[i] = match
		}
	}
	if w.change == nil {
		return nil
	}
	current, err := found.match(i), error(nil)
	if w.condition == nil {
		current, err = read(ctx, r, w.typ, w.id)
	} else if current == nil {
		err = fhir.Errorf(fhir.NotFound, "not-found", "", "No %s meets the condition.", w.typ)
	}
	if err != nil {
		return err
	}
	found.ws[i], err = s.changed(w, current)
	return err
}

// resolveReferences looks the conditional references up.
func (s *Service) resolveReferences(ctx context.Context, r *store.Reader, found *resolution) error {
	writesOf := map[string]int{}
	for _, w := range found.ws {
		if !isDelete(w) {
			writesOf[w.typ]++
		}
	}
	for i, w := range found.ws {
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
				return inEntry(at(err, l.Expression), w.entry)
			case target != nil:
				found.references[l.Node.Text] = target.Ref()
			case others > 0:
				found.late[i] = true
			default:
				return inEntry(noTarget(typ, l), w.entry)
			}
		}
	}
	return nil
}

// resolveLate looks up the conditional references that were left open, now that all
// other writes are done (https://hl7.org/fhir/R4/http.html#trules).
func (s *Service) resolveLate(ctx context.Context, r *store.Reader, found *resolution) error {
	return s.eachPut(found.ws, func(i int, w *write) error {
		if !found.late[i] {
			return nil
		}
		found.contents[i] = nil
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
