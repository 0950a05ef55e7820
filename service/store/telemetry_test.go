package store

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"aftercare/fhir/search"
	"aftercare/service/store/postgrestest"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestSpans checks that a caller's trace shows its statements, and that nothing of a patient
// is in them.
func TestSpans(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { spans(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db")) })
	t.Run("postgres", func(t *testing.T) { spans(t, postgrestest.Database(t)) })
}

func spans(t *testing.T, url string) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	s := openURL(t, url, Options{TracerProvider: provider})
	d := draft(t, "Patient", `,"x":"secret"`)
	rows := []search.Row{{Param: patName, Value: "secret"}, {Param: patID, System: "http://nhs", Value: "secret"}}
	write := func(ctx context.Context) {
		if err := s.Write(ctx, func(ctx context.Context, tx *Tx) error {
			if _, err := tx.Put(ctx, d, "secret", t0, "PUT", rows); err != nil {
				return err
			}
			_, err := tx.Search(ctx, &search.Query{Type: "Patient", Clauses: []search.Clause{clauseOf(patName, search.Value{Value: "secret"})}, Count: 1}, nil)
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
	statements := ""
	for _, span := range recorder.Ended() {
		if span.Name() == "request" {
			continue
		}
		if span.SpanContext().TraceID() != parent.SpanContext().TraceID() {
			t.Errorf("span %s is of another trace", span.Name())
		}
		for _, a := range span.Attributes() {
			if strings.Contains(a.Value.String(), "secret") {
				t.Errorf("span %s tells %s", span.Name(), a.Key)
			}
			statements += a.Value.String() + "\n"
		}
	}
	for _, want := range []string{"BEGIN", "UPDATE resource", "INSERT INTO version", "FROM index_string", "COMMIT"} {
		if !strings.Contains(statements, want) {
			t.Errorf("no span has %s:\n%s", want, statements)
		}
	}
}

// FuzzCursor checks that only what was signed is a position.
func FuzzCursor(f *testing.F) {
	s := &Store{cursorKey: []byte("key")}
	f.Add(s.sign("q", 7), "q")
	f.Add(s.sign("q", 7, 9), "q")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, cursor, question string) {
		for n := 1; n <= 2; n++ {
			if at, err := s.positions(cursor, question, n); err == nil && s.sign(question, at...) != cursor {
				t.Errorf("%q is accepted as %d", cursor, at)
			}
		}
	})
}
