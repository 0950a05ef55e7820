package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"aftercare/fhir"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Store is an open database. It is safe for concurrent use.
type Store struct {
	log       *slog.Logger
	now       func() time.Time
	translate func(error) *fhir.Error

	writeDB, readDB *sql.DB
	symbols         symbols
	cursorKey       []byte

	// queue holds the writes that wait for the committer. gate guards its closing.
	queue     chan *write
	gate      sync.RWMutex
	closing   bool
	committed chan struct{} // closed when the committer has ended

	// idle holds the connections that nobody reads with.
	idle   chan *conn
	closed chan struct{}
}

// Options are the settings of Open. The zero value is good.
type Options struct {
	// Logger is slog.Default() if nil.
	Logger *slog.Logger
	// Now is time.Now if nil. It is asked only for the search prefix ap.
	Now func() time.Time
	// TracerProvider and MeterProvider are OpenTelemetry's global ones if nil.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider

	maxPages int // of the database file, for the test of a full disk
}

// groupLimit is the most writes that share a commit, queueLimit the most that wait before
// callers are held back.
const (
	groupLimit = 128
	queueLimit = 1024
)

// Open opens the database that url names and makes it if it is not there: "sqlite:PATH",
// where PATH may be relative. A folder that is made has mode 0700, a file 0600.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	engine, rest, _ := strings.Cut(url, ":")
	if engine != "sqlite" {
		// The rest may hold a password and is not repeated.
		return nil, fmt.Errorf("a database of kind %q is not supported; use sqlite:PATH", engine)
	}
	writer, readers, err := openSQLite(ctx, rest, o)
	if err != nil {
		return nil, err
	}
	s := &Store{
		log: o.Logger, now: o.Now, translate: sqliteError,
		writeDB: writer, readDB: readers,
		queue: make(chan *write, queueLimit), committed: make(chan struct{}),
		idle: make(chan *conn, 4*runtime.NumCPU()), closed: make(chan struct{}),
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, writer.Close(), readers.Close())
	}
	return s, nil
}

func (s *Store) start(ctx context.Context) error {
	c, err := connect(ctx, s.writeDB)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	if s.cursorKey, err = loadCursorKey(ctx, c); err != nil {
		return errors.Join(err, c.close())
	}
	if err := s.symbols.load(ctx, c); err != nil {
		return errors.Join(err, c.close())
	}
	for range cap(s.idle) {
		s.idle <- &conn{}
	}
	go s.commitAll(c)
	return nil
}

// loadCursorKey makes the key at the first start. It is no secret of a patient: it only keeps
// callers from making up cursors.
func loadCursorKey(ctx context.Context, c *conn) ([]byte, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make the key of cursors: %w", err)
	}
	if err := c.exec(ctx, `INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, "cursor-key", key); err != nil {
		return nil, fmt.Errorf("keep the key of cursors: %w", err)
	}
	if _, err := c.row(ctx, `SELECT value FROM setting WHERE name = $1`, []any{"cursor-key"}, &key); err != nil {
		return nil, fmt.Errorf("read the key of cursors: %w", err)
	}
	return key, nil
}

// Close refuses new work, waits for the writes in the queue and the views that run, and
// closes the database. A second call does nothing.
func (s *Store) Close() error {
	s.gate.Lock()
	if s.closing {
		s.gate.Unlock()
		<-s.committed
		return nil
	}
	s.closing = true
	close(s.queue)
	s.gate.Unlock()
	<-s.committed
	close(s.closed)
	var errs []error
	for range cap(s.idle) {
		errs = append(errs, (<-s.idle).close())
	}
	// The writer's pool goes last: it folds the write-ahead log into the file.
	return errors.Join(append(errs, s.readDB.Close(), s.writeDB.Close())...)
}

// Ping asks the committer for a turn and reads once from the database. It fails while either
// cannot work; give ctx a deadline.
func (s *Store) Ping(ctx context.Context) error {
	probe := func(ctx context.Context, r *Reader) error {
		var n int64
		_, err := r.row(ctx, `SELECT count(*) FROM setting`, nil, &n)
		return err
	}
	if err := s.Write(ctx, func(ctx context.Context, tx *Tx) error { return probe(ctx, &tx.Reader) }); err != nil {
		return err
	}
	return s.View(ctx, probe)
}

func errClosed() error {
	return fhir.Errorf(fhir.Unavailable, "transient", "", "The service is stopping; try again later.")
}
