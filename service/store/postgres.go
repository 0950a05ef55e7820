package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/postgres/*.sql
var postgresMigrations embed.FS

// postgresEngine is a PostgreSQL database of version 14 or later. Several processes may use the
// same one: each has a committer, and a lock of the database lets one of them write at a time.
type postgresEngine struct {
	write, read *pgx.ConnConfig
	connections int
	telemetry   *postgresTelemetry
	log         *slog.Logger
	// patience bounds how long a lost connection is tried to be made again, to learn what
	// became of a commit.
	patience time.Duration
}

// The keys of the advisory locks: of a write, and of a change of the tables. They were drawn at
// random, and every version of the program must use the same.
const (
	writeLock  int64 = 0x7091d4567104d971
	tablesLock int64 = 0x5f250f3fe0b3e396
)

// connectTimeout bounds one attempt to connect, if the URL does not.
const connectTimeout = 5 * time.Second

// openPostgres checks the database and brings its tables up to date.
func openPostgres(ctx context.Context, url string, o Options) (engine, error) {
	e := &postgresEngine{log: o.Logger, patience: 10 * time.Second}
	var err error
	if err = e.configure(url); err != nil {
		return nil, err
	}
	if e.telemetry, err = newPostgresTelemetry(o, e.write.Database); err != nil {
		return nil, err
	}
	if err := e.prepare(ctx, o); err != nil {
		return nil, err
	}
	return e, nil
}

// prepare looks at the server and changes the tables, while no other process does.
func (e *postgresEngine) prepare(ctx context.Context, o Options) (err error) {
	c, err := e.dial(ctx, e.write)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	if err := e.suitable(ctx, c); err != nil {
		return err
	}
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // it holds a lock and nothing else
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", tablesLock); err != nil {
		return fmt.Errorf("wait for others to change the tables: %w", err)
	}
	db := stdlib.OpenDB(*e.write)
	defer func() { err = errors.Join(err, db.Close()) }()
	err = migrate(ctx, db, goose.DialectPostgres, postgresMigrations, "migrations/postgres", o)
	if code(err) == insufficientPrivilege {
		return fmt.Errorf("%w; the tables can be changed by a role that may create them, with the command migrate", err)
	}
	return err
}

// suitable refuses a server that is too old, a database that is not in UTF-8 and one that
// cannot be written to. It warns of one that does not keep what it has acknowledged.
func (e *postgresEngine) suitable(ctx context.Context, c *pgx.Conn) error {
	var version int
	var encoding string
	var standby, readOnly, syncs bool
	if err := c.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), pg_is_in_recovery(),
		current_setting('default_transaction_read_only')::bool, current_setting('fsync')::bool AND current_setting('full_page_writes')::bool`).
		Scan(&version, &encoding, &standby, &readOnly, &syncs); err != nil {
		return fmt.Errorf("ask the database for its version: %w", err)
	}
	switch {
	case version < 140000:
		return fmt.Errorf("PostgreSQL %d is too old; version 14 or later is needed", version/10000)
	case encoding != "UTF8":
		return fmt.Errorf("the database has the encoding %s; make one with the encoding UTF8", encoding)
	case standby:
		return errors.New("the server is a standby, which cannot be written to; name its primary")
	case readOnly:
		return errors.New("the database is read-only (default_transaction_read_only); choose one that can be written to")
	case !syncs:
		e.log.WarnContext(ctx, "the database server loses data when its machine stops: fsync or full_page_writes is off")
	}
	return nil
}

func (e *postgresEngine) connect(ctx context.Context, writes bool) (session, error) {
	s := &postgresSession{engine: e, writes: writes}
	return s, s.reconnect(ctx)
}

func (e *postgresEngine) dial(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, lostError{err}
	}
	return c, nil
}

// readers leaves one of the connections to the committer.
func (e *postgresEngine) readers() int { return e.connections - 1 }

func (e *postgresEngine) distant() bool { return true }

func (e *postgresEngine) close() error { return nil }
