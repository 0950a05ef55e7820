package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"aftercare/fhir"
	"aftercare/service/store/walfile"

	"github.com/XSAM/otelsql"
	"github.com/pressly/goose/v3"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/sqlite/*.sql
var sqliteMigrations embed.FS

// sqliteEngine is a SQLite file: a pool of one connection that writes and a pool of
// connections that only read.
type sqliteEngine struct {
	writer, reader *sql.DB
	patience       time.Duration
}

// openSQLite makes the file and brings its tables up to date.
func openSQLite(ctx context.Context, path string, o Options) (engine, error) {
	if path == "" || path[0] == ':' {
		return nil, errors.New("a SQLite database needs the path of a file, such as sqlite:data/aftercare.db")
	}
	if err := makeFile(path); err != nil {
		return nil, err
	}
	if err := walfile.Register(); err != nil {
		return nil, err
	}
	writer := sqliteDB(path, o, url.Values{"vfs": {walfile.Name}})
	writer.SetMaxOpenConns(1)
	if err := migrate(ctx, writer, goose.DialectSQLite3, sqliteMigrations, "migrations/sqlite", o); err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	return &sqliteEngine{writer, sqliteDB(path, o, url.Values{"_pragma": {"query_only(1)"}}), cmp.Or(o.patience, 5*time.Second)}, nil
}

func (e *sqliteEngine) connect(ctx context.Context, writes bool) (session, error) {
	db := e.reader
	if writes {
		db = e.writer
	}
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &sqliteSession{sql: c, writes: writes, patience: e.patience, stmts: map[string]*sql.Stmt{}}, nil
}

func (e *sqliteEngine) distant() bool { return false }

// readers is bounded since each has a cache of its own.
func (e *sqliteEngine) readers() int { return min(4*runtime.GOMAXPROCS(0), 32) }

// close closes the writer's pool last: it folds the write-ahead log into the file.
func (e *sqliteEngine) close() error { return errors.Join(e.reader.Close(), e.writer.Close()) }

// makeFile makes the folder and the file for the owner alone. SQLite gives the files that it
// puts beside it the same mode.
func makeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder of the database: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	return f.Close()
}

func sqliteDB(path string, o Options, extra url.Values) *sql.DB {
	q := url.Values{"_pragma": {
		"busy_timeout(5000)",
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(0)",
		"mmap_size(0)",
		"cache_size(-16000)",
		"temp_store(MEMORY)",
		"wal_autocheckpoint(16000)",
		"journal_size_limit(134217728)",
	}}
	if o.maxPages > 0 {
		q.Add("_pragma", fmt.Sprintf("max_page_count(%d)", o.maxPages))
	}
	for name, values := range extra {
		q[name] = append(q[name], values...)
	}
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
	return otelsql.OpenDB(connector{dsn, &sqlite.Driver{}}, telemetry(o, "sqlite")...)
}

// telemetry asks for one span per statement, inside a span of the caller only. Statements hold
// placeholders; their values are never recorded.
func telemetry(o Options, system string) []otelsql.Option {
	options := []otelsql.Option{
		otelsql.WithAttributes(attribute.String("db.system.name", system)),
		otelsql.WithSpanOptions(otelsql.SpanOptions{
			OmitConnResetSession: true,
			OmitConnPrepare:      true,
			OmitRows:             true,
			OmitConnectorConnect: true,
			SpanFilter: func(ctx context.Context, _ otelsql.Method, _ string, _ []driver.NamedValue) bool {
				return trace.SpanFromContext(ctx).IsRecording()
			},
		}),
	}
	if o.TracerProvider != nil {
		options = append(options, otelsql.WithTracerProvider(o.TracerProvider))
	}
	if o.MeterProvider != nil {
		options = append(options, otelsql.WithMeterProvider(o.MeterProvider))
	}
	return options
}

type connector struct {
	dsn    string
	driver driver.Driver
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c connector) Driver() driver.Driver                        { return c.driver }

// isBusy tells whether another process has the file.
func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// failure translates the engine's result codes (https://sqlite.org/rescode.html).
func (*sqliteEngine) failure(err error) *fhir.Error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fhir.Errorf(fhir.Unavailable, "lock-error", "", "The database is busy; try again later.").Because(err)
	case sqlite3.SQLITE_FULL:
		return fhir.Errorf(fhir.Unavailable, "no-store", "", "The database has no space left; nothing was stored.").Because(err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
		return fhir.Errorf(fhir.Unavailable, "transient", "", "The database cannot do this now; try again later.").Because(err)
	case sqlite3.SQLITE_CONSTRAINT:
		return fhir.Errorf(fhir.Conflict, "conflict", "", "This clashes with what is stored already.").Because(err)
	}
	return nil
}
