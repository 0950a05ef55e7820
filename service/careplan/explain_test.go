package careplan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/fhir/validate"
)

// explained is the explanation of the only plan of a case.
func explained(t *testing.T, e *Engine, c Case) *fhir.Node {
	t.Helper()
	for _, s := range c.Existing {
		if s.Type == "CarePlan" {
			body, err := e.Explain(c, s)
			if err != nil {
				t.Fatal(err)
			}
			return parse(t, string(body))
		}
	}
	t.Fatal("no plan")
	return nil
}

// values are the values of parameters, or parts, with a name.
func values(n *fhir.Node, member, name string) (list []*fhir.Node) {
	for _, p := range n.Each(member) {
		if p.Str("name") == name {
			list = append(list, p)
		}
	}
	return list
}

func text1(t *testing.T, n *fhir.Node, member, name, kind string) string {
	t.Helper()
	found := values(n, member, name)
	if len(found) != 1 {
		t.Fatalf("%d of %s in %s", len(found), name, n.Raw)
	}
	return found[0].Get(kind).Text
}

func activityNamed(t *testing.T, n *fhir.Node, id string) *fhir.Node {
	t.Helper()
	for _, a := range values(n, "parameter", "activity") {
		if text1(t, a, "part", "id", "valueString") == id {
			return a
		}
	}
	t.Fatalf("no activity %s", id)
	return nil
}

func TestExplainSaysWhyOfEachActivity(t *testing.T) {
	v, err := validate.New()
	if err != nil {
		t.Fatal(err)
	}
	e := builtIn(t)
	c := caseOf(t, op("a", "single-stage", "2026-03-02", ""), op("n", "traction-neurectomy", "2026-03-02", `"partOf":[{"reference":"Procedure/a"}]`))
	c.Inputs[0].Version = 3
	c = stored(t, c, derive(t, e, c))
	x := explained(t, e, c)
	for _, issue := range v.Resource(x, "Parameters") {
		t.Errorf("%v %s", issue.Expression, issue.Text)
	}
	if got := text1(t, x, "parameter", "state", "valueCode"); got != "current" {
		t.Errorf("state %s", got)
	}
	input := values(x, "parameter", "input")[0]
	if got := values(input, "part", "record")[0].Str("valueReference", "reference"); got != "Procedure/a/_history/3" {
		t.Errorf("input %s", got)
	}
	if got := text1(t, input, "part", "date", "valueDate"); got != "2026-03-02" {
		t.Errorf("date %s", got)
	}
	facts := values(input, "part", "fact")
	if !slices.ContainsFunc(facts, func(f *fhir.Node) bool { return f.Str("valueCoding", "code") == "traction-neurectomy" }) {
		t.Errorf("facts %v", facts)
	}
	staples := activityNamed(t, x, "staples-partial")
	window := values(staples, "part", "window")[0].Get("valuePeriod")
	got := fmt.Sprint(window.Str("start"), " ", text1(t, staples, "part", "rule", "valueString"), " ", text1(t, staples, "part", "definition", "valueCanonical"))
	if want := "2026-03-23 action staples-partial of https://aftercare.example/fhir/PlanDefinition/osseointegration-wound-care|1.0.0 https://aftercare.example/fhir/ActivityDefinition/staples-partial|1.0.0"; got != want {
		t.Errorf("got %s", got)
	}
	relation := values(staples, "part", "relation")[0]
	if got := text1(t, relation, "part", "from", "valueString") + ": " + text1(t, relation, "part", "offset", "valueString"); got != "wound: 3 weeks after wound" {
		t.Errorf("counted from %s", got)
	}
	condition := values(staples, "part", "condition")[0]
	if got := text1(t, condition, "part", "answer", "valueCode"); got != "unknown" || len(values(staples, "part", "assumed")) != 1 {
		t.Errorf("the answer is %s", got)
	}
	sentence := text1(t, staples, "part", "sentence", "valueString")
	for _, part := range []string{"2026-03-23", "3 weeks after wound (2026-03-02)", "A31", "Staples are assumed"} {
		if !strings.Contains(sentence, part) {
			t.Errorf("%q lacks %q", sentence, part)
		}
	}
	out := activityNamed(t, x, "watch-phantom-after-tmr")
	if text1(t, out, "part", "included", "valueBoolean") != "false" || !strings.Contains(text1(t, out, "part", "sentence", "valueString"), "not in the plan") {
		t.Errorf("got %s", out.Raw)
	}
	if got := text1(t, activityNamed(t, x, "loading"), "part", "waits", "valueString"); !strings.Contains(got, "once a clinician has released it") {
		t.Errorf("loading waits: %s", got)
	}
	if got := text1(t, activityNamed(t, x, "osseointegration"), "part", "sentence", "valueString"); !strings.Contains(got, "at least 6 weeks after surgery (2026-03-02) and at most 3 months after surgery (2026-03-02)") {
		t.Errorf("got %q", got)
	}
}

// What is told of a plan where not all is as the rules have it.
func TestExplainSaysHowThePlanStands(t *testing.T) {
	e := builtIn(t)
	made := func() Case {
		c := caseOf(t, op("a", "single-stage", "2026-03-02", ""))
		return stored(t, c, derive(t, e, c))
	}
	for name, c := range map[string]struct {
		state, sentence string
		change          func(c *Case) *Engine
	}{
		"a person has begun": {"current", "somebody has begun or ended it", func(c *Case) *Engine {
			begin(t, *c, "staples-partial", "in-progress")
			*c = stored(t, *c, derive(t, e, *c))
			return e
		}},
		"a person has begun, and the date is another one": {"current", "By the rules it would be 2026-03-25; it stays 2026-03-23.", func(c *Case) *Engine {
			begin(t, *c, "staples-partial", "completed")
			c.Inputs[0] = source(t, op("a", "single-stage", "2026-03-04", ""))
			*c = stored(t, *c, derive(t, e, *c))
			return e
		}},
		"the version is an earlier one": {"differs", "The stored version says 2026-03-23.", func(c *Case) *Engine {
			c.Inputs[0] = source(t, op("a", "single-stage", "2026-03-04", ""))
			return e
		}},
		"the date is not exact": {"waits", "waits for the exact date of the operation", func(c *Case) *Engine {
			c.Inputs[0] = source(t, op("a", "single-stage", "2026-03", ""))
			*c = stored(t, *c, derive(t, e, *c))
			return e
		}},
		"the operation is on hold": {"closed", "Its status is on-hold. Why: Operation on hold.", func(c *Case) *Engine {
			c.Inputs[0] = source(t, strings.Replace(op("a", "single-stage", "2026-03-02", ""), "completed", "on-hold", 1))
			*c = stored(t, *c, derive(t, e, *c))
			return e
		}},
		"nothing is left of the operation": {"closed", "Why: Operation no longer recorded.", func(c *Case) *Engine {
			c.Inputs = nil
			*c = stored(t, *c, derive(t, e, *c))
			return e
		}},
		"a person has ended the plan": {"closed", "Somebody has ended this plan", func(c *Case) *Engine {
			for i, s := range c.Existing {
				if s.Type == "CarePlan" {
					c.Existing[i].Node = parse(t, strings.Replace(string(s.Node.Raw), `"status":"active","intent"`, `"status":"completed","intent"`, 1))
				}
			}
			return e
		}},
		"the protocol cannot be applied": {"failed", "action pain-assessment-day-1", func(c *Case) *Engine {
			c.Inputs[0] = source(t, op("a", "single-stage", "2026-03-02", femurLeft+`,"note":[{"text":"x"}]`))
			return edited(t, woundCare, painAction, withCondition("%procedure.note.text > 3"))
		}},
		"the second stage is planned": {"current", "2027-02-22, 3 weeks after stage-2.wound (2027-02-01). This is provisional: stage 2 not yet done.", func(c *Case) *Engine {
			c.Inputs = []Source{
				source(t, op("a", "stage-1", "2026-03-02", "")),
				source(t, strings.Replace(op("b", "stage-2", "2027-02-01", ""), "completed", "preparation", 1)),
			}
			*c = stored(t, *c, derive(t, e, *c))
			return e
		}},
		"a person has moved it": {"current", "Somebody has changed its scheduled, and that stays. By the rules it would be 2026-03-23; it stays 2026-03-25.", func(c *Case) *Engine {
			changePlan(t, *c, `{"start":"2026-03-23","end":"2026-03-23"}`, `{"start":"2026-03-25","end":"2026-03-25"}`)
			*c = stored(t, *c, derive(t, e, *c))
			return e
		}},
		"a person has written another text": {"current", "Somebody has changed its description, and that stays.", func(c *Case) *Engine {
			changePlan(t, *c, `"description":"Remove the first part`, `"description":"Remove half`)
			*c = stored(t, *c, derive(t, e, *c))
			return e
		}},
		"it follows its Task": {"current", "It is completed: As its task says", func(c *Case) *Engine {
			for i, s := range c.Existing {
				if s.Type == "Task" && strings.HasSuffix(s.Node.Each("identifier")[0].Str("value"), "#staples-partial") {
					c.Existing[i].Node = parse(t, strings.Replace(string(s.Node.Raw), `"status":"requested"`, `"status":"completed"`, 1))
				}
			}
			*c = stored(t, *c, derive(t, e, *c))
			return e
		}},
		"a person has added an activity": {"current", "no rule of the protocol asks for it", func(c *Case) *Engine {
			for i, s := range c.Existing {
				if s.Type == "CarePlan" {
					c.Existing[i].Node = parse(t, strings.Replace(string(s.Node.Raw), `"activity":[`, `"activity":[{"id":"theirs","detail":{"status":"scheduled","code":{"text":"Swim"}}},`, 1))
				}
			}
			*c = stored(t, *c, derive(t, e, *c))
			return e
		}},
	} {
		t.Run(name, func(t *testing.T) {
			k := made()
			x := explained(t, c.change(&k), k)
			if got := text1(t, x, "parameter", "state", "valueCode"); got != c.state {
				t.Errorf("state %s: %s", got, text1(t, x, "parameter", "sentence", "valueString"))
			}
			if !strings.Contains(string(x.Raw), c.sentence) {
				t.Errorf("no %q in %s", c.sentence, x.Raw)
			}
		})
	}
}

// changePlan puts one text in place of another in the plan of a case, as a person does.
func changePlan(t *testing.T, c Case, was, is string) {
	t.Helper()
	for i, s := range c.Existing {
		if s.Type == "CarePlan" {
			raw := string(s.Node.Raw)
			if !strings.Contains(raw, was) {
				t.Fatalf("no %s in %s", was, raw)
			}
			c.Existing[i].Node = parse(t, strings.Replace(raw, was, is, 1))
		}
	}
}

func TestExplainNamesPoliciesThatAreOff(t *testing.T) {
	e := without(t, "conversion-by-day-5")
	c := caseOf(t, op("a", "single-stage", "2026-03-02", ""))
	x := explained(t, e, stored(t, c, derive(t, e, c)))
	if got := text1(t, x, "parameter", "policy-off", "valueCode"); got != "conversion-by-day-5" {
		t.Errorf("got %s", got)
	}
}

func TestWordsOfRelations(t *testing.T) {
	anchor, other := &step{id: "op"}, &step{id: "walk", activity: &activity{}}
	weeks, days := &offset{3, "wk"}, &offset{0, "d"}
	for want, r := range map[string]relation{
		"3 weeks after op":                        {target: anchor, end: true, sign: 1, low: weeks, high: weeks},
		"3 weeks before the start of walk":        {target: other, sign: -1, low: weeks, high: weeks},
		"with the end of walk":                    {target: other, end: true, sign: 1, low: days, high: days},
		"1 day after op":                          {target: anchor, end: true, sign: 1, low: &offset{1, "d"}, high: &offset{1, "d"}},
		"at any time after the end of walk":       {target: other, end: true, sign: 1, open: true},
		"at least 3 weeks after op":               {target: anchor, end: true, sign: 1, low: weeks},
		"at most 3 weeks after op":                {target: anchor, end: true, sign: 1, high: weeks},
		"0 days to 3 weeks after the end of walk": {target: other, end: true, sign: 1, low: days, high: weeks},
	} {
		if got := r.words(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// The explanation of a plan that another took the place of says so, and so does that of the other.
func TestExplainNamesThePlansAroundOne(t *testing.T) {
	e := builtIn(t)
	sentence := func(c Case, plan Source) string {
		t.Helper()
		body, err := e.Explain(c, plan)
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, p := range parse(t, string(body)).Each("parameter") {
			if p.Str("name") == "state" || p.Str("name") == "sentence" {
				text += p.Str("valueCode") + p.Str("valueString") + " "
			}
		}
		return text
	}
	c := running(t, e, op("a", "single-stage", "2026-03-02", ""))
	first := c.Existing[slices.IndexFunc(c.Existing, func(s Source) bool { return s.Type == "CarePlan" })].ID
	revised := replaceInput(t, c, op("b", "soft-tissue-revision", "2026-05-04", ""))
	removed := replaceInput(t, c, op("r", "removal", "2026-05-04", ""))
	for name, x := range map[string]struct {
		c           Case
		old, latest []string
	}{
		"replaced": {revised, []string{"closed", "revoked: Replaced by the plan of a later operation, CarePlan/"}, []string{"current", "takes the place of CarePlan/" + first}},
		"removed":  {removed, []string{"closed", "revoked: Anchor removed."}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := stored(t, x.c, derive(t, e, x.c))
			for _, s := range c.Existing {
				want := x.latest
				switch {
				case s.Type != "CarePlan":
					continue
				case s.ID == first:
					want = x.old
				}
				for _, part := range want {
					if got := sentence(c, s); !strings.Contains(got, part) {
						t.Errorf("%s is not in %q", part, got)
					}
				}
			}
		})
	}
	t.Run("what a person took out and deleted", func(t *testing.T) {
		c := again(t, e, deleted(t, takenOut(t, c, "loading"), "Task", "#staples-complete"))
		for _, s := range c.Existing {
			if s.Type != "CarePlan" {
				continue
			}
			body, err := e.Explain(c, s)
			if err != nil || !strings.Contains(string(body), "taken it out of the plan") || !strings.Contains(string(body), "deleted its Task") {
				t.Errorf("%v: %s", err, body)
			}
		}
	})
}
