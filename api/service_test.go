package api

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"aftercare/definitions"
	"aftercare/service"
	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/store"

	"go.opentelemetry.io/otel/trace"
)

// newDatabase makes an empty database of the engine that the tests run on now.
var newDatabase = func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") }

// auditKey signs for the logs of all tests.
var auditKey = func() *tree.Key {
	text, err := tree.NewKey("clinic.example/fhir")
	if err != nil {
		panic(err)
	}
	key, err := tree.ReadKey(text)
	if err != nil {
		panic(err)
	}
	return key
}()

// newService is a real service on a new database, whose log logged gives. The function that comes
// with it closes the store, after which everything that needs it fails.
func newService(t testing.TB, log *slog.Logger, tracers trace.TracerProvider) (s *service.Service, logged func(t testing.TB, after int64) []*audit.Record, breakStore func()) {
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
	s, err = service.New(t.Context(), service.Options{Store: db, Definitions: known, BaseURL: publicBase, Zone: time.UTC, Logger: log, LogSecret: make([]byte, audit.SecretSize), LogKey: auditKey})
	if err != nil {
		t.Fatal(err)
	}
	logged = func(t testing.TB, after int64) []*audit.Record {
		t.Helper()
		all := []*audit.Record{}
		if !open {
			return nil
		}
		if err := db.View(t.Context(), func(ctx context.Context, r *store.Reader) error {
			return r.Logged(ctx, after, 1_000_000, func(l store.Logged) error {
				record, err := audit.Read(l.Position, l.Leaf, l.Key)
				all = append(all, record)
				return err
			})
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	return s, logged, closeStore
}
