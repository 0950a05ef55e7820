package conformance

import (
	"strings"
	"testing"
)

// A diary becomes observations, and these a course, in FHIR JSON or drawn.
func TestPainFromDiaryToChart(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.must(t, 201, "PUT /Patient/none", `{"resourceType":"Patient","id":"none","name":[{"family":"Unforgettable"}]}`)
		for range 2 { // a phone that sends again
			bundle := s.send(t, "POST /QuestionnaireResponse/$extract", answeredDiary)
			if bundle.at("type") != "transaction" {
				t.Fatalf("%d %.600s", bundle.status, bundle.body)
			}
			s.must(t, 200, "POST /", bundle.body)
		}
		run(t, s, []exchange{
			{name: "one report", line: "GET /Observation?patient=none&_total=accurate", status: 200, want: []string{"total = 1", "entry.resource.valueQuantity.value = 6"}},
			{name: "as series", line: "GET /Patient/none/$pain-course", status: 200, want: []string{"Content-Type: application/fhir\\+json; charset=utf-8", "resourceType = Parameters", "Vary: .*"}},
			{name: "by POST", line: "POST /Patient/none/$pain-course", body: emptyParameters, status: 200, want: []string{"resourceType = Parameters"}},
			{name: "drawn", line: "GET /Patient/none/$pain-course", headers: []string{"Accept: image/svg+xml"}, status: 200, want: []string{"Content-Type: image/svg\\+xml", "X-Content-Type-Options: nosniff", "+ <svg", "- Unforgettable"}},
			{name: "drawn by POST", line: "POST /Patient/none/$pain-course", body: emptyParameters, headers: []string{"Accept: image/svg+xml"}, status: 200, want: []string{"+ <svg"}},
			{name: "as pixels", line: "GET /Patient/none/$pain-course?_format=png", status: 200, want: []string{"Content-Type: image/png", "+ PNG"}},
			{name: "with nothing to draw", line: "GET /Patient/none/$pain-course?_format=svg&end=2020-01-01", status: 200, want: []string{"+ There are no reports"}},
			{name: "in neither", line: "GET /Patient/none/$pain-course", headers: []string{"Accept: image/gif"}, status: 406, want: []string{"Content-Type: application/fhir\\+json; charset=utf-8"}},
			{name: "an error is never drawn", line: "GET /Patient/nobody/$pain-course?_format=svg", status: 404, want: []string{"Content-Type: application/fhir\\+json; charset=utf-8"}},
			{name: "nothing else is drawn", line: "GET /Patient/none", headers: []string{"Accept: image/svg+xml"}, status: 406},
			{name: "no other operation is drawn", line: "GET /Patient/none/$everything?_format=svg", status: 406},
			{name: "the definition", line: "GET /OperationDefinition/Patient-pain-course", status: 200, want: []string{"code = pain-course"}},
		})
		get, head := s.send(t, "GET /Patient/none/$pain-course?_format=png", ""), s.send(t, "HEAD /Patient/none/$pain-course?_format=png", "")
		if head.body != "" || head.header.Get("Content-Length") != get.header.Get("Content-Length") || !strings.HasPrefix(head.header.Get("Content-Type"), "image/png") {
			t.Errorf("HEAD: %v", head.header)
		}
	})
}
