package store

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"aftercare/fhir/search"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestSpans checks that a caller's trace shows its statements, and that nothing of a patient
// is in them.
func TestSpans(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	s := openTest(t, filepath.Join(t.TempDir(), "test.db"), Options{TracerProvider: provider})
	d := draft(t, "Patient", `,"x":"secret"`)
	rows := []search.Row{{Param: patName, Value: "secret"}, {Param: patID, System: "http://nhs", Value: "secret"}}
	write := func(ctx context.Context) {
		if err := s.Write(ctx, func(ctx context.Context, tx *Tx) error {
			if _, err := tx.Put(ctx, d, "secret", t0, "PUT", rows); err != nil {
				return err
			}
			_, err := tx.Search(ctx, &search.Query{Type: "Patient", Clauses: []search.Clause{clauseOf(patName, search.Value{Value: "secret"})}, Count: 1})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	write(t.Context())
	if n := len(recorder.Ended()); n != 0 {
		t.Errorf("%d spans without a caller's", n)
	}
	ctx, parent := provider.Tracer("test").Start(t.Context(), "request")
	write(ctx)
	parent.End()
	statements := 0
	for _, span := range recorder.Ended() {
		if span.Name() == "request" {
			continue
		}
		statements++
		if span.SpanContext().TraceID() != parent.SpanContext().TraceID() {
			t.Errorf("span %s is of another trace", span.Name())
		}
		for _, a := range span.Attributes() {
			if strings.Contains(a.Value.String(), "secret") {
				t.Errorf("span %s tells %s", span.Name(), a.Key)
			}
		}
	}
	if statements < 5 {
		t.Errorf("%d statements have spans", statements)
	}
}

// FuzzCursor checks that only what was signed is a position.
func FuzzCursor(f *testing.F) {
	s := &Store{cursorKey: []byte("key")}
	f.Add(s.sign(7, "q"), "q")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, cursor, question string) {
		if at, err := s.position(cursor, question); err == nil && s.sign(at, question) != cursor {
			t.Errorf("%q is accepted as %d", cursor, at)
		}
	})
}
