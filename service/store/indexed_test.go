package store

import (
	"context"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// declare begins a generation of the index if it has to.
func declare(t testing.TB, s *Store, r *search.Registry, zone *time.Location, base string) {
	t.Helper()
	if err := s.Declare(t.Context(), r.Fingerprints(zone, base), true); err != nil {
		t.Fatal(err)
	}
}

// extractWith are the rows of a registry.
func extractWith(r *search.Registry, zone *time.Location, base string) Rows {
	return func(res *fhir.Resource) ([]search.Row, error) {
		n, err := fhir.Parse(res.Body)
		if err != nil {
			return nil, err
		}
		return r.ExtractStored(n, zone, base, func(*search.Parameter) {})
	}
}

// built builds the index until nothing is left.
func built(t testing.TB, s *Store, r *search.Registry, zone *time.Location, base string) {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.KeepIndexed(ctx, extractWith(r, zone, base))
	}()
	defer func() { end(); <-done }()
	for {
		b, err := s.Backlog(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !b.any() {
			if b.Parameters != 0 {
				t.Fatalf("%d parameters are left behind", b.Parameters)
			}
			return
		}
		time.Sleep(time.Millisecond)
	}
}
