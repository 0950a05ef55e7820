package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/service/store/postgrestest"

	"pgregory.net/rapid"
)

// quick is a beat for tests: a lease ends after a quarter of a second.
const quick = 30 * time.Millisecond

// calm is one for tests in which a holder must be able to keep its lease on a machine that is busy.
const calm = 100 * time.Millisecond

// onEach runs a test with the URL of an empty database of each engine.
func onEach(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, postgrestest.Database(t)) })
}

// A watcher takes a lease when it has seen it stand still for long enough, and has been able to
// look all that time.
func TestWatch(t *testing.T) {
	const beat = time.Second
	held := leaseRow{holder: 7, beat: 1}
	type step struct {
		after time.Duration
		row   leaseRow
	}
	looks := func(n int, after time.Duration, row leaseRow) (steps []step) {
		for range n {
			steps = append(steps, step{after, row})
		}
		return steps
	}
	for name, c := range map[string]struct {
		own   int64
		steps []step
		free  bool
	}{
		"nobody has it":                          {0, looks(1, 0, leaseRow{}), true},
		"it was handed over":                     {0, looks(1, 0, leaseRow{0, 9}), true},
		"somebody has it":                        {0, looks(1, time.Hour, held), false},
		"it stands still for long":               {0, looks(1+leaseLength, beat, held), true},
		"it does not stand still for long":       {0, looks(leaseLength, beat, held), false},
		"it moves":                               {0, append(looks(leaseLength, beat, held), looks(leaseLength, beat, leaseRow{7, 2})...), false},
		"another has it now":                     {0, append(looks(leaseLength, beat, held), looks(leaseLength, beat, leaseRow{8, 1})...), false},
		"the beat goes back":                     {0, append(looks(leaseLength, beat, leaseRow{7, 5}), looks(leaseLength, beat, held)...), false},
		"nobody could look for a day":            {0, looks(2, 24*time.Hour, held), false},
		"nobody could look for a day, and again": {0, looks(leaseLength, 24*time.Hour, held), false},
		"many looks at once":                     {0, looks(1000, time.Millisecond, held), false},
		"many looks for long":                    {0, looks(8001, time.Millisecond, held), true},
		"it is this process's own":               {7, looks(1, 0, held), true},
	} {
		t.Run(name, func(t *testing.T) {
			w, now, free := watch{own: c.own}, time.Now(), false
			for _, s := range c.steps {
				now = now.Add(s.after)
				free = w.free(s.row, now, beat)
			}
			if free != c.free {
				t.Errorf("free is %v", free)
			}
		})
	}
	t.Run("one who beats is never robbed, however the looks fall", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			w, now, still, row := watch{}, time.Now(), 0, held
			for range rapid.IntRange(1, 200).Draw(rt, "looks") {
				if still++; rapid.Bool().Draw(rt, "beat") || still == leaseLength {
					row.beat, still = row.beat+1, 0
				}
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(rt, "after")))
				if w.free(row, now, beat) {
					rt.Fatal("it was taken")
				}
			}
		})
	})
}

// journal is a table of what those who held a lease have written, in the order in which they did.
func journal(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		return tx.exec(ctx, `CREATE TABLE IF NOT EXISTS journal (n BIGINT PRIMARY KEY, holder BIGINT NOT NULL)`)
	}); err != nil {
		t.Fatal(err)
	}
}

func enter(ctx context.Context, l *Lease) error {
	return l.Write(ctx, func(ctx context.Context, tx *Tx) error {
		return tx.exec(ctx, `INSERT INTO journal (n, holder) SELECT coalesce(max(n), 0) + 1, $1 FROM journal`, l.holder)
	})
}

// checkJournal reports a holder who wrote although another had written since, and returns how
// many there were.
func checkJournal(t testing.TB, s *Store) (holders int) {
	t.Helper()
	ended := map[int64]bool{}
	last, entries := int64(0), 0
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		return r.rows(ctx, `SELECT holder FROM journal ORDER BY n`, nil, func(scan func(...any) error) error {
			var holder int64
			err := scan(&holder)
			if entries++; holder != last {
				if ended[holder] {
					t.Errorf("entry %d is of one whose lease was lost", entries)
				}
				ended[last], last = true, holder
				holders++
			}
			return err
		})
	}); err != nil {
		t.Fatal(err)
	}
	return holders
}

// worker is a process, as far as leases go.
type worker struct {
	store *Store
	stop  context.CancelFunc
	ended sync.WaitGroup
	runs  atomic.Int64 // how often its work has begun
}

// startWorker holds a lease and enters in the journal as often as it can.
func startWorker(s *Store, at *atomic.Int64, overlaps *atomic.Int64) *worker {
	w := &worker{store: s}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	w.ended.Go(func() {
		s.Hold(ctx, "work", func(ctx context.Context, l *Lease) {
			w.runs.Add(1)
			if at.Add(1) != 1 {
				overlaps.Add(1)
			}
			defer at.Add(-1)
			for ctx.Err() == nil && !errors.Is(enter(ctx, l), ErrLost) {
				_ = pause(ctx, time.Millisecond)
			}
		})
	})
	return w
}

func (w *worker) end() { w.stop(); w.ended.Wait() }

func freeNow(t testing.TB, s *Store, name string) (free bool) {
	t.Helper()
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		row, err := r.lease(ctx, name)
		free = row.holder == 0
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return free
}

// TestHold has three stores on one database, with clocks a day apart, of which one works.
func TestHold(t *testing.T) {
	apart := func(t *testing.T, url string) (stores []*Store) {
		for _, off := range []time.Duration{-24 * time.Hour, 0, 24 * time.Hour} {
			stores = append(stores, openURL(t, url, Options{beat: quick, Now: func() time.Time { return time.Now().Add(off) }}))
		}
		journal(t, stores[0])
		return stores
	}
	onEach(t, func(t *testing.T, url string) {
		t.Run("one works, and when it ends cleanly another does", func(t *testing.T) {
			stores := apart(t, url)
			var at, overlaps atomic.Int64
			var workers []*worker
			for _, s := range stores {
				workers = append(workers, startWorker(s, &at, &overlaps))
			}
			for left := len(workers); left > 0; left-- {
				var one *worker
				eventually(t, "one works", func() bool {
					for _, w := range workers {
						if w.runs.Load() > 0 {
							one = w
						}
					}
					return one != nil
				})
				one.end()
				if one.runs.Store(0); left == 1 && !freeNow(t, one.store, "work") {
					t.Error("it was not handed over")
				}
			}
			if overlaps.Load() != 0 {
				t.Error("two worked at the same time")
			}
			checkJournal(t, stores[0])
		})
		t.Run("when one dies another goes on", func(t *testing.T) {
			stores := apart(t, url)
			l := take(t, stores[2], "work")
			if err := enter(t.Context(), l); err != nil {
				t.Fatal(err)
			}
			var at, overlaps atomic.Int64
			w := startWorker(stores[0], &at, &overlaps) // whose clock is two days behind
			eventually(t, "the other works", func() bool { return w.runs.Load() > 0 })
			if err := enter(t.Context(), l); !errors.Is(err, ErrLost) {
				t.Errorf("the dead one wrote: %v", err)
			}
			if err := l.release(t.Context()); err != nil {
				t.Error(err)
			}
			if freeNow(t, stores[0], "work") {
				t.Error("the dead one has handed over what it did not have")
			}
			w.end()
			checkJournal(t, stores[0])
		})
		t.Run("work that ends by itself begins again", func(t *testing.T) {
			s := openURL(t, url, Options{beat: quick})
			ctx, stop := context.WithCancel(t.Context())
			n := 0
			s.Hold(ctx, "short", func(context.Context, *Lease) {
				if n++; n == 3 {
					stop()
				}
			})
			if !freeNow(t, s, "short") {
				t.Error("it was not handed over")
			}
		})
		t.Run("names do not get into each other's way", func(t *testing.T) {
			s := openURL(t, url, Options{beat: quick})
			one, two := take(t, s, "one"), take(t, s, "two")
			for _, l := range []*Lease{one, two} {
				if err := l.release(t.Context()); err != nil {
					t.Error(err)
				}
				if err := l.Write(t.Context(), func(context.Context, *Tx) error { return nil }); !errors.Is(err, ErrLost) {
					t.Errorf("it wrote after it had handed over: %v", err)
				}
			}
		})
		t.Run("who doubts ends its work, and begins again where nobody else has", func(t *testing.T) {
			s := openURL(t, url, Options{beat: quick})
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			n := 0
			s.Hold(ctx, "doubt", func(ctx context.Context, l *Lease) {
				if n++; n == 2 {
					stop()
					return
				}
				release := hold(t, s) // nothing can be written
				<-ctx.Done()
				release()
			})
			if n != 2 {
				t.Errorf("it worked %d times", n)
			}
		})
	})
	t.Run("whatever happens to connections, no two write in turns", func(t *testing.T) {
		server := postgrestest.Start(t, "fsync=off")
		stores := apart(t, server.Database(t))
		var at, overlaps atomic.Int64
		var workers []*worker
		for _, s := range stores {
			workers = append(workers, startWorker(s, &at, &overlaps))
		}
		for range 15 {
			time.Sleep(100 * time.Millisecond)
			terminate(t, server)
		}
		server.Crash()
		time.Sleep(10 * quick)
		server.Restart(t)
		for i := range workers { // and all of them end and begin again
			workers[i].end()
			workers[i] = startWorker(stores[i], &at, &overlaps)
			time.Sleep(10 * quick)
		}
		for _, w := range workers {
			w.end()
		}
		if n := checkJournal(t, stores[0]); n < 2 {
			t.Errorf("%d have worked", n)
		}
	})
}

// take is a lease that is not renewed, as that of a process that has died.
func take(t testing.TB, s *Store, name string) (l *Lease) {
	t.Helper()
	var w watch
	eventually(t, "the lease is free", func() bool {
		var err error
		if l, err = s.look(t.Context(), name, &w); err != nil {
			t.Fatal(err)
		}
		return l != nil
	})
	return l
}

// TestHoldIsStopped stops a process that works (SIGSTOP), and lets it go on when another works
// already. It must not write any more.
func TestHoldIsStopped(t *testing.T) {
	if url := os.Getenv("STORE_TEST_HOLD"); url != "" {
		holdUntilKilled(t, url)
		return
	}
	onEach(t, func(t *testing.T, url string) {
		if !strings.HasPrefix(url, "sqlite:") {
			url += "&idle_in_transaction_session_timeout=1000" // where it is stopped in the middle of a write
		}
		s := openURL(t, url, Options{beat: quick})
		journal(t, s)
		child := exec.Command(os.Args[0], "-test.run=^TestHoldIsStopped$")
		child.Env = append(os.Environ(), "STORE_TEST_HOLD="+url)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		defer child.Wait()
		defer child.Process.Kill()
		var works, lost atomic.Int64
		go func() {
			for lines := bufio.NewScanner(out); lines.Scan(); {
				switch lines.Text() {
				case "works":
					works.Add(1)
				case "lost":
					lost.Add(1)
				}
			}
		}()
		signal := func(sig syscall.Signal) {
			if err := child.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
		}
		for round := range 3 {
			before := works.Load()
			eventually(t, "the child works", func() bool { return works.Load() > before })
			var at, overlaps atomic.Int64
			w := startWorker(s, &at, &overlaps)
			for w.runs.Load() == 0 {
				signal(syscall.SIGSTOP)
				// On a SQLite file it may have been in the middle of a write, which nobody can end
				// but itself: then it is let go, and stopped again.
				for deadline := time.Now().Add(3 * time.Second); w.runs.Load() == 0 && time.Now().Before(deadline); {
					time.Sleep(quick)
				}
				if w.runs.Load() == 0 {
					signal(syscall.SIGCONT)
					time.Sleep(quick / 2)
				}
			}
			signal(syscall.SIGCONT)
			eventually(t, "it has noticed", func() bool { return lost.Load() > int64(round) })
			w.end()
		}
		if n := checkJournal(t, s); n < 6 {
			t.Errorf("%d have worked", n)
		}
	})
}

func holdUntilKilled(t *testing.T, url string) {
	s := openURL(t, url, Options{beat: quick})
	s.Hold(context.Background(), "work", func(ctx context.Context, l *Lease) {
		for { // it does not even look at its context
			switch err := enter(context.Background(), l); {
			case err == nil:
				fmt.Println("works")
			case errors.Is(err, ErrLost):
				fmt.Println("lost")
				return
			}
			time.Sleep(quick / 3)
		}
	})
}

// leaseContract is what every engine must do with the leases of those who stage.
var leaseContract = map[string]func(t *testing.T, url string){
	"a dead one whose clock was ahead is followed soon": func(t *testing.T, url string) {
		dead := openURL(t, url, Options{beat: quick, Now: func() time.Time { return time.Now().Add(24 * time.Hour) }})
		g := stage(t, dead, stagedKinds(t, 100)...)
		g.stop()
		s := openURL(t, url, Options{beat: quick})
		reveal(t, s, stage(t, s, newOf(t, "Patient", "next")))
		if _, err := g.Add(t.Context(), t0, []New{newOf(t, "Patient", "late")}); !errors.Is(err, ErrLost) {
			t.Errorf("the dead one goes on: %v", err)
		}
		if err := dead.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.Reveal(ctx, g) }); !errors.Is(err, ErrLost) {
			t.Errorf("the dead one reveals: %v", err)
		}
		drop(t, g)
		if got := ids(t, s, "Patient") + ids(t, s, "Observation"); got != "next" {
			t.Errorf("found %q", got)
		}
		checkWhole(t, s)
	},
	"a living one whose clock is behind is not robbed": func(t *testing.T, url string) {
		slow := openURL(t, url, Options{beat: calm, Now: func() time.Time { return time.Now().Add(-24 * time.Hour) }})
		g := stage(t, slow, newOf(t, "Patient", "a"))
		s := openURL(t, url, Options{beat: calm})
		second := make(chan *Staging)
		go func() {
			next, err := s.Stage(context.Background())
			if err != nil {
				t.Error(err)
			}
			second <- next
		}()
		time.Sleep(3 * leaseLength * calm) // without a step
		if _, err := g.Add(t.Context(), t0, []New{newOf(t, "Patient", "b")}); err != nil {
			t.Fatal(err)
		}
		reveal(t, slow, g)
		reveal(t, s, <-second)
		if got := ids(t, s, "Patient"); got != "a b" {
			t.Errorf("found %q", got)
		}
	},
	"a living one is not robbed while nobody can write": func(t *testing.T, url string) {
		s, other, third := openURL(t, url, Options{beat: calm}), openURL(t, url, Options{beat: calm}), openURL(t, url, Options{})
		g := stage(t, s, newOf(t, "Patient", "a"))
		second := make(chan *Staging)
		go func() {
			next, err := other.Stage(context.Background())
			if err != nil {
				t.Error(err)
			}
			second <- next
		}()
		for range 3 {
			release := hold(t, third)
			time.Sleep(2 * leaseLength * calm)
			release()
			time.Sleep(2 * calm)
		}
		if _, err := g.Add(t.Context(), t0, []New{newOf(t, "Patient", "b")}); err != nil {
			t.Fatal(err)
		}
		reveal(t, s, g)
		reveal(t, other, <-second)
		if got := ids(t, s, "Patient"); got != "a b" {
			t.Errorf("found %q", got)
		}
	},
	"a housekeeper removes what a dead one has left, and nothing of a living one": func(t *testing.T, url string) {
		s, dead := openURL(t, url, Options{beat: calm}), openURL(t, url, Options{beat: calm})
		put(t, s, "Patient", "there")
		before := fmt.Sprint(dump(t, s))
		g := stage(t, dead, stagedKinds(t, 100)...)
		ctx, end := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		ended.Go(func() { s.Housekeep(ctx) })
		time.Sleep(3 * leaseLength * calm)
		if _, err := g.Add(t.Context(), t0, []New{newOf(t, "Patient", "more")}); err != nil {
			t.Errorf("a living one was robbed: %v", err)
		}
		g.stop()
		eventually(t, "nothing is staged", func() bool { return fmt.Sprint(dump(t, s)) == before })
		end()
		ended.Wait()
		checkWhole(t, s)
	},
	"what is discarded is gone before the next begins": func(t *testing.T, url string) {
		s := openURL(t, url, Options{beat: quick})
		before := fmt.Sprint(dump(t, s))
		stage(t, s, stagedKinds(t, 300)...).Discard()
		drop(t, stage(t, s))
		if after := fmt.Sprint(dump(t, s)); before != after {
			t.Errorf("before: %v\nafter: %v", before, after)
		}
		g := stage(t, s, stagedKinds(t, 300)...)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		g.Discard() // too late for this process
		s = openURL(t, url, Options{beat: quick})
		drop(t, stage(t, s))
		if after := fmt.Sprint(dump(t, s)); before != after {
			t.Errorf("before: %v\nafter: %v", before, after)
		}
	},
	"one who opens the database beside it leaves it alone": func(t *testing.T, url string) {
		s := openURL(t, url, Options{})
		g := stage(t, s, newOf(t, "Patient", "a"))
		for i := range 3 {
			beside := openURL(t, url, Options{})
			put(t, beside, "Basic", fmt.Sprint("b", i))
			if err := beside.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := g.Add(t.Context(), t0, []New{newOf(t, "Patient", fmt.Sprint("a", i))}); err != nil {
				t.Fatal(err)
			}
		}
		reveal(t, s, g)
		if got := ids(t, s, "Patient"); got != "a a0 a1 a2" {
			t.Errorf("found %q", got)
		}
	},
	"one of an older program gives up what it has staged": func(t *testing.T, url string) {
		s := openURL(t, url, Options{})
		g := stage(t, s, newOf(t, "Patient", "old"))
		owner := func() (owner, expires int64) {
			if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
				_, err := r.row(ctx, `SELECT staging, expires FROM horizon`, nil, &owner, &expires)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return owner, expires
		}
		before, expires := owner()
		if now := time.Now().Add(1000 * time.Hour).UnixMicro(); expires < now {
			t.Error("an older program would take it")
		}
		if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error { // it has no row
			return tx.exec(ctx, `DELETE FROM lease`)
		}); err != nil {
			t.Fatal(err)
		}
		reveal(t, s, stage(t, s, newOf(t, "Patient", "new")))
		if after, expires := owner(); after == before || expires != 0 {
			t.Errorf("the owner is %d, as before; it expires at %d", after, expires)
		}
		if err := g.lease.Write(t.Context(), func(context.Context, *Tx) error { return nil }); !errors.Is(err, ErrLost) {
			t.Errorf("the first goes on: %v", err)
		}
		if got := ids(t, s, "Patient"); got != "new" {
			t.Errorf("found %q", got)
		}
	},
}

func TestStagingLease(t *testing.T) {
	for name, test := range leaseContract {
		t.Run(name, func(t *testing.T) { onEach(t, test) })
	}
}

// A write whose caller's time is over is answered, whatever the database does; then nothing of it
// is stored, or nobody knows.
func TestWriteIsGivenUp(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s := openURL(t, url, Options{})
		d := draft(t, "Patient", "")
		t.Run("one that stands still is left out, and its neighbours are stored", func(t *testing.T) {
			release := hold(t, s)
			still, stuck := make(chan struct{}), make(chan struct{})
			var runs atomic.Int64
			given := make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				given <- s.Write(ctx, func(ctx context.Context, tx *Tx) error {
					if _, err := tx.Put(ctx, d, "stuck", t0, "PUT", nil); err != nil {
						return err
					}
					if runs.Add(1) == 1 {
						close(stuck)
						<-still
					}
					return nil
				})
			}()
			queued(t, s, 1)
			others := make(chan error, 3)
			for i := range cap(others) {
				go func() { _, err := putAt(s, d, fmt.Sprint("other", i)); others <- err }()
			}
			queued(t, s, 1+cap(others))
			release()
			<-stuck
			cancel()
			wantKind(t, <-given, fhir.Unavailable) // although it has not returned
			close(still)
			for range cap(others) {
				if err := <-others; err != nil {
					t.Error(err)
				}
			}
			if got := ids(t, s, "Patient"); got != "other0 other1 other2" && len(strings.Fields(got)) != 3 {
				t.Errorf("found %q", got)
			}
			if _, err := get(t, s, "Patient", "stuck"); fhir.KindOf(err) != fhir.NotFound {
				t.Errorf("what was given up is stored: %v", err)
			}
			checkWhole(t, s)
		})
		t.Run("when nobody waits any more its statements end", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			err := s.Write(ctx, func(ctx context.Context, tx *Tx) error {
				cancel()
				<-ctx.Done()
				_, err := tx.Put(ctx, d, "late", t0, "PUT", nil)
				ended <- err
				return err
			})
			wantKind(t, err, fhir.Unavailable)
			wantKind(t, <-ended, fhir.Unavailable)
			put(t, s, "Patient", "next")
			if _, err := get(t, s, "Patient", "late"); fhir.KindOf(err) != fhir.NotFound {
				t.Errorf("what was given up is stored: %v", err)
			}
			checkWhole(t, s)
		})
		t.Run("one that is about to finish is finished", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			if err := s.Write(ctx, func(ctx context.Context, tx *Tx) error {
				cancel()
				time.Sleep(lastWait / 4)
				_, err := tx.Put(ctx, d, "finished", t0, "PUT", nil)
				return err
			}); err != nil {
				t.Error(err)
			}
			if _, err := get(t, s, "Patient", "finished"); err != nil {
				t.Error(err)
			}
		})
	})
}
