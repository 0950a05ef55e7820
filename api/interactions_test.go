package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestCreate(t *testing.T) {
	s := start(t, setup{})
	a := s.do(t, http.MethodPost, s.base+"/Patient", patient).want(t, 201, "")
	var got struct {
		ID   string
		Meta struct{ VersionID, LastUpdated string }
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	if want := publicBase + "/Patient/" + got.ID + "/_history/1"; a.header.Get("Location") != want {
		t.Errorf("Location = %q, want %q", a.header.Get("Location"), want)
	}
	if a.header.Get("ETag") != `W/"1"` {
		t.Errorf("ETag = %q", a.header.Get("ETag"))
	}
	updated, err := time.Parse(time.RFC3339Nano, got.Meta.LastUpdated)
	if err != nil || a.header.Get("Last-Modified") != updated.UTC().Format(http.TimeFormat) {
		t.Errorf("Last-Modified = %q, lastUpdated %q", a.header.Get("Last-Modified"), got.Meta.LastUpdated)
	}
	if read := s.do(t, http.MethodGet, s.base+"/Patient/"+got.ID, "").want(t, 200, ""); read.body != a.body {
		t.Errorf("what is read is not what create answered: %s", read.body)
	}
}

func TestPreferOnWrites(t *testing.T) {
	s := start(t, setup{})
	minimal := s.do(t, http.MethodPost, s.base+"/Patient", patient, "Prefer", "return=minimal").want(t, 201, "")
	if minimal.body != "" || minimal.header.Get("Content-Length") != "0" || minimal.header.Get("Location") == "" || minimal.header.Get("ETag") == "" {
		t.Errorf("minimal: %+v", minimal)
	}
	outcome := s.do(t, http.MethodPost, s.base+"/Patient", patient, "Prefer", "return=OperationOutcome").want(t, 201, "")
	if got := outcome.issues(t); got[0].Severity != "information" {
		t.Errorf("outcome: %+v", got)
	}
	if whole := s.do(t, http.MethodPost, s.base+"/Patient", patient, "Prefer", "return=representation").want(t, 201, ""); !strings.Contains(whole.body, "Lovelace") {
		t.Errorf("representation: %s", whole.body)
	}
	put(t, s, "p1")
	s.do(t, http.MethodDelete, s.base+"/Patient/p1", "", "Prefer", "return=OperationOutcome").want(t, 200, "").issues(t)
}

func TestConditionalCreate(t *testing.T) {
	s := start(t, setup{})
	known := strings.Replace(patient, `,`, `,"identifier":[{"system":"urn:x","value":"7"}],`, 1)
	first := s.do(t, http.MethodPost, s.base+"/Patient", known, "If-None-Exist", "identifier=urn:x|7").want(t, 201, "")
	again := s.do(t, http.MethodPost, s.base+"/Patient", known, "If-None-Exist", "identifier=urn:x|7").want(t, 200, "")
	if again.header.Get("Location") != first.header.Get("Location") || again.body != first.body {
		t.Errorf("found %q, made %q", again.header.Get("Location"), first.header.Get("Location"))
	}
	s.createWith(t, "If-None-Exist: identifier=a", "If-None-Exist: identifier=b").want(t, 400, "invalid")
	s.createWith(t, "If-None-Exist:").want(t, 400, "invalid")
}

// createWith posts a patient with header lines as they are, which may repeat or be empty.
func (s *server) createWith(t *testing.T, lines ...string) answer {
	t.Helper()
	return raw(t, s, "POST /fhir/Patient HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"+
		strings.Join(lines, "\r\n")+"\r\nContent-Length: 2\r\n\r\n{}")
}

func TestUpdate(t *testing.T) {
	s := start(t, setup{})
	made := put(t, s, "p1")
	if made.status != 201 || made.header.Get("Location") != publicBase+"/Patient/p1/_history/1" || made.header.Get("ETag") != `W/"1"` {
		t.Fatalf("made: %+v", made)
	}
	changed := strings.Replace(withID("p1"), "Ada", "Augusta", 1)
	second := s.do(t, http.MethodPut, s.base+"/Patient/p1", changed, "If-Match", `W/"1"`).want(t, 200, "")
	if second.header.Get("ETag") != `W/"2"` || second.header.Get("Location") != "" {
		t.Fatalf("changed: %+v", second)
	}
	s.do(t, http.MethodPut, s.base+"/Patient/p1", withID("p1"), "If-Match", `W/"1"`).want(t, 412, "conflict")
	s.do(t, http.MethodPut, s.base+"/Patient/p1", withID("p1"), "If-None-Match", "*").want(t, 412, "conflict")
	if first := s.do(t, http.MethodGet, s.base+"/Patient/p1/_history/1", "").want(t, 200, ""); first.body != made.body || first.header.Get("ETag") != `W/"1"` {
		t.Fatalf("the first version: %+v", first)
	}
}

func TestDelete(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	s.do(t, http.MethodDelete, s.base+"/Patient/p1", "", "If-Match", `W/"7"`).want(t, 412, "conflict")
	gone := s.do(t, http.MethodDelete, s.base+"/Patient/p1", "").want(t, 204, "")
	if gone.body != "" || gone.header.Get("ETag") != `W/"2"` {
		t.Errorf("%+v", gone)
	}
	s.do(t, http.MethodGet, s.base+"/Patient/p1", "").want(t, 410, "deleted")
	s.do(t, http.MethodDelete, s.base+"/Patient/never", "").want(t, 204, "")
}

func TestConditionalRead(t *testing.T) {
	s := start(t, setup{})
	made := put(t, s, "p1")
	modified, err := http.ParseTime(made.header.Get("Last-Modified"))
	if err != nil {
		t.Fatal(err)
	}
	before, after := modified.Add(-time.Second).Format(http.TimeFormat), modified.Add(time.Second).Format(http.TimeFormat)
	same := modified.Format(http.TimeFormat)
	for _, c := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"same ETag", []string{"If-None-Match", `W/"1"`}, 304},
		{"same ETag, strong", []string{"If-None-Match", `"1"`}, 304},
		{"same ETag in a list", []string{"If-None-Match", `W/"7", W/"1"`}, 304},
		{"any ETag", []string{"If-None-Match", `*`}, 304},
		{"other ETag", []string{"If-None-Match", `W/"11"`}, 200},
		{"not modified since", []string{"If-Modified-Since", same}, 304},
		{"not modified since later", []string{"If-Modified-Since", after}, 304},
		{"modified since", []string{"If-Modified-Since", before}, 200},
		{"date that is none", []string{"If-Modified-Since", "yesterday"}, 200},
		{"ETag counts before the date", []string{"If-None-Match", `W/"9"`, "If-Modified-Since", after}, 200},
	} {
		for _, path := range []string{"/Patient/p1", "/Patient/p1/_history/1"} {
			t.Run(c.name+" "+path, func(t *testing.T) {
				a := s.do(t, http.MethodGet, s.base+path, "", c.headers...).want(t, c.status, "")
				if a.header.Get("ETag") != `W/"1"` || a.header.Get("Last-Modified") != same {
					t.Errorf("headers: %v", a.header)
				}
				if (a.body == "") != (c.status == 304) {
					t.Errorf("body: %q", a.body)
				}
			})
		}
	}
	s.do(t, http.MethodGet, s.base+"/Patient/nobody", "", "If-None-Match", "*").want(t, 404, "not-found")
}

func TestHeadIsGetWithoutTheBody(t *testing.T) {
	s := start(t, setup{options: func(o *Options) { o.NewID = func() string { return "fixed" } }})
	put(t, s, "p1")
	for _, path := range []string{
		"/fhir/metadata", "/fhir/Patient", "/fhir/Patient/p1", "/fhir/Patient/p1?_pretty=true", "/fhir/Patient/p1/_history",
		"/fhir/Patient/p1/_history/1", "/fhir/Patient/nobody", "/fhir/Nothing/1", "/nowhere", "/healthz", "/readyz",
		"/fhir/_history", "/fhir/Patient/_history",
	} {
		t.Run(path, func(t *testing.T) {
			get := s.do(t, http.MethodGet, s.URL+path, "")
			head := s.do(t, http.MethodHead, s.URL+path, "")
			if head.status != get.status || head.body != "" {
				t.Fatalf("GET %d, HEAD %d with %q", get.status, head.status, head.body)
			}
			if lines := s.logs.lines(t); lines[len(lines)-1]["bytes"] != 0.0 {
				t.Errorf("bytes are recorded for HEAD: %v", lines[len(lines)-1])
			}
			for _, h := range []http.Header{get.header, head.header} {
				h.Del("Date")
				h.Del("Traceresponse")
				h.Del("Audit-Receipt")
			}
			for name := range get.header {
				if get.header.Get(name) != head.header.Get(name) {
					t.Errorf("%s: GET %q, HEAD %q", name, get.header.Get(name), head.header.Get(name))
				}
			}
			if len(get.header) != len(head.header) || get.header.Get("Content-Length") == "" {
				t.Errorf("GET %v\nHEAD %v", get.header, head.header)
			}
		})
	}
}

func TestBundle(t *testing.T) {
	s := start(t, setup{})
	bundle := `{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:0b0e2a3a-6c5b-4b3e-9a6e-2f4c7d3e1a10","resource":` + patient + `,"request":{"method":"POST","url":"Patient"}}]}`
	for _, path := range []string{"", "/"} {
		if a := s.do(t, http.MethodPost, s.base+path, bundle).want(t, 200, ""); !strings.Contains(a.body, "transaction-response") {
			t.Errorf("%q: %s", path, a.body)
		}
	}
	for asked, want := range map[string]bool{"return=representation": true, "return=minimal": false} {
		if a := s.do(t, http.MethodPost, s.base, bundle, "Prefer", asked).want(t, 200, ""); strings.Contains(a.body, "Lovelace") != want {
			t.Errorf("%s: %s", asked, a.body)
		}
	}
	s.do(t, http.MethodPost, s.base, bundle, "Content-Type", "application/fhir+xml").want(t, 415, "not-supported")
}
