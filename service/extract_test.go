package service

import (
	"strings"
	"testing"

	"aftercare/fhir"
)

const answered = `{"resourceType":"QuestionnaireResponse","id":"r1","questionnaire":"https://aftercare.example/fhir/Questionnaire/pain-diary|1.0.0","status":"completed",` +
	`"subject":{"reference":"Patient/p"},"authored":"2026-07-02T08:30:00+01:00","author":{"reference":"Patient/p"},"item":[` +
	`{"linkId":"pain","item":[{"linkId":"score","answer":[{"valueInteger":6,"item":[{"linkId":"site","answer":[{"valueCoding":{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"phantom","display":"x"}}]}]}]}]},` +
	`{"linkId":"pain","item":[{"linkId":"score","answer":[{"valueInteger":2}]}]}]}`

// A diary that is sent twice, in part or amended, never doubles an observation.
func TestExtractedObservationsAreStoredOnce(t *testing.T) {
	s := open(t)
	s.keep(t, answered)
	send := func(body []byte) {
		t.Helper()
		if _, err := s.Process(ctx, Anonymous, body, ""); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
	}
	for range 2 {
		send(s.ask(t, "QuestionnaireResponse/r1/$extract", "").Raw)
	}
	send(s.ask(t, "QuestionnaireResponse/$extract", answered).Raw)
	send(s.ask(t, "QuestionnaireResponse/$extract", `{"resourceType":"Parameters","parameter":[{"name":"questionnaire-response","resource":`+answered+`}]}`).Raw)
	if got := s.find(t, "Observation", "_sort=_lastUpdated"); len(got) != 2 || !strings.Contains(string(got[0]), `"reference":"QuestionnaireResponse/r1"`) || !strings.Contains(string(got[0]), `"versionId":"1"`) {
		t.Fatalf("%d observations: %s", len(got), got)
	}
	amended := strings.NewReplacer(`"completed"`, `"amended"`, `"valueInteger":6`, `"valueInteger":7`).Replace(answered)
	s.keep(t, amended)
	send(s.ask(t, "QuestionnaireResponse/r1/$extract", "").Raw)
	if got := s.find(t, "Observation", "pain-score=7&status=amended"); len(got) != 1 {
		t.Errorf("the amended score: %s", got)
	}
	if got := s.find(t, "Observation", ""); len(got) != 2 {
		t.Errorf("%d observations", len(got))
	}
}

func TestExtractRefuses(t *testing.T) {
	s := open(t)
	s.keep(t, answered)
	wrapped := func(name, resource string) string {
		return `{"resourceType":"Parameters","parameter":[{"name":"` + name + `","resource":` + resource + `}]}`
	}
	for name, c := range map[string]struct {
		url, body string
		kind      fhir.ErrorKind
		want      string
	}{
		"nothing":                           {"QuestionnaireResponse/$extract", "", fhir.BadRequest, "Send a QuestionnaireResponse"},
		"what is not there":                 {"QuestionnaireResponse/none/$extract", "", fhir.NotFound, ""},
		"another resource":                  {"QuestionnaireResponse/$extract", `{"resourceType":"Patient"}`, fhir.BadRequest, "is a QuestionnaireResponse"},
		"another resource as the parameter": {"QuestionnaireResponse/$extract", wrapped("questionnaire-response", `{"resourceType":"Patient"}`), fhir.BadRequest, "is a QuestionnaireResponse"},
		"another parameter":                 {"QuestionnaireResponse/$extract", wrapped("response", answered), fhir.BadRequest, "Parameters.parameter[0].resource"},
		"a text for the response":           {"QuestionnaireResponse/$extract?questionnaire-response=x", "", fhir.BadRequest, "is a QuestionnaireResponse"},
		"a response beside a stored one":    {"QuestionnaireResponse/r1/$extract", answered, fhir.BadRequest, "names a stored response"},
		"one that is not valid":             {"QuestionnaireResponse/$extract", strings.Replace(answered, `"completed"`, `"done"`, 1), fhir.BadRequest, "QuestionnaireResponse.status"},
		"no questionnaire":                  {"QuestionnaireResponse/$extract", strings.Replace(answered, `"questionnaire":"https://aftercare.example/fhir/Questionnaire/pain-diary|1.0.0",`, "", 1), fhir.Unprocessable, "QuestionnaireResponse.questionnaire"},
		"a questionnaire that is not here":  {"QuestionnaireResponse/$extract", strings.Replace(answered, "pain-diary", "mood", 1), fhir.Unprocessable, "QuestionnaireResponse.questionnaire"},
		"another version of it":             {"QuestionnaireResponse/$extract", strings.Replace(answered, "|1.0.0", "|0.9.0", 1), fhir.Unprocessable, "QuestionnaireResponse.questionnaire"},
		"a score off the scale":             {"QuestionnaireResponse/$extract", strings.Replace(answered, `"valueInteger":2`, `"valueInteger":12`, 1), fhir.Unprocessable, "QuestionnaireResponse.item[1].item[0].answer[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Operate(ctx, Anonymous, called(t, c.url, c.body))
			if fhir.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// What no limit of the Questionnaire stops is stopped by the scale, at the place of the answer.
func TestExtractHoldsToTheScale(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Questionnaire","id":"q","url":"http://x.example/q","status":"active","item":[{"linkId":"a","type":"integer","code":[{"system":"http://loinc.org","code":"72514-3"}],
	 "extension":[{"url":"http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-observationExtract","valueBoolean":true}]}]}`)
	_, err := s.Operate(ctx, Anonymous, called(t, "QuestionnaireResponse/$extract", `{"resourceType":"QuestionnaireResponse","questionnaire":"http://x.example/q","status":"completed","subject":{"reference":"Patient/p"},"authored":"2026-07-02","item":[{"linkId":"a","answer":[{"valueInteger":12}]}]}`))
	if fhir.KindOf(err) != fhir.Unprocessable || !strings.Contains(err.Error(), "QuestionnaireResponse.item[0].answer[0]: The value must be from 0 to 10") {
		t.Errorf("got %v", err)
	}
}
