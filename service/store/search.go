package store

import (
	"context"
	"fmt"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Page is one page of a search.
type Page struct {
	// Resources are in order of creation. None is deleted.
	Resources []*fhir.Resource
	// Next is the cursor of the next page, "" on the last.
	Next string
	// Total is the number of all matches, -1 if it was not asked for.
	Total int64
}

// Search runs q (https://hl7.org/fhir/R4/search.html). Pages put together are every match
// once, whatever is written meanwhile: a resource that comes to match is seen or not, as it
// lies after or before the cursor, and none is seen twice.
//
// The error is BadRequest for a cursor that this query did not give, and for a clause that
// cannot be answered.
func (r *Reader) Search(ctx context.Context, q *search.Query) (Page, error) {
	page := Page{Total: -1}
	if q.Count < 0 {
		return page, fmt.Errorf("search %s: the page size is %d", q.Type, q.Count)
	}
	after := int64(0)
	if q.Cursor != "" {
		var err error
		if after, err = r.store.position(q.Cursor, questionOf(q)); err != nil {
			return page, err
		}
	}
	plan, err := r.plan(ctx, q)
	if err != nil {
		return page, err
	}
	if q.Total || q.Count == 0 {
		text, args := plan.count()
		if _, err := r.row(ctx, text, args, &page.Total); err != nil {
			return page, err
		}
	}
	if q.Count == 0 {
		return page, nil
	}
	last := int64(0)
	more := false
	text, args := plan.page(after, q.Count+1)
	err = r.rows(ctx, text, args, func(scan func(...any) error) error {
		if len(page.Resources) == q.Count {
			more = true
			return nil
		}
		res := &fhir.Resource{Type: q.Type}
		var updated int64
		var id []byte
		if err := scan(&last, &id, &res.Version, &updated, &res.Body); err != nil {
			return err
		}
		res.ID, res.LastUpdated = string(id), fromMicros(updated)
		page.Resources = append(page.Resources, res)
		return nil
	})
	if err != nil {
		return Page{Total: -1}, err
	}
	if more {
		page.Next = r.store.sign(last, questionOf(q))
	}
	return page, nil
}

// questionOf is the same for two queries that ask for the same resources, whatever their page
// size, and differs otherwise: every text is quoted, every list has its length.
func questionOf(q *search.Query) string {
	b := fmt.Appendf(nil, "search %q %d", q.Type, len(q.Clauses))
	for i := range q.Clauses {
		b = appendClause(b, &q.Clauses[i])
	}
	return string(b)
}

func appendClause(b []byte, c *search.Clause) []byte {
	b = fmt.Appendf(b, " [%q %q %d", c.Param.Key(), c.Modifier, len(c.Values))
	for _, v := range c.Values {
		b = fmt.Appendf(b, " %#v", v)
	}
	b = fmt.Appendf(b, " %d", len(c.Chain))
	for i := range c.Chain {
		b = fmt.Appendf(b, " %q", c.Chain[i].Type)
		b = appendClause(b, &c.Chain[i].Clause)
	}
	return append(b, ']')
}
