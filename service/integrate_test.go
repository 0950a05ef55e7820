package service

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/store"
)

// withTree keeps a log with a tree.
func withTree(t testing.TB) func(*Options) {
	t.Helper()
	key := newLogKey(t, "127.0.0.1:8080/fhir")
	return func(o *Options) {
		withLog(1)(o)
		o.LogKey = key
	}
}

// newLogKey is a new key of a log with a name.
func newLogKey(t testing.TB, name string) *tree.Key {
	t.Helper()
	text, err := tree.NewKey(name)
	if err != nil {
		t.Fatal(err)
	}
	key, err := tree.ReadKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// note adds n records to the log, about a patient where one is named.
func note(t testing.TB, s *Service, n int, patients ...string) {
	t.Helper()
	if err := s.store.WriteLog(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for range n {
			if err := s.auditLog.Append(ctx, tx, audit.Record{Code: "read", Status: 200, Patients: patients}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func integrated(t testing.TB, s *Service) int64 {
	t.Helper()
	size, err := s.auditLog.integrate(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// What came right before the end of a service is in the tree when it has ended.
func TestTheEndIsInTheTree(t *testing.T) {
	s, _ := openTamperable(t, withTree(t))
	note(t, s, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.KeepIntegrated(ctx)
	if err := s.store.View(t.Context(), func(ctx context.Context, r *store.Reader) error {
		c, err := r.NewestCheckpoint(ctx)
		if err == nil && c.Size != 3 {
			t.Errorf("the newest checkpoint is of %d records", c.Size)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// Several services bring the same records into the tree while more come, and it is one tree, in which
// each record is proven at every checkpoint from its own on.
func TestManyBuildOneTree(t *testing.T) {
	with := withTree(t)
	s := open(t, with)
	o, err := defaults()
	if err != nil {
		t.Fatal(err)
	}
	o.Store = s.store
	with(&o)
	other, err := start(t.Context(), o, true)
	if err != nil {
		t.Fatal(err)
	}
	var working sync.WaitGroup
	for _, who := range []*Service{s, other} {
		working.Go(func() {
			for range 6 {
				note(t, who, 50)
				integrated(t, who)
			}
		})
	}
	working.Wait()
	if size := integrated(t, s); size != 600 {
		t.Fatalf("the tree has %d records", size)
	}
	var all []store.LogCheckpoint
	if err := s.store.View(t.Context(), func(ctx context.Context, r *store.Reader) (err error) {
		all, err = r.Checkpoints(ctx, 0, 1000)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var before tree.Checkpoint
	for _, stored := range all {
		c, err := tree.Open(stored.Note, o.LogKey.Verifier())
		if err != nil || c.Size != stored.Size {
			t.Fatal(c, err)
		}
		for _, position := range []int64{1, c.Size / 2, c.Size} {
			p, err := s.auditLog.Prove(t.Context(), max(position, 1), c.Size)
			if err != nil {
				t.Fatal(err)
			}
			if err := tree.VerifyInclusion(c, p.Row.Position-1, tree.LeafHash(p.Row.Leaf), p.Path); err != nil || string(p.Note) != string(stored.Note) {
				t.Error(err)
			}
		}
		if before.Size > 0 {
			if err := s.store.View(t.Context(), func(ctx context.Context, r *store.Reader) error {
				now, err := s.auditLog.tree(ctx, r)
				if err != nil {
					return err
				}
				path, err := tree.Consistency(before.Size, c.Size, now.hashes)
				if err != nil {
					return err
				}
				return tree.VerifyConsistency(before, c, path)
			}); err != nil {
				t.Error(err)
			}
		}
		before = c
	}
}

// A large backlog comes in over several steps, and a proof waits for its own record.
func TestABacklogComesIntoTheTree(t *testing.T) {
	s := open(t, withTree(t))
	note(t, s, treeBatch+10)
	p, err := s.auditLog.Prove(t.Context(), 3, 0)
	if err != nil || p.Checkpoint.Size != treeBatch {
		t.Errorf("proven at %d: %v", p.Checkpoint.Size, err)
	}
	if p, err = s.auditLog.Prove(t.Context(), treeBatch+1, 0); err != nil || p.Checkpoint.Size != treeBatch+10 {
		t.Errorf("proven at %d: %v", p.Checkpoint.Size, err)
	}
	if _, err := s.auditLog.Prove(t.Context(), treeBatch+11, 0); err == nil {
		t.Error("a record that is not there is proven")
	}
}

// The tree does not grow over what the service did not write, and says where that is.
func TestTheTreeDoesNotGrowOverWhatWasChanged(t *testing.T) {
	for name, c := range map[string]struct {
		change string
		want   string
	}{
		"a record that was changed":      {"UPDATE log SET leaf = (SELECT leaf FROM log WHERE pos = 14) WHERE pos = 15", "record 15 was not written"},
		"a record that was moved":        {"UPDATE log SET pos = 21 WHERE pos = 15", "record 15 is missing"},
		"a record that was removed":      {"DELETE FROM log WHERE pos = 15", "record 15 is missing"},
		"a record that was emptied":      {"UPDATE log SET leaf = NULL WHERE pos = 15", "record 15 has no content"},
		"a checkpoint that was changed":  {"UPDATE log_checkpoint SET note = (SELECT leaf FROM log WHERE pos = 1)", "checkpoint of 10 records"},
		"a checkpoint that was enlarged": {"UPDATE log_checkpoint SET size = 12", "checkpoint of 12 records"},
		"a tile that was removed":        {"DELETE FROM log_tile", "tile"},
		"a tile that was cut":            {"UPDATE log_tile SET data = (SELECT key FROM log WHERE pos = 1)", "tile"},
	} {
		t.Run(name, func(t *testing.T) {
			s, database := openTamperable(t, withTree(t))
			note(t, s, 10)
			integrated(t, s)
			note(t, s, 10)
			tamper(t, database, c.change)
			_, err := s.auditLog.integrate(t.Context(), 0)
			if !errors.As(err, new(*damage)) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Old checkpoints are thinned out, and the newest is kept.
func TestOldCheckpointsAreThinned(t *testing.T) {
	s := open(t, withTree(t))
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	s.auditLog.now = func() time.Time { return at }
	for i := range 90 {
		at = at.Add(30 * time.Second)
		if i >= 40 {
			at = at.Add(20 * time.Minute)
		}
		note(t, s, 1)
		integrated(t, s)
	}
	if err := s.auditLog.thin(t.Context()); err != nil {
		t.Fatal(err)
	}
	sizes := map[int64]bool{}
	if err := s.store.View(t.Context(), func(ctx context.Context, r *store.Reader) error {
		all, err := r.Checkpoints(ctx, 0, 1000)
		for _, c := range all {
			sizes[c.Size] = true
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if !sizes[90] || !sizes[89] || sizes[2] || len(sizes) < 70 || len(sizes) > 72 {
		t.Errorf("%d are left", len(sizes))
	}
	at = at.Add(48 * time.Hour)
	if err := s.auditLog.thin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.store.View(t.Context(), func(ctx context.Context, r *store.Reader) error {
		all, err := r.Checkpoints(ctx, 0, 1000)
		if n := len(all); n < 15 || n > 25 || all[n-1].Size != 90 {
			t.Errorf("%d are left", n)
		}
		hours := map[string]bool{}
		for _, c := range all {
			if hour := c.Made.Format("2006-01-02T15"); hours[hour] {
				t.Errorf("two are left of %s", hour)
			} else {
				hours[hour] = true
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, position := range []int64{1, 40, 90} {
		if _, err := s.auditLog.Prove(t.Context(), position, 0); err != nil {
			t.Error(strconv.FormatInt(position, 10), err)
		}
	}
}
