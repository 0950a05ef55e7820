package careplan

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"aftercare/definitions"
)

// edited compiles the built-in definitions with one of them changed as text.
func edited(t testing.TB, id, old, text string) *Engine {
	t.Helper()
	nodes, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		if n.Str("resourceType") == "PlanDefinition" && n.Str("id") == id {
			small := string(compacted(n).Raw)
			if !strings.Contains(small, old) {
				t.Fatalf("%s does not hold %s", id, old)
			}
			nodes[i] = parse(t, strings.Replace(small, old, text, 1))
		}
	}
	e, err := Compile(nodes, london(t))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const (
	woundCare   = "osseointegration-wound-care"
	singleStage = "osseointegration-aftercare-single-stage"
	painAction  = `"title":"Pain assessment on the day after surgery",`
)

// withCondition gives the pain assessment a condition, which an outcome of the note tells.
func withCondition(expression string) string {
	text, err := json.Marshal(expression)
	if err != nil {
		panic(err)
	}
	return painAction + `"condition":[{"kind":"applicability","expression":{"language":"text/fhirpath","expression":` + string(text) + `}}],`
}

const secret = "Very Private"

// failing are definitions that compile and fail on the records of noted.
func failing(t testing.TB) map[string]struct {
	engine *Engine
	cause  []string
} {
	performer := `"expression":"%patient.generalPractitioner"`
	highWeek := `"high":{"value":1,"unit":"weeks","system":"http://unitsofmeasure.org","code":"wk"}`
	return map[string]struct {
		engine *Engine
		cause  []string
	}{
		"a condition with values of the wrong type": {
			edited(t, woundCare, painAction, withCondition("%procedure.note.text > 3")),
			[]string{"action pain-assessment-day-1 of https://aftercare.example/fhir/PlanDefinition/osseointegration-wound-care|1.0.0", "%procedure.note.text > 3"},
		},
		"a condition with several answers": {
			edited(t, woundCare, painAction, withCondition("%facts.code | 'x'")),
			[]string{"pain-assessment-day-1", "%facts.code | 'x'", "where one Boolean is asked for"},
		},
		"a performer that is no reference": {
			edited(t, woundCare, performer, `"expression":"%patient.name.text"`),
			[]string{"staples-partial", "%patient.name.text", "a Reference is asked for"},
		},
		"rules that leave no day": {
			edited(t, woundCare, highWeek, highWeek+`}},{"actionId":"wound","relationship":"before-start","offsetRange":{"low":{"value":1,"unit":"days","system":"http://unitsofmeasure.org","code":"d"}`),
			[]string{"original-dressing", "leave no day"},
		},
		"a date that cannot be written": {
			edited(t, singleStage, `"high":{"value":6,"unit":"months"`, `"high":{"value":96000,"unit":"months"`),
			[]string{"watch-enthesopathy", "years that can be written"},
		},
	}
}

// noted is an operation with a note that no text of ours may quote.
func noted(t testing.TB) Case {
	c := caseOf(t, op("a", "single-stage", "2026-03-02", femurLeft+`,"note":[{"text":"`+secret+`"}]`))
	p := source(t, `{"resourceType":"Patient","id":"p","name":[{"text":"`+secret+`"}]}`)
	c.Patient = &p
	return c
}

func TestFailureMakesNoPlan(t *testing.T) {
	for name, f := range failing(t) {
		t.Run(name, func(t *testing.T) {
			r := derive(t, f.engine, noted(t))
			for _, p := range r.Resources {
				if p.Type != "DetectedIssue" {
					t.Errorf("a %s was derived", p.Type)
				}
			}
			told := ""
			for _, n := range r.Notices {
				if n.Procedure == "Procedure/a" && n.Issue.Detail == "protocol-failed" {
					told = n.Issue.Text
				}
				if n.Issue.Detail == "plan" {
					t.Error("a plan is told about")
				}
			}
			for _, part := range f.cause {
				if !strings.Contains(told, part) {
					t.Errorf("told %q, without %q", told, part)
				}
			}
			issue := only(t, r, "DetectedIssue")
			if len(issue) != 1 || issue[0].Str("detail") != told || issue[0].Each("implicated", "reference")[0].Text != "Procedure/a" {
				t.Errorf("issues %v, told %q", issue, told)
			}
			if strings.Contains(told, secret) {
				t.Errorf("the text quotes a record: %s", told)
			}
		})
	}
}

// A plan that was there, begun, edited or as it was, does not change by a byte, nor does what
// belongs to it.
func TestFailureLeavesThePlanAsItWas(t *testing.T) {
	whole := builtIn(t)
	for name, f := range failing(t) {
		t.Run(name, func(t *testing.T) {
			c := noted(t)
			c.Inputs[0] = source(t, op("a", "single-stage", "2026-03-02", ""))
			c = stored(t, c, derive(t, whole, c))
			c.Inputs = noted(t).Inputs
			c.Inputs[0] = source(t, strings.Replace(string(c.Inputs[0].Node.Raw), "2026-03-02", "2026-03-04", 1))
			r := derive(t, f.engine, c)
			kept := 0
			for _, p := range r.Resources {
				for _, s := range c.Existing {
					if s.Type == p.Type && s.ID == p.ID {
						kept++
						if !sameContent(t, p.Body, s.Node.Raw) {
							t.Errorf("%s/%s changed", p.Type, p.ID)
						}
					}
				}
			}
			if kept != len(c.Existing) || len(r.Resources) != kept+1 {
				t.Errorf("%d of %d kept, %d in all", kept, len(c.Existing), len(r.Resources))
			}
			// Again, nothing is new.
			again := stored(t, c, r)
			for _, p := range derive(t, f.engine, again).Resources {
				for _, s := range again.Existing {
					if s.Type == p.Type && s.ID == p.ID && !sameContent(t, p.Body, s.Node.Raw) {
						t.Errorf("%s/%s changed the second time", p.Type, p.ID)
					}
				}
			}
			// Mended, it is the plan of the corrected date, and the issue is settled.
			r = derive(t, whole, again)
			if got := dates(plan1(t, r))["staples-partial"]; got != "2026-03-25" {
				t.Errorf("mended: %s", got)
			}
			if status := only(t, r, "DetectedIssue")[0].Str("status"); status != "cancelled" {
				t.Errorf("mended: the issue is %s", status)
			}
		})
	}
}

func TestFailureOfOnePlanLeavesOthersToFollow(t *testing.T) {
	e := edited(t, woundCare, painAction, withCondition("%procedure.note.text > 3"))
	c := noted(t)
	c.Inputs = append(c.Inputs, source(t, op("b", "single-stage", "2026-05-04", femurRight)))
	r := derive(t, e, c)
	if got := plan1(t, r).Str("title"); !strings.Contains(got, "right") {
		t.Errorf("the plan is %s", got)
	}
}

// A fault of the engine itself changes nothing, and quotes nothing.
func TestFaultOfTheEngineIsContained(t *testing.T) {
	for name, sabotage := range map[string]func(e *Engine){
		"in a plan": func(e *Engine) { e.protocols[0].pathways[0].steps = append(e.protocols[0].pathways[0].steps, nil) },
		"before it": func(e *Engine) { e.protocols[0].selectors[0] = nil },
	} {
		t.Run(name, func(t *testing.T) {
			e := builtIn(t)
			c := noted(t)
			c = stored(t, c, derive(t, e, c))
			sabotage(e)
			r := derive(t, e, c)
			if len(r.Faults) != 1 || strings.Contains(r.Faults[0].Error(), secret) {
				t.Fatalf("faults %v", r.Faults)
			}
			for _, s := range c.Existing {
				if !slices.ContainsFunc(r.Resources, func(p Prescribed) bool {
					return p.Type == s.Type && p.ID == s.ID && sameContent(t, p.Body, s.Node.Raw)
				}) {
					t.Errorf("%s is gone or changed", s.ref())
				}
			}
			if !slices.Contains(codesTold(r), "protocol-failed") {
				t.Errorf("told %v", codesTold(r))
			}
		})
	}
}

// What fails where it does not matter fails nothing.
func TestDatesOfWhatDoesNotApplyMayFail(t *testing.T) {
	e := edited(t, singleStage, `"relatedAction":[{"actionId":"neurectomy"`, `"relatedAction":[{"actionId":"neurectomy","relationship":"after-end","offsetDuration":{"value":90000,"unit":"years","system":"http://unitsofmeasure.org","code":"a"}},{"actionId":"neurectomy"`)
	r := derive(t, e, caseOf(t, op("a", "single-stage", "2026-03-02", "")))
	plan1(t, r)
	r = derive(t, e, caseOf(t, op("a", "single-stage", "2026-03-02", ""), op("n", "traction-neurectomy", "2026-03-02", `"partOf":[{"reference":"Procedure/a"}]`)))
	if !slices.Contains(codesTold(r), "protocol-failed") {
		t.Errorf("told %v", codesTold(r))
	}
}
