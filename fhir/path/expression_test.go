package path

import (
	"strings"
	"testing"

	"aftercare/fhir"
)

func node(t testing.TB, s string) *fhir.Node {
	t.Helper()
	n, err := fhir.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const surgery = `{"resourceType":"Procedure","id":"x","status":"completed",
 "usedCode":[{"coding":[{"system":"http://snomed.info/sct","code":"386014009"}]}],
 "performedDateTime":"2026-03-02"}`

const stapled = `%procedure.usedCode.coding.exists(system='http://snomed.info/sct' and code='386014009')`

func TestTruth(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want Truth
		err  string
	}{
		"recorded is true":                      {stapled, True, ""},
		"not recorded is false":                 {`%procedure.usedCode.coding.exists(code='1')`, False, ""},
		"iif turns false into cannot say":       {`iif(%procedure.usedCode.coding.exists(code='1'), true, {})`, Unknown, ""},
		"iif keeps true":                        {`iif(` + stapled + `, true, {})`, True, ""},
		"a variable bound to nothing":           {`%patient.exists()`, False, ""},
		"nothing and not":                       {`%patient.exists().not()`, True, ""},
		"empty path":                            {`%patient.active`, Unknown, ""},
		"empty and true is empty":               {`%patient.active and true`, Unknown, ""},
		"empty and false is false":              {`%patient.active and false`, False, ""},
		"fact present":                          {`%facts.exists(code='tmr')`, True, ""},
		"facts present without another":         {`%facts.exists(code='tmr') and %facts.exists(code='traction-neurectomy').not()`, True, ""},
		"where then exists":                     {`%facts.where(system='s' and code='tmr').exists()`, True, ""},
		"a literal":                             {`true`, True, ""},
		"unknown variable is an error":          {`%nobody.exists()`, Unknown, "nobody"},
		"unknown function is an error":          {`%facts.frob()`, Unknown, "frob"},
		"a string is not a Boolean":             {`%procedure.id`, Unknown, "Boolean"},
		"two values are not one":                {`%facts.code`, Unknown, "2 values"},
		"focus by type":                         {`Procedure.status = 'completed'`, True, ""},
		"focus of another type answers nothing": {`Patient.active = true`, Unknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Compile(c.text)
			if err != nil {
				t.Fatal(err)
			}
			p := node(t, surgery)
			vars := Bind(map[string][]*fhir.Node{
				"procedure": {p}, "patient": nil,
				"facts": {node(t, `{"system":"s","code":"tmr"}`), node(t, `{"system":"s","code":"ho-removal"}`)},
			})
			got, err := e.Truth(p, vars)
			if got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want one with %q", err, c.err)
			}
		})
	}
}

func TestNodesKeepWhatWasWritten(t *testing.T) {
	patient := node(t, `{"resourceType":"Patient","generalPractitioner":[{"reference":"Practitioner/1","display":"Dr \"A\""},{"display":"B"}],"active":true,"birthDate":"1970-01"}`)
	for text, want := range map[string]string{
		`%patient.generalPractitioner`:                   `{"reference":"Practitioner/1","display":"Dr \"A\""} {"display":"B"}`,
		`%patient.generalPractitioner.display`:           `"Dr \"A\"" "B"`,
		`%patient.active`:                                `true`,
		`%patient.birthDate`:                             `"1970-01"`,
		`%patient.generalPractitioner.reference.count()`: `1`,
		`%patient.contact`:                               ``,
	} {
		e, err := Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		nodes, err := e.Nodes(nil, Bind(map[string][]*fhir.Node{"patient": {patient}}))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range nodes {
			got = append(got, string(n.Raw))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: got %s, want %s", text, s, want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, text := range []string{"", "a..b", "exists(", "%", "'open", "a b"} {
		if _, err := Compile(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

// FuzzCompile looks for text that makes the library panic or loop.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{stapled, `iif(a, true, {})`, `%a.b.where(c = 'd')`, `@2026-03`, `1 'mo'`} {
		f.Add(s)
	}
	p := node(f, surgery)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 200 {
			return
		}
		e, err := Compile(text)
		if err != nil {
			return
		}
		if truth, err := e.Truth(p, Bind(nil)); err != nil && truth != Unknown {
			t.Errorf("%q: an error came with an answer", text)
		}
	})
}

func BenchmarkTruth(b *testing.B) {
	e, err := Compile(stapled)
	if err != nil {
		b.Fatal(err)
	}
	p := node(b, surgery)
	b.ReportAllocs()
	for b.Loop() {
		if truth, err := e.Truth(nil, Bind(map[string][]*fhir.Node{"procedure": {p}})); truth != True || err != nil {
			b.Fatal(truth, err)
		}
	}
}
