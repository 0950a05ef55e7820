package api

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"aftercare/definitions"
	"aftercare/service"
	"aftercare/service/store"

	"go.opentelemetry.io/otel/trace"
)

// newDatabase makes an empty database of the engine that the tests run on now.
var newDatabase = func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") }

// newService is a real service on a new database. The function that comes with it
// closes the store, after which everything that needs it fails.
func newService(t testing.TB, log *slog.Logger, tracers trace.TracerProvider) (*service.Service, func()) {
	t.Helper()
	db, err := store.Open(t.Context(), newDatabase(t), store.Options{Logger: log, TracerProvider: tracers})
	if err != nil {
		t.Fatal(err)
	}
	open := true
	closeStore := func() {
		if open {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
		open = false
	}
	t.Cleanup(closeStore)
	known, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	s, err := service.New(t.Context(), service.Options{Store: db, Definitions: known, BaseURL: publicBase, Zone: time.UTC, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	return s, closeStore
}
