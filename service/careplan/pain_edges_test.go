package careplan

import (
	"os"
	"strings"
	"testing"
)

// single is a case with one operation in one step on a day.
func single(t testing.TB, day string) Case {
	t.Helper()
	return Case{At: at, Subject: "Patient/p", Inputs: []Source{surgeryOn(t, "first", "single-stage", day, "completed", leftFemur)}}
}

func scored(i Interpretation, cause string) int {
	for _, f := range i.Findings {
		if f.Cause == cause {
			return f.Score
		}
	}
	return 0
}

// The ends of windows are in them, and the days beside them are not.
func TestPainWindowsAreInclusive(t *testing.T) {
	e := builtIn(t)
	nerve := func(t *testing.T, part, day string) Case {
		c := single(t, "2026-03-02")
		c.Inputs = append(c.Inputs, surgeryOn(t, part, part, day, "completed", `"partOf":[{"reference":"Procedure/first"}]`))
		return c
	}
	plain := single(t, "2026-03-02")
	for _, w := range []struct {
		cause         string
		record        Case
		site, trigger string
		days          [4]string // the day before, the first, the last, the day after; "" for no such end
		in, out       int
	}{
		{"bone-a", plain, "", "twist", [4]string{"", "2026-03-02", "2026-06-02", "2026-06-03"}, 13, 9},
		{"bone-b", plain, "", "pull", [4]string{"", "2026-03-02", "2026-04-27", "2026-04-28"}, 13, 9},
		{"bone-c", plain, "", "compress", [4]string{"2026-05-01", "2026-05-02", "", ""}, 13, 0},
		{"enth", plain, "muscle-insertion", "", [4]string{"2026-06-01", "2026-06-02", "2026-09-02", "2026-09-03"}, 13, 9},
		{"neur", nerve(t, "traction-neurectomy", "2026-03-02"), "stump-nerve", "", [4]string{"2026-06-01", "2026-06-02", "2026-09-02", "2026-09-03"}, 14, 10},
		{"neur", nerve(t, "traction-neurectomy", "2026-04-10"), "stump-nerve", "", [4]string{"2026-07-09", "2026-07-10", "2026-10-10", "2026-10-11"}, 14, 10},
		{"plp-tmr", nerve(t, "tmr", "2026-03-02"), "phantom", "", [4]string{"", "2026-03-02", "2026-09-02", "2026-09-03"}, 14, 0},
		{"plp", nerve(t, "tmr", "2026-03-02"), "phantom", "", [4]string{"2026-09-02", "2026-09-03", "", ""}, 11, 0},
	} {
		for i, day := range w.days {
			if day == "" {
				continue
			}
			want := w.out
			if i == 1 || i == 2 {
				want = w.in
			}
			t.Run(w.cause+" on "+day, func(t *testing.T) {
				var sites, triggers []string
				if w.site != "" {
					sites = []string{w.site}
				}
				if w.trigger != "" {
					triggers = []string{w.trigger}
				}
				got := interpret1(t, e, w.record, report(t, `"effectiveDateTime":"`+day+`"`, 4, sites, triggers, ""))
				if s := scored(got, w.cause); s != want {
					t.Errorf("score %d, want %d: %s", s, want, got.answer())
				}
			})
		}
	}
}

// What the day of a report is, and what is not interpreted.
func TestPainReportsByDay(t *testing.T) {
	e := builtIn(t)
	record := single(t, "2026-03-02")
	for name, c := range map[string]struct {
		effective, extra string
		score            int
		day, refused     string
		remark           string
	}{
		"late in the evening here":              {`"effectiveDateTime":"2026-06-01T23:30:00+01:00"`, "", 4, "2026-06-01", "", "pain-onset-not-known"},
		"the next day here, by an instant":      {`"effectiveDateTime":"2026-06-01T23:30:00Z"`, "", 4, "2026-06-02", "", "pain-onset-not-known"},
		"a period ends when it was reported":    {`"effectivePeriod":{"start":"2026-03-05","end":"2026-06-01"}`, "", 4, "2026-03-05", "", ""},
		"a component goes before the period":    {`"effectivePeriod":{"start":"2026-03-05","end":"2026-06-01"}`, `,"onset":"2026-04-01"`, 4, "2026-04-01", "", ""},
		"a month is no day":                     {`"effectiveDateTime":"2026-06"`, "", 4, "", "pain-date-not-exact", ""},
		"no date":                               {`"issued":"2026-06-01T10:00:00Z"`, "", 4, "", "pain-date-not-exact", ""},
		"an onset of a year before":             {`"effectiveDateTime":"2026-06-01"`, `,"onset":"2024"`, 4, "2026-06-01", "", "pain-pre-existing"},
		"an onset of the year of the anchor":    {`"effectiveDateTime":"2026-06-01"`, `,"onset":"2026"`, 4, "2026-06-01", "", "pain-onset-not-exact"},
		"an onset of the month of the anchor":   {`"effectiveDateTime":"2026-06-01"`, `,"onset":"2026-03"`, 4, "2026-06-01", "", "pain-onset-not-exact"},
		"an onset on the day before the anchor": {`"effectiveDateTime":"2026-06-01"`, `,"onset":"2026-03-01"`, 4, "2026-06-01", "", "pain-pre-existing"},
		"an onset on the day of the anchor":     {`"effectiveDateTime":"2026-06-01"`, `,"onset":"2026-03-02"`, 4, "2026-03-02", "", ""},
		"an onset after the report":             {`"effectiveDateTime":"2026-06-01"`, `,"onset":"2026-06-02"`, 4, "", "pain-onset-after-report", ""},
		"before the operation":                  {`"effectiveDateTime":"2026-03-01"`, "", 4, "2026-03-01", "pain-before-surgery", ""},
		"no pain":                               {`"effectiveDateTime":"2026-06-01"`, "", 0, "2026-06-01", "pain-score-zero", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := interpret1(t, e, record, report(t, c.effective, c.score, []string{"muscle"}, nil, c.extra))
			if got.Day != c.day || got.Refused != c.refused || (c.refused == "") != (len(got.Findings) > 0) && c.remark != "pain-pre-existing" {
				t.Errorf("day %q, refused %q, %s", got.Day, got.Refused, got.answer())
			}
			if c.remark != "" && !strings.Contains(strings.Join(got.Remarks, " "), c.remark) {
				t.Errorf("remarks %v, want %s", got.Remarks, c.remark)
			}
		})
	}
}

// What cannot be interpreted says why.
func TestPainReportsRefused(t *testing.T) {
	e := builtIn(t)
	record := single(t, "2026-03-02")
	good := string(report(t, `"effectiveDateTime":"2026-06-01"`, 4, nil, nil, "").Node.Raw)
	for name, c := range map[string]struct{ old, new, refused string }{
		"withdrawn":              {`"status":"final"`, `"status":"entered-in-error"`, "pain-report-withdrawn"},
		"cancelled":              {`"status":"final"`, `"status":"cancelled"`, "pain-report-withdrawn"},
		"amended is read":        {`"status":"final"`, `"status":"amended"`, ""},
		"no value":               {`"valueQuantity":{"value":4,"unit":"{score}"}`, `"dataAbsentReason":{"text":"asleep"}`, "pain-not-measured"},
		"an integer":             {`"valueQuantity":{"value":4,"unit":"{score}"}`, `"valueInteger":4`, ""},
		"another observation":    {"72514-3", "8867-4", "pain-other-observation"},
		"another scale":          {"72514-3", "38214-3", ""},
		"a side of no anchor":    {`"status":"final"`, `"status":"final","bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"24028007"}]}`, "pain-no-anchor-there"},
		"the side of the anchor": {`"status":"final"`, `"status":"final","bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"7771000"}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := interpret1(t, e, record, source(t, strings.Replace(good, c.old, c.new, 1))); got.Refused != c.refused {
				t.Errorf("refused %q, want %q", got.Refused, c.refused)
			}
		})
	}
	t.Run("no operation", func(t *testing.T) {
		if got := interpret1(t, e, Case{At: at, Subject: "Patient/p"}, source(t, good)); got.Refused != "pain-no-surgery" {
			t.Errorf("refused %q", got.Refused)
		}
	})
	t.Run("an operation of a month", func(t *testing.T) {
		if got := interpret1(t, e, single(t, "2026-03"), source(t, good)); got.Refused != "pain-surgery-not-dated" {
			t.Errorf("refused %q", got.Refused)
		}
	})
}

// A report is about the anchor that it names, else about those at its side, else about all.
func TestPainOfTwoAnchors(t *testing.T) {
	e := builtIn(t)
	right := strings.Replace(leftFemur, "7771000", "24028007", 1)
	record := Case{At: at, Subject: "Patient/p", Inputs: []Source{
		surgeryOn(t, "left", "single-stage", "2026-03-02", "completed", leftFemur+`,"focalDevice":[{"manipulated":{"reference":"Device/l"}}]`),
		surgeryOn(t, "right", "single-stage", "2025-03-03", "completed", right),
		source(t, `{"resourceType":"Device","id":"l","patient":{"reference":"Patient/p"}}`),
	}}
	on := `"effectiveDateTime":"2026-03-12"`
	for name, c := range map[string]struct {
		extra string
		want  []int // scores of BONE-C by anchor
		flag  bool
	}{
		"no side":       {"", []int{13, 0}, true},
		"left":          {`,"bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"7771000"}]}`, []int{0}, false},
		"right":         {`,"bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"24028007"}]}`, []int{13}, false},
		"the device":    {`,"focus":[{"reference":"Device/l"}]`, []int{0}, false},
		"the operation": {`,"partOf":[{"reference":"Procedure/right"}]`, []int{13}, false},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := e.InterpretPain(record, report(t, on, 4, nil, []string{"twist"}, c.extra))
			if err != nil || len(list) != len(c.want) {
				t.Fatalf("%d interpretations, %v", len(list), err)
			}
			sum, want := 0, 0
			for i, one := range list {
				sum += scored(one, "bone-c")
				want += c.want[i]
				if strings.Contains(strings.Join(one.Remarks, " "), "pain-side-missing") != c.flag {
					t.Errorf("remarks %v", one.Remarks)
				}
			}
			if sum != want {
				t.Errorf("scores sum to %d, want %d", sum, want)
			}
		})
	}
}

// The policies of the rules for pain can be switched off, and take nothing of the source with them.
func TestPainPolicies(t *testing.T) {
	record := single(t, "2026-03-02")
	for off, c := range map[string]struct{ site, statement string }{
		"pain-red-flags": {"stoma", "ask-infection-signs"},
		"pain-review":    {"phantom", "plp-if-troublesome"},
	} {
		t.Run(off, func(t *testing.T) {
			r := report(t, `"effectiveDateTime":"2026-06-10"`, 8, []string{c.site}, nil, "")
			with, less := interpret1(t, builtIn(t), record, r), interpret1(t, without(t, off), record, r)
			if !strings.Contains(with.line(), c.statement) || strings.Contains(less.line(), c.statement) {
				t.Errorf("with %s\nwithout %s", with.line(), less.line())
			}
			if with.answer() != less.answer() {
				t.Errorf("the causes differ: %s", less.answer())
			}
		})
	}
}

// What is read of a report although it is in no value set is said, and what is known beside it counts.
func TestPainSaysWhatWasNotRead(t *testing.T) {
	e := builtIn(t)
	other := `{"system":"http://x.example","code":"shin"}`
	for name, c := range map[string]struct{ old, new, remarks string }{
		"a site beside a known one":    {`"code":"muscle"}`, `"code":"muscle"},` + other, "pain-site-not-read"},
		"a site alone":                 {`{"system":"` + osseo + `","code":"muscle"}`, other, "pain-site-not-read"},
		"a site in words":              {`"coding":[{"system":"` + osseo + `","code":"muscle"}]`, `"text":"shin"`, "pain-site-not-read"},
		"a side and a bone":            {`{"system":"` + osseo + `","code":"muscle"}`, `{"system":"http://snomed.info/sct","code":"7771000"},{"system":"http://snomed.info/sct","code":"71341001"}`, ""},
		"a trigger beside a known one": {`"component":[`, `"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"100752-5"}]},"valueCodeableConcept":{"coding":[` + other + `]}},`, "pain-trigger-not-read"},
		"a trigger with its words":     {`"code":"exercise"}`, `"code":"exercise"},` + other, ""},
		"a quality":                    {`"component":[`, `"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"56823-8"}]},"valueCodeableConcept":{"coding":[` + other + `]}},`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			good := string(report(t, `"effectiveDateTime":"2026-06-01"`, 4, []string{"muscle"}, []string{"exercise"}, `,"onset":"2026-06-01"`).Node.Raw)
			bad := strings.Replace(good, c.old, c.new, 1)
			if bad == good {
				t.Fatal("nothing was replaced")
			}
			got := interpret1(t, e, single(t, "2026-03-02"), source(t, bad))
			remarks := strings.Replace(strings.Join(got.Remarks, " "), "pain-side-missing", "", 1)
			if strings.TrimSpace(remarks) != c.remarks || scored(got, "musc") == 0 {
				t.Errorf("remarks %q, %s", remarks, got.answer())
			}
		})
	}
}

// After the anchor is out, what needs one is no candidate, and somebody has to look.
func TestPainAfterARemoval(t *testing.T) {
	e := builtIn(t)
	out := single(t, "2026-03-02")
	out.Inputs = append(out.Inputs, surgeryOn(t, "out", "removal", "2026-06-02", "completed", leftFemur))
	in := single(t, "2026-03-02")
	in.Inputs[0] = surgeryOn(t, "first", "single-stage", "2026-03-02", "completed", leftFemur+`,"focalDevice":[{"manipulated":{"reference":"Device/anchor"}}]`)
	in.Inputs = append(in.Inputs, source(t, `{"resourceType":"Device","id":"anchor","patient":{"reference":"Patient/p"},"type":{"coding":[{"system":"`+osseo+`","code":"bone-anchor"}]}}`),
		source(t, `{"resourceType":"DeviceUseStatement","id":"use","status":"completed","subject":{"reference":"Patient/p"},"device":{"reference":"Device/anchor"},"timingPeriod":{"start":"2026-03-02","end":"2026-06-02"}}`))
	for name, record := range map[string]Case{"an operation": out, "the end of a device's use": in} {
		for day, want := range map[string]string{"2026-06-01": "BONE-C 13, BONE-A 13, BONE-B 9, ", "2026-06-02": "", "2026-07-01": ""} {
			t.Run(name+" "+day, func(t *testing.T) {
				got := interpret1(t, e, record, report(t, `"effectiveDateTime":"`+day+`"`, 4, nil, []string{"twist"}, ""))
				if got.answer() != want || strings.Contains(got.line(), "after-removal") != (want == "") {
					t.Errorf("got %q, %s", got.answer(), got.line())
				}
			})
		}
	}
	if got := interpret1(t, e, out, report(t, `"effectiveDateTime":"2026-07-01"`, 4, []string{"phantom"}, nil, "")); scored(got, "plp") == 0 {
		t.Errorf("phantom pain: %s", got.answer())
	}
}

// What patients are told is never the wording for clinicians, and both are there for what to do.
func TestPainWordsForPatientsAreTheirOwn(t *testing.T) {
	e := builtIn(t)
	count := 0
	for c, concept := range e.terms.concepts {
		if c.System != painStatements {
			continue
		}
		count++
		s := e.painStatement(c, at, window{at, at})
		if c.Code == candidates { // its names are filled in by the summary
			s.Text = strings.ReplaceAll(s.Text, "{causes}", "")
		}
		if s.Text == "" || s.Kind == "" || s.Text == s.Patient || strings.ContainsAny(s.Text+s.Patient, "{}") {
			t.Errorf("%s: %+v", c.Code, s)
		}
		if (s.Kind == "action" || s.Kind == "question") && s.Patient == "" {
			t.Errorf("%s has no words for patients", c.Code)
		}
		if concept.Str("display") == "" {
			t.Errorf("%s has no display", c.Code)
		}
	}
	if count == 0 {
		t.Error("no statements")
	}
}

// The profile warns of triggers that are not understood: its codes are those of the value set.
func TestTheProfileKnowsTheTriggers(t *testing.T) {
	data, err := os.ReadFile("../../definitions/StructureDefinition-pain-observation.json")
	if err != nil {
		t.Fatal(err)
	}
	set, found := builtIn(t).terms.sets[painTriggersSet], false
	for _, x := range parse(t, string(data)).Each("differential", "element", "constraint") {
		if x.Str("key") != "pain-5" {
			continue
		}
		found = true
		if got := strings.Count(x.Str("expression"), "code ="); got != len(set.rank) {
			t.Errorf("%d codes, and %d in the value set", got, len(set.rank))
		}
		for c := range set.rank {
			if !strings.Contains(x.Str("expression"), "code = '"+c.Code+"'") || !strings.Contains(x.Str("expression"), "system = '"+c.System+"'") {
				t.Errorf("%s is not in the expression", c.Code)
			}
		}
	}
	if !found {
		t.Error("there is no pain-5")
	}
}

// What is done to the nerve or the bone after a report changes nothing of what it can be, and it is
// no other interpretation.
func TestPainKnowsNothingOfLaterOperations(t *testing.T) {
	e := builtIn(t)
	before := single(t, "2026-03-02")
	for _, part := range []string{"tmr", "traction-neurectomy", "ho-removal", "stage-2"} {
		for _, site := range []string{"stump-nerve", "phantom", "spur-site", "residual-bone", "muscle-insertion", ""} {
			for _, day := range []string{"2026-06-20", "2026-10-02"} {
				t.Run(strings.Join([]string{part, site, day}, " "), func(t *testing.T) {
					var sites []string
					if site != "" {
						sites = []string{site}
					}
					pain := report(t, `"effectiveDateTime":"`+day+`"`, 4, sites, nil, "")
					after := before
					after.Inputs = append(after.Inputs[:1:1], surgeryOn(t, "later", part, "2026-12-01", "completed", leftFemur+`,"partOf":[{"reference":"Procedure/first"}]`))
					was, got := interpret1(t, e, before, pain), interpret1(t, e, after, pain)
					if was.line() != got.line() || was.inputs != got.inputs {
						t.Errorf("got %s\nbefore %s", got.line(), was.line())
					}
				})
			}
		}
	}
}

// Where reinnervation was done, no time of return is given and no operation is said to be missing.
func TestNeuromaAfterReinnervationHasNoWindow(t *testing.T) {
	e := builtIn(t)
	record := single(t, "2026-03-02")
	record.Inputs = append(record.Inputs, surgeryOn(t, "tmr", "tmr", "2026-03-02", "completed", `"partOf":[{"reference":"Procedure/first"}]`))
	for _, day := range []string{"2026-04-02", "2026-07-02", "2026-12-02"} {
		got := interpret1(t, e, record, report(t, `"effectiveDateTime":"`+day+`"`, 4, []string{"stump-nerve"}, nil, "")).line()
		if strings.Contains(got, "window-") || strings.Contains(got, "pain-event-assumed") || !strings.Contains(got, "neur-reinnervated") {
			t.Errorf("on %s: %s", day, got)
		}
	}
}
