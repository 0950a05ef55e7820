package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// sqliteSession is a connection with its prepared statements.
type sqliteSession struct {
	sql      *sql.Conn
	writes   bool
	patience time.Duration // with another process that writes
	began    bool          // a transaction that writes, once
	stmts    map[string]*sql.Stmt
}

// statementLimit bounds the statements that a connection keeps: their texts are many, since a
// search has the shape that its caller gave it.
const statementLimit = 256

func (c *sqliteSession) begin(ctx context.Context) (*numbers, error) {
	if !c.writes {
		return nil, c.exec(ctx, "BEGIN")
	}
	err := c.lock(ctx)
	if err != nil && c.rollback(ctx) == nil { // one was left that could not be ended before
		err = c.lock(ctx)
	}
	if err != nil {
		return nil, err
	}
	n := &numbers{}
	err = c.rows(ctx, lastNumbers, nil, func(scan func(...any) error) error {
		return scan(&n.rid, &n.seq, &n.end, &n.generation, &n.log, &n.logged)
	})
	return n, err
}

// lockPoll is how often a file is asked for that another process writes to.
const lockPoll = time.Millisecond

// lock begins a transaction that writes. SQLite's own waiting asks again after up to 100 ms, and a process
// that writes all the time lets go of the file for microseconds between, so that another one could wait for
// many seconds.
func (c *sqliteSession) lock(ctx context.Context) error {
	if !c.began {
		// From here on each statement is one of a transaction, which nobody makes wait.
		if err := c.run(ctx, "PRAGMA busy_timeout = 0"); err != nil {
			return err
		}
		c.began = true
	}
	for end := time.Now().Add(c.patience); ; {
		err := c.run(ctx, "BEGIN IMMEDIATE")
		if !isBusy(err) || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

func (c *sqliteSession) savepoint(ctx context.Context) error { return c.exec(ctx, "SAVEPOINT one") }
func (c *sqliteSession) release(ctx context.Context) error   { return c.exec(ctx, "RELEASE one") }
func (c *sqliteSession) commit(ctx context.Context) error    { return c.exec(ctx, "COMMIT") }
func (c *sqliteSession) rollback(ctx context.Context) error  { return c.exec(ctx, "ROLLBACK") }

func (c *sqliteSession) undo(ctx context.Context) error {
	if err := c.exec(ctx, "ROLLBACK TO one"); err != nil {
		return err
	}
	return c.release(ctx)
}

func (c *sqliteSession) close(context.Context) error {
	err := c.forget()
	if e := c.sql.Close(); !errors.Is(e, sql.ErrConnDone) {
		err = errors.Join(err, e)
	}
	return err
}

func (c *sqliteSession) forget() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	clear(c.stmts)
	return errors.Join(errs...)
}

func (c *sqliteSession) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := c.stmts[text]; ok {
		return s, nil
	}
	if len(c.stmts) >= statementLimit {
		if err := c.forget(); err != nil {
			return nil, err
		}
	}
	s, err := c.sql.PrepareContext(ctx, text)
	if err == nil {
		c.stmts[text] = s
	}
	return s, err
}

// uncancelled is the context of one statement of a write. A context that can end costs the driver
// a goroutine per statement; so a write that has the database looks between its statements
// whether somebody still waits. None of them is long.
func (c *sqliteSession) uncancelled(ctx context.Context) (context.Context, error) {
	if !c.writes {
		return ctx, nil
	}
	return context.WithoutCancel(ctx), ctx.Err()
}

func (c *sqliteSession) exec(ctx context.Context, text string, args ...any) error {
	ctx, err := c.uncancelled(ctx)
	if err != nil {
		return err
	}
	return c.run(ctx, text, args...)
}

func (c *sqliteSession) run(ctx context.Context, text string, args ...any) error {
	s, err := c.prepare(ctx, text)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(ctx, args...)
	return err
}

func (c *sqliteSession) insert(ctx context.Context, into *insertion, values ...any) error {
	return c.exec(ctx, into.one, values...)
}

func (c *sqliteSession) later(ctx context.Context, text string, each func(scan func(...any) error) error) error {
	return c.rows(ctx, text, nil, each)
}

func (c *sqliteSession) rows(ctx context.Context, text string, args []any, each func(scan func(...any) error) error) error {
	ctx, err := c.uncancelled(ctx)
	if err != nil {
		return err
	}
	s, err := c.prepare(ctx, text)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
