package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"aftercare/fhir/search"
)

// The population of BenchmarkLarge: patients with as many observations each, one every few days.
// Of these, nearly all have one code; one in twenty, of the first years, has another, and
// fifty in all have a third.
const (
	largePatients     = 10_000
	largeObservations = 100
)

var (
	obsStatus    = param("Observation", "status", search.Token)
	obsPerformer = param("Observation", "performer", search.Reference)
	patGender    = param("Patient", "gender", search.Token)
)

func largeRows(patient, n int) []search.Row {
	code := "common"
	switch {
	case patient%200 == 7 && n == 3:
		code = "rare"
	case n < largeObservations/10 && n%2 == 0:
		code = "early"
	}
	low := search.Micros(t0.AddDate(0, 0, 18*n).Add(time.Duration(patient) * 7 * time.Second))
	score := float64((patient + n) % 11)
	return []search.Row{
		{Param: obsPatient, System: "Patient", Value: fmt.Sprint("p", patient)},
		{Param: obsPerformer, System: "Practitioner", Value: fmt.Sprint("d", patient%2)},
		{Param: obsCode, System: "http://loinc.org", Value: code},
		{Param: obsStatus, Value: []string{"final", "final", "final", "amended"}[n%4]},
		{Param: obsDate, Low: low, High: low + 1e6},
		{Param: obsValue, NumberLow: score, NumberHigh: score, System: "http://unitsofmeasure.org", Value: "{score}"},
	}
}

func seedLarge(b *testing.B, s *Store) {
	b.Helper()
	began := time.Now()
	patient, observation := draft(b, "Patient", ""), draft(b, "Observation", `,"note":[{"text":"`+strings.Repeat("x", 300)+`"}]`)
	at := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Second) }
	create := func(n int, each func(ctx context.Context, tx *Tx, i int) error) {
		const step = 5000
		for first := 0; first < n; first += step {
			if err := s.Write(b.Context(), func(ctx context.Context, tx *Tx) error {
				for i := first; i < min(first+step, n); i++ {
					if err := each(ctx, tx, i); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		}
	}
	create(largePatients, func(ctx context.Context, tx *Tx, p int) error {
		_, err := tx.Create(ctx, patient, fmt.Sprint("p", p), at(p), "POST", []search.Row{
			{Param: patID, System: "http://nhs", Value: fmt.Sprint(p)}, {Param: patGender, Value: []string{"female", "male"}[p%2]}})
		return err
	})
	create(largePatients*largeObservations, func(ctx context.Context, tx *Tx, i int) error {
		p, n := i%largePatients, i/largePatients
		_, err := tx.Create(ctx, observation, fmt.Sprintf("p%d-o%d", p, n), at(i), "POST", largeRows(p, n))
		return err
	})
	b.Logf("%d resources in %v", largePatients*(1+largeObservations), time.Since(began).Round(time.Second))
}

// BenchmarkLarge searches 1,000,000 observations of 10,000 patients. It takes minutes to make them.
func BenchmarkLarge(b *testing.B) {
	if testing.Short() {
		b.Skip("it takes minutes")
	}
	code := func(code string) search.Clause {
		return clauseOf(obsCode, search.Value{System: "http://loinc.org", Value: code})
	}
	patient := func() search.Clause {
		return clauseOf(obsPatient, search.Value{System: "Patient", Value: fmt.Sprint("p", rand.IntN(largePatients))})
	}
	since := clauseOf(obsDate, search.Value{Prefix: search.Ge, Low: search.Micros(t0.AddDate(1, 0, 0)), High: search.Micros(t0.AddDate(1, 0, 1))})
	today := clauseOf(obsDate, search.Value{Prefix: search.Gt, Low: search.Micros(t0.AddDate(0, 0, 18*99)), High: search.Micros(t0.AddDate(0, 0, 18*99).Add(19 * time.Hour))})
	by := func(p *search.Parameter, descending bool) search.SortKey {
		return search.SortKey{Param: p, Descending: descending}
	}
	updated := param("Observation", "_lastUpdated", search.LastUpdated)
	not := func(c search.Clause) search.Clause { return search.Clause{Not: &c} }
	has := func(c search.Clause) []search.Clause {
		return []search.Clause{{Has: &search.Has{Param: obsPatient, Clause: c}}}
	}
	chain := func(c search.Clause) search.Clause {
		return search.Clause{Param: obsPatient, Chain: []search.Chain{{Type: "Patient", Clause: c}}}
	}
	female := clauseOf(patGender, search.Value{AnySystem: true, Value: "female"})
	performer := clauseOf(obsPerformer, search.Value{System: "Practitioner", Value: "d1"})
	queries := []struct {
		name  string
		query func() search.Query
	}{
		{"patient+code+date", func() search.Query { return search.Query{Clauses: []search.Clause{patient(), code("common"), since}} }},
		{"patient+code+date by date", func() search.Query {
			return search.Query{Clauses: []search.Clause{patient(), code("common"), since}, Sort: []search.SortKey{by(obsDate, true)}}
		}},
		{"patient by status and date", func() search.Query {
			return search.Query{Clauses: []search.Clause{patient()}, Sort: []search.SortKey{by(obsStatus, false), by(obsDate, true)}}
		}},
		{"patient by update", func() search.Query {
			return search.Query{Clauses: []search.Clause{patient()}, Sort: []search.SortKey{by(updated, true)}}
		}},
		{"dense performer by update", func() search.Query {
			return search.Query{Clauses: []search.Clause{performer}, Sort: []search.SortKey{by(updated, true)}}
		}},
		{"dense code by date", func() search.Query {
			return search.Query{Clauses: []search.Clause{code("common")}, Sort: []search.SortKey{by(obsDate, true)}}
		}},
		{"dense code by date and status", func() search.Query {
			return search.Query{Clauses: []search.Clause{code("common")}, Sort: []search.SortKey{by(obsDate, true), by(obsStatus, false)}}
		}},
		{"dense code by score", func() search.Query {
			return search.Query{Clauses: []search.Clause{code("common")}, Sort: []search.SortKey{by(obsValue, true)}}
		}},
		{"dense code", func() search.Query { return search.Query{Clauses: []search.Clause{code("common")}} }},
		{"sparse code by date", func() search.Query {
			return search.Query{Clauses: []search.Clause{code("rare")}, Sort: []search.SortKey{by(obsDate, true)}}
		}},
		{"early code by date", func() search.Query {
			return search.Query{Clauses: []search.Clause{code("early")}, Sort: []search.SortKey{by(obsDate, true)}}
		}},
		{"not the dense code by date", func() search.Query {
			return search.Query{Clauses: []search.Clause{not(code("common"))}, Sort: []search.SortKey{by(obsDate, false)}}
		}},
		{"code and patient.gender", func() search.Query { return search.Query{Clauses: []search.Clause{code("common"), chain(female)}} }},
		{"patient.gender by date", func() search.Query {
			return search.Query{Clauses: []search.Clause{chain(female)}, Sort: []search.SortKey{by(obsDate, true)}}
		}},
		{"patient.identifier by date", func() search.Query {
			return search.Query{Clauses: []search.Clause{chain(clauseOf(patID, search.Value{System: "http://nhs", Value: fmt.Sprint(rand.IntN(largePatients))}))}, Sort: []search.SortKey{by(obsDate, true)}}
		}},
		{"_has dense code", func() search.Query { return search.Query{Type: "Patient", Clauses: has(code("common"))} }},
		{"_has sparse code", func() search.Query { return search.Query{Type: "Patient", Clauses: has(code("rare"))} }},
		{"_has code and gender", func() search.Query {
			return search.Query{Type: "Patient", Clauses: append(has(search.Clause{All: []search.Clause{code("common"), since}}), female)}
		}},
		{"last day", func() search.Query { return search.Query{Clauses: []search.Clause{today}} }},
		{"score", func() search.Query {
			return search.Query{Clauses: []search.Clause{patient(), clauseOf(obsValue, search.Value{Prefix: search.Ge, Number: 7, AnyUnit: true})}}
		}},
		{"count of a patient", func() search.Query { return search.Query{Clauses: []search.Clause{patient()}, Total: true, Count: -1} }},
		{"count of the dense code", func() search.Query {
			return search.Query{Clauses: []search.Clause{code("common")}, Total: true, Count: -1}
		}},
	}
	benchEngines(b, func(b *testing.B, fresh func(testing.TB) func() *Store) {
		s := fresh(b)()
		seedLarge(b, s)
		for _, q := range queries {
			b.Run(q.name, func(b *testing.B) {
				for b.Loop() {
					one := q.query()
					if one.Type == "" {
						one.Type = "Observation"
					}
					if one.Count++; one.Count > 0 {
						one.Count = 20
					}
					page, err := find(b, s, &one)
					if err != nil || one.Count > 0 && len(page.Resources) == 0 || one.Count == 0 && page.Total == 0 {
						b.Fatalf("%d found of %d, %v", len(page.Resources), page.Total, err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "ms/op")
			})
		}
		b.Run("second page by date", func(b *testing.B) {
			q := &search.Query{Type: "Observation", Clauses: []search.Clause{code("common")}, Sort: []search.SortKey{by(obsDate, true)}, Count: 20}
			first, err := find(b, s, q)
			if err != nil {
				b.Fatal(err)
			}
			q.Cursor = first.Next
			for b.Loop() {
				if page, err := find(b, s, q); err != nil || len(page.Resources) != 20 {
					b.Fatal(len(page.Resources), err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "ms/op")
		})
	})
}
