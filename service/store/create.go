package store

import (
	"context"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Create is Put for a resource whose id was made for it, so that there is nothing to look for. The
// error, of this call or of Write, is Conflict if the id was used before.
func (tx *Tx) Create(ctx context.Context, d *fhir.Draft, id string, at time.Time, method string, rows []search.Row) (*fhir.Resource, error) {
	if err := checkID(d.Type, id); err != nil {
		return nil, err
	}
	typ, err := tx.intern(ctx, d.Type)
	if err != nil {
		return nil, err
	}
	if err := tx.next.step(); err != nil {
		return nil, err
	}
	rid, err := tx.addResource(ctx, typ, id, at.UnixMicro())
	if err != nil {
		return nil, err
	}
	res := d.Stamp(id, 1, fromMicros(at.UnixMicro()))
	if err := tx.addVersion(ctx, tx.next.seq, rid, typ, res, method); err != nil {
		return nil, err
	}
	return res, tx.index(ctx, rid, d.Type, rows)
}
