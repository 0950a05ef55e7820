package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"aftercare/fhir/search"
	"aftercare/service/store/postgrestest"
)

// benchEngines are the engines with what makes a write durable switched on. A PostgreSQL server is
// shared by the runs of a benchmark.
func benchEngines(b *testing.B, bench func(b *testing.B, fresh func(testing.TB) func() *Store)) {
	b.Run("sqlite", func(b *testing.B) { bench(b, freshSQLite) })
	b.Run("postgres", func(b *testing.B) {
		server := postgrestest.Start(b, "shared_buffers=512MB")
		bench(b, func(t testing.TB) func() *Store {
			url := server.Database(t)
			return func() *Store { return openURL(t, url, Options{}) }
		})
	})
}

// clients spreads b.N calls of f over n goroutines.
func clients(b *testing.B, n int, f func(i int64)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range n {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				f(i)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

// BenchmarkCreate stores observations of 1.2 KB with 5 index rows.
func BenchmarkCreate(b *testing.B) {
	benchEngines(b, func(b *testing.B, fresh func(testing.TB) func() *Store) {
		for _, n := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
				s := fresh(b)()
				d := draft(b, "Observation", `,"note":[{"text":"`+strings.Repeat("x", 1100)+`"}]`)
				clients(b, n, func(i int64) {
					if err := s.Write(context.Background(), func(ctx context.Context, tx *Tx) error {
						_, err := tx.Create(ctx, d, fmt.Sprint("o", i), t0, "POST", observationRows(fmt.Sprint("p", i%10000), 1))
						return err
					}); err != nil {
						b.Error(err)
					}
				})
			})
		}
	})
}

// BenchmarkCreateText does what BenchmarkCreate does, with 40 words in each observation.
func BenchmarkCreateText(b *testing.B) {
	benchEngines(b, func(b *testing.B, fresh func(testing.TB) func() *Store) {
		for _, most := range []int{0, 40} {
			b.Run(fmt.Sprintf("words=%d", most), func(b *testing.B) {
				s := fresh(b)()
				d := draft(b, "Observation", `,"note":[{"text":"`+strings.Repeat("x", 1100)+`"}]`)
				clients(b, 32, func(i int64) {
					rows := observationRows(fmt.Sprint("p", i%10000), 1)
					if most > 0 {
						text := make([]string, most)
						for n := range text {
							text[n] = fmt.Sprint("word", rand.IntN(1+n*n*n))
						}
						rows = append(rows, search.Row{Param: param("Observation", "_content", search.Text), Value: strings.Join(text, " ")})
					}
					if err := s.Write(context.Background(), func(ctx context.Context, tx *Tx) error {
						_, err := tx.Create(ctx, d, fmt.Sprint("o", i), t0, "POST", rows)
						return err
					}); err != nil {
						b.Error(err)
					}
				})
			})
		}
	})
}

// BenchmarkBulk stores 10,000 observations in one write: what a create costs without the
// commit.
func BenchmarkBulk(b *testing.B) {
	benchEngines(b, func(b *testing.B, fresh func(testing.TB) func() *Store) {
		s := fresh(b)()
		for b.Loop() {
			seed(b, s, 100, 100) // new in the first round, updates after it
		}
		b.ReportMetric(10_100*float64(b.N)/b.Elapsed().Seconds(), "op/s")
	})
}

// BenchmarkRead reads resources of 6.3 KB.
func BenchmarkRead(b *testing.B) {
	benchEngines(b, func(b *testing.B, fresh func(testing.TB) func() *Store) {
		s := fresh(b)()
		d := draft(b, "CarePlan", `,"description":"`+strings.Repeat("x", 6200)+`"`)
		if err := s.Write(b.Context(), func(ctx context.Context, tx *Tx) error {
			for i := range 2000 {
				if _, err := tx.Put(ctx, d, fmt.Sprint("c", i), t0, "POST", nil); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		for _, n := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
				clients(b, n, func(i int64) {
					if _, err := get(b, s, "CarePlan", fmt.Sprint("c", rand.IntN(2000))); err != nil {
						b.Error(err)
					}
				})
			})
		}
	})
}

// BenchmarkSearch finds 20 observations of a patient by patient, code and date among 20,000.
func BenchmarkSearch(b *testing.B) {
	code := clauseOf(obsCode, search.Value{System: "http://loinc.org", Value: "72514-3"})
	date := clauseOf(obsDate, search.Value{Prefix: search.Ge, Low: search.Micros(t0), High: search.Micros(t0) + 1})
	shapes := map[string]func() []search.Clause{
		"patient-code-date": func() []search.Clause {
			return []search.Clause{clauseOf(obsPatient, search.Value{System: "Patient", Value: fmt.Sprint("p", rand.IntN(1000))}), code, date}
		},
		"patient.identifier": func() []search.Clause {
			return []search.Clause{{Param: obsPatient, Chain: []search.Chain{{Type: "Patient", Clause: clauseOf(patID, search.Value{System: "http://nhs", Value: fmt.Sprint(rand.IntN(1000))})}}}}
		},
		"code": func() []search.Clause { return []search.Clause{code} },
	}
	benchEngines(b, func(b *testing.B, fresh func(testing.TB) func() *Store) {
		s := fresh(b)()
		seed(b, s, 1000, 20)
		for name, shape := range shapes {
			for _, n := range []int{1, 8, 32} {
				b.Run(fmt.Sprintf("%s/clients=%d", name, n), func(b *testing.B) {
					clients(b, n, func(int64) {
						page, err := find(b, s, &search.Query{Type: "Observation", Clauses: shape(), Count: 20})
						if err != nil || len(page.Resources) != 20 {
							b.Errorf("%d found, %v", len(page.Resources), err)
						}
					})
				})
			}
		}
	})
}
