package store

import (
	"cmp"
	"context"

	"aftercare/fhir/search"
)

// Footprint tells states of a resource, and of those that refer to it, apart: how many of them
// there are, and the places in the order of commits of the latest of them and of the resource
// itself. As long as it is the same in what is committed, nothing of them has changed.
type Footprint struct{ count, latest, own int64 }

// Footprint is that of typ/id with the resources that refer to it under one of the parameters,
// which are of kind Reference.
func (r *Reader) Footprint(ctx context.Context, params []*search.Parameter, typ, id string) (f Footprint, err error) {
	if err := r.expectIndex(ctx); err != nil {
		return f, err
	}
	s := &statement{}
	symbol, err := r.symbolOrNone(ctx, typ)
	if err != nil {
		return f, err
	}
	where := "x.target = " + s.arg(key(id)) + " AND x.type = " + s.arg(symbol) + " AND x.param IN (0"
	for _, p := range params {
		if err := r.hasRows(ctx, p.Type, p.Code); err != nil {
			return f, err
		}
		if param, known := r.store.symbols.get(p.Key()); known {
			where += ", " + s.arg(param)
		} else { // most of these never become known
			where += ", (SELECT id FROM symbol WHERE text = " + s.arg(key(p.Key())) + ")"
		}
	}
	_, err = r.row(ctx, "SELECT count(*), coalesce(max(r.seq), 0), coalesce((SELECT p.seq FROM resource p WHERE p.type = "+s.arg(symbol)+" AND p.id = "+s.arg([]byte(id))+
		"), 0) FROM index_reference x CROSS JOIN resource r WHERE "+where+") AND +x.rid"+beforeHorizon+" AND r.rid = x.rid", s.args, &f.count, &f.latest, &f.own)
	return f, cmp.Or(err, r.currentIndex(ctx))
}
