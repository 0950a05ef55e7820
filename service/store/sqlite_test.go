package store

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestSQLite(t *testing.T) {
	contract(t, freshSQLite)
}

func freshSQLite(t testing.TB) func() *Store {
	path := filepath.Join(t.TempDir(), "a", "test.db")
	return func() *Store { return openTest(t, path, Options{}) }
}

func openTest(t testing.TB, path string, o Options) *Store {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := Open(t.Context(), "sqlite:"+path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestOpenRefuses(t *testing.T) {
	for _, url := range []string{"", "postgres://user:secret@127.0.0.1:1/db", "sqlite:", "sqlite::memory:", "mysql:x", "test.db"} {
		s, err := Open(t.Context(), url, Options{Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			t.Errorf("%q was opened", url)
			_ = s.Close()
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q tells the password: %v", url, err)
		}
	}
	if _, err := Open(t.Context(), "sqlite:"+t.TempDir(), Options{}); err == nil {
		t.Error("a folder was opened")
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), "sqlite:"+text, Options{}); err == nil {
		t.Error("a text was opened")
	}
}

func TestFilesAreTheOwners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "odd ?#%41 name.db")
	s := openTest(t, path, Options{})
	put(t, s, "Patient", "a")
	for name, mode := range map[string]fs.FileMode{filepath.Dir(path): 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestPathMayBeRelative(t *testing.T) {
	t.Chdir(t.TempDir())
	put(t, openTest(t, "data/a.db", Options{}), "Patient", "a")
	if _, err := os.Stat("data/a.db"); err != nil {
		t.Error(err)
	}
}

func TestEveryConnectionIsSetUp(t *testing.T) {
	s := freshSQLite(t)()
	check := func(ctx context.Context, r *Reader, want map[string]string) {
		for pragma, value := range want {
			var got string
			if _, err := r.row(ctx, "PRAGMA "+pragma, nil, &got); err != nil || got != value {
				t.Errorf("%s is %s, want %s (%v)", pragma, got, value, err)
			}
		}
	}
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		check(ctx, &tx.Reader, map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "0", "busy_timeout": "0", "mmap_size": "0", "query_only": "0", "wal_autocheckpoint": "16000"})
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		check(ctx, r, map[string]string{"journal_mode": "wal", "query_only": "1", "mmap_size": "0"})
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestFullDisk fills the database and goes on using it.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := openTest(t, path, Options{maxPages: 150})
	big := draft(t, "Basic", `,"x":"`+strings.Repeat("y", 20000)+`"`)
	var mu sync.Mutex
	stored := map[string]bool{}
	full := 0
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for i := range 10 {
				id := fmt.Sprintf("b%d-%d", worker, i)
				err := s.Write(context.Background(), func(ctx context.Context, tx *Tx) error {
					_, err := tx.Put(ctx, big, id, t0, "PUT", []search.Row{{Param: param("Basic", "code", search.Token), Value: id}})
					if i%2 == 1 && err != nil {
						return nil // a caller that overlooks the failure must not be told it is stored
					}
					return err
				})
				mu.Lock()
				stored[id] = err == nil
				if err != nil {
					full++
					if fhir.KindOf(err) != fhir.Unavailable {
						t.Errorf("%s: %v", id, err)
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if full == 0 || full == len(stored) {
		t.Fatalf("%d of %d writes failed", full, len(stored))
	}
	check := func(s *Store) {
		for id, ok := range stored {
			if _, err := get(t, s, "Basic", id); (err == nil) != ok {
				t.Errorf("%s: answered %v, reads as %v", id, ok, err)
			}
		}
		checkWhole(t, s)
		var verdict string
		if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
			_, err := r.row(ctx, "PRAGMA integrity_check", nil, &verdict)
			return err
		}); err != nil || verdict != "ok" {
			t.Errorf("integrity: %s, %v", verdict, err)
		}
	}
	check(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, path, Options{})
	check(s)
	put(t, s, "Basic", "room-again")
}

// TestLongReadIsStopped ends views in the middle of a long query. The driver can miss a deadline
// that falls just before the engine's first step, and then runs the query to its end; so a few
// slow ones are forgiven, a wrong answer is not.
func TestLongReadIsStopped(t *testing.T) {
	s := freshSQLite(t)()
	put(t, s, "Patient", "a")
	long := func(ctx context.Context) (time.Duration, error) {
		began := time.Now()
		err := s.View(ctx, func(ctx context.Context, r *Reader) error {
			var n int64
			_, err := r.row(ctx, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) SELECT count(*) FROM n`, nil, &n)
			return err
		})
		return time.Since(began), err
	}
	whole, err := long(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slow := 0
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), whole/20)
		took, err := long(ctx)
		cancel()
		wantKind(t, err, fhir.Unavailable)
		if took > whole/2 {
			slow++
		}
	}
	if slow > 5 {
		t.Errorf("%d of 10 reads went on after their deadline", slow)
	}
	for range 2 * cap(s.idle) {
		if _, err := get(t, s, "Patient", "a"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBusy has another process's transaction in the way.
func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := openTest(t, path, Options{patience: 50 * time.Millisecond})
	other := sqliteDB(path, Options{}, nil)
	defer other.Close()
	c, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	d := draft(t, "Patient", "")
	err = s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		_, err := tx.Put(ctx, d, "a", t0, "PUT", nil)
		return err
	})
	wantKind(t, err, fhir.Unavailable)
	if _, err := c.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "Patient", "a")
}

// Two processes that write to a file all the time both have their turns, such as a service and a command
// beside it.
func TestBothHaveTheirTurn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	o := Options{patience: 2 * time.Second}
	var stores [2]*Store
	for i := range stores {
		stores[i] = openTest(t, path, o)
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for i := range 64 {
		d := draft(t, "Patient", "")
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := stores[0].Write(t.Context(), func(ctx context.Context, tx *Tx) error {
					_, err := tx.Put(ctx, d, fmt.Sprint("a", i), t0, "PUT", nil)
					return err
				}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 20 {
		put(t, stores[1], "Patient", "b")
		time.Sleep(time.Millisecond)
	}
	close(stop)
	writers.Wait()
}

// TestCommitFails lets a deferred constraint fail the commit itself.
func TestCommitFails(t *testing.T) {
	s := freshSQLite(t)()
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		return tx.exec(ctx, "CREATE TABLE child (x INTEGER REFERENCES resource (rid) DEFERRABLE INITIALLY DEFERRED)")
	}); err != nil {
		t.Fatal(err)
	}
	foreignKeys(t, s)
	c := make(chan error)
	d := draft(t, "Patient", "")
	write := func(f func(context.Context, *Tx) error) { go func() { c <- s.Write(context.Background(), f) }() }
	release := hold(t, s)
	write(func(ctx context.Context, tx *Tx) error { return tx.exec(ctx, "INSERT INTO child VALUES (999)") })
	write(func(ctx context.Context, tx *Tx) error {
		_, err := tx.Put(ctx, d, "a", t0, "PUT", nil)
		return err
	})
	queued(t, s, 2)
	release()
	failed := 0
	for range 2 {
		if err := <-c; err != nil {
			wantKind(t, err, fhir.Unavailable)
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("%d writes failed, want the one that cannot be committed", failed)
	}
	if _, err := get(t, s, "Patient", "a"); err != nil {
		t.Error(err)
	}
}

// foreignKeys switches them on for the committer, which is possible only between transactions.
func foreignKeys(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		for _, text := range []string{"COMMIT", "PRAGMA foreign_keys = 1", "BEGIN IMMEDIATE"} {
			if err := tx.exec(ctx, text); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
