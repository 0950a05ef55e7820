package store

import (
	"context"
	"errors"

	"aftercare/fhir"
)

// engine is a kind of database, opened: what differs between SQLite and PostgreSQL.
type engine interface {
	// connect opens a connection that writes, or one that only reads.
	connect(ctx context.Context, writes bool) (session, error)
	// readers is how many connections may read at the same time.
	readers() int
	// distant tells whether the engine is asked over a network.
	distant() bool
	// text is how the engine keeps and finds words.
	text() fullText
	// among is the condition that a column is one of many texts, in one argument; known as for
	// clause.check.
	among(s *statement, column string, texts []string, known bool) string
	// failure translates an error that the engine knows, and is nil for others.
	failure(err error) *fhir.Error
	// close ends what is left once all connections are closed.
	close() error
}

// session is an open connection. An engine that is asked over a network may keep statements
// back until something has to be known; then the error of one comes with that.
type session interface {
	// begin starts a transaction. That of a connection that writes is alone among all such
	// transactions of the database, whichever process began them; it sees all that was written
	// before it, and gets the last numbers in use.
	begin(ctx context.Context) (*numbers, error)
	// exec runs a statement, now or with the next of the other calls.
	exec(ctx context.Context, text string, args ...any) error
	// insert adds a row, like exec.
	insert(ctx context.Context, into *insertion, values ...any) error
	// rows runs a query and calls each for every row. each runs no other statement.
	rows(ctx context.Context, text string, args []any, each func(scan func(...any) error) error) error
	// later is rows, now or with the next call of rows: for what has to be known after that one.
	later(ctx context.Context, text string, each func(scan func(...any) error) error) error
	// savepoint marks a place; undo goes back to it, also after an error, and release forgets it.
	savepoint(ctx context.Context) error
	undo(ctx context.Context) error
	release(ctx context.Context) error
	// commit makes durable what the transaction did. An error means that nothing of it is stored,
	// except errUnknown. A lateError is that of a statement that was kept back.
	commit(ctx context.Context) error
	rollback(ctx context.Context) error
	close(ctx context.Context) error
}

// lastNumbers is the query that finds the numbers: rid, seq, end, generation, log and logged.
const lastNumbers = `SELECT (SELECT coalesce(max(rid), 0) FROM resource), (SELECT coalesce(max(seq), 0) FROM version WHERE seq` + beforeHorizon + `), (SELECT begins FROM horizon), (SELECT generation FROM indexing), (SELECT coalesce(max(pos), 0) FROM log), coalesce((SELECT recorded FROM log ORDER BY pos DESC LIMIT 1), 0)`

// conn is a connection as the store uses it. One goroutine uses it at a time. The zero value is
// a connection that is not open yet.
type conn struct {
	session
	// broken is set once the engine could not go on. It may have undone the transaction by
	// itself, and a statement after that would stand alone; so none is run.
	broken error
	// changes counts the statements that may have changed something.
	changes int
	// reading is set while rows are being read. PostgreSQL can run nothing else then, so neither engine does.
	reading bool
}

var errReading = errors.New("a statement was to run while the rows of another are being read")

// usable is an error where no statement can be run.
func (c *conn) usable() error {
	if c.broken == nil && c.reading {
		return errReading
	}
	return c.broken
}

func (c *conn) open() bool { return c.session != nil }

func (c *conn) close(ctx context.Context) error {
	if !c.open() {
		return nil
	}
	err := c.session.close(ctx)
	c.session = nil
	return err
}

func (c *conn) begin(ctx context.Context) (*numbers, error) {
	c.broken = nil
	return c.session.begin(ctx)
}

func (c *conn) exec(ctx context.Context, text string, args ...any) error {
	if err := c.usable(); err != nil {
		return err
	}
	c.changes++
	return c.session.exec(ctx, text, args...)
}

func (c *conn) insert(ctx context.Context, into *insertion, values ...any) error {
	if err := c.usable(); err != nil {
		return err
	}
	c.changes++
	return c.session.insert(ctx, into, values...)
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
	if err := c.usable(); err != nil {
		return err
	}
	c.reading = true
	defer func() { c.reading = false }()
	return c.session.rows(ctx, text, args, each)
}
