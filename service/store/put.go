package store

import (
	"context"
	"fmt"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Put stores d as the next version of the resource with this id: 1 for a new one, and one more
// after a deletion. rows replace what could be found of it before. method is the HTTP verb
// that the history shows.
//
// lastUpdated is at, cut to microseconds, or one microsecond after the version before where at
// is not later than that.
func (tx *Tx) Put(ctx context.Context, d *fhir.Draft, id string, at time.Time, method string, rows []search.Row) (*fhir.Resource, error) {
	if err := checkID(d.Type, id); err != nil {
		return nil, err
	}
	typ, err := tx.intern(ctx, d.Type)
	if err != nil {
		return nil, err
	}
	now, found, err := tx.state(ctx, typ, id)
	if err != nil {
		return nil, err
	}
	version, updated := now.version+1, at.UnixMicro()
	if err := tx.next.step(); err != nil {
		return nil, err
	}
	if found {
		updated = max(updated, now.updated+1)
		err = tx.exec(ctx, `UPDATE resource SET version = $1, updated = $2, deleted = 0, seq = $3 WHERE rid = $4`,
			version, updated, tx.next.seq, now.rid)
	} else {
		now.rid, err = tx.addResource(ctx, typ, id, updated)
	}
	if err != nil {
		return nil, err
	}
	rid := now.rid
	res := d.Stamp(id, version, fromMicros(updated))
	if err := tx.addVersion(ctx, tx.next.seq, rid, typ, res, method); err != nil {
		return nil, err
	}
	if found {
		return res, tx.indexAgain(ctx, rid, d.Type, rows)
	}
	return res, tx.index(ctx, rid, d.Type, rows)
}

// Delete adds a version that says the resource is deleted, and returns it. A resource that is
// deleted already stays as it is, and its deletion is returned. The error is NotFound if the
// id was never used.
func (tx *Tx) Delete(ctx context.Context, typ, id string, at time.Time, method string) (*fhir.Resource, error) {
	symbol, found, err := tx.symbol(ctx, typ)
	if err != nil {
		return nil, err
	}
	var now state
	if found {
		now, found, err = tx.state(ctx, symbol, id)
	}
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errNotFound(typ)
	}
	res := &fhir.Resource{Type: typ, ID: id, Version: now.version, LastUpdated: fromMicros(now.updated), Deleted: true}
	if now.deleted {
		return res, nil
	}
	res.Version++
	res.LastUpdated = fromMicros(max(at.UnixMicro(), now.updated+1))
	if err := tx.next.step(); err != nil {
		return nil, err
	}
	if err := tx.exec(ctx, `UPDATE resource SET version = $1, updated = $2, deleted = 1, seq = $3 WHERE rid = $4`,
		res.Version, res.LastUpdated.UnixMicro(), tx.next.seq, now.rid); err != nil {
		return nil, err
	}
	if err := tx.addVersion(ctx, tx.next.seq, now.rid, symbol, res, method); err != nil {
		return nil, err
	}
	return res, tx.unindex(ctx, now.rid)
}

// state is what the row of a resource says.
type state struct {
	rid, version, updated int64
	deleted               bool
}

func (tx *Tx) state(ctx context.Context, typ int64, id string) (now state, found bool, err error) {
	found, err = tx.row(ctx, `SELECT rid, version, updated, deleted = 1 FROM resource WHERE type = $1 AND id = $2`,
		[]any{typ, []byte(id)}, &now.rid, &now.version, &now.updated, &now.deleted)
	return now, found, err
}

// addResource adds the row of a new resource, whose version has the sequence number taken last.
func (tx *Tx) addResource(ctx context.Context, typ int64, id string, updated int64) (rid int64, err error) {
	tx.next.rid++
	return tx.next.rid, tx.insert(ctx, intoResource, tx.next.rid, typ, []byte(id), int64(1), updated, int64(0), tx.next.seq)
}

// addVersion stores res under a sequence number.
func (tx *Tx) addVersion(ctx context.Context, seq, rid, typ int64, res *fhir.Resource, method string) error {
	if method == "" {
		return fmt.Errorf("store %s: a version needs the method that made it", res.Type)
	}
	return tx.insert(ctx, intoVersion, seq, rid, res.Version, typ, res.LastUpdated.UnixMicro(), method, res.Body)
}

func checkID(typ, id string) error {
	if !fhir.ValidID(id) {
		return fhir.Errorf(fhir.BadRequest, "value", typ+".id", "An id is 1 to 64 letters, digits, - and dots.")
	}
	return nil
}
