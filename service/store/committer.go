package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

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
// what is staged begins. generation is that of the index; log and logged are the last position of the
// log and its time.
type numbers struct{ rid, seq, end, generation, log, logged int64 }

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
	ctx   context.Context // of its turn, once it has one, with the values of the caller's
	fn    func(context.Context, *Tx) error
	any   bool         // whether it may run in any generation of the index
	state atomic.Int32 // one of those below
	turn  *turn        // once it has left the queue
	done  chan struct{}
	group int
	fresh map[string]int64
	err   error
}

// The states of a write.
const (
	waits     int32 = iota
	running         // the committer has it, and can still leave it out
	commits         // from now on it may be stored
	abandoned       // its caller gave up, and was told that nothing is stored
)

// lastWait is how much longer than its context a call of Write may take.
const lastWait = time.Second

// Write runs fn alone among all writes, and answers when what fn wrote is on disk, or when
// nothing of it is.
//
// An error of fn undoes what fn wrote and comes back as it is. A panic of fn is an error.
// Several calls share one commit, yet none sees the failure of another. If the commit fails,
// the error is Unavailable.
//
// The error is ErrOutdated if another process has other search parameters by now (see Declare).
//
// If ctx ends, work that has begun gets a second more to be finished. After that the error is
// Unavailable and nothing is stored; or, where the commit is under way by then and the database
// does not answer, the error is Unavailable with the code "incomplete", and says that nobody knows.
//
// fn may run more than once, and may still run when Write has returned an error; so its only
// effect must be on tx, and on what nobody reads after an error. Its context has the values of ctx
// (the trace among them) but not its deadline.
func (s *Store) Write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return s.write(ctx, &write{fn: fn})
}

func (s *Store) write(ctx context.Context, w *write) error {
	w.ctx, w.done = context.WithoutCancel(ctx), make(chan struct{})
	if err := s.enqueue(ctx, w); err != nil {
		return err
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		if err := w.giveUp(ctx); err != nil {
			return err
		}
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent("committed", trace.WithAttributes(attribute.Int("store.group", w.group)))
	}
	return w.err
}

// giveUp ends a call whose time is over. Without an error, the write is done after all.
func (w *write) giveUp(ctx context.Context) error {
	if w.state.CompareAndSwap(waits, abandoned) {
		return gaveUp(ctx)
	}
	t := time.NewTimer(lastWait)
	defer t.Stop()
	select {
	case <-w.done:
		return nil
	case <-t.C:
	}
	if w.state.CompareAndSwap(running, abandoned) {
		w.turn.leave()
		return fhir.Errorf(fhir.Unavailable, "timeout", "", "The database did not store this in the time that the request had; nothing was done.").Because(context.Cause(ctx))
	}
	select {
	case <-w.done:
		return nil
	default:
		return unknown(context.Cause(ctx))
	}
}

// turn is what the writes of a group share. Its context ends when all their callers have given
// up: then nobody needs what a database that does not answer is asked for.
type turn struct {
	context.Context
	end  context.CancelFunc
	left atomic.Int32 // callers that wait, and one while the group is gathered
}

func newTurn() *turn {
	t := &turn{}
	t.Context, t.end = context.WithCancel(context.Background())
	t.left.Store(1)
	return t
}

func (t *turn) leave() {
	if t.left.Add(-1) == 0 {
		t.end()
	}
}

// during is the context of a turn with the values of another.
type during struct {
	context.Context
	values context.Context
}

func (d during) Value(key any) any {
	if v := d.Context.Value(key); v != nil { // which a turn has for the package context alone
		return v
	}
	return d.values.Value(key)
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
		t := newTurn()
		group = s.gather(t, group[:0], first)
		t.leave()
		if len(group) > 0 {
			s.commit(c, group)
		}
		t.end()
	}
	finished = true
}

// gather takes the writes that wait now, at most groupLimit, and leaves out those whose
// callers gave up.
func (s *Store) gather(t *turn, group []*write, first *write) []*write {
	take := func(w *write) {
		w.turn, w.ctx = t, during{t, w.ctx}
		t.left.Add(1)
		if w.state.CompareAndSwap(waits, running) {
			group = append(group, w)
		} else {
			t.leave()
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

// errAbandoned says that a caller gave up a write that had run, so that the others must run again
// without it.
var errAbandoned = errors.New("a write of the group was abandoned")

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
	err := s.attempt(c, group, false)
	switch {
	case errors.Is(err, errUndo):
		err = s.attempt(c, group, true)
	case lost(err):
		err = s.attempt(c, group, false)
	}
	if err != nil && len(group) > 1 && !lost(err) && !errors.Is(err, errUnknown) {
		s.log.Warn("a group commit failed; its writes are tried one by one", "writes", len(group), "error", err)
		for i := range group {
			answer(group[i:i+1], s.attempt(c, group[i:i+1], false))
		}
		return
	}
	answer(group, err)
}

// attempt is try with those whose callers still wait.
func (s *Store) attempt(c *conn, group []*write, savepoints bool) error {
	for {
		here := waiting(group)
		if len(here) == 0 {
			return nil
		}
		if err := s.try(c, here, savepoints); !errors.Is(err, errAbandoned) {
			return err
		}
	}
}

func waiting(group []*write) []*write {
	gone := func(w *write) bool { return w.state.Load() == abandoned }
	if !slices.ContainsFunc(group, gone) {
		return group
	}
	return slices.DeleteFunc(slices.Clone(group), gone)
}

// mayCommit is the last moment at which a write can be left out: it returns false if one was
// abandoned.
func mayCommit(group []*write) bool {
	for i, w := range group {
		if !w.state.CompareAndSwap(running, commits) {
			mayNot(group[:i])
			return false
		}
	}
	return true
}

// mayNot takes mayCommit back: nothing is stored.
func mayNot(group []*write) {
	for _, w := range group {
		w.state.Store(running)
	}
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
	ctx := context.Context(group[0].turn)
	if len(group) == 1 {
		ctx = group[0].ctx
	}
	after := context.WithoutCancel(ctx) // for what must not stay open
	next, err := c.begin(ctx)
	if err != nil {
		_ = c.rollback(after)
		return s.unstored(ctx, err)
	}
	for _, w := range group {
		if err := s.runOne(c, w, next, savepoints); err != nil {
			_ = c.rollback(after) // fails where the engine has done it already
			if len(group) == 1 && errors.Is(err, errUndo) {
				return nil // it is undone, and w.err says why
			}
			return err
		}
	}
	if !mayCommit(group) {
		_ = c.rollback(after)
		return errAbandoned
	}
	if err := c.commit(ctx); err != nil {
		_ = c.rollback(after)
		if !errors.Is(err, errUnknown) {
			mayNot(group)
		}
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
	index := s.index.Load()
	if w.err = s.outdated(index, next.generation); w.err != nil && !w.any {
		return nil // it has done nothing
	}
	if savepoint {
		if err := c.savepoint(w.ctx); err != nil {
			return s.unstored(w.ctx, err)
		}
	}
	before, numbersBefore := c.changes, *next
	w.fresh = map[string]int64{}
	w.err = call(w, &Tx{Reader: Reader{store: s, conn: c, index: index, generation: next.generation, writes: true}, fresh: w.fresh, next: next})
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
		return unknown(err)
	}
	if known := s.failed(ctx, err); fhir.KindOf(known) == fhir.Unavailable {
		return known
	}
	return fhir.Errorf(fhir.Unavailable, "transient", "", "The database could not store this; try again later.").Because(err)
}

// unknown is the error of a write that may be stored or not.
func unknown(why error) error {
	return fhir.Errorf(fhir.Unavailable, "incomplete", "",
		"The database was lost while it stored this, and whether it did is not known. Read it before you send it again, or send it with a condition.").Because(why)
}
