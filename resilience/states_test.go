package resilience

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aftercare/service/store/postgrestest"
)

// unavailable expects an answer that says that the service cannot do this now, and when to come
// back.
func unavailable(t *testing.T, what string, a answer) {
	t.Helper()
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != http.StatusServiceUnavailable || a.at("resourceType") != "OperationOutcome" || a.issue() == "" || a.at("issue.diagnostics")+a.at("issue.details.text") == "" || err != nil || seconds < 1 {
		t.Errorf("%s: want 503 with an OperationOutcome and Retry-After, got %d %q %v: %.300s", what, a.status, a.header.Get("Retry-After"), a.err, a.body)
	}
	if strings.Contains(string(a.body), "postgres") || strings.Contains(string(a.body), "sqlite") {
		t.Errorf("%s: the answer speaks of the inside: %s", what, a.body)
	}
}

// probes expects that the process is alive, and ready or not.
func probes(t *testing.T, c *client, ready bool) {
	t.Helper()
	if a := c.send("GET /healthz", ""); a.status != 200 {
		t.Errorf("/healthz: %d %v", a.status, a.err)
	}
	a := c.send("GET /readyz", "")
	if ready && a.status != 200 {
		t.Errorf("/readyz: %d, and it works", a.status)
	} else if !ready {
		unavailable(t, "/readyz", a)
	}
}

// works waits until the service writes, reads and is ready, without having been started again.
func works(t *testing.T, c *client, id string) {
	t.Helper()
	eventually(t, "it writes", func() bool { return c.send("PUT /fhir/Basic/"+id, named(id, id)).outcome() == stored })
	c.must(t, 200, "GET /fhir/Basic/"+id, "")
	eventually(t, "it is ready", func() bool { return c.send("GET /readyz", "").status == 200 })
}

func write(c *client, id string) answer {
	return c.send("PUT /fhir/Basic/"+id, named(id, id))
}

// A database that is not there when the service starts ends it at once with one clear line:
// whoever runs it sees the reason, and starts it again.
func TestStartWithoutDatabase(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, database string, want ...string) {
		t.Helper()
		p := newProgram(t, database)
		ready, err := p.launch()
		if err != nil {
			t.Fatal(err)
		}
		if err := <-ready; err == nil {
			t.Fatal("it is ready")
		}
		if code := p.wait(t, time.Minute); code != 1 {
			t.Errorf("exit code %d", code)
		}
		_, said, _ := strings.Cut(p.tail(), "aftercare: AFTERCARE_DATABASE: ")
		for _, text := range want {
			if !strings.Contains(said, text) {
				t.Errorf("it says %q, which lacks %q", said, text)
			}
		}
		if strings.Contains(p.tail(), "secret") {
			t.Error("it tells the password")
		}
	}
	t.Run("nobody listens", func(t *testing.T) {
		refused(t, "postgres://aftercare:secret@127.0.0.1:1/aftercare", "connect to the database")
	})
	t.Run("the folder cannot be made", func(t *testing.T) {
		refused(t, "sqlite:/proc/none/a.db", "folder")
	})
	t.Run("it answers nothing", func(t *testing.T) {
		server := postgrestest.Start(t, "fsync=on")
		l := newLink(t, server.Address())
		l.stall()
		refused(t, strings.Replace(l.url(t, server.Database(t)), "postgres@", "postgres:secret@", 1), "connect to the database")
	})
	t.Run("it is read-only", func(t *testing.T) {
		server := postgrestest.Start(t, "fsync=on", "default_transaction_read_only=on")
		refused(t, server.URL("postgres"), "read")
	})
	t.Run("it is a standby", func(t *testing.T) {
		server := postgrestest.Start(t, "fsync=on")
		standby := server.Standby(t, server.Address())
		refused(t, standby.URL("postgres"), "standby")
	})
}

// TestDatabaseGoesAway stops the database under a service that runs.
func TestDatabaseGoesAway(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, "fsync=on")
	p := newProgram(t, server.Database(t))
	p.start(t)
	c := p.client(t)
	works(t, c, "before")
	server.Kill(t)
	for i := range 3 {
		unavailable(t, "a write", write(c, fmt.Sprint("away-", i)))
		unavailable(t, "a read", c.send("GET /fhir/Basic/before", ""))
		unavailable(t, "a search", c.send("GET /fhir/Basic?code=x", ""))
		unavailable(t, "a transaction", c.send("POST /fhir", bundle(entry("POST Patient", marked(patient, "away"), ""))))
		probes(t, c, false)
	}
	server.Restart(t)
	works(t, c, "after")
	c.must(t, 200, "GET /fhir/Basic/before", "")
	for i := range 3 {
		c.must(t, 404, fmt.Sprint("GET /fhir/Basic/away-", i), "")
	}
	p.stop(t)
}

// TestDatabaseStandsStill holds up the network to the database, and lets it go on.
func TestDatabaseStandsStill(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, "fsync=on")
	l := newLink(t, server.Address())
	p := newProgram(t, l.url(t, server.Database(t)), "AFTERCARE_REQUEST_LIMIT=2s")
	p.start(t)
	c := p.client(t)
	works(t, c, "before")
	for round := range 2 {
		before := goroutines(t, c)
		l.stall()
		var under sync.WaitGroup
		var first, many answer
		under.Go(func() { first = write(c, fmt.Sprint("first-", round)) }) // it has been taken on
		under.Go(func() { many = c.send("POST /fhir", large(fmt.Sprint("many-", round), 300)) })
		time.Sleep(200 * time.Millisecond)
		var limited sync.WaitGroup
		for i := range 20 {
			limited.Go(func() { unavailable(t, "a write", write(c, fmt.Sprintf("still-%d-%d", round, i))) })
			limited.Go(func() { unavailable(t, "a read", c.send("GET /fhir/Basic/before", "")) })
			limited.Go(func() { unavailable(t, "a search", c.send("GET /fhir/Basic?code=x", "")) })
		}
		probes(t, c, false)
		limited.Wait() // they end although nothing moves
		under.Wait()
		unavailable(t, "the first write", first)
		unavailable(t, "a large transaction", many)
		if round == 1 { // what was under way never arrives
			l.cut()
		}
		l.resume()
		works(t, c, fmt.Sprint("after-", round))
		if first.outcome() == refused {
			c.must(t, 404, fmt.Sprint("GET /fhir/Basic/first-", round), "")
		}
		if n := c.count(t, fmt.Sprint("many-", round)); many.outcome() == refused && n != "0" {
			t.Errorf("%s are there of a large transaction that was refused", n)
		}
		for i := range 20 {
			c.must(t, 404, fmt.Sprintf("GET /fhir/Basic/still-%d-%d", round, i), "")
		}
		eventually(t, "the goroutines have ended", func() bool {
			c.http.CloseIdleConnections()
			return goroutines(t, c) <= before+10
		})
	}
	p.stop(t)
}

// goroutines is how many the process has.
func goroutines(t *testing.T, c *client) int {
	t.Helper()
	a := c.must(t, 200, "GET /metrics", "")
	for line := range strings.Lines(string(a.body)) {
		if strings.HasPrefix(line, "go_goroutine_count{") {
			n, err := strconv.Atoi(strings.TrimSpace(line[strings.LastIndex(line, " "):]))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("the metrics tell no number of goroutines")
	return 0
}

// TestConnectionsAreCut ends connections at random moments under load, some in the middle of a
// transaction.
func TestConnectionsAreCut(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, "fsync=on")
	database := server.Database(t)
	l := newLink(t, server.Address())
	p := newProgram(t, l.url(t, database))
	p.start(t)
	ledger := newLedger()
	load := startLoad(t, p.client(t), ledger, "cut")
	for range 40 {
		time.Sleep(time.Duration(20+rand.IntN(100)) * time.Millisecond)
		if rand.IntN(8) == 0 {
			l.refuse()
			time.Sleep(200 * time.Millisecond)
			l.accept()
		} else {
			l.cut()
		}
	}
	load.stop()
	works(t, p.client(t), "after")
	settle(t, p, database)
	ledger.check(t, p.client(t))
	p.stop(t)
	checkTables(t, database)
}

// TestDatabaseIsReadOnly switches the database to read-only, as some hosts do when a disk is
// nearly full, and back. Whoever wants to be able to read then does without a complete log.
func TestDatabaseIsReadOnly(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, "fsync=on")
	database := server.Database(t)
	strict := newProgram(t, database)
	strict.start(t)
	p := newProgram(t, database, "AFTERCARE_AUDIT=best-effort")
	p.start(t)
	c := p.client(t)
	works(t, c, "before")
	for _, connections := range []string{"old", "new"} {
		t.Run(connections+" connections", func(t *testing.T) {
			server.Exec(t, "postgres", "ALTER SYSTEM SET default_transaction_read_only = on")
			server.Exec(t, "postgres", "SELECT pg_reload_conf()")
			if connections == "new" {
				server.Exec(t, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'aftercare'")
			}
			eventually(t, "writes are refused", func() bool { return write(c, "only-"+connections+strconv.FormatUint(rand.Uint64(), 36)).status == 503 })
			unavailable(t, "a write", write(c, "read-only-"+connections))
			c.must(t, 200, "GET /fhir/Basic/before", "")
			c.must(t, 200, "GET /fhir/Basic?_id=before", "")
			unavailable(t, "a read that the log cannot have", strict.client(t).send("GET /fhir/Basic/before", ""))
			probes(t, c, true) // for those who read
			server.Exec(t, "postgres", "ALTER SYSTEM RESET default_transaction_read_only")
			server.Exec(t, "postgres", "SELECT pg_reload_conf()")
			works(t, c, "after-"+connections)
			c.must(t, 404, "GET /fhir/Basic/read-only-"+connections, "")
			works(t, strict.client(t), "after-strictly-"+connections)
		})
	}
	strict.stop(t)
	p.stop(t)
}

// TestTooManyConnections takes all connections of the server away but those that are in use.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, "fsync=on", "max_connections=20")
	database := server.Database(t)
	p := newProgram(t, database)
	p.start(t)
	c := p.client(t)
	works(t, c, "before")
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var taken []*sql.Conn
	takeAll := func() {
		for {
			conn, err := db.Conn(t.Context())
			if err != nil {
				return
			}
			taken = append(taken, conn)
		}
	}
	takeAll()
	var under sync.WaitGroup
	for i := range 50 {
		under.Go(func() {
			if a := c.send("GET /fhir/Basic/before", ""); a.status != 200 {
				unavailable(t, "a read", a)
			}
		})
		under.Go(func() {
			if a := write(c, fmt.Sprint("crowd-", i)); a.status != 201 {
				unavailable(t, "a write", a)
			}
		})
	}
	under.Wait()
	// Without a connection left, not even one that it had. It is quick to make a new one, for what
	// goes on in the background.
	eventually(t, "it has no connection", func() bool {
		if _, err := taken[0].ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'aftercare'"); err != nil {
			t.Fatal(err)
		}
		takeAll()
		left := 0
		if err := taken[0].QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aftercare'").Scan(&left); err != nil {
			t.Fatal(err)
		}
		return left == 0
	})
	unavailable(t, "a write", write(c, "none-left"))
	unavailable(t, "a read", c.send("GET /fhir/Basic/before", ""))
	probes(t, c, false)
	for _, conn := range taken {
		conn.Close()
	}
	db.Close()
	works(t, c, "after")
	p.stop(t)
}

// TestDiskIsFull lets the files of a SQLite database grow no further for a while.
func TestDiskIsFull(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("prlimit"); err != nil {
		t.Skip("there is no prlimit (package util-linux)")
	}
	for _, audit := range []string{"required", "best-effort"} {
		t.Run(audit, func(t *testing.T) { diskIsFull(t, audit) })
	}
}

func diskIsFull(t *testing.T, audit string) {
	database := "sqlite:" + filepath.Join(t.TempDir(), "full.db")
	p := newProgram(t, database, "AFTERCARE_AUDIT="+audit)
	p.start(t)
	c := p.client(t)
	works(t, c, "before")
	limit := func(size string) {
		t.Helper()
		if out, err := exec.Command("prlimit", "--pid", strconv.Itoa(p.process.Process.Pid), "--fsize="+size+":").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	ledger := newLedger()
	load := startLoad(t, c, ledger, "full")
	limit("8388608")
	eventually(t, "the disk is full", func() bool { return write(c, "fill-"+strconv.FormatUint(rand.Uint64(), 36)).status == 503 })
	large := strings.Replace(named("large", "large"), "made for a test", strings.Repeat("x", 1<<20), 1)
	full := c.send("PUT /fhir/Basic/large", large)
	unavailable(t, "a write", full)
	for _, read := range []string{"GET /fhir/Basic/before", "GET /fhir/Basic?_id=before"} {
		if a := c.send(read, ""); audit == "required" {
			unavailable(t, "a read that the log cannot have", a)
		} else if a.status != 200 {
			t.Errorf("%s: %d %s", read, a.status, a.body)
		}
	}
	if a := c.send("GET /healthz", ""); a.status != 200 {
		t.Errorf("/healthz: %d", a.status)
	}
	time.Sleep(300 * time.Millisecond)
	limit("unlimited")
	works(t, c, "after")
	time.Sleep(300 * time.Millisecond)
	load.stop()
	c.must(t, 404, "GET /fhir/Basic/large", "")
	ledger.check(t, c)
	settle(t, p, database)
	ledger.check(t, c)
	p.stop(t)
	checkTables(t, database)
}

// TestAnotherHoldsTheFile has another process write to a SQLite database for a long time.
func TestAnotherHoldsTheFile(t *testing.T) {
	t.Parallel()
	database := "sqlite:" + filepath.Join(t.TempDir(), "held.db")
	p := newProgram(t, database, "AFTERCARE_AUDIT=off")
	p.start(t)
	c := p.client(t)
	works(t, c, "before")
	conn, err := openTables(t, database).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	unavailable(t, "a write", write(c, "held"))
	c.must(t, 200, "GET /fhir/Basic/before", "")
	probes(t, c, false)
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	works(t, c, "after")
	p.stop(t)
}
