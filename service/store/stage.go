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
// A process stages while it holds a lease (see Lease). What is staged and neither revealed nor
// dropped, because its process died, is removed by whoever stages next, or by Housekeep, once
// the lease is over. Who has lost a staging is told so at the next step.
type Staging struct {
	store  *Store
	lease  *Lease
	stop   context.CancelFunc // of what renews the lease
	next   int64              // the number of the next resource
	staged bool               // whether there is any
}

// New is a resource whose id was never used, to be stored as version 1.
type New struct {
	Draft *fhir.Draft
	ID    string
	// Method is the HTTP verb that the history shows.
	Method string
	Rows   []search.Row
}

const (
	// nowhere is the horizon when nothing is staged.
	nowhere = math.MaxInt64
	// gap is how many numbers a staging leaves to the writes that are made meanwhile.
	gap = 1 << 24
	// patience is the time between two looks whether the staging before has ended.
	patience = 20 * time.Millisecond
	// stagingLease is the name of the lease of those who stage.
	stagingLease = "staging"
	// stepLimit bounds one step: so many rows, or KiB of content, that other writes wait a
	// few milliseconds.
	stepLimit = 128
)

// Stage begins a staging. It waits until no other is under way; the error is Unavailable if
// ctx ends before.
func (s *Store) Stage(ctx context.Context) (*Staging, error) {
	var w watch
	for {
		l, err := s.look(ctx, stagingLease, &w)
		if err != nil {
			return nil, err
		}
		if l != nil {
			return s.begin(ctx, l)
		}
		if err := pause(ctx, patience); err != nil {
			return nil, err
		}
	}
}

// begin removes what others have left, and marks where the staging begins.
func (s *Store) begin(ctx context.Context, l *Lease) (*Staging, error) {
	g, err := s.staging(l)
	if err != nil {
		return nil, err
	}
	err = g.clear(ctx)
	if err == nil {
		first := new(int64) // the write's own, which may run longer than its caller waits
		err = l.Write(ctx, func(ctx context.Context, tx *Tx) error {
			*first = max(tx.next.rid, tx.next.seq) + gap
			return tx.setHorizon(ctx, *first)
		})
		if err == nil {
			g.next = *first
			return g, nil
		}
	}
	g.Discard()
	return nil, err
}

// staging keeps the lease from now on.
func (s *Store) staging(l *Lease) (*Staging, error) {
	ctx, stop := context.WithCancel(s.life)
	if !s.inBackground(func() {
		defer stop()
		l.keep(ctx, func() {}) // each step finds out for itself
	}) {
		stop()
		return nil, errClosed()
	}
	return &Staging{store: s, lease: l, stop: stop}, nil
}

// beforeHorizon is the condition that a rid or a sequence number is one that can be seen.
const beforeHorizon = " < (SELECT begins FROM horizon)"

func (r *Reader) horizon(ctx context.Context) (begins int64, err error) {
	_, err = r.row(ctx, `SELECT begins FROM horizon`, nil, &begins)
	return begins, err
}

// setHorizon moves the horizon. The other columns are read by processes that run an older program
// and know no leases: it shall wait as long as something is staged, and give up what it has staged
// itself.
func (tx *Tx) setHorizon(ctx context.Context, begins int64) error {
	tx.next.end = begins
	expires := int64(math.MaxInt64)
	if begins == nowhere {
		expires = 0
	}
	return tx.exec(ctx, `UPDATE horizon SET begins = $1, staging = staging + 1, expires = $2`, begins, expires)
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
		if err := g.lease.Write(ctx, func(ctx context.Context, tx *Tx) error {
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
	if err := tx.hold(ctx, g.lease); err != nil {
		return err
	}
	if err := errors.Join(tx.setHorizon(ctx, nowhere), tx.handOver(ctx, g.lease)); err != nil || !g.staged {
		return err
	}
	if err := tx.exec(ctx, `INSERT INTO resource (rid, type, id, version, updated, deleted, seq)
		SELECT number, type, id, 1, updated, 0, number FROM staged ORDER BY number`); err != nil {
		return err
	}
	tx.next.rid, tx.next.seq = g.next-1, g.next-1
	return tx.exec(ctx, `DELETE FROM staged`)
}
