package service

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"aftercare/fhir"
	"aftercare/service/audit"
	"aftercare/service/store"
)

// logIndex keeps the index that the records of the auditor's log are found by. Requests do not wait for
// it: it follows the log, in steps of its own, and any process may make the next one.
type logIndex struct {
	store *store.Store
	terms *audit.Terms
	log   *slog.Logger
	// turn has the right to make a step: two at a time would make the same one.
	turn chan struct{}
}

// logIndexStep is how many records one write indexes: it keeps other writes waiting for some milliseconds.
const logIndexStep = 500

// logIndexPause is the time between two looks of KeepLogIndexed.
const logIndexPause = time.Second

func newLogIndex(db *store.Store, terms *audit.Terms, log *slog.Logger) *logIndex {
	return &logIndex{db, terms, log, make(chan struct{}, 1)}
}

// KeepLogIndexed indexes what comes into the auditor's log, until ctx ends. Several services on a
// database may do it.
func (s *Service) KeepLogIndexed(ctx context.Context) {
	if s.auditLog == nil {
		return
	}
	for {
		if err := s.logIndex.follow(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "indexing the auditor's log stopped, and goes on soon", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(logIndexPause):
		}
	}
}

// logIndexWait is how long a search waits for the index where queries have no time of their own.
const logIndexWait = 30 * time.Second

// prepareLog makes ready for a search of a type: what came into the log before it, it is to find. The
// error's kind is Unavailable where too much has to be indexed first, as in a log that never was.
func (s *Service) prepareLog(ctx context.Context, typ string) error {
	if s.auditLog == nil || !ofLog(typ) {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, cmp.Or(s.queryLimit, logIndexWait))
	defer cancel()
	err := s.logIndex.follow(within)
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		return fhir.Errorf(fhir.Unavailable, "transient", "", "The auditor's log is still being indexed; try again later.").Because(err)
	}
	return err
}

// follow brings the index to the end that the log has now. Whoever searches calls it first, so that
// nothing that came before the question is missed.
func (x *logIndex) follow(ctx context.Context) error {
	var indexed, last int64
	look := func(ctx context.Context, r *store.Reader) (err error) {
		indexed, err = r.IndexedLog(ctx)
		return err
	}
	if err := x.store.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
		if last, err = r.LastLogged(ctx); err != nil {
			return err
		}
		return look(ctx, r)
	}); err != nil || indexed >= last {
		return err
	}
	select {
	case x.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-x.turn }()
	for {
		if err := x.store.View(ctx, look); err != nil || indexed >= last {
			return err
		}
		if err := x.step(ctx, indexed); err != nil {
			return err
		}
	}
}

// step indexes the records after a position.
func (x *logIndex) step(ctx context.Context, after int64) error {
	to := after
	var entries []store.LogEntry
	if err := x.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
		return r.Logged(ctx, after, logIndexStep, func(l store.Logged) error {
			to = l.Position
			entries = x.entries(ctx, entries, l)
			return nil
		})
	}); err != nil || to == after {
		return err
	}
	return x.store.WriteLog(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.IndexLog(ctx, after, to, entries) })
}

// entries adds those of a record that can be read. Who checks the log is told of one that cannot.
func (x *logIndex) entries(ctx context.Context, to []store.LogEntry, l store.Logged) []store.LogEntry {
	if l.Leaf == nil || l.Key == nil {
		return to
	}
	r, err := audit.Read(l.Position, l.Leaf, l.Key)
	if err != nil {
		x.log.ErrorContext(ctx, "a record of the auditor's log cannot be read, and is found by nothing", "position", l.Position, "error", err)
		return to
	}
	for _, term := range x.terms.Of(r) {
		to = append(to, store.LogEntry{Term: term, Position: l.Position})
	}
	return to
}
