package careplan

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// happening is something that a feed sends in the life of a patient: an operation, begun,
// corrected, planned or withdrawn, on one of few sites so that they meet.
func happening(t *rapid.T) string {
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	id := pick("id", "a", "b", "c", "d")
	if rapid.IntRange(0, 9).Draw(t, "device") == 0 {
		return device("x", "bone-anchor", pick("device status", "active", "inactive"))
	}
	code := pick("code", "single-stage", "single-stage", "stage-1", "stage-2", "removal", "anchor-exchange", "soft-tissue-revision", "revision", "tmr")
	where := pick("site", femurLeft, femurLeft, femurLeft, femurRight, femur, `"partOf":[{"reference":"Procedure/a"}]`, with("implanted x"))
	day := pick("day", "2026-03-02", "2026-03-02", "2026-05-04", "2026-08-03", "2026-08-03T23:30:00Z", "2027-01-11", "2026-08", "")
	return unfinished(op(id, code, day, where), pick("status", "completed", "completed", "completed", "completed", "preparation", "not-done", "on-hold", "entered-in-error"))
}

// occurs is a case after something happened: a message, or that the patient's record was merged with
// another, which takes its place, or was parted from it again.
func occurs(t *testing.T, rt *rapid.T, c Case) Case {
	t.Helper()
	if rapid.IntRange(0, 7).Draw(rt, "merge") > 0 {
		return replaceInput(t, c, happening(rt))
	}
	c.Subject = map[string]string{"Patient/p": "Patient/q", "Patient/q": "Patient/p"}[c.Subject]
	return c
}

// standing are the resources that are in force, under their identifiers: which id something
// has depends on where it was first.
func standing(c Case) map[string]string {
	var names []string
	for _, s := range c.Existing {
		names = append(names, `"id":"`+s.ID+`"`, `"id":"`+identity(s)+`"`, "/"+s.ID+`"`, "/"+identity(s)+`"`)
	}
	rename := strings.NewReplacer(names...)
	found := map[string]string{}
	for _, s := range c.Existing {
		switch s.Node.Str("status") + s.Node.Str("lifecycleStatus") {
		case "revoked", "cancelled", "entered-in-error", "on-hold", "completed", "inactive":
		default:
			found[s.Type+" "+identity(s)] = writtenMark.ReplaceAllString(rename.Replace(string(s.Node.Raw)), "")
		}
	}
	return found
}

// writtenMark is a digest of what was written, ids among it.
var writtenMark = regexp.MustCompile(`\{"url":"[^"]*/StructureDefinition/written","valueString":"[^"]*"\}`)

func identity(s Source) string { return s.Node.Each("identifier", "value")[0].Text }

// However records come about, what is in force is what the records say in the end, and deriving
// again changes nothing.
func TestOnlyTheEndOfAHistoryCounts(t *testing.T) {
	e := builtIn(t)
	plans := 0
	rapid.Check(t, func(rt *rapid.T) {
		c := caseOf(t)
		for range rapid.IntRange(1, 8).Draw(rt, "events") {
			c = occurs(t, rt, c)
			c = stored(t, c, derive(t, e, c))
			if again := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, c), state(t, again)) {
				rt.Fatalf("deriving again changes\n%v\nto\n%v", state(t, c), state(t, again))
			}
		}
		all := c
		all.Existing = nil
		all = stored(t, all, derive(t, e, all))
		want, got := standing(all), standing(c)
		for key, body := range want {
			if strings.HasPrefix(key, "CarePlan") {
				plans++
			}
			if got[key] != body {
				rt.Fatalf("%s is\n%s\nbut after this history\n%s", key, body, got[key])
			}
		}
		for key, body := range got {
			if want[key] == "" {
				rt.Fatalf("left over: %s", body)
			}
		}
	})
	if plans == 0 {
		t.Error("there was no plan")
	}
}

// What people have done stays as they left it, whatever happens to operations and anchors; only a
// plan of an operation that was entered in error marks it so.
func TestWhatPeopleDidIsNeverMoved(t *testing.T) {
	e := builtIn(t)
	checks, acts, kept := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		checks++
		c := caseOf(t)
		done := map[string]deed{} // by the mark of who did it
		for i := range rapid.IntRange(2, 9).Draw(rt, "events") {
			if rapid.Bool().Draw(rt, "a person acts") {
				if mark, what, ok := act(t, rt, &c, i); ok {
					done[mark] = what
					acts++
				}
			} else {
				c = occurs(t, rt, c)
			}
			c = stored(t, c, derive(t, e, c))
			for mark, want := range done {
				found := ""
				for _, s := range c.Existing {
					for _, a := range s.Node.Each("activity") {
						if !slices.ContainsFunc(codingsAt(a, "outcomeCodeableConcept", "coding"), func(x coding) bool { return x.Code == mark }) {
							continue
						}
						found = when(a.Get("detail"))
						inForce := s.Node.Str("status") == "active" || s.Node.Str("status") == "draft"
						if status := a.Str("detail", "status"); status != want.status && (inForce || finished[want.status] && s.Node.Str("status") != "entered-in-error") {
							rt.Fatalf("%s was %s and is %s in\n%s", mark, want.status, status, s.Node.Raw)
						}
					}
				}
				if found != want.scheduled {
					rt.Fatalf("%s was at %s and is at %q", mark, want.scheduled, found)
				}
				kept++
			}
		}
	})
	if checks >= 20 && (acts == 0 || kept <= acts) { // in a few it may be
		t.Errorf("people did %d things, looked at %d times", acts, kept)
	}
}

// deed is what a person did with an activity: its status, and when it was scheduled.
type deed struct{ status, scheduled string }

// act begins, completes, holds, cancels or stops an activity of a running plan.
func act(t *testing.T, rt *rapid.T, c *Case, i int) (mark string, done deed, ok bool) {
	t.Helper()
	c.Existing = slices.Clone(c.Existing)
	for k, s := range c.Existing {
		if s.Type != "CarePlan" || s.Node.Str("status") != "active" {
			continue
		}
		list := s.Node.Each("activity")
		n := rapid.IntRange(0, len(list)-1).Draw(rt, "activity")
		if list[n].Str("detail", "status") != "not-started" {
			continue
		}
		mark = fmt.Sprintf("done-%d", i)
		detail := members(list[n].Get("detail"))
		status := rapid.SampledFrom([]string{"completed", "completed", "in-progress", "scheduled", "on-hold", "cancelled", "stopped"}).Draw(rt, "status")
		detail.set("status", status)
		activity := members(list[n])
		activity.set("detail", detail)
		activity.set("outcomeCodeableConcept", []concept{{Coding: []coding{{Code: mark}}}})
		list[n] = activity.node()
		plan := members(s.Node)
		plan.set("activity", raws(list))
		c.Existing[k].Node = plan.node()
		return mark, deed{status, when(list[n].Get("detail"))}, true
	}
	return "", deed{}, false
}
