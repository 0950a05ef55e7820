package store

import (
	"context"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aftercare/fhir"
)

// clientContract is what every engine must do with clients and their assertions.
var clientContract = map[string]func(*testing.T, func() *Store){
	"clients are kept and revoked":             clientsAreKept,
	"one of many uses of an assertion is good": assertionsAreUsedOnce,
	"expired assertions are forgotten":         assertionsAreForgotten,
}

func clientsAreKept(t *testing.T, open func() *Store) {
	s := open()
	a := Client{ID: "a", Name: "Zoë's engine", JWKS: []byte(`{"keys":[]}`), Scope: "system/*.rs", Created: t0}
	b := Client{ID: "b", JWKSURI: "https://b.example/jwks", Scope: "system/Patient.r", BreakGlass: true, Created: t0}
	add := func(c Client) error {
		return s.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.AddClient(ctx, c) })
	}
	revoke := func(id string, at time.Time) error {
		return s.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.RevokeClient(ctx, id, at) })
	}
	for _, c := range []Client{b, a} {
		if err := add(c); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, add(a), fhir.Conflict)
	wantKind(t, revoke("c", t0), fhir.NotFound)
	for _, at := range []time.Time{t0.Add(time.Hour), t0.Add(2 * time.Hour)} { // the first counts
		if err := revoke("a", at); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, add(a), fhir.Conflict)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	a.Revoked = t0.Add(time.Hour)
	if err := open().View(t.Context(), func(ctx context.Context, r *Reader) error {
		got, err := r.Clients(ctx)
		if want := []Client{a, b}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func use(t *testing.T, s *Store, client, jti string, expires, now time.Time) (first bool) {
	t.Helper()
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) (err error) {
		first, err = tx.UseAssertion(ctx, client, jti, expires, now)
		return err
	}); err != nil {
		t.Error(err)
	}
	return first
}

// Two stores on one database are two replicas.
func assertionsAreUsedOnce(t *testing.T, open func() *Store) {
	replicas := []*Store{open(), open()}
	var wait sync.WaitGroup
	var good atomic.Int32
	for i := range 16 {
		wait.Go(func() {
			if use(t, replicas[i%2], "a", "same", t0.Add(time.Minute), t0) {
				good.Add(1)
			}
		})
	}
	wait.Wait()
	if good.Load() != 1 {
		t.Errorf("%d uses were good", good.Load())
	}
	if !use(t, replicas[0], "b", "same", t0.Add(time.Minute), t0) || !use(t, replicas[1], "a", "other", t0.Add(time.Minute), t0) {
		t.Error("that of another client, or another one, is refused")
	}
}

func assertionsAreForgotten(t *testing.T, open func() *Store) {
	s := open()
	for _, jti := range []string{"1", "2"} {
		use(t, s, "a", jti, t0.Add(time.Minute), t0)
	}
	use(t, s, "a", "3", t0.Add(time.Hour), t0)
	if use(t, s, "a", "1", t0.Add(time.Hour), t0.Add(time.Minute-time.Microsecond)) {
		t.Error("it was good again before its time was over")
	}
	if !use(t, s, "a", "1", t0.Add(time.Hour), t0.Add(time.Minute)) {
		t.Error("it was not forgotten")
	}
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		var n int64
		_, err := r.row(ctx, `SELECT count(*) FROM assertion`, nil, &n)
		if n != 2 {
			t.Errorf("%d are kept", n)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}
