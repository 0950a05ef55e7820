package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"aftercare/api"
	"aftercare/config"
	"aftercare/fhir"
	"aftercare/service"
	"aftercare/service/audit"
	"aftercare/service/store"

	"go.opentelemetry.io/otel"
)

// The limits of one connection. A Bundle of the largest size passes at 1 MB/s.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 2 * time.Minute
	writeTimeout  = 3 * time.Minute
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
	// drainTimeout is how long requests that are under way may take to end.
	drainTimeout = 25 * time.Second
	// stopTimeout is how long the note may take that the service stopped.
	stopTimeout = 5 * time.Second
)

// serve runs the service until ctx ends. started, which may be nil, is called once the
// service answers under base; an error from it ends the service.
func (p *program) serve(ctx context.Context, cfg config.Config, started func(ctx context.Context, s *service.Service, base string) error) (err error) {
	log := p.logger(cfg)
	tell(log, cfg)

	// The address comes first: a port that is taken is known before the database is
	// touched, and connections that come early wait instead of failing.
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("AFTERCARE_LISTEN: %w", err)
	}
	defer listener.Close()
	base := cfg.BaseURLAt(listener.Addr())

	tele, err := newTelemetry(ctx, p.environ, p.stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopTelemetry(tele)) }()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("telemetry", "error", err) }))
	secure, err := tlsConfig(cfg, log)
	if err != nil {
		return err
	}
	known, err := loadDefinitions(cfg)
	if err != nil {
		return err
	}
	o := store.Options{Logger: log, TracerProvider: tele.tracer, MeterProvider: tele.meter}
	db, err := openStore(ctx, cfg, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	authority, err := newAuthority(ctx, cfg, base, db, log)
	if err != nil {
		return err
	}
	svc, err := newService(ctx, cfg, base, false, known, db, o)
	if err != nil {
		return err
	}
	defer startWorkers(svc, db)()
	if err := awaitIndex(ctx, db, log); err != nil {
		return err
	}
	handler, err := api.New(api.Options{
		Service: svc, BaseURL: base, Logger: log, MaxBody: cfg.MaxBody, MaxBundle: cfg.MaxBundle, Memory: limitMemory(cfg, p.environ), CORSOrigins: cfg.CORSOrigins,
		BestEffort: cfg.Audit == config.AuditBestEffort, Auth: authority, Rate: api.Rate(cfg.RateLimit),
		TracerProvider: tele.tracer, MeterProvider: tele.meter, Metrics: tele.metrics,
	})
	if err != nil {
		return err
	}

	gate := &gate{next: handler, limit: cfg.RequestLimit}
	server := &http.Server{
		Handler: gate, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, DisableGeneralOptionsHandler: true, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		TLSConfig: secure,
	}
	ended := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			ended <- server.ServeTLS(listener, "", "")
		} else {
			ended <- server.Serve(listener)
		}
	}()
	if err := p.noteLife(ctx, svc, cfg, audit.Started); err != nil {
		return errors.Join(err, drain(server, gate, 0, log))
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, p.noteLife(closing, svc, cfg, audit.Stopped))
	}()
	log.InfoContext(ctx, "ready", "base", base, "version", versionName())

	if started != nil {
		if err := started(ctx, svc, base); err != nil && ctx.Err() == nil {
			return errors.Join(err, drain(server, gate, 0, log))
		}
	}
	select {
	case err := <-ended:
		return fmt.Errorf("the server ended: %w", err)
	case <-ctx.Done():
		return drain(server, gate, cfg.DrainDelay, log)
	}
}

// startWorkers runs what goes on beside requests, each on one of all replicas, and returns what
// ends it.
func startWorkers(svc *service.Service, db *store.Store) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var workers sync.WaitGroup
	workers.Go(func() { db.Housekeep(ctx) })
	workers.Go(func() { svc.KeepIndexed(ctx) })
	workers.Go(func() { svc.Rederive(ctx) })
	workers.Go(func() { svc.KeepProgress(ctx) })
	workers.Go(func() { svc.KeepIntegrated(ctx) })
	workers.Go(func() { svc.KeepWitnessed(ctx) })
	workers.Go(func() { svc.KeepLogIndexed(ctx) })
	return func() {
		cancel()
		workers.Wait()
	}
}

// indexTimeout is how long a start waits for the index to be built. A larger database is served
// meanwhile.
const indexTimeout = 2 * time.Second

// awaitIndex waits for the index for a while, so that a small database has no query refused.
func awaitIndex(ctx context.Context, db *store.Store, log *slog.Logger) error {
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		b, err := db.Backlog(ctx)
		switch {
		case ctx.Err() != nil, err == nil && b.Parameters == 0:
			return nil
		case err != nil && !errors.Is(err, store.ErrOutdated):
			return fmt.Errorf("AFTERCARE_DATABASE: %w", err)
		case err != nil, time.Since(began) > indexTimeout:
			log.WarnContext(ctx, "search parameters are being indexed in the background", "parameters", b.Parameters)
			return nil
		}
	}
}

// drain makes the service unready, waits so that load balancers notice, and lets the
// requests that are under way end.
func drain(server *http.Server, gate *gate, delay time.Duration, log *slog.Logger) error {
	log.Info("stopping: not ready any more", "delay", delay)
	gate.closing.Store(true)
	time.Sleep(delay)
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests were still under way after %s", drainTimeout), server.Close())
	}
	log.Info("stopped")
	return nil
}

// gate bounds how long a request may take, and answers /readyz itself once the service is
// closing.
type gate struct {
	next    http.Handler
	limit   time.Duration
	closing atomic.Bool
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.closing.Load() && r.URL.Path == "/readyz" {
		w.Header().Set("Content-Type", "application/fhir+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write(fhir.Outcome(fhir.Issue{Severity: "error", Code: "transient", Text: "The service is closing."}))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.limit)
	defer cancel()
	g.next.ServeHTTP(w, r.WithContext(ctx))
}

func stopTelemetry(t *telemetry) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := t.shutdown(ctx); err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	return nil
}

// logger writes to stderr, which leaves stdout to what a command prints.
func (p *program) logger(cfg config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	var h slog.Handler = slog.NewJSONHandler(p.stderr, options)
	if cfg.LogFormat == "text" {
		h = slog.NewTextHandler(p.stderr, options)
	}
	return slog.New(api.LogHandler(h))
}
