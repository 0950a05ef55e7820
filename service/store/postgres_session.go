package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresSession is a connection that is made again when it was lost between transactions.
//
// What nobody waits for is kept in a queue and sent with what somebody does wait for, since
// most of a statement's time is the way to the server and back.
type postgresSession struct {
	engine *postgresEngine
	writes bool
	conn   *pgx.Conn
	queue  []query
	size   int                // of the queue: its rows and KiB
	open   map[*insertion]int // what may still get rows, and where it is in the queue
	// begun tells that the server has been asked for something in this transaction.
	begun bool
	// xid names the transaction that writes, on a timeline: the server that takes over from another
	// one begins a new timeline, and gives out again the names that it has not seen.
	xid, timeline string
}

// query is a statement, or an insertion of one row or more.
type query struct {
	text string
	args []any
	into *insertion
	rows [][]any
	each func(scan func(...any) error) error // for the rows of a query
}

// statement is the text to send, and its arguments.
func (q *query) statement() (string, []any) {
	switch {
	case q.into == nil:
		return q.text, q.args
	case len(q.rows) == 1:
		return q.into.one, q.rows[0]
	}
	return q.into.many, q.into.arrays(q.rows)
}

// postgresQueue is the size at which the queue is sent.
const postgresQueue = 1000

// roundTrip bounds what a connection that writes waits for, beyond all timeouts of the server's.
// Callers' own limits do not count there: what has begun is finished.
const roundTrip = 90 * time.Second

const (
	beginWrite = "BEGIN ISOLATION LEVEL READ COMMITTED"
	beginRead  = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
)

func (s *postgresSession) config() *pgx.ConnConfig {
	if s.writes {
		return s.engine.write
	}
	return s.engine.read
}

func (s *postgresSession) reconnect(ctx context.Context) error {
	if s.conn != nil {
		_ = s.conn.Close(ctx)
		s.conn = nil
	}
	c, err := s.engine.dial(ctx, s.config())
	if s.conn = c; err == nil && s.writes {
		s.findTimeline(ctx)
	}
	return err
}

// findTimeline asks for the timeline. What only resembles PostgreSQL may not tell; it has none.
func (s *postgresSession) findTimeline(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	s.timeline = ""
	_ = s.conn.QueryRow(ctx, "SELECT substring(pg_walfile_name(pg_current_wal_lsn()), 1, 8)").Scan(&s.timeline)
}

func (s *postgresSession) lost() bool { return s.conn == nil || s.conn.IsClosed() }

func (s *postgresSession) begin(ctx context.Context) (*numbers, error) {
	s.reset()
	if !s.writes {
		// Asked for with the first query, which fixes the state that the transaction sees.
		s.queue = append(s.queue, query{text: beginRead})
		return nil, nil
	}
	// The lock is held until the transaction ends. Each later statement sees all that was
	// committed when it starts, and nobody commits while the lock is held.
	s.queue = append(s.queue, query{text: beginWrite}, query{text: "SELECT pg_advisory_xact_lock($1)", args: []any{writeLock}})
	n := &numbers{}
	err := s.rows(ctx, lastNumbers+", pg_current_xact_id()::text", nil, func(scan func(...any) error) error {
		return scan(&n.rid, &n.seq, &n.end, &n.generation, &n.log, &n.logged, &s.xid)
	})
	return n, err
}

func (s *postgresSession) reset() {
	s.drop()
	s.begun, s.xid = false, ""
}

// drop empties the queue.
func (s *postgresSession) drop() {
	clear(s.queue)
	s.queue, s.size = s.queue[:0], 0
	clear(s.open)
}

func (s *postgresSession) exec(ctx context.Context, text string, args ...any) error {
	s.queue = append(s.queue, query{text: text, args: args})
	clear(s.open) // it may read or change what was inserted
	return s.grow(ctx, args)
}

func (s *postgresSession) insert(ctx context.Context, into *insertion, values ...any) error {
	if at, ok := s.open[into]; ok {
		s.queue[at].rows = append(s.queue[at].rows, values)
	} else {
		if s.open == nil {
			s.open = map[*insertion]int{}
		}
		s.open[into] = len(s.queue)
		s.queue = append(s.queue, query{into: into, rows: [][]any{values}})
	}
	return s.grow(ctx, values)
}

func (s *postgresSession) grow(ctx context.Context, values []any) error {
	s.size++
	for _, v := range values {
		if b, ok := v.([]byte); ok {
			s.size += len(b) >> 10
		}
	}
	if s.size < postgresQueue {
		return nil
	}
	return s.flush(ctx)
}

func (s *postgresSession) flush(ctx context.Context) error { return s.send(ctx, nil, nil) }

func (s *postgresSession) rows(ctx context.Context, text string, args []any, each func(scan func(...any) error) error) error {
	return s.send(ctx, &query{text: text, args: args}, each)
}

func (s *postgresSession) later(_ context.Context, text string, each func(scan func(...any) error) error) error {
	s.queue = append(s.queue, query{text: text, each: each})
	return nil
}

func (s *postgresSession) savepoint(ctx context.Context) error { return s.now(ctx, "SAVEPOINT one") }
func (s *postgresSession) release(ctx context.Context) error   { return s.now(ctx, "RELEASE one") }

func (s *postgresSession) undo(ctx context.Context) error {
	s.drop()
	if err := s.now(ctx, "ROLLBACK TO one"); err != nil {
		return err
	}
	return s.now(ctx, "RELEASE one")
}

// now sends the queue and a statement after it.
func (s *postgresSession) now(ctx context.Context, text string) error {
	s.queue = append(s.queue, query{text: text})
	return s.flush(ctx)
}

// commit sends what is left and COMMIT in one go. Where the connection breaks meanwhile, the
// server is asked what became of the transaction.
func (s *postgresSession) commit(ctx context.Context) error {
	xid, last := s.xid, len(s.queue)
	s.queue = append(s.queue, query{text: "COMMIT"})
	failed, err := s.sendOnce(ctx, nil, nil)
	switch {
	case err == nil:
		s.reset()
		return nil
	case s.lost():
		s.reset()
		return s.becameOf(ctx, xid, err)
	case failed < last:
		return lateError{err}
	}
	return err
}

// becameOf tells whether a transaction is stored whose COMMIT got no answer: nil if it is, why if
// it is not, or errUnknown.
//
// The lock of writers is taken first: whoever has it knows that the transaction has ended. On
// another timeline a transaction of this name that has succeeded may be somebody else's.
func (s *postgresSession) becameOf(ctx context.Context, xid string, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.engine.patience)
	defer cancel()
	timeline := s.timeline
	for {
		status, err := s.status(ctx, xid)
		switch {
		case err == nil && status == "committed" && s.timeline == timeline:
			s.engine.log.WarnContext(ctx, "the connection was lost in a commit, which has succeeded", "error", why)
			return nil
		case err == nil && status == "aborted":
			return lostError{why}
		case err == nil, !s.lost() && code(err) != lockNotAvailable:
			return fmt.Errorf("%w: %w", errUnknown, errors.Join(why, err))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errUnknown, errors.Join(why, err))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (s *postgresSession) status(ctx context.Context, xid string) (status string, err error) {
	defer func() { err = errors.Join(err, s.rollback(ctx)) }()
	if _, err := s.begin(ctx); err != nil {
		return "", err
	}
	err = s.rows(ctx, "SELECT coalesce(pg_xact_status($1::xid8), 'too old')", []any{xid}, func(scan func(...any) error) error { return scan(&status) })
	return status, err
}

func (s *postgresSession) rollback(ctx context.Context) error {
	begun := s.begun
	s.reset()
	if !begun || s.lost() {
		return nil
	}
	s.begun = true
	return s.now(ctx, "ROLLBACK")
}

func (s *postgresSession) close(ctx context.Context) error {
	if s.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return s.conn.Close(ctx)
}

// send sends the queue and then last, if there is one, and reads its rows. If the connection turns
// out to be lost before the transaction has done anything, it is made again.
func (s *postgresSession) send(ctx context.Context, last *query, each func(scan func(...any) error) error) error {
	if len(s.queue) == 0 && last == nil {
		return nil
	}
	fresh := false
	for {
		if s.lost() {
			if s.begun {
				return lostError{errors.New("it was lost before")}
			}
			if err := s.reconnect(ctx); err != nil {
				return err
			}
			fresh = true
		}
		rows := 0
		counted := func(scan func(...any) error) error { rows++; return each(scan) }
		_, err := s.sendOnce(ctx, last, counted)
		if err == nil || !s.lost() {
			s.begun = true
			s.drop()
			return err
		}
		if s.begun || fresh || rows > 0 || ctx.Err() != nil {
			s.begun = true
			return lostError{err}
		}
	}
}

// sendOnce sends and returns, with an error, which of the statements has failed.
func (s *postgresSession) sendOnce(ctx context.Context, last *query, each func(scan func(...any) error) error) (failed int, err error) {
	if s.writes {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, roundTrip)
		defer cancel()
	}
	ctx, end := s.engine.telemetry.start(ctx, s.queue, last)
	defer func() { end(err) }()
	if len(s.queue) == 0 {
		rows, err := s.conn.Query(ctx, last.text, last.args...)
		if err != nil {
			return 0, err
		}
		return 0, read(rows, each)
	}
	batch := &pgx.Batch{}
	for i := range s.queue {
		text, args := s.queue[i].statement()
		batch.Queue(text, args...)
	}
	if last != nil {
		batch.Queue(last.text, last.args...)
	}
	results := s.conn.SendBatch(ctx, batch)
	defer func() {
		if e := results.Close(); err == nil {
			err = e
		}
	}()
	for i := range s.queue {
		if err := s.queue[i].result(results); err != nil {
			return i, err
		}
	}
	if last == nil {
		return 0, nil
	}
	rows, err := results.Query()
	if err != nil {
		return len(s.queue), err
	}
	return len(s.queue), read(rows, each)
}

// result reads the answer to a statement of the queue.
func (q *query) result(results pgx.BatchResults) error {
	if q.each == nil {
		_, err := results.Exec()
		return err
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	return read(rows, q.each)
}

func read(rows pgx.Rows, each func(scan func(...any) error) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
