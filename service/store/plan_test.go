package store

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"aftercare/fhir/search"
)

// explain gives SQLite's plan of what Search would run, a line per step.
func explain(t *testing.T, s *Store, q *search.Query) string {
	t.Helper()
	var out []string
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		p, err := r.plan(ctx, q)
		if err != nil {
			return err
		}
		text, args := pageOf(p, 1, q.Count+1)
		out, err = explainText(ctx, r, text, args)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "\n")
}

// pageOf is what Search runs without a sort.
func pageOf(p *plan, after int64, n int) (string, []any) {
	s := &statement{}
	return p.withContents(p.rids(s, after, s.limit(n))), s.args
}

func explainText(ctx context.Context, r *Reader, text string, args []any) (out []string, err error) {
	err = r.rows(ctx, "EXPLAIN QUERY PLAN "+text, args, func(scan func(...any) error) error {
		var id, parent, unused int64
		var detail string
		err := scan(&id, &parent, &unused, &detail)
		out = append(out, detail)
		return err
	})
	return out, err
}

// planCase is a search and how it must be run.
type planCase struct {
	typ     string
	clauses []search.Clause
	leads   string // SQLite's first step on the data
	sorted  bool   // whether a sort of the few candidates is in order
	by      string // the index that leads on PostgreSQL, and its columns in use
}

func planCases() map[string]planCase {
	patient := clauseOf(obsPatient, search.Value{System: "Patient", Value: "p1"})
	code := clauseOf(obsCode, search.Value{System: "http://loinc.org", Value: "72514-3"})
	date := clauseOf(obsDate, search.Value{Prefix: search.Ge, Low: search.Micros(t0), High: search.Micros(t0) + 1})
	identifier := clauseOf(patID, search.Value{System: "http://nhs", Value: "1"})
	return map[string]planCase{
		"patient, code and date": {"Observation", []search.Clause{code, date, patient},
			`SEARCH t1 USING COVERING INDEX index_reference_by_target (param=? AND target=? AND rid>? AND rid<?)`, false, "index_reference_by_target param target rid rid"},
		"identifier": {"Patient", []search.Clause{identifier},
			`SEARCH t1 USING COVERING INDEX index_token_by_value (param=? AND value=? AND rid>? AND rid<?)`, false, "index_token_by_value param value rid rid"},
		"patient.identifier": {"Observation", []search.Clause{code, {Param: obsPatient, Chain: []search.Chain{{Type: "Patient", Clause: identifier}}}},
			`SEARCH t1 USING COVERING INDEX index_token_by_value (param=? AND value=?)`, true, "index_token_by_value param value"},
		"id": {"Patient", []search.Clause{clauseOf(param("Patient", "_id", search.ID), search.Value{Value: "p1"}, search.Value{Value: "p2"})},
			`SEARCH t1 USING INDEX sqlite_autoindex_resource_1 (type=? AND id=?)`, true, "resource_type_id_key type id"},
		"two patients": {"Observation", []search.Clause{clauseOf(obsPatient, search.Value{System: "Patient", Value: "p1"}, search.Value{System: "Patient", Value: "p2"})},
			`SEARCH t1 USING COVERING INDEX index_reference_by_target (param=? AND target=?)`, true, "index_reference_by_target param target"},
		"code alone, any system": {"Observation", []search.Clause{clauseOf(obsCode, search.Value{AnySystem: true, Value: "72514-3"})},
			`SEARCH t1 USING COVERING INDEX index_token_by_value (param=? AND value=? AND rid>? AND rid<?)`, false, "index_token_by_value param value rid rid"},
		"type": {"Observation", nil,
			`SEARCH t1 USING COVERING INDEX resource_by_type (type=? AND deleted=? AND rid>?)`, false, "resource_by_type type deleted rid"},
		"day": {"Observation", []search.Clause{clauseOf(obsDate, search.Value{Low: search.Micros(t0), High: search.Micros(t0) + 86400e6})},
			`SEARCH t1 USING COVERING INDEX index_date_by_value (param=? AND low>? AND low<?)`, true, "index_date_by_value param low low high"},
		"updated since": {"Observation", []search.Clause{clauseOf(param("Observation", "_lastUpdated", search.LastUpdated), search.Value{Prefix: search.Ge, Low: search.Micros(t0) + 1e6, High: search.Micros(t0) + 1e6})},
			`SEARCH t1 USING COVERING INDEX version_by_time (type=? AND updated>?)`, true, "version_by_time type updated"},
	}
}

// TestPlans checks that no search of one patient's data looks at more than that patient's, and
// that a search that stops after a page does not sort everything first.
func TestPlans(t *testing.T) {
	s := freshSQLite(t)()
	seed(t, s, 20, 5)
	for name, c := range planCases() {
		t.Run(name, func(t *testing.T) {
			plan := explain(t, s, &search.Query{Type: c.typ, Clauses: c.clauses, Count: 20})
			t.Log("\n" + plan)
			var steps []string
			for _, line := range strings.Split(plan, "\n") {
				if regexp.MustCompile(`^(SEARCH|SCAN) t`).MatchString(line) {
					steps = append(steps, line)
				}
			}
			if len(steps) == 0 || steps[0] != c.leads {
				t.Errorf("it is not led by\n%s", c.leads)
			}
			if strings.Contains(plan, "AUTOMATIC") || regexp.MustCompile(`SCAN (t[0-9]+ |r|v|t[0-9]+ USING)`).MatchString(plan+" ") && name != "patient.identifier" {
				t.Error("it scans a whole table")
			}
			if strings.Contains(plan, "TEMP B-TREE") != c.sorted {
				t.Errorf("sorting is %v, want %v", !c.sorted, c.sorted)
			}
		})
	}
	for name, h := range map[string]HistoryQuery{
		"history of one":       {Type: "Observation", ID: "p1-o1", Count: 5},
		"history of a type":    {Type: "Observation", Count: 5},
		"history of all":       {Count: 5},
		"history since":        {Type: "Observation", Since: t0, Count: 5},
		"history of a patient": {Type: "Patient", ID: "p1", Since: t0, Count: 5},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
				st := &statement{}
				where, err := r.historyOf(ctx, st, &h)
				if err != nil {
					return err
				}
				text := historyText(st, &h, where)
				steps, err := explainText(ctx, r, text, st.args)
				plan := strings.Join(steps, "\n")
				t.Log("\n" + plan)
				// All of the history is read backwards along the primary key, which is no scan
				// because of its limit.
				if strings.Contains(strings.ReplaceAll(plan, "(subquery", ""), "TEMP B-TREE FOR ORDER BY") || name != "history of all" && strings.Contains(plan, "SCAN version") {
					t.Error("it sorts or scans")
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestChecks checks that a candidate's own rows are looked at, and not all those of a range.
func TestChecks(t *testing.T) {
	s := freshSQLite(t)()
	seed(t, s, 20, 5)
	name, source := param("Observation", "value-string", search.String), param("Observation", "_source", search.URI)
	put(t, s, "Observation", "one", search.Row{Param: name, Value: "a text"}, search.Row{Param: source, Value: "http://x/a"}, search.Row{Param: obsValue, NumberLow: 5, NumberHigh: 5})
	patient := clauseOf(obsPatient, search.Value{System: "Patient", Value: "p1"})
	day := clauseOf(obsDate, search.Value{Low: search.Micros(t0), High: search.Micros(t0) + 86400e6})
	value := clauseOf(obsValue, search.Value{Number: 5, NumberLow: 4.5, NumberHigh: 5.5, AnyUnit: true})
	for name, clauses := range map[string][]search.Clause{
		"a day":                   {patient, day},
		"a number":                {patient, value},
		"the beginning of a text": {patient, clauseOf(name, search.Value{Value: "a"})},
		"the beginning of a URL":  {patient, {Param: source, Modifier: "below", Values: []search.Value{{Value: "http://x"}}}},
		"both of two":             {{All: []search.Clause{patient, value}}},
		"at the end of a chain":   {{Param: obsPatient, Chain: []search.Chain{{Type: "Patient", Clause: search.Clause{All: []search.Clause{clauseOf(patID, search.Value{System: "http://nhs", Value: "1"})}}}}}, day},
		"a day that it is not":    {patient, {Not: &day}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := explain(t, s, &search.Query{Type: "Observation", Clauses: clauses, Count: 20})
			if !regexp.MustCompile(`SEARCH t\d+ USING PRIMARY KEY \(rid=\? AND param=\?`).MatchString(plan) || regexp.MustCompile(`_by_value \(param=\? AND (low|value)>`).MatchString(plan) {
				t.Errorf("it looks at more than the rows of a candidate:\n%s", plan)
			}
		})
	}
}

// TestProbe checks that the clause that selects best leads, whatever the order of the clauses.
func TestProbe(t *testing.T) {
	s := freshSQLite(t)()
	seed(t, s, 3, 5)
	common := clauseOf(obsCode, search.Value{System: "http://loinc.org", Value: "72514-3"})
	rare := clauseOf(obsDate, search.Value{Low: search.Micros(t0), High: search.Micros(t0) + 1})
	for _, clauses := range [][]search.Clause{{common, rare}, {rare, common}} {
		if plan := explain(t, s, &search.Query{Type: "Observation", Clauses: clauses, Count: 20}); !strings.Contains(plan, "t1 USING COVERING INDEX index_date_by_value") {
			t.Errorf("the common clause leads:\n%s", plan)
		}
	}
}

// seed stores patients with observations, one a day each.
func seed(t testing.TB, s *Store, patients, observations int) {
	t.Helper()
	patient := draft(t, "Patient", "")
	observation := draft(t, "Observation", `,"note":[{"text":"`+strings.Repeat("x", 1000)+`"}]`)
	for first := 0; first < patients; first += 100 {
		if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
			for p := first; p < min(first+100, patients); p++ {
				id := fmt.Sprintf("p%d", p)
				if _, err := tx.Put(ctx, patient, id, t0, "POST", []search.Row{{Param: patID, System: "http://nhs", Value: fmt.Sprint(p)}}); err != nil {
					return err
				}
				for o := range observations {
					if _, err := tx.Put(ctx, observation, fmt.Sprintf("%s-o%d", id, o), t0, "POST", observationRows(id, o)); err != nil {
						return err
					}
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func observationRows(patient string, day int) []search.Row {
	low := search.Micros(t0.Add(time.Duration(day) * 24 * time.Hour))
	return []search.Row{
		{Param: obsPatient, System: "Patient", Value: patient},
		{Param: obsCode, System: "http://loinc.org", Value: "72514-3"},
		{Param: param("Observation", "category", search.Token), System: "http://terminology.hl7.org/CodeSystem/observation-category", Value: "survey"},
		{Param: obsDate, Low: low, High: low + 1e6},
		{Param: obsValue, NumberLow: 7, NumberHigh: 7, System: "http://unitsofmeasure.org", Value: "{score}"},
	}
}
