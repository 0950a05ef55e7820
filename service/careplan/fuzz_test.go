package careplan

import (
	"testing"

	"aftercare/fhir"
)

// FuzzDerive sends any JSON as a Procedure: nothing panics, and deriving again with what
// was derived changes nothing.
func FuzzDerive(f *testing.F) {
	f.Add([]byte(op("a", "single-stage", "2026-03-02", "")))
	f.Add([]byte(op("a", "stage-2", "2026-03", femur)))
	f.Add([]byte(op("a", "stage-1", "", `"partOf":[{"reference":"Procedure/a"}],"focalDevice":[{"manipulated":{"reference":"Device/d"}}]`)))
	f.Add([]byte(`{"code":{"coding":[1,null,{"code":[]}]},"bodySite":{"coding":"x"},"status":{},"performedPeriod":[]}`))
	f.Add([]byte(op("a", "single-stage", "9999-12-31", "")))
	e := builtIn(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := fhir.Parse(data)
		if err != nil {
			return
		}
		c := Case{Subject: "Patient/p", At: at, Inputs: []Source{{Type: "Procedure", ID: "a", Node: n}}}
		first := derive(t, e, c)
		if len(first.Notices) == 0 {
			t.Fatal("nothing is said about the Procedure")
		}
		second := derive(t, e, stored(t, c, first))
		if len(first.Resources) != len(second.Resources) {
			t.Fatalf("%d resources, then %d", len(first.Resources), len(second.Resources))
		}
		for i, p := range first.Resources {
			if !sameContent(t, p.Body, second.Resources[i].Body) {
				t.Fatalf("changed\n%s\n%s", p.Body, second.Resources[i].Body)
			}
		}
	})
}

// Whatever a report of pain holds, it is interpreted or refused with a reason, what is made of it is
// valid JSON, and looking at it again changes nothing.
func FuzzInterpretPain(f *testing.F) {
	for _, c := range painCases(f)[:3] {
		_, r := c.records(f)
		f.Add(r.Node.Raw)
	}
	f.Add([]byte(`{"code":{"coding":[{"system":"http://loinc.org","code":"72514-3"}]},"status":{},"valueInteger":"x","effectiveDateTime":"2026-04-01","bodySite":[1],"component":[{"code":[],"valuePeriod":{"start":1}}]}`))
	e := builtIn(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := fhir.Parse(data)
		if err != nil {
			return
		}
		r := Source{Type: "Observation", ID: "pain", Version: 1, Node: n}
		c := single(t, "2026-03-02")
		c.Reports, c.Looked = []Source{r}, []string{"Observation/pain"}
		first := derive(t, e, c)
		list, err := e.InterpretPain(single(t, "2026-03-02"), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range list {
			if i.Refused == "" && len(i.Findings)+len(i.Conclusions) == 0 {
				t.Fatal("nothing is said")
			}
		}
		second := derive(t, e, stored(t, c, first))
		for i, p := range first.Resources {
			if !sameContent(t, p.Body, second.Resources[i].Body) {
				t.Fatalf("changed\n%s\n%s", p.Body, second.Resources[i].Body)
			}
		}
	})
}
