package service

import (
	"context"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store"
)

// maxIncluded is how many resources a page may have beside its matches.
const maxIncluded = 10_000

// searchset answers the search on one state of the store: the matches of a page, what is included
// beside them, and what was left out of the query.
func (q *question) searchset(ctx context.Context, r *store.Reader) ([]byte, error) {
	if q.in.patient != "" {
		if _, err := read(ctx, r, "Patient", q.in.patient); err != nil {
			return nil, err
		}
	}
	if ofLog(q.in.typ) {
		return q.logSearchset(ctx, r)
	}
	query, err := q.on(ctx, r)
	if err != nil {
		return nil, err
	}
	page, err := r.Search(ctx, query, q.s.rows)
	if err != nil {
		return nil, err
	}
	included, err := q.included(ctx, r, query, page.Resources)
	if err != nil {
		return nil, err
	}
	b := newBundle("searchset", page.Total)
	size := 0
	for _, res := range slices.Concat(page.Resources, included) {
		size += len(res.Body) + entryBytes/2
	}
	b.grow(size)
	path := q.in.path()
	b.link("self", q.s.link(path, query.Applied, query.Cursor))
	if query.Cursor != "" || page.Next != "" {
		b.link("first", q.s.link(path, query.Applied, ""))
	}
	if page.Next != "" {
		b.link("next", q.s.link(path, query.Applied, page.Next))
	}
	if err := q.entries(ctx, b, page.Resources, "match"); err != nil {
		return nil, err
	}
	if err := q.entries(ctx, b, included, "include"); err != nil {
		return nil, err
	}
	if len(q.issues) > 0 {
		b.entry(q.s.remark(q.issues))
	}
	return b.bytes(), nil
}

// included are the resources that _include and _revinclude ask for, as far as the caller may read
// them (https://hl7.org/fhir/R4/search.html#include).
func (q *question) included(ctx context.Context, r *store.Reader, query *search.Query, matches []*fhir.Resource) ([]*fhir.Resource, error) {
	if len(query.Include) == 0 || len(matches) == 0 {
		return nil, nil
	}
	found, err := r.Include(ctx, matches, query.Include, maxIncluded)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(res *fhir.Resource) bool { return !q.s.mayRead(q.by, res.Type) }), nil
}

func (q *question) entries(ctx context.Context, b *bundle, resources []*fhir.Resource, mode string) error {
	for _, res := range resources {
		body, err := q.part.Of(res.Body)
		if err != nil {
			return err
		}
		b.entry(entry{fullURL: q.s.url(res), resource: body, mode: mode})
		trailOf(ctx).shows(res)
	}
	return nil
}
