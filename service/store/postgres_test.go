package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store/postgrestest"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestPostgres(t *testing.T) {
	contract(t, freshPostgres)
}

func freshPostgres(t testing.TB) func() *Store {
	url := postgrestest.Database(t)
	return func() *Store { return openURL(t, url, Options{}) }
}

func openURL(t testing.TB, url string, o Options) *Store {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := Open(t.Context(), url, o)
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

// putAt stores the next version of a patient.
func putAt(s *Store, d *fhir.Draft, id string, rows ...search.Row) (version int64, err error) {
	err = s.Write(context.Background(), func(ctx context.Context, tx *Tx) error {
		r, err := tx.Put(ctx, d, id, t0, "PUT", rows)
		if err == nil {
			version = r.Version
		}
		return err
	})
	return version, err
}

// TestReplicas has several stores on one database, as several processes have.
func TestReplicas(t *testing.T) {
	both := func(t *testing.T) [2]*Store {
		open := freshPostgres(t)
		return [2]*Store{open(), open()}
	}
	t.Run("one of many conditional creates wins", func(t *testing.T) {
		s := both(t)
		d := draft(t, "Patient", "")
		var created atomic.Int64
		var met sync.Map
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				var made bool
				var id string
				if err := s[i%2].Write(t.Context(), func(ctx context.Context, tx *Tx) error {
					made = false
					page, err := tx.Search(ctx, &search.Query{Type: "Patient", Count: 2, Clauses: []search.Clause{clauseOf(patID, search.Value{System: "http://s", Value: "7"})}}, nil)
					if err != nil {
						return err
					}
					if len(page.Resources) > 0 {
						id = page.Resources[0].ID
						return nil
					}
					made, id = true, fmt.Sprint("p", i)
					_, err = tx.Create(ctx, d, id, t0, "POST", []search.Row{{Param: patID, System: "http://s", Value: "7"}})
					return err
				}); err != nil {
					t.Error(err)
				}
				met.Store(id, true)
				if made {
					created.Add(1)
				}
			})
		}
		wg.Wait()
		n := 0
		met.Range(func(any, any) bool { n++; return true })
		if created.Load() != 1 || n != 1 {
			t.Errorf("%d were created, %d ids were answered", created.Load(), n)
		}
		checkWhole(t, s[0])
	})
	t.Run("concurrent updates lose nothing", func(t *testing.T) {
		s := both(t)
		d := draft(t, "Patient", "")
		const n = 200
		versions := make([]int64, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				var err error
				if versions[i], err = putAt(s[i%2], d, "a", search.Row{Param: patName, Value: fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		slices.Sort(versions)
		for i, v := range versions {
			if v != int64(i+1) {
				t.Fatalf("versions are %v", versions)
			}
		}
		checkWhole(t, s[1])
	})
	t.Run("what one stores the other finds, with symbols and cursors of the first", func(t *testing.T) {
		s := both(t)
		for i := range 3 {
			put(t, s[0], "Patient", fmt.Sprint("p", i), search.Row{Param: patID, System: "http://fresh", Value: "1"})
		}
		q := &search.Query{Type: "Patient", Count: 2, Clauses: []search.Clause{clauseOf(patID, search.Value{System: "http://fresh", Value: "1"})}}
		page, err := find(t, s[0], q)
		if err != nil || len(page.Resources) != 2 {
			t.Fatalf("%+v, %v", page, err)
		}
		q.Cursor = page.Next
		if page, err = find(t, s[1], q); err != nil || len(page.Resources) != 1 || page.Resources[0].ID != "p2" {
			t.Errorf("%+v, %v", page, err)
		}
		put(t, s[1], "Patient", "p3", search.Row{Param: patID, System: "http://fresh", Value: "1"})
		if got := ids(t, s[0], "Patient", q.Clauses...); got != "p0 p1 p2 p3" {
			t.Errorf("found %q", got)
		}
	})
	t.Run("paging never misses what the other commits", func(t *testing.T) {
		s := both(t)
		d := draft(t, "Patient", "")
		const n = 150
		var wg sync.WaitGroup
		for replica := range 2 {
			wg.Go(func() {
				for i := range n {
					if _, err := putAt(s[replica], d, fmt.Sprintf("p%d-%d", replica, i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		seen := map[string]bool{}
		q := &search.Query{Type: "Patient", Count: 5}
		ended := make(chan struct{})
		go func() { wg.Wait(); close(ended) }()
		for last := false; ; {
			page, err := find(t, s[0], q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Resources {
				seen[r.ID] = true
			}
			if page.Next != "" {
				q.Cursor = page.Next
				continue
			}
			if last {
				break
			}
			select {
			case <-ended:
				last = true
			default:
			}
		}
		if len(seen) != 2*n {
			t.Errorf("%d of %d were seen", len(seen), 2*n)
		}
	})
	t.Run("all can be started at once on an empty database", func(t *testing.T) {
		open := freshPostgres(t)
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() { put(t, open(), "Patient", fmt.Sprint("p", i)) })
		}
		wg.Wait()
		checkWhole(t, open())
	})
}

func TestPostgresRefuses(t *testing.T) {
	server := postgrestest.Start(t, "fsync=off")
	empty := func(t *testing.T, sql ...string) string {
		url := server.Database(t)
		for _, text := range sql {
			server.Exec(t, name(url), text)
		}
		return url
	}
	for what, c := range map[string]struct {
		url  func(t *testing.T) string
		want string
	}{
		"no server":       {func(*testing.T) string { return "postgres://user:secret@127.0.0.1:1/db" }, "connect"},
		"a bad port":      {func(*testing.T) string { return "postgres://user:secret@host:99999/db" }, "port"},
		"a bad escape":    {func(*testing.T) string { return "postgres://user:sec%zzret@host/db" }, "percent"},
		"an open @":       {func(*testing.T) string { return "postgres://user:s@secret:x@host/db" }, "cannot be used"},
		"a bad parameter": {func(*testing.T) string { return "postgres://user:secret@host/db?sslmode=secret" }, "sslmode"},
		"one connection":  {func(*testing.T) string { return "postgres://user:secret@host/db?pool_max_conns=1" }, "pool_max_conns"},
		"no such database": {func(*testing.T) string {
			return "postgres://postgres:secret@" + server.Address() + "/missing"
		}, "does not exist"},
		"another encoding": {func(t *testing.T) string {
			server.Exec(t, "postgres", "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
			return server.URL("latin")
		}, "LATIN1"},
		"a read-only database": {func(t *testing.T) string {
			url := empty(t)
			server.Exec(t, "postgres", "ALTER DATABASE "+name(url)+" SET default_transaction_read_only = on")
			return url
		}, "read"},
		"a role that may not create tables": {func(t *testing.T) string {
			url := empty(t, "CREATE ROLE weak LOGIN", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
			return strings.Replace(url, "postgres@", "weak@", 1)
		}, "migrate"},
		"tables of a newer program": {func(t *testing.T) string {
			url := empty(t)
			openURL(t, url, Options{})
			server.Exec(t, name(url), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)")
			return url
		}, "newer"},
	} {
		t.Run(what, func(t *testing.T) {
			s, err := Open(t.Context(), c.url(t), Options{Logger: slog.New(slog.DiscardHandler)})
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") && what != "a bad parameter" {
				t.Errorf("the error says: %v", err)
			}
		})
	}
}

func TestServersThatDoNotSyncAreNamed(t *testing.T) {
	for setting, want := range map[string]bool{"fsync=on": false, "fsync=off": true, "full_page_writes=off": true} {
		var log bytes.Buffer
		s, err := Open(t.Context(), postgrestest.Start(t, setting).URL("postgres"), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if got := strings.Contains(log.String(), "loses data"); got != want {
			t.Errorf("%s: %s", setting, log.String())
		}
	}
}

// name is the database of a URL.
func name(url string) string {
	_, rest, _ := strings.Cut(url, "@/")
	rest, _, _ = strings.Cut(rest, "?")
	return rest
}

// TestWeakRole runs on tables that another role has made.
func TestWeakRole(t *testing.T) {
	server := postgrestest.Start(t, "fsync=off")
	url := server.Database(t)
	put(t, openURL(t, url, Options{}), "Patient", "a")
	for _, text := range []string{
		"CREATE ROLE worker LOGIN", "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO worker", "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO worker",
	} {
		server.Exec(t, name(url), text)
	}
	if r := put(t, openURL(t, strings.Replace(url, "postgres@", "worker@", 1), Options{}), "Patient", "a"); r.Version != 2 {
		t.Errorf("version %d", r.Version)
	}
}

func TestPostgresConnections(t *testing.T) {
	url := postgrestest.Database(t)
	setting := func(ctx context.Context, r *Reader, name string) (value string) {
		if _, err := r.row(ctx, "SELECT current_setting($1)", []any{name}, &value); err != nil {
			t.Error(err)
		}
		return value
	}
	s := openURL(t, url+"&statement_timeout=1234&synchronous_commit=off&pool_max_conns=3", Options{})
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		for name, want := range map[string]string{
			"synchronous_commit": "on", "statement_timeout": "1234ms", "lock_timeout": "30s", "transaction_isolation": "read committed",
			"join_collapse_limit": "1", "plan_cache_mode": "force_generic_plan", "application_name": "aftercare",
		} {
			if got := setting(ctx, &tx.Reader, name); got != want {
				t.Errorf("writing: %s is %s, want %s", name, got, want)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		for name, want := range map[string]string{
			"transaction_isolation": "repeatable read", "transaction_read_only": "on", "statement_timeout": "1234ms", "enable_hashjoin": "off",
		} {
			if got := setting(ctx, r, name); got != want {
				t.Errorf("reading: %s is %s, want %s", name, got, want)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	// Two read, so a third waits.
	hold := make(chan struct{})
	var busy sync.WaitGroup
	var ended sync.WaitGroup
	for range 2 {
		busy.Add(1)
		ended.Go(func() {
			_ = s.View(context.Background(), func(context.Context, *Reader) error { busy.Done(); <-hold; return nil })
		})
	}
	busy.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantKind(t, s.View(ctx, func(context.Context, *Reader) error { return nil }), fhir.Unavailable)
	close(hold)
	ended.Wait()
}

// TestQueryModes runs the statements in the ways that connection poolers may ask for.
func TestQueryModes(t *testing.T) {
	for _, mode := range []string{"exec", "simple_protocol", "describe_exec", "cache_describe"} {
		for name, check := range map[string]func(*testing.T, func() *Store){
			"updates":    concurrentUpdates,
			"content":    oddContentIsKept,
			"chains":     searchChains,
			"dates":      searchDates,
			"strings":    searchStrings,
			"missing":    searchMissing,
			"history":    historyScopes,
			"rollback":   rollbackLeavesNothing,
			"neighbours": neighboursAreSafe,
		} {
			t.Run(mode+" "+name, func(t *testing.T) {
				url := postgrestest.Database(t) + "&default_query_exec_mode=" + mode
				check(t, func() *Store { return openURL(t, url, Options{}) })
			})
		}
	}
}

// terminate ends all connections of the server's databases but its own.
func terminate(t testing.TB, server *postgrestest.Server) {
	t.Helper()
	server.Exec(t, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")
}

func TestLostConnections(t *testing.T) {
	server := postgrestest.Start(t, "fsync=off")
	t.Run("between transactions they are made again", func(t *testing.T) {
		s := openURL(t, server.Database(t), Options{})
		for i := range 3 {
			put(t, s, "Patient", "a")
			if _, err := get(t, s, "Patient", "a"); err != nil {
				t.Fatal(err)
			}
			terminate(t, server)
			if r, err := get(t, s, "Patient", "a"); err != nil || r.Version != int64(i+1) {
				t.Errorf("%+v, %v", r, err)
			}
		}
	})
	t.Run("in the middle of a write it runs again", func(t *testing.T) {
		s := openURL(t, server.Database(t), Options{})
		d := draft(t, "Patient", "")
		runs := 0
		err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
			if _, err := tx.Put(ctx, d, "a", t0, "PUT", nil); err != nil {
				return err
			}
			if runs++; runs == 1 {
				terminate(t, server)
			}
			_, err := tx.Get(ctx, "Patient", "a")
			return err
		})
		if r, e := get(t, s, "Patient", "a"); err != nil || e != nil || r.Version != 1 || runs != 2 {
			t.Errorf("ran %d times: %v; reads as %+v, %v", runs, err, r, e)
		}
		checkWhole(t, s)
	})
	t.Run("in the middle of a view it is unavailable", func(t *testing.T) {
		s := openURL(t, server.Database(t), Options{})
		put(t, s, "Patient", "a")
		err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
			if _, err := r.Get(ctx, "Patient", "a"); err != nil {
				t.Error(err)
			}
			terminate(t, server)
			_, err := r.Get(ctx, "Patient", "a")
			return err
		})
		wantKind(t, err, fhir.Unavailable)
		if _, err := get(t, s, "Patient", "a"); err != nil {
			t.Error(err)
		}
	})
	t.Run("a group goes on with the next connection", func(t *testing.T) {
		s := openURL(t, server.Database(t), Options{})
		d := draft(t, "Patient", "")
		release := hold(t, s)
		var wg sync.WaitGroup
		errs := make([]error, 20)
		var once sync.Once
		for i := range errs {
			wg.Go(func() {
				errs[i] = s.Write(context.Background(), func(ctx context.Context, tx *Tx) error {
					if i == 7 {
						once.Do(func() { terminate(t, server) })
					}
					_, err := tx.Put(ctx, d, fmt.Sprint("p", i), t0, "PUT", nil)
					return err
				})
			})
		}
		queued(t, s, len(errs))
		release()
		wg.Wait()
		for i, err := range errs {
			if _, missing := get(t, s, "Patient", fmt.Sprint("p", i)); (err == nil) != (missing == nil) {
				t.Errorf("write %d answered %v and reads as %v", i, err, missing)
			}
			if err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		}
		checkWhole(t, s)
	})
	t.Run("a server that is away makes everything unavailable, and comes back", func(t *testing.T) {
		s := openURL(t, server.Database(t), Options{})
		d := draft(t, "Patient", "")
		acknowledged := map[string]int64{}
		var mu sync.Mutex
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					id := fmt.Sprintf("p%d-%d", worker, i%5)
					version, err := putAt(s, d, id)
					if err != nil {
						wantKind(t, err, fhir.Unavailable)
						time.Sleep(time.Millisecond)
						continue
					}
					mu.Lock()
					acknowledged[id] = max(acknowledged[id], version)
					mu.Unlock()
				}
			})
		}
		time.Sleep(300 * time.Millisecond)
		server.Crash()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		wantKind(t, s.Ping(ctx), fhir.Unavailable)
		cancel()
		_, err := get(t, s, "Patient", "p0-0")
		wantKind(t, err, fhir.Unavailable)
		server.Restart(t)
		time.Sleep(300 * time.Millisecond)
		close(stop)
		wg.Wait()
		if len(acknowledged) == 0 {
			t.Fatal("nothing was stored")
		}
		for id, version := range acknowledged {
			if r, err := get(t, s, "Patient", id); err != nil || r.Version < version {
				t.Errorf("%s: version %d was acknowledged; %+v, %v", id, version, r, err)
			}
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		checkWhole(t, s)
	})
}

// proxy stands between a store and its server, and breaks connections.
type proxy struct {
	net.Listener
	to    string
	fault atomic.Int32 // taken by the next connection that is written to
	shut  atomic.Bool  // refuses new connections
}

const (
	loseRequest = 1 + iota // cut before what the store sends next gets through
	loseAnswer             // cut once the server has answered that
)

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, to: to}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if p.shut.Load() {
				c.Close()
				continue
			}
			wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return p
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer server.Close()
	var deaf atomic.Bool
	back := make(chan struct{})
	go func() {
		defer close(back)
		defer client.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil || deaf.Load() {
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	defer func() { server.Close(); <-back }()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		switch p.fault.Swap(0) {
		case loseRequest:
			return
		case loseAnswer:
			deaf.Store(true)
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
		if deaf.Load() {
			<-back // it was answered
			return
		}
	}
}

// TestLostCommit loses the connection when a transaction commits: what is answered must be what
// happened.
func TestLostCommit(t *testing.T) {
	server := postgrestest.Start(t, "fsync=off")
	for what, c := range map[string]struct {
		fault  int32
		shut   bool
		stored bool
		ok     bool
	}{
		"before the server has it":                     {loseRequest, false, true, true},
		"after the server has done it":                 {loseAnswer, false, true, true},
		"after the server has done it, and it is away": {loseAnswer, true, true, false},
	} {
		t.Run(what, func(t *testing.T) {
			p := newProxy(t, server.Address())
			database := name(server.Database(t))
			s := openURL(t, "postgres://postgres@"+p.Addr().String()+"/"+database+"?sslmode=disable", Options{})
			s.engine.(*postgresEngine).patience = 300 * time.Millisecond
			d := draft(t, "Patient", "")
			for range 2 { // so that all statements are prepared
				if _, err := putAt(s, d, "a"); err != nil {
					t.Fatal(err)
				}
			}
			const n = 3
			errs := make([]error, n)
			var runs atomic.Int32
			release := hold(t, s)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					errs[i] = s.Write(context.Background(), func(ctx context.Context, tx *Tx) error {
						runs.Add(1)
						if _, err := tx.Put(ctx, d, "a", t0, "PUT", nil); err != nil {
							return err
						}
						p.shut.Store(c.shut)
						return nil
					})
				})
			}
			queued(t, s, n)
			var once sync.Once
			// The last write of the group arms the fault, once its own reads are done.
			wg.Go(func() {
				_ = s.Write(context.Background(), func(ctx context.Context, tx *Tx) error {
					_, err := tx.Get(ctx, "Patient", "a")
					once.Do(func() { p.fault.Store(c.fault) })
					return err
				})
			})
			queued(t, s, n+1)
			release()
			wg.Wait()
			p.shut.Store(false)
			for _, err := range errs {
				if c.ok != (err == nil) {
					t.Errorf("answered %v", err)
				}
				if err != nil {
					wantKind(t, err, fhir.Unavailable)
				}
				if err != nil && !errors.Is(err, errUnknown) {
					t.Errorf("the error is %v", err)
				}
			}
			if want := map[int32]int32{loseRequest: 2 * n, loseAnswer: n}[c.fault]; runs.Load() != want {
				t.Errorf("the writes ran %d times, want %d", runs.Load(), want)
			}
			want := int64(2)
			if c.stored {
				want += n
			}
			if r, err := get(t, s, "Patient", "a"); err != nil || r.Version != want {
				t.Errorf("the newest version is %+v, want %d (%v); the writes ran %d times", r, want, err, runs.Load())
			}
			checkWhole(t, s)
			put(t, s, "Patient", "a")
		})
	}
}

// TestWriterWaits has another session in the way.
func TestWriterWaits(t *testing.T) {
	url := postgrestest.Database(t)
	s, other := openURL(t, url+"&lock_timeout=100", Options{}), openURL(t, url, Options{})
	release := hold(t, other)
	d := draft(t, "Patient", "")
	_, err := putAt(s, d, "a")
	wantKind(t, err, fhir.Unavailable)
	release()
	put(t, s, "Patient", "a")
	checkWhole(t, s)
}

func TestPostgresLongReadIsStopped(t *testing.T) {
	s := freshPostgres(t)()
	put(t, s, "Patient", "a")
	for range 2 * cap(s.idle) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		err := s.View(ctx, func(ctx context.Context, r *Reader) error {
			var n string
			_, err := r.row(ctx, "SELECT pg_sleep(60)::text", nil, &n)
			return err
		})
		cancel()
		wantKind(t, err, fhir.Unavailable)
	}
	for range 2 * cap(s.idle) {
		if _, err := get(t, s, "Patient", "a"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPostgresCommitFails(t *testing.T) {
	s := freshPostgres(t)()
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		return tx.exec(ctx, "CREATE TABLE child (x BIGINT REFERENCES resource (rid) DEFERRABLE INITIALLY DEFERRED)")
	}); err != nil {
		t.Fatal(err)
	}
	release := hold(t, s)
	c := make(chan error)
	d := draft(t, "Patient", "")
	go func() {
		c <- s.Write(context.Background(), func(ctx context.Context, tx *Tx) error { return tx.exec(ctx, "INSERT INTO child VALUES (999)") })
	}()
	queued(t, s, 1)
	go func() { _, err := putAt(s, d, "a"); c <- err }()
	queued(t, s, 2)
	release()
	failed := 0
	for range 2 {
		if err := <-c; err != nil {
			failed++
		}
	}
	if _, err := get(t, s, "Patient", "a"); err != nil || failed != 1 {
		t.Errorf("%d writes failed, want the one that cannot be committed; %v", failed, err)
	}
}

// TestLateErrors has statements fail that were kept back until later.
func TestLateErrors(t *testing.T) {
	engines := map[string]func(testing.TB) func() *Store{"sqlite": freshSQLite, "postgres": freshPostgres}
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)()
			put(t, s, "Patient", "taken")
			d := draft(t, "Patient", "")
			create := func(id string, fails error) error {
				return s.Write(context.Background(), func(ctx context.Context, tx *Tx) error {
					if _, err := tx.Create(ctx, d, id, t0, "POST", []search.Row{{Param: patName, Value: id}}); err != nil {
						return err
					}
					return fails
				})
			}
			wantKind(t, create("taken", nil), fhir.Conflict)
			release := hold(t, s)
			const n = 30
			errs := make([]error, n)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					switch {
					case i%10 == 3:
						errs[i] = create("taken", nil)
					case i%10 == 6:
						errs[i] = create(fmt.Sprint("p", i), errors.New("refused"))
					default:
						errs[i] = create(fmt.Sprint("p", i), nil)
					}
				})
			}
			queued(t, s, n)
			release()
			wg.Wait()
			for i, err := range errs {
				if want := i%10 == 3; want != (fhir.KindOf(err) == fhir.Conflict && err != nil) {
					t.Errorf("write %d: %v", i, err)
				}
				_, missing := get(t, s, "Patient", fmt.Sprint("p", i))
				if i%10 != 3 && (err == nil) != (missing == nil) {
					t.Errorf("write %d answered %v and reads as %v", i, err, missing)
				}
			}
			if r, err := get(t, s, "Patient", "taken"); err != nil || r.Version != 1 {
				t.Errorf("%+v, %v", r, err)
			}
			checkWhole(t, s)
		})
	}
}

func TestPostgresErrors(t *testing.T) {
	e := &postgresEngine{}
	for code, want := range map[string]struct {
		kind fhir.ErrorKind
		code string
	}{
		"53100": {fhir.Unavailable, "no-store"},
		"53300": {fhir.Unavailable, "transient"},
		"57P01": {fhir.Unavailable, "transient"},
		"57P03": {fhir.Unavailable, "transient"},
		"57014": {fhir.Unavailable, "transient"},
		"25006": {fhir.Unavailable, "transient"},
		"25P02": {fhir.Unavailable, "transient"},
		"08006": {fhir.Unavailable, "transient"},
		"58030": {fhir.Unavailable, "transient"},
		"0A000": {fhir.Unavailable, "transient"},
		"55P03": {fhir.Unavailable, "lock-error"},
		"40001": {fhir.Unavailable, "lock-error"},
		"40P01": {fhir.Unavailable, "lock-error"},
		"23505": {fhir.Conflict, "conflict"},
	} {
		err := e.failure(fmt.Errorf("in a test: %w", &pgconn.PgError{Code: code, Message: "secret", Detail: "secret"}))
		if err == nil || err.Kind != want.kind || err.Issues[0].Code != want.code || strings.Contains(err.Issues[0].Text, "secret") {
			t.Errorf("%s: %+v", code, err)
		}
	}
	for _, err := range []error{&pgconn.PgError{Code: "42601"}, &pgconn.PgError{}, errors.New("other")} {
		if got := e.failure(err); got != nil {
			t.Errorf("%v is taken for %v", err, got)
		}
	}
	if err := e.failure(lostError{net.ErrClosed}); err == nil || err.Kind != fhir.Unavailable {
		t.Errorf("a lost connection is %v", err)
	}
}
