package resilience

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"aftercare/service/store/postgrestest"
)

// large is a transaction that is staged for a while: a patient and so many observations of him.
func large(mark string, n int) string {
	entries := []string{entry("POST Patient", marked(patient, mark), `"fullUrl":"urn:uuid:28eb64ec-d816-5b09-b47d-2c7cf126e34a",`)}
	for range n {
		entries = append(entries, entry("POST Observation", marked(observation, mark), ""))
	}
	return bundle(entries...)
}

// staging is how far somebody has come who stages: nothing, if nobody does.
type staging struct {
	begins, holder int64
	staged         int
}

func stagingNow(t testing.TB, db *sql.DB) (s staging) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), `SELECT begins, coalesce((SELECT holder FROM lease WHERE name = 'staging'), 0), (SELECT count(*) FROM staged)
		FROM horizon`).Scan(&s.begins, &s.holder, &s.staged); err != nil {
		t.Fatal(err)
	}
	return s
}

// untilStaging waits until something is staged.
func untilStaging(t testing.TB, db *sql.DB) {
	t.Helper()
	eventually(t, "something is staged", func() bool { return stagingNow(t, db).staged > 0 })
}

// free is whether others can write to a database. It cannot where a process was stopped in the
// middle of a write.
func free(t testing.TB, database string) bool {
	t.Helper()
	path, ok := strings.CutPrefix(database, "sqlite:")
	if !ok {
		return true
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(50)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		return false
	}
	_ = tx.Rollback()
	return true
}

// halt stops a process (SIGSTOP) that stages, where it does not keep others from writing.
func (p *program) halt(t testing.TB, database string, db *sql.DB) {
	t.Helper()
	for {
		untilStaging(t, db)
		p.signal(t, syscall.SIGSTOP)
		eventually(t, "it stands still", p.standsStill)
		if free(t, database) && stagingNow(t, db).staged > 0 {
			return
		}
		p.signal(t, syscall.SIGCONT)
	}
}

// standsStill is whether all threads have stopped, which takes a moment.
func (p *program) standsStill() bool {
	states, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.process.Process.Pid))
	for _, path := range states {
		text, e := os.ReadFile(path)
		if _, state, _ := strings.Cut(string(text), ") "); e == nil && !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return err == nil && len(states) > 0
}

func (p *program) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := p.process.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// onBoth runs a test on a database of each engine that several processes may use. On PostgreSQL,
// what a process began that was stopped ends sooner than it does by default.
func onBoth(t *testing.T, test func(t *testing.T, database string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite:"+filepath.Join(t.TempDir(), "staging.db")) })
	t.Run("postgres", func(t *testing.T) {
		test(t, postgrestest.Start(t, "fsync=on").Database(t)+"&idle_in_transaction_session_timeout=2000")
	})
}

// count is how many observations have a mark.
func (c *client) count(t testing.TB, mark string) string {
	t.Helper()
	return c.must(t, 200, "GET /fhir/Observation?_summary=count&identifier="+system+"|"+mark, "").at("total")
}

// TestDiesWhileStaging kills a process that stages a large transaction. Another's is stored
// within a limit that leaves room for the lease and little more; and where none comes, what was
// staged is removed all the same.
func TestDiesWhileStaging(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		one, two := newProgram(t, database), newProgram(t, database, "AFTERCARE_REQUEST_LIMIT=30s")
		one.start(t)
		two.start(t)
		db := openTables(t, database)
		for round, wait := range []bool{false, true} {
			mark := fmt.Sprint("dead-", round)
			c := one.client(t)
			answered := make(chan answer, 1)
			go func() { answered <- c.send("POST /fhir", large(mark, 3000)) }()
			untilStaging(t, db)
			one.kill()
			if a := <-answered; a.status != 0 {
				t.Fatalf("it was answered already: %d", a.status)
			}
			if wait {
				eventually(t, "nothing is staged", func() bool { return stagingNow(t, db).staged == 0 })
			} else {
				two.client(t).must(t, 200, "POST /fhir", large("living", 300))
			}
			if n := two.client(t).count(t, mark); n != "0" {
				t.Errorf("%s of the dead one are there", n)
			}
			one.start(t)
		}
		if n := one.client(t).count(t, "living"); n != "300" {
			t.Errorf("%s of the living one are there", n)
		}
		one.stop(t)
		two.stop(t)
		checkTables(t, database)
	})
}

// TestStopsWhileStaging stops a process that stages (SIGSTOP), and lets it go on (SIGCONT) when
// another has taken its place. It must not go on as if nothing had been.
func TestStopsWhileStaging(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		one, two := newProgram(t, database, "AFTERCARE_REQUEST_LIMIT=1m"), newProgram(t, database, "AFTERCARE_REQUEST_LIMIT=1m")
		one.start(t)
		two.start(t)
		db := openTables(t, database)
		c := one.client(t)
		answered := make(chan answer, 1)
		go func() { answered <- c.send("POST /fhir", large("stopped", 3000)) }()
		one.halt(t, database, db)
		two.client(t).must(t, 200, "POST /fhir", large("other", 300))
		one.signal(t, syscall.SIGCONT)
		if a := <-answered; a.status != 200 { // it begins anew
			t.Errorf("it was answered with %d: %.300s", a.status, a.body)
		}
		for mark, want := range map[string]string{"stopped": "3000", "other": "300"} {
			if n := two.client(t).count(t, mark); n != want {
				t.Errorf("%s: %s are there, want %s", mark, n, want)
			}
		}
		one.stop(t)
		two.stop(t)
		checkTables(t, database)
	})
}

// TestCommandsBesideAService runs other commands on the database of a service that stages. They
// leave alone what it has staged.
func TestCommandsBesideAService(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		file := filepath.Join(t.TempDir(), "one.json")
		if err := os.WriteFile(file, []byte(named("loaded", "loaded")), 0o600); err != nil {
			t.Fatal(err)
		}
		p := newProgram(t, database, "AFTERCARE_REQUEST_LIMIT=1m") // it stands still for a part of that
		p.start(t)
		db := openTables(t, database)
		c := p.client(t)
		answered := make(chan answer, 1)
		go func() { answered <- c.send("POST /fhir", large("beside", 3000)) }()
		p.halt(t, database, db)
		before := stagingNow(t, db)
		for _, args := range [][]string{{"migrate"}, {"load", file}, {"export", filepath.Join(t.TempDir(), "export")}} {
			command := exec.Command(binary, args...)
			command.Env = p.environ
			if out, err := command.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", args[0], err, out)
			}
			// The server may have gone on with what it had been asked for already.
			if after := stagingNow(t, db); after.begins != before.begins || after.holder != before.holder || after.staged < before.staged {
				t.Errorf("%s changed what is staged from %+v to %+v", args[0], before, after)
			}
		}
		p.signal(t, syscall.SIGCONT)
		if a := <-answered; a.status != 200 {
			t.Errorf("it was answered with %d: %.300s", a.status, a.body)
		}
		if n := c.count(t, "beside"); n != "3000" {
			t.Errorf("%s are there", n)
		}
		c.must(t, 200, "GET /fhir/Basic/loaded", "")
		p.stop(t)
		checkTables(t, database)
	})
}

// TestCommitStandsStill has a commit that the database does not answer. Whoever sent the write
// is told in time that nobody knows what became of it.
func TestCommitStandsStill(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, "fsync=on")
	copying := newLink(t, server.Address())
	server.Standby(t, copying.listener.Addr().String())
	database := server.Database(t)
	p := newProgram(t, database, "AFTERCARE_REQUEST_LIMIT=2s")
	p.start(t)
	c := p.client(t)
	works(t, c, "before")
	for again := 0; ; again++ {
		copying.stall()
		a := write(c, "committing") // the answer comes while nothing moves
		unavailable(t, "a write", a)
		if a.outcome() == unknown {
			break
		}
		if again == 12 {
			t.Fatalf("it is told to be known: %s", a.body)
		}
		copying.resume() // what stood still was a commit of the program itself, such as one for its leases
		works(t, c, "between")
	}
	behind := write(c, "behind") // it has no turn
	unavailable(t, "a write behind it", behind)
	if behind.outcome() != refused {
		t.Errorf("it is told to be unknown: %s", behind.body)
	}
	copying.resume()
	works(t, c, "after")
	if a := c.send("GET /fhir/Basic/committing", ""); a.status != 200 {
		t.Errorf("the commit was under way; now it reads as %d", a.status)
	}
	c.must(t, 404, "GET /fhir/Basic/behind", "")
	p.stop(t)
	checkTables(t, database)
}

// TestAnotherHoldsTheLock has another session hold the lock of those who write, for longer than
// a request may take.
func TestAnotherHoldsTheLock(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, "fsync=on")
	database := server.Database(t)
	p := newProgram(t, database, "AFTERCARE_REQUEST_LIMIT=2s")
	p.start(t)
	c := p.client(t)
	works(t, c, "before")
	conn, err := openTables(t, database).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const writeLock int64 = 0x7091d4567104d971 // as in package store
	if _, err := conn.ExecContext(t.Context(), "SELECT pg_advisory_lock($1)", writeLock); err != nil {
		t.Fatal(err)
	}
	for _, send := range []func() answer{
		func() answer { return write(c, "held") },
		func() answer { return c.send("POST /fhir", large("held", 300)) },
	} {
		a := send()
		unavailable(t, "a write", a)
		if a.outcome() != refused {
			t.Errorf("it is told to be unknown: %s", a.body)
		}
	}
	if _, err := conn.ExecContext(t.Context(), "SELECT pg_advisory_unlock($1)", writeLock); err != nil {
		t.Fatal(err)
	}
	works(t, c, "after")
	c.must(t, 404, "GET /fhir/Basic/held", "")
	p.stop(t)
}
