package service

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/service/audit"
	"aftercare/service/store"
)

// logged opens all records of the log.
func logged(t testing.TB, db *store.Store) (all []*audit.Record) {
	t.Helper()
	if err := db.View(t.Context(), func(ctx context.Context, r *store.Reader) error {
		return r.Logged(ctx, 0, 1_000_000, func(l store.Logged) error {
			record, err := audit.Read(l.Position, l.Leaf, l.Key)
			all = append(all, record)
			return err
		})
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func withLog(fill byte) func(*Options) {
	return func(o *Options) { o.LogSecret = bytes.Repeat([]byte{fill}, audit.SecretSize) }
}

// Whoever asks at the same time, the log has no gaps, its time does not go back, and each record about a
// patient knows the one before it.
func TestTheLogIsInOrder(t *testing.T) {
	var ticks atomic.Int64
	s := open(t, withLog(1), func(o *Options) {
		o.Now = func() time.Time { return time.UnixMicro(1_800_000_000_000_000 + ticks.Add(1)%7*1000) } // it goes back
	})
	var asking sync.WaitGroup
	for i := range 8 {
		asking.Go(func() {
			for n := range 12 {
				id := "p" + strconv.Itoa(n%3)
				trail := NewTrail(audit.Record{RequestID: strconv.Itoa(i)})
				ctx := WithTrail(t.Context(), trail)
				var err error
				status := 200
				if n < 6 {
					_, err = s.Update(ctx, Anonymous, "Patient", id, []byte(`{"resourceType":"Patient","id":"`+id+`","multipleBirthInteger":`+strconv.Itoa(i*100+n)+`}`), Preconditions{})
				} else {
					_, err = s.Read(ctx, Anonymous, "Patient", id+strings.Repeat("x", n%2))
				}
				if err != nil {
					status = fhir.KindOf(err).Status()
				}
				if err := s.LogTrail(ctx, trail, status, err); err != nil {
					t.Error(err)
				}
			}
		})
	}
	asking.Wait()
	type last struct{ n, position int64 }
	heads := map[audit.Subject]last{}
	var position int64
	var recorded time.Time
	if err := s.store.View(t.Context(), func(ctx context.Context, r *store.Reader) error {
		return r.Logged(ctx, 0, 1000, func(l store.Logged) error {
			if l.Position != position+1 || l.Recorded.Before(recorded) || !s.auditLog.sealer.Genuine(l.Position, l.Leaf) {
				t.Errorf("record %d of %v after %d of %v", l.Position, l.Recorded, position, recorded)
			}
			position, recorded = l.Position, l.Recorded
			leaf, err := audit.ParseLeaf(l.Leaf)
			if err != nil {
				return err
			}
			if !leaf.Recorded.Equal(l.Recorded) {
				t.Errorf("record %d: %v is not %v", l.Position, leaf.Recorded, l.Recorded)
			}
			for _, link := range leaf.Links {
				if before := heads[link.Subject]; link.N != before.n+1 || link.Before != before.position {
					t.Errorf("record %d: %d after %d, %d after %d", l.Position, link.N, before.n, link.Before, before.position)
				}
				heads[link.Subject] = last{link.N, l.Position}
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	if position != 8*12 {
		t.Errorf("%d records", position)
	}
	for _, id := range []string{"p0", "p1", "p2"} {
		if heads[s.auditLog.sealer.Subject(id)].n < 8 {
			t.Errorf("%s: %d records", id, heads[s.auditLog.sealer.Subject(id)].n)
		}
	}
	found := 0
	for _, r := range logged(t, s.store) {
		if r.Code == "read" && r.Status == 404 && len(r.Patients) == 0 {
			found++
		}
	}
	if found != 8*3 {
		t.Errorf("%d reads of what is not there", found)
	}
}

func TestALogOfAnotherSecretIsRefused(t *testing.T) {
	s := open(t, withLog(1))
	with := func(fill byte) error {
		o, err := defaults()
		if err != nil {
			t.Fatal(err)
		}
		o.Store = s.store
		withLog(fill)(&o)
		_, err = start(t.Context(), o, false)
		return err
	}
	if err := with(2); err != nil {
		t.Errorf("an empty log is refused: %v", err)
	}
	trail := NewTrail(audit.Record{})
	if err := s.LogTrail(t.Context(), trail, 200, nil); err != nil {
		t.Fatal(err)
	}
	if err := with(2); err == nil || !strings.Contains(err.Error(), "secret") {
		t.Errorf("the log of another secret is taken: %v", err)
	}
	if err := with(1); err != nil {
		t.Error(err)
	}
}

// A service that keeps no log does not say that it could prove one.
func TestOperationsOfTheLogAreListedWhereThereIsOne(t *testing.T) {
	for want, s := range map[bool]*Service{
		false: open(t),
		true:  open(t, withTree(t)),
	} {
		if got := bytes.Contains(s.capabilities(), []byte("/OperationDefinition/AuditEvent-proof")); got != want {
			t.Errorf("$proof is listed: %t, and should be: %t", got, want)
		}
	}
}
