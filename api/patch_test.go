package api

import (
	"net/http"
	"strings"
	"testing"
)

func TestPatchByMediaType(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	url := s.base + "/Patient/p1"
	const operations = `[{"op":"add","path":"/active","value":true}]`
	const parameters = `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.active"},{"name":"value","valueBoolean":false}]}]}`
	a := s.do(t, http.MethodPatch, url, operations, "Content-Type", jsonPatch).want(t, 200, "")
	if a.header.Get("ETag") != `W/"2"` || !strings.Contains(a.body, `"active":true`) {
		t.Errorf("JSON Patch: %s %s", a.header.Get("ETag"), a.body)
	}
	a = s.do(t, http.MethodPatch, url, parameters, "Content-Type", fhirJSON, "If-Match", `W/"2"`).want(t, 200, "")
	if a.header.Get("ETag") != `W/"3"` || !strings.Contains(a.body, `"active":false`) {
		t.Errorf("FHIRPath Patch: %s %s", a.header.Get("ETag"), a.body)
	}
	s.do(t, http.MethodPatch, url, operations, "Content-Type", jsonPatch, "If-Match", `W/"2"`).want(t, 412, "conflict")
	s.do(t, http.MethodPatch, url, operations, "Content-Type", "application/xml-patch+xml").want(t, 415, "not-supported")
	s.do(t, http.MethodPatch, url, operations, "Content-Type", fhirJSON).want(t, 400, "structure")
	s.do(t, http.MethodPatch, url, `[{"op":"test","path":"/active","value":true}]`, "Content-Type", jsonPatch).want(t, 422, "conflict")
	s.do(t, http.MethodPatch, s.base+"/Patient/nobody", operations, "Content-Type", jsonPatch).want(t, 404, "not-found")
}

func TestConditionalWrites(t *testing.T) {
	s := start(t, setup{})
	const query = "/Patient?identifier=http://x.example%7C1"
	body := `{"resourceType":"Patient","identifier":[{"system":"http://x.example","value":"1"}]}`
	a := s.do(t, http.MethodPut, s.base+query, body, "Content-Type", fhirJSON).want(t, 201, "")
	if !strings.HasSuffix(a.header.Get("Location"), "/_history/1") {
		t.Errorf("Location %q", a.header.Get("Location"))
	}
	s.do(t, http.MethodPut, s.base+query, strings.Replace(body, `"identifier"`, `"active":true,"identifier"`, 1), "Content-Type", fhirJSON).want(t, 200, "")
	s.do(t, http.MethodPatch, s.base+query, `[{"op":"remove","path":"/active"}]`, "Content-Type", jsonPatch).want(t, 200, "")
	s.do(t, http.MethodPatch, s.base+"/Patient?identifier=none", `[]`, "Content-Type", jsonPatch).want(t, 404, "not-found")
	s.do(t, http.MethodPost, s.base+"/Patient", body, "Content-Type", fhirJSON).want(t, 201, "")
	s.do(t, http.MethodPut, s.base+query, body, "Content-Type", fhirJSON).want(t, 412, "multiple-matches")
	s.do(t, http.MethodDelete, s.base+query, "").want(t, 412, "multiple-matches")
}
