package store

import (
	"context"
	"fmt"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Page is one page of a search.
type Page struct {
	// Resources are in the order that the query asks for, else in order of creation. None is
	// deleted.
	Resources []*fhir.Resource
	// Next is the cursor of the next page, "" on the last.
	Next string
	// Total is the number of all matches, -1 if it was not asked for.
	Total int64
}

// Search runs q (https://hl7.org/fhir/R4/search.html). A page ends early at PageBytes. Pages put
// together are every match once, whatever is written meanwhile, and none is seen twice.
//
// Without a sort, a resource that comes to match is seen or not, as it lies after or before the
// cursor. With one, the first page fixes the order: what is created later is not seen, and what
// is changed keeps the place that it had, and is seen there if it still matches. For that, rows
// must give what Put was given with a version; without a sort it is not called, and may be nil.
//
// The error is BadRequest for a cursor that this query did not give, and for a clause or a sort
// that cannot be answered; Gone for the cursor of a sorted search of which too much has changed
// since; Unavailable as long as a parameter that it needs is not indexed (see Declare).
func (r *Reader) Search(ctx context.Context, q *search.Query, rows Rows) (Page, error) {
	page := Page{Total: -1}
	if q.Count < 0 {
		return page, fmt.Errorf("search %s: the page size is %d", q.Type, q.Count)
	}
	cursor, err := r.openCursor(q)
	if err != nil {
		return page, err
	}
	if err := r.expectIndex(ctx); err != nil {
		return page, err
	}
	page, err = r.search(ctx, q, cursor, rows)
	if err == nil {
		err = r.currentIndex(ctx)
	}
	if err != nil {
		return Page{Total: -1}, err
	}
	return page, nil
}

func (r *Reader) search(ctx context.Context, q *search.Query, cursor position, rows Rows) (Page, error) {
	page := Page{Total: -1}
	plans, err := r.plans(ctx, q)
	if err != nil {
		return page, err
	}
	if err := alike(plans); err != nil {
		return page, err
	}
	if q.Total || q.Count == 0 {
		if page.Total, err = r.total(ctx, plans); err != nil {
			return page, err
		}
	}
	if q.Count == 0 {
		return page, nil
	}
	var found []place
	if len(plans[0].keys) == 0 {
		found, err = r.unsorted(ctx, plans, cursor.rid, q.Count)
	} else {
		found, err = r.inOrder(ctx, plans, cursor, q.Count, rows)
	}
	if err != nil {
		return Page{Total: -1}, err
	}
	taken, err := r.contents(ctx, plans, found, q.Count)
	if err != nil {
		return Page{Total: -1}, err
	}
	for _, at := range found[:taken] {
		page.Resources = append(page.Resources, at.resource)
	}
	if taken < len(found) {
		page.Next, err = r.closeCursor(ctx, q, cursor, found[taken-1].rid)
	}
	return page, err
}

// total is the number of all matches.
func (r *Reader) total(ctx context.Context, plans []*plan) (total int64, err error) {
	for _, p := range plans {
		var n int64
		text, args := p.count()
		if _, err := r.row(ctx, text, args, &n); err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// alike checks that the places of the parts of a query can be compared.
func alike(plans []*plan) error {
	seen := map[string]bool{}
	for _, p := range plans {
		if seen[p.name] {
			return fmt.Errorf("search: two parts are of type %s", p.name)
		}
		seen[p.name] = true
		if len(p.keys) != len(plans[0].keys) {
			return fmt.Errorf("search: the parts have different sorts")
		}
		for i, k := range p.keys {
			if k.Param.Kind != plans[0].keys[i].Param.Kind || k.Descending != plans[0].keys[i].Descending {
				return fhir.Errorf(fhir.BadRequest, "not-supported", "http._sort", "The parameter %s has different types of value in the types that are searched.", k.Param.Code)
			}
		}
	}
	return nil
}

// unsorted gives a page of places and one more, if there is one, in order of rid.
func (r *Reader) unsorted(ctx context.Context, plans []*plan, after int64, count int) ([]place, error) {
	if len(plans) == 1 {
		p := *plans[0]
		p.contents = true
		s := &statement{}
		return r.places(ctx, &p, s, p.rids(s, after, s.limit(count+1)), count)
	}
	// One statement for all parts.
	s := &statement{}
	limit := s.limit(count + 1)
	text := ""
	for i, p := range plans {
		if i > 0 {
			text += " UNION ALL "
		}
		text += "SELECT * FROM (" + p.rids(s, after, limit) + ") p" + fmt.Sprint(i)
	}
	return r.places(ctx, plans[0], s, "SELECT rid FROM ("+text+") parts ORDER BY rid LIMIT "+limit, count)
}

// inOrder gives a page of places and one more, if there is one, in the order of the sort.
func (r *Reader) inOrder(ctx context.Context, plans []*plan, cursor position, count int, rows Rows) (found []place, err error) {
	var after *place
	if cursor.asOf > 0 {
		if after, err = r.placeOf(ctx, plans, cursor.rid, cursor.asOf, rows); err != nil {
			return nil, err
		}
	}
	for _, p := range plans {
		p.contents = len(plans) == 1
		places, err := r.sorted(ctx, p, after, cursor.asOf, count+1)
		if err != nil {
			return nil, err
		}
		if after != nil {
			moved, err := r.moved(ctx, p, after, cursor.asOf, count+1, rows)
			if err != nil {
				return nil, err
			}
			places = append(places, moved...)
		}
		found = append(found, places...)
	}
	if len(plans) > 1 || after != nil {
		slices.SortFunc(found, func(a, b place) int { return a.compare(&b, plans[0].keys) })
	}
	return found[:min(count+1, len(found))], nil
}

// contents reads the resources of places that have none yet, and returns how many of them make a
// page.
func (r *Reader) contents(ctx context.Context, plans []*plan, places []place, count int) (taken int, err error) {
	const step = 100
	var size pageSize
	for ; taken < len(places) && !size.full(count); taken++ {
		if places[taken].resource == nil {
			if err := r.read(ctx, plans, places[taken:min(taken+step, len(places))]); err != nil {
				return 0, err
			}
		}
		size.add(places[taken].resource)
	}
	return taken, nil
}

// read reads the resources of some places.
func (r *Reader) read(ctx context.Context, plans []*plan, places []place) error {
	at := map[int64]*place{}
	s := &statement{}
	list := "0"
	for i := range places {
		if places[i].resource == nil {
			at[places[i].rid] = &places[i]
			list += ", " + s.arg(places[i].rid)
		}
	}
	names := map[int64]string{}
	for _, p := range plans {
		names[p.typ] = p.name
	}
	return r.rows(ctx, "SELECT r.rid, r.type, r.id, r.version, r.updated, v.body FROM resource r CROSS JOIN version v WHERE r.rid IN ("+list+") AND v.seq = r.seq", s.args,
		func(scan func(...any) error) error {
			res := &fhir.Resource{}
			var rid, typ, updated int64
			var id []byte
			if err := scan(&rid, &typ, &id, &res.Version, &updated, &res.Body); err != nil {
				return err
			}
			res.Type, res.ID, res.LastUpdated = names[typ], string(id), fromMicros(updated)
			at[rid].resource = res
			return nil
		})
}
