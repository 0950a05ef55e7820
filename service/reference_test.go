package service

import (
	"strings"
	"testing"

	"aftercare/fhir"
)

const noEntry = "urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f7c99"

// said is a resource with a narrative that has an attribute, such as href='…'.
func said(attribute string) string {
	return `{"resourceType":"Basic","code":{"text":"x"},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">` + attribute + `</div>"}}`
}

func TestLinksOfNarrative(t *testing.T) {
	for name, c := range map[string]struct{ div, want string }{ // "" for a refusal
		"a link":                        {"<a href='" + urnOne + "'>x</a>", "<a href='Patient/a'>x</a>"},
		"a link into it":                {"<a href='" + urnOne + "#part'>x</a>", "<a href='Patient/a#part'>x</a>"},
		"an image":                      {"<img alt='' src='" + urnOne + "'/>", "<img alt='' src='Patient/a'/>"},
		"a link to no entry":            {"<a href='" + noEntry + "'>x</a>", ""},
		"a link into no entry":          {"<a href='" + noEntry + "#part'>x</a>", ""},
		"an image of no entry":          {"<img alt='' src='" + noEntry + "'/>", ""},
		"one of two to no entry":        {"<a href='" + urnOne + "'>x</a><a href='" + noEntry + "'>x</a>", ""},
		"a link within":                 {"<a href='#part'>x</a>", "<a href='#part'>x</a>"},
		"another urn":                   {"<a href='urn:isbn:0451450523'>x</a>", "<a href='urn:isbn:0451450523'>x</a>"},
		"a urn in the text":             {"<p>" + noEntry + "</p>", "<p>" + noEntry + "</p>"},
		"a link at another server":      {"<a href='https://x.example/a#b'>x</a>", "<a href='https://x.example/a#b'>x</a>"},
		"a link into what a condition?": {"<a href='Patient?identifier=1'>x</a>", "<a href='Patient?identifier=1'>x</a>"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			body := bundleOf("transaction", entryOf(urnOne, `{"resourceType":"Patient","id":"a"}`, "PUT", "Patient/a", ""), entryOf("", said(c.div), "POST", "Basic", ""))
			if c.want == "" {
				_, err := s.Process(ctx, Anonymous, body, "")
				refused(t, err, fhir.BadRequest, "Bundle.entry[1].resource.text.div")
				return
			}
			s.process(t, body)
			if got := string(s.find(t, "Basic", "")[0]); !strings.Contains(got, c.want) {
				t.Errorf("got %s", got)
			}
		})
	}
}

// R4 lets the elements of type uuid and oid hold nothing but a urn, so they stay as they are.
func TestUUIDsAndOIDsStay(t *testing.T) {
	const oid = "urn:oid:1.2.3.4"
	s := open(t)
	s.process(t, bundleOf("transaction", entryOf(urnOne, `{"resourceType":"Patient","id":"a"}`, "PUT", "Patient/a", ""), entryOf(oid, `{"resourceType":"Patient","id":"b"}`, "PUT", "Patient/b", ""),
		entryOf("", `{"resourceType":"Basic","id":"x","code":{"text":"x"},"extension":[{"url":"http://x.example/u","valueUuid":"`+urnOne+`"},{"url":"http://x.example/o","valueOid":"`+oid+`"},{"url":"http://x.example/i","valueUri":"`+urnOne+`"}]}`, "PUT", "Basic/x", "")))
	got := s.find(t, "Basic", "")[0]
	for _, want := range []string{`"valueUuid":"` + urnOne + `"`, `"valueOid":"` + oid + `"`, `"valueUri":"Patient/a"`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	if _, err := s.Update(ctx, Anonymous, "Basic", "x", got, Preconditions{}); err != nil {
		t.Errorf("what was stored is not valid: %v", err)
	}
}

// The entries of a batch are independent, so a reference from one to another means nothing.
func TestABatchHasNoReferencesBetweenEntries(t *testing.T) {
	patient := entryOf(urnOne, `{"resourceType":"Patient","id":"a","birthDate":"1990-01-01"}`, "PUT", "Patient/a", "")
	for name, c := range map[string]struct{ entry, status, place string }{
		"a reference":                {entryOf(urnTwo, about(urnOne), "POST", "Observation", ""), "400", "Observation.subject.reference"},
		"a reference to itself":      {entryOf(urnTwo, about(urnTwo), "POST", "Observation", ""), "400", "Observation.subject.reference"},
		"a version":                  {entryOf(urnTwo, about(urnOne+"/_history/1"), "POST", "Observation", ""), "400", "Observation.subject.reference"},
		"a link of a narrative":      {entryOf(urnTwo, said("<a href='"+urnOne+"#x'>x</a>"), "POST", "Basic", ""), "400", "Basic.text.div"},
		"a uri":                      {entryOf(urnTwo, `{"resourceType":"Basic","code":{"text":"x"},"extension":[{"url":"http://x.example/u","valueUri":"`+urnOne+`"}]}`, "POST", "Basic", ""), "400", "Basic.extension[0].value"},
		"a patch":                    {entryOf(urnTwo, strings.NewReplacer("birthDate", "managingOrganization", `"valueDate":"1990-01-01"`, `"valueReference":{"reference":"`+urnOne+`"}`).Replace(birth), "PATCH", "Patient/a", ""), "400", "Parameters.parameter[0]"},
		"a uuid":                     {entryOf(urnTwo, `{"resourceType":"Basic","code":{"text":"x"},"extension":[{"url":"http://x.example/u","valueUuid":"`+urnOne+`"}]}`, "POST", "Basic", ""), "201", ""},
		"what is not in the Bundle":  {entryOf(urnTwo, about(noEntry), "POST", "Observation", ""), "201", ""},
		"a reference to what is PUT": {entryOf(urnTwo, about("Patient/a"), "POST", "Observation", ""), "201", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t).process(t, bundleOf("batch", c.entry, patient))
			if got := r.Entry[0].Response; got.Status[:3] != c.status || !strings.Contains(string(got.Outcome), c.place) || r.Entry[1].Response.Status != "201 Created" {
				t.Errorf("%s %s, %s", got.Status, got.Outcome, r.Entry[1].Response.Status)
			}
		})
	}
}

// What is wrong with the result of a patch is not in what was sent.
func TestPlacesOfPatchesInBundles(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"a"}`)
	fhirPath := func(name, value string) string {
		return strings.NewReplacer("birthDate", name, `"valueDate":"1990-01-01"`, value).Replace(birth)
	}
	for name, c := range map[string]struct {
		patch string
		kind  fhir.ErrorKind
		place string
		says  string
	}{
		"a result that is not valid":     {fhirPath("gender", `"valueCode":"unheard-of"`), fhir.Unprocessable, "Bundle.entry[0].resource", "Patient.gender"},
		"a reference to no entry":        {fhirPath("managingOrganization", `"valueReference":{"reference":"`+noEntry+`"}`), fhir.BadRequest, "Bundle.entry[0].resource", "Patient.managingOrganization.reference"},
		"a condition that finds nothing": {fhirPath("managingOrganization", `"valueReference":{"reference":"Organization?name=x"}`), fhir.PreconditionFailed, "Bundle.entry[0].resource", "Patient.managingOrganization.reference"},
		"an operation that does not fit": {strings.Replace(birth, `"Patient"`, `"Patient.name.given"`, 1), fhir.Unprocessable, "Bundle.entry[0].resource.parameter[0]", ""},
		"a JSON Patch":                   {jsonPatchEntry(`[{"op":"add","path":"/gender","value":"unheard-of"}]`), fhir.Unprocessable, "Bundle.entry[0].resource", "Patient.gender"},
		"a JSON Patch that does not fit": {jsonPatchEntry(`[{"op":"remove","path":"/gender"}]`), fhir.Unprocessable, "Bundle.entry[0].resource.data", "[0].path"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Process(ctx, Anonymous, bundleOf("transaction", entryOf("", c.patch, "PATCH", "Patient/a", "")), "")
			refused(t, err, c.kind, c.place)
			var e *fhir.Error
			if fhir.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v does not say %s", err, c.says)
			}
			if e, _ = err.(*fhir.Error); e == nil || len(e.Issues) == 0 || c.says != "" && e.Issues[0].Expression[0] != c.place {
				t.Errorf("the place is not %s: %v", c.place, err)
			}
		})
	}
}
