package store

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"
)

// Lease is the right to do something that one process at a time may do, of all that use the
// database. What it is for has a name, which is a row of the table lease.
//
// No wall clock has a part in it. The holder shows that it lives by a number that counts up, the
// beat. Who wants the lease looks at that number now and then, and takes the lease over when it
// has stood still for leaseLength by the looker's own monotonic clock.
//
// A look is a write, although it changes nothing. So it has its turn among all writes, as the
// beats have, and time counts only as far as writes got their turns. While a long write, or a
// database that is away, holds up the beats, it holds up the looks too.
//
// When a holder was taken for dead and goes on, since it had only stood still, its next fenced
// write fails: each finds the holder's own number in the row first, in the same transaction.
type Lease struct {
	store  *Store
	name   string
	holder int64
}

// ErrLost says that another process has taken the lease, or that it was handed over. Of a
// staging, nothing is stored.
var ErrLost = errors.New("the lease is another's now")

// Times in beats, which are a second apart.
const (
	// leaseLength is how long a lease lives without a beat.
	leaseLength = 8
	// leaseTrust is how long the holder believes to have it, if no beat of its own gets through.
	// It is shorter, so that the holder has stopped before another begins.
	leaseTrust = 5
)

// defaultBeat is the time between two beats.
const defaultBeat = time.Second

// leaseRow is what the table says of a lease. The zero value is one that nobody holds.
type leaseRow struct{ holder, beat int64 }

func (r *Reader) lease(ctx context.Context, name string) (row leaseRow, err error) {
	_, err = r.row(ctx, `SELECT holder, beat FROM lease WHERE name = $1`, []any{name}, &row.holder, &row.beat)
	return row, err
}

func (tx *Tx) setLease(ctx context.Context, name string, row leaseRow) error {
	return tx.exec(ctx, `INSERT INTO lease (name, holder, beat) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, beat = excluded.beat`, name, row.holder, row.beat)
}

// watch is what somebody who wants a lease has seen of it. The zero value has seen nothing.
type watch struct {
	row   leaseRow
	own   int64         // the holder that this process was before, and has ceased to be
	still time.Duration // how long row has stood still
	last  time.Time     // of the last look
}

// free takes a look, and reports whether the lease is free to be taken. Between two looks a beat
// counts at most, however long it was.
func (w *watch) free(row leaseRow, now time.Time, beat time.Duration) bool {
	if row == w.row {
		w.still += min(now.Sub(w.last), beat)
	} else {
		w.row, w.still = row, 0
	}
	w.last = now
	return row.holder == 0 || row.holder == w.own || w.still >= leaseLength*beat
}

// look takes the lease if it is free. The lease is nil if not.
func (s *Store) look(ctx context.Context, name string, w *watch) (*Lease, error) {
	// The write may still run when its caller has given up, so it works on what is its own.
	seen, l := *w, &Lease{s, name, rand.Int64N(math.MaxInt64) + 1}
	free := false
	if err := s.Write(ctx, func(ctx context.Context, tx *Tx) error {
		row, err := tx.lease(ctx, name)
		if err != nil {
			return err
		}
		if free = seen.free(row, time.Now(), s.beat); !free {
			return nil
		}
		return tx.setLease(ctx, name, leaseRow{l.holder, row.beat + 1})
	}); err != nil {
		return nil, err
	}
	if *w = seen; !free {
		return nil, nil
	}
	return l, nil
}

// hold makes sure, until the transaction ends, that the lease is not lost, and renews it.
func (tx *Tx) hold(ctx context.Context, l *Lease) error {
	row, err := tx.lease(ctx, l.name)
	switch {
	case err != nil:
		return err
	case row.holder != l.holder:
		return ErrLost
	}
	return tx.setLease(ctx, l.name, leaseRow{row.holder, row.beat + 1})
}

// Write is Store.Write for what only the holder may write: nothing of it is stored, and the error
// is ErrLost, if the lease is lost by then. A holder writes in no other way.
func (l *Lease) Write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return l.store.Write(ctx, func(ctx context.Context, tx *Tx) error {
		if err := tx.hold(ctx, l); err != nil {
			return err
		}
		return fn(ctx, tx)
	})
}

// keep renews the lease until it is lost or ctx ends. It calls doubt once no beat has got through
// for so long that another process may soon take the lease.
func (l *Lease) keep(ctx context.Context, doubt func()) {
	trust := leaseTrust * l.store.beat
	timer := time.AfterFunc(trust, doubt)
	defer timer.Stop()
	for pause(ctx, l.store.beat) == nil {
		began := time.Now()
		within, cancel := context.WithTimeout(ctx, trust)
		err := l.Write(within, func(context.Context, *Tx) error { return nil })
		cancel()
		switch {
		case err == nil:
			timer.Reset(trust - time.Since(began))
		case errors.Is(err, ErrLost):
			doubt()
			return
		}
	}
}

// release hands the lease over, unless it is lost.
func (l *Lease) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTrust*l.store.beat)
	defer cancel()
	err := l.store.write(ctx, &write{any: true, fn: func(ctx context.Context, tx *Tx) error {
		if err := tx.hold(ctx, l); err != nil {
			return err
		}
		return tx.handOver(ctx, l)
	}})
	if errors.Is(err, ErrLost) {
		return nil
	}
	return err
}

// handOver frees the lease when the write is stored.
func (tx *Tx) handOver(ctx context.Context, l *Lease) error {
	return tx.exec(ctx, `UPDATE lease SET holder = 0, beat = beat + 1 WHERE name = $1`, l.name)
}
