package careplan

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// However the clock goes, a mark only goes forward, and other derivations change none.
func TestMarksOnlyGoForward(t *testing.T) {
	e := builtIn(t)
	start := running(t, e, op("a", "single-stage", "2026-03-02", ""))
	first := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	marksOf := func(c Case) map[string]string {
		found := map[string]string{}
		for _, a := range plan1(t, derive(t, e, c)).Each("activity") {
			found[a.Str("id")] = e.markOf(a).code
		}
		return found
	}
	rapid.Check(t, func(rt *rapid.T) {
		c, latest := start, -1
		for _, day := range rapid.SliceOfN(rapid.IntRange(0, 60), 1, 6).Draw(rt, "days") {
			before := marksOf(c)
			c.Today = first.AddDate(0, 0, day)
			c = stored(t, c, derive(t, e, c))
			c.Today = time.Time{}
			latest = max(latest, day)
			for id, mark := range marksOf(c) {
				if slices.Index(marks, mark) < slices.Index(marks, before[id]) {
					rt.Fatalf("%s went from %q to %q", id, before[id], mark)
				}
			}
			again := c
			again.Today = first.AddDate(0, 0, day)
			if again = stored(t, again, derive(t, e, again)); !maps.Equal(state(t, c), state(t, again)) {
				rt.Fatal("marking again changes something")
			}
		}
		fresh := start
		fresh.Today = first.AddDate(0, 0, latest)
		fresh = stored(t, fresh, derive(t, e, fresh))
		fresh.Today = time.Time{}
		want := marksOf(fresh)
		for id, mark := range marksOf(c) {
			if mark != want[id] {
				rt.Fatalf("%s is %q, and %q if only the last day is looked at", id, mark, want[id])
			}
		}
	})
}

func TestNeverMarked(t *testing.T) {
	e := builtIn(t)
	c := running(t, e, op("a", "single-stage", "2026-03-02", ""), op("t", "tmr", "2026-03-02", `"partOf":[{"reference":"Procedure/a"}]`))
	c.Today = time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC)
	var found []string
	for _, a := range plan1(t, derive(t, e, c)).Each("activity") {
		if e.markOf(a).code != "" {
			found = append(found, a.Str("id")+" "+e.markOf(a).code)
		}
	}
	slices.Sort(found)
	// The discharge is not among them: there is no stay on record that is too long.
	if got := strings.Join(found, ", "); got != "original-dressing overdue, pain-assessment-day-1 missed, staples-complete overdue, staples-partial missed" {
		t.Errorf("marked: %s", got)
	}
}

func TestOpenStayIsFlaggedByTheScheduler(t *testing.T) {
	e := builtIn(t)
	c := running(t, e, op("a", "single-stage", "2026-03-02", ""), encounter("e", "IMP", "in-progress", "2026-03-01", ""))
	for day, want := range map[int]bool{7: false, 8: true} {
		c.Today = time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC)
		r := derive(t, e, c)
		flagged := false
		for _, n := range only(t, r, "Flag") {
			flagged = flagged || strings.Contains(string(n.Raw), "stay-long")
		}
		if flagged != want {
			t.Errorf("on %d March: %t", day, flagged)
		}
		if got := find(plan1(t, r), "discharge").Str("detail", "status"); got != "not-started" {
			t.Errorf("the discharge is %s", got)
		}
	}
}
