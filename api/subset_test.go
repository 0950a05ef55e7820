package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestPartsOfResources(t *testing.T) {
	s := start(t, setup{})
	const body = `{"resourceType":"Patient","id":"p1","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Ada</div>"},"active":true,"name":[{"family":"Lovelace"}],"gender":"female","maritalStatus":{"text":"m"}}`
	whole := s.do(t, http.MethodPut, s.base+"/Patient/p1", body).want(t, 201, "")
	has := func(a answer) (got string) {
		for _, member := range []string{"text", "active", "name", "gender", "maritalStatus"} {
			if strings.Contains(a.body, `"`+member+`":`) && (member != "text" || strings.Contains(a.body, `"text":{`)) {
				got += member + " "
			}
		}
		return strings.TrimSpace(got)
	}
	for query, want := range map[string]string{
		"_summary=true":              "active name gender",
		"_summary=text":              "text active",
		"_summary=data":              "active name gender maritalStatus",
		"_elements=maritalStatus":    "active maritalStatus",
		"_elements=id":               "active",
		"_summary=false":             "text active name gender maritalStatus",
		"":                           "text active name gender maritalStatus",
		"_summary=true&_pretty=true": "active name gender",
		"_elements=Patient.name":     "active name",
	} {
		for _, path := range []string{"/Patient/p1?", "/Patient/p1/_history/1?", "/Patient?_id=p1&"} {
			a := s.do(t, http.MethodGet, s.base+path+query, "").want(t, 200, "")
			head := s.do(t, http.MethodHead, s.base+path+query, "").want(t, 200, "")
			if got := has(a); got != want {
				t.Errorf("%s%s: %q, want %q", path, query, got, want)
			}
			if head.header.Get("Content-Length") != a.header.Get("Content-Length") {
				t.Errorf("HEAD %s%s has another length", path, query)
			}
			partial := strings.Contains(query, "_") && query != "_summary=false"
			if strings.Contains(a.body, "SUBSETTED") != partial {
				t.Errorf("%s%s: the tag is wrong: %s", path, query, a.body)
			}
			if !strings.HasSuffix(path, "&") && a.header.Get("ETag") != `W/"1"` {
				t.Errorf("%s%s: ETag %q", path, query, a.header.Get("ETag"))
			}
		}
	}
	if a := s.do(t, http.MethodGet, s.base+"/Patient/p1?_summary=false", ""); a.body != whole.body {
		t.Errorf("_summary=false changes something: %s", a.body)
	}
	s.do(t, http.MethodGet, s.base+"/Patient/p1?_summary=true", "", "If-None-Match", `W/"1"`).want(t, 304, "")
	if a := s.do(t, http.MethodPost, s.base+"/Patient/_search", url.Values{"_id": {"p1"}, "_elements": {"gender"}}.Encode(), "Content-Type", formType).want(t, 200, ""); has(a) != "active gender" {
		t.Errorf("by form: %s", a.body)
	}
	for path, code := range map[string]string{
		"/Patient/p1?_summary=count":                "not-supported",
		"/Patient/p1/_history/1?_summary=count":     "not-supported",
		"/Patient/nobody?_summary=count":            "not-supported",
		"/Patient/p1?_summary=some":                 "value",
		"/Patient/p1?_elements=shoe":                "value",
		"/Patient/p1?_elements=":                    "value",
		"/Patient/p1?_summary=true&_elements=name":  "invalid",
		"/Patient?_summary=true&_elements=name":     "invalid",
		"/Patient?_elements=name.family":            "value",
		"/Patient?_summary=true&_summary=false":     "value",
		"/Patient/p1/_history?_summary=true":        "not-supported",
		"/Patient/p1?_summary=true&_contained=both": "not-supported",
		"/Observation/p1?_elements=birthDate":       "value",
	} {
		s.do(t, http.MethodGet, s.base+path, "").want(t, 400, code)
	}
	s.do(t, http.MethodPut, s.base+"/Patient/p1?_summary=true", body).want(t, 400, "not-supported")
	s.do(t, http.MethodPost, s.base+"/Patient", patient, "If-None-Exist", "name=x&_summary=true").want(t, 400, "not-supported")
	if a := s.do(t, http.MethodGet, s.base+"/Patient?_summary=count", "").want(t, 200, ""); !strings.Contains(a.body, `"total":1`) || strings.Contains(a.body, "entry") {
		t.Errorf("count: %s", a.body)
	}
	if a := s.do(t, http.MethodGet, s.base+"/Patient?_count=0&_elements=name", "").want(t, 200, ""); !strings.Contains(a.body, `"total":1`) || strings.Contains(a.body, "entry") {
		t.Errorf("_count=0: %s", a.body)
	}
}

func TestPagesOfPartsStayParts(t *testing.T) {
	s := start(t, setup{})
	for _, id := range []string{"a", "b", "c"} {
		put(t, s, id)
	}
	for _, query := range []string{"_elements=birthDate", "_summary=text"} {
		next, pages := publicBase+"/Patient?_count=1&"+query, 0
		for ; next != ""; pages++ {
			a := s.do(t, http.MethodGet, strings.Replace(next, publicBase, s.base, 1), "").want(t, 200, "")
			if strings.Contains(a.body, "Lovelace") || !strings.Contains(a.body, "SUBSETTED") {
				t.Errorf("page %d: %s", pages+1, a.body)
			}
			_, link, more := strings.Cut(a.body, `{"relation":"next","url":"`)
			if next = ""; more {
				next, _, _ = strings.Cut(link, `"`)
			}
		}
		if pages != 3 {
			t.Errorf("%s: %d pages", query, pages)
		}
	}
}
