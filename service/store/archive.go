package store

import (
	"cmp"
	"context"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Extent says how much the database holds.
type Extent struct {
	// Versions is the number of versions, deletions too; Resources is how many resources they
	// are of.
	Versions, Resources int64
	// Last is the position of the newest version, 0 if there is none.
	Last int64
}

// Extent counts what was committed at positions up to upTo.
func (r *Reader) Extent(ctx context.Context, upTo int64) (Extent, error) {
	var e Extent
	// The index over (rid, version) answers this, so that no body is read.
	_, err := r.row(ctx, `SELECT count(*), coalesce(sum(CASE WHEN v.version = 1 THEN 1 ELSE 0 END), 0), coalesce(max(v.seq), 0)
		FROM resource r CROSS JOIN version v WHERE v.rid = r.rid AND v.seq <= $1`,
		[]any{upTo}, &e.Versions, &e.Resources, &e.Last)
	return e, err
}

// Last is the position of the newest version, 0 if there is none.
func (r *Reader) Last(ctx context.Context) (position int64, err error) {
	_, err = r.row(ctx, `SELECT v.seq FROM version v CROSS JOIN resource r WHERE r.rid = v.rid ORDER BY v.seq DESC LIMIT 1`, nil, &position)
	return position, err
}

// Versions calls each for at most n versions of all resources, deletions too, in the order of
// commits: those that come next after a position, which is 0 for the beginning. The position
// of a version never changes, and what is committed later gets a later one. One version at a
// time is in memory. An error of each ends the reading and comes back as it is.
func (r *Reader) Versions(ctx context.Context, after int64, n int, each func(position int64, e HistoryEntry) error) error {
	s := &statement{}
	text := `SELECT v.seq, v.version, v.updated, v.method, v.body, r.id, t.text,
			coalesce((SELECT p.body IS NULL FROM version p WHERE p.rid = v.rid AND p.version = v.version - 1), 1 = 1)
		FROM version v CROSS JOIN resource r CROSS JOIN symbol t
		WHERE v.seq > ` + s.arg(after) + ` AND r.rid = v.rid AND t.id = r.type
		ORDER BY v.seq LIMIT ` + s.limit(n)
	var stop error
	err := r.rows(ctx, text, s.args, func(scan func(...any) error) error {
		if stop != nil {
			return nil // the database has not failed: the transaction goes on
		}
		e := HistoryEntry{Resource: &fhir.Resource{}}
		var position, updated int64
		var id, typ []byte
		if err := scan(&position, &e.Resource.Version, &updated, &e.Method, &e.Resource.Body, &id, &typ, &e.Created); err != nil {
			return err
		}
		e.Resource.Type, e.Resource.ID, e.Resource.LastUpdated = string(typ), string(id), fromMicros(updated)
		e.Resource.Deleted = e.Resource.Body == nil
		e.Created = e.Created && !e.Resource.Deleted
		stop = each(position, e)
		return nil
	})
	return cmp.Or(stop, err)
}

// Restore stores a version that Versions gave, of this database or another, as the newest of
// its resource: with the same id, version, time, method and bytes. Its position is the next
// one. rows are what can be found of it from now on; they may be left out of a version that
// another one follows in the same write.
//
// The error, of this call or of Write, is Conflict if the version does not follow the one that
// is stored: versions count from 1 without a gap, time goes on, and what is not there is not
// deleted.
func (tx *Tx) Restore(ctx context.Context, e HistoryEntry, rows []search.Row) (position int64, err error) {
	res := e.Resource
	if !fhir.ValidID(res.ID) || e.Method == "" || res.Deleted != (len(res.Body) == 0) || res.Deleted && len(rows) > 0 {
		return 0, fhir.Errorf(fhir.BadRequest, "structure", res.Type, "A version needs an id, a method, and content unless it is a deletion.")
	}
	typ, err := tx.intern(ctx, res.Type)
	if err != nil {
		return 0, err
	}
	if err := tx.next.step(); err != nil {
		return 0, err
	}
	var rid int64
	if res.Version == 1 && !res.Deleted {
		rid, err = tx.addResource(ctx, typ, res.ID, res.LastUpdated.UnixMicro())
	} else {
		rid, err = tx.restoreNext(ctx, typ, res)
	}
	if err != nil {
		return 0, err
	}
	if err := tx.addVersion(ctx, tx.next.seq, rid, typ, res, e.Method); err != nil {
		return 0, err
	}
	return tx.next.seq, tx.index(ctx, rid, res.Type, rows)
}

// restoreNext makes res the newest version of a resource that is there.
func (tx *Tx) restoreNext(ctx context.Context, typ int64, res *fhir.Resource) (rid int64, err error) {
	now, _, err := tx.state(ctx, typ, res.ID)
	if err != nil {
		return 0, err
	}
	updated, deleted := res.LastUpdated.UnixMicro(), 0
	switch {
	case now.version == 0 || res.Version != now.version+1:
		return 0, fhir.Errorf(fhir.Conflict, "conflict", res.Type, "Version %d cannot follow version %d.", res.Version, now.version)
	case updated <= now.updated:
		return 0, fhir.Errorf(fhir.Conflict, "conflict", res.Type, "Version %d is not later than the version before it.", res.Version)
	case res.Deleted && now.deleted:
		return 0, fhir.Errorf(fhir.Conflict, "conflict", res.Type, "Version %d deletes what is deleted already.", res.Version)
	case res.Deleted:
		deleted = 1
	}
	if err := tx.exec(ctx, `UPDATE resource SET version = $1, updated = $2, deleted = $3, seq = $4 WHERE rid = $5`,
		res.Version, updated, deleted, tx.next.seq, now.rid); err != nil {
		return 0, err
	}
	if now.deleted {
		return now.rid, nil
	}
	return now.rid, tx.unindex(ctx, now.rid)
}
