package store

import (
	"context"
	"errors"
)

// dropLimit is how many staged resources one write removes.
const dropLimit = 32

// Drop removes what was staged, in small writes, and ends the staging. After Reveal was
// committed, or where the staging is lost, there is nothing to do. A Drop that fails can be
// called again; else the lease ends.
func (g *Staging) Drop(ctx context.Context) error {
	for {
		done := false
		err := g.store.Write(ctx, func(ctx context.Context, tx *Tx) error {
			h, err := g.renew(ctx, tx)
			if err != nil {
				return err
			}
			done, err = tx.dropStaged(ctx, h)
			return err
		})
		switch {
		case errors.Is(err, ErrLost), err == nil && done:
			return nil
		case err != nil:
			return err
		}
	}
}

// dropStaged removes the first of what is staged, and the horizon once there is nothing left.
func (tx *Tx) dropStaged(ctx context.Context, h horizon) (done bool, err error) {
	var n, last int64
	if _, err := tx.row(ctx, `SELECT count(*), coalesce(max(number), 0) FROM (SELECT number FROM staged ORDER BY number LIMIT $1) first`,
		[]any{dropLimit}, &n, &last); err != nil {
		return false, err
	}
	if n == 0 {
		return true, tx.setHorizon(ctx, horizon{nowhere, h.owner, 0})
	}
	for _, table := range tableNames {
		if err := tx.exec(ctx, `DELETE FROM `+table+` WHERE rid >= $1 AND rid <= $2`, h.begins, last); err != nil {
			return false, err
		}
	}
	if err := tx.exec(ctx, `DELETE FROM version WHERE seq >= $1 AND seq <= $2`, h.begins, last); err != nil {
		return false, err
	}
	return false, tx.exec(ctx, `DELETE FROM staged WHERE number <= $1`, last)
}

// dropLeftovers removes what a process that is gone has staged, once its lease is over.
func (s *Store) dropLeftovers(ctx context.Context) {
	g, err := s.Stage(ctx)
	if err == nil {
		err = g.Drop(ctx)
	}
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "what a large write left behind is not removed yet", "error", err)
	}
}
