package service

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"aftercare/service/store"

	"go.opentelemetry.io/otel/metric"
)

// The times of KeepIntegrated. A record is in the tree a second after it is stored, at the latest: the
// time to look for it and to add what is there is less.
const (
	// integratePause is the time between two looks for new records.
	integratePause = 400 * time.Millisecond
	// damagedPause is that between two looks at a log that was changed, which may be mended.
	damagedPause = 30 * time.Second
	// integrateLimit is how long a look may take.
	integrateLimit = time.Minute
	// integrateLast is how long the look before the end may take.
	integrateLast = 2 * time.Second
)

// The times of checkpoints: after an hour one of each minute is kept, after a day one of each hour.
const (
	thinPause = time.Hour // and the time between two looks for what is to be removed
	thinFirst = time.Minute
	thinThen  = 24 * time.Hour
	thinLast  = time.Hour
)

// thin removes checkpoints that are close together and old.
func (l *Log) thin(ctx context.Context) error {
	return l.store.WriteLog(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.ThinCheckpoints(ctx, l.now().Add(-thinPause), thinFirst); err != nil {
			return err
		}
		return tx.ThinCheckpoints(ctx, l.now().Add(-thinThen), thinLast)
	})
}

// KeepIntegrated brings new records of the auditor's log into its tree, until ctx ends, and then those that
// there are. Every service on a database may do so. Where the log is not as it was written, the tree does not
// grow, which is logged and shows in the metric aftercare.audit.damaged; requests go on.
func (s *Service) KeepIntegrated(ctx context.Context) {
	if s.auditLog == nil || s.auditLog.key == nil {
		return
	}
	watch, err := s.watchTree()
	if err != nil {
		s.log.ErrorContext(ctx, "the tree of the auditor's log cannot be measured", "error", err)
	}
	defer watch.end()
	var told string
	var thinned time.Time
	for ctx.Err() == nil {
		pause := integratePause
		within, cancel := context.WithTimeout(ctx, integrateLimit)
		size, err := s.auditLog.integrate(within, 0)
		if err == nil && time.Since(thinned) > thinPause {
			err, thinned = s.auditLog.thin(within), time.Now()
		}
		cancel()
		switch {
		case err == nil:
			watch.size.Store(size)
			watch.damaged.Store(0)
			told = ""
		case errors.As(err, new(*damage)):
			watch.damaged.Store(1)
			pause = damagedPause
		}
		if err != nil && ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			s.log.ErrorContext(ctx, "the tree over the auditor's log does not grow", "error", err)
		}
		pauseFor(ctx, pause)
	}
	// What came last is to be signed too: nobody may look again for long.
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), integrateLast)
	defer cancel()
	if _, err := s.auditLog.integrate(within, 0); err != nil && err.Error() != told {
		s.log.ErrorContext(within, "the end of the auditor's log is not in its tree", "error", err)
	}
}

// treeWatch is what metrics say of the tree.
type treeWatch struct {
	size, damaged atomic.Int64
	watching      metric.Registration
}

func (s *Service) watchTree() (*treeWatch, error) {
	w := &treeWatch{}
	meter := s.meters.Meter("aftercare/service")
	size, err := meter.Int64ObservableGauge("aftercare.audit.integrated", metric.WithUnit("{record}"),
		metric.WithDescription("Records of the auditor's log that the newest checkpoint covers."))
	if err != nil {
		return w, err
	}
	damaged, err := meter.Int64ObservableGauge("aftercare.audit.damaged",
		metric.WithDescription("1 while the auditor's log is not as it was written, so that its tree does not grow; else 0."))
	if err != nil {
		return w, err
	}
	w.watching, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(size, w.size.Load())
		o.ObserveInt64(damaged, w.damaged.Load())
		return nil
	}, size, damaged)
	return w, err
}

func (w *treeWatch) end() {
	if w.watching != nil {
		_ = w.watching.Unregister() // it is gone already
	}
}
