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
