package store

import (
	"context"

	"aftercare/fhir"
)

// Newest gives resources of a type whose current version was written after a position in the order
// of commits, at most n of them, in that order, with the position of the last. Deleted ones are left
// out. Without any, the position is the one that was given.
func (r *Reader) Newest(ctx context.Context, typ string, since int64, n int) (found []*fhir.Resource, until int64, err error) {
	symbol, known, err := r.symbol(ctx, typ)
	if err != nil || !known {
		return nil, since, err
	}
	until = since
	err = r.rows(ctx, `SELECT v.seq, v.version, v.updated, v.body, r.id FROM version v CROSS JOIN resource r
		WHERE v.type = $1 AND v.seq > $2 AND v.seq`+beforeHorizon+` AND r.rid = v.rid AND r.seq = v.seq AND v.body IS NOT NULL
		ORDER BY v.seq LIMIT $3 + 0`, []any{symbol, since, n}, func(scan func(...any) error) error {
		res := &fhir.Resource{Type: typ}
		var updated int64
		var id []byte
		if err := scan(&until, &res.Version, &updated, &res.Body, &id); err != nil {
			return err
		}
		res.ID, res.LastUpdated = string(id), fromMicros(updated)
		found = append(found, res)
		return nil
	})
	return found, until, err
}
