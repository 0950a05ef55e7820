package service

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
)

// The codes of pain scales (definitions/ValueSet-pain-scales.json).
const (
	nrs    = "72514-3"
	vas    = "38214-3"
	faces  = "38221-8"
	promis = "77865-4"
)

// painBody is a report of pain of Patient/p; more are further members.
func painBody(id, code, effective, value string, more ...string) string {
	body := `{"resourceType":"Observation","id":"` + id + `","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"survey"}]}],` +
		`"code":{"coding":[{"system":"http://loinc.org","code":"` + code + `"}]},"subject":{"reference":"Patient/p"},"effectiveDateTime":"` + effective + `"`
	if value != "" {
		body += `,"valueQuantity":{"value":` + value + `,"unit":"score","system":"http://unitsofmeasure.org","code":"{score}"}`
	}
	return body + strings.Join(append([]string{""}, more...), ",") + `}`
}

func TestScalesOfPain(t *testing.T) {
	s := open(t)
	for _, c := range []struct {
		name, code, value string
		refused           bool
	}{
		{"numbers from 0", nrs, "0", false},
		{"numbers to 10", nrs, "10.0", false},
		{"no number above", nrs, "11", true},
		{"no half number", nrs, "4.5", true},
		{"faces to 10", faces, "10", false},
		{"a mark between two faces", faces, "5", false},
		{"no face above", faces, "12", true},
		{"no face below", faces, "-2", true},
		{"millimetres on a line", vas, "73", false},
		{"tenths of a centimetre on a line", vas, "7.3", false},
		{"a T-score", promis, "61.2", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := s.Create(ctx, Anonymous, "Observation", []byte(strings.Replace(painBody("x", c.code, "2026-10-01", c.value), `"id":"x",`, "", 1)), "")
			if c.refused != (fhir.KindOf(err) == fhir.Unprocessable) || !c.refused && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

// What a profile warns about is stored all the same, and the sender is told.
func TestSendersAreWarned(t *testing.T) {
	s := open(t)
	bad := painBody("a", nrs, "2026-10-01", "")
	w, err := s.Update(ctx, Anonymous, "Observation", "a", []byte(bad), Preconditions{})
	if err != nil || len(w.Issues) != 1 || w.Issues[0].Severity != "warning" || !w.Changed {
		t.Fatalf("got %+v, %v", w.Issues, err)
	}
	out, err := s.Process(ctx, Anonymous, []byte(`{"resourceType":"Bundle","type":"transaction","entry":[{"resource":`+bad+`,"request":{"method":"PUT","url":"Observation/a"}},{"resource":`+
		painBody("b", nrs, "2026-10-01", "3")+`,"request":{"method":"PUT","url":"Observation/b"}}]}`), "")
	if err != nil {
		t.Fatal(err)
	}
	var b struct {
		Entry []struct {
			Response struct{ Outcome json.RawMessage }
		}
	}
	if err := json.Unmarshal(out, &b); err != nil || len(b.Entry) != 2 {
		t.Fatalf("%v in %s", err, out)
	}
	if !strings.Contains(string(b.Entry[0].Response.Outcome), "neither a value") || strings.Contains(string(b.Entry[1].Response.Outcome), "warning") {
		t.Errorf("got %s", out)
	}
}

// $lastn and $stats go by code, so that values of two scales are never in one group.
func TestScalesOfPainAreNotMixed(t *testing.T) {
	s := open(t)
	s.keep(t, painBody("n1", nrs, "2026-10-01", "8"), painBody("n2", nrs, "2026-10-02", "6"),
		painBody("v1", vas, "2026-10-03", "70"), painBody("v2", vas, "2026-10-04", "50"), painBody("f1", faces, "2026-09-01", "10"))
	var newest []string
	for _, e := range s.ask(t, "Observation/$lastn?patient=p&category=survey", "").Each("entry", "resource", "id") {
		newest = append(newest, e.Text)
	}
	if want := []string{"v2", "n2", "f1"}; !slices.Equal(newest, want) {
		t.Errorf("$lastn gives %v, want %v", newest, want)
	}
	got := results(s.ask(t, "Observation/$stats?subject=Patient/p&system=http://loinc.org&code="+nrs+"&code="+vas+"&code="+faces+"&statistic=count,max,average", ""))
	want := [][]string{
		{nrs, "count=2 1", "maximum=8 {score}", "average=7 {score}"}, {vas, "count=2 1", "maximum=70 {score}", "average=60 {score}"},
		{faces, "count=1 1", "maximum=10 {score}", "average=10 {score}"},
	}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("$stats gives %v, want %v", got, want)
	}
}
