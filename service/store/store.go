package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aftercare/fhir"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Store is an open database. It is safe for concurrent use.
type Store struct {
	log *slog.Logger
	now func() time.Time

	engine    engine
	symbols   symbols
	cursorKey []byte
	effort    effort
	// index is what is known of the index, nil before Declare.
	index   atomic.Pointer[indexState]
	metrics indexMetrics

	// queue holds the writes that wait for the committer. gate guards its closing.
	queue     chan *write
	gate      sync.RWMutex
	closing   bool
	committed chan struct{} // closed when the committer has ended

	// beat is the time between two beats of a lease.
	beat time.Duration
	// background is what goes on beside the calls; it ends when life does, at the latest.
	background sync.WaitGroup
	life       context.Context
	endLife    context.CancelFunc

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

	maxPages int           // of the database file, for the test of a full disk
	beat     time.Duration // of leases, for tests that wait for one to end
	patience time.Duration // with another process that writes to the same file
}

// groupLimit is the most writes that share a commit, queueLimit the most that wait before
// callers are held back.
const (
	groupLimit = 128
	queueLimit = 1024
)

// Open opens the database that url names and brings its tables up to date:
//   - "sqlite:PATH", where PATH may be relative. What is not there is made, a folder with mode
//     0700, a file with 0600.
//   - "postgres://USER:PASSWORD@HOST:PORT/NAME" with the parameters that libpq and pgx know
//     (https://www.postgresql.org/docs/current/libpq-connect.html), several hosts among them,
//     and pool_max_conns, the most connections that are held.
//
// An error does not repeat url, which may hold a password.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.beat == 0 {
		o.beat = defaultBeat
	}
	db, err := openEngine(ctx, url, o)
	if err != nil {
		return nil, err
	}
	s := &Store{
		log: o.Logger, now: o.Now, engine: db,
		queue: make(chan *write, queueLimit), committed: make(chan struct{}),
		idle: make(chan *conn, db.readers()), closed: make(chan struct{}), beat: o.beat,
		effort: usualEffort,
	}
	if s.metrics, err = newIndexMetrics(s, o); err != nil {
		return nil, errors.Join(err, db.close())
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.metrics.stop(), db.close())
	}
	return s, nil
}

func openEngine(ctx context.Context, url string, o Options) (engine, error) {
	switch kind, rest, _ := strings.Cut(url, ":"); kind {
	case "sqlite":
		return openSQLite(ctx, rest, o)
	case "postgres", "postgresql":
		return openPostgres(ctx, url, o)
	default:
		return nil, fmt.Errorf("a database of kind %q is not supported; use sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME", kind)
	}
}

func (s *Store) start(ctx context.Context) error {
	session, err := s.engine.connect(ctx, true)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	c := &conn{session: session}
	if s.cursorKey, err = loadCursorKey(ctx, c); err != nil {
		return errors.Join(err, c.close(ctx))
	}
	if err := s.symbols.load(ctx, c); err != nil {
		return errors.Join(err, c.close(ctx))
	}
	for range cap(s.idle) {
		s.idle <- &conn{}
	}
	go s.commitAll(c)
	s.life, s.endLife = context.WithCancel(context.WithoutCancel(ctx))
	return nil
}

// inBackground runs do beside all else; Close waits for it. It does nothing, and returns false,
// once Close was called.
func (s *Store) inBackground(do func()) bool {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.life.Err() != nil {
		return false
	}
	s.background.Go(do)
	return true
}

// loadCursorKey makes the key at the first start. It is no secret of a patient: it only keeps
// callers from making up cursors. Once there is a key nothing is written: who only wants to read
// does not wait for those who write.
func loadCursorKey(ctx context.Context, c *conn) ([]byte, error) {
	var key []byte
	const text = `SELECT value FROM setting WHERE name = $1`
	found, err := c.row(ctx, text, []any{"cursor-key"}, &key)
	if err != nil || found {
		return key, err
	}
	key = make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make the key of cursors: %w", err)
	}
	if err := c.exec(ctx, `INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, "cursor-key", key); err != nil {
		return nil, fmt.Errorf("keep the key of cursors: %w", err)
	}
	if _, err := c.row(ctx, text, []any{"cursor-key"}, &key); err != nil {
		return nil, fmt.Errorf("read the key of cursors: %w", err)
	}
	return key, nil
}

// Close refuses new work, waits for the writes in the queue and the views that run, and
// closes the database. A second call does nothing.
func (s *Store) Close() error {
	s.gate.Lock()
	s.endLife()
	s.gate.Unlock()
	s.background.Wait() // with the store still open: it may have something to hand over
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
		errs = append(errs, (<-s.idle).close(context.Background()))
	}
	return errors.Join(append(errs, s.metrics.stop(), s.engine.close())...)
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
