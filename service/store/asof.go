package store

import (
	"context"
	"fmt"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Rows gives what can be found of a version of a resource by, as it was given to Put with it.
type Rows func(*fhir.Resource) ([]search.Row, error)

// placeOf is where a resource stood at a position of the order of commits, and whose plan it
// belongs to.
func (r *Reader) placeOf(ctx context.Context, plans []*plan, rid, asOf int64, rows Rows) (*place, error) {
	var typ, seq int64
	found, err := r.row(ctx, `SELECT type, seq FROM resource WHERE rid = $1`, []any{rid}, &typ, &seq)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(plans, func(p *plan) bool { return p.typ == typ })
	if !found || at < 0 {
		return nil, fmt.Errorf("a cursor stands at a resource that is not there")
	}
	p := *plans[at]
	p.contents = false
	s := &statement{}
	if seq <= asOf {
		text := "SELECT r.rid" + p.keyColumns(s, "r") + " FROM resource r WHERE r.rid = " + s.arg(rid)
		places, err := r.places(ctx, &p, s, text, 1)
		if err != nil || len(places) == 0 {
			return nil, err
		}
		return &places[0], nil
	}
	places, err := r.earlier(ctx, &p, s, "(SELECT rid, type, id FROM resource WHERE rid = "+s.arg(rid)+")", asOf, rows)
	if err != nil {
		return nil, err
	}
	if len(places) == 0 {
		return nil, fmt.Errorf("a cursor stands at a resource that was not there")
	}
	return &places[0], nil
}

// earlier gives the places that the resources of a table with rid and id had at a position, if
// they were there.
func (r *Reader) earlier(ctx context.Context, p *plan, s *statement, table string, asOf int64, rows Rows) (out []place, err error) {
	if rows == nil {
		return nil, fmt.Errorf("a sorted search goes on without knowing the rows of earlier versions")
	}
	at := s.arg(asOf)
	text := "SELECT c.rid, c.id, v.version, v.updated, v.body FROM " + table + " c CROSS JOIN version v WHERE v.rid = c.rid AND v.version = " +
		"(SELECT o.version FROM version o WHERE o.rid = c.rid AND o.seq <= " + at + " ORDER BY o.version DESC LIMIT 1) AND v.body IS NOT NULL"
	var failed error
	err = r.rows(ctx, text, s.args, func(scan func(...any) error) error {
		res := &fhir.Resource{Type: p.name}
		var found place
		var id []byte
		var updated int64
		if err := scan(&found.rid, &id, &res.Version, &updated, &res.Body); err != nil {
			return err
		}
		res.ID, res.LastUpdated = string(id), fromMicros(updated)
		var values []search.Row
		if values, failed = rows(res); failed == nil {
			found.keys, failed = keysOf(p.keys, res, values)
		}
		if failed != nil {
			return errEnough
		}
		out = append(out, found)
		return nil
	})
	if err == nil {
		err = failed
	}
	return out, err
}

// moved gives the next n places, at a position, of what has changed since then and still matches.
func (r *Reader) moved(ctx context.Context, p *plan, after *place, asOf int64, n int, rows Rows) ([]place, error) {
	if p.typ < 0 {
		return nil, nil
	}
	s := &statement{}
	changed := "SELECT rid FROM version WHERE type = " + s.arg(p.typ) + " AND version > 1 AND seq > " + s.arg(asOf) + " AND seq" + beforeHorizon
	var count int
	if _, err := r.row(ctx, "SELECT count(*) FROM ("+changed+" LIMIT "+s.limit(r.store.effort.changed+1)+") c", s.args, &count); err != nil || count == 0 {
		return nil, err
	}
	if count > r.store.effort.changed {
		return nil, fhir.Errorf(fhir.Gone, "too-costly", "http._cursor", "So much has changed since the first page that its order is not known any more; start again from the first page.")
	}
	s.args = s.args[:2]
	table := "(SELECT r.rid AS rid, r.id AS id FROM (SELECT DISTINCT rid FROM (" + changed + ") v) d CROSS JOIN resource r WHERE r.rid = d.rid AND +r.deleted = 0"
	for _, c := range p.clauses {
		table += " AND " + c.holds(s, "r.rid")
	}
	places, err := r.earlier(ctx, p, s, table+")", asOf, rows)
	if err != nil {
		return nil, err
	}
	places = slices.DeleteFunc(places, func(at place) bool { return after != nil && at.compare(after, p.keys) <= 0 })
	slices.SortFunc(places, func(a, b place) int { return a.compare(&b, p.keys) })
	return places[:min(n, len(places))], nil
}
