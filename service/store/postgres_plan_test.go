package store

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"

	"aftercare/fhir/search"
)

// explainPostgres gives the plan of a statement, run with its arguments, as the session would run
// it for any arguments.
func explainPostgres(ctx context.Context, t *testing.T, r *Reader, text string, args []any) string {
	t.Helper()
	values := make([]string, len(args))
	for i, a := range args {
		if b, ok := a.([]byte); ok {
			values[i] = fmt.Sprintf(`'\x%x'`, b)
		} else {
			values[i] = fmt.Sprint(a)
		}
	}
	c := r.conn.session.(*postgresSession)
	if err := c.now(ctx, "PREPARE explained AS "+text); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var lines []string
	if err := r.rows(ctx, "EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) EXECUTE explained("+strings.Join(values, ", ")+")", nil, func(scan func(...any) error) error {
		var line string
		err := scan(&line)
		lines = append(lines, line)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.now(ctx, "DEALLOCATE explained"); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

var (
	leader    = regexp.MustCompile(`Scan (?:Backward )?using (\w+) on \w+ t\d+ .*\n\s+Index Cond: (.*)`)
	condition = regexp.MustCompile(`\((\w+) [=<>]`)
	scanned   = regexp.MustCompile(`Rows Removed by (?:Join )?Filter: (\d+)`)
)

// TestPostgresPlans checks what TestPlans does, with no statistics and with good ones.
func TestPostgresPlans(t *testing.T) {
	s := freshPostgres(t)()
	seed(t, s, 300, 20)
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		for _, typ := range []string{"CarePlan", "Device", "Flag", "Goal", "Procedure", "Provenance", "Task"} {
			for i := range 50 {
				if _, err := tx.Create(ctx, draft(t, typ, ""), fmt.Sprint("x", i), t0, "POST", nil); err != nil {
					return err
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, plan, by string, sorted bool) {
		t.Helper()
		t.Log("\n" + plan)
		if by != "" {
			m := leader.FindStringSubmatch(plan)
			if m == nil {
				t.Fatal("nothing leads")
			}
			got := m[1]
			for _, c := range condition.FindAllStringSubmatch(m[2], -1) {
				got += " " + c[1]
			}
			if got != by {
				t.Errorf("it is led by %s, want %s", got, by)
			}
		}
		if strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Join Filter") {
			t.Error("it scans a whole table")
		}
		for _, m := range scanned.FindAllStringSubmatch(plan, -1) {
			if len(m[1]) > 2 {
				t.Errorf("it looks at %s rows in vain", m[1])
			}
		}
		if strings.Contains(plan, "Sort") != sorted {
			t.Errorf("sorting is %v, want %v", !sorted, sorted)
		}
	}
	cases := planCases()
	// The far end of a chain whose candidates are checked one by one.
	chained := maps.Clone(cases)["patient.identifier"]
	chained.clauses = append([]search.Clause{clauseOf(param("Observation", "_id", search.ID), search.Value{Value: "p1-o1"}, search.Value{Value: "p2-o1"})}, chained.clauses...)
	chained.by = "resource_type_id_key type id"
	cases["ids and a chain"] = chained
	for _, known := range []string{"no statistics", "statistics"} {
		for name, c := range cases {
			t.Run(known+", "+name, func(t *testing.T) {
				if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
					p, err := r.plan(ctx, &search.Query{Type: c.typ, Clauses: c.clauses, Count: 20})
					if err != nil {
						return err
					}
					text, args := pageOf(p, 1, 21)
					check(t, explainPostgres(ctx, t, r, text, args), c.by, c.sorted)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			})
		}
		for name, h := range map[string]struct {
			query HistoryQuery
			by    string
		}{
			"history of one":       {HistoryQuery{Type: "Observation", ID: "p1-o1", Count: 5}, "version_rid_version_key"},
			"history of a type":    {HistoryQuery{Type: "Observation", Count: 5}, "version_by_type"},
			"history of all":       {HistoryQuery{Count: 5}, "version_pkey"},
			"history since":        {HistoryQuery{Type: "Observation", Since: t0, Count: 5}, "version_by_type"},
			"history of a patient": {HistoryQuery{Type: "Patient", ID: "p1", Since: t0, Count: 5}, "version_rid_version_key"},
		} {
			t.Run(known+", "+name, func(t *testing.T) {
				if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
					st := &statement{}
					where, err := r.historyOf(ctx, st, &h.query)
					if err != nil {
						return err
					}
					text := historyText(st, &h.query, where)
					plan := explainPostgres(ctx, t, r, text, st.args)
					if !strings.Contains(plan, "using "+h.by+" on version v") {
						t.Errorf("it is not led by %s", h.by)
					}
					check(t, plan, "", false)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			})
		}
		if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.exec(ctx, "ANALYZE") }); err != nil {
			t.Fatal(err)
		}
	}
}
