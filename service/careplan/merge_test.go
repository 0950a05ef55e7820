package careplan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"aftercare/fhir"
)

// edit changes one existing resource as a person's client would, by replacing text.
func edit(t testing.TB, c Case, kind, old, new string) Case {
	t.Helper()
	c.Existing = slices.Clone(c.Existing)
	for i, s := range c.Existing {
		if s.Type == kind && strings.Contains(string(s.Node.Raw), old) {
			c.Existing[i].Node = parse(t, strings.Replace(string(s.Node.Raw), old, new, 1))
			return c
		}
	}
	t.Fatalf("no %s holds %s", kind, old)
	return c
}

func find(plan *fhir.Node, id string) *fhir.Node {
	for _, a := range plan.Each("activity") {
		if a.Str("id") == id {
			return a
		}
	}
	return nil
}

// running is a patient whose plan exists.
func running(t testing.TB, e *Engine, inputs ...string) Case {
	t.Helper()
	c := caseOf(t, inputs...)
	return stored(t, c, derive(t, e, c))
}

func replaceInput(t testing.TB, c Case, text string) Case {
	t.Helper()
	s := source(t, text)
	c.Inputs = slices.Clone(c.Inputs)
	for i := range c.Inputs {
		if c.Inputs[i].ref() == s.ref() {
			c.Inputs[i] = s
			return c
		}
	}
	c.Inputs = append(c.Inputs, s)
	return c
}

const startPartial = `"status":"not-started","scheduledPeriod":{"start":"2026-03-23","end":"2026-03-23"}`

func TestMerge(t *testing.T) {
	e := builtIn(t)
	single := op("a", "single-stage", "2026-03-02", "")
	moved := op("a", "single-stage", "2026-03-09", "")

	t.Run("a corrected date moves what has not started and keeps what has", func(t *testing.T) {
		c := edit(t, running(t, e, single), "CarePlan", startPartial, strings.Replace(startPartial, "not-started", "completed", 1))
		plan := plan1(t, derive(t, e, replaceInput(t, c, moved)))
		got := dates(plan)
		if got["staples-partial"] != "2026-03-23" || got["staples-complete"] != "2026-04-06" {
			t.Errorf("got %v", got)
		}
		if find(plan, "staples-partial").Str("detail", "status") != "completed" {
			t.Error("the completed activity was reopened")
		}
	})
	t.Run("the Task moves with its activity", func(t *testing.T) {
		r := derive(t, e, replaceInput(t, running(t, e, single), moved))
		if got := span(only(t, r, "Task")[0].Get("restriction", "period")); got != "2026-03-30" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("a Task that somebody accepted stays as it is", func(t *testing.T) {
		c := edit(t, running(t, e, single), "Task", `"status":"requested"`, `"status":"accepted"`)
		c = edit(t, c, "CarePlan", startPartial, strings.Replace(startPartial, "not-started", "scheduled", 1))
		r := derive(t, e, replaceInput(t, c, moved))
		if task := only(t, r, "Task")[0]; task.Str("status") != "accepted" || span(task.Get("restriction", "period")) != "2026-03-23" {
			t.Errorf("got %s", task.Raw)
		}
	})
	t.Run("what a clinician adds is kept", func(t *testing.T) {
		c := edit(t, running(t, e, single), "CarePlan", `"activity":[`, `"addresses":[{"reference":"Condition/1"}],"note":[{"text":"n"}],"activity":[{"detail":{"status":"not-started","description":"X-ray"}},`)
		c = edit(t, c, "CarePlan", `"goal":[`, `"goal":[{"reference":"Goal/theirs"},`)
		c = edit(t, c, "CarePlan", `"supportingInfo":[`, `"supportingInfo":[{"reference":"DocumentReference/1"},`)
		c = edit(t, c, "CarePlan", startPartial, startPartial+`,"location":{"display":"Ward"}`)
		c = edit(t, c, "CarePlan", `"id":"staples-complete",`, `"id":"staples-complete","progress":[{"text":"booked"}],`)
		r := derive(t, e, replaceInput(t, c, moved))
		plan := string(plan1(t, r).Raw)
		for _, want := range []string{"X-ray", "Condition/1", `"note":[{"text":"n"}]`, "Goal/theirs", "DocumentReference/1", `"location":{"display":"Ward"}`, `"progress":[{"text":"booked"}]`} {
			if !strings.Contains(plan, want) {
				t.Errorf("%s is gone", want)
			}
		}
		again := stored(t, replaceInput(t, c, moved), r)
		if second := plan1(t, derive(t, e, again)); !sameContent(t, second.Raw, []byte(plan)) {
			t.Errorf("it changes again\n%s\n%s", plan, second.Raw)
		}
	})
	t.Run("an activity that is no longer asked for goes, unless it was begun", func(t *testing.T) {
		tmr := op("t", "tmr", "2026-03-02", `"partOf":[{"reference":"Procedure/a"}]`)
		c := running(t, e, single, tmr)
		gone := replaceInput(t, c, strings.Replace(tmr, "completed", "entered-in-error", 1))
		if find(plan1(t, derive(t, e, gone)), "watch-phantom-after-tmr") != nil {
			t.Error("it is still there")
		}
		begun := edit(t, gone, "CarePlan", `"status":"not-started","scheduledPeriod":{"start":"2026-03-02","end":"2026-09-02"}`, `"status":"in-progress","scheduledPeriod":{"start":"2026-03-02","end":"2026-09-02"}`)
		if find(plan1(t, derive(t, e, begun)), "watch-phantom-after-tmr") == nil {
			t.Error("a begun activity is gone")
		}
	})
	for _, status := range []string{"completed", "revoked", "entered-in-error"} {
		t.Run("a plan that a person has "+status+" stays as it was", func(t *testing.T) {
			c := edit(t, running(t, e, single), "CarePlan", `"status":"active"`, `"status":"`+status+`"`)
			r := derive(t, e, replaceInput(t, c, moved))
			for _, s := range c.Existing {
				if s.Type == "CarePlan" && !sameContent(t, s.Node.Raw, plan1(t, r).Raw) {
					t.Errorf("it became %s", plan1(t, r).Raw)
				}
			}
			if len(only(t, r, "Task")) != 0 {
				t.Error("its Tasks were touched")
			}
		})
	}
	for _, status := range []string{"completed", "revoked", "on-hold"} {
		t.Run("a person's "+status+" is not undone", func(t *testing.T) {
			c := edit(t, running(t, e, single), "CarePlan", `"status":"active"`, `"status":"`+status+`"`)
			if got := plan1(t, derive(t, e, replaceInput(t, c, moved))).Str("status"); got != status {
				t.Errorf("got %s", got)
			}
		})
	}
	t.Run("the Task of a begun activity outlives the prescription", func(t *testing.T) {
		two := op("a", "stage-1", "2026-03-02", "")
		c := running(t, e, single)
		c = edit(t, c, "CarePlan", startPartial, strings.Replace(startPartial, "not-started", "in-progress", 1))
		r := derive(t, e, replaceInput(t, c, two))
		got := map[string]string{}
		for _, task := range only(t, r, "Task") {
			_, id, _ := strings.Cut(identifierIn(task, activitySystem), "#")
			got[id] = task.Str("status")
		}
		want := map[string]string{"staples-partial": "in-progress", "staples-complete": "cancelled", "stage-1.staples-partial": "requested", "stage-1.staples-complete": "requested"}
		if !maps.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		if find(plan1(t, r), "staples-partial") == nil {
			t.Error("the begun activity is gone")
		}
	})
	t.Run("created and authoredOn are kept", func(t *testing.T) {
		c := running(t, e, single)
		c.At = c.At.AddDate(1, 0, 0)
		r := derive(t, e, c)
		if plan1(t, r).Str("created") != "2026-11-20T09:30:00Z" || only(t, r, "Task")[0].Str("authoredOn") != "2026-11-20T09:30:00Z" {
			t.Error("they follow the clock")
		}
	})
	t.Run("a date that becomes inexact takes all dates away", func(t *testing.T) {
		c := replaceInput(t, running(t, e, single), op("a", "single-stage", "2026-03", ""))
		r := derive(t, e, c)
		if plan := plan1(t, r); plan.Str("status") != "draft" || plan.Get("period") != nil || !strings.HasPrefix(dates(plan)["staples-partial"], "Undated: waits") {
			t.Errorf("got %s", plan.Raw)
		}
		for _, g := range only(t, r, "Goal") {
			if strings.Contains(string(g.Raw), "2026-") {
				t.Errorf("a date is left in %s", g.Raw)
			}
		}
		for _, task := range only(t, r, "Task") {
			if task.Str("status") != "cancelled" {
				t.Errorf("the Task is %s", task.Str("status"))
			}
		}
		c = replaceInput(t, stored(t, c, r), single)
		r = derive(t, e, c)
		if plan1(t, r).Str("status") != "active" || only(t, r, "Task")[0].Str("status") != "requested" {
			t.Error("with the date back the plan does not run again")
		}
		if x := only(t, r, "DetectedIssue"); len(x) != 1 || x[0].Str("status") != "cancelled" {
			t.Errorf("the issue still holds: %v", x)
		}
	})
	for name, was := range map[string]string{"another side": femurRight, "another bone": tibiaLeft, "no side": femur} {
		t.Run(name+" corrected: the plan keeps what people did", func(t *testing.T) {
			c := running(t, e, op("a", "single-stage", "2026-03-02", was))
			c = edit(t, c, "CarePlan", startPartial, strings.Replace(startPartial, "not-started", "completed", 1))
			c = edit(t, c, "Task", `"status":"requested"`, `"status":"completed"`)
			before := plan1(t, derive(t, e, c))
			c = replaceInput(t, c, single)
			r := derive(t, e, c)
			plan := plan1(t, r)
			if plan.Str("id") != before.Str("id") || plan.Str("status") != "active" || plan.Str("title") != "Osseointegration aftercare, left femur" {
				t.Errorf("got %s %s %s, was %s", plan.Str("id"), plan.Str("status"), plan.Str("title"), before.Str("id"))
			}
			if find(plan, "staples-partial").Str("detail", "status") != "completed" {
				t.Error("what was done is gone")
			}
			key := identifierIn(plan1(t, derive(t, e, caseOf(t, single))), planSystem)
			for _, p := range r.Resources {
				n := parse(t, string(p.Body))
				if id := n.Each("identifier")[0].Str("value"); p.Type != "DetectedIssue" && !strings.HasPrefix(id, key) {
					t.Errorf("a %s has the identifier %s", p.Type, id)
				}
				if s := n.Str("status"); p.Type == "Task" && s != "completed" && s != "requested" {
					t.Errorf("a Task is %s", s)
				}
			}
			c = stored(t, c, r)
			if again := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, c), state(t, again)) {
				t.Error("deriving again changes something")
			}
		})
	}
	t.Run("the place of a plan that moved is free", func(t *testing.T) {
		c := stored(t, replaceInput(t, running(t, e, op("a", "single-stage", "2026-03-02", femurRight)), single), derive(t, e, replaceInput(t, running(t, e, op("a", "single-stage", "2026-03-02", femurRight)), single)))
		c = replaceInput(t, c, op("b", "single-stage", "2026-03-09", femurRight))
		r := derive(t, e, c)
		got := map[string]string{}
		for _, p := range only(t, r, "CarePlan") {
			got[p.Str("title")] = p.Str("status")
		}
		if want := map[string]string{"Osseointegration aftercare, left femur": "active", "Osseointegration aftercare, right femur": "active"}; !maps.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		c = stored(t, c, r)
		if again := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, c), state(t, again)) {
			t.Error("deriving again changes something")
		}
	})
	t.Run("an issue that somebody dismissed stays dismissed", func(t *testing.T) {
		c := edit(t, running(t, e, op("a", "single-stage", "2026-03", "")), "DetectedIssue", `"status":"final"`, `"status":"cancelled","mitigation":[{"action":{"text":"known"}}]`)
		issue := only(t, derive(t, e, c), "DetectedIssue")[0]
		if issue.Str("status") != "cancelled" || issue.Get("mitigation") == nil {
			t.Errorf("got %s", issue.Raw)
		}
	})
	t.Run("another GP takes over what has not started", func(t *testing.T) {
		c := caseOf(t, single)
		gp := func(id string) *Source {
			s := source(t, `{"resourceType":"Patient","id":"p","generalPractitioner":[{"display":"old words"},{"reference":"Organization/`+id+`"}]}`)
			return &s
		}
		c.Patient = gp("one")
		c = stored(t, c, derive(t, e, c))
		c.Patient = gp("two")
		r := derive(t, e, c)
		if got := only(t, r, "Task")[0].Str("owner", "reference"); got != "Organization/two" {
			t.Errorf("the owner is %s", got)
		}
		if got := find(plan1(t, r), "staples-partial").Each("detail", "performer", "reference"); len(got) != 1 || got[0].Text != "Organization/two" {
			t.Errorf("the performers are %v", got)
		}
		c.Patient = &Source{Type: "Patient", ID: "p", Node: parse(t, `{"resourceType":"Patient","id":"p"}`)}
		if owner := only(t, derive(t, e, c), "Task")[0].Get("owner"); owner != nil {
			t.Errorf("the owner is still %s", owner.Raw)
		}
	})
	t.Run("meta that others set is kept", func(t *testing.T) {
		c := edit(t, running(t, e, single), "CarePlan", `"meta":{`, `"meta":{"tag":[{"code":"x"}],`)
		if body := plan1(t, derive(t, e, c)).Get("meta"); string(body.Raw) != `{"tag":[{"code":"x"}]}` {
			t.Errorf("meta %s", body.Raw)
		}
	})
}

func TestStatusOfTheOperation(t *testing.T) {
	e := builtIn(t)
	single := op("a", "single-stage", "2026-03-02", "")
	for status, want := range map[string]struct{ told, plan, activity, task, goal string }{
		"entered-in-error": {"entered-in-error", "entered-in-error", "entered-in-error", "entered-in-error", "entered-in-error"},
		"not-done":         {"not-done", "revoked", "cancelled", "cancelled", "cancelled"},
		"stopped":          {"not-done", "revoked", "cancelled", "cancelled", "cancelled"},
		"on-hold":          {"on-hold", "on-hold", "on-hold", "on-hold", "on-hold"},
		"preparation":      {"planned", "on-hold", "on-hold", "on-hold", "on-hold"},
		"in-progress":      {"not-completed", "on-hold", "on-hold", "on-hold", "on-hold"},
		"unknown":          {"not-completed", "on-hold", "on-hold", "on-hold", "on-hold"},
	} {
		changed := strings.Replace(single, `"completed"`, `"`+status+`"`, 1)
		t.Run(status+" at first makes no plan", func(t *testing.T) {
			r := derive(t, e, caseOf(t, changed))
			if n := len(only(t, r, "CarePlan")); n != 0 || !slices.Contains(codesTold(r), want.told) {
				t.Errorf("%d plans, told %v", n, codesTold(r))
			}
		})
		t.Run(status+" later closes it, and completed revives it", func(t *testing.T) {
			c := edit(t, running(t, e, single), "CarePlan", startPartial, strings.Replace(startPartial, "not-started", "completed", 1))
			c = replaceInput(t, c, changed)
			r := derive(t, e, c)
			plan := plan1(t, r)
			got := fmt.Sprint(plan.Str("status"), find(plan, "staples-complete").Str("detail", "status"), only(t, r, "Task")[1].Str("status"), only(t, r, "Goal")[0].Str("lifecycleStatus"))
			if got != fmt.Sprint(want.plan, want.activity, want.task, want.goal) {
				t.Errorf("got %s", got)
			}
			if s := find(plan, "staples-partial").Str("detail", "status"); s != "completed" && status != "entered-in-error" {
				t.Errorf("what was done is %s", s)
			}
			c = stored(t, c, r)
			if again := derive(t, e, c); !sameContent(t, plan.Raw, plan1(t, again).Raw) {
				t.Error("closing again changes the plan")
			}
			revived := derive(t, e, replaceInput(t, c, single))
			plan = plan1(t, revived)
			if plan.Str("status") != "active" || find(plan, "staples-complete").Str("detail", "status") != "not-started" || only(t, revived, "Task")[1].Str("status") != "requested" {
				t.Errorf("revived as %s", plan.Raw)
			}
		})
	}
	t.Run("entered in error overrules a person", func(t *testing.T) {
		c := edit(t, running(t, e, single), "CarePlan", `"status":"active"`, `"status":"completed"`)
		r := derive(t, e, replaceInput(t, c, strings.Replace(single, `"completed"`, `"entered-in-error"`, 1)))
		if got := plan1(t, r).Str("status"); got != "entered-in-error" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("one closing after another", func(t *testing.T) {
		c := running(t, e, single)
		for _, status := range []string{"not-done", "on-hold", "entered-in-error", "not-done"} {
			c = replaceInput(t, c, strings.Replace(single, `"completed"`, `"`+status+`"`, 1))
			c = stored(t, c, derive(t, e, c))
		}
		plan := plan1(t, derive(t, e, c))
		if plan.Str("status") != "revoked" || find(plan, "staples-partial").Str("detail", "status") != "cancelled" {
			t.Errorf("got %s", plan.Raw)
		}
	})
	t.Run("a plan of definitions that are not loaded is left alone", func(t *testing.T) {
		c := running(t, e, single)
		for i, s := range c.Existing {
			c.Existing[i].Node = parse(t, strings.ReplaceAll(string(s.Node.Raw), "PlanDefinition/osseointegration-aftercare", "PlanDefinition/another"))
		}
		c.Inputs = nil
		if r := derive(t, e, c); len(r.Resources) != 0 {
			t.Errorf("got %s", r.Resources[0].Body)
		}
	})
	t.Run("the record gone: the plan is revoked", func(t *testing.T) {
		c := running(t, e, single)
		c.Inputs = nil
		plan := plan1(t, derive(t, e, c))
		if plan.Str("status") != "revoked" || find(plan, "staples-partial").Str("detail", "status") != "cancelled" {
			t.Errorf("got %s", plan.Raw)
		}
	})
	t.Run("death closes the plan", func(t *testing.T) {
		c := running(t, e, single)
		patient := source(t, `{"resourceType":"Patient","id":"p","deceasedDateTime":"2026-04-01"}`)
		c.Patient = &patient
		r := derive(t, e, c)
		if got := plan1(t, r).Str("status"); got != "revoked" || !slices.Contains(codesTold(r), "patient-deceased") {
			t.Errorf("got %s", got)
		}
		if task := only(t, r, "Task")[0]; task.Str("status") != "cancelled" {
			t.Errorf("the Task is %s", task.Str("status"))
		}
	})
}

// Whatever the order in which records arrive, and whether they arrive one by one or at
// once, the plans end the same.
func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	e := builtIn(t)
	part := func(id, code, of string) string {
		return op(id, code, "2026-03-02", fmt.Sprintf(`"partOf":[{"reference":"Procedure/%s"}]`, of))
	}
	pool := []string{
		op("s1", "stage-1", "2026-03-02", femurLeft),
		op("s2", "stage-2", "2026-08-03", femurLeft),
		op("s2b", "stage-2", "2026-08-10", `"partOf":[{"reference":"Procedure/s1"}]`),
		op("r", "single-stage", "2026-05-04", femurRight),
		op("u", "single-stage", "2026-05-04", femur),
		op("m", "single-stage", "2026-05", strings.Replace(femurLeft, "71341001", "12611008", 1)),
		op("n", "single-stage", "2026-05-04", `"note":[{"text":"no site"}]`),
		strings.Replace(op("p", "single-stage", "2027-01-18", strings.Replace(femurLeft, "71341001", "85050009", 1)), "completed", "preparation", 1),
		part("t", "tmr", "s1"), part("x", "traction-neurectomy", "r"), op("z", "removal", "2026-09-09", femurRight),
		`{"resourceType":"Device","id":"d"}`,
	}
	rapid.Check(t, func(rt *rapid.T) {
		chosen := rapid.SliceOfNDistinct(rapid.IntRange(0, len(pool)-1), 1, 7, rapid.ID[int]).Draw(rt, "records")
		all := caseOf(t)
		for _, i := range chosen {
			all.Inputs = append(all.Inputs, source(t, pool[i]))
		}
		want := state(t, stored(t, all, derive(t, e, all)))
		step := caseOf(t)
		for _, i := range rapid.Permutation(chosen).Draw(rt, "order") {
			step.Inputs = append(step.Inputs, source(t, pool[i]))
			step = stored(t, step, derive(t, e, step))
		}
		got := state(t, step)
		for ref, body := range want {
			if got[ref] != body {
				rt.Fatalf("%s is\n%s\nbut arriving in order\n%s", ref, body, got[ref])
			}
		}
		for ref, body := range got {
			if _, ok := want[ref]; !ok && !strings.Contains(body, "cancelled") && !strings.Contains(body, "revoked") && !strings.Contains(body, `"inactive"`) {
				rt.Fatalf("%s is left over:\n%s", ref, body)
			}
		}
	})
}

func state(t testing.TB, c Case) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, s := range c.Existing {
		m[s.ref()] = string(s.Node.Raw)
	}
	return m
}
