package service

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"aftercare/fhir/search"
	"aftercare/service/audit"
	"aftercare/service/store"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// The log of BenchmarkLargeLog has as many events as AFTERCARE_BENCH_LOG says. They repeat some that are
// sealed once; who did what to whom is spread as in a clinic.
const (
	logPool     = 50_000
	logPatients = 20_000
	logAgents   = 50
	logSpacing  = 3 * time.Second
)

func pooledRecord(n int, r *rand.Rand) audit.Record {
	patient := strconv.Itoa(r.IntN(logPatients))
	user := r.IntN(logAgents * 10)
	rec := audit.Record{
		Code: "read", Type: "CarePlan", Target: "plan-" + patient, Status: 200,
		Agent: audit.Agent{
			Client: fmt.Sprint("app-", r.IntN(logAgents)), Issuer: "https://idp.example", Subject: fmt.Sprint("user-", user), User: fmt.Sprint("Practitioner/", user),
			TokenID: fmt.Sprint("token-", n/100), Address: "192.0.2.17",
		},
		Shown: []audit.Version{{Type: "CarePlan", ID: "plan-" + patient, Version: int64(1 + r.IntN(4))}}, Patients: []string{patient},
		RequestID: fmt.Sprint("request-", n), Trace: fmt.Sprintf("%032x", n), Span: "00f067aa0ba902b7", Caller: fmt.Sprintf("00-%032x-00f067aa0ba902b8-01", n),
	}
	switch k := r.IntN(10_000); {
	case k < 4500:
		rec.Code, rec.Target, rec.Query = "search-type", "", "GET CarePlan?patient="+patient
	case k < 5000:
		rec.Code = "update"
	case k < 5300:
		rec.Code, rec.Status = "create", 201
	case k < 5310:
		rec.Code, rec.Status = "delete", 204
	case k < 5311 && n%5 == 0:
		rec.Code, rec.Status, rec.Shown, rec.Patients = "delete", 503, nil, nil
	}
	switch k := r.IntN(10_000); {
	case rec.Status >= 400:
	case k < 100:
		rec.Status, rec.Reason, rec.Shown, rec.Patients = 403, "forbidden", nil, nil
	case k < 105:
		rec.Status, rec.Reason, rec.Shown, rec.Patients = 503, "transient", nil, nil
	}
	return rec
}

// buildLog writes n events straight into the tables of a log.
func buildLog(b *testing.B, s *Service, driver, database string, n int) {
	b.Helper()
	began := time.Now()
	r := rand.New(rand.NewPCG(1, 2))
	type sealed struct {
		leaf, key []byte
		terms     []int64
	}
	pool := make([]sealed, min(logPool, n))
	for i := range pool {
		rec := pooledRecord(i, r)
		rec.Recorded = logBegan
		leaf, key, err := s.auditLog.sealer.Seal(1, &rec, nil)
		if err != nil {
			b.Fatal(err)
		}
		pool[i] = sealed{leaf, key, s.logIndex.terms.Of(&rec)}
	}
	db, err := sql.Open(driver, database)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	positions := map[int64][]uint32{}
	bulk(b, db, "log", []string{"pos", "recorded", "leaf", "key"}, func(yield func([]any) bool) {
		for i := range n {
			p := &pool[r.IntN(len(pool))]
			for _, term := range p.terms {
				positions[term] = append(positions[term], uint32(i+1))
			}
			if !yield([]any{int64(i + 1), logBegan.Add(time.Duration(i) * logSpacing).UnixMicro(), p.leaf, p.key}) {
				return
			}
		}
	})
	b.Logf("%d events in %v", n, time.Since(began).Round(time.Second))
	rows := 0
	bulk(b, db, "log_term", []string{"term", "pos"}, func(yield func([]any) bool) {
		for _, term := range slices.Sorted(maps.Keys(positions)) {
			for _, position := range positions[term] {
				if rows++; !yield([]any{term, int64(position)}) {
					return
				}
			}
		}
	})
	if _, err := db.ExecContext(b.Context(), "UPDATE log_indexed SET pos = $1", n); err != nil {
		b.Fatal(err)
	}
	if driver == "pgx" {
		if _, err := db.ExecContext(b.Context(), "VACUUM ANALYZE log, log_term"); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%d entries of the index, %d of them of different terms, in %v", rows, len(positions), time.Since(began).Round(time.Second))
}

// bulk writes rows to a table: to SQLite a hundred thousand in a transaction, to PostgreSQL by COPY.
func bulk(b *testing.B, db *sql.DB, table string, columns []string, rows iter.Seq[[]any]) {
	b.Helper()
	c, err := db.Conn(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	next, stop := iter.Pull(rows)
	defer stop()
	copied := false
	if err := c.Raw(func(driver any) error {
		var pg *stdlib.Conn
		if pg, copied = driver.(*stdlib.Conn); !copied {
			return nil
		}
		_, err := pg.Conn().CopyFrom(b.Context(), pgx.Identifier{table}, columns, pgx.CopyFromFunc(func() ([]any, error) {
			row, _ := next()
			return row, nil
		}))
		return err
	}); err != nil {
		b.Fatal(err)
	}
	insert := func(q interface {
		ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
	}, rows []any) {
		one := ", (?" + strings.Repeat(", ?", len(columns)-1) + ")"
		text := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES " + strings.Repeat(one, len(rows)/len(columns))[2:]
		if _, err := q.ExecContext(b.Context(), text, rows...); err != nil {
			b.Fatal(err)
		}
	}
	for more := !copied; more; {
		tx, err := c.BeginTx(b.Context(), nil)
		if err != nil {
			b.Fatal(err)
		}
		for range 1000 {
			var some []any
			for len(some) < 100*len(columns) {
				row, ok := next()
				if more = ok; !more {
					break
				}
				some = append(some, row...)
			}
			if len(some) > 0 {
				insert(tx, some)
			}
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLargeLog asks what auditors ask of a log of AFTERCARE_BENCH_LOG events, 20,000 if that is not
// set. It tells the middle and the last but one percent of the times of the first page.
func BenchmarkLargeLog(b *testing.B) {
	n := 20_000
	if given := os.Getenv("AFTERCARE_BENCH_LOG"); given != "" {
		var err error
		if n, err = strconv.Atoi(given); err != nil {
			b.Fatal(err)
		}
	}
	database := newDatabase(b)
	s := open(b, withLog(1), func(o *Options) { o.Store = openStore(b, database) })
	driver, path := "pgx", database
	if file, sqlite := strings.CutPrefix(database, "sqlite:"); sqlite {
		driver, path = "sqlite", file+"?_pragma=synchronous(0)"
	}
	buildLog(b, s, driver, path, n)
	day := func() string {
		at := logBegan.Add(time.Duration(rand.IntN(n)) * logSpacing).UTC()
		return "date=ge" + at.Format(time.DateOnly) + "&date=lt" + at.AddDate(0, 0, 1).Format(time.DateOnly)
	}
	month := func() string {
		at := logBegan.Add(time.Duration(rand.IntN(n)) * logSpacing).UTC()
		return "date=" + at.Format("2006-01")
	}
	patient := func() string { return "patient=" + strconv.Itoa(rand.IntN(logPatients)) }
	agent := func() string { return fmt.Sprintf("agent:identifier=https://idp.example|app-%d", rand.IntN(logAgents)) }
	for _, c := range []struct {
		name  string
		query func() string
	}{
		{"newest", func() string { return "" }},
		{"day", day},
		{"patient", patient},
		{"patient+month", func() string { return patient() + "&" + month() }},
		{"patient+action", func() string { return patient() + "&action=U" }},
		{"agent", agent},
		{"agent+day", func() string { return agent() + "&" + day() }},
		{"agent+month+refused", func() string { return agent() + "&" + month() + "&outcome:not=0" }},
		{"user", func() string { return fmt.Sprint("agent=Practitioner/", rand.IntN(logAgents*10)) }},
		{"entity", func() string { return fmt.Sprint("entity=CarePlan/plan-", rand.IntN(logPatients)) }},
		{"request", func() string { return fmt.Sprint("entity:identifier=request-", rand.IntN(logPool)) }},
		{"outcome=4", func() string { return "outcome=4" }},
		{"outcome=0", func() string { return "outcome=0" }},
		{"action=D", func() string { return "action=D" }},
		{"outcome=8&action=D", func() string { return "outcome=8&action=D" }},
		{"agent&subtype=create,update", func() string { return agent() + "&subtype=create,update" }},
		{"two agents, nothing in common", func() string {
			return "agent:identifier=https://idp.example|app-1&agent:identifier=https://idp.example|app-2"
		}},
		{"patient, oldest first", func() string { return patient() + "&_sort=date" }},
		{"count of a patient", func() string { return patient() + "&_summary=count" }},
		{"count of an agent", func() string { return agent() + "&_summary=count" }},
		{"count of an agent's refusals", func() string { return agent() + "&outcome=4&_summary=count" }},
		{"count of reads", func() string { return "action=R&_summary=count" }},
		{"count of all", func() string { return "_summary=count" }},
	} {
		b.Run(c.name, func(b *testing.B) {
			var times []time.Duration
			for b.Loop() {
				began := time.Now()
				pairs, err := search.ParsePairs(c.query())
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.Search(b.Context(), Anonymous, "AuditEvent", pairs, false); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(began))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// BenchmarkLogIndex tells what indexing costs per event, in steps as they are made in the background.
func BenchmarkLogIndex(b *testing.B) {
	s := open(b, withLog(1))
	r := rand.New(rand.NewPCG(1, 2))
	n, cpu := 0, time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		if err := s.store.WriteLog(b.Context(), func(ctx context.Context, tx *store.Tx) error {
			for range logIndexStep {
				if err := s.auditLog.Append(ctx, tx, pooledRecord(n, r)); err != nil {
					return err
				}
				n++
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		before := cpuTime(b)
		if err := s.logIndex.follow(b.Context()); err != nil {
			b.Fatal(err)
		}
		cpu += cpuTime(b) - before
	}
	b.ReportMetric(float64(cpu.Microseconds())/float64(n), "cpu-µs/event")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/logIndexStep, "µs/event")
}

// cpuTime is the time that the process has had a processor for.
func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
