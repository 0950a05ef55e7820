package careplan

import (
	"strings"
	"testing"

	"aftercare/fhir/validate"
)

func implant(name string) string {
	return `{"resourceType":"Device","id":"d","deviceName":[{"name":"` + name + `","type":"model-name"}],"patient":{"reference":"Patient/p"}}`
}

const ofDevice = `,"focalDevice":[{"manipulated":{"reference":"Device/d"}}]`

func TestRiskOfAnOPLImplant(t *testing.T) {
	v, err := validate.New()
	if err != nil {
		t.Fatal(err)
	}
	e := builtIn(t)
	for name, c := range map[string]struct {
		inputs []string
		want   string
	}{
		"an OPL implant":            {[]string{op("a", "single-stage", "2026-03-02", femurLeft+ofDevice), implant("OPL")}, `"whenPeriod":{"start":"2026-03-02","end":"2036-03-02"}`},
		"on 29 February":            {[]string{op("a", "single-stage", "2028-02-29", femurLeft+ofDevice), implant("OPL")}, `"whenPeriod":{"start":"2028-02-29","end":"2038-02-28"}`},
		"counted from stage 1":      {[]string{op("a", "stage-1", "2026-03-02", femurLeft+ofDevice), op("b", "stage-2", "2026-08-03", ""), implant("OPL")}, `"whenPeriod":{"start":"2026-03-02","end":"2036-03-02"}`},
		"by model number":           {[]string{op("a", "single-stage", "2026-03-02", femurLeft+ofDevice), strings.Replace(implant("x"), `"deviceName"`, `"modelNumber":"OPL","deviceName"`, 1)}, `"whenPeriod"`},
		"another implant":           {[]string{op("a", "single-stage", "2026-03-02", femurLeft+ofDevice), implant("ILP")}, ""},
		"no implant on record":      {[]string{op("a", "single-stage", "2026-03-02", "")}, ""},
		"insertion of unknown date": {[]string{op("b", "stage-2", "2026-08-03", femurLeft+ofDevice), implant("OPL")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := derive(t, e, caseOf(t, c.inputs...))
			risks := only(t, r, "RiskAssessment")
			if c.want == "" {
				if len(risks) != 0 {
					t.Errorf("got %s", risks[0].Raw)
				}
				return
			}
			if len(risks) != 1 || !strings.Contains(string(risks[0].Raw), c.want) {
				t.Fatalf("got %v, want %s", risks, c.want)
			}
			check(t, v, risks[0])
			if facts := factsOf(risks[0]); len(facts) != 1 || facts[0] != "A55" {
				t.Errorf("it rests on %v", facts)
			}
			if end := plan1(t, r).Str("period", "end"); end > "2031" {
				t.Errorf("the plan ends %s", end)
			}
		})
	}
}

// It follows the implant and the plan, and comes back with it.
func TestRiskFollowsImplantAndPlan(t *testing.T) {
	e := builtIn(t)
	with := func(c Case, status, device string) Case {
		c.Inputs = caseOf(t, strings.Replace(op("a", "single-stage", "2026-03-02", femurLeft+ofDevice), "completed", status, 1), implant(device)).Inputs
		return stored(t, c, derive(t, e, c))
	}
	c := with(Case{Subject: "Patient/p", At: at}, "completed", "OPL")
	for _, step := range []struct{ status, device, want string }{
		{"completed", "OPL", "final"}, {"completed", "ILP", "cancelled"}, {"completed", "OPL", "final"},
		{"on-hold", "OPL", "final"}, {"not-done", "OPL", "cancelled"}, {"completed", "OPL", "final"},
		{"entered-in-error", "OPL", "entered-in-error"}, {"completed", "OPL", "final"},
	} {
		c = with(c, step.status, step.device)
		for _, s := range c.Existing {
			if s.Type == "RiskAssessment" && s.Node.Str("status") != step.want {
				t.Errorf("operation %s, implant %s: the risk is %s, want %s", step.status, step.device, s.Node.Str("status"), step.want)
			}
		}
	}
}

func TestPatternsThatAreRefused(t *testing.T) {
	for name, c := range map[string][2]string{
		"one that is not there":        {`"definitionUri":"#deep-infection-risk"`, `"definitionUri":"#other"`},
		"one that is no risk":          {`"contained":[{"resourceType":"RiskAssessment"`, `"contained":[{"resourceType":"Basic"`},
		"an address outside of itself": {`"definitionUri":"#deep-infection-risk"`, `"definitionUri":"http://x.example/y"`},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := loaded(t)
			for i, n := range nodes {
				if n.Str("id") == singleStage {
					nodes[i] = parse(t, strings.Replace(string(compacted(n).Raw), c[0], c[1], 1))
				}
			}
			if _, err := Compile(nodes, london(t)); err == nil || !strings.Contains(err.Error(), "definitionUri") {
				t.Errorf("got %v", err)
			}
		})
	}
}
