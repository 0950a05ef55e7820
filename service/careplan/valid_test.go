package careplan

import (
	"testing"

	"aftercare/definitions"
	"aftercare/fhir"
	"aftercare/fhir/validate"
)

func check(t *testing.T, v *validate.Validator, n *fhir.Node) {
	t.Helper()
	for _, issue := range v.Resource(n, n.Str("resourceType")) {
		if issue.Severity == "error" || issue.Severity == "fatal" {
			t.Errorf("%s/%s: %v %s", n.Str("resourceType"), n.Str("id"), issue.Expression, issue.Text)
		}
	}
}

func TestDefinitionsAreValid(t *testing.T) {
	v, err := validate.New()
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		check(t, v, n)
	}
}

func TestWhatIsDerivedIsValid(t *testing.T) {
	v, err := validate.New()
	if err != nil {
		t.Fatal(err)
	}
	e := builtIn(t)
	for _, file := range surgeryFiles(t) {
		c := readBundle(t, file)
		r := derive(t, e, c)
		for _, p := range r.Resources {
			check(t, v, parse(t, string(p.Body)))
		}
		c = stored(t, c, r)
		c.Inputs = nil
		for _, p := range derive(t, e, c).Resources {
			check(t, v, parse(t, string(p.Body)))
		}
	}
}
