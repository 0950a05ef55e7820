package careplan

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"aftercare/fhir"
)

// deleted is a case in which a person has deleted the resources of a type that hold a text.
func deleted(t *testing.T, c Case, kind, text string) Case {
	t.Helper()
	found := false
	c.Existing = slices.DeleteFunc(slices.Clone(c.Existing), func(s Source) bool {
		if s.Type != kind || !strings.Contains(string(s.Node.Raw), text) {
			return false
		}
		found = true
		c.Deleted = append(slices.Clone(c.Deleted), s)
		return true
	})
	if !found {
		t.Fatalf("no %s holds %s", kind, text)
	}
	return c
}

// again derives and stores until nothing changes, which takes one round.
func again(t *testing.T, e *Engine, c Case) Case {
	t.Helper()
	c = stored(t, c, derive(t, e, c))
	if twice := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, c), state(t, twice)) {
		t.Errorf("deriving again changes\n%v\nto\n%v", state(t, c), state(t, twice))
	}
	return c
}

func TestWhatAPersonTakesOutStaysOut(t *testing.T) {
	e := builtIn(t)
	single, corrected := op("a", "single-stage", "2026-03-02", ""), op("a", "single-stage", "2026-03-09", "")
	const id = "staples-complete"
	plan := func(t *testing.T, c Case) *fhir.Node {
		t.Helper()
		return plan1(t, derive(t, e, c))
	}
	task := func(t *testing.T, c Case) string {
		t.Helper()
		return taskStatuses(t, derive(t, e, c))[id]
	}
	t.Run("an activity: through corrections, a hold and a death taken back; its Task is called off", func(t *testing.T) {
		c := again(t, e, takenOut(t, running(t, e, single), id))
		for _, next := range []func(){
			func() { c = replaceInput(t, c, corrected) },
			func() { c = replaceInput(t, c, unfinished(corrected, "on-hold")) },
			func() { c = replaceInput(t, c, unfinished(corrected, "entered-in-error")) },
			func() { c = replaceInput(t, c, corrected); c.Patient = patientWith(t, `"deceasedBoolean":true`) },
			func() { c.Patient = nil },
		} {
			next()
			c = again(t, e, c)
			if find(plan(t, c), id) != nil {
				t.Fatalf("it is back: %s", plan(t, c).Raw)
			}
		}
		if got := task(t, c); got != "cancelled" {
			t.Errorf("its Task is %s", got)
		}
	})
	t.Run("an activity whose Task was accepted: called off too", func(t *testing.T) {
		c := again(t, e, setStatus(t, running(t, e, single), "Task", id, "accepted"))
		c = again(t, e, takenOut(t, c, id))
		if got := task(t, c); got != "cancelled" {
			t.Errorf("its Task is %s", got)
		}
		if find(plan(t, c), id) != nil {
			t.Error("it is back")
		}
	})
	t.Run("a completed activity: what its Task says of the work stays", func(t *testing.T) {
		c := again(t, e, setStatus(t, running(t, e, single), "Task", id, "completed"))
		c = again(t, e, takenOut(t, c, id))
		if got := task(t, c); got != "completed" || find(plan(t, c), id) != nil {
			t.Errorf("its Task is %s", got)
		}
	})
	t.Run("put back, it follows the plan again, and its Task is as it was", func(t *testing.T) {
		start := running(t, e, single)
		c := again(t, e, takenOut(t, start, id))
		for i, s := range c.Existing {
			if s.Type == "CarePlan" {
				o := members(s.Node)
				o.set("activity", append(raws(s.Node.Each("activity")), raw{find(plan(t, start), id)}))
				c.Existing[i].Node = o.node()
			}
		}
		c = again(t, e, c)
		if got := state(t, c); !maps.Equal(got, state(t, start)) {
			t.Errorf("got\n%v\nwant\n%v", got, state(t, start))
		}
		if got := dates(plan(t, replaceInput(t, c, corrected)))[id]; got != "2026-04-06" {
			t.Errorf("it is at %s", got)
		}
	})
	t.Run("one that is not asked for any more, and then is again", func(t *testing.T) {
		tmr := op("t", "tmr", "2026-03-02", `"partOf":[{"reference":"Procedure/a"}]`)
		c := again(t, e, takenOut(t, running(t, e, single, tmr), "watch-phantom-after-tmr"))
		c = again(t, e, replaceInput(t, c, unfinished(tmr, "entered-in-error")))
		c = again(t, e, replaceInput(t, c, tmr))
		if find(plan(t, c), "watch-phantom-after-tmr") != nil {
			t.Error("it is back")
		}
	})
	t.Run("one that comes to be asked for later was never taken out", func(t *testing.T) {
		c := again(t, e, replaceInput(t, running(t, e, single), op("t", "tmr", "2026-03-02", `"partOf":[{"reference":"Procedure/a"}]`)))
		if find(plan(t, c), "watch-phantom-after-tmr") == nil {
			t.Error("it is not there")
		}
	})
	t.Run("a Task that was deleted, its activity still there", func(t *testing.T) {
		c := again(t, e, deleted(t, running(t, e, single), "Task", "#"+id))
		c.Deleted = nil // the plan remembers
		c = again(t, e, replaceInput(t, c, corrected))
		if got := task(t, c); got != "" {
			t.Errorf("it is back and %s", got)
		}
		if find(plan(t, c), id) == nil {
			t.Error("its activity is gone")
		}
	})
	t.Run("a Task that was deleted and stored again", func(t *testing.T) {
		start := running(t, e, single)
		c := again(t, e, deleted(t, start, "Task", "#"+id))
		c.Existing, c.Deleted = append(c.Existing, c.Deleted...), nil
		c = again(t, e, replaceInput(t, c, corrected))
		if got := task(t, c); got != "requested" {
			t.Errorf("it is %q", got)
		}
	})
	t.Run("a Goal that was deleted is named nowhere", func(t *testing.T) {
		start := running(t, e, single)
		goal := only(t, derive(t, e, start), "Goal")[0]
		c := again(t, e, deleted(t, start, "Goal", goal.Str("id")))
		c.Deleted = nil
		if text := string(plan(t, again(t, e, c)).Raw); strings.Contains(text, "Goal/"+goal.Str("id")) {
			t.Error("the plan names it")
		}
	})
	t.Run("a Flag that was deleted comes back while it holds", func(t *testing.T) {
		c := caseOf(t, single)
		c.Patient = patientWith(t, `"active":true`)
		c = stored(t, c, derive(t, e, c))
		c = deleted(t, c, "Flag", "gp-not-recorded")
		if len(only(t, derive(t, e, c), "Flag")) != 1 {
			t.Error("it is gone")
		}
	})
}

func TestADeletedPlanStaysDeletedUntilAnotherOperation(t *testing.T) {
	e := builtIn(t)
	one, two := op("a", "stage-1", "2026-03-02", ""), op("b", "stage-2", "2026-08-03", "")
	const done = "stage-1.staples-partial"
	start := setStatus(t, running(t, e, one), "Task", done, "completed")
	start = setStatus(t, stored(t, start, derive(t, e, start)), "Task", "stage-1.staples-complete", "accepted")
	start = stored(t, start, derive(t, e, start))
	gone := deleted(t, start, "CarePlan", "")
	plans := func(c Case) int { return len(only(t, derive(t, e, c), "CarePlan")) }
	t.Run("its open work is called off, what was done stays, whoever sends the operation is told", func(t *testing.T) {
		r := derive(t, e, gone)
		if plans(gone) != 0 || !slices.Contains(codesTold(r), "plan-deleted") {
			t.Errorf("%d plans, told %v", plans(gone), codesTold(r))
		}
		if got := taskStatuses(t, r); got[done] != "completed" || got["stage-1.staples-complete"] != "cancelled" {
			t.Errorf("got %v", got)
		}
		for _, n := range slices.Concat(only(t, r, "Goal"), only(t, r, "Flag")) {
			if s := n.Str("lifecycleStatus") + n.Str("status"); s != "cancelled" && s != "inactive" {
				t.Errorf("%s is %s", n.Str("resourceType"), s)
			}
		}
		again(t, e, gone)
	})
	t.Run("sent again, corrected, with a component, put on hold: it stays deleted", func(t *testing.T) {
		c := again(t, e, gone)
		for _, text := range []string{one, op("a", "stage-1", "2026-03-09", ""), op("t", "tmr", "2026-03-09", `"partOf":[{"reference":"Procedure/a"}]`), unfinished(one, "on-hold"), one} {
			c = again(t, e, replaceInput(t, c, text))
			if plans(c) != 0 {
				t.Fatalf("it is back after %s", text)
			}
		}
	})
	t.Run("the second stage brings it back under its id, with what was done", func(t *testing.T) {
		c := again(t, e, replaceInput(t, again(t, e, gone), two))
		r := derive(t, e, c)
		plan := plan1(t, r)
		if want := gone.Deleted[0].ID; plan.Str("id") != want || plan.Str("status") != "active" {
			t.Errorf("it is %s, %s", plan.Str("id"), plan.Str("status"))
		}
		if got := taskStatuses(t, r); got[done] != "completed" || got["stage-1.staples-complete"] != "accepted" || got["stage-2.staples-partial"] != "requested" {
			t.Errorf("got %v", got)
		}
		if a := find(plan, done); a.Str("detail", "status") != "completed" || when(a.Get("detail")) != "2026-03-23" {
			t.Errorf("got %s", a.Raw)
		}
	})
	t.Run("the second stage before the deletion is no new operation", func(t *testing.T) {
		c := replaceInput(t, start, two)
		c = deleted(t, stored(t, c, derive(t, e, c)), "CarePlan", "")
		if plans(again(t, e, c)) != 0 {
			t.Error("it is back")
		}
	})
	t.Run("its bone corrected: it stays deleted, under another key", func(t *testing.T) {
		c := again(t, e, replaceInput(t, gone, op("a", "stage-1", "2026-03-02", tibiaLeft)))
		if plans(c) != 0 {
			t.Error("there is a plan")
		}
	})
	t.Run("an operation at another site has its own plan", func(t *testing.T) {
		c := again(t, e, replaceInput(t, gone, op("z", "single-stage", "2026-05-04", tibiaLeft)))
		if plans(c) != 1 {
			t.Errorf("%d plans", plans(c))
		}
	})
	t.Run("stored again by a person, it goes on", func(t *testing.T) {
		c := again(t, e, gone)
		c.Existing, c.Deleted = append(slices.Clone(c.Existing), c.Deleted...), nil
		c = again(t, e, c)
		if got := taskStatuses(t, derive(t, e, c)); plans(c) != 1 || got["stage-1.staples-complete"] != "accepted" {
			t.Errorf("%d plans, Tasks %v", plans(c), got)
		}
	})
}

// Who takes the identifier or the name of the protocol off a plan does not take it out of the hands
// of derivations.
func TestAPlanWithoutItsIdentifier(t *testing.T) {
	e := builtIn(t)
	start := setStatus(t, running(t, e, op("a", "single-stage", "2026-03-02", "")), "CarePlan", "loading", "completed")
	start = stored(t, start, derive(t, e, start))
	plan := plan1(t, derive(t, e, start))
	for name, drop := range map[string]string{"identifier": "identifier", "instantiatesCanonical": "instantiatesCanonical"} {
		t.Run(name, func(t *testing.T) {
			c := start
			c.Existing = slices.Clone(start.Existing)
			for i, s := range c.Existing {
				if s.Type == "CarePlan" {
					c.Existing[i].Node = members(s.Node).without(drop).node()
					if drop == "identifier" {
						c.Unnamed = map[string]string{s.ref(): planSystem + "|" + identifierIn(plan, planSystem)}
					}
				}
			}
			c = stored(t, c, derive(t, e, c))
			c.Unnamed = nil
			got := plan1(t, derive(t, e, c))
			if !sameContent(t, got.Raw, plan.Raw) {
				t.Errorf("got\n%s\nwant\n%s", got.Raw, plan.Raw)
			}
		})
	}
}

// Whatever people take out, in any order with what feeds send, stays out.
func TestRemovalsOutliveAnything(t *testing.T) {
	e := builtIn(t)
	removed := 0
	rapid.Check(t, func(rt *rapid.T) {
		c := caseOf(t, op("a", "single-stage", "2026-03-02", ""))
		c = stored(t, c, derive(t, e, c))
		out := map[string]bool{}
		for range rapid.IntRange(2, 7).Draw(rt, "events") {
			var plan *fhir.Node
			for _, s := range c.Existing {
				if s.Type == "CarePlan" && s.Node.Str("status") == "active" && strings.Contains(string(s.Node.Raw), "Procedure/a") {
					plan = s.Node
				}
			}
			if plan != nil && rapid.Bool().Draw(rt, "a person acts") {
				list := plan.Each("activity")
				if id := list[rapid.IntRange(0, len(list)-1).Draw(rt, "activity")].Str("id"); len(list) > 1 {
					out[plan.Str("id")+"#"+id] = true
					c = takenOutIn(t, c, plan.Str("id"), id)
					removed++
				}
			} else {
				c = occurs(t, rt, c)
			}
			c = stored(t, c, derive(t, e, c))
			for _, s := range c.Existing {
				for _, a := range s.Node.Each("activity") {
					if out[s.ID+"#"+a.Str("id")] {
						rt.Fatalf("%s is back in\n%s", a.Str("id"), s.Node.Raw)
					}
				}
			}
		}
	})
	if removed == 0 {
		t.Error("nobody took anything out")
	}
}

func takenOutIn(t *testing.T, c Case, plan, id string) Case {
	t.Helper()
	c.Existing = slices.Clone(c.Existing)
	i := slices.IndexFunc(c.Existing, func(s Source) bool { return s.Type == "CarePlan" && s.ID == plan })
	one := takenOut(t, Case{Existing: c.Existing[i : i+1]}, id)
	c.Existing[i] = one.Existing[0]
	return c
}
