package service

import (
	"context"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/careplan"
	"aftercare/service/store"
)

// settled derives. What the ids of new resources stand for shows only then: some are those of
// resources of other patients, some of what people have deleted, and some of what people have taken
// the identifier or the patient off. That is looked up, and the derivation is made again with it.
func (s *Service) settled(ctx context.Context, r *store.Reader, who person, c careplan.Case) (careplan.Case, careplan.Result, error) {
	return s.settledBy(ctx, r, who, c, s.prescribed)
}

// settledBy is settled for what derives, or a part of it, and may add to the case what it needs.
func (s *Service) settledBy(ctx context.Context, r *store.Reader, who person, c careplan.Case, derive func(context.Context, *careplan.Case) (careplan.Result, error)) (careplan.Case, careplan.Result, error) {
	for {
		result, err := derive(ctx, &c)
		if err != nil {
			return c, result, err
		}
		l := lookup{Service: s, r: r, who: who, c: &c}
		if err := l.all(ctx, result.Resources); err != nil || !l.found {
			return c, result, err
		}
	}
}

// lookup finds out what is stored under ids that a case does not know.
type lookup struct {
	*Service
	r     *store.Reader
	who   person
	c     *careplan.Case
	known map[string]bool
	// found: there was something that the case did not know.
	found bool
}

func (l *lookup) all(ctx context.Context, prescribed []careplan.Prescribed) error {
	l.known = map[string]bool{}
	for _, s := range append(slices.Clone(l.c.Existing), l.c.Deleted...) {
		l.known[s.Type+"/"+s.ID] = true
	}
	for _, p := range prescribed {
		if err := l.one(ctx, p.Type, p.ID, p.Node); err != nil {
			return err
		}
	}
	for _, s := range slices.Clone(l.c.Existing) { // what belongs to a plan that was deleted
		for _, n := range s.Node.Each("basedOn", "reference") {
			if ref := fhir.ParseReference(n.Text, l.baseURL); ref.Local() && ref.Type == "CarePlan" {
				if err := l.one(ctx, ref.Type, ref.ID, nil); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// one looks up one id. node is what a derivation would store under it, nil for nothing.
func (l *lookup) one(ctx context.Context, typ, id string, node *fhir.Node) error {
	ref := typ + "/" + id
	if l.known[ref] || l.c.Taken[ref] {
		return nil
	}
	l.known[ref] = true
	stored, err := l.r.Get(ctx, typ, id)
	switch {
	case fhir.KindOf(err) == fhir.NotFound && err != nil, err == nil && node == nil && !stored.Deleted:
		return nil
	case err != nil:
		return err
	}
	deleted := stored.Deleted
	if deleted {
		if stored, err = l.r.Version(ctx, typ, id, stored.Version-1); err != nil {
			return err
		}
	}
	source, err := asSource(stored)
	if err != nil {
		return err
	}
	l.found = true
	switch {
	case !l.who.has(careplan.SubjectOf(source.Node), l.baseURL):
		if l.c.Taken == nil {
			l.c.Taken = map[string]bool{}
		}
		l.c.Taken[ref] = true
	case deleted:
		l.c.Deleted = append(l.c.Deleted, source)
	default:
		l.c.Existing = append(l.c.Existing, source)
		if l.protocols.IdentifierOf(typ, source.Node) != "" {
			return nil
		}
		if l.c.Unnamed == nil {
			l.c.Unnamed = map[string]string{}
		}
		l.c.Unnamed[ref] = l.protocols.IdentifierOf(typ, node)
	}
	return nil
}

// has reports that a reference is to one of the records of a person; no reference counts as one.
func (p person) has(subject, base string) bool {
	ref := fhir.ParseReference(subject, base)
	return subject == "" || ref.Local() && ref.Type == careplan.SubjectType && slices.Contains(p.records, ref.ID)
}

// justDeleted are those of the resources that a transaction deletes that were about a person, with
// what they held.
func (s *Service) justDeleted(ctx context.Context, r *store.Reader, who person, refs []fhir.Reference) (out []careplan.Source, err error) {
	for _, ref := range refs {
		gone, err := r.Get(ctx, ref.Type, ref.ID)
		if err != nil {
			return nil, err
		}
		if !gone.Deleted { // and made again
			continue
		}
		last, err := r.Version(ctx, ref.Type, ref.ID, gone.Version-1)
		if err != nil {
			return nil, err
		}
		source, err := asSource(last)
		if err != nil {
			return nil, err
		}
		if of := careplan.SubjectOf(source.Node); of != "" && who.has(of, s.baseURL) {
			out = append(out, source)
		}
	}
	return out, nil
}

// targetParameter is the search parameter on Provenance.target.
const targetParameter = "target"

// lastWritten are, by "Type/id", the last versions that derivations wrote of derived resources that do
// not say themselves what that was, as the Provenance of derivations tells; nil where it does not.
func (s *Service) lastWritten(ctx context.Context, r *store.Reader, existing []careplan.Source) (map[string]*fhir.Node, error) {
	target, ok := s.registry.Lookup("Provenance", targetParameter)
	q := &search.Query{Type: "Provenance", Count: maxCount, Clauses: []search.Clause{{Param: target}}}
	written := map[string]int64{}
	for _, e := range existing {
		if ok && s.protocols.LacksDigests(e) {
			written[e.Type+"/"+e.ID] = 0
			q.Clauses[0].Values = append(q.Clauses[0].Values, search.Value{System: e.Type, Value: e.ID})
		}
	}
	for len(written) > 0 {
		page, err := r.Search(ctx, q, nil)
		if err != nil {
			return nil, err
		}
		for _, found := range page.Resources {
			n, err := fhir.Parse(found.Body)
			if err != nil {
				return nil, err
			}
			noteWritten(written, n)
		}
		if page.Next == "" {
			break
		}
		q.Cursor = page.Next
	}
	last := map[string]*fhir.Node{}
	for _, e := range existing {
		ref := e.Type + "/" + e.ID
		switch version := written[ref]; version {
		case 0:
		case e.Version:
			last[ref] = e.Node
		default:
			stored, err := r.Version(ctx, e.Type, e.ID, version)
			if fhir.KindOf(err) == fhir.NotFound && err != nil || err == nil && stored.Deleted {
				continue
			}
			if err != nil {
				return nil, err
			}
			if last[ref], err = fhir.Parse(stored.Body); err != nil {
				return nil, err
			}
		}
	}
	return last, nil
}
