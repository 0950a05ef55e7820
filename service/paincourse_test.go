package service

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
)

// outline writes the series of $pain-course as lines: what it is about, then its points.
func outline(n *fhir.Node) []string {
	var out []string
	for _, p := range n.Each("parameter") {
		parts := map[string][]string{}
		var points []string
		for _, x := range p.Each("part") {
			text := x.Str("valueString") + x.Str("valueCode") + x.Str("valueReference", "reference") + x.Str("valueCoding", "code")
			parts[x.Str("name")] = append(parts[x.Str("name")], text)
			if x.Str("name") != "point" {
				continue
			}
			point := map[string]string{}
			for _, v := range x.Each("part") {
				for _, m := range v.Members {
					if m.Name != "name" {
						point[v.Str("name")] += m.Value.Text + m.Value.Str("reference")
					}
				}
			}
			points = append(points, strings.TrimPrefix(strings.TrimSuffix(point["observation"], "/_history/1"), "Observation/")+"="+point["value"]+"@"+point["day"]+point["flag"])
		}
		if p.Str("name") == "left-out" {
			out = append(out, "left out "+parts["observation"][0]+" "+parts["reason"][0])
			continue
		}
		out = append(out, strings.Join(parts["anchor-title"], "")+"|"+strings.Join(parts["site"], ",")+"|"+strings.Join(parts["code"], "")+strings.Join(parts["unit"], "")+": "+strings.Join(points, " "))
	}
	return out
}

const (
	leftSide  = `"bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"7771000"}]}`
	rightSide = `"bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"24028007"}]}`
)

func procedureBody(id, code, side, day string) string {
	return `{"resourceType":"Procedure","id":"` + id + `","status":"completed","code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"` + code + `"}]},
	 "subject":{"reference":"Patient/p"},"performedDateTime":"` + day + `","bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"},{"system":"http://snomed.info/sct","code":"` + side + `"}]}]}`
}

const left, right = "7771000", "24028007"

func sited(code string) string {
	return `"bodySite":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"` + code + `"}]}`
}

func TestPainCourse(t *testing.T) {
	patientP := `{"resourceType":"Patient","id":"p"}`
	first := procedureBody("op1", "single-stage", left, "2026-03-02")
	second := procedureBody("op2", "single-stage", right, "2026-05-04")
	for _, c := range []struct {
		name  string
		keep  []string
		query string
		want  []string
	}{
		{"no reports", []string{patientP, first}, "", nil},
		{"a patient without an anchor", []string{patientP, painBody("a", nrs, "2026-03-05", "4")}, "", []string{"||72514-3: a=4@"}},
		{"days are counted from the operation", []string{patientP, first, painBody("a", nrs, "2026-03-05", "4"), painBody("b", nrs, "2026-03-02", "5.0")}, "",
			[]string{"Osseointegration aftercare, left femur||72514-3: b=5.0@0 a=4@3"}},
		{"days are local dates through the change of clocks", []string{patientP, first, painBody("a", nrs, "2026-03-28T23:59:00Z", "4"), painBody("b", nrs, "2026-03-29T22:30:00Z", "4"), painBody("c", nrs, "2026-03-29T23:30:00Z", "4")}, "",
			[]string{"Osseointegration aftercare, left femur||72514-3: a=4@26 b=4@27 c=4@28"}},
		{"before the operation", []string{patientP, first, painBody("a", nrs, "2026-02-28", "9")}, "", []string{"Osseointegration aftercare, left femur||72514-3: a=9@-2before-surgery"}},
		{"scales and units are apart, numbers with and without a quantity together", []string{patientP, first, painBody("n", nrs, "2026-03-05", "4"), painBody("i", nrs, "2026-03-06", "", `"valueInteger":3`), painBody("f", faces, "2026-03-05", "4"),
			painBody("v", vas, "2026-03-05", "40"), painBody("m", vas, "2026-03-05", "", `"valueQuantity":{"value":40,"system":"http://unitsofmeasure.org","code":"mm"}`), painBody("t", promis, "2026-03-05", "60.5")}, "",
			[]string{"Osseointegration aftercare, left femur||72514-3: n=4@3 i=3@4", "Osseointegration aftercare, left femur||38214-3: v=40@3", "Osseointegration aftercare, left femur||38214-3mm: m=40@3", "Osseointegration aftercare, left femur||38221-8: f=4@3", "Osseointegration aftercare, left femur||77865-4: t=60.5@3"}},
		{"sites are apart", []string{patientP, first, painBody("a", nrs, "2026-03-05", "4", sited("stoma")), painBody("b", nrs, "2026-03-05", "7", sited("phantom")), painBody("c", nrs, "2026-03-05", "1")}, "",
			[]string{"Osseointegration aftercare, left femur|phantom|72514-3: b=7@3", "Osseointegration aftercare, left femur|stoma|72514-3: a=4@3", "Osseointegration aftercare, left femur||72514-3: c=1@3"}},
		{"without a side it is about both anchors, and says so", []string{patientP, first, second, painBody("a", nrs, "2026-05-05", "4"), painBody("r", nrs, "2026-05-05", "2", rightSide), painBody("l", nrs, "2026-05-06", "3", leftSide)}, "",
			[]string{"Osseointegration aftercare, left femur||72514-3: a=4@64several-anchors l=3@65", "Osseointegration aftercare, right femur||72514-3: a=4@1several-anchors r=2@1"}},
		{"at a side without an anchor", []string{patientP, first, painBody("a", nrs, "2026-03-05", "4", rightSide)}, "", []string{"||72514-3: a=4@"}},
		{"an exchange begins a new anchor", []string{patientP, first, procedureBody("op3", "anchor-exchange", left, "2026-09-01"), painBody("a", nrs, "2026-08-31", "4"), painBody("b", nrs, "2026-09-02", "5")}, "",
			[]string{"Osseointegration aftercare, left femur||72514-3: a=4@182", "Osseointegration aftercare after revision, left femur||72514-3: b=5@1"}},
		{"a revision of the soft tissue does not", []string{patientP, first, procedureBody("op3", "soft-tissue-revision", left, "2026-09-01"), painBody("a", nrs, "2026-08-31", "4"), painBody("b", nrs, "2026-09-02", "5")}, "",
			[]string{"Osseointegration aftercare after revision, left femur||72514-3: a=4@182 b=5@184"}},
		{"what is no point is left out with its reason", []string{patientP, first,
			strings.Replace(painBody("e", nrs, "2026-03-05", "4"), "final", "entered-in-error", 1), painBody("d", nrs, "2026-03-05", "", `"dataAbsentReason":{"text":"asleep"}`),
			painBody("c", vas, "2026-03-05", "", `"valueQuantity":{"value":8,"comparator":">"}`), painBody("m", nrs, "2026-03", "4"), painBody("s", vas, "2026-03-05", "", `"valueString":"bad"`),
			strings.Replace(painBody("t", vas, "2026-03-05", "4"), `"coding":[{"system":"http://loinc.org"`, `"coding":[{"system":"http://loinc.org","code":"38221-8"},{"system":"http://loinc.org"`, 1),
			painBody("x", nrs, "2026-03-05", "4", `"modifierExtension":[{"url":"http://x.example/not","valueBoolean":true}]`)}, "",
			[]string{"left out Observation/c/_history/1 comparator", "left out Observation/d/_history/1 no-value", "left out Observation/e/_history/1 entered-in-error", "left out Observation/m/_history/1 no-day",
				"left out Observation/s/_history/1 not-a-number", "left out Observation/t/_history/1 several-scales", "left out Observation/x/_history/1 modified"}},
		{"a period counts at its end", []string{patientP, first, strings.Replace(painBody("a", nrs, "2026-03-05", "4"), `"effectiveDateTime":"2026-03-05"`, `"effectivePeriod":{"start":"2026-03-03","end":"2026-03-09"}`, 1)}, "", []string{"Osseointegration aftercare, left femur||72514-3: a=4@7"}},
		{"a part of the time, both days included", []string{patientP, first, painBody("a", nrs, "2026-03-04", "1"), painBody("b", nrs, "2026-03-05", "2"), painBody("c", nrs, "2026-03-06T23:30:00Z", "3"), painBody("d", nrs, "2026-03-07", "4")}, "?start=2026-03-05&end=2026-03-06",
			[]string{"Osseointegration aftercare, left femur||72514-3: b=2@3 c=3@4"}},
		{"one scale", []string{patientP, first, painBody("a", nrs, "2026-03-04", "1"), painBody("b", faces, "2026-03-04", "2")}, "?code=http://loinc.org|38221-8", []string{"Osseointegration aftercare, left femur||38221-8: b=2@2"}},
		{"one site", []string{patientP, first, painBody("a", nrs, "2026-03-04", "1", sited("stoma")), painBody("b", nrs, "2026-03-04", "2")}, "?site=https://aftercare.example/fhir/CodeSystem/osseointegration|stoma", []string{"Osseointegration aftercare, left femur|stoma|72514-3: a=1@2"}},
		{"another patient's is not there", []string{patientP, first, strings.Replace(painBody("a", nrs, "2026-03-04", "1"), "Patient/p", "Patient/q", 1)}, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			s.keep(t, c.keep...)
			got := outline(s.ask(t, "Patient/p/$pain-course"+c.query, ""))
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// By basedOn and focus a report names its anchor, whatever its side says.
func TestPainCourseOfANamedAnchor(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, procedureBody("op1", "single-stage", left, "2026-03-02"), procedureBody("op2", "single-stage", right, "2026-05-04"))
	plan := ""
	for _, body := range s.find(t, "CarePlan", "") {
		n, err := fhir.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(n.Str("title"), "right") {
			plan = n.Str("id")
		}
	}
	s.keep(t, painBody("a", nrs, "2026-05-05", "4", `"basedOn":[{"reference":"CarePlan/`+plan+`"}]`), painBody("b", nrs, "2026-05-06", "4", `"basedOn":[{"reference":"`+base+`/CarePlan/`+plan+`"}]`, leftSide))
	if got, want := outline(s.ask(t, "Patient/p/$pain-course", "")), []string{"Osseointegration aftercare, right femur||72514-3: a=4@1 b=4@2side-differs"}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestPainCourseOfTwoStages(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, procedureBody("s1", "stage-1", left, "2026-03-02"), strings.Replace(procedureBody("s2", "stage-2", left, "2026-08-03"), `"status"`, `"partOf":[{"reference":"Procedure/s1"}],"status"`, 1))
	for i := range 12 {
		s.keep(t, painBody(fmt.Sprintf("o%d", i), nrs, fmt.Sprintf("2026-08-%02d", i+3), fmt.Sprint(10-i/2)))
	}
	n := s.ask(t, "Patient/p/$pain-course", "")
	text := string(n.Raw)
	for _, want := range []string{
		`{"name":"record","valueReference":{"reference":"Procedure/s1"}},{"name":"date","valueDate":"2026-03-02"}`, `"valueReference":{"reference":"Procedure/s2"}`,
		`{"name":"day","valueInteger":154},{"name":"day-after-last-operation","valueInteger":0}`, `{"name":"per-week","valueDecimal":-3.5}`,
		`"valuePeriod":{"end":"2026-09-02","start":"2026-06-02"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	if body := s.ask(t, "Patient/p/$pain-course", `{"resourceType":"Parameters","parameter":[{"name":"start","valueDate":"2026-08-06"},{"name":"code","valueCoding":{"system":"http://loinc.org","code":"72514-3"}}]}`); strings.Contains(string(body.Raw), `"trend"`) || !strings.Contains(string(body.Raw), "no-trend") {
		t.Errorf("nine points have a trend: %s", body.Raw)
	}
}

func TestPainCourseRefuses(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`)
	for url, want := range map[string]fhir.ErrorKind{
		"Patient/none/$pain-course":                              fhir.NotFound,
		"Patient/$pain-course":                                   fhir.NotFound,
		"Patient/p/$pain-course?start=March":                     fhir.BadRequest,
		"Patient/p/$pain-course?start=2026-02-30":                fhir.BadRequest,
		"Patient/p/$pain-course?start=2026-03-02&end=2026-03-01": fhir.BadRequest,
		"Patient/p/$pain-course?code=72514-3":                    fhir.BadRequest,
		"Patient/p/$pain-course?code=http://loinc.org|29463-7":   fhir.BadRequest,
		"Patient/p/$pain-course?colour=red":                      fhir.BadRequest,
	} {
		if _, err := s.Operate(ctx, Anonymous, called(t, url, "")); err == nil || fhir.KindOf(err) != want {
			t.Errorf("%s: %v", url, err)
		}
	}
}
