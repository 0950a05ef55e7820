package validate

import (
	"os"
	"strings"
	"testing"

	"aftercare/fhir"
)

func painScales(t testing.TB) *Scales {
	t.Helper()
	data, err := os.ReadFile("../../definitions/ObservationDefinition-pain-severity-nrs.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewScales([]*fhir.Node{parse(t, `{"resourceType":"Patient"}`), parse(t, string(data))})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPainDefinitionIsValid(t *testing.T) {
	data, err := os.ReadFile("../../definitions/ObservationDefinition-pain-severity-nrs.json")
	if err != nil {
		t.Fatal(err)
	}
	if issues := validator(t).Resource(parse(t, string(data)), ""); len(issues) > 0 {
		t.Error(issues)
	}
}

func TestPainScale(t *testing.T) {
	scales := painScales(t)
	const value = "value Observation.valueQuantity.value"
	quantity := func(q string) string { return `"valueQuantity":` + q }
	for _, c := range []struct{ name, members, want string }{
		{"lowest", quantity(`{"value":0}`), ""},
		{"highest", quantity(`{"value":10}`), ""},
		{"minus zero", quantity(`{"value":-0}`), ""},
		{"integer", `"valueInteger":7`, ""},
		{"6.0", quantity(`{"value":6.0}`), ""},
		{"6e0", quantity(`{"value":6e0}`), ""},
		{"0.6e1", quantity(`{"value":0.6e1}`), ""},
		{"1E1", quantity(`{"value":1E1}`), ""},
		{"60e-1", quantity(`{"value":60e-1}`), ""},
		{"0 with a large exponent", quantity(`{"value":0e999}`), ""},
		{"-1", quantity(`{"value":-1}`), value},
		{"11", quantity(`{"value":11}`), value},
		{"integer 11", `"valueInteger":11`, "value Observation.valueInteger"},
		{"a hair above 10", quantity(`{"value":10.00000000000000000000000000001}`), value + "\n" + value},
		{"a hair below 6", quantity(`{"value":5.99999999999999999999999999999}`), value},
		{"6.5", quantity(`{"value":6.5}`), value},
		{"enormous", quantity(`{"value":1e99999}`), value},
		{"beyond any arithmetic", quantity(`{"value":1e999999999999}`), value},
		{"minute", quantity(`{"value":1e-99999}`), value},
		{"a million digits", quantity(`{"value":1` + strings.Repeat("0", 1_000_000) + `}`), value},
		{"a string", quantity(`{"value":"6"}`), value},

		{"the right unit", quantity(`{"value":6,"system":"http://unitsofmeasure.org","code":"{score}"}`), ""},
		{"another annotation", quantity(`{"value":6,"system":"http://unitsofmeasure.org","code":"{points}"}`), ""},
		{"the unit 1", quantity(`{"value":6,"system":"http://unitsofmeasure.org","code":"1"}`), ""},
		{"a unit in words", quantity(`{"value":6,"unit":"points"}`), ""},
		{"millimetres", quantity(`{"value":6,"system":"http://unitsofmeasure.org","code":"mm"}`), "value Observation.valueQuantity.code"},
		{"the code of another system", quantity(`{"value":6,"system":"http://example.org","code":"{score}"}`), "value Observation.valueQuantity.code"},
		{"per cent and too much", quantity(`{"value":60,"system":"http://unitsofmeasure.org","code":"%"}`), "value Observation.valueQuantity.code\n" + value},
		{"comparator", quantity(`{"value":10,"comparator":">"}`), "value Observation.valueQuantity.comparator"},
		{"quantity without value", quantity(`{"unit":"points"}`), "required Observation.valueQuantity.value"},
		{"quantity that says why it has no value", quantity(`{"_value":{"extension":[{"url":"u","valueCode":"unknown"}]}}`), ""},

		{"string", `"valueString":"6"`, "value Observation.valueString"},
		{"range", `"valueRange":{"low":{"value":1}}`, "value Observation.valueRange"},
		{"concept", `"valueCodeableConcept":{"text":"severe"}`, "value Observation.valueCodeableConcept"},
		{"reason instead of a value", `"dataAbsentReason":{"text":"asleep"}`, ""},
		{"no value", `"note":[{"text":"a"}]`, ""},
		{"component is not looked at", `"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"72514-3"}]},"valueInteger":99}]`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := parse(t, `{"resourceType":"Observation","status":"final","code":{"coding":[{"code":"x"},{"system":"http://loinc.org","code":"72514-3"}]},`+c.members+`}`)
			if got := flat(scales.Check(n, "")); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestOtherCodesHaveNoScale(t *testing.T) {
	scales := painScales(t)
	for _, coding := range []string{
		`{"system":"http://loinc.org","code":"38214-3"}`,
		`{"system":"http://example.org","code":"72514-3"}`,
		`{"code":"72514-3"}`,
	} {
		n := parse(t, `{"resourceType":"Observation","code":{"coding":[`+coding+`]},"valueInteger":99}`)
		if issues := scales.Check(n, ""); len(issues) > 0 {
			t.Errorf("%s: %+v", coding, issues)
		}
	}
}

func TestScaleIssuesBeginWithAt(t *testing.T) {
	n := parse(t, `{"resourceType":"Observation","code":{"coding":[{"system":"http://loinc.org","code":"72514-3"},{"system":"http://loinc.org","code":"72514-3"}]},"valueInteger":99}`)
	if got := flat(painScales(t).Check(n, "Bundle.entry[2].resource")); got != "value Bundle.entry[2].resource.valueInteger" {
		t.Errorf("got %q", got)
	}
}

func TestOtherScales(t *testing.T) {
	definition := func(rest string) string {
		return `{"resourceType":"ObservationDefinition","id":"d","code":{"coding":[{"system":"s","code":"c"}]},` + rest + `}`
	}
	observation := func(value string) *fhir.Node {
		return parse(t, `{"resourceType":"Observation","code":{"coding":[{"system":"s","code":"c"}]},"valueQuantity":{"value":`+value+`}}`)
	}
	for _, c := range []struct {
		name, definition string
		good, bad        []string
	}{
		{"two decimals", definition(`"quantitativeDetails":{"decimalPrecision":2}`), []string{"1", "1.25", "1.250", "-7"}, []string{"1.251", "1e-3"}},
		{"no upper end", definition(`"qualifiedInterval":[{"category":"absolute","range":{"low":{"value":0.5}}}]`), []string{"0.5", "99"}, []string{"0.49"}},
		{"two intervals", definition(`"qualifiedInterval":[{"category":"absolute","range":{"high":{"value":1}}},{"category":"absolute","range":{"low":{"value":3},"high":{"value":4}}}]`), []string{"1", "3", "4"}, []string{"2", "5"}},
		{"only a reference range", definition(`"qualifiedInterval":[{"category":"reference","range":{"high":{"value":1}}}]`), []string{"7", "0.1"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := NewScales([]*fhir.Node{parse(t, c.definition)})
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range c.good {
				if issues := s.Check(observation(v), ""); len(issues) > 0 {
					t.Errorf("%s: %+v", v, issues)
				}
			}
			for _, v := range c.bad {
				if issues := s.Check(observation(v), ""); len(issues) != 1 {
					t.Errorf("%s: %+v", v, issues)
				}
			}
		})
	}
}

func TestBadDefinitionsAreNamed(t *testing.T) {
	coded := `"code":{"coding":[{"system":"s","code":"c"}]}`
	for name, list := range map[string][]string{
		"no coding":    {`"code":{"text":"a"}`},
		"no system":    {`"code":{"coding":[{"code":"c"}]}`},
		"twice":        {coded, coded},
		"upside down":  {coded + `,"qualifiedInterval":[{"category":"absolute","range":{"low":{"value":2},"high":{"value":1}}}]`},
		"not a number": {coded + `,"qualifiedInterval":[{"category":"absolute","range":{"low":{"value":"2"}}}]`},
		"precision":    {coded + `,"quantitativeDetails":{"decimalPrecision":-1}`},
	} {
		t.Run(name, func(t *testing.T) {
			var definitions []*fhir.Node
			for _, d := range list {
				definitions = append(definitions, parse(t, `{"resourceType":"ObservationDefinition","id":"mine",`+d+`}`))
			}
			if _, err := NewScales(definitions); err == nil || !strings.Contains(err.Error(), "mine") {
				t.Errorf("error is %v", err)
			}
		})
	}
}
