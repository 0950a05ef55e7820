package store

import (
	"cmp"
	"context"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Targets gives the ids of resources of a type that current resources of another refer to under one of
// the parameters, which are of kind Reference: each once, in order.
func (r *Reader) Targets(ctx context.Context, typ string, ids []string, params []*search.Parameter, of string) (found []string, err error) {
	if err := r.expectIndex(ctx); err != nil {
		return nil, err
	}
	for some := range slices.Chunk(ids, includeStep) {
		s := &statement{}
		from, err := r.symbolOrNone(ctx, typ)
		if err != nil {
			return nil, err
		}
		to, err := r.symbolOrNone(ctx, of)
		if err != nil {
			return nil, err
		}
		where := "f.type = " + s.arg(from) + " AND " + r.oneOf(s, "f.id", some) + " AND x.rid = f.rid AND x.type = " + s.arg(to) + " AND x.param IN (0"
		for _, p := range params {
			param, known, err := r.param(ctx, p.Type, p.Code)
			if err != nil {
				return nil, err
			}
			if known {
				where += ", " + s.arg(param)
			}
		}
		err = r.rows(ctx, "SELECT DISTINCT x.target FROM resource f CROSS JOIN index_reference x WHERE "+where+")", s.args, func(scan func(...any) error) error {
			var id []byte
			err := scan(&id)
			if fhir.ValidID(string(id)) {
				found = append(found, string(id))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(found)
	return slices.Compact(found), cmp.Or(err, r.currentIndex(ctx))
}

// oneOf is the condition that a column is one of some ids.
func (r *Reader) oneOf(s *statement, column string, ids []string) string {
	if len(ids) < manyValues {
		return inList(s, column, ids)
	}
	return r.store.engine.among(s, column, ids, false)
}
