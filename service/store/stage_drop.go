package store

import (
	"context"
	"errors"
)

// dropLimit is how many staged resources one write removes.
const dropLimit = 32

// Drop removes what was staged, in small writes, and ends the staging. After Reveal was
// committed, or where the staging is lost, there is nothing to do. A Drop that fails can be
// called again; else the lease ends by itself.
func (g *Staging) Drop(ctx context.Context) error {
	err := g.clear(ctx)
	g.stop()
	if err == nil {
		return g.lease.release(ctx)
	}
	if errors.Is(err, ErrLost) {
		return nil
	}
	return err
}

// Discard is Drop in the background, for who cannot wait for it. What cannot be removed now is
// left to others.
func (g *Staging) Discard() {
	s := g.store
	left := func() {
		if err := g.Drop(s.life); err != nil {
			s.log.Warn("what a large write has staged is not removed yet", "error", errors.Join(err, g.lease.release(s.life)))
		}
	}
	if !s.inBackground(left) {
		left()
	}
}

// clear removes what is staged, whoever has staged it, and takes the horizon away.
func (g *Staging) clear(ctx context.Context) error {
	for {
		done := false
		if err := g.lease.Write(ctx, func(ctx context.Context, tx *Tx) (err error) {
			done, err = tx.dropStaged(ctx)
			return err
		}); err != nil || done {
			return err
		}
	}
}

// dropStaged removes the first of what is staged, and the horizon once there is nothing left.
func (tx *Tx) dropStaged(ctx context.Context) (done bool, err error) {
	begins, err := tx.horizon(ctx)
	if err != nil || begins == nowhere {
		return true, err
	}
	var n, last int64
	if _, err := tx.row(ctx, `SELECT count(*), coalesce(max(number), 0) FROM (SELECT number FROM staged ORDER BY number LIMIT $1) first`,
		[]any{dropLimit}, &n, &last); err != nil {
		return false, err
	}
	if n == 0 {
		return true, tx.setHorizon(ctx, nowhere)
	}
	for _, table := range tableNames {
		if err := tx.exec(ctx, `DELETE FROM `+table+` WHERE rid >= $1 AND rid <= $2`, begins, last); err != nil {
			return false, err
		}
	}
	if err := tx.exec(ctx, `DELETE FROM index_text WHERE rowid >= $1 AND rowid <= $2`, begins, last); err != nil {
		return false, err
	}
	if err := tx.exec(ctx, `DELETE FROM version WHERE seq >= $1 AND seq <= $2`, begins, last); err != nil {
		return false, err
	}
	if err := tx.exec(ctx, `DELETE FROM staged WHERE number <= $1`, last); err != nil {
		return false, err
	}
	return false, tx.setHorizon(ctx, begins)
}

// Housekeep removes what processes that died have staged, until ctx ends. One process does so at
// a time (see Hold).
func (s *Store) Housekeep(ctx context.Context) {
	s.Hold(ctx, "housekeeping", func(ctx context.Context, _ *Lease) {
		var w watch
		for pause(ctx, s.beat) == nil {
			if err := s.clearDead(ctx, &w); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "what a process has left staged is not removed yet", "error", err)
			}
		}
	})
}

// clearDead removes what is staged if the lease of who has staged it is over.
func (s *Store) clearDead(ctx context.Context, w *watch) error {
	begins := int64(nowhere)
	if err := s.View(ctx, func(ctx context.Context, r *Reader) (err error) {
		begins, err = r.horizon(ctx)
		return err
	}); err != nil || begins == nowhere {
		return err
	}
	l, err := s.look(ctx, stagingLease, w)
	if err != nil || l == nil {
		return err
	}
	g, err := s.staging(l)
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "removing what a process has left staged")
	return g.Drop(ctx)
}
