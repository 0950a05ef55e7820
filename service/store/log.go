package store

import (
	"context"
	"time"
)

// Place is where the next record of the auditor's log goes.
type Place struct {
	// Position counts from 1, in the order of commits, without a gap.
	Position int64
	// Recorded is the time to the microsecond: that of the caller's clock, or of the record before this
	// one if that is later.
	Recorded time.Time
	// Links tie it to the records before it, one for each of its subjects, in the order given.
	Links []Link
}

// Link says which record of its subject one is, from 1, and the position of that before it, or 0.
type Link struct{ N, Before int64 }

const linkSubject = `INSERT INTO log_subject (subject, n, pos, before) VALUES ($1, 1, $2, 0)
	ON CONFLICT (subject) DO UPDATE SET n = log_subject.n + 1, before = log_subject.pos, pos = excluded.pos RETURNING n, before`

// Place takes the next place in the log for a record about some subjects, each named once. The record
// has to follow, by Log.
func (tx *Tx) Place(ctx context.Context, now time.Time, subjects [][]byte) (Place, error) {
	tx.next.log++
	tx.next.logged = max(tx.next.logged, now.UnixMicro())
	p := Place{Position: tx.next.log, Recorded: time.UnixMicro(tx.next.logged).UTC()}
	for _, subject := range subjects {
		var l Link
		err := tx.rows(ctx, linkSubject, []any{subject, p.Position}, func(scan func(...any) error) error {
			return scan(&l.N, &l.Before)
		})
		if err != nil {
			return Place{}, err
		}
		p.Links = append(p.Links, l)
	}
	return p, nil
}

// Log adds a record to the log. It is there once the write is, or not at all.
func (tx *Tx) Log(ctx context.Context, p Place, leaf, key []byte) error {
	return tx.insert(ctx, intoLog, p.Position, p.Recorded.UnixMicro(), leaf, key)
}

// WriteLog is like Write for what touches nothing but the log, and so may run whatever the index is.
func (s *Store) WriteLog(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return s.write(ctx, &write{fn: fn, any: true})
}

// Logged is a row of the log. Key is nil where the record was erased or retired to a file; Leaf stays.
type Logged struct {
	Position  int64
	Recorded  time.Time
	Leaf, Key []byte
}

// Logged calls each with the rows of the log after a position, n of them at most, in order. The bytes
// are good until each returns.
func (r *Reader) Logged(ctx context.Context, after int64, n int, each func(Logged) error) error {
	return r.rows(ctx, selectLogged+" WHERE pos > $1 ORDER BY pos LIMIT $2 + 0", []any{after, n}, func(scan func(...any) error) error {
		return scanLogged(scan, each)
	})
}

const selectLogged = "SELECT pos, recorded, leaf, key FROM log"

func scanLogged(scan func(...any) error, each func(Logged) error) error {
	var l Logged
	var micros int64
	if err := scan(&l.Position, &micros, &l.Leaf, &l.Key); err != nil {
		return err
	}
	l.Recorded = time.UnixMicro(micros).UTC()
	return each(l)
}

// LastLogged is the position of the newest row of the log, 0 where there is none.
func (r *Reader) LastLogged(ctx context.Context) (position int64, err error) {
	err = r.rows(ctx, "SELECT coalesce(max(pos), 0) FROM log", nil, func(scan func(...any) error) error { return scan(&position) })
	return position, err
}
