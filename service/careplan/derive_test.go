package careplan

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"aftercare/definitions"
	"aftercare/fhir/path"
)

// The catalogue of a single-stage operation on 2 March 2026: activity, dates.
func TestSingleStageCatalogue(t *testing.T) {
	want := []string{
		"analgesia-conversion 2026-03-02 to 2026-03-07",
		"pain-assessment-day-1 2026-03-03",
		"discharge 2026-03-02 to 2026-03-07",
		"original-dressing 2026-03-02 to 2026-03-09",
		"dressing-change 2026-03-02 to 2026-03-09",
		"shower-permitted from 2026-03-02",
		"no-bath-soaking from 2026-03-02",
		"wound-air-exposure daily from 2026-03-09",
		"dressing-outdoors from 2026-03-09",
		"staples-partial 2026-03-23",
		"staples-complete 2026-03-30",
		"osseointegration 2026-04-13 to 2026-06-02",
		"loading Undated: once a clinician has released it",
		"rehabilitation Undated: when pain relief is taken by mouth",
		"prosthesis-fitting Undated: once the patient has left hospital",
		"dualcone-maintenance Undated: at an interval that the rehabilitation team sets",
		"watch-enthesopathy 2026-06-02 to 2026-09-02",
	}
	plan := plan1(t, derive(t, builtIn(t), readBundle(t, "../../testdata/surgery/single-stage-femur-left.json")))
	var got []string
	for _, a := range plan.Each("activity") {
		got = append(got, a.Str("id")+" "+when(a.Get("detail")))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWindows(t *testing.T) {
	e := builtIn(t)
	part := func(id, code, of string) string {
		return op(id, code, "2026-01-31", fmt.Sprintf(`"partOf":[{"reference":"Procedure/%s"}]`, of))
	}
	for name, c := range map[string]struct {
		inputs []string
		want   map[string]string // activity to dates; "" for no such activity
	}{
		"neurectomy alone is watched, month ends are clamped": {
			[]string{op("a", "single-stage", "2026-01-31", ""), part("n", "traction-neurectomy", "a")},
			map[string]string{"watch-neuroma": "2026-04-30 to 2026-07-31", "watch-enthesopathy": "2026-04-30 to 2026-07-31", "watch-phantom-after-tmr": ""},
		},
		"reinnervation replaces the neuroma watch": {
			[]string{op("a", "single-stage", "2026-01-31", ""), part("n", "traction-neurectomy", "a"), part("t", "tmr", "a")},
			map[string]string{"watch-neuroma": "", "watch-phantom-after-tmr": "2026-01-31 to 2026-07-31"},
		},
		"reinnervation as part of a part counts": {
			[]string{op("a", "single-stage", "2026-01-31", ""), part("f", "skin-flap", "a"), part("t", "tmr", "f")},
			map[string]string{"watch-phantom-after-tmr": "2026-01-31 to 2026-07-31"},
		},
		"reinnervation coded on the operation itself counts": {
			[]string{op("a", "single-stage", "2026-01-31", femurLeft+`,"usedCode":[{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"tmr"}]}]`)},
			map[string]string{"watch-phantom-after-tmr": "2026-01-31 to 2026-07-31"},
		},
		"reinnervation that is not completed does not count": {
			[]string{op("a", "single-stage", "2026-01-31", ""), strings.Replace(part("t", "tmr", "a"), "completed", "preparation", 1)},
			map[string]string{"watch-phantom-after-tmr": ""},
		},
		"reinnervation of another day without partOf does not count": {
			[]string{op("a", "single-stage", "2026-01-31", ""), op("t", "tmr", "2026-02-01", "")},
			map[string]string{"watch-phantom-after-tmr": ""},
		},
		"reinnervation of the same day counts without partOf": {
			[]string{op("a", "single-stage", "2026-01-31", ""), op("t", "tmr", "2026-01-31", "")},
			map[string]string{"watch-phantom-after-tmr": "2026-01-31 to 2026-07-31"},
		},
		"reinnervation of the same day on the other side does not count": {
			[]string{op("a", "single-stage", "2026-01-31", femurLeft), op("t", "tmr", "2026-01-31", femurRight)},
			map[string]string{"watch-phantom-after-tmr": ""},
		},
		"reinnervation in stage 2 is dated from stage 2": {
			[]string{op("a", "stage-1", "2026-01-31", ""), op("b", "stage-2", "2026-06-30", ""), part("t", "tmr", "b")},
			map[string]string{"watch-phantom-after-tmr": "2026-06-30 to 2026-12-30", "watch-enthesopathy": "2026-04-30 to 2026-07-31"},
		},
		"six months after 31 August": {
			[]string{op("a", "single-stage", "2026-08-31", "")},
			map[string]string{"watch-enthesopathy": "2026-11-30 to 2027-02-28", "osseointegration": "2026-10-12 to 2026-11-30"},
		},
		"clocks going forward do not move a day": {
			[]string{op("a", "single-stage", "2026-03-28", "")},
			map[string]string{"pain-assessment-day-1": "2026-03-29", "staples-partial": "2026-04-18"},
		},
		"late in a summer evening in UTC it is the next day": {
			[]string{op("a", "single-stage", "2026-07-01T23:30:00Z", "")},
			map[string]string{"pain-assessment-day-1": "2026-07-03"},
		},
		"stage 1 alone leaves stage 2 undated": {
			[]string{op("a", "stage-1", "2026-03-02", "")},
			map[string]string{
				"stage-1.staples-partial": "2026-03-23", "stage-2.staples-partial": "Undated: after stage 2; 3 weeks after the operation",
				"loading": "Undated: after stage 2; once a clinician has released it", "osseointegration": "2026-04-13 to 2026-06-02", "staples-partial": "",
			},
		},
		"stage 2 alone leaves what counts from insertion undated": {
			[]string{op("b", "stage-2", "2026-08-03", "")},
			map[string]string{
				"stage-1.staples-partial": "", "stage-2.staples-partial": "2026-08-24", "loading": "Undated: once a clinician has released it",
				"osseointegration": "Undated: the date of stage 1 is not known; 6 weeks to 3 months after stage 1",
			},
		},
		"stage 2 before stage 1 dates nothing from stage 2": {
			[]string{op("a", "stage-1", "2026-03-02", ""), op("b", "stage-2", "2026-02-02", "")},
			map[string]string{
				"stage-1.staples-partial": "2026-03-23", "osseointegration": "2026-04-13 to 2026-06-02",
				"stage-2.staples-partial": "Undated: waits for the dates of the stages to be corrected; 3 weeks after the operation",
			},
		},
		"stage 2 planned for no day leaves stage 2 undated": {
			[]string{op("a", "stage-1", "2026-03-02", ""), strings.Replace(op("b", "stage-2", "2026-09", ""), "completed", "preparation", 1)},
			map[string]string{"stage-2.staples-partial": "Undated: after stage 2; 3 weeks after the operation"},
		},
		"a pump that is recorded is in the plan": {
			[]string{op("a", "single-stage", "2026-01-31", ""), `{"resourceType":"Procedure","id":"pump","status":"completed","code":{"coding":[{"system":"http://snomed.info/sct","code":"241716000"}]},"partOf":[{"reference":"Procedure/a/_history/2"}]}`},
			map[string]string{"pca": "from 2026-01-31", "local-anaesthetic-infusion": "", "oral-analgesia": ""},
		},
		"two records of one operation agree": {
			[]string{op("a", "single-stage", "2026-03-02", ""), op("b", "single-stage", "2026-03-02T10:00:00Z", "")},
			map[string]string{"staples-partial": "2026-03-23"},
		},
		"two records of one operation differ": {
			[]string{op("a", "single-stage", "2026-03-02", ""), op("b", "single-stage", "2026-03-03", "")},
			map[string]string{"staples-partial": "Undated: waits until contradicting operations are settled; 3 weeks after the operation"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := dates(plan1(t, derive(t, e, caseOf(t, c.inputs...))))
			for id, want := range c.want {
				if got[id] != want {
					t.Errorf("%s: got %q, want %q", id, got[id], want)
				}
			}
		})
	}
}

func TestSites(t *testing.T) {
	nodes, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	e, err := Compile(append(nodes, parse(t, `{"resourceType":"ConceptMap","id":"h","url":"http://h/map","group":[{"source":"http://h/sites","target":"http://snomed.info/sct",
	 "element":[{"code":"left-femur","target":[{"code":"71341001","equivalence":"wider"},{"code":"7771000","equivalence":"wider"}]}]}]}`)), london(t))
	if err != nil {
		t.Fatal(err)
	}
	sct := func(code string) string { return fmt.Sprintf(`{"system":"http://snomed.info/sct","code":%q}`, code) }
	for name, c := range map[string]struct {
		site  string // members of the Procedure
		other []string
		title string // "" for no plan
		told  string
	}{
		"two codings in one concept":     {femurLeft, nil, "Osseointegration aftercare, left femur", "plan"},
		"two bodySite entries":           {`"bodySite":[{"coding":[` + sct("24028007") + `]},{"coding":[` + sct("85050009") + `]}]`, nil, "Osseointegration aftercare, right humerus", "plan"},
		"one code for bone and side":     {`"bodySite":[{"coding":[{"system":"http://h/sites","code":"left-femur"}]}]`, nil, "Osseointegration aftercare, left femur", "plan"},
		"the limb segment":               {`"bodySite":[{"coding":[` + sct("68367000") + `,` + sct("7771000") + `]}]`, nil, "Osseointegration aftercare, left femur", "plan"},
		"segment and bone agree":         {`"bodySite":[{"coding":[` + sct("68367000") + `,` + sct("71341001") + `,` + sct("7771000") + `]}]`, nil, "Osseointegration aftercare, left femur", "plan"},
		"limb and bone: the bone counts": {`"bodySite":[{"coding":[` + sct("61685007") + `,` + sct("12611008") + `,` + sct("7771000") + `]}]`, nil, "Osseointegration aftercare, left tibia", "plan"},
		"limb only":                      {`"bodySite":[{"coding":[` + sct("53120007") + `,` + sct("24028007") + `]}]`, nil, "Osseointegration aftercare, right upper limb", "plan"},
		"no side":                        {femur, nil, "Osseointegration aftercare, femur (side not recorded)", "side-not-recorded"},
		"BodyStructure":                  {`"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/procedure-targetBodyStructure","valueReference":{"reference":"BodyStructure/s"}}]`, []string{`{"resourceType":"BodyStructure","id":"s","location":{"coding":[` + sct("71341001") + `]},"locationQualifier":[{"coding":[` + sct("24028007") + `]}]}`}, "Osseointegration aftercare, right femur", "plan"},
		"contained BodyStructure":        {`"contained":[{"resourceType":"BodyStructure","id":"s","location":{"coding":[` + sct("71341001") + `]}}],"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/procedure-targetBodyStructure","valueReference":{"reference":"#s"}}]`, nil, "Osseointegration aftercare, femur (side not recorded)", "plan"},
		"BodyStructure that is not here": {`"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/procedure-targetBodyStructure","valueReference":{"reference":"BodyStructure/s"}}]`, nil, "", "no-body-site"},
		"none":                           {`"note":[{"text":"x"}]`, nil, "", "no-body-site"},
		"words only":                     {`"bodySite":[{"text":"left femur"}]`, nil, "", "no-body-site"},
		"side only":                      {`"bodySite":[{"coding":[` + sct("7771000") + `]}]`, nil, "", "no-body-site"},
		"a head is not a limb":           {`"bodySite":[{"coding":[` + sct("69536005") + `]}]`, nil, "", "site-not-eligible"},
		"both sides":                     {`"bodySite":[{"coding":[` + sct("71341001") + `,` + sct("51440002") + `]}]`, nil, "", "site-ambiguous"},
		"left and right":                 {`"bodySite":[{"coding":[` + sct("71341001") + `,` + sct("7771000") + `,` + sct("24028007") + `]}]`, nil, "", "site-ambiguous"},
		"two bones":                      {`"bodySite":[{"coding":[` + sct("71341001") + `,` + sct("12611008") + `]}]`, nil, "", "site-ambiguous"},
	} {
		t.Run(name, func(t *testing.T) {
			r := derive(t, e, caseOf(t, append([]string{op("a", "single-stage", "2026-03-02", c.site)}, c.other...)...))
			if !slices.Contains(codesTold(r), c.told) {
				t.Errorf("told %v, want %s", codesTold(r), c.told)
			}
			plans := only(t, r, "CarePlan")
			if c.title == "" {
				if len(plans) > 0 || len(only(t, r, "DetectedIssue")) != 1 {
					t.Errorf("%d plans, %d issues", len(plans), len(only(t, r, "DetectedIssue")))
				}
				return
			}
			if got := plan1(t, r).Str("title"); got != c.title {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestGrouping(t *testing.T) {
	e := builtIn(t)
	of := func(id string) string { return fmt.Sprintf(`"partOf":[{"reference":"Procedure/%s"}]`, id) }
	for name, c := range map[string]struct {
		inputs []string
		titles []string
		told   []string
	}{
		"two sides are two plans": {
			[]string{op("a", "single-stage", "2026-03-02", femurLeft), op("b", "single-stage", "2026-06-01", femurRight)},
			[]string{"left femur active", "right femur active"}, []string{"plan", "plan"},
		},
		"stages at one site are one plan": {
			[]string{op("b", "stage-2", "2026-08-03", femurLeft), op("a", "stage-1", "2026-03-02", femurLeft)},
			[]string{"left femur active"}, []string{"plan", "plan"},
		},
		"stage 2 has its site from stage 1": {
			[]string{op("a", "stage-1", "2026-03-02", femurLeft), op("b", "stage-2", "2026-08-03", of("a"))},
			[]string{"left femur active"}, []string{"plan", "plan"},
		},
		"stage 1 has its side from stage 2": {
			[]string{op("a", "stage-1", "2026-03-02", femur), op("b", "stage-2", "2026-08-03", femurLeft+","+of("a"))},
			[]string{"left femur active"}, []string{"plan", "plan"},
		},
		"stages that name different sides are two anchors": {
			[]string{op("a", "stage-1", "2026-03-02", femurRight), op("b", "stage-2", "2026-08-03", femurLeft+","+of("a"))},
			[]string{"left femur active", "right femur active"}, []string{"plan", "site-conflict", "insertion-unknown", "plan"},
		},
		"no side beside a known side is a conflict": {
			[]string{op("a", "single-stage", "2026-03-02", femurLeft), op("b", "single-stage", "2026-03-02", femur)},
			[]string{"femur (side not recorded) draft", "left femur active"}, []string{"plan", "side-conflict", "plan"},
		},
		"single stage and stage 1 contradict": {
			[]string{op("a", "single-stage", "2026-03-02", ""), op("b", "stage-1", "2026-03-02", "")},
			[]string{"left femur draft"}, []string{"operations-conflict", "plan"},
		},
		"a removal closes the plan": {
			[]string{op("a", "single-stage", "2026-03-02", ""), op("z", "removal", "2026-09-02", "")},
			[]string{"left femur revoked"}, []string{"plan", "anchor-removed"},
		},
		"a revision of an untold kind asks for a review": {
			[]string{op("a", "single-stage", "2026-03-02", ""), op("z", "revision", "2026-09-02", "")},
			[]string{"left femur active"}, []string{"plan", "review-needed"},
		},
		"parts of each other and of no operation": {
			[]string{op("x", "tmr", "2026-03-02", of("y")), op("y", "ho-removal", "2026-03-02", of("x"))}, nil, []string{"component-not-linked", "component-not-linked"},
		},
		"a part of an operation that waits": {
			[]string{op("a", "single-stage", "2026-03-02", `"note":[]`), op("t", "tmr", "2026-03-02", of("a"))}, nil, []string{"no-body-site", "component-waiting"},
		},
		"a removal that is planned asks for nothing yet": {
			[]string{strings.Replace(op("z", "removal", "2026-09-02", ""), "completed", "preparation", 1)}, nil, []string{"planned"},
		},
		"two dates for one operation: a draft": {
			[]string{op("a", "single-stage", "2026-03-02", ""), op("b", "single-stage", "2026-03-03", "")},
			[]string{"left femur draft"}, []string{"operations-conflict"},
		},
		"a fact beside two operations of its day": {
			[]string{op("a", "single-stage", "2026-03-02", femurLeft), op("b", "single-stage", "2026-03-02", femurRight), op("t", "tmr", "2026-03-02", `"note":[{"text":"x"}]`)},
			[]string{"left femur active", "right femur active"}, []string{"component-not-linked", "plan", "plan"},
		},
		"a fact beside the operation of its day": {
			[]string{op("a", "single-stage", "2026-03-02", ""), op("t", "tmr", "2026-03-02", "")},
			[]string{"left femur active"}, []string{"plan", "component-assumed"},
		},
		"a fact without an operation": {
			[]string{op("t", "tmr", "2026-03-02", "")}, nil, []string{"component-not-linked"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := derive(t, e, caseOf(t, c.inputs...))
			var titles []string
			for _, p := range only(t, r, "CarePlan") {
				titles = append(titles, strings.TrimPrefix(p.Str("title"), "Osseointegration aftercare, ")+" "+p.Str("status"))
			}
			slices.Sort(titles)
			if !slices.Equal(titles, c.titles) {
				t.Errorf("plans %q", titles)
			}
			if got := slices.Contains(codesTold(r), "review-needed"); got != slices.Contains(c.told, "review-needed") {
				t.Errorf("review needed: %v", got)
			}
			for _, code := range c.told {
				if !slices.Contains(codesTold(r), code) {
					t.Errorf("told %v, not %s", codesTold(r), code)
				}
			}
		})
	}
}

func TestEveryProcedureIsToldAbout(t *testing.T) {
	e := builtIn(t)
	for _, file := range surgeryFiles(t) {
		c := readBundle(t, file)
		r := derive(t, e, c)
		told := map[string]bool{}
		for _, n := range r.Notices {
			told[n.Procedure] = true
			if n.Issue.Text == "" || n.Issue.Severity == "" || n.Issue.Code == "" || strings.Contains(n.Issue.Text, "{") {
				t.Errorf("%s: incomplete notice %+v", file, n)
			}
		}
		for _, s := range c.Inputs {
			if s.Type == "Procedure" && !told[s.ref()] {
				t.Errorf("%s: nothing is said about %s", file, s.ref())
			}
		}
	}
}

func TestTasks(t *testing.T) {
	e := builtIn(t)
	r := derive(t, e, readBundle(t, "../../testdata/surgery/two-stage-femur-right.json"))
	plan := plan1(t, r)
	var got []string
	for _, task := range only(t, r, "Task") {
		value := identifierIn(task, activitySystem)
		planValue, id, _ := strings.Cut(value, "#")
		if planValue != identifierIn(plan, planSystem) || task.Get("basedOn").Items[0].Str("reference") != "CarePlan/"+plan.Str("id") {
			t.Errorf("the Task %s does not belong to the plan", value)
		}
		got = append(got, id+" "+span(task.Get("restriction", "period"))+" "+task.Str("owner", "reference")[:12])
	}
	want := []string{
		"stage-1.staples-partial 2026-03-23 Practitioner", "stage-1.staples-complete 2026-03-30 Practitioner",
		"stage-2.staples-partial 2026-08-24 Practitioner", "stage-2.staples-complete 2026-08-31 Practitioner",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	t.Run("none while undated", func(t *testing.T) {
		if n := len(only(t, derive(t, e, readBundle(t, "../../testdata/surgery/month-precision-date.json")), "Task")); n != 0 {
			t.Errorf("%d Tasks", n)
		}
	})
	t.Run("no owner without a GP", func(t *testing.T) {
		for _, task := range only(t, derive(t, e, readBundle(t, "../../testdata/surgery/no-gp-other-implant.json")), "Task") {
			if task.Get("owner") != nil {
				t.Error("there is an owner")
			}
		}
	})
	t.Run("the role while the patient is not known here", func(t *testing.T) {
		plan := plan1(t, derive(t, e, caseOf(t, op("a", "single-stage", "2026-03-02", ""))))
		for _, a := range plan.Each("activity") {
			if a.Str("id") == "staples-partial" && who(a.Get("detail")) != "GP practice" {
				t.Errorf("performer %q", who(a.Get("detail")))
			}
		}
	})
}

func TestBasisAndDefinitions(t *testing.T) {
	c := readBundle(t, "../../testdata/surgery/single-stage-tmr-humerus-right.json")
	for _, p := range derive(t, builtIn(t), c).Resources {
		kinds := map[string]int{}
		for _, s := range p.Basis {
			kinds[s.Type]++
		}
		if kinds["Procedure"] != 3 || kinds["Device"] != 1 || kinds["Patient"] != 1 {
			t.Errorf("the %s rests on %v", p.Type, kinds)
		}
		want := []string{
			"https://aftercare.example/fhir/PlanDefinition/osseointegration-aftercare-single-stage|1.0.0",
			"https://aftercare.example/fhir/PlanDefinition/osseointegration-aftercare|1.0.0",
			"https://aftercare.example/fhir/PlanDefinition/osseointegration-wound-care|1.0.0",
		}
		if !slices.Equal(p.Definitions, want) {
			t.Errorf("the %s follows %v", p.Type, p.Definitions)
		}
	}
}

// planIDOfLeft was written down once.
const planIDOfLeft = "c7fae431-f7e2-5820-acde-4948a3e2ac7b"

func TestIdentity(t *testing.T) {
	left := site{bone: coding{System: "s", Code: "femur"}, side: coding{System: "s", Code: "left"}}
	none := site{bone: left.bone}
	seen := map[string]string{}
	for name, id := range map[string]string{
		"left": planID("Patient/p", left, "u", 1, 0), "no side": planID("Patient/p", none, "u", 1, 0),
		"another patient": planID("Patient/q", left, "u", 1, 0), "another protocol": planID("Patient/p", left, "v", 1, 0),
		"the second anchor": planID("Patient/p", left, "u", 2, 0),
	} {
		if other, twice := seen[id]; twice {
			t.Errorf("%s and %s have one identity", name, other)
		}
		seen[id] = name
		if strings.Contains(id, "femur") || len(id) != 36 || id[14] != '5' {
			t.Errorf("%s is %s, not a version 5 UUID", name, id)
		}
	}
	if hashID("ab", "c") == hashID("a", "bc") {
		t.Error("the parts run together")
	}
	// The identity is stored: it must never change.
	if got := planID("Patient/p", left, "u", 1, 0); got != planIDOfLeft {
		t.Errorf("the identity changed to %s", got)
	}
}

func TestOneEngineServesManyAtOnce(t *testing.T) {
	e := builtIn(t)
	c := readBundle(t, "../../testdata/surgery/two-stage-femur-right.json")
	want := derive(t, e, c)
	results := make(chan Result)
	for range 8 {
		go func() {
			r, err := e.Derive(c)
			if err != nil {
				t.Error(err)
			}
			results <- r
		}()
	}
	for range 8 {
		r := <-results
		if !slices.EqualFunc(r.Resources, want.Resources, func(a, b Prescribed) bool { return bytes.Equal(a.Body, b.Body) }) {
			t.Error("another result")
		}
	}
}

func TestMalformedCaseIsAnError(t *testing.T) {
	e := builtIn(t)
	for _, c := range []Case{{}, {Subject: "Practitioner/x"}, {Subject: "Patient/x", Inputs: []Source{{Type: "Procedure", ID: "y"}}}} {
		if _, err := e.Derive(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

func TestNarrativeIsSafe(t *testing.T) {
	c := caseOf(t, op("a", "single-stage", "2026-03-02", ""))
	patient := source(t, `{"resourceType":"Patient","id":"p","name":[{"text":"<script>\u0000&\"x"}],"generalPractitioner":[{"display":"<b>GP"}]}`)
	c.Patient = &patient
	div := plan1(t, derive(t, builtIn(t), c)).Str("text", "div")
	for _, bad := range []string{"<script", "<b>", "\x00", `&"`} {
		if strings.Contains(div, bad) {
			t.Errorf("the narrative holds %q", bad)
		}
	}
	if !strings.Contains(div, "&lt;b&gt;GP") || !strings.Contains(div, "Not allowed: ") {
		t.Error("the narrative lacks a performer or a prohibition")
	}
}

func TestOutputsAndInputs(t *testing.T) {
	e := builtIn(t)
	if got := e.Inputs(); !slices.Equal(got, []string{"BodyStructure", "Device", "DeviceUseStatement", "Encounter", "Procedure", "ServiceRequest"}) {
		t.Errorf("inputs %v", got)
	}
	systems := map[string]string{}
	for _, o := range e.Outputs() {
		if !o.OfReport { // TestOutputsOfReports
			systems[o.Type] = o.IdentifierSystem
		}
	}
	seen := map[string]bool{}
	e = ofSite(t)
	for _, file := range surgeryFiles(t) {
		for _, p := range derive(t, e, readBundle(t, file)).Resources {
			seen[p.Type] = true
			if identifierIn(parse(t, string(p.Body)), systems[p.Type]) == "" {
				t.Errorf("a %s without an identifier in %s", p.Type, systems[p.Type])
			}
			if bytes.Contains(p.Body, []byte(`"lastUpdated"`)) {
				t.Errorf("a %s with meta.lastUpdated", p.Type)
			}
		}
	}
	for kind := range maps.Keys(systems) {
		if !seen[kind] && kind != "CommunicationRequest" { // no sample gives an occasion for one
			t.Errorf("no %s was derived from any sample", kind)
		}
	}
}

// Around an activity that nobody can say about, a "no" is a "no".
func TestOuterConditionRules(t *testing.T) {
	e := builtIn(t)
	condition1 := func(text string) condition {
		x, err := path.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		return condition{expression: remembering(x)}
	}
	for _, s := range e.protocols[0].pathways[0].steps {
		if s.id == "loading" {
			s.level = &level{parent: s.level, conditions: []condition{condition1("false")}}
			s.level = &level{parent: s.level, conditions: []condition{condition1("{}")}}
		}
	}
	if _, in := dates(plan1(t, derive(t, e, caseOf(t, op("a", "single-stage", "2026-03-02", "")))))["loading"]; in {
		t.Error("it is in the plan")
	}
}

func TestOperationsAreListedByDate(t *testing.T) {
	plan := plan1(t, derive(t, builtIn(t), caseOf(t, op("z", "stage-1", "2026-03-02", ""), op("a", "stage-2", "2026-08-03", ""))))
	info := plan.Each("supportingInfo", "reference")
	if len(info) != 2 || info[0].Text != "Procedure/z" {
		t.Errorf("got %v", info)
	}
}

func BenchmarkDerive(b *testing.B) {
	e := builtIn(b)
	for _, name := range []string{"single-stage-femur-left", "two-stage-femur-right"} {
		c := readBundle(b, "../../testdata/surgery/"+name+".json")
		b.Run(name+"/first", func(b *testing.B) { benchmark(b, e, c) })
		r := derive(b, e, c)
		again := stored(b, c, r)
		b.Run(name+"/again", func(b *testing.B) { benchmark(b, e, again) })
	}
}

func benchmark(b *testing.B, e *Engine, c Case) {
	b.ReportAllocs()
	for b.Loop() {
		if r, err := e.Derive(c); err != nil || len(r.Resources) == 0 {
			b.Fatal(err)
		}
	}
}
