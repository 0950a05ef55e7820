package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"aftercare/fhir"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Tx writes and reads inside Write. It is good only until fn returns, on fn's own goroutine.
type Tx struct {
	Reader
	fresh map[string]int64 // symbols that this write made or met, not known to be committed
	next  *numbers
}

// numbers are the last row id and the last sequence number in use. The transaction holds the
// only right to write, so it counts on from what it finds, but not up to the horizon, where
// what is staged begins.
type numbers struct{ rid, seq, end int64 }

// step takes the next sequence number. There are never more rids than those.
func (n *numbers) step() error {
	if n.seq+1 >= n.end {
		return fhir.Errorf(fhir.Unavailable, "transient", "", "A large write must end before there is room for more; try again later.")
	}
	n.seq++
	return nil
}

// write is one call of Write on its way through the queue.
type write struct {
	ctx   context.Context // without cancellation
	fn    func(context.Context, *Tx) error
	taken atomic.Bool // by the committer, or by a caller who gave up
	done  chan struct{}
	group int
	fresh map[string]int64
	err   error
}

// Write runs fn alone among all writes, and answers when what fn wrote is on disk, or when
// nothing of it is.
//
// An error of fn undoes what fn wrote and comes back as it is. A panic of fn is an error.
// Several calls share one commit, yet none sees the failure of another. If the commit fails,
// the error is Unavailable.
//
// fn may run more than once, so its only effect must be on tx. Its context has the values of ctx (the
// trace among them) but no deadline: work that has begun is finished. If ctx ends while the
// call still waits, fn is not run and the error is Unavailable.
func (s *Store) Write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	w := &write{ctx: context.WithoutCancel(ctx), fn: fn, done: make(chan struct{})}
	if err := s.enqueue(ctx, w); err != nil {
		return err
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		if w.taken.CompareAndSwap(false, true) {
			return gaveUp(ctx)
		}
		<-w.done
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent("committed", trace.WithAttributes(attribute.Int("store.group", w.group)))
	}
	return w.err
}

func (s *Store) enqueue(ctx context.Context, w *write) error {
	if ctx.Err() != nil {
		return gaveUp(ctx)
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closing {
		return errClosed()
	}
	select {
	case s.queue <- w:
		return nil
	case <-ctx.Done():
		return gaveUp(ctx)
	}
}

func gaveUp(ctx context.Context) error {
	return fhir.Errorf(fhir.Unavailable, "timeout", "", "The request ended while it waited for its turn; nothing was done.").Because(context.Cause(ctx))
}

// commitAll is the committer.
func (s *Store) commitAll(c *conn) {
	var group []*write
	finished := false
	defer func() {
		if !finished {
			// fn called runtime.Goexit, as a failing test does: answer, and go on.
			_ = c.rollback(context.Background())
			answer(group, fhir.Errorf(fhir.Internal, "exception", "", "The write was abandoned."))
			go s.commitAll(c)
			return
		}
		if err := c.close(context.Background()); err != nil {
			s.log.Error("closing the writing connection failed", "error", err)
		}
		close(s.committed)
	}()
	for first := range s.queue {
		group = s.gather(group[:0], first)
		if len(group) > 0 {
			s.commit(c, group)
		}
	}
	finished = true
}

// gather takes the writes that wait now, at most groupLimit, and leaves out those whose
// callers gave up.
func (s *Store) gather(group []*write, first *write) []*write {
	take := func(w *write) {
		if w.taken.CompareAndSwap(false, true) {
			group = append(group, w)
		}
	}
	take(first)
	for len(group) < groupLimit {
		select {
		case w, ok := <-s.queue:
			if !ok {
				return group
			}
			take(w)
		default:
			return group
		}
	}
	return group
}

// errUndo says that a write failed after it had changed something, with no savepoint to go
// back to, or that the transaction is of no use any more.
var errUndo = errors.New("a write of the group must be undone")

// errUnknown says that nobody knows whether a commit has succeeded.
var errUnknown = errors.New("the outcome of the commit is not known")

// commit runs a group and answers it.
//
// Savepoints cost a third of a write, and few writes fail once they have changed something. So
// the group runs without them first, and again with them if it turns out that one is needed.
// It also runs again if the connection was lost, since there may be another. If the engine gave
// up the whole transaction, as it may when the disk is full, each write is tried alone, so that
// only those fail that cannot succeed. A group that may be stored is left as it is.
func (s *Store) commit(c *conn, group []*write) {
	err := s.try(c, group, false)
	switch {
	case errors.Is(err, errUndo):
		err = s.try(c, group, true)
	case lost(err):
		err = s.try(c, group, false)
	}
	if err != nil && len(group) > 1 && !lost(err) && !errors.Is(err, errUnknown) {
		s.log.Warn("a group commit failed; its writes are tried one by one", "writes", len(group), "error", err)
		for i := range group {
			answer(group[i:i+1], s.try(c, group[i:i+1], false))
		}
		return
	}
	answer(group, err)
}

// lost tells whether the connection was lost, and nothing is stored.
func lost(err error) bool { return errors.As(err, new(lostError)) && !errors.Is(err, errUnknown) }

// answer tells the callers, and takes them out of the group. err, if any, is that of the group.
func answer(group []*write, err error) {
	for i, w := range group {
		if w == nil {
			continue
		}
		if err != nil {
			w.err = err
		}
		w.group = len(group)
		close(w.done)
		group[i] = nil
	}
}

// try runs the writes of a group in one transaction, each under a savepoint if asked. Errors of
// single writes are left in them; the error returned means that nothing of the group was
// stored. A write that is alone needs no savepoint: its transaction is undone.
func (s *Store) try(c *conn, group []*write, savepoints bool) error {
	ctx := context.Background()
	if len(group) == 1 {
		ctx = group[0].ctx
	}
	next, err := c.begin(ctx)
	if err != nil {
		_ = c.rollback(ctx)
		return s.unstored(ctx, err)
	}
	for _, w := range group {
		if err := s.runOne(c, w, next, savepoints); err != nil {
			_ = c.rollback(ctx) // fails where the engine has done it already
			if len(group) == 1 && errors.Is(err, errUndo) {
				return nil // it is undone, and w.err says why
			}
			return err
		}
	}
	if err := c.commit(ctx); err != nil {
		_ = c.rollback(ctx)
		var late lateError
		if len(group) == 1 && errors.As(err, &late) {
			group[0].err = s.failed(ctx, late.cause)
			return nil
		}
		return s.unstored(ctx, err)
	}
	for _, w := range group {
		if w.err == nil {
			for text, id := range w.fresh {
				s.symbols.put(text, id)
			}
		}
	}
	return nil
}

// runOne runs one write. The error returned means that the transaction is lost; w.err is the
// write's own.
func (s *Store) runOne(c *conn, w *write, next *numbers, savepoint bool) error {
	if savepoint {
		if err := c.savepoint(w.ctx); err != nil {
			return s.unstored(w.ctx, err)
		}
	}
	before, numbersBefore := c.changes, *next
	w.fresh = map[string]int64{}
	w.err = call(w, &Tx{Reader: Reader{store: s, conn: c}, fresh: w.fresh, next: next})
	broken := c.broken
	if w.err == nil {
		w.err = broken
	}
	c.broken = nil
	if lost(broken) {
		return broken
	}
	if !savepoint {
		if w.err != nil && (broken != nil || c.changes != before) {
			return errUndo
		}
		return nil
	}
	if w.err == nil {
		// What the write left to be sent fails here, and not in one of its neighbours.
		err := c.release(w.ctx)
		if err == nil {
			return nil
		}
		w.err = s.failed(w.ctx, err)
	}
	*next = numbersBefore // those of a Reveal too
	if err := c.undo(w.ctx); err != nil {
		return s.unstored(w.ctx, errors.Join(w.err, err))
	}
	return nil
}

func call(w *write, tx *Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fhir.Errorf(fhir.Internal, "exception", "", "The write failed.").Because(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	return w.fn(w.ctx, tx)
}

func (s *Store) unstored(ctx context.Context, err error) error {
	if errors.Is(err, errUnknown) {
		return fhir.Errorf(fhir.Unavailable, "incomplete", "",
			"The database was lost while it stored this, and whether it did is not known. Read it before you send it again, or send it with a condition.").Because(err)
	}
	if known := s.failed(ctx, err); fhir.KindOf(known) == fhir.Unavailable {
		return known
	}
	return fhir.Errorf(fhir.Unavailable, "transient", "", "The database could not store this; try again later.").Because(err)
}
