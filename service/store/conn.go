package store

import (
	"context"
	"database/sql"
	"errors"
)

// conn is one connection with its prepared statements. One goroutine uses it at a time. The
// zero value is a connection that is not open yet.
type conn struct {
	sql   *sql.Conn
	stmts map[string]*sql.Stmt
	// broken is set once the engine could not go on. It may have undone the transaction by
	// itself, and a statement after that would stand alone; so none is run.
	broken error
	// changes counts the statements that may have changed something.
	changes int
}

// statementLimit bounds the statements that a connection keeps: their texts are many, since a
// search has the shape that its caller gave it.
const statementLimit = 256

func connect(ctx context.Context, db *sql.DB) (*conn, error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{sql: c, stmts: map[string]*sql.Stmt{}}, nil
}

func (c *conn) open() bool { return c.sql != nil }

func (c *conn) close() error {
	if !c.open() {
		return nil
	}
	err := c.forget()
	if e := c.sql.Close(); !errors.Is(e, sql.ErrConnDone) {
		err = errors.Join(err, e)
	}
	c.sql = nil
	return err
}

func (c *conn) forget() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	clear(c.stmts)
	return errors.Join(errs...)
}

func (c *conn) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if c.broken != nil {
		return nil, c.broken
	}
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

func (c *conn) exec(ctx context.Context, text string, args ...any) error {
	s, err := c.prepare(ctx, text)
	if err != nil {
		return err
	}
	c.changes++
	_, err = s.ExecContext(ctx, args...)
	return err
}

// row reads the first row into dest and reports whether there was one.
func (c *conn) row(ctx context.Context, text string, args []any, dest ...any) (bool, error) {
	found := false
	err := c.rows(ctx, text, args, func(scan func(...any) error) error {
		if found {
			return nil
		}
		found = true
		return scan(dest...)
	})
	return found, err
}

// rows calls each for every row.
func (c *conn) rows(ctx context.Context, text string, args []any, each func(scan func(...any) error) error) error {
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
