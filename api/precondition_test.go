package api

import (
	"net/http"
	"strings"
	"testing"
)

func TestIfNoneMatchOnWrites(t *testing.T) {
	s := start(t, setup{})
	changed := strings.Replace(withID("p1"), "Ada", "Augusta", 1)
	url := s.base + "/Patient/p1"
	s.do(t, http.MethodPut, url, withID("p1"), "If-None-Match", "*").want(t, 201, "")
	s.do(t, http.MethodPut, url, withID("p1"), "If-None-Match", "*").want(t, 412, "conflict")
	s.do(t, http.MethodPut, url, changed, "If-None-Match", `W/"7", W/"1"`).want(t, 412, "conflict")
	s.do(t, http.MethodPut, url, changed, "If-None-Match", `W/"7"`, "If-Match", `W/"1"`).want(t, 200, "")
	s.do(t, http.MethodPut, url, withID("p1"), "If-Match", `W/"1", W/"2"`).want(t, 200, "")
	s.do(t, http.MethodPut, s.base+"/Patient?family=Lovelace", changed, "If-None-Match", "*").want(t, 412, "conflict")
	s.do(t, http.MethodPatch, url, `[]`, "Content-Type", jsonPatch, "If-None-Match", `W/"3"`).want(t, 412, "conflict")
	s.do(t, http.MethodDelete, url, "", "If-None-Match", `W/"3"`).want(t, 412, "conflict")
	if a := s.do(t, http.MethodGet, url, "").want(t, 200, ""); a.header.Get("ETag") != `W/"3"` {
		t.Errorf("a refused write changed something: %s", a.body)
	}
	s.do(t, http.MethodDelete, url, "").want(t, 204, "")
	s.do(t, http.MethodPut, url, withID("p1"), "If-None-Match", "*").want(t, 201, "")
}

// A client whose ETag is missing must not overwrite without a check.
func TestEmptyPreconditionsAreRefused(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	body := withID("p1")
	for _, line := range []string{"If-Match:", "If-Match: ,", "If-None-Match:", "If-Match: W/\"1\"\r\nIf-Match:"} {
		for _, request := range []string{"PUT /fhir/Patient/p1", "DELETE /fhir/Patient/p1", "PATCH /fhir/Patient/p1"} {
			raw(t, s, request+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"+line+"\r\nContent-Length: "+
				"2\r\n\r\n{}").want(t, 400, "invalid")
		}
	}
	s.do(t, http.MethodPut, s.base+"/Patient/p1", body).want(t, 200, "")
}

func TestPreconditionsOverSeveralHeaders(t *testing.T) {
	h := http.Header{"If-Match": {`W/"1"`, `W/"2"`}}
	if p, err := preconditions(h); err != nil || p.IfMatch != `W/"1",W/"2"` || p.IfNoneMatch != "" {
		t.Errorf("%+v %v", p, err)
	}
}

// A condition that says nothing about what is asked is not passed over.
func TestConditionsThatSayNothingAreRefused(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	const transaction = `{"resourceType":"Bundle","type":"transaction"}`
	for _, c := range []struct{ method, path, body, header, value, says string }{
		{"POST", "/Patient", patient, "If-None-Match", "*", "If-None-Exist asks"},
		{"POST", "/Patient", patient, "If-Match", `W/"1"`, "If-None-Exist asks"},
		{"PUT", "/Patient/p1", withID("p1"), "If-None-Exist", "identifier=1", "If-None-Match: * asks"},
		{"PUT", "/Patient?identifier=1", patient, "If-None-Exist", "identifier=1", "If-None-Match: * asks"},
		{"PATCH", "/Patient/p1", `{"resourceType":"Parameters"}`, "If-None-Exist", "identifier=1", "a create"},
		{"DELETE", "/Patient/p1", "", "If-None-Exist", "identifier=1", "a create"},
		{"POST", "", transaction, "If-None-Exist", "identifier=1", "entries"},
		{"POST", "", transaction, "If-Match", `W/"1"`, "entries"},
		{"POST", "/Patient/p1/$meta-add", tagParameters, "If-None-Exist", "identifier=1", "a create"},
		{"POST", "/Patient/p1/$everything", "", "If-Match", `W/"1"`, "changes nothing"},
	} {
		t.Run(c.header+" on "+c.method+" "+c.path, func(t *testing.T) {
			if a := s.do(t, c.method, s.base+c.path, c.body, c.header, c.value).want(t, 400, "not-supported"); !strings.Contains(a.body, c.says) {
				t.Errorf("%s", a.body)
			}
		})
	}
	if a := s.do(t, http.MethodGet, s.base+"/_history?_count=1", "").want(t, 200, ""); !strings.Contains(a.body, `"fullUrl":"`+publicBase+`/Patient/p1"`) || strings.Contains(a.body, `"versionId":"2"`) {
		t.Errorf("something was stored: %s", a.body)
	}
	s.do(t, http.MethodPost, s.base+"/Patient/_search", "", "If-Match", "*").want(t, 200, "")
}
