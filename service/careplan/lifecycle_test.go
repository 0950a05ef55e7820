package careplan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/definitions"
	"aftercare/fhir"
)

// patientWith is the patient of caseOf with more members.
func patientWith(t testing.TB, members string) *Source {
	t.Helper()
	s := source(t, `{"resourceType":"Patient","id":"p",`+members+`}`)
	return &s
}

// taskStatuses are the states of the Tasks of all plans, by activity.
func taskStatuses(t testing.TB, r Result) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, task := range only(t, r, "Task") {
		_, id, _ := strings.Cut(identifierIn(task, activitySystem), "#")
		found[id] = task.Str("status")
	}
	return found
}

// begun is a running plan on which people have worked.
func begun(t testing.TB, e *Engine) Case {
	t.Helper()
	c := running(t, e, op("a", "single-stage", "2026-03-02", ""))
	c = edit(t, c, "CarePlan", startPartial, strings.Replace(startPartial, "not-started", "completed", 1))
	c = edit(t, c, "CarePlan", `"status":"not-started","scheduledPeriod":{"start":"2026-03-30"`, `"status":"scheduled","statusReason":{"text":"booked"},"scheduledPeriod":{"start":"2026-03-31"`)
	c = edit(t, c, "CarePlan", `"activity":[`, `"activity":[{"reference":{"reference":"Appointment/1"}},{"id":"xray","detail":{"status":"scheduled","description":"X-ray"}},`)
	for i, s := range c.Existing {
		text := string(s.Node.Raw)
		switch {
		case strings.Contains(text, "#staples-partial"):
			text = strings.Replace(text, `"status":"requested"`, `"status":"completed"`, 1)
		case strings.Contains(text, "#staples-complete"):
			text = strings.Replace(text, `"status":"requested"`, `"status":"accepted"`, 1)
		case strings.Contains(text, "#mobility"):
			text = strings.Replace(text, `"lifecycleStatus":"active"`, `"lifecycleStatus":"accepted"`, 1)
		}
		c.Existing[i].Node = parse(t, text)
	}
	return stored(t, c, derive(t, e, c))
}

// What people did survives a plan that was closed by mistake, whatever came in between.
func TestReopeningGivesBackWhatPeopleDid(t *testing.T) {
	e := builtIn(t)
	single := op("a", "single-stage", "2026-03-02", "")
	for _, way := range [][]string{
		{"entered-in-error"}, {"not-done"}, {"on-hold"}, {"entered-in-error", "on-hold"}, {"on-hold", "entered-in-error", "not-done"}, {"dead"}, {"gone"},
	} {
		t.Run(strings.Join(way, ", "), func(t *testing.T) {
			c := begun(t, e)
			want := state(t, c)
			for _, status := range way {
				switch status {
				case "dead":
					c.Patient = patientWith(t, `"deceasedBoolean":true`)
				case "gone":
					c.Inputs = nil
				default:
					c = replaceInput(t, c, strings.Replace(single, `"completed"`, `"`+status+`"`, 1))
				}
				r := derive(t, e, c)
				c = stored(t, c, r)
				if again := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, c), state(t, again)) {
					t.Errorf("%s: deriving again changes something", status)
				}
				plan := plan1(t, r)
				if s := find(plan, "xray").Str("detail", "status"); s == "scheduled" {
					t.Errorf("%s: what a clinician added is still %s", status, s)
				}
				for _, a := range plan.Each("activity") {
					if (a.Get("detail") == nil) != (a.Get("reference") != nil) {
						t.Errorf("%s: an activity needs either a detail or a reference: %s", status, a.Raw)
					}
				}
				if status != "entered-in-error" && find(plan, "staples-partial").Str("detail", "status") != "completed" {
					t.Errorf("%s: what was done is %s", status, find(plan, "staples-partial").Raw)
				}
			}
			c.Patient = nil
			c = replaceInput(t, c, single)
			got := state(t, stored(t, c, derive(t, e, c)))
			for ref, body := range want {
				if got[ref] != body {
					t.Errorf("%s was\n%s\nand is\n%s", ref, body, got[ref])
				}
			}
		})
	}
}

// A Task that somebody accepted is still work to do: it is called off with the plan.
func TestClosingCallsOffAcceptedTasks(t *testing.T) {
	e := builtIn(t)
	single := op("a", "single-stage", "2026-03-02", "")
	for name, c := range map[string]struct {
		change func(Case) Case
		want   map[string]string
	}{
		"death":    {func(c Case) Case { c.Patient = patientWith(t, `"deceasedBoolean":true`); return c }, map[string]string{"staples-partial": "completed", "staples-complete": "cancelled"}},
		"not done": {func(c Case) Case { return replaceInput(t, c, strings.Replace(single, "completed", "not-done", 1)) }, map[string]string{"staples-partial": "completed", "staples-complete": "cancelled"}},
		"on hold":  {func(c Case) Case { return replaceInput(t, c, strings.Replace(single, "completed", "on-hold", 1)) }, map[string]string{"staples-partial": "completed", "staples-complete": "on-hold"}},
		"entered in error": {func(c Case) Case {
			return replaceInput(t, c, strings.Replace(single, "completed", "entered-in-error", 1))
		}, map[string]string{"staples-partial": "entered-in-error", "staples-complete": "entered-in-error"}},
		"the record gone": {func(c Case) Case { c.Inputs = nil; return c }, map[string]string{"staples-partial": "completed", "staples-complete": "cancelled"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := taskStatuses(t, derive(t, e, c.change(begun(t, e)))); !maps.Equal(got, c.want) {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestDeath(t *testing.T) {
	e := builtIn(t)
	single := op("a", "single-stage", "2026-03-02", "")
	for _, status := range []string{"on-hold", "draft"} {
		t.Run("closes a plan that a person has put "+status, func(t *testing.T) {
			c := edit(t, running(t, e, single), "CarePlan", `"status":"active"`, `"status":"`+status+`"`)
			c.Patient = patientWith(t, `"deceasedDateTime":"2026-04"`)
			r := derive(t, e, c)
			if plan := plan1(t, r); plan.Str("status") != "revoked" || find(plan, "loading").Str("detail", "status") != "cancelled" {
				t.Errorf("got %s", plan.Raw)
			}
			c = stored(t, c, r)
			c.Patient = nil
			if got := plan1(t, derive(t, e, c)).Str("status"); got != status {
				t.Errorf("afterwards it is %s", got)
			}
		})
	}
	t.Run("leaves a plan that a person has completed", func(t *testing.T) {
		c := edit(t, running(t, e, single), "CarePlan", `"status":"active"`, `"status":"completed"`)
		c.Patient = patientWith(t, `"deceasedBoolean":true`)
		if got := plan1(t, derive(t, e, c)).Str("status"); got != "completed" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("at a time that is not known is death", func(t *testing.T) {
		c := running(t, e, single)
		c.Patient = patientWith(t, `"_deceasedDateTime":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}`)
		if got := plan1(t, derive(t, e, c)).Str("status"); got != "revoked" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("does not make an error a record", func(t *testing.T) {
		c := replaceInput(t, running(t, e, single), strings.Replace(single, "completed", "entered-in-error", 1))
		c = stored(t, c, derive(t, e, c))
		c.Patient = patientWith(t, `"deceasedBoolean":true`)
		if got := plan1(t, derive(t, e, c)).Str("status"); got != "entered-in-error" {
			t.Errorf("got %s", got)
		}
	})
}

// A closed plan says why: R4 has no reason on CarePlan, so it is a note and in the narrative.
func TestClosedPlanSaysWhy(t *testing.T) {
	e := builtIn(t)
	for _, first := range []string{"2026-03-02", "2026-03"} { // an active plan, a draft
		single := op("a", "single-stage", first, "")
		status := func(s string) func(Case) Case {
			return func(c Case) Case { return replaceInput(t, c, strings.Replace(single, `"completed"`, `"`+s+`"`, 1)) }
		}
		for why, change := range map[string]func(Case) Case{
			"Patient deceased":             func(c Case) Case { c.Patient = patientWith(t, `"deceasedBoolean":true`); return c },
			"Operation not done":           status("not-done"),
			"Entered in error":             status("entered-in-error"),
			"Operation on hold":            status("on-hold"),
			"Operation no longer recorded": func(c Case) Case { c.Inputs = nil; return c },
		} {
			t.Run(first+" "+why, func(t *testing.T) {
				c := edit(t, running(t, e, single), "CarePlan", `"activity":[`, `"note":[{"text":"theirs"}],"activity":[`)
				c = stored(t, c, derive(t, e, c))
				want := state(t, c)
				closed := change(c)
				r := derive(t, e, closed)
				plan := plan1(t, r)
				var notes []string
				for _, n := range plan.Each("note") {
					notes = append(notes, n.Str("text"))
				}
				if !slices.Equal(notes, []string{"theirs", why}) || !strings.Contains(plan.Str("text", "div"), plan.Str("status")+" ("+why+")") {
					t.Errorf("notes %q, %s", notes, plan.Str("text", "div")[:200])
				}
				closed = stored(t, closed, r)
				closed = stored(t, closed, derive(t, e, closed))
				if got := plan1(t, derive(t, e, closed)); !sameContent(t, plan.Raw, got.Raw) {
					t.Errorf("closing again makes\n%s\nof\n%s", got.Raw, plan.Raw)
				}
				closed.Patient = nil
				closed = replaceInput(t, closed, single)
				got := state(t, stored(t, closed, derive(t, e, closed)))
				if ref := plan.Str("resourceType") + "/" + plan.Str("id"); got[ref] != want[ref] {
					t.Errorf("reopened it is\n%s\nbut was\n%s", got[ref], want[ref])
				}
			})
		}
	}
}

// Feeds strip a record that was entered in error down to what R4 demands.
func TestEnteredInErrorWithoutContent(t *testing.T) {
	e := builtIn(t)
	single := op("a", "single-stage", "2026-03-02", "")
	for name, text := range map[string]string{
		"neither code nor site": `{"resourceType":"Procedure","id":"a","status":"entered-in-error","subject":{"reference":"Patient/p"}}`,
		"no site":               strings.Replace(op("a", "single-stage", "2026-03-02", `"note":[{"text":"x"}]`), "completed", "entered-in-error", 1),
	} {
		t.Run(name, func(t *testing.T) {
			c := replaceInput(t, running(t, e, single), text)
			r := derive(t, e, c)
			if got := plan1(t, r).Str("status"); got != "entered-in-error" || !slices.Equal(codesTold(r), []string{"entered-in-error"}) {
				t.Errorf("got %s, told %v", got, codesTold(r))
			}
			c = stored(t, c, r)
			if again := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, c), state(t, again)) {
				t.Error("deriving again changes something")
			}
			if got := plan1(t, derive(t, e, replaceInput(t, c, single))).Str("status"); got != "active" {
				t.Errorf("corrected, it is %s", got)
			}
		})
	}
}

// An activity of another protocol, which a clinician put into the plan, is theirs.
func TestActivitiesOfOtherProtocolsAreKept(t *testing.T) {
	e := builtIn(t)
	c := edit(t, running(t, e, op("a", "single-stage", "2026-03-02", "")), "CarePlan", `"activity":[`,
		`"activity":[{"id":"physio","detail":{"instantiatesCanonical":["http://physio.example/ActivityDefinition/gait|1"],"status":"not-started","description":"Gait training"}},`)
	if find(plan1(t, derive(t, e, c)), "physio") == nil {
		t.Error("it is gone")
	}
}

func TestGeneralPractitioner(t *testing.T) {
	e := builtIn(t)
	for name, c := range map[string]struct{ patient, performer, owner string }{
		"a reference":                 {`"generalPractitioner":[{"reference":"Organization/1"}]`, `[{"reference":"Organization/1","display":"GP practice"}]`, "Organization/1"},
		"two":                         {`"generalPractitioner":[{"reference":"Practitioner/1","display":"Dr A"},{"reference":"Organization/2"}]`, `[{"reference":"Practitioner/1","display":"Dr A"},{"reference":"Organization/2","display":"GP practice"}]`, "Practitioner/1"},
		"words only":                  {`"generalPractitioner":[{"display":"Dr D"}]`, `[{"display":"Dr D"}]`, ""},
		"an identifier":               {`"generalPractitioner":[{"identifier":{"system":"s","value":"v"}}]`, `[{"identifier":{"system":"s","value":"v"},"display":"GP practice"}]`, ""},
		"a contained person":          {`"contained":[{"resourceType":"Practitioner","id":"gp","name":[{"prefix":["Dr"],"given":["Ada"],"family":"Okafor"}]}],"generalPractitioner":[{"reference":"#gp"}]`, `[{"display":"Ada Okafor"}]`, ""},
		"a contained practice":        {`"contained":[{"resourceType":"Organization","id":"gp","name":"Hill Surgery"}],"generalPractitioner":[{"reference":"#gp"}]`, `[{"display":"Hill Surgery"}]`, ""},
		"contained, with words":       {`"contained":[{"resourceType":"Organization","id":"gp","name":"Hill Surgery"}],"generalPractitioner":[{"reference":"#gp","display":"The Hill"}]`, `[{"display":"The Hill"}]`, ""},
		"contained, without a name":   {`"contained":[{"resourceType":"PractitionerRole","id":"gp"}],"generalPractitioner":[{"reference":"#gp"}]`, `[{"display":"GP practice"}]`, ""},
		"contained and a real one":    {`"contained":[{"resourceType":"Organization","id":"gp","name":"Hill Surgery"}],"generalPractitioner":[{"reference":"#gp"},{"reference":"Practitioner/2"}]`, `[{"display":"Hill Surgery"},{"reference":"Practitioner/2","display":"GP practice"}]`, "Practitioner/2"},
		"known to be unknown":         {`"generalPractitioner":[{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}]`, `[{"display":"GP practice (not recorded)"}]`, ""},
		"none":                        {`"gender":"female"`, `[{"display":"GP practice (not recorded)"}]`, ""},
		"an absolute reference to us": {`"generalPractitioner":[{"reference":"http://127.0.0.1:8080/fhir/Practitioner/1"}]`, `[{"reference":"http://127.0.0.1:8080/fhir/Practitioner/1","display":"GP practice"}]`, "http://127.0.0.1:8080/fhir/Practitioner/1"},
	} {
		t.Run(name, func(t *testing.T) {
			x := caseOf(t, op("a", "single-stage", "2026-03-02", ""))
			x.Base = "http://127.0.0.1:8080/fhir"
			x.Patient = patientWith(t, c.patient)
			r := derive(t, e, x)
			if got := string(find(plan1(t, r), "staples-partial").Get("detail", "performer").Raw); got != c.performer {
				t.Errorf("performer %s", got)
			}
			if got := only(t, r, "Task")[0].Str("owner", "reference"); got != c.owner {
				t.Errorf("owner %s", got)
			}
			for _, p := range r.Resources {
				if strings.Contains(string(p.Body), `"#`) {
					t.Errorf("the %s refers to what the Patient contains", p.Type)
				}
			}
		})
	}
}

func TestPatientName(t *testing.T) {
	for names, want := range map[string]string{
		`{"use":"usual","text":"B"},{"use":"official","text":"A"}`: "A",
		`{"use":"old","text":"X"},{"use":"usual","text":"B"}`:      "B",
		`{"use":"maiden","text":"X"},{"text":"B"}`:                 "B",
		`{"use":"old","text":"X"}`:                                 "X",
		`{"given":["Ada","M"],"family":"K"}`:                       "Ada M K",
		`{"period":{"start":"2020"}}`:                              "",
	} {
		r := &records{Case: Case{Patient: patientWith(t, `"name":[`+names+`]`)}}
		if got := r.patientName(); got != want {
			t.Errorf("%s: got %q", names, got)
		}
	}
}

// The zones in which clocks go forward at midnight: a day without a midnight is a day.
func TestDayWithoutMidnight(t *testing.T) {
	nodes, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	for zone, day := range map[string]string{
		"America/Santiago": "2026-09-06", "America/Havana": "2026-03-08", "Africa/Cairo": "2026-04-24", "Asia/Beirut": "2026-03-29",
	} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		e, err := Compile(nodes, loc)
		if err != nil {
			t.Fatal(err)
		}
		for _, more := range []string{`"performedDateTime":%q`, `"performedPeriod":{"start":%q}`, `"performedPeriod":{"start":"2018-01-01","end":%q}`} {
			plan := plan1(t, derive(t, e, caseOf(t, op("a", "single-stage", "", femurLeft+","+fmt.Sprintf(more, day)))))
			if got := plan.Str("period", "start"); got != day {
				t.Errorf("%s: %s is %s", zone, day, got)
			}
		}
	}
}

func TestDayOfTheOperation(t *testing.T) {
	e := builtIn(t)
	for members, want := range map[string]string{
		`"performedPeriod":{"start":"2026-03-28T22:00:00Z","end":"2026-03-29T01:30:00+01:00"}`: "2026-03-29",
		`"performedPeriod":{"start":"2026-10-24T22:00:00+01:00","end":"2026-10-25T01:30:00Z"}`: "2026-10-25",
		`"performedPeriod":{"start":"2026-03-02"}`:                                             "2026-03-02",
		`"performedPeriod":{"end":"2026-03-02"}`:                                               "2026-03-02",
		`"performedPeriod":{"start":"2026-03-02","end":"2026-03"}`:                             "",
		`"performedDateTime":"2026-03-29T23:30:00Z"`:                                           "2026-03-30",
		`"performedDateTime":"2026-03-28T22:30:00-02:00"`:                                      "2026-03-29",
		`"performedDateTime":"2026-10-25T00:30:00+02:00"`:                                      "2026-10-24",
		`"performedDateTime":"2026-03-02T00:10:00+01:00"`:                                      "2026-03-01",
		`"performedDateTime":"2026"`:                                                           "",
		`"performedString":"last March"`:                                                       "",
		`"performedAge":{"value":44}`:                                                          "",
		`"note":[{"text":"no date"}]`:                                                          "",
	} {
		plan := plan1(t, derive(t, e, caseOf(t, op("a", "single-stage", "", femurLeft+","+members))))
		if got := plan.Str("period", "start"); got != want || (want == "") != (plan.Str("status") == "draft") {
			t.Errorf("%s: %s from %q", members, plan.Str("status"), got)
		}
	}
}

// A fact that names no operation belongs to the one of its day that counts.
func TestPartsWithoutALink(t *testing.T) {
	e := builtIn(t)
	free := op("t", "tmr", "2026-03-02", `"note":[{"text":"x"}]`)
	for name, c := range map[string]struct {
		inputs []string
		linked bool
	}{
		"the operation entered again":       {[]string{strings.Replace(op("a", "single-stage", "2026-03-02", ""), "completed", "entered-in-error", 1), op("b", "single-stage", "2026-03-02", ""), free}, true},
		"two records of one operation":      {[]string{op("a", "single-stage", "2026-03-02", ""), op("b", "single-stage", "2026-03-02T10:00:00Z", ""), free}, true},
		"two anchors":                       {[]string{op("a", "single-stage", "2026-03-02", ""), op("b", "single-stage", "2026-03-02", femurRight), free}, false},
		"another anchor, still in theatre":  {[]string{op("a", "single-stage", "2026-03-02", ""), strings.Replace(op("b", "single-stage", "2026-03-02", femurRight), "completed", "in-progress", 1), free}, false},
		"another anchor, not done":          {[]string{op("a", "single-stage", "2026-03-02", ""), strings.Replace(op("b", "single-stage", "2026-03-02", femurRight), "completed", "not-done", 1), free}, true},
		"two operations without a site":     {[]string{op("a", "single-stage", "2026-03-02", `"note":[{"text":"x"}]`), op("b", "single-stage", "2026-03-02", `"note":[{"text":"x"}]`), free}, false},
		"partOf in words only":              {[]string{op("a", "single-stage", "2026-03-02", ""), strings.Replace(free, `"note"`, `"partOf":[{"display":"the operation"}],"note"`, 1)}, true},
		"partOf that is not here":           {[]string{op("a", "single-stage", "2026-03-02", ""), strings.Replace(free, `"note"`, `"partOf":[{"reference":"Procedure/other"}],"note"`, 1)}, false},
		"an absolute reference to us":       {[]string{op("a", "single-stage", "2026-03-02", ""), op("t", "tmr", "2026-03-05", `"partOf":[{"reference":"http://127.0.0.1:8080/fhir/Procedure/a"}]`)}, true},
		"an absolute reference to a server": {[]string{op("a", "single-stage", "2026-03-02", ""), op("t", "tmr", "2026-03-02", `"partOf":[{"reference":"http://other.example/fhir/Procedure/a"}]`)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := caseOf(t, c.inputs...)
			x.Base = "http://127.0.0.1:8080/fhir"
			r := derive(t, e, x)
			linked := false
			for _, plan := range only(t, r, "CarePlan") {
				linked = linked || find(plan, "watch-phantom-after-tmr") != nil
			}
			if linked != c.linked {
				t.Errorf("linked: %v, told %v", linked, codesTold(r))
			}
		})
	}
}

// A stage that was entered in error contradicts nothing.
func TestSiteOfAnErrorIsNoConflict(t *testing.T) {
	wrong := strings.Replace(op("a", "stage-1", "2026-03-02", femurRight), "completed", "entered-in-error", 1)
	r := derive(t, builtIn(t), caseOf(t, wrong, op("b", "stage-1", "2026-03-02", ""), op("c", "stage-2", "2026-08-03", femurLeft+`,"partOf":[{"reference":"Procedure/a"}]`)))
	if slices.Contains(codesTold(r), "site-conflict") {
		t.Errorf("told %v", codesTold(r))
	}
	plan1(t, r)
}

func TestDevicesThatAreNotRecords(t *testing.T) {
	plan := plan1(t, derive(t, builtIn(t), caseOf(t, op("a", "single-stage", "2026-03-02",
		femurLeft+`,"contained":[{"resourceType":"Device","id":"d"}],"focalDevice":[{"manipulated":{"reference":"#d"}},{"manipulated":{"display":"OPL"}}]`))))
	if list := plan.Each("supportingInfo"); len(list) != 1 || list[0].Str("reference") != "Procedure/a" {
		t.Errorf("got %s", plan.Get("supportingInfo").Raw)
	}
}

func TestForearm(t *testing.T) {
	plan := plan1(t, derive(t, builtIn(t), caseOf(t, op("a", "single-stage", "2026-03-02", strings.Replace(femurLeft, "71341001", "14975008", 1)))))
	if got := plan.Str("title"); got != "Osseointegration aftercare, left forearm" {
		t.Errorf("got %q", got)
	}
}

// Whoever reads only the description, or only the narrative, reads one negation.
func TestProhibitionReadsAsOne(t *testing.T) {
	plan := plan1(t, derive(t, builtIn(t), caseOf(t, op("a", "single-stage", "2026-03-02", ""))))
	if div := plan.Str("text", "div"); strings.Contains(div, "Not allowed: The wound must not") || !strings.Contains(div, "Not allowed: Soaking") {
		t.Errorf("got %s", div)
	}
}

// What the definitions choose beyond the source is labelled.
func TestChoicesAreLabelled(t *testing.T) {
	plan := plan1(t, derive(t, builtIn(t), caseOf(t, op("a", "single-stage", "2026-03-02", ""), op("t", "tmr", "2026-03-02", `"partOf":[{"reference":"Procedure/a"}]`),
		`{"resourceType":"Procedure","id":"pump","status":"completed","code":{"coding":[{"system":"http://snomed.info/sct","code":"241716000"}]},"partOf":[{"reference":"Procedure/a"}]}`)))
	for _, id := range []string{"watch-phantom-after-tmr", "pca", "loading", "discharge", "analgesia-conversion", "no-bath-soaking", "wound-air-exposure"} {
		if extensionValue(find(plan, id), fhir.Canonical+"/StructureDefinition/policy", "valueString") == "" {
			t.Errorf("%s names no choice of ours", id)
		}
	}
}
