package service

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
)

func composition(id, more string) string {
	return `{"resourceType":"Composition","id":"` + id + `","status":"final","type":{"text":"Plan"},"date":"2026-03-01","title":"Plan","subject":{"reference":"Patient/p"},"author":[{"reference":"Practitioner/d"}]` + more + `}`
}

func entries(refs ...string) string {
	var out []string
	for _, ref := range refs {
		out = append(out, `{"reference":"`+ref+`"}`)
	}
	return `,"section":[{"title":"S","entry":[` + strings.Join(out, ",") + `]}]`
}

func ward(t *testing.T) *Service {
	s := open(t)
	s.keep(t,
		`{"resourceType":"Organization","id":"trust","name":"Trust"}`,
		`{"resourceType":"Organization","id":"clinic","name":"Clinic","partOf":{"reference":"Organization/trust"}}`,
		`{"resourceType":"Practitioner","id":"d"}`,
		`{"resourceType":"Patient","id":"q"}`,
		`{"resourceType":"Patient","id":"p","managingOrganization":{"reference":"Organization/clinic"},"link":[{"other":{"reference":"Patient/q"},"type":"seealso"}]}`,
		obs("o1", "p", `,"hasMember":[{"reference":"Observation/o2"}]`),
		obs("o2", "p", `,"derivedFrom":[{"reference":"Observation/o1"}]`),
		obs("of-q", "q", ""),
		obs("dangling", "p", `,"performer":[{"reference":"Practitioner/d"},{"reference":"Practitioner/nobody"}]`),
		obs("unserved", "p", `,"specimen":{"reference":"Specimen/s"}`),
		obs("elsewhere", "p", `,"device":{"reference":"https://y.example/Device/1"}`),
	)
	return s
}

func TestDocument(t *testing.T) {
	s := ward(t)
	s.keep(t, composition("c", entries("Observation/o1", base+"/Observation/o1", "Observation/elsewhere", "#inside")+`,"contained":[{"resourceType":"Basic","id":"inside","code":{"text":"x"}}]`))
	want := []string{"Composition/c", "Patient/p", "Practitioner/d", "Observation/o1", "Observation/elsewhere", "Organization/clinic", "Observation/o2", "Organization/trust"}
	for _, c := range []struct{ url, body string }{
		{"Composition/c/$document", ""}, {"Composition/$document?id=c&persist=false", ""}, {"Composition/$document?id=" + base + "/Composition/c", ""},
		{"Composition/$document", `{"resourceType":"Parameters","parameter":[{"name":"id","valueUri":"c"},{"name":"persist","valueBoolean":false}]}`},
	} {
		bundle := s.ask(t, c.url, c.body)
		if got := refs(bundle); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.url, got, want)
		}
		if bundle.Str("type") != "document" || bundle.Str("timestamp") == "" || bundle.Str("identifier", "system") == "" || !strings.HasPrefix(bundle.Str("identifier", "value"), "urn:uuid:") {
			t.Errorf("%s: %.300s", c.url, bundle.Raw)
		}
		for _, e := range bundle.Each("entry") {
			if got := e.Str("fullUrl"); got != base+"/"+e.Str("resource", "resourceType")+"/"+e.Str("resource", "id") {
				t.Errorf("fullUrl %s", got)
			}
		}
	}
	first, second := s.ask(t, "Composition/c/$document", ""), s.ask(t, "Composition/c/$document", "")
	if first.Str("identifier", "value") == second.Str("identifier", "value") {
		t.Error("two documents have one identifier")
	}
}

func TestDocumentHoldsTheVersionThatIsReferredTo(t *testing.T) {
	s := ward(t)
	s.keep(t, obs("o2", "p", `,"note":[{"text":"new"}]`), composition("c", entries("Observation/o2/_history/1", "Observation/o2")))
	var versions []string
	for _, r := range s.ask(t, "Composition/c/$document", "").Each("entry", "resource") {
		if r.Str("id") == "o2" {
			versions = append(versions, r.Str("meta", "versionId"))
		}
	}
	if !slices.Equal(versions, []string{"1", "2"}) {
		t.Errorf("versions %v", versions)
	}
}

func TestDocumentOfTwoPatientsHoldsBothWhereTheCompositionNamesBoth(t *testing.T) {
	s := ward(t)
	s.keep(t, composition("c", entries("Observation/of-q")))
	if got := refs(s.ask(t, "Composition/c/$document", "")); !slices.Contains(got, "Patient/q") || !slices.Contains(got, "Observation/of-q") {
		t.Errorf("got %v", got)
	}
}

func TestDocumentThatWouldLackSomethingIsRefused(t *testing.T) {
	s := ward(t)
	for name, c := range map[string]struct{ more, code, place string }{
		"a section entry":           {entries("Observation/o1", "Observation/nothing"), "not-found", "Composition.section[0].entry[1].reference"},
		"a version":                 {entries("Observation/o1/_history/9"), "not-found", "Composition.section[0].entry[0].reference"},
		"the encounter":             {`,"encounter":{"reference":"Encounter/none"}`, "not-found", "Composition.encounter.reference"},
		"another server's":          {entries("https://y.example/Observation/1"), "not-supported", "Composition.section[0].entry[0].reference"},
		"what an entry refers to":   {entries("Observation/dangling"), "not-found", "Bundle.entry[3].resource.performer[1].reference"},
		"a type that is not served": {entries("Observation/unserved"), "not-found", "Bundle.entry[3].resource.specimen.reference"},
	} {
		t.Run(name, func(t *testing.T) {
			s.keep(t, composition("c", c.more))
			_, err := s.Operate(ctx, Anonymous, called(t, "Composition/c/$document", ""))
			var e *fhir.Error
			if !errors.As(err, &e) || e.Kind != fhir.Unprocessable || e.Issues[0].Code != c.code || fmt.Sprint(e.Issues[0].Expression) != "["+c.place+"]" {
				t.Errorf("%+v", err)
			}
		})
	}
}
