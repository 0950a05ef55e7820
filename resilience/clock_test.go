package resilience

import (
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"aftercare/api"
	"aftercare/definitions"
	"aftercare/service"
	"aftercare/service/store"
	"aftercare/service/store/postgrestest"
)

// TestClockJumps sets the clock of the service forward and back under load, by up to a day. The
// service runs in this process, which has a clock that can be set. checkTables holds lastUpdated
// against the order of versions.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { clockJumps(t, "sqlite:"+filepath.Join(t.TempDir(), "clock.db")) })
	t.Run("postgres", func(t *testing.T) { clockJumps(t, postgrestest.Database(t)) })
}

func clockJumps(t *testing.T, database string) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	c := newClient(t, serveAt(t, database, now))
	ledger := newLedger()
	load := startLoad(t, c, ledger, "clock")
	for range 60 {
		time.Sleep(20 * time.Millisecond)
		ahead.Store(rand.Int64N(int64(48*time.Hour)) - int64(24*time.Hour))
	}
	load.stop()
	ledger.check(t, c)
	checkTables(t, database)
}

// serveAt runs the service in this process, and returns where it listens.
func serveAt(t *testing.T, database string, now func() time.Time) func() string {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	db, err := store.Open(t.Context(), database, store.Options{Logger: log, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	known, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	s, err := service.New(t.Context(), service.Options{Store: db, Definitions: known, BaseURL: base, Zone: zone, Logger: log, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := api.New(api.Options{Service: s, BaseURL: base, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(handler)
	t.Cleanup(listener.Close)
	return func() string { return listener.URL }
}
