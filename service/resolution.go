package service

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/fhir/validate"
	"aftercare/service/permission"
	"aftercare/service/store"
)

// resolution is what a group of writes comes to on one state of the store.
type resolution struct {
	// by is who writes.
	by *Principal
	// ws are the writes. A patch among them has the content that it makes of the version
	// that is current there.
	ws []*write
	// matched holds, by position of the write, the resource that its condition found.
	matched map[int]*fhir.Resource
	// references maps a conditional reference, "Patient?identifier=…", to "Patient/id".
	references map[string]string
	// queries are the conditions of those and of the late ones, parsed, by the same text.
	queries map[string]*search.Query
	// late are the positions of writes with a conditional reference that has its meaning
	// after other writes of the group only.
	late map[int]bool
	// ids are the targets that contents were made with.
	ids map[string]string
	// contents are what is stored, by position; nil for a deletion and for one that is
	// still to be made by fill.
	contents []*content
	// read is what of the store is kept for the writes.
	read room
}

// newResolution is that of writes about which nothing has been looked up.
func newResolution(by *Principal, ws []*write) *resolution {
	return &resolution{
		by: by, ws: slices.Clone(ws), matched: map[int]*fhir.Resource{}, references: map[string]string{}, queries: map[string]*search.Query{},
		late: map[int]bool{}, contents: make([]*content, len(ws)),
	}
}

// clone is r, to be changed without changing r.
func (r *resolution) clone() *resolution {
	return &resolution{
		by: r.by, ws: slices.Clone(r.ws), matched: maps.Clone(r.matched), references: maps.Clone(r.references), queries: maps.Clone(r.queries),
		late: maps.Clone(r.late), ids: r.ids, contents: slices.Clone(r.contents),
	}
}

func (r *resolution) match(i int) *fhir.Resource { return r.matched[i] }

// finds reports whether the i-th write is a create whose condition has found its resource, so
// that nothing is written.
func (r *resolution) finds(i int) bool { return r.match(i) != nil && r.ws[i].method == http.MethodPost }

// id is that of the resource which the i-th write is about.
func (r *resolution) id(i int) string {
	if match := r.match(i); match != nil {
		return match.ID
	}
	return r.ws[i].id
}

// created is the version that a create makes, or finds by its condition.
func (r *resolution) created(i int) string {
	if match := r.match(i); match != nil {
		return versioned(match.Type, match.ID, match.Version)
	}
	return versioned(r.ws[i].typ, r.ws[i].id, 1)
}

// targets tells what becomes of links: the fullUrls of entries, also with a version, and
// conditional references.
func (r *resolution) targets() map[string]string {
	out := make(map[string]string, len(r.ws)+len(r.references))
	for conditional, ref := range r.references {
		out[conditional] = ref
	}
	for i, w := range r.ws {
		if w.fullURL == "" || isDelete(w) { // what is deleted cannot be referred to
			continue
		}
		ref := w.ref()
		if match := r.match(i); match != nil {
			ref = match.Ref()
		}
		out[w.fullURL] = ref
		if version := w.node.Str("meta", "versionId"); version != "" && w.method == http.MethodPost {
			out[w.fullURL+"/_history/"+version] = r.created(i)
		}
	}
	return out
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

// resolve looks the conditions up and applies the patches, on the state before the first
// write. What before has made of the same versions is taken over; before itself stays as it
// is, since a transaction may run more than once. An error of kind PreconditionFailed names
// the entry.
func (s *Service) resolve(ctx context.Context, r *store.Reader, before *resolution) (*resolution, error) {
	found := newResolution(before.by, before.ws)
	deletes := slices.ContainsFunc(found.ws, isDelete)
	for i, w := range found.ws {
		if deletes && w.method == http.MethodPost {
			continue // it may make anew what is deleted: resolveCreates
		}
		if err := s.resolveWrite(ctx, r, found, i); err != nil {
			return nil, w.placed(err)
		}
	}
	if err := s.resolveReferences(ctx, r, found); err != nil {
		return nil, err
	}
	if maps.Equal(found.targets(), before.ids) {
		for i, w := range found.ws {
			if w == before.ws[i] {
				found.contents[i] = before.contents[i]
			}
		}
	}
	return found, nil
}

// resolveCreates looks the conditions of creates up where there are deletions, now that these
// are done.
func (s *Service) resolveCreates(ctx context.Context, r *store.Reader, found *resolution) error {
	if !slices.ContainsFunc(found.ws, isDelete) {
		return nil
	}
	if err := s.each(found.ws, http.MethodPost, func(i int, _ *write) error { return s.resolveWrite(ctx, r, found, i) }); err != nil {
		return err
	}
	if maps.Equal(found.targets(), found.ids) {
		return nil
	}
	clear(found.contents)
	return s.fill(found)
}

// resolveWrite finds the resource that a condition means, and applies a patch to it.
func (s *Service) resolveWrite(ctx context.Context, r *store.Reader, found *resolution, i int) error {
	w := found.ws[i]
	if w.condition != nil {
		match, err := s.match(ctx, found.by, r, w.condition)
		if err != nil {
			return err
		}
		if match != nil {
			if err := found.read.take(ctx, len(match.Body)); err != nil {
				return err
			}
			found.matched[i] = match
		}
	}
	if w.change == nil {
		return nil
	}
	current, err := found.match(i), error(nil)
	if w.condition == nil {
		current, err = read(ctx, s.as(found.by, r, permission.Update), w.typ, w.id)
	} else if current == nil {
		err = fhir.Errorf(fhir.NotFound, "not-found", "", "No %s meets the condition.", w.typ)
	}
	if err != nil {
		return err
	}
	if err := found.read.take(ctx, len(current.Body)); err != nil {
		return err
	}
	found.ws[i], err = s.changed(w, current)
	return err
}

// resolveReferences looks the conditional references up, but for those that something which
// is written may change (late.go).
func (s *Service) resolveReferences(ctx context.Context, r *store.Reader, found *resolution) error {
	written := map[string]bool{} // types
	for _, w := range found.ws {
		written[w.typ] = true
	}
	for i, w := range found.ws {
		for _, l := range w.links {
			text := l.Node.Text
			if _, _, conditional := conditionalReference(l); !conditional || found.references[text] != "" {
				continue
			}
			q, err := found.query(s, l)
			if err != nil {
				return w.placed(err)
			}
			if looksAt(q, written) {
				found.late[i] = true
				continue
			}
			target, err := s.match(ctx, found.by, r, q)
			switch {
			case err != nil:
				return w.placed(at(err, l.Expression))
			case target == nil:
				return w.placed(noTarget(l))
			}
			found.references[text] = target.Ref()
		}
	}
	return nil
}

// query is the parsed condition of a conditional reference.
func (r *resolution) query(s *Service, l validate.Link) (*search.Query, error) {
	if q := r.queries[l.Node.Text]; q != nil {
		return q, nil
	}
	typ, query, _ := conditionalReference(l)
	q, err := s.condition(typ, "?"+query)
	if err != nil {
		return nil, at(err, l.Expression)
	}
	r.queries[l.Node.Text] = q
	return q, nil
}
