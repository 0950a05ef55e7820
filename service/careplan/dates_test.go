package careplan

import (
	"cmp"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// bothDates are those of an activity and of its Task.
func bothDates(t *testing.T, c Case, id string) string {
	t.Helper()
	task := ""
	for _, s := range c.Existing {
		if s.Type == "Task" && strings.HasSuffix(identifierIn(s.Node, activitySystem), "#"+id) {
			task = span(s.Node.Get("restriction", "period"))
		}
	}
	for _, s := range c.Existing {
		if a := find(s.Node, id); a != nil {
			return when(a.Get("detail")) + ", " + task
		}
	}
	return ""
}

// moveDates sets the dates of an activity or of its Task, as a person does.
func moveDates(t *testing.T, c Case, kind, id, day string) Case {
	t.Helper()
	was := bothDates(t, c, id)
	activity, task, _ := strings.Cut(was, ", ")
	if kind == "CarePlan" {
		return editIn(t, c, kind, `"id":"`+id+`"`, `"scheduledPeriod":{"start":"`+activity+`","end":"`+activity+`"}`, `"scheduledPeriod":{"start":"`+day+`","end":"`+day+`"}`)
	}
	return editIn(t, c, kind, "#"+id, `"restriction":{"period":{"start":"`+task+`","end":"`+task+`"}}`, `"restriction":{"period":{"start":"`+day+`","end":"`+day+`"}}`)
}

// editIn is edit behind a text.
func editIn(t *testing.T, c Case, kind, behind, old, new string) Case {
	t.Helper()
	for i, s := range c.Existing {
		text := string(s.Node.Raw)
		if from := strings.Index(text, behind); s.Type == kind && from >= 0 && strings.Contains(text[from:], old) {
			c.Existing = append(append([]Source{}, c.Existing[:i]...), append([]Source{{s.Type, s.ID, s.Version, parse(t, text[:from]+strings.Replace(text[from:], old, new, 1))}}, c.Existing[i+1:]...)...)
			return c
		}
	}
	t.Fatalf("no %s holds %s behind %s", kind, old, behind)
	return c
}

func TestAnActivityAndItsTaskHaveTheSameDates(t *testing.T) {
	e := builtIn(t)
	const id = "staples-complete"
	single, corrected := op("a", "single-stage", "2026-03-02", ""), op("a", "single-stage", "2026-03-09", "")
	start := running(t, e, single)
	want := func(t *testing.T, c Case, dates string) {
		t.Helper()
		if got := bothDates(t, c, id); got != dates {
			t.Errorf("got %s, want %s", got, dates)
		}
	}
	t.Run("a Task that is moved takes its activity along, through a correction, and back", func(t *testing.T) {
		c := again(t, e, moveDates(t, start, "Task", id, "2026-04-02"))
		want(t, c, "2026-04-02, 2026-04-02")
		c = again(t, e, replaceInput(t, c, corrected))
		want(t, c, "2026-04-02, 2026-04-02")
		c = again(t, e, replaceInput(t, c, single))
		c = again(t, e, moveDates(t, c, "Task", id, "2026-03-30"))
		want(t, c, "2026-03-30, 2026-03-30")
		c = again(t, e, replaceInput(t, c, corrected))
		want(t, c, "2026-04-06, 2026-04-06")
	})
	t.Run("moved one after the other: the last counts", func(t *testing.T) {
		c := again(t, e, moveDates(t, start, "Task", id, "2026-04-02"))
		c = again(t, e, moveDates(t, c, "CarePlan", id, "2026-04-03"))
		want(t, c, "2026-04-03, 2026-04-03")
		c = again(t, e, moveDates(t, c, "Task", id, "2026-04-07"))
		want(t, c, "2026-04-07, 2026-04-07")
	})
	t.Run("both moved at once to different days: each stays, and that is told", func(t *testing.T) {
		c := moveDates(t, moveDates(t, start, "Task", id, "2026-04-02"), "CarePlan", id, "2026-04-03")
		r := derive(t, e, c)
		found := false
		for _, n := range r.Notices {
			found = found || n.Issue.Detail == "kept-by-person" && strings.Contains(n.Issue.Text, "task "+id+" (restriction)")
		}
		if !found {
			t.Error("it is not told")
		}
		c = again(t, e, c)
		want(t, c, "2026-04-03, 2026-04-02")
		c = again(t, e, replaceInput(t, c, corrected))
		want(t, c, "2026-04-03, 2026-04-02")
		c = again(t, e, moveDates(t, c, "Task", id, "2026-04-03"))
		want(t, c, "2026-04-03, 2026-04-03")
		c = again(t, e, moveDates(t, c, "Task", id, "2026-04-08"))
		want(t, c, "2026-04-08, 2026-04-08")
	})
	t.Run("a Task that is accepted for another day, then moved once more", func(t *testing.T) {
		c := setStatus(t, moveDates(t, start, "Task", id, "2026-04-02"), "Task", id, "accepted")
		c = again(t, e, c)
		want(t, c, "2026-04-02, 2026-04-02")
		if got := statuses(t, derive(t, e, c), id); got != "scheduled accepted" {
			t.Errorf("got %s", got)
		}
		c = again(t, e, moveDates(t, c, "Task", id, "2026-04-07"))
		want(t, c, "2026-04-07, 2026-04-07")
		c = again(t, e, replaceInput(t, c, corrected))
		want(t, c, "2026-04-07, 2026-04-07")
	})
	t.Run("an activity that a clinician books for another day takes its Task along", func(t *testing.T) {
		c := setStatus(t, moveDates(t, start, "CarePlan", id, "2026-04-02"), "CarePlan", id, "scheduled")
		c = again(t, e, c)
		want(t, c, "2026-04-02, 2026-04-02")
		c = again(t, e, replaceInput(t, c, corrected))
		want(t, c, "2026-04-02, 2026-04-02")
	})
	t.Run("an activity that a clinician has booked is not moved by its Task", func(t *testing.T) {
		c := again(t, e, setStatus(t, start, "CarePlan", id, "scheduled"))
		c = again(t, e, moveDates(t, c, "Task", id, "2026-04-02"))
		want(t, c, "2026-03-30, 2026-04-02")
	})
	t.Run("what was done keeps its dates on both sides", func(t *testing.T) {
		c := again(t, e, setStatus(t, start, "Task", id, "completed"))
		c = again(t, e, replaceInput(t, c, corrected))
		want(t, c, "2026-03-30, 2026-03-30")
	})
	t.Run("a Task without an end moves nothing", func(t *testing.T) {
		c := editIn(t, start, "Task", "#"+id, `"restriction":{"period":{"start":"2026-03-30","end":"2026-03-30"}}`, `"restriction":{"period":{"start":"2026-04-01"}}`)
		c = again(t, e, c)
		want(t, c, "2026-03-30, from 2026-04-01")
	})
}

// Whoever moves what, and however operations are corrected, an activity and its Task that were not
// moved at the same time have the same dates.
func TestDatesNeverDrift(t *testing.T) {
	e := builtIn(t)
	start := running(t, e, op("a", "single-stage", "2026-03-02", ""))
	days := []string{"2026-03-30", "2026-04-02", "2026-04-06", "2026-04-07"}
	rapid.Check(t, func(rt *rapid.T) {
		c := start
		rule := map[string]string{"2026-03-02": "2026-03-30", "2026-03-09": "2026-04-06"}
		operation, last := "2026-03-02", "" // last is to where a person has moved it, if that is not what the rule says
		for range rapid.IntRange(1, 6).Draw(rt, "events") {
			day := rapid.SampledFrom(days).Draw(rt, "day")
			switch kind := rapid.SampledFrom([]string{"CarePlan", "Task", "correction"}).Draw(rt, "kind"); kind {
			case "correction":
				operation = rapid.SampledFrom([]string{"2026-03-02", "2026-03-09"}).Draw(rt, "operation")
				c = replaceInput(t, c, op("a", "single-stage", operation, ""))
			default:
				c, last = moveDates(t, c, kind, "staples-complete", day), day
			}
			c = stored(t, c, derive(t, e, c))
			if twice := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, c), state(t, twice)) {
				rt.Fatal("deriving again changes something")
			}
			activity, task, _ := strings.Cut(bothDates(t, c, "staples-complete"), ", ")
			if activity != task {
				rt.Fatalf("the activity is at %s, the Task at %s", activity, task)
			}
			if last == rule[operation] {
				last = ""
			}
			if want := cmp.Or(last, rule[operation]); activity != want {
				rt.Fatalf("it is at %s, want %s", activity, want)
			}
		}
	})
}
