package service

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
)

func measuredBody(id, code, effective, value string) string {
	return coded(id, code, effective)[:len(coded(id, code, effective))-1] + `,` + value + `}`
}

func kg(value string) string {
	return `"valueQuantity":{"value":` + value + `,"unit":"kilogram","system":"http://unitsofmeasure.org","code":"kg"}`
}

// results are the components of each returned Observation, "code=value unit".
func results(n *fhir.Node) [][]string {
	var out [][]string
	for _, p := range n.Each("parameter") {
		if p.Str("name") != "statistics" {
			continue
		}
		got := []string{p.Get("resource").Each("code", "coding", "code")[0].Text}
		for _, c := range p.Each("resource", "component") {
			text := c.Each("code", "coding", "code")[0].Text + "="
			if q := c.Get("valueQuantity"); q != nil {
				text += q.Get("value").Text + " " + q.Str("code")
			} else {
				text += c.Each("dataAbsentReason", "coding", "code")[0].Text
			}
			got = append(got, text)
		}
		out = append(out, got)
	}
	return out
}

func TestStats(t *testing.T) {
	weights := []string{
		measuredBody("w1", "weight", "2026-10-30T09:00:00Z", kg("70.1")), measuredBody("w2", "weight", "2026-10-31T10:00:00Z", kg("70.2")),
		measuredBody("w3", "weight", "2026-11-01T08:00:00Z", kg("70.6")),
	}
	ignored := []string{
		strings.Replace(measuredBody("i1", "weight", "2026-10-31", kg("700")), "final", "entered-in-error", 1),
		strings.Replace(measuredBody("i0", "weight", "2026-10-31", kg("500")), "final", "cancelled", 1),
		measuredBody("i2", "weight", "2026-10-31", strings.Replace(kg("900"), `"value":`, `"comparator":"<","value":`, 1)),
		measuredBody("i3", "weight", "2026-10-31", `"dataAbsentReason":{"text":"refused"}`),
		measuredBody("i4", "weight", "2026-10-31", `"valueQuantity":{"value":11,"unit":"stone"}`),
		measuredBody("i5", "weight", "2026-10-31", `"valueInteger":70`),
		measuredBody("i6", "weight", "2026-10-31", kg("800")+`,"modifierExtension":[{"url":"http://x.example/not","valueBoolean":true}]`),
		strings.Replace(measuredBody("i7", "weight", "2026-10-31", kg("600")), "Patient/p", "Patient/q", 1),
	}
	panel := func(id, systolic, diastolic string) string {
		part := func(code, value string) string {
			return `{"code":{"coding":[{"system":"http://x.example","code":"` + code + `"}]},"valueQuantity":{"value":` + value + `,"system":"http://unitsofmeasure.org","code":"mm[Hg]"}}`
		}
		return measuredBody(id, "bp", "2026-11-01", `"component":[`+part("sys", systolic)+","+part("dia", diastolic)+"]")
	}
	const code = "&system=http://x.example&code="
	for _, c := range []struct {
		name         string
		observations []string
		query        string
		want         string
	}{
		{"nothing measured", nil, "statistic=count,average,sum,total-count" + code + "weight", "[[weight count=0 1 average=not-a-number sum=not-a-number total-count=0 1]]"},
		{"the usual", weights, "statistic=average&statistic=min,max,count,median" + code + "weight", "[[weight average=70.3 kg minimum=70.1 kg maximum=70.6 kg count=3 1 median=70.2 kg]]"},
		{"units of squares and of plain numbers", weights[:2], "statistic=sum,variance,std-dev,kurtosis" + code + "weight", "[[weight sum=140.3 kg variance=0.0025 kg.kg std-dev=0.05 kg kurtosis=1 1]]"},
		{"the last day", weights, "duration=24&statistic=count,maximum" + code + "weight", "[[weight count=2 1 maximum=70.6 kg]]"},
		{"a month in the URL", weights, "period=2026-10&statistic=count&coding=http://x.example|weight", "[[weight count=2 1]]"},
		{"two days in the URL", weights, "period=2026-10-31/2026-11-01&statistic=count" + code + "weight", "[[weight count=2 1]]"},
		{"from a day on", weights, "period=2026-11-01/&statistic=count" + code + "weight", "[[weight count=1 1]]"},
		{"half an hour", weights, "duration=0.5&statistic=count" + code + "weight", "[[weight count=0 1]]"},
		{"what is no measurement counts in the total alone", append(slices.Clone(ignored), weights...), "statistic=count,total-count,maximum" + code + "weight", "[[weight count=3 1 total-count=8 1 maximum=70.6 kg]]"},
		{"units are not mixed", append(slices.Clone(weights), measuredBody("g", "weight", "2026-10-31", strings.ReplaceAll(kg("70300"), "kg", "g"))), "statistic=count,sum,total-count" + code + "weight",
			"[[weight count=3 1 sum=210.9 kg total-count=4 1] [weight count=1 1 sum=70300 g total-count=4 1]]"},
		{"a code in components", []string{panel("b1", "120", "80"), panel("b2", "140", "90")}, "statistic=average,count" + code + "sys", "[[sys average=130 mm[Hg] count=2 1]]"},
		{"a modifier extension holds for the components too", []string{strings.Replace(panel("b1", "120", "80"), `"status"`, `"modifierExtension":[{"url":"http://x.example/not","valueBoolean":true}],"status"`, 1)}, "statistic=count,total-count" + code + "sys", "[[sys count=0 1 total-count=1 1]]"},
		{"a panel is each of its measurements", []string{panel("b1", "120", "80"), panel("b2", "140", "90")}, "statistic=average" + code + "bp", "[[sys average=130 mm[Hg]] [dia average=85 mm[Hg]]]"},
		{"a panel of members", append(slices.Clone(weights), measuredBody("size", "height", "2026-10-31", strings.ReplaceAll(kg("1.8"), "kg", "m")),
			strings.Replace(measuredBody("wrong", "length", "2026-10-31", kg("9")), "final", "cancelled", 1),
			measuredBody("set", "body", "2026-10-31", `"hasMember":[{"reference":"Observation/wrong"},{"reference":"Observation/w1"},{"reference":"Observation/size"},{"reference":"Observation/i7"},{"reference":"Observation/none"}]`), ignored[7]),
			"statistic=maximum" + code + "body", "[[weight maximum=70.1 kg] [height maximum=1.8 m]]"},
		{"several codes", append(slices.Clone(weights), panel("b1", "120", "80")), "statistic=count" + code + "weight&code=dia&code=weight", "[[weight count=3 1] [dia count=1 1]]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			s.keep(t, c.observations...)
			if got := fmt.Sprint(results(s.ask(t, "Observation/$stats?subject=Patient/p&"+c.query, ""))); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestSquaredUnits(t *testing.T) {
	for unit, want := range map[string]string{
		"kg": "kg.kg", "m2": "m2.m2", "mm[Hg]": "mm[Hg].mm[Hg]", "{score}": "{score}.{score}", "10*9": "10*9.10*9", "1": "1.1",
		"kg/m2": "(kg/m2).(kg/m2)", "N.m": "(N.m).(N.m)", "{a/b}": "({a/b}).({a/b})", "/min": "/min/min", "/min.kg": "/min.kg/min.kg",
	} {
		if got := squared(unit); got != want {
			t.Errorf("%s: %s, want %s", unit, got, want)
		}
	}
}

func TestStatsByPost(t *testing.T) {
	s := open(t)
	s.keep(t, measuredBody("w1", "weight", "2026-10-30", kg("70.10")), measuredBody("w2", "weight", "2026-10-31", kg("70.2")), measuredBody("w3", "weight", "2026-11-01", kg("70.6")))
	n := s.ask(t, "Observation/$stats", `{"resourceType":"Parameters","parameter":[
		{"name":"subject","valueUri":"`+base+`/Patient/p"},{"name":"coding","valueCoding":{"system":"http://x.example","code":"weight","display":"Weight"}},
		{"name":"statistic","valueCode":"maximum"},{"name":"statistic","valueCode":"minimum"},
		{"name":"period","valuePeriod":{"start":"2026-10-30","end":"2026-10-31"}},{"name":"include","valueBoolean":true},{"name":"limit","valuePositiveInt":1}]}`)
	if got := fmt.Sprint(results(n)); got != "[[weight maximum=70.2 kg minimum=70.10 kg]]" {
		t.Errorf("got %s", got)
	}
	o := n.Each("parameter")[0].Get("resource")
	if o.Str("subject", "reference") != "Patient/p" || o.Str("status") != "final" || o.Str("effectivePeriod", "start") != "2026-10-30T00:00:00Z" && o.Str("effectivePeriod", "start") != "2026-10-30T00:00:00+01:00" {
		t.Errorf("observation %s", o.Raw)
	}
	var sources []string
	for _, p := range n.Each("parameter") {
		if p.Str("name") == "source" {
			sources = append(sources, p.Str("resource", "id"))
		}
	}
	if !slices.Equal(sources, []string{"w1"}) {
		t.Errorf("sources %v", sources)
	}
}

func TestStatsRefusesASumThatIsNotExact(t *testing.T) {
	s := open(t)
	s.keep(t, measuredBody("w1", "weight", "2026-10-30", kg("1E300")), measuredBody("w2", "weight", "2026-10-30", kg("1E-300")))
	if _, err := s.Operate(ctx, Anonymous, called(t, "Observation/$stats?subject=Patient/p&statistic=sum&system=http://x.example&code=weight", "")); err == nil || fhir.KindOf(err) != fhir.Unprocessable {
		t.Errorf("%v", err)
	}
}
