package store

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"aftercare/fhir/search"
)

// sortStatements are the statements of sorted searches for observations, by name: of each key a
// step of a walk over one value, and over several, and what gathers a patient's.
func sortStatements(ctx context.Context, t *testing.T, r *Reader) map[string]*statementText {
	t.Helper()
	all := map[string]*statementText{}
	for _, k := range []search.SortKey{
		{Param: obsDate, Descending: true}, {Param: obsDate}, {Param: obsValue, Descending: true}, {Param: obsCode}, {Param: obsPatient, Descending: true},
		{Param: param("Observation", "_lastUpdated", search.LastUpdated), Descending: true}, {Param: param("Observation", "_id", search.ID)},
	} {
		name := k.Param.Code
		if k.Descending {
			name += ", descending"
		}
		query := func(c search.Clause, keys ...search.SortKey) *plan {
			p, err := r.plan(ctx, &search.Query{Type: "Observation", Clauses: []search.Clause{c}, Sort: keys, Count: 20})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		walks := query(clauseOf(obsCode, search.Value{System: "http://loinc.org", Value: "72514-3"}), k)
		first, last, err := r.ends(ctx, walks, nil, 50)
		if err != nil || first == nil || last == nil {
			t.Fatal(first, last, err)
		}
		at := &place{rid: 1, keys: []any{first}}
		for what, only := range map[string]bool{"one value": true, "values": false} {
			s := &statement{}
			all[name+", "+what] = &statementText{walks.withContents(walks.stepText(s, at, 1<<40, first, last, only, 21)), s}
		}
		s, patients := &statement{}, query(clauseOf(obsPatient, search.Value{System: "Patient", Value: "p1"}), k)
		all[name+", gathered"] = &statementText{patients.withContents(patients.gather(s, at, 1<<40, 21)), s}
	}
	return all
}

type statementText struct {
	text string
	*statement
}

// TestSortPlans checks that a step of a walk reads its index in order, and that what is asked of
// a candidate is looked up by its rid.
func TestSortPlans(t *testing.T) {
	s := freshSQLite(t)()
	seed(t, s, 20, 20)
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		for name, st := range sortStatements(ctx, t, r) {
			t.Run(name, func(t *testing.T) {
				lines, err := explainText(ctx, r, st.text, st.args)
				if err != nil {
					t.Fatal(err)
				}
				plan := strings.Join(lines, "\n")
				t.Log("\n" + plan)
				if !strings.Contains(name, "gathered") && (!strings.Contains(plan, "SEARCH x USING COVERING INDEX") || strings.Contains(strings.SplitN(plan, "SCAN m", 2)[0], "TEMP B-TREE FOR ORDER BY")) {
					t.Error("it does not walk")
				}
				for _, line := range lines {
					byParam := regexp.MustCompile(`SEARCH t\d+ USING .*index_\w+ \((.*)\)`).FindStringSubmatch(line)
					if strings.Contains(line, "AUTOMATIC") || byParam != nil && !strings.Contains(line, "rid=?") && !strings.Contains(line, "target=?") {
						t.Errorf("it looks at all of a parameter: %s", line)
					}
				}
			})
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestPostgresSortPlans checks the same, with no statistics and with good ones.
func TestPostgresSortPlans(t *testing.T) {
	s := freshPostgres(t)()
	seed(t, s, 200, 20)
	for _, known := range []string{"no statistics", "statistics"} {
		if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
			for name, st := range sortStatements(ctx, t, r) {
				t.Run(known+", "+name, func(t *testing.T) {
					args := make([]any, len(st.args))
					copy(args, st.args)
					plan := explainPostgres(ctx, t, r, st.text, args)
					t.Log("\n" + plan)
					for _, m := range scanned.FindAllStringSubmatch(plan, -1) {
						if len(m[1]) > 2 {
							t.Errorf("it looks at %s rows in vain", m[1])
						}
					}
					if strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Join Filter") {
						t.Error("it scans a whole table")
					}
					for _, m := range regexp.MustCompile(`rows=(\d+) loops`).FindAllStringSubmatch(plan, -1) {
						if len(m[1]) > 2 {
							t.Errorf("a step has %s rows", m[1])
						}
					}
				})
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.exec(ctx, "ANALYZE") }); err != nil {
			t.Fatal(err)
		}
	}
}
