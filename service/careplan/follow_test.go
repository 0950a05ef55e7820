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

// setStatus changes the status of an activity, or of its Task, as a person does.
func setStatus(t testing.TB, c Case, kind, id, status string) Case {
	t.Helper()
	c.Existing = slices.Clone(c.Existing)
	for i, s := range c.Existing {
		switch {
		case s.Type != kind:
		case kind == "Task" && strings.HasSuffix(identifierIn(s.Node, activitySystem), "#"+id):
			o := members(s.Node)
			o.set("status", status)
			c.Existing[i].Node = o.node()
			return c
		case kind == "CarePlan":
			o := members(s.Node)
			var list []raw
			for _, a := range s.Node.Each("activity") {
				if a.Str("id") == id {
					detail := members(a.Get("detail"))
					detail.set("status", status)
					changed := members(a)
					changed.set("detail", detail)
					a = changed.node()
				}
				list = append(list, raw{a})
			}
			o.set("activity", list)
			c.Existing[i].Node = o.node()
			return c
		}
	}
	t.Fatalf("no %s %s", kind, id)
	return c
}

// statuses are those of an activity and of its Task.
func statuses(t testing.TB, r Result, id string) string {
	t.Helper()
	task := ""
	for _, n := range only(t, r, "Task") {
		if strings.HasSuffix(identifierIn(n, activitySystem), "#"+id) {
			task = n.Str("status")
		}
	}
	return find(plan1(t, r), id).Str("detail", "status") + " " + task
}

func TestTaskAndActivityFollowEachOther(t *testing.T) {
	e := builtIn(t)
	start := running(t, e, op("a", "single-stage", "2026-03-02", ""))
	const id = "staples-partial"
	for task, want := range map[string]string{
		"completed": "completed completed", "failed": "stopped failed", "cancelled": "cancelled cancelled",
		"rejected": "on-hold rejected", "accepted": "scheduled accepted", "in-progress": "in-progress in-progress",
		"on-hold": "on-hold on-hold", "received": "not-started received", "entered-in-error": "not-started entered-in-error",
	} {
		t.Run("the Task "+task, func(t *testing.T) {
			c := setStatus(t, start, "Task", id, task)
			r := derive(t, e, c)
			if got := statuses(t, r, id); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if !strings.HasPrefix(want, "not-started") {
				why := find(plan1(t, r), id).Get("detail", "statusReason")
				if !slices.ContainsFunc(codingsAt(why, "coding"), func(c coding) bool { return c.Code == task }) {
					t.Errorf("the reason does not name the status of the Task: %s", why.Raw)
				}
			}
			c = stored(t, c, r)
			if again := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, c), state(t, again)) {
				t.Error("deriving again changes something")
			}
			c = setStatus(t, c, "Task", id, "requested")
			if back := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, start), state(t, back)) {
				t.Error("taken back, it is not as it was")
			}
		})
	}
	for activity, want := range map[string]string{
		"completed": "completed completed", "stopped": "stopped cancelled", "cancelled": "cancelled cancelled",
		"scheduled": "scheduled accepted", "in-progress": "in-progress in-progress", "on-hold": "on-hold on-hold",
		"unknown": "unknown requested", "entered-in-error": "entered-in-error entered-in-error",
	} {
		t.Run("the activity "+activity, func(t *testing.T) {
			c := setStatus(t, start, "CarePlan", id, activity)
			r := derive(t, e, c)
			if got := statuses(t, r, id); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			c = stored(t, c, r)
			if again := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, c), state(t, again)) {
				t.Error("deriving again changes something")
			}
			c = setStatus(t, c, "CarePlan", id, "not-started")
			if back := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, start), state(t, back)) {
				t.Error("taken back, it is not as it was")
			}
		})
	}
	for _, x := range []struct{ activity, task, want, told string }{
		{"completed", "cancelled", "completed cancelled", "task-conflict"},
		{"cancelled", "completed", "cancelled completed", "task-conflict"},
		{"completed", "completed", "completed completed", ""},
		{"completed", "rejected", "completed rejected", ""}, // somebody else did it
		{"completed", "accepted", "completed completed", ""},
		{"in-progress", "completed", "completed completed", ""},
		{"in-progress", "accepted", "in-progress accepted", ""},
		{"scheduled", "rejected", "scheduled rejected", ""},
	} {
		t.Run("the activity "+x.activity+" and the Task "+x.task, func(t *testing.T) {
			c := setStatus(t, setStatus(t, start, "CarePlan", id, x.activity), "Task", id, x.task)
			r := derive(t, e, c)
			if got := statuses(t, r, id); got != x.want {
				t.Errorf("got %s, want %s", got, x.want)
			}
			if told := slices.Contains(codesTold(r), "task-conflict"); told != (x.told != "") {
				t.Errorf("told %v", codesTold(r))
			}
			c = stored(t, c, r)
			if again := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, c), state(t, again)) {
				t.Error("deriving again changes something")
			}
		})
	}
	t.Run("what is done by a Task outlives a correction, a removal from the protocol and the end of the plan", func(t *testing.T) {
		c := setStatus(t, start, "Task", id, "completed")
		c = stored(t, c, derive(t, e, c))
		moved := replaceInput(t, c, op("a", "single-stage", "2026-03-09", ""))
		if got := dates(plan1(t, derive(t, e, moved)))[id]; got != "2026-03-23" {
			t.Errorf("moved to %s", got)
		}
		other := replaceInput(t, c, op("a", "stage-1", "2026-03-02", ""))
		if a := find(plan1(t, derive(t, e, other)), id); a.Str("detail", "status") != "completed" {
			t.Errorf("got %v", a)
		}
		c.Patient = patientWith(t, `"deceasedBoolean":true`)
		if got := statuses(t, derive(t, e, c), id); got != "completed completed" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("a person who corrects what followed a Task has the last word", func(t *testing.T) {
		c := setStatus(t, start, "Task", id, "completed")
		c = stored(t, c, derive(t, e, c))
		c = setStatus(t, c, "CarePlan", id, "cancelled")
		r := derive(t, e, c)
		if got := statuses(t, r, id); got != "cancelled completed" || !slices.Contains(codesTold(r), "task-conflict") {
			t.Errorf("got %s, told %v", got, codesTold(r))
		}
	})
	t.Run("a Task's own reason is carried over", func(t *testing.T) {
		c := edit(t, setStatus(t, start, "Task", id, "rejected"), "Task", `"status":"rejected"`, `"status":"rejected","statusReason":{"text":"no nurse"}`)
		if why := find(plan1(t, derive(t, e, c)), id).Str("detail", "statusReason", "text"); !strings.HasSuffix(why, "rejected. no nurse") {
			t.Errorf("got %q", why)
		}
	})
}

// A reason goes with the status that it was given for.
func TestAReasonIsNotLeftBesideAnotherStatus(t *testing.T) {
	e := builtIn(t)
	const id = "staples-partial"
	single := op("a", "single-stage", "2026-03-02", "")
	activity := func(c Case) *fhir.Node { return find(plan1(t, derive(t, e, c)), id).Get("detail") }
	t.Run("of a Task that was rejected and then accepted", func(t *testing.T) {
		c := edit(t, setStatus(t, running(t, e, single), "Task", id, "rejected"), "Task", `"status":"rejected"`, `"status":"rejected","statusReason":{"coding":[{"system":"http://x.example","code":"n"}],"text":"no nurse"}`)
		c = stored(t, c, derive(t, e, c))
		if a := activity(c); a.Str("status") != "on-hold" || !strings.Contains(string(a.Get("statusReason").Raw), "no nurse") {
			t.Errorf("got %s", a.Raw)
		}
		for _, next := range []string{"accepted", "in-progress", "completed"} {
			c = setStatus(t, c, "Task", id, next)
			c = stored(t, c, derive(t, e, c))
			if a := activity(c); strings.Contains(string(a.Raw), "no nurse") || strings.Contains(string(a.Raw), `"n"`) || !strings.Contains(a.Str("statusReason", "text"), next) {
				t.Errorf("%s: got %s", next, a.Raw)
			}
		}
	})
	t.Run("of an activity on hold that the record says is done, and back", func(t *testing.T) {
		start := setStatus(t, running(t, e, single), "CarePlan", id, "on-hold")
		start = edit(t, start, "CarePlan", `"status":"on-hold"`, `"status":"on-hold","statusReason":{"text":"infected"}`)
		start = stored(t, start, derive(t, e, start))
		c := replaceInput(t, start, staplesOut("s", "2026-03-25", "completed", ""))
		c = stored(t, c, derive(t, e, c))
		if why := activity(c).Get("statusReason"); activity(c).Str("status") != "completed" || strings.Contains(string(why.Raw), "infected") {
			t.Errorf("got %s", activity(c).Raw)
		}
		if again := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, c), state(t, again)) {
			t.Error("deriving again changes something")
		}
		c = replaceInput(t, c, staplesOut("s", "2026-03-25", "entered-in-error", ""))
		if back := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, start), state(t, back)) {
			t.Error("it is not as it was")
		}
	})
	t.Run("of a Task on hold whose activity is completed, and back", func(t *testing.T) {
		start := edit(t, setStatus(t, running(t, e, single), "Task", id, "on-hold"), "Task", `"status":"on-hold"`, `"status":"on-hold","statusReason":{"text":"no appointment"}`)
		start = stored(t, start, derive(t, e, start))
		c := setStatus(t, start, "CarePlan", id, "completed")
		c = stored(t, c, derive(t, e, c))
		for _, n := range only(t, derive(t, e, c), "Task") {
			if strings.HasSuffix(identifierIn(n, activitySystem), "#"+id) && (n.Str("status") != "completed" || strings.Contains(string(n.Get("statusReason").Raw), "no appointment")) {
				t.Errorf("got %s", n.Raw)
			}
		}
		c = setStatus(t, c, "CarePlan", id, "not-started")
		if back := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, start), state(t, back)) {
			t.Errorf("it is not as it was")
		}
	})
}

// staplesOut is a removal of staples; more are further members.
func staplesOut(id, day, status, more string) string {
	return fmt.Sprintf(`{"resourceType":"Procedure","id":%q,"status":%q,"performedDateTime":%q,%s
	 "code":{"coding":[{"system":"http://snomed.info/sct","code":"35963001"}]},"subject":{"reference":"Patient/p"}}`, id, status, day, more)
}

func TestEvidence(t *testing.T) {
	e := builtIn(t)
	single := op("a", "single-stage", "2026-03-02", "")
	both := func(r Result) string {
		return statuses(t, r, "staples-partial") + ", " + statuses(t, r, "staples-complete")
	}
	t.Run("one removal is the first part, however late; the second completes it", func(t *testing.T) {
		c := running(t, e, single)
		c = replaceInput(t, c, staplesOut("s1", "2026-04-01", "completed", ""))
		r := derive(t, e, c)
		if got := both(r); got != "completed completed, not-started requested" {
			t.Errorf("got %s", got)
		}
		a := find(plan1(t, r), "staples-partial")
		if doneOn(a).Format(dateLayout) != "2026-04-01" || a.Each("outcomeReference", "reference")[0].Text != "Procedure/s1" {
			t.Errorf("got %s", a.Raw)
		}
		if !slices.Contains(codesTold(r), "order-broken") { // the complete removal is still set for 30 March
			t.Errorf("told %v", codesTold(r))
		}
		c = replaceInput(t, stored(t, c, r), staplesOut("s2", "2026-04-03", "completed", ""))
		if got := both(derive(t, e, c)); got != "completed completed, completed completed" {
			t.Errorf("got %s", got)
		}
	})
	for name, x := range map[string]struct {
		records []string
		want    string
	}{
		"all taken out at once": {[]string{strings.Replace(staplesOut("s", "2026-03-25", "completed", ""), `[{"system"`, `[{"system":"https://aftercare.example/fhir/CodeSystem/aftercare-activity","code":"staples-complete"},{"system"`, 1)}, "completed completed, completed completed"},
		"before the operation":  {[]string{staplesOut("s", "2026-03-01", "completed", "")}, "not-started requested, not-started requested"},
		"not done":              {[]string{staplesOut("s", "2026-03-25", "not-done", "")}, "not-started requested, not-started requested"},
		"in a month":            {[]string{staplesOut("s", "2026-03", "completed", "")}, "not-started requested, not-started requested"},
		"at the other leg":      {[]string{staplesOut("s", "2026-03-25", "completed", femurRight+",")}, "not-started requested, not-started requested"},
		"at an unknown site, with another anchor": {[]string{staplesOut("s", "2026-03-25", "completed", ""), op("b", "single-stage", "2026-02-02", strings.Replace(femurLeft, "71341001", "12611008", 1))}, "not-started requested, not-started requested"},
		"part of the operation, with another one": {[]string{staplesOut("s", "2026-03-25", "completed", `"partOf":[{"reference":"Procedure/a"}],`), op("b", "single-stage", "2026-02-02", strings.Replace(femurLeft, "71341001", "12611008", 1))}, "completed completed, not-started requested"},
		"another anchor was operated on later":    {[]string{staplesOut("s", "2026-03-25", "completed", ""), op("b", "single-stage", "2026-04-02", strings.Replace(femurLeft, "71341001", "12611008", 1))}, "completed completed, not-started requested"},
		"no staples were used":                    {[]string{op("n", "no-staples", "2026-03-02", `"partOf":[{"reference":"Procedure/a"}]`)}, "cancelled cancelled, cancelled cancelled"},
	} {
		t.Run(name, func(t *testing.T) {
			c := caseOf(t, append(x.records, single)...)
			r := derive(t, e, c)
			for _, p := range only(t, r, "CarePlan") {
				if len(only(t, r, "CarePlan")) > 1 && !strings.Contains(p.Str("title"), "femur") {
					continue
				}
				got := find(p, "staples-partial").Str("detail", "status") + " " + taskOf(t, r, identifierIn(p, planSystem)+"#staples-partial") +
					", " + find(p, "staples-complete").Str("detail", "status") + " " + taskOf(t, r, identifierIn(p, planSystem)+"#staples-complete")
				if got != x.want {
					t.Errorf("got %s, want %s; told %v", got, x.want, codesTold(r))
				}
			}
			whole := stored(t, c, r)
			if again := stored(t, whole, derive(t, e, whole)); !maps.Equal(state(t, whole), state(t, again)) {
				t.Error("deriving again changes something")
			}
		})
	}
	t.Run("a record that is taken back takes back what it gave", func(t *testing.T) {
		start := running(t, e, single)
		c := replaceInput(t, start, staplesOut("s", "2026-03-25", "completed", ""))
		c = stored(t, c, derive(t, e, c))
		c = replaceInput(t, c, staplesOut("s", "2026-03-25", "entered-in-error", ""))
		if back := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, start), state(t, back)) {
			t.Error("it is not as it was")
		}
	})
	t.Run("a person's booking comes back with it", func(t *testing.T) {
		start := setStatus(t, running(t, e, single), "CarePlan", "staples-partial", "scheduled")
		start = edit(t, start, "CarePlan", `"status":"scheduled"`, `"status":"scheduled","statusReason":{"coding":[{"system":"http://x.example","code":"b"}],"text":"booked"}`)
		start = stored(t, start, derive(t, e, start))
		c := replaceInput(t, start, staplesOut("s", "2026-03-25", "completed", ""))
		r := derive(t, e, c)
		if got := statuses(t, r, "staples-partial"); got != "completed completed" {
			t.Errorf("got %s", got)
		}
		c = replaceInput(t, stored(t, c, r), staplesOut("s", "2026-03-25", "entered-in-error", ""))
		if back := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, start), state(t, back)) {
			t.Error("it is not as it was")
		}
	})
	t.Run("a person's word stands beside the record", func(t *testing.T) {
		c := setStatus(t, running(t, e, single), "CarePlan", "staples-partial", "cancelled")
		r := derive(t, e, replaceInput(t, c, staplesOut("s", "2026-03-25", "completed", "")))
		if got := statuses(t, r, "staples-partial"); got != "cancelled cancelled" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("each stage has its own staples", func(t *testing.T) {
		c := caseOf(t, op("one", "stage-1", "2026-03-02", ""), op("two", "stage-2", "2026-08-03", ""), staplesOut("s1", "2026-03-23", "completed", ""), staplesOut("s2", "2026-08-24", "completed", ""))
		plan := plan1(t, derive(t, e, c))
		for id, want := range map[string]string{"stage-1.staples-partial": "2026-03-23", "stage-2.staples-partial": "2026-08-24", "stage-1.staples-complete": "0001-01-01", "stage-2.staples-complete": "0001-01-01"} {
			if got := doneOn(find(plan, id)).Format(dateLayout); got != want {
				t.Errorf("%s is done on %s", id, got)
			}
		}
	})
}

func taskOf(t testing.TB, r Result, key string) string {
	t.Helper()
	for _, n := range only(t, r, "Task") {
		if identifierIn(n, activitySystem) == key {
			return n.Str("status")
		}
	}
	return ""
}

func encounter(id, class, status, start, end string) string {
	return fmt.Sprintf(`{"resourceType":"Encounter","id":%q,"status":%q,"class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":%q},"subject":{"reference":"Patient/p"},"period":{"start":%q%s}}`,
		id, status, class, start, map[bool]string{true: `,"end":"` + end + `"`}[end != ""])
}

func TestEncounter(t *testing.T) {
	e := builtIn(t)
	pca := `{"resourceType":"Procedure","id":"pca","status":"completed","partOf":[{"reference":"Procedure/a"}],"code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/aftercare-activity","code":"%s"}]},"subject":{"reference":"Patient/p"}}`
	single := op("a", "single-stage", "2026-03-02T09:00:00Z", "")
	named := op("a", "single-stage", "2026-03-02T09:00:00Z", femurLeft+`,"encounter":{"reference":"Encounter/e"}`)
	for name, x := range map[string]struct {
		records                        []string
		discharge, pain, pca, infusion string
		told                           string
	}{
		"the same day":                          {[]string{single, encounter("e", "IMP", "finished", "2026-03-02T07:00:00Z", "2026-03-02T19:00:00Z")}, "completed 2026-03-02", "not-started requested", "cancelled", "cancelled", ""},
		"the same day, named, as an outpatient": {[]string{named, encounter("e", "AMB", "finished", "2026-03-02T07:00:00Z", "2026-03-02T19:00:00Z")}, "completed 2026-03-02", "not-started requested", "cancelled", "cancelled", ""},
		"an outpatient visit that is not named": {[]string{single, encounter("e", "AMB", "finished", "2026-03-02T07:00:00Z", "2026-03-02T19:00:00Z")}, "not-started 0001-01-01", "not-started ", "not-started", "not-started", ""},
		"with the catheter at home":             {[]string{single, op("c", "catheter-at-home", "2026-03-02", `"partOf":[{"reference":"Procedure/a"}]`), encounter("e", "IMP", "finished", "2026-03-02T07:00:00Z", "2026-03-02T19:00:00Z")}, "completed 2026-03-02", "not-started requested", "cancelled", "not-started", ""},
		"after midnight in UTC, before it here": {[]string{op("a", "single-stage", "2026-07-01T09:00:00+01:00", ""), encounter("e", "IMP", "finished", "2026-07-01T07:00:00Z", "2026-07-01T22:30:00Z")}, "completed 2026-07-01", "not-started requested", "cancelled", "cancelled", ""},
		"after midnight here, before it in UTC": {[]string{op("a", "single-stage", "2026-07-01T09:00:00+01:00", ""), encounter("e", "IMP", "finished", "2026-07-01T07:00:00Z", "2026-07-01T23:30:00Z")}, "completed 2026-07-02", "not-started ", "not-started", "not-started", ""},
		"on the third day":                      {[]string{single, encounter("e", "IMP", "finished", "2026-03-01", "2026-03-05")}, "completed 2026-03-05", "not-started ", "not-started", "not-started", ""},
		"later than the longest stay":           {[]string{single, encounter("e", "IMP", "finished", "2026-03-01", "2026-03-08")}, "completed 2026-03-08", "not-started ", "not-started", "not-started", "stay-long"},
		"not yet":                               {[]string{single, encounter("e", "IMP", "in-progress", "2026-03-01", "")}, "not-started 0001-01-01", "not-started ", "not-started", "not-started", ""},
		"a stay before the operation":           {[]string{single, encounter("e", "IMP", "finished", "2026-02-20", "2026-03-01")}, "not-started 0001-01-01", "not-started ", "not-started", "not-started", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := caseOf(t, append(x.records, fmt.Sprintf(pca, "pca"), strings.Replace(fmt.Sprintf(pca, "local-anaesthetic-infusion"), `"id":"pca"`, `"id":"inf"`, 1))...)
			r := derive(t, e, c)
			plan := plan1(t, r)
			discharge := find(plan, "discharge")
			if got := discharge.Str("detail", "status") + " " + doneOn(discharge).Format(dateLayout); got != x.discharge {
				t.Errorf("discharge %s, want %s", got, x.discharge)
			}
			if got := statuses(t, r, "pain-assessment-day-1"); got != x.pain {
				t.Errorf("pain assessment %q, want %q", got, x.pain)
			}
			remote := strings.HasPrefix(find(plan, "pain-assessment-day-1").Str("detail", "description"), "Call the patient")
			if remote != strings.HasSuffix(x.pain, "requested") {
				t.Errorf("by telephone: %t", remote)
			}
			if got := find(plan, "pca").Str("detail", "status"); got != x.pca {
				t.Errorf("pca %s", got)
			}
			if got := find(plan, "local-anaesthetic-infusion").Str("detail", "status"); got != x.infusion {
				t.Errorf("infusion %s", got)
			}
			flagged := slices.ContainsFunc(only(t, r, "Flag"), func(n *fhir.Node) bool { return strings.Contains(string(n.Raw), "stay-long") })
			if flagged != (x.told == "stay-long") {
				t.Errorf("flagged %t", flagged)
			}
			whole := stored(t, c, r)
			if again := stored(t, whole, derive(t, e, whole)); !maps.Equal(state(t, whole), state(t, again)) {
				t.Error("deriving again changes something")
			}
		})
	}
}

// Whatever is recorded in whatever order, the plan is the same in the end: what follows the
// record is a function of it.
func TestEvidenceInAnyOrder(t *testing.T) {
	e := builtIn(t)
	pool := []string{
		op("a", "single-stage", "2026-03-02", ""), op("a", "single-stage", "2026-03-09", ""),
		staplesOut("s1", "2026-03-30", "completed", ""), staplesOut("s2", "2026-04-07", "completed", ""), staplesOut("s2", "2026-04-07", "entered-in-error", ""),
		encounter("e", "IMP", "in-progress", "2026-03-01", ""), encounter("e", "IMP", "finished", "2026-03-01", "2026-03-09"),
		op("n", "no-staples", "2026-03-02", `"partOf":[{"reference":"Procedure/a"}]`),
	}
	rapid.Check(t, func(rt *rapid.T) {
		c := caseOf(t)
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(pool)-1), 1, 9).Draw(rt, "messages") {
			c = replaceInput(t, c, pool[i])
			c = stored(t, c, derive(t, e, c))
		}
		fresh := c
		fresh.Existing = nil
		fresh = stored(t, fresh, derive(t, e, fresh))
		got := state(t, c)
		for ref, body := range state(t, fresh) {
			if got[ref] != body {
				rt.Fatalf("%s is\n%s\nwant\n%s", ref, got[ref], body)
			}
		}
	})
}

func TestFlags(t *testing.T) {
	e := builtIn(t)
	c := caseOf(t, op("two", "stage-2", "2026-08-03", ""))
	c.Patient = patientWith(t, `"active":true`)
	flagged := func(c Case) map[string]string {
		found := map[string]string{}
		for _, n := range only(t, derive(t, e, c), "Flag") {
			found[n.Each("code", "coding", "code")[0].Text] = n.Str("status") + " " + n.Each("category", "coding", "code")[0].Text
		}
		return found
	}
	want := map[string]string{"insertion-unknown": "active admin", "gp-not-recorded": "active admin"}
	if got := flagged(c); !maps.Equal(got, want) {
		t.Fatalf("got %v", got)
	}
	c = stored(t, c, derive(t, e, c))
	start := state(t, c)
	for name, x := range map[string]struct {
		change func(Case) Case
		want   map[string]string
	}{
		"a GP recorded": {func(c Case) Case {
			c.Patient = patientWith(t, `"generalPractitioner":[{"reference":"Practitioner/g"}]`)
			return c
		}, map[string]string{"insertion-unknown": "active admin", "gp-not-recorded": "inactive admin"}},
		"stage 1 recorded": {func(c Case) Case { return replaceInput(t, c, op("one", "stage-1", "2026-03-02", "")) },
			map[string]string{"insertion-unknown": "inactive admin", "gp-not-recorded": "active admin"}},
		"death": {func(c Case) Case { c.Patient = patientWith(t, `"deceasedBoolean":true`); return c },
			map[string]string{"insertion-unknown": "inactive admin", "gp-not-recorded": "inactive admin"}},
		"entered in error": {func(c Case) Case {
			return replaceInput(t, c, strings.Replace(op("two", "stage-2", "2026-08-03", ""), "completed", "entered-in-error", 1))
		}, map[string]string{"insertion-unknown": "entered-in-error admin", "gp-not-recorded": "entered-in-error admin"}},
	} {
		t.Run(name, func(t *testing.T) {
			changed := x.change(c)
			if got := flagged(changed); !maps.Equal(got, x.want) {
				t.Errorf("got %v", got)
			}
			changed = stored(t, changed, derive(t, e, changed))
			changed.Inputs, changed.Patient = c.Inputs, c.Patient
			back := state(t, stored(t, changed, derive(t, e, changed)))
			for ref, body := range start {
				if strings.HasPrefix(ref, "Flag/") && back[ref] != body {
					t.Errorf("taken back, it is\n%s\nwas\n%s", back[ref], body)
				}
			}
		})
	}
	t.Run("a Flag that a person ended stays ended", func(t *testing.T) {
		ended := edit(t, c, "Flag", `"status":"active"`, `"status":"inactive"`)
		got := flagged(ended)
		if got["insertion-unknown"] != "inactive admin" && got["gp-not-recorded"] != "inactive admin" {
			t.Errorf("got %v", got)
		}
	})
}
