package store

import (
	"context"
	"sync"
	"time"
)

// Hold runs work on one process at a time of all that hold the same name, and returns once ctx
// has ended and work with it. It is meant for a goroutine of its own, which ends before the store
// is closed.
//
// The context of work ends with ctx, and when the lease may be lost: work returns then, soon. If
// work returns by itself, it starts again after a second, here or elsewhere. What it writes goes
// through the lease, which refuses it if another process runs work by now.
//
// When ctx ends, another process goes on within a second. When this process dies, is cut off from
// the database or stands still, another goes on within ten seconds.
func (s *Store) Hold(ctx context.Context, name string, work func(ctx context.Context, l *Lease)) {
	var w watch
	for ; ctx.Err() == nil; _ = pause(ctx, s.beat/2) {
		within, cancel := context.WithTimeout(ctx, leaseTrust*s.beat)
		l, err := s.look(within, name, &w)
		cancel()
		if err != nil || l == nil {
			continue // the database may come back
		}
		s.log.InfoContext(ctx, "this process has the lease", "lease", name)
		l.during(ctx, work)
		w.own = l.holder // where it could not be handed over
		_ = pause(ctx, s.beat/2)
	}
}

// during runs work while the lease is held, and hands it over.
func (l *Lease) during(ctx context.Context, work func(ctx context.Context, l *Lease)) {
	held, end := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() { l.keep(held, end) })
	defer func() {
		lost := held.Err() != nil && ctx.Err() == nil
		end()
		renewing.Wait()
		if err := l.release(ctx); err != nil || lost {
			l.store.log.WarnContext(ctx, "this process may have lost the lease", "lease", l.name, "error", err)
		}
	}()
	work(held, l)
}

// pause waits, and returns why if ctx ends before.
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
