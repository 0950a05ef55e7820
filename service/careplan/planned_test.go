package careplan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// request is a ServiceRequest for an operation on the left femur.
func request(id, code, status, occurrence string) string {
	return fmt.Sprintf(`{"resourceType":"ServiceRequest","id":%q,"status":%q,"intent":"order",
	 "code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":%q}]},
	 "subject":{"reference":"Patient/p"},%s,%s}`, id, status, code, occurrence, femurLeft)
}

// A planned second stage dates its block until it is done or withdrawn, asks nobody for anything,
// and leaves the rest of the plan alone.
func TestPlannedStage(t *testing.T) {
	e := builtIn(t)
	first, second := op("a", "stage-1", "2026-03-02", ""), op("b", "stage-2", "2026-09-01", "")
	const on = `"occurrenceDateTime":"2026-09-01"`
	const date, undated = "2026-09-22", "Undated: after stage 2; 3 weeks after the operation"
	for name, c := range map[string]struct {
		input       string
		date        string
		provisional bool
		told        string
	}{
		"planned":                         {unfinished(second, "preparation"), date, true, "planned-provisional"},
		"in theatre":                      {unfinished(second, "in-progress"), undated, false, "not-completed"},
		"done":                            {second, date, false, "plan"},
		"withdrawn":                       {unfinished(second, "not-done"), undated, false, "not-done"},
		"in error":                        {unfinished(second, "entered-in-error"), undated, false, "entered-in-error"},
		"planned for a month":             {unfinished(op("b", "stage-2", "2026-09", ""), "preparation"), undated, false, "planned"},
		"planned before stage 1":          {unfinished(op("b", "stage-2", "2026-02-02", ""), "preparation"), "Undated: waits for the dates of the stages to be corrected; 3 weeks after the operation", false, "stage-order"},
		"asked for":                       {request("b", "stage-2", "active", on), date, true, "planned-provisional"},
		"asked for, for one day":          {request("b", "stage-2", "active", `"occurrencePeriod":{"start":"2026-09-01T08:00:00Z","end":"2026-09-01T17:00:00Z"}`), date, true, "planned-provisional"},
		"asked for, for some days":        {request("b", "stage-2", "active", `"occurrencePeriod":{"start":"2026-09-01","end":"2026-09-04"}`), undated, false, "planned"},
		"asked for, without a day":        {request("b", "stage-2", "active", `"priority":"routine"`), undated, false, "planned"},
		"the request revoked":             {request("b", "stage-2", "revoked", on), undated, false, "plan"},
		"the request in error":            {request("b", "stage-2", "entered-in-error", on), undated, false, "plan"},
		"a request for something else":    {strings.Replace(request("b", "stage-2", "active", on), "stage-2", "elsewhere", 1), undated, false, "plan"},
		"a request for another operation": {request("b", "single-stage", "active", on), undated, false, "planned"},
	} {
		t.Run(name, func(t *testing.T) {
			x := caseOf(t, first, c.input)
			r := derive(t, e, x)
			plan := plan1(t, r)
			a := find(plan, "stage-2.staples-partial")
			provisional := anyCoding(codingsAt(a, "detail", "statusReason", "coding"), func(c coding) bool { return c.Code == "provisional" })
			if got := when(a.Get("detail")); got != c.date || provisional != c.provisional || a.Str("detail", "status") != "not-started" {
				t.Errorf("%s %s, provisional: %v", a.Str("detail", "status"), got, provisional)
			}
			if !slices.Contains(codesTold(r), c.told) {
				t.Errorf("told %v", codesTold(r))
			}
			loading := find(plan, "loading").Get("detail") // without a date of its own, it waits for stage 2 all the same
			waits := strings.Contains(when(loading), "after stage 2") || strings.Contains(when(loading), "waits for")
			provisional = anyCoding(codingsAt(loading, "statusReason", "coding"), func(c coding) bool { return c.Code == "provisional" })
			if waits == (name == "done") || provisional != c.provisional {
				t.Errorf("loading: %s, provisional: %v", when(loading), provisional)
			}
			if _, asked := taskStatuses(t, r)["stage-2.staples-partial"]; asked != (name == "done") {
				t.Errorf("asked for the removal of staples: %v", asked)
			}
			if got := dates(plan)["osseointegration"]; got != "2026-04-13 to 2026-06-02" {
				t.Errorf("osseointegration %s", got)
			}
			x = stored(t, x, r)
			if again := stored(t, x, derive(t, e, x)); !maps.Equal(state(t, x), state(t, again)) {
				t.Error("deriving again changes something")
			}
			alone := derive(t, e, caseOf(t, c.input))
			if n := len(only(t, alone, "CarePlan")); (n == 1) != (name == "done") {
				t.Errorf("alone it makes %d plans", n)
			}
			// What the plan becomes does not depend on what was planned before.
			x = replaceInput(t, stored(t, caseOf(t, first), derive(t, e, caseOf(t, first))), unfinished(second, "preparation"))
			x = stored(t, x, derive(t, e, x))
			x.Inputs = caseOf(t, first, c.input).Inputs
			if later := plan1(t, derive(t, e, x)); !sameContent(t, later.Raw, plan.Raw) {
				t.Errorf("planned before, it is\n%s\nand not\n%s", later.Raw, plan.Raw)
			}
		})
	}
}

func TestClosingAProvisionalPlan(t *testing.T) {
	e := builtIn(t)
	x := caseOf(t, op("a", "stage-1", "2026-03-02", ""), unfinished(op("b", "stage-2", "2026-09-01", ""), "preparation"))
	x = stored(t, x, derive(t, e, x))
	want := state(t, x)
	for range 2 {
		x.Patient = patientWith(t, `"deceasedBoolean":true`)
		x = stored(t, x, derive(t, e, x))
		if again := stored(t, x, derive(t, e, x)); !maps.Equal(state(t, x), state(t, again)) {
			t.Error("closing again changes something")
		}
	}
	x.Patient = nil
	if got := state(t, stored(t, x, derive(t, e, x))); !maps.Equal(got, want) {
		t.Errorf("reopened it is\n%v\nand was\n%v", got, want)
	}
}

func TestStagesOnOneDay(t *testing.T) {
	e := builtIn(t)
	one, two := op("a", "stage-1", "2026-03-02", ""), op("b", "stage-2", "2026-03-02", "")
	r := derive(t, e, caseOf(t, one, two))
	plan := plan1(t, r)
	if dates(plan)["staples-partial"] != "2026-03-23" || find(plan, "stage-2.staples-partial") != nil || !slices.Contains(codesTold(r), "stages-on-one-day") || len(plan.Each("note")) != 1 {
		t.Errorf("got %v, told %v", dates(plan), codesTold(r))
	}
	for name, other := range map[string]string{"a record twice": op("b", "stage-1", "2026-03-02", ""), "another day": op("b", "stage-2", "2026-03-03", ""), "no day": op("b", "stage-2", "", "")} {
		if r := derive(t, e, caseOf(t, one, other)); find(plan1(t, r), "stage-1.staples-partial") == nil {
			t.Errorf("%s: taken for one operation", name)
		}
	}
}
