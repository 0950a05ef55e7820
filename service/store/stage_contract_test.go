package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"

	"pgregory.net/rapid"
)

// stagingContract is what every engine must do with large writes.
var stagingContract = map[string]func(*testing.T, func() *Store){
	"what is staged is not seen":                  stagedIsNotSeen,
	"all that is staged appears at once":          stagedAppearsAtOnce,
	"staged and put directly are the same":        stagedIsAsPut,
	"what is dropped leaves nothing":              droppedLeavesNothing,
	"a failed reveal can be tried again":          revealIsUndone,
	"an id that is taken meanwhile is a conflict": stagedIDIsTaken,
	"the order is that of commits":                stagedOrder,
	"one staging at a time":                       oneStaging,
	"a staging that is lost does nothing more":    stagingIsLost,
	"leftovers are removed":                       leftoversAreRemoved,
	"writes do not run into what is staged":       horizonIsNotReached,
	"bad input is not staged":                     badInputIsNotStaged,
	"changes tell what may have another answer":   changesTell,
}

func stage(t testing.TB, s *Store, news ...New) *Staging {
	t.Helper()
	g, err := s.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Add(t.Context(), t0, news); err != nil {
		t.Fatal(err)
	}
	return g
}

func reveal(t testing.TB, s *Store, g *Staging) {
	t.Helper()
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.Reveal(ctx, g) }); err != nil {
		t.Fatal(err)
	}
}

func drop(t testing.TB, g *Staging) {
	t.Helper()
	if err := g.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func newOf(t testing.TB, typ, id string, rows ...search.Row) New {
	t.Helper()
	return New{Draft: draft(t, typ, ""), ID: id, Method: "POST", Rows: rows}
}

// stagedKinds has a value of every kind under every resource: an observation and its patient,
// and observations of a patient who is there already.
func stagedKinds(t testing.TB, n int) []New {
	t.Helper()
	patient := newOf(t, "Patient", "staged", search.Row{Param: patID, System: "http://nhs", Value: "1"}, search.Row{Param: patName, Value: "smith"})
	plan := newOf(t, "PlanDefinition", "staged", search.Row{Param: planURL, Value: "http://plan"})
	news := []New{patient, plan}
	for i := range n {
		news = append(news, newOf(t, "Observation", fmt.Sprint("new", i), observationRows([]string{"there", "staged"}[i%2], i)...))
	}
	return news
}

// sights are all ways to see a resource, with what they see.
func sights(t testing.TB, s *Store) map[string]string {
	t.Helper()
	out := map[string]string{}
	byNHS := clauseOf(patID, search.Value{System: "http://nhs", Value: "1"})
	everything := search.Value{Prefix: search.Ge, Low: 0, High: 1}
	for name, c := range map[string]struct {
		typ     string
		clauses []search.Clause
	}{
		"type":      {"Observation", nil},
		"token":     {"Observation", []search.Clause{clauseOf(obsCode, search.Value{AnySystem: true, Value: "72514-3"})}},
		"tokens":    {"Observation", []search.Clause{clauseOf(obsCode, search.Value{AnySystem: true, Value: "72514-3"}, search.Value{AnySystem: true, Value: "x"})}},
		"reference": {"Observation", []search.Clause{clauseOf(obsPatient, search.Value{System: "Patient", Value: "there"})}},
		"to staged": {"Observation", []search.Clause{clauseOf(obsPatient, search.Value{System: "Patient", Value: "staged"})}},
		"date":      {"Observation", []search.Clause{clauseOf(obsDate, everything)}},
		"two":       {"Observation", []search.Clause{clauseOf(obsDate, everything), clauseOf(obsPatient, search.Value{System: "Patient", Value: "there"})}},
		"string":    {"Patient", []search.Clause{clauseOf(patName, search.Value{Value: "s"})}},
		"contains":  {"Patient", []search.Clause{{Param: patName, Modifier: "contains", Values: []search.Value{{Value: "mit"}}}}},
		"uri":       {"PlanDefinition", []search.Clause{clauseOf(planURL, search.Value{Value: "http://plan"})}},
		"id":        {"Patient", []search.Clause{clauseOf(param("Patient", "_id", search.ID), search.Value{Value: "staged"})}},
		"updated":   {"Observation", []search.Clause{clauseOf(param("Observation", "_lastUpdated", search.LastUpdated), everything)}},
		"missing":   {"Patient", []search.Clause{{Param: patGP, Modifier: "missing", Values: []search.Value{{Missing: true}}}}},
		"not":       {"Observation", []search.Clause{{Param: obsCode, Modifier: "not", Values: []search.Value{{AnySystem: true, Value: "none"}}}}},
		"chain":     {"Observation", []search.Clause{{Param: obsPatient, Chain: []search.Chain{{Type: "Patient", Clause: byNHS}}}}},
		"chain there": {"Observation", []search.Clause{{Param: obsPatient, Chain: []search.Chain{{Type: "Patient",
			Clause: clauseOf(param("Patient", "_id", search.ID), search.Value{Value: "there"})}}}}},
	} {
		out[name] = ids(t, s, c.typ, c.clauses...)
	}
	for name, h := range map[string]HistoryQuery{
		"history": {}, "history of a type": {Type: "Observation"}, "history since": {Since: t0},
		"history since, of a type": {Type: "Patient", Since: t0}, "history at": {Low: t0, High: t0.Add(time.Hour)},
	} {
		h.Count, h.Total = 1000, true
		page, err := history(t, s, h)
		if err != nil {
			t.Fatal(err)
		}
		if page.Total != int64(len(page.Entries)) {
			t.Errorf("%s: total %d of %d", name, page.Total, len(page.Entries))
		}
		for _, e := range page.Entries {
			out[name] += e.Resource.Ref() + " "
		}
	}
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		_, err := r.Get(ctx, "Patient", "staged")
		out["read"] = fmt.Sprint(fhir.KindOf(err))
		_, err = r.Version(ctx, "Patient", "staged", 1)
		out["vread"] = fmt.Sprint(fhir.KindOf(err))
		_, err = r.History(ctx, HistoryQuery{Type: "Patient", ID: "staged", Count: 1})
		out["history of one"] = fmt.Sprint(fhir.KindOf(err))
		known, err := r.Known(ctx, "Patient", "staged")
		out["known"] = fmt.Sprint(known, err)
		c, err := r.Changes(ctx, 0)
		out["changes"] = fmt.Sprint(c.Has("Patient/staged"), c.Mention("Observation", "72514-3"), err)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func stagedIsNotSeen(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Patient", "there")
	put(t, s, "Observation", "there", search.Row{Param: obsPatient, System: "Patient", Value: "there"})
	before := sights(t, s)
	g := stage(t, s, stagedKinds(t, 50)...)
	during := sights(t, s)
	for name := range before {
		if before[name] != during[name] {
			t.Errorf("%s sees %q, saw %q", name, during[name], before[name])
		}
	}
	reveal(t, s, g)
	for name, after := range sights(t, s) {
		if after == before[name] {
			t.Errorf("%s sees nothing new", name)
		}
	}
	checkWhole(t, s)
}

// Readers see none or all, whatever they ask for.
func stagedAppearsAtOnce(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Patient", "there")
	const n = 300
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
					all, err := r.Search(ctx, &search.Query{Type: "Observation", Total: true}, nil)
					if err != nil {
						return err
					}
					for name, clause := range map[string]search.Clause{
						"token": clauseOf(obsCode, search.Value{AnySystem: true, Value: "72514-3"}),
						"chain": {Param: obsPatient, Chain: []search.Chain{{Type: "Patient", Clause: clauseOf(param("Patient", "_id", search.ID), search.Value{Value: "there"}, search.Value{Value: "staged"})}}},
					} {
						page, err := r.Search(ctx, &search.Query{Type: "Observation", Clauses: []search.Clause{clause}, Total: true, Count: 1000}, nil)
						if err != nil {
							return err
						}
						if page.Total != all.Total || page.Total != int64(len(page.Resources)) || page.Total%n != 0 {
							t.Errorf("%s: total %d, %d resources, of %d", name, page.Total, len(page.Resources), all.Total)
						}
					}
					past, err := r.History(ctx, HistoryQuery{Type: "Observation", Total: true})
					if past.Total != all.Total {
						t.Errorf("history: %d of %d", past.Total, all.Total)
					}
					return err
				}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 { // the first two are not to be
		g := stage(t, s, stagedKinds(t, n)...)
		drop(t, g)
	}
	reveal(t, s, stage(t, s, stagedKinds(t, n)...))
	close(stop)
	readers.Wait()
	if got := len(strings.Fields(ids(t, s, "Observation"))); got != n {
		t.Errorf("%d observations at the end", got)
	}
}

// dump is all rows, in the order of commits, without the numbers of rows.
func dump(t testing.TB, s *Store) []string {
	t.Helper()
	var out []string
	page, err := history(t, s, HistoryQuery{Count: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Entries {
		out = append(out, fmt.Sprintf("%s %v %+v", e.Method, e.Created, *e.Resource))
	}
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		for _, table := range tableNames {
			var n int64
			if _, err := r.row(ctx, "SELECT count(*) FROM "+table, nil, &n); err != nil {
				return err
			}
			out = append(out, fmt.Sprint(table, n))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"Patient", "Observation"} {
		out = append(out, ids(t, s, typ))
	}
	return out
}

func stagedIsAsPut(t *testing.T, open func() *Store) {
	s := open()
	made := 0
	rapid.Check(t, func(rt *rapid.T) {
		made++
		typ := fmt.Sprint("Basic", made) // a world of its own
		code := param(typ, "code", search.Token)
		var news []New
		for i := range rapid.IntRange(0, 60).Draw(rt, "resources") {
			rows := []search.Row{{Param: code, Value: "staged"}}
			for n := range rapid.IntRange(0, 40).Draw(rt, "rows") {
				rows = append(rows, search.Row{Param: code, Value: fmt.Sprint("v", n)})
			}
			size := rapid.SampledFrom([]int{1, 100, 70_000, 600_000}).Draw(rt, "size")
			news = append(news, New{Draft: draft(t, typ, `,"x":"`+strings.Repeat("y", size)+`"`), ID: fmt.Sprint("b", i), Method: "PUT", Rows: rows})
		}
		g, err := s.Stage(t.Context())
		if err != nil {
			rt.Fatal(err)
		}
		staged, err := g.Add(t.Context(), t0.Add(999), news)
		if err != nil || len(staged) != len(news) {
			rt.Fatalf("%d staged, %v", len(staged), err)
		}
		reveal(t, s, g)
		for i, n := range news {
			was, err := get(t, s, typ, n.ID)
			if err != nil {
				rt.Fatal(err)
			}
			want := n.Draft.Stamp(n.ID, 1, t0)
			for _, r := range []*fhir.Resource{was, staged[i]} {
				if string(r.Body) != string(want.Body) || r.Ref() != want.Ref() || r.Version != 1 || !r.LastUpdated.Equal(t0) {
					rt.Fatalf("%s differs", n.ID)
				}
			}
		}
		page, err := find(t, s, &search.Query{Type: typ, Clauses: []search.Clause{clauseOf(code, search.Value{AnySystem: true, Value: "staged"})}, Total: true})
		if err != nil || page.Total != int64(len(news)) {
			rt.Fatalf("%d found, %v", page.Total, err)
		}
	})
	checkWhole(t, s)
}

func droppedLeavesNothing(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Patient", "there")
	before := dump(t, s)
	for range 2 {
		g := stage(t, s, stagedKinds(t, 100)...)
		drop(t, g)
		drop(t, g)
		if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.Reveal(ctx, g) }); !errors.Is(err, ErrLost) {
			t.Errorf("what was dropped is revealed: %v", err)
		}
		if after := dump(t, s); !slices.Equal(before, after) {
			t.Errorf("before: %v\nafter: %v", before, after)
		}
	}
	g := stage(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Add(ctx, t0, stagedKinds(t, 1)); fhir.KindOf(err) != fhir.Unavailable {
		t.Errorf("added although cancelled: %v", err)
	}
	drop(t, g)
	reveal(t, s, stage(t, s)) // of nothing
	if after := dump(t, s); !slices.Equal(before, after) {
		t.Errorf("before: %v\nafter: %v", before, after)
	}
	put(t, s, "Patient", "later")
	checkWhole(t, s)
}

// A write that fails after it has revealed undoes that, for its neighbours too.
func revealIsUndone(t *testing.T, open func() *Store) {
	s := open()
	g := stage(t, s, stagedKinds(t, 20)...)
	stop := errors.New("stop")
	d := draft(t, "Patient", "")
	release := hold(t, s)
	results := make(chan error, 3)
	neighbour := func(id string) func() {
		return func() {
			results <- s.Write(context.Background(), func(ctx context.Context, tx *Tx) error {
				_, err := tx.Put(ctx, d, id, t0, "PUT", []search.Row{{Param: patName, Value: "neighbour"}})
				return err
			})
		}
	}
	for i, f := range []func(){neighbour("a"), func() {
		err := s.Write(context.Background(), func(ctx context.Context, tx *Tx) error {
			if err := tx.Reveal(ctx, g); err != nil {
				return err
			}
			if _, err := tx.Get(ctx, "Patient", "staged"); err != nil {
				return err
			}
			if _, err := tx.Put(ctx, d, "with", t0, "PUT", nil); err != nil {
				return err
			}
			return stop
		})
		if !errors.Is(err, stop) {
			t.Errorf("the write gave %v", err)
		}
		results <- nil
	}, neighbour("b")} {
		go f()
		queued(t, s, i+1)
	}
	release()
	for range 3 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if got := ids(t, s, "Patient", clauseOf(patName, search.Value{})); got != "a b" {
		t.Errorf("found %q", got)
	}
	if got := ids(t, s, "Patient"); got != "a b" {
		t.Errorf("found %q", got)
	}
	reveal(t, s, g)
	put(t, s, "Patient", "c")
	if got := ids(t, s, "Patient"); got != "a b staged c" {
		t.Errorf("found %q", got)
	}
	checkWhole(t, s)
}

func stagedIDIsTaken(t *testing.T, open func() *Store) {
	s := open()
	g := stage(t, s, stagedKinds(t, 3)...)
	put(t, s, "Patient", "staged", search.Row{Param: patName, Value: "first"})
	put(t, s, "Observation", "staged")
	err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.Reveal(ctx, g) })
	wantKind(t, err, fhir.Conflict)
	drop(t, g)
	if got := ids(t, s, "Patient", clauseOf(patName, search.Value{})); got != "staged" {
		t.Errorf("found %q", got)
	}
	checkWhole(t, s)
}

// Pages that began before the reveal hold nothing of it where their order says it came later.
func stagedOrder(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Patient", "a")
	g := stage(t, s, newOf(t, "Patient", "s1"), newOf(t, "Patient", "s2"))
	put(t, s, "Patient", "b")
	put(t, s, "Patient", "a")
	first, err := history(t, s, HistoryQuery{Type: "Patient", Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	page, err := find(t, s, &search.Query{Type: "Patient", Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	var before int64
	position := func() (p int64) {
		if err := s.View(t.Context(), func(ctx context.Context, r *Reader) (err error) {
			p, err = r.Position(ctx)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return p
	}
	before = position()
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		if _, err := tx.Put(ctx, draft(t, "Patient", ""), "c", t0, "PUT", nil); err != nil {
			return err
		}
		if err := tx.Reveal(ctx, g); err != nil {
			return err
		}
		_, err := tx.Put(ctx, draft(t, "Patient", ""), "d", t0, "PUT", nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if position() <= before {
		t.Errorf("the position went from %d to %d", before, position())
	}
	put(t, s, "Patient", "s1")
	put(t, s, "Patient", "e")
	refs := func(h HistoryQuery) string {
		page, err := history(t, s, h)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range page.Entries {
			out = append(out, fmt.Sprint(e.Resource.ID, e.Resource.Version))
		}
		return strings.Join(out, " ")
	}
	if got := refs(HistoryQuery{Count: 100}); got != "e1 s12 d1 s21 s11 c1 a2 b1 a1" {
		t.Errorf("history is %s", got)
	}
	if got := refs(HistoryQuery{Type: "Patient", Count: 100, Cursor: first.Next}); got != "b1 a1" {
		t.Errorf("the next page of a history that began before is %s", got)
	}
	if got := ids(t, s, "Patient"); got != "a b c s1 s2 d e" {
		t.Errorf("found %s", got)
	}
	rest, err := find(t, s, &search.Query{Type: "Patient", Count: 100, Cursor: page.Next})
	if err != nil || len(rest.Resources) != 6 {
		t.Errorf("%d on the next page, %v", len(rest.Resources), err)
	}
	checkWhole(t, s)
}

func oneStaging(t *testing.T, open func() *Store) {
	s := open()
	g := stage(t, s, newOf(t, "Patient", "first"))
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	_, err := s.Stage(ctx)
	wantKind(t, err, fhir.Unavailable)
	second := make(chan *Staging)
	go func() {
		g, err := s.Stage(context.Background())
		if err != nil {
			t.Error(err)
		}
		second <- g
	}()
	reveal(t, s, g)
	g = <-second
	if _, err := g.Add(t.Context(), t0, []New{newOf(t, "Patient", "second")}); err != nil {
		t.Fatal(err)
	}
	reveal(t, s, g)
	if got := ids(t, s, "Patient"); got != "first second" {
		t.Errorf("found %q", got)
	}
}

// expire ends the lease of what is being staged.
func expire(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		return tx.setLease(ctx, stagingLease, leaseRow{})
	}); err != nil {
		t.Fatal(err)
	}
}

// housekeep runs a housekeeper until nothing is staged.
func housekeep(t testing.TB, s *Store) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { s.Housekeep(ctx) })
	defer ended.Wait()
	defer end()
	eventually(t, "nothing is staged", func() bool {
		begins := int64(0)
		if err := s.View(t.Context(), func(ctx context.Context, r *Reader) (err error) {
			begins, err = r.horizon(ctx)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return begins == nowhere
	})
}

// eventually waits until is holds.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute it is still not so that %s", what)
		}
	}
}

func stagingIsLost(t *testing.T, open func() *Store) {
	s := open()
	g := stage(t, s, stagedKinds(t, 200)...)
	expire(t, s)
	other := stage(t, s, newOf(t, "Patient", "other"))
	_, err := g.Add(t.Context(), t0, []New{newOf(t, "Patient", "more")})
	if !errors.Is(err, ErrLost) {
		t.Errorf("added to what is lost: %v", err)
	}
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.Reveal(ctx, g) }); !errors.Is(err, ErrLost) {
		t.Errorf("revealed what is lost: %v", err)
	}
	drop(t, g)
	reveal(t, s, other)
	if got := ids(t, s, "Patient") + ids(t, s, "Observation"); got != "other" {
		t.Errorf("found %q", got)
	}
	checkWhole(t, s)
}

func leftoversAreRemoved(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Patient", "there")
	before := dump(t, s)
	stage(t, s, stagedKinds(t, 200)...)
	expire(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	if got := ids(t, s, "Patient") + ids(t, s, "Observation"); got != "there" {
		t.Errorf("found %q", got)
	}
	housekeep(t, s)
	if after := dump(t, s); !slices.Equal(before, after) {
		t.Errorf("before: %v\nafter: %v", before, after)
	}
	checkWhole(t, s)
	reveal(t, s, stage(t, s, newOf(t, "Patient", "next")))
	if got := ids(t, s, "Patient"); got != "there next" {
		t.Errorf("found %q", got)
	}
}

func horizonIsNotReached(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Patient", "a")
	g := stage(t, s, newOf(t, "Patient", "staged"))
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		// As if millions had been written since.
		if err := tx.exec(ctx, `UPDATE version SET seq = $1 WHERE seq < $1`, g.next-4); err != nil {
			return err
		}
		return tx.exec(ctx, `UPDATE resource SET seq = $1`, g.next-4)
	}); err != nil {
		t.Fatal(err)
	}
	d := draft(t, "Patient", "")
	write := func(id string) error {
		return s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
			_, err := tx.Put(ctx, d, id, t0, "PUT", nil)
			return err
		})
	}
	if err := write("b"); err != nil {
		t.Error(err)
	}
	err := write("c")
	for range 3 {
		if err == nil {
			err = write("c")
		}
	}
	wantKind(t, err, fhir.Unavailable)
	wantKind(t, s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		_, err := tx.Delete(ctx, "Patient", "b", t0, "DELETE")
		return err
	}), fhir.Unavailable)
	reveal(t, s, g)
	if err := write("d"); err != nil {
		t.Error(err)
	}
	checkWhole(t, s)
}

func badInputIsNotStaged(t *testing.T, open func() *Store) {
	s := open()
	for name, n := range map[string]New{
		"bad id":              {Draft: draft(t, "Patient", ""), ID: "a/b", Method: "POST"},
		"no method":           {Draft: draft(t, "Patient", ""), ID: "a"},
		"row of another type": newOf(t, "Patient", "a", search.Row{Param: obsCode}),
	} {
		g := stage(t, s)
		if _, err := g.Add(t.Context(), t0, []New{n}); err == nil {
			t.Errorf("%s was staged", name)
		}
		drop(t, g)
	}
	if got := ids(t, s, "Patient"); got != "" {
		t.Errorf("found %q", got)
	}
	checkWhole(t, s)
}

func changesTell(t *testing.T, open func() *Store) {
	s := open()
	long := strings.Repeat("x", keyLimit+1)
	put(t, s, "Patient", "a", search.Row{Param: patID, System: "http://nhs", Value: "old"})
	var from int64
	changes := func() (c *Changes) {
		if err := s.View(t.Context(), func(ctx context.Context, r *Reader) (err error) {
			c, err = r.Changes(ctx, from)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return c
	}
	from = changes().Until
	if c := changes(); c.Len() != 0 || c.Until != from || c.MayMeet(&search.Query{Type: "Patient"}) {
		t.Errorf("nothing was written: %+v", c)
	}
	put(t, s, "Patient", "b", search.Row{Param: patID, System: "http://nhs", Value: "lost"})
	put(t, s, "Patient", "b", search.Row{Param: patID, System: "http://nhs", Value: "new"}, search.Row{Param: patID, Value: long})
	put(t, s, "Observation", "o", search.Row{Param: obsPatient, System: "Patient", Value: "b"}, search.Row{Param: obsDate, Low: 1, High: 2})
	remove(t, s, "Patient", "a")
	c := changes()
	if !c.Has("Patient/a") || !c.Has("Patient/b") || !c.Has("Observation/o") || c.Has("Patient/o") || c.Len() != 3 {
		t.Errorf("wrong resources: %+v", c)
	}
	if !c.Mention("Observation", "b") || c.Mention("Observation", "new") || !c.Mention("Patient", long) {
		t.Errorf("wrong texts: %+v", c)
	}
	nhs := func(values ...string) []search.Clause {
		clause := search.Clause{Param: patID}
		for _, v := range values {
			clause.Values = append(clause.Values, search.Value{System: "http://nhs", Value: v})
		}
		return []search.Clause{clause}
	}
	whole := clauseOf(patID, search.Value{System: "http://nhs"})
	for name, q := range map[string]struct {
		query *search.Query
		want  bool
	}{
		"a value that is there":    {&search.Query{Type: "Patient", Clauses: nhs("new")}, true},
		"one of several":           {&search.Query{Type: "Patient", Clauses: nhs("x", "new")}, true},
		"none of several":          {&search.Query{Type: "Patient", Clauses: nhs("x", "y")}, false},
		"a value that was":         {&search.Query{Type: "Patient", Clauses: nhs("lost")}, false},
		"a value that is deleted":  {&search.Query{Type: "Patient", Clauses: nhs("old")}, false},
		"a long value":             {&search.Query{Type: "Patient", Clauses: nhs(long)}, true},
		"another long value":       {&search.Query{Type: "Patient", Clauses: nhs(long + "y")}, false},
		"a whole system":           {&search.Query{Type: "Patient", Clauses: []search.Clause{whole}}, true},
		"one clause cannot be met": {&search.Query{Type: "Patient", Clauses: append(nhs("x"), whole)}, false},
		"another type":             {&search.Query{Type: "Goal", Clauses: []search.Clause{whole}}, false},
		"not":                      {&search.Query{Type: "Patient", Clauses: []search.Clause{{Param: patID, Modifier: "not", Values: []search.Value{{Value: "x"}}}}}, true},
		"missing":                  {&search.Query{Type: "Patient", Clauses: []search.Clause{{Param: patID, Modifier: "missing", Values: []search.Value{{Missing: true}}}}}, true},
		"a date":                   {&search.Query{Type: "Observation", Clauses: []search.Clause{clauseOf(obsDate, search.Value{Low: 7, High: 8})}}, true},
		"an id":                    {&search.Query{Type: "Patient", Clauses: []search.Clause{clauseOf(param("Patient", "_id", search.ID), search.Value{Value: "b"})}}, true},
		"another id":               {&search.Query{Type: "Patient", Clauses: []search.Clause{clauseOf(param("Patient", "_id", search.ID), search.Value{Value: "c"})}}, false},
		"a chain of whatever type": {&search.Query{Type: "Goal", Clauses: []search.Clause{{Param: param("Goal", "patient", search.Reference), Chain: []search.Chain{{Type: "Patient", Clause: nhs("x")[0]}}}}}, true},
		"a reference":              {&search.Query{Type: "Observation", Clauses: []search.Clause{clauseOf(obsPatient, search.Value{System: "Patient", Value: "b"})}}, true},
		"a reference to another":   {&search.Query{Type: "Observation", Clauses: []search.Clause{clauseOf(obsPatient, search.Value{System: "Patient", Value: "a"})}}, false},
		"a reference by a URL":     {&search.Query{Type: "Observation", Clauses: []search.Clause{clauseOf(obsPatient, search.Value{URL: "http://x"})}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.MayMeet(q.query); got != q.want {
				t.Errorf("may meet is %v", got)
			}
		})
	}
	if next := func() *Changes { from = c.Until; return changes() }(); next.Len() != 0 {
		t.Errorf("the next changes are %+v", next)
	}
}
