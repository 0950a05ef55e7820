package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// onEachPair runs a test with a source and a target; every engine is one and the other.
func onEachPair(t *testing.T, test func(t *testing.T, source, target func(t testing.TB) func() *Store)) {
	t.Run("SQLite to SQLite", func(t *testing.T) { test(t, freshSQLite, freshSQLite) })
	t.Run("SQLite to PostgreSQL", func(t *testing.T) { test(t, freshSQLite, freshPostgres) })
	t.Run("PostgreSQL to SQLite", func(t *testing.T) { test(t, freshPostgres, freshSQLite) })
}

// placed is an entry with its position.
type placed struct {
	Position int64
	Entry    HistoryEntry
}

func versions(t testing.TB, s *Store, after int64, n int) (out []placed) {
	t.Helper()
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		return r.Versions(ctx, after, n, func(position int64, e HistoryEntry) error {
			out = append(out, placed{position, e})
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func extentOf(t testing.TB, s *Store, upTo int64) (e Extent) {
	t.Helper()
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) (err error) {
		e, err = r.Extent(ctx, upTo)
		if err != nil || upTo != math.MaxInt64 {
			return err
		}
		last, err := r.Last(ctx)
		if last != e.Last {
			t.Errorf("last is %d and %d", last, e.Last)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return e
}

// transfer restores what comes after a position, in writes of n versions of which only the
// newest of each resource is indexed, and returns the position of the last.
func transfer(t testing.TB, from, to *Store, after int64, n int) int64 {
	t.Helper()
	for {
		batch := versions(t, from, after, n)
		if len(batch) == 0 {
			return after
		}
		if err := to.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
			for i, v := range batch {
				replaced := slices.ContainsFunc(batch[i+1:], func(o placed) bool { return o.Entry.Resource.Ref() == v.Entry.Resource.Ref() })
				var rows []search.Row
				if !replaced && !v.Entry.Resource.Deleted {
					rows = rowsOf(v.Entry.Resource)
				}
				if _, err := tx.Restore(ctx, v.Entry, rows); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		after = batch[len(batch)-1].Position
	}
}

// rowsOf makes what can be found of a version depend on its number.
func rowsOf(r *fhir.Resource) []search.Row {
	return []search.Row{{Param: param(r.Type, "code", search.Token), System: "urn:v", Value: fmt.Sprint(r.Version % 3)}}
}

// same fails the test if anything that can be read differs, positions aside: of what comes
// after a position in each of the two, and of all that can be found.
func same(t testing.TB, a, b *Store, afterA, afterB int64) {
	t.Helper()
	state := func(s *Store, after int64) map[string]any {
		out := map[string]any{}
		var entries []HistoryEntry
		tail := versions(t, s, after, 1000)
		for i, v := range tail {
			entries = append(entries, v.Entry)
			if i > 0 && v.Position <= tail[i-1].Position {
				t.Errorf("position %d comes after %d", v.Position, tail[i-1].Position)
			}
			r := v.Entry.Resource
			if err := s.View(t.Context(), func(ctx context.Context, view *Reader) error {
				at, err := view.Version(ctx, r.Type, r.ID, r.Version)
				if err != nil {
					return err
				}
				now, err := view.Get(ctx, r.Type, r.ID)
				out[fmt.Sprint(r.Ref(), " ", r.Version)] = []*fhir.Resource{at, now}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		out["versions"] = entries
		e := extentOf(t, s, math.MaxInt64)
		out["extent"] = []int64{e.Versions, e.Resources}
		for _, typ := range []string{"", "Patient", "Observation"} {
			page, err := history(t, s, HistoryQuery{Type: typ, Count: 30, Total: true})
			if err != nil {
				t.Fatal(err)
			}
			out["history of "+typ] = []any{page.Entries, page.Total}
			if typ == "" {
				continue
			}
			out["all "+typ] = ids(t, s, typ)
			for v := range 3 {
				out[fmt.Sprint("found ", typ, v)] = ids(t, s, typ, clauseOf(param(typ, "code", search.Token), search.Value{System: "urn:v", Value: fmt.Sprint(v)}))
			}
		}
		return out
	}
	if diff := cmp.Diff(state(a, afterA), state(b, afterB)); diff != "" {
		t.Errorf("the restored database differs (-source +target):\n%s", diff)
	}
}

// The two databases grow from one history to the next: a database cannot be made anew for each.
func TestRestoreGivesTheSameDatabase(t *testing.T) {
	onEachPair(t, func(t *testing.T, source, target func(t testing.TB) func() *Store) {
		from, to := source(t)(), target(t)()
		put(t, from, "Observation", "first", rowsOf(&fhir.Resource{Type: "Observation", Version: 1})...)
		reached := transfer(t, from, to, 0, 1)
		rapid.Check(t, func(rt *rapid.T) {
			before := extentOf(t, to, math.MaxInt64).Last
			for range rapid.IntRange(0, 4).Draw(rt, "writes") {
				changes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) change {
					return change{
						typ:    rapid.SampledFrom([]string{"Patient", "Observation"}).Draw(t, "type"),
						id:     rapid.StringMatching(`[aB][.-][0-9]?`).Draw(t, "id"),
						remove: rapid.IntRange(0, 2).Draw(t, "remove") == 0,
						method: rapid.SampledFrom([]string{"POST", "PUT", "PATCH"}).Draw(t, "method"),
						text:   rapid.StringMatching(`([a-z\x{e9}\x{2028}\x{1f9bf}]|\\u0000|\\n|\\")*`).Draw(t, "text"),
					}
				}), 1, 6).Draw(rt, "changes")
				if err := from.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
					for _, c := range changes {
						if err := c.make(ctx, t, tx); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					rt.Fatal(err)
				}
			}
			after := reached
			reached = transfer(t, from, to, reached, rapid.IntRange(1, 8).Draw(rt, "batch"))
			same(t, from, to, after, before)
			if t.Failed() {
				rt.Fatal("see above")
			}
		})
	})
}

// change is a write of the property test.
type change struct {
	typ, id, method, text string
	remove                bool
}

func (c change) make(ctx context.Context, t testing.TB, tx *Tx) error {
	if c.remove {
		if _, err := tx.Delete(ctx, c.typ, c.id, t0, "DELETE"); fhir.KindOf(err) != fhir.NotFound {
			return err
		}
		return nil
	}
	now, err := tx.Get(ctx, c.typ, c.id)
	if err != nil {
		now = &fhir.Resource{Type: c.typ}
	}
	now.Version++
	_, err = tx.Put(ctx, draft(t, c.typ, `,"language":"`+c.text+`"`), c.id, t0, c.method, rowsOf(now))
	return err
}

func TestVersionsAreReadInPages(t *testing.T) {
	onEachEngineAlone(t, func(t *testing.T, s *Store) {
		for i := range 5 {
			put(t, s, "Patient", fmt.Sprint("p", i/2))
		}
		remove(t, s, "Patient", "p0")
		all := versions(t, s, 0, 100)
		if len(all) != 6 {
			t.Fatalf("%d versions", len(all))
		}
		for n := 1; n < 8; n++ {
			var got []placed
			for after := int64(0); ; {
				page := versions(t, s, after, n)
				if len(page) > n {
					t.Fatalf("a page of %d has %d", n, len(page))
				}
				if len(page) == 0 {
					break
				}
				got, after = append(got, page...), page[len(page)-1].Position
			}
			if diff := cmp.Diff(all, got); diff != "" {
				t.Errorf("by %d: %s", n, diff)
			}
		}
		if e := extentOf(t, s, math.MaxInt64); e.Versions != 6 || e.Resources != 3 || e.Last != all[5].Position {
			t.Errorf("extent of all is %+v", e)
		}
		if e := extentOf(t, s, all[2].Position); e.Versions != 3 || e.Resources != 2 || e.Last != all[2].Position {
			t.Errorf("extent of three is %+v", e)
		}

		stop := errors.New("enough")
		seen := 0
		if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
			if err := r.Versions(ctx, 0, 100, func(int64, HistoryEntry) error { seen++; return stop }); err != stop || seen != 1 {
				t.Errorf("after %d: %v", seen, err)
			}
			_, err := r.Last(ctx) // the view is still good
			return err
		}); err != nil {
			t.Error(err)
		}
	})
}

func TestEmptyDatabaseHasNoVersions(t *testing.T) {
	onEachEngineAlone(t, func(t *testing.T, s *Store) {
		if got := versions(t, s, 0, 10); len(got) > 0 {
			t.Errorf("it has %v", got)
		}
		if e := extentOf(t, s, math.MaxInt64); e != (Extent{}) {
			t.Errorf("its extent is %+v", e)
		}
	})
}

func TestStagedVersionsAreNotThereYet(t *testing.T) {
	onEachEngineAlone(t, func(t *testing.T, s *Store) {
		put(t, s, "Patient", "before")
		g, err := s.Stage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Add(t.Context(), t0, []New{{Draft: draft(t, "Patient", ""), ID: "staged", Method: "POST"}}); err != nil {
			t.Fatal(err)
		}
		put(t, s, "Patient", "meanwhile")
		first := versions(t, s, 0, 10)
		if e := extentOf(t, s, math.MaxInt64); len(first) != 2 || e.Versions != 2 || e.Last != first[1].Position {
			t.Fatalf("%d versions, extent %+v", len(first), e)
		}
		if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.Reveal(ctx, g) }); err != nil {
			t.Fatal(err)
		}
		if next := versions(t, s, first[1].Position, 10); len(next) != 1 || next[0].Entry.Resource.ID != "staged" {
			t.Errorf("after it come %v", next)
		}
	})
}

// A program that runs beside the service does not take its staging for what a dead process has
// left.
func TestStagingSurvivesAReaderBesideIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := openTest(t, path, Options{})
	g, err := s.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	add := func(id string) {
		t.Helper()
		if _, err := g.Add(t.Context(), t0, []New{{Draft: draft(t, "Patient", ""), ID: id, Method: "POST"}}); err != nil {
			t.Fatal(err)
		}
	}
	add("before")
	beside := openTest(t, path, Options{})
	if e := extentOf(t, beside, math.MaxInt64); e != (Extent{}) {
		t.Errorf("it sees %+v", e)
	}
	if err := beside.Close(); err != nil {
		t.Fatal(err)
	}
	add("after")
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.Reveal(ctx, g) }); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, s, "Patient"); got != "before after" {
		t.Errorf("there are %s", got)
	}
}

// While another process holds the right to write, the database can be opened and read.
func TestOpenBesideDoesNotWaitForAWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := openTest(t, path, Options{})
	put(t, s, "Patient", "a")
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		beside := openTest(t, path, Options{})
		if e := extentOf(t, beside, math.MaxInt64); e.Versions != 1 {
			t.Errorf("it sees %+v", e)
		}
		return beside.Close()
	}); err != nil {
		t.Error(err)
	}
}

func TestRestoreRefusesWhatDoesNotFollow(t *testing.T) {
	version := func(n int64, change ...func(*HistoryEntry)) HistoryEntry {
		e := HistoryEntry{Method: "PUT", Resource: &fhir.Resource{
			Type: "Patient", ID: "a", Version: n, LastUpdated: t0.Add(time.Duration(n) * time.Second), Body: fmt.Appendf(nil, `{"v":%d}`, n)}}
		for _, c := range change {
			c(&e)
		}
		return e
	}
	deletion := func(e *HistoryEntry) { e.Resource.Deleted, e.Resource.Body, e.Method = true, nil, "DELETE" }
	onEachEngineAlone(t, func(t *testing.T, s *Store) {
		for name, c := range map[string]struct {
			before []HistoryEntry
			refuse HistoryEntry
			kind   fhir.ErrorKind
		}{
			"a second version without a first": {nil, version(2), fhir.Conflict},
			"version 0":                        {nil, version(0), fhir.Conflict},
			"a version again":                  {[]HistoryEntry{version(1)}, version(1), fhir.Conflict},
			"a gap":                            {[]HistoryEntry{version(1)}, version(3), fhir.Conflict},
			"time standing still":              {[]HistoryEntry{version(1)}, version(2, func(e *HistoryEntry) { e.Resource.LastUpdated = t0.Add(time.Second) }), fhir.Conflict},
			"deletion of what never was":       {nil, version(1, deletion), fhir.Conflict},
			"deletion of what is deleted":      {[]HistoryEntry{version(1), version(2, deletion)}, version(3, deletion), fhir.Conflict},
			"content in a deletion":            {[]HistoryEntry{version(1)}, version(2, func(e *HistoryEntry) { e.Resource.Deleted = true }), fhir.BadRequest},
			"no content":                       {nil, version(1, func(e *HistoryEntry) { e.Resource.Body = nil }), fhir.BadRequest},
			"no method":                        {nil, version(1, func(e *HistoryEntry) { e.Method = "" }), fhir.BadRequest},
			"a bad id":                         {nil, version(1, func(e *HistoryEntry) { e.Resource.ID = "a/b" }), fhir.BadRequest},
		} {
			t.Run(name, func(t *testing.T) {
				err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
					for _, e := range c.before {
						if _, err := tx.Restore(ctx, e, nil); err != nil {
							t.Errorf("before: %v", err)
						}
					}
					_, err := tx.Restore(ctx, c.refuse, nil)
					return err
				})
				wantKind(t, err, c.kind)
				if got := versions(t, s, 0, 10); len(got) > 0 {
					t.Errorf("it left %v", got)
				}
			})
		}
	})
}

func onEachEngineAlone(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Run("SQLite", func(t *testing.T) { test(t, freshSQLite(t)()) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, freshPostgres(t)()) })
}
