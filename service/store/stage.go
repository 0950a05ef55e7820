package store

import (
	"context"
	"errors"
	"math"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Staging writes many new resources in small steps, so that other writes get their turns in
// between, and nobody sees any of them until Tx.Reveal brings all of them in at once. There is
// one at a time in a database. It is for one goroutine.
//
// Everything staged lies beyond the horizon: its rids and sequence numbers are larger than all
// that are handed out meanwhile, by a gap that is left for those. So the order of rids and
// sequence numbers stays the order of commits. Searches and histories end at the horizon.
//
// A staging that is neither revealed nor dropped, because its process ended, is removed by
// whoever opens the database next or wants to stage next, once its lease is over. The lease
// decides when that happens, not whether it is safe: who lost a staging is told so at the next
// step.
type Staging struct {
	store  *Store
	owner  int64 // what horizon.staging is while this staging is not lost
	next   int64 // the number of the next resource
	staged bool  // whether there is any
}

// New is a resource whose id was never used, to be stored as version 1.
type New struct {
	Draft *fhir.Draft
	ID    string
	// Method is the HTTP verb that the history shows.
	Method string
	Rows   []search.Row
}

// ErrLost says that a staging was taken for dead and removed by another process. Nothing of
// it is stored.
var ErrLost = errors.New("the staged resources were removed by another process")

const (
	// nowhere is the horizon when nothing is staged.
	nowhere = math.MaxInt64
	// gap is how many numbers a staging leaves to the writes that are made meanwhile.
	gap = 1 << 24
	// lease is how long a staging lives without a step.
	lease = 30 * time.Second
	// patience is the time between two questions whether the staging before has ended.
	patience = 20 * time.Millisecond
	// stepLimit bounds one step: so many rows, or KiB of content, that other writes wait a
	// few milliseconds.
	stepLimit = 128
)

// Stage begins a staging. It waits until no other is under way; the error is Unavailable if
// ctx ends before.
func (s *Store) Stage(ctx context.Context) (*Staging, error) {
	for {
		g, wait, err := s.claim(ctx)
		switch {
		case err != nil:
			return nil, err
		case g == nil:
			if err := pause(ctx, min(wait, patience)); err != nil {
				return nil, err
			}
		case g.next > 0:
			return g, nil
		default: // it is what another left
			if err := g.Drop(ctx); err != nil {
				return nil, err
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return gaveUp(ctx)
	}
}

// claim gives a new staging; or one without a next number, taken over from an owner who is
// dead; or none, and how long the owner's lease still runs.
func (s *Store) claim(ctx context.Context) (g *Staging, wait time.Duration, err error) {
	err = s.Write(ctx, func(ctx context.Context, tx *Tx) error {
		g = nil
		now := s.now()
		h, err := tx.horizon(ctx)
		if err != nil {
			return err
		}
		if h.begins != nowhere {
			if wait = fromMicros(h.expires).Sub(now); wait > 0 {
				return nil
			}
			g = &Staging{store: s, owner: h.owner + 1}
			return tx.setHorizon(ctx, horizon{h.begins, g.owner, now.Add(lease).UnixMicro()})
		}
		first := max(tx.next.rid, tx.next.seq) + gap
		g = &Staging{store: s, owner: h.owner + 1, next: first}
		return tx.setHorizon(ctx, horizon{first, g.owner, now.Add(lease).UnixMicro()})
	})
	if err != nil {
		g = nil
	}
	return g, wait, err
}

// horizon is the row of that table.
type horizon struct{ begins, owner, expires int64 }

// beforeHorizon is the condition that a rid or a sequence number is one that can be seen.
const beforeHorizon = " < (SELECT begins FROM horizon)"

func (r *Reader) horizon(ctx context.Context) (h horizon, err error) {
	_, err = r.row(ctx, `SELECT begins, staging, expires FROM horizon`, nil, &h.begins, &h.owner, &h.expires)
	return h, err
}

func (tx *Tx) setHorizon(ctx context.Context, h horizon) error {
	tx.next.end = h.begins
	return tx.exec(ctx, `UPDATE horizon SET begins = $1, staging = $2, expires = $3`, h.begins, h.owner, h.expires)
}

// hold makes sure that the staging is not lost.
func (g *Staging) hold(ctx context.Context, tx *Tx) (horizon, error) {
	h, err := tx.horizon(ctx)
	if err == nil && (h.owner != g.owner || h.begins == nowhere) {
		err = ErrLost
	}
	return h, err
}

// renew is hold, and a new lease.
func (g *Staging) renew(ctx context.Context, tx *Tx) (horizon, error) {
	h, err := g.hold(ctx, tx)
	if err != nil {
		return h, err
	}
	h.expires = g.store.now().Add(lease).UnixMicro()
	return h, tx.setHorizon(ctx, h)
}

// Add stages resources, a few milliseconds' worth per write, and returns them as they will be
// stored: version 1, with the lastUpdated at, cut to microseconds. The caller drops the
// staging after an error; it is ErrLost, Unavailable, or what Tx.Put says of the same content.
func (g *Staging) Add(ctx context.Context, at time.Time, news []New) ([]*fhir.Resource, error) {
	out := make([]*fhir.Resource, len(news))
	for i := range news {
		if err := checkID(news[i].Draft.Type, news[i].ID); err != nil {
			return nil, err
		}
		out[i] = news[i].Draft.Stamp(news[i].ID, 1, at)
	}
	for first := 0; first < len(news); {
		end := stepEnd(news, out, first)
		if err := g.store.Write(ctx, func(ctx context.Context, tx *Tx) error {
			if _, err := g.renew(ctx, tx); err != nil {
				return err
			}
			for i := first; i < end; i++ {
				if err := tx.stage(ctx, g.next+int64(i-first), out[i], &news[i]); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return nil, err
		}
		g.next, g.staged = g.next+int64(end-first), true
		first = end
	}
	return out, nil
}

// stepEnd is where the step that begins at first ends, one resource further at least.
func stepEnd(news []New, stamped []*fhir.Resource, first int) int {
	size, end := 0, first
	for end < len(news) {
		size += 4 + len(news[end].Rows) + len(stamped[end].Body)>>10
		if size > stepLimit && end > first {
			break
		}
		end++
	}
	return end
}

var intoStaged = insertInto("staged", "number bigint, type bigint, id bytea, updated bigint", "")

func (tx *Tx) stage(ctx context.Context, number int64, res *fhir.Resource, n *New) error {
	typ, err := tx.intern(ctx, res.Type)
	if err != nil {
		return err
	}
	if err := tx.insert(ctx, intoStaged, number, typ, []byte(res.ID), res.LastUpdated.UnixMicro()); err != nil {
		return err
	}
	if err := tx.addVersion(ctx, number, number, typ, res, n.Method); err != nil {
		return err
	}
	return tx.index(ctx, number, res.Type, n.Rows)
}

// Reveal brings in all that g has staged, as part of this write: reads that follow in it see
// them. The error is Conflict if one of the ids is in use by now, or ErrLost.
func (tx *Tx) Reveal(ctx context.Context, g *Staging) error {
	h, err := g.hold(ctx, tx)
	if err != nil {
		return err
	}
	if err := tx.setHorizon(ctx, horizon{nowhere, h.owner, 0}); err != nil || !g.staged {
		return err
	}
	if err := tx.exec(ctx, `INSERT INTO resource (rid, type, id, version, updated, deleted, seq)
		SELECT number, type, id, 1, updated, 0, number FROM staged ORDER BY number`); err != nil {
		return err
	}
	tx.next.rid, tx.next.seq = g.next-1, g.next-1
	return tx.exec(ctx, `DELETE FROM staged`)
}
