package validate

import (
	"strings"
	"testing"

	"aftercare/definitions"
	"aftercare/fhir"
)

func painProfiles(t testing.TB) *Profiles {
	t.Helper()
	defs, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewProfiles(defs)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pain is a report of pain with some more members.
func pain(more string) *fhir.Node {
	n, err := fhir.Parse([]byte(`{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"72514-3"}]},
	"subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-07-02T08:30:00+01:00"` + more + `}`))
	if err != nil {
		panic(err)
	}
	return n
}

func TestPainReportsAreWarnedAbout(t *testing.T) {
	const ours = `"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":`
	trigger := func(values ...string) string {
		var codings []string
		for _, v := range values {
			codings = append(codings, `{`+ours+`"`+v+`"}`)
		}
		return `{"code":{"coding":[{"system":"http://loinc.org","code":"100752-5"}]},"valueCodeableConcept":{"coding":[` + strings.Join(codings, ",") + `]}}`
	}
	onset := func(value string) string {
		return `{"code":{"coding":[{` + ours + `"pain-onset"}]},"valueDateTime":"` + value + `"}`
	}
	components := func(list ...string) string {
		return `,"valueInteger":4,"component":[` + strings.Join(list, ",") + `]`
	}
	sided := func(codes ...string) string {
		var codings []string
		for _, c := range codes {
			codings = append(codings, `{"system":"http://snomed.info/sct","code":"`+c+`"}`)
		}
		return `,"valueInteger":4,"bodySite":{"coding":[` + strings.Join(codings, ",") + `]}`
	}
	p := painProfiles(t)
	for _, c := range []struct{ name, more, want string }{
		{"a score alone is fine", `,"valueInteger":4`, ""},
		{"no score, no reason", ``, "neither a value"},
		{"a reason instead of a score is fine", `,"dataAbsentReason":{"text":"asleep"}`, ""},
		{"one side is fine", sided("7771000"), ""},
		{"both sides by two codes", sided("24028007", "7771000"), "Both sides"},
		{"both sides by a code and one", sided("7771000", "51440002"), "Both sides"},
		{"both sides in one code are every anchor", sided("51440002"), ""},
		{"a component for each trigger", components(trigger("pull"), trigger("exercise")), ""},
		{"several triggers in one component", components(trigger("pull", "twist")), ""},
		{"a trigger beside one that is not known, in one component", components(trigger("pull", "yodelling")), ""},
		{"a trigger that is not known", components(trigger("yodelling")), "trigger has no code"},
		{"a trigger that is not known beside one that is", components(trigger("yodelling"), trigger("pull")), "trigger has no code"},
		{"onset before", components(onset("2026-07-01")), ""},
		{"onset on the day, at no hour", components(onset("2026-07-02")), ""},
		{"onset in the month", components(onset("2026-07")), ""},
		{"onset the day after", components(onset("2026-07-04")), "begins after"},
		{"onset an hour later, in another zone", components(onset("2026-07-02T08:30:00Z")), "begins after"},
		{"onset at the same moment, in another zone", components(onset("2026-07-02T07:30:00Z")), ""},
		{"two dates of onset", components(onset("2026-07-01"), onset("2026-06-01")), "several dates"},
		{"focus on an anchor", `,"valueInteger":4,"focus":[{"reference":"Device/a"},{"reference":"` + "https://x.example/fhir/BodyStructure/b" + `"}]`, ""},
		{"focus on a contained anchor", `,"valueInteger":4,"focus":[{"reference":"#a"}]`, ""},
		{"focus on an anchor by identifier", `,"valueInteger":4,"focus":[{"identifier":{"value":"a"}}]`, ""},
		{"focus on something else", `,"valueInteger":4,"focus":[{"reference":"Device/a"},{"reference":"Encounter/e"}]`, "neither a Device"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := p.Check(pain(c.more))
			var texts []string
			for _, i := range got {
				texts = append(texts, i.Text)
				if i.Severity != "warning" {
					t.Errorf("severity %s", i.Severity)
				}
			}
			if all := strings.Join(texts, "; "); len(got) > 1 || (c.want == "") != (len(got) == 0) || !strings.Contains(all, c.want) {
				t.Errorf("got %q, want %q", all, c.want)
			}
		})
	}
}

func TestPainReportsOfNobodyAreWarnedAbout(t *testing.T) {
	n, err := fhir.Parse([]byte(strings.Replace(string(pain(`,"valueInteger":4`).Raw), `"subject":{"reference":"Patient/p"},`, "", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if got := painProfiles(t).Check(n); len(got) != 1 || !strings.Contains(got[0].Text, "no patient") {
		t.Errorf("got %v", got)
	}
}

func TestOtherObservationsAreNotWarnedAbout(t *testing.T) {
	n, err := fhir.Parse([]byte(`{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := painProfiles(t).Check(n); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestProfilesThatCannotBeUsed(t *testing.T) {
	for name, c := range map[string]struct{ element, want string }{
		"no such ValueSet": {`{"path":"Observation.code","binding":{"strength":"required","valueSet":"http://x.example/none"}}`, "not known"},
		"not FHIRPath":     {`{"path":"Observation","constraint":[{"key":"a","severity":"warning","human":"h","expression":"(("}]}`, "constraint a"},
		"an open slice":    {`{"id":"Observation.component:x","path":"Observation.component","sliceName":"x","constraint":[{"key":"b","severity":"warning","human":"h","expression":"true"}]}`, "constraint b"},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := fhir.Parse([]byte(`{"resourceType":"StructureDefinition","id":"x","kind":"resource","derivation":"constraint","type":"Observation","differential":{"element":[` + c.element + `]}}`))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := NewProfiles([]*fhir.Node{n}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func BenchmarkProfiles(b *testing.B) {
	p := painProfiles(b)
	full := `,"valueInteger":4,"focus":[{"reference":"Device/a"}],"bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"7771000"}]},"component":[` +
		`{"code":{"coding":[{"system":"http://loinc.org","code":"100752-5"}]},"valueCodeableConcept":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"pull"}]}},` +
		`{"code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"pain-onset"}]},"valueDateTime":"2026-07-01"}]`
	for name, n := range map[string]*fhir.Node{"a score": pain(`,"valueInteger":4`), "all": pain(full)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				p.Check(n)
			}
		})
	}
}
