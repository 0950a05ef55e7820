package conformance

import (
	"compress/gzip"
	"io"
	"strings"
	"testing"
)

// Formats, methods and addresses (https://hl7.org/fhir/R4/http.html#mime-type). That a panic
// is told as an outcome too cannot be provoked from here: TestPanicIsAnAnswer of package api
// has it.
func TestNegotiation(t *testing.T) {
	made := exchange{name: "there is one", line: "PUT /Patient/a", body: patient("a", female+`,"birthDate":"1961-04-01","photo":[{"contentType":"image/png","data":"AAAA"}],"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Grace</div>"}`), status: 201}
	const xml = `<Patient xmlns="http://hl7.org/fhir"/>`
	sentences := map[string][]exchange{
		"_format and Accept": {
			made,
			{name: "nothing said", line: "GET /Patient/a", status: 200, want: []string{"Content-Type: application/fhir\\+json; ?charset=utf-8"}},
			{name: "_format=json", line: "GET /Patient/a?_format=json", headers: []string{"Accept: application/fhir+xml"}, status: 200, want: []string{"Content-Type: application/fhir\\+json.*"}},
			{name: "_format in full", line: "GET /Patient/a?_format=application/fhir%2Bjson", status: 200},
			{name: "_format with a bare plus", line: "GET /Patient/a?_format=application/fhir+json", status: 200},
			{name: "_format=xml", line: "GET /Patient/a?_format=xml", status: 406, want: []string{"Content-Type: application/fhir\\+json.*", "+ application/fhir+json"}},
			{name: "_format=ttl on a search", line: "GET /Patient?_format=ttl", status: 406},
			{name: "XML alone", line: "GET /Patient/a", headers: []string{"Accept: application/fhir+xml"}, status: 406, want: []string{"issue.code = not-supported"}},
			{name: "XML rather", line: "GET /Patient/a", headers: []string{"Accept: application/fhir+xml, application/fhir+json;q=0.1"}, status: 200},
			{name: "anything", line: "GET /Patient/a", headers: []string{"Accept: */*"}, status: 200},
			{name: "plain JSON", line: "GET /Patient/a", headers: []string{"Accept: application/json"}, status: 200},
			{name: "a browser's", line: "GET /Patient/a", headers: []string{"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, status: 200},
			{name: "not JSON", line: "GET /Patient/a", headers: []string{"Accept: application/fhir+json;q=0, */*"}, status: 406},
			{name: "another FHIR", line: "GET /Patient/a", headers: []string{"Accept: application/fhir+json; fhirVersion=3.0"}, status: 406},
			{name: "this FHIR", line: "GET /Patient/a", headers: []string{"Accept: application/fhir+json; fhirVersion=4.0"}, status: 200},
			{name: "XML for what would be written", line: "PUT /Patient/b", headers: []string{"Accept: application/fhir+xml"}, body: patient("b", ""), status: 406},
			{name: "is not written", line: "GET /Patient/b", status: 404},
			{name: "_format on a write", line: "PUT /Patient/b?_format=json", body: patient("b", ""), status: 201},
			{name: "_format on metadata", line: "GET /metadata?_format=xml", status: 406},
			{name: "_format on a history", line: "GET /Patient/a/_history?_format=json", status: 200},
		},
		"_pretty": {
			made,
			{name: "true", line: "GET /Patient/a?_pretty=true", status: 200, want: []string{"+ \n  \"id\": \"a\""}},
			{name: "false", line: "GET /Patient/a?_pretty=false", status: 200, want: []string{"- \n"}},
			{name: "a search", line: "GET /Patient?_pretty=true", status: 200, want: []string{"+ \n  \"type\": \"searchset\""}},
			{name: "metadata", line: "GET /metadata?_pretty=true", status: 200, want: []string{"+ \n  \"status\""}},
			{name: "neither", line: "GET /Patient/a?_pretty=maybe", status: 400},
		},
		"_summary and _elements on read": {
			made,
			{name: "true", line: "GET /Patient/a?_summary=true", status: 200, want: []string{"gender = female", "birthDate = 1961-04-01", "meta.tag.code = SUBSETTED", "photo = ", "text = ", `ETag: W/"1"`}},
			{name: "text", line: "GET /Patient/a?_summary=text", status: 200, want: []string{"gender = ", "+ Grace", "meta.tag.code = SUBSETTED", "id = a"}},
			{name: "data", line: "GET /Patient/a?_summary=data", status: 200, want: []string{"gender = female", "text = ", "photo.data = AAAA", "meta.tag.code = SUBSETTED"}},
			{name: "false", line: "GET /Patient/a?_summary=false", status: 200, want: []string{"photo.data = AAAA", "- SUBSETTED"}},
			{name: "count is for searches", line: "GET /Patient/a?_summary=count", status: 400},
			{name: "an unknown one", line: "GET /Patient/a?_summary=short", status: 400},
			{name: "elements", line: "GET /Patient/a?_elements=gender", status: 200, want: []string{"gender = female", "birthDate = ", "id = a", "meta.tag.code = SUBSETTED"}},
			{name: "elements of a version", line: "GET /Patient/a/_history/1?_elements=birthDate", status: 200, want: []string{"gender = ", "birthDate = 1961-04-01"}},
			{name: "elements that are mandatory stay", line: "PUT /Observation/o", body: pain("o", "7"), status: 201},
			{name: "as here", line: "GET /Observation/o?_elements=effectiveDateTime", status: 200, want: []string{"status = final", "code.coding.code = 72514-3", "valueQuantity = "}},
			{name: "in a search", line: "GET /Patient?_elements=gender", status: 200, want: []string{"entry.resource.gender = female", "entry.resource.birthDate = "}},
			{name: "a summary in a search", line: "GET /Patient?_summary=text", status: 200, want: []string{"entry.resource.gender = ", "+ Grace"}},
			{name: "it is stored whole", line: "GET /Patient/a", status: 200, want: []string{"photo.data = AAAA", "- SUBSETTED"}},
		},
		"XML in is 415, with a clear outcome": {
			{name: "FHIR XML", line: "POST /Patient", headers: []string{"Content-Type: application/fhir+xml"}, body: xml, status: 415, want: []string{"issue.code = not-supported", "+ application/fhir+json"}},
			{name: "XML under the name of JSON", line: "POST /Patient", body: xml, status: 400},
			{name: "a Bundle", line: "POST ", headers: []string{"Content-Type: application/xml"}, body: xml, status: 415},
			{name: "an update", line: "PUT /Patient/a", headers: []string{"Content-Type: text/xml"}, body: xml, status: 415},
			{name: "text", line: "POST /Patient", headers: []string{"Content-Type: text/plain"}, body: patient("", ""), status: 415},
			{name: "a form", line: "POST /Patient", headers: []string{"Content-Type: application/x-www-form-urlencoded"}, body: "a=b", status: 415},
			{name: "Latin 1", line: "POST /Patient", headers: []string{"Content-Type: application/fhir+json; charset=iso-8859-1"}, body: patient("", ""), status: 415},
			{name: "bytes that are no UTF-8", line: "POST /Patient", body: "{\"resourceType\":\"Patient\",\"name\":[{\"family\":\"\xff\"}]}", status: 400},
			{name: "compressed", line: "POST /Patient", headers: []string{"Content-Encoding: gzip"}, body: "x", status: 415},
			{name: "nothing was stored", line: "GET /Patient?_summary=count", status: 200, want: []string{"total = 0"}},
			{name: "plain JSON is understood", line: "POST /Patient", headers: []string{"Content-Type: application/json"}, body: patient("", ""), status: 201},
			{name: "so is text/json", line: "POST /Patient", headers: []string{"Content-Type: text/json; charset=UTF-8"}, body: patient("", ""), status: 201},
		},
		"HEAD is GET without the body": {
			made,
			{name: "read", line: "HEAD /Patient/a", status: 200, want: []string{"empty", `ETag: W/"1"`, "Last-Modified: " + httpDate, "Content-Length: [1-9]\\d*", "Content-Type: application/fhir\\+json.*"}},
			{name: "vread", line: "HEAD /Patient/a/_history/1", status: 200, want: []string{"empty", `ETag: W/"1"`}},
			{name: "unknown", line: "HEAD /Patient/none", status: 404, want: []string{"empty"}},
			{name: "search", line: "HEAD /Patient?_id=a", status: 200, want: []string{"empty", "Content-Length: [1-9]\\d*"}},
			{name: "history", line: "HEAD /Patient/a/_history", status: 200, want: []string{"empty"}},
			{name: "metadata", line: "HEAD /metadata", status: 200, want: []string{"empty"}},
		},
		"OPTIONS tells what an address offers": {
			{name: "a type", line: "OPTIONS /Patient", status: 204, want: []string{"Allow: .*GET.*", "Allow: .*POST.*", "empty"}},
			{name: "an instance", line: "OPTIONS /Patient/a", status: 204, want: []string{"Allow: .*PUT.*", "Allow: .*PATCH.*", "Allow: .*DELETE.*"}},
			{name: "a type that the service alone writes", line: "OPTIONS /AuditEvent", status: 204, want: []string{"Allow: GET, HEAD, OPTIONS"}},
			{name: "an instance of it", line: "OPTIONS /AuditEvent/x", status: 204, want: []string{"Allow: GET, HEAD, OPTIONS"}},
			{name: "metadata", line: "OPTIONS /metadata", status: 204, want: []string{"Allow: GET, HEAD, OPTIONS"}},
			{name: "the base", line: "OPTIONS ", status: 204, want: []string{"Allow: GET, HEAD, OPTIONS, POST"}},
			{name: "a search by form", line: "OPTIONS /Patient/_search", status: 204, want: []string{"Allow: OPTIONS, POST"}},
			{name: "an operation", line: "OPTIONS /Patient/a/$everything", status: 204, want: []string{"Allow: GET, HEAD, OPTIONS, POST"}},
			{name: "an operation that changes", line: "OPTIONS /Patient/a/$meta-add", status: 204, want: []string{"Allow: OPTIONS, POST"}},
			{name: "a type that is unknown", line: "OPTIONS /Nope", status: 404, want: []string{"Allow: -"}},
			{name: "an operation of another type", line: "OPTIONS /Goal/a/$everything", status: 404, want: []string{"Allow: -"}},
		},
		"web pages of a known origin may use it, others may not": {
			made,
			{name: "preflight", line: "OPTIONS /Patient/a", headers: []string{"Origin: " + webOrigin, "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: content-type,if-match"}, status: 204,
				want: []string{"Access-Control-Allow-Origin: " + webOrigin, "Access-Control-Allow-Methods: .*PUT.*", "Access-Control-Allow-Methods: .*PATCH.*", "Access-Control-Allow-Headers: .*If-Match.*", "Access-Control-Allow-Headers: .*If-None-Exist.*",
					"Access-Control-Allow-Headers: .*Content-Type.*", "Access-Control-Allow-Headers: .*Authorization.*", "Access-Control-Allow-Headers: .*Prefer.*"}},
			{name: "read", line: "GET /Patient/a", headers: []string{"Origin: " + webOrigin}, status: 200, want: []string{"Access-Control-Allow-Origin: " + webOrigin, "Access-Control-Expose-Headers: .*ETag.*", "Access-Control-Expose-Headers: .*Location.*", "Vary: .*Origin.*"}},
			{name: "a refusal can be read too", line: "GET /Patient/none", headers: []string{"Origin: " + webOrigin}, status: 404, want: []string{"Access-Control-Allow-Origin: " + webOrigin}},
			{name: "an address that is not there too", line: "GET /a/b/c/d/e/f", headers: []string{"Origin: " + webOrigin}, status: 404, want: []string{"Access-Control-Allow-Origin: " + webOrigin}},
			{name: "preflight of another", line: "OPTIONS /Patient/a", headers: []string{"Origin: https://elsewhere.example", "Access-Control-Request-Method: PUT"}, status: 204, want: []string{"Access-Control-Allow-Origin: -", "Access-Control-Allow-Methods: -"}},
			{name: "read of another", line: "GET /Patient/a", headers: []string{"Origin: https://elsewhere.example"}, status: 200, want: []string{"Access-Control-Allow-Origin: -", "Vary: .*Origin.*"}},
		},
		"addresses and methods that are not there are told as outcomes": {
			{name: "below an instance", line: "GET /Patient/a/b/c/d/e", status: 404, want: []string{"issue.code = not-found"}},
			{name: "a trailing slash", line: "GET /Patient/", status: 404},
			{name: "outside of the base", line: "GET /../nothing", status: 404},
			{name: "an operation that is unknown", line: "GET /Patient/a/$dance", status: 404},
			{name: "at type level", line: "POST /Patient/$dance", body: `{"resourceType":"Parameters"}`, status: 404},
			{name: "at system level", line: "POST /$dance", body: `{"resourceType":"Parameters"}`, status: 404},
			{name: "DELETE of everything", line: "DELETE ", status: 405, want: []string{"Allow: .*POST.*"}},
			{name: "PUT of metadata", line: "PUT /metadata?_id=a", body: patient("metadata", ""), status: 405, want: []string{"Allow: GET, HEAD, OPTIONS"}},
			{name: "POST of metadata", line: "POST /metadata", body: patient("", ""), status: 405, want: []string{"Allow: GET, HEAD, OPTIONS"}},
			{name: "DELETE of a history", line: "DELETE /Patient/_history", status: 405, want: []string{"Allow: GET, HEAD, OPTIONS"}},
			{name: "a write of what the service alone writes", line: "DELETE /AuditEvent/x", status: 405, want: []string{"Allow: GET, HEAD, OPTIONS"}},
			{name: "POST on a history", line: "POST /Patient/a/_history", body: patient("", ""), status: 405, want: []string{"Allow: .*GET.*"}},
			{name: "an escaped slash", line: "GET /Patient%2Fa", status: 404},
			{name: "a parameter that a read does not take", line: "GET /Patient/a?_since=2026", status: 400},
			{name: "a method of nobody's", line: "BREW /Patient/a", status: 405},
		},
	}
	for sentence, exchanges := range sentences {
		t.Run(sentence, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) { run(t, s, exchanges) })
		})
	}
}

// A large answer is compressed for who says that it can be, and is the same answer.
func TestGzip(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		plain := s.must(t, 200, "GET /metadata", "")
		if got := plain.header.Get("Content-Encoding"); got != "" {
			t.Errorf("not asked for, but the encoding is %s", got)
		}
		packed := s.must(t, 200, "GET /metadata", "", "Accept-Encoding: gzip")
		if got := packed.header.Get("Content-Encoding"); got != "gzip" {
			t.Fatalf("the encoding is %q", got)
		}
		if why := packed.lacks("Vary: .*Accept-Encoding.*"); why != "" {
			t.Error(why)
		}
		r, err := gzip.NewReader(strings.NewReader(packed.body))
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if string(unpacked) != plain.body {
			t.Error("the compressed answer is another")
		}
		if len(packed.body) >= len(plain.body)/4 {
			t.Errorf("%d bytes of %d", len(packed.body), len(plain.body))
		}
		for _, refused := range []string{"Accept-Encoding: gzip;q=0", "Accept-Encoding: br", "Accept-Encoding: identity"} {
			if got := s.must(t, 200, "GET /metadata", "", refused); got.body != plain.body || got.header.Get("Content-Encoding") != "" {
				t.Errorf("%s: not sent plain", refused)
			}
		}
	})
}
