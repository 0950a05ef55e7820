package service

import (
	"context"
	"fmt"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/fhir/terminology"
	"aftercare/service/store"
)

// terms answers from the ValueSets and CodeSystems that are stored, those that the service runs
// on among them. Of several with the same URL the one that was changed last counts, unless a
// version is asked for.
func (s *Service) terms(ctx context.Context, r *store.Reader) terminology.Terms {
	return terminology.Terms{Lookup: func(typ, url, version string) (*fhir.Node, error) {
		if ref := fhir.ParseReference(url, s.baseURL); ref.Local() {
			if ref.Type != typ || ref.Version != "" {
				return nil, nil
			}
			res, err := read(ctx, r, typ, ref.ID)
			switch kind := fhir.KindOf(err); {
			case err != nil && (kind == fhir.NotFound || kind == fhir.Gone):
				return nil, nil
			case err != nil:
				return nil, err
			}
			return fhir.Parse(res.Body)
		}
		return s.definition(ctx, r, typ, url, version)
	}}
}

// definition finds a resource by its canonical URL, of that version if there is one.
func (s *Service) definition(ctx context.Context, r *store.Reader, typ, url, version string) (*fhir.Node, error) {
	param, ok := s.registry.Lookup(typ, "url")
	changed, ok2 := s.registry.Lookup(typ, "_lastUpdated")
	if !ok || !ok2 {
		return nil, fmt.Errorf("%s cannot be found by its URL", typ)
	}
	q := &search.Query{
		Type: typ, Count: maxCount, Clauses: []search.Clause{{Param: param, Values: []search.Value{{Value: url}}}},
		Sort: []search.SortKey{{Param: changed, Descending: true}},
	}
	var newest *fhir.Node
	for more := true; more; more = q.Cursor != "" {
		page, err := r.Search(ctx, q, s.rows)
		if err != nil {
			return nil, err
		}
		for _, res := range page.Resources {
			n, err := fhir.Parse(res.Body)
			if err != nil {
				return nil, err
			}
			if version == "" || n.Str("version") == version {
				return n, nil
			}
			if newest == nil {
				newest = n
			}
		}
		q.Cursor = page.Next
	}
	return newest, nil
}
