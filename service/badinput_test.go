package service

import (
	"context"
	"errors"
	"strings"
	"testing"

	"aftercare/fhir"

	"github.com/google/go-cmp/cmp"
)

// badInput are resources that must be refused, with the place that the refusal names.
var badInput = []struct {
	name, typ, body, place string
	kind                   fhir.ErrorKind
}{
	{"unknown element", "Patient", `{"resourceType":"Patient","shoeSize":43}`, "Patient.shoeSize", fhir.BadRequest},
	{"element in the wrong case", "Patient", `{"resourceType":"Patient","GENDER":"male"}`, "Patient.GENDER", fhir.BadRequest},
	{"code outside a required binding", "Patient", `{"resourceType":"Patient","gender":"man"}`, "Patient.gender", fhir.BadRequest},
	{"number for a string", "Patient", `{"resourceType":"Patient","name":[{"family":7}]}`, "Patient.name[0].family", fhir.BadRequest},
	{"object for an array", "Patient", `{"resourceType":"Patient","name":{"family":"x"}}`, "Patient.name", fhir.BadRequest},
	{"impossible date", "Patient", `{"resourceType":"Patient","birthDate":"2026-02-30"}`, "Patient.birthDate", fhir.BadRequest},
	{"two values of a choice", "Patient", `{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2026-01-01"}`, "Patient.deceased", fhir.BadRequest},
	{"empty array", "Patient", `{"resourceType":"Patient","name":[]}`, "Patient.name", fhir.BadRequest},
	{"empty object", "Patient", `{"resourceType":"Patient","name":[{}]}`, "Patient.name[0]", fhir.BadRequest},
	{"null", "Patient", `{"resourceType":"Patient","active":null}`, "Patient.active", fhir.BadRequest},
	{"missing required element", "Observation", `{"resourceType":"Observation","status":"final"}`, "Observation", fhir.BadRequest},
	{"reference to a wrong type", "Procedure", `{"resourceType":"Procedure","status":"completed","subject":{"reference":"Device/1"}}`, "Procedure.subject", fhir.BadRequest},
	{"score above its scale", "Observation", pain(`"valueInteger":11`), "Observation.valueInteger", fhir.Unprocessable},
	{"score below its scale", "Observation", pain(`"valueInteger":-1`), "Observation.valueInteger", fhir.Unprocessable},
	{"score that is not whole", "Observation", pain(`"valueQuantity":{"value":6.5,"system":"http://unitsofmeasure.org","code":"{score}"}`), "Observation.valueQuantity", fhir.Unprocessable},
	{"score as text", "Observation", pain(`"valueString":"six"`), "Observation.valueString", fhir.Unprocessable},
}

// pain is an Observation of the 0 to 10 pain score with the given members.
func pain(members string) string {
	return `{"resourceType":"Observation","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"survey"}]}],` +
		`"code":{"coding":[{"system":"http://loinc.org","code":"72514-3"}]},"subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-03-03",` + members + `}`
}

func TestBadInputIsRefusedWithItsPlaceAndChangesNothing(t *testing.T) {
	s := open(t)
	before := s.census(t)
	for _, c := range badInput {
		t.Run(c.name, func(t *testing.T) {
			_, err := s.Create(context.Background(), Anonymous, c.typ, []byte(c.body), "")
			refused(t, err, c.kind, c.place)
		})
		t.Run(c.name+" in a Bundle", func(t *testing.T) {
			body := `{"resourceType":"Bundle","type":"transaction","entry":[` +
				`{"fullUrl":"urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f7c01","resource":{"resourceType":"Organization","name":"x"},"request":{"method":"POST","url":"Organization"}},` +
				`{"fullUrl":"urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f7c02","resource":` + c.body + `,"request":{"method":"POST","url":"` + c.typ + `"}}]}`
			_, err := s.Process(context.Background(), Anonymous, []byte(body), "")
			refused(t, err, c.kind, strings.Replace(c.place, c.typ, "Bundle.entry[1].resource", 1))
		})
	}
	if diff := cmp.Diff(before, s.census(t)); diff != "" {
		t.Error(diff)
	}
}

func refused(t *testing.T, err error, kind fhir.ErrorKind, place string) {
	t.Helper()
	var e *fhir.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if e.Kind != kind {
		t.Errorf("kind %d, want %d: %v", e.Kind, kind, e)
	}
	for _, issue := range e.Issues {
		for _, x := range issue.Expression {
			if strings.HasPrefix(x, place) && issue.Text != "" {
				return
			}
		}
	}
	t.Errorf("no issue at %s: %v", place, e.Issues)
}

func TestTransactionRefusals(t *testing.T) {
	post := func(fullURL, resource, extra string) string {
		typ := strings.Split(strings.SplitN(resource, `"resourceType":"`, 2)[1], `"`)[0]
		return `{"fullUrl":"` + fullURL + `","resource":` + resource + `,"request":{"method":"POST","url":"` + typ + `"` + extra + `}}`
	}
	const one, two = "urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f7c01", "urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f7c02"
	const patient = `{"resourceType":"Patient","identifier":[{"system":"http://x.example","value":"1"}]}`
	for name, c := range map[string]struct {
		entries, place string
		kind           fhir.ErrorKind
	}{
		"unresolved urn": {post(one, `{"resourceType":"Procedure","status":"completed","subject":{"reference":"`+two+`"}}`, ""),
			"Bundle.entry[0].resource.subject", fhir.BadRequest},
		"reference to an entry of a wrong type": {post(one, `{"resourceType":"Organization","name":"x"}`, "") + "," + post(two, `{"resourceType":"Procedure","status":"completed","subject":{"reference":"`+one+`"}}`, ""),
			"Bundle.entry[1].resource.subject", fhir.BadRequest},
		"same resource twice": {`{"resource":{"resourceType":"Patient","id":"a"},"request":{"method":"PUT","url":"Patient/a"}},{"request":{"method":"DELETE","url":"Patient/a"}}`,
			"Bundle.entry[1]", fhir.BadRequest},
		"same condition twice": {post(one, patient, `,"ifNoneExist":"identifier=http://x.example|1"`) + "," + post(two, patient, `,"ifNoneExist":"identifier=http://x.example|1"`),
			"Bundle.entry[1]", fhir.BadRequest},
		"no request":          {`{"resource":` + patient + `}`, "Bundle.entry[0]", fhir.BadRequest},
		"type we do not have": {`{"resource":{"resourceType":"Slot"},"request":{"method":"POST","url":"Slot"}}`, "Bundle.entry[0]", fhir.NotFound},
		"read-only type": {post(one, `{"resourceType":"AuditEvent","type":{"code":"rest"},"recorded":"2026-01-01T00:00:00Z","agent":[{"requestor":true}],"source":{"observer":{"display":"x"}}}`, ""),
			"Bundle.entry[0]", fhir.NotAllowed},
		"empty condition":   {post(one, patient, `,"ifNoneExist":"_count=1"`), "Bundle.entry[0]", fhir.BadRequest},
		"unknown condition": {post(one, patient, `,"ifNoneExist":"shoe=1"`), "Bundle.entry[0]", fhir.BadRequest},
		"version moved on": {`{"resource":{"resourceType":"Patient","id":"gone"},"request":{"method":"PUT","url":"Patient/gone","ifMatch":"W/\"4\""}}`,
			"Bundle.entry[0]", fhir.PreconditionFailed},
		"conditional reference without a match": {post(one, `{"resourceType":"Procedure","status":"completed","subject":{"reference":"Patient?identifier=http://x.example|9"}}`, ""),
			"Bundle.entry[0].resource.subject", fhir.PreconditionFailed},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			before := s.census(t)
			_, err := s.Process(context.Background(), Anonymous, []byte(`{"resourceType":"Bundle","type":"transaction","entry":[`+c.entries+`]}`), "")
			refused(t, err, c.kind, c.place)
			if diff := cmp.Diff(before, s.census(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTransactionResolvesReferences(t *testing.T) {
	s := open(t)
	const urn = "urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f7c01"
	s.process(t, []byte(`{"resourceType":"Bundle","type":"transaction","entry":[
	 {"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"`+urn+`"},
	   "identifier":[{"system":"urn:ietf:rfc:3986","value":"`+urn+`"}],
	   "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"`+urn+`\">`+urn+`</a></div>"}},
	  "request":{"method":"POST","url":"Observation"}},
	 {"fullUrl":"`+urn+`","resource":{"resourceType":"Patient","identifier":[{"system":"http://x.example","value":"1"}]},"request":{"method":"POST","url":"Patient"}}]}`))
	patient, err := fhir.Parse(s.find(t, "Patient", "identifier=http://x.example|1")[0])
	if err != nil {
		t.Fatal(err)
	}
	o, err := fhir.Parse(s.find(t, "Observation", "patient.identifier=http://x.example|1")[0])
	if err != nil {
		t.Fatal(err)
	}
	ref := "Patient/" + patient.Str("id")
	if got := o.Str("subject", "reference"); got != ref {
		t.Errorf("subject is %s", got)
	}
	if got := o.Each("identifier")[0].Str("value"); got != urn {
		t.Errorf("the identifier became %s", got)
	}
	if got, want := o.Str("text", "div"), `<a href="`+ref+`">`+urn+`</a>`; !strings.Contains(got, want) {
		t.Errorf("narrative is %s", got)
	}
}
