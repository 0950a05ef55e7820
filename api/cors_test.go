package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestCORS(t *testing.T) {
	const mine, other = "https://dashboard.example", "https://evil.example"
	s := start(t, setup{options: func(o *Options) { o.CORSOrigins = []string{mine, "http://localhost:3000"} }})
	put(t, s, "p1")
	preflight := func(origin, path string) answer {
		return s.do(t, http.MethodOptions, s.base+path, "", "Origin", origin,
			"Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "authorization,content-type,if-match")
	}
	for _, path := range []string{"", "/Patient", "/Patient/p1", "/Patient/_search", "/Patient/p1/_history", "/metadata", "/Patient/p1/$everything"} {
		a := preflight(mine, path).want(t, 204, "")
		if a.header.Get("Access-Control-Allow-Origin") != mine || a.header.Get("Access-Control-Max-Age") == "" || a.body != "" {
			t.Errorf("%s: %v", path, a.header)
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			if !slices.Contains(strings.Split(a.header.Get("Access-Control-Allow-Methods"), ", "), method) {
				t.Errorf("%s: %s is missing", path, method)
			}
		}
		for _, header := range []string{"If-Match", "If-None-Match", "If-None-Exist", "Prefer", "X-Request-Id", "traceparent", "Content-Type", "Authorization", "Accept"} {
			if !slices.Contains(strings.Split(a.header.Get("Access-Control-Allow-Headers"), ", "), header) {
				t.Errorf("%s: %s is missing", path, header)
			}
		}
	}
	a := s.do(t, http.MethodGet, s.base+"/Patient/p1", "", "Origin", mine).want(t, 200, "")
	for _, header := range []string{"ETag", "Location", "Last-Modified", "X-Request-Id", "Content-Location", "Traceresponse"} {
		if !slices.Contains(strings.Split(a.header.Get("Access-Control-Expose-Headers"), ", "), header) {
			t.Errorf("%s is not exposed", header)
		}
	}
	for name, a := range map[string]answer{
		"read":           a,
		"error":          s.do(t, http.MethodGet, s.base+"/Patient/nobody", "", "Origin", mine).want(t, 404, ""),
		"no such route":  s.do(t, http.MethodGet, s.base+"/a/b/c/d/e", "", "Origin", mine).want(t, 404, ""),
		"wrong method":   s.do(t, http.MethodPost, s.base+"/Patient/p1", "", "Origin", mine).want(t, 405, ""),
		"create":         s.do(t, http.MethodPost, s.base+"/Patient", patient, "Origin", mine).want(t, 201, ""),
		"second origin":  s.do(t, http.MethodGet, s.base+"/Patient/p1", "", "Origin", "http://localhost:3000").want(t, 200, ""),
		"plain OPTIONS":  s.do(t, http.MethodOptions, s.base+"/Patient/p1", "", "Origin", mine).want(t, 204, ""),
		"search by form": s.do(t, http.MethodPost, s.base+"/Patient/_search", "", "Origin", mine).want(t, 200, ""),
	} {
		if got := a.header.Get("Access-Control-Allow-Origin"); got != mine && got != "http://localhost:3000" || !slices.Contains(a.header.Values("Vary"), "Origin") {
			t.Errorf("%s: %v", name, a.header)
		}
		if a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: cookies are let in", name)
		}
	}
	for name, a := range map[string]answer{
		"another origin":                 s.do(t, http.MethodGet, s.base+"/Patient/p1", "", "Origin", other),
		"another origin's preflight":     preflight(other, "/Patient/p1"),
		"null":                           s.do(t, http.MethodGet, s.base+"/Patient/p1", "", "Origin", "null"),
		"an origin that begins the same": preflight(mine+".evil.example", "/Patient/p1"),
		"another scheme":                 preflight("http://dashboard.example", "/Patient/p1"),
		"another port":                   preflight(mine+":8443", "/Patient/p1"),
		"no origin":                      s.do(t, http.MethodGet, s.base+"/Patient/p1", ""),
	} {
		for header := range a.header {
			if strings.HasPrefix(header, "Access-Control-") {
				t.Errorf("%s: %s is set", name, header)
			}
		}
		if !slices.Contains(a.header.Values("Vary"), "Origin") {
			t.Errorf("%s: Vary lacks Origin, so a cache may mix answers up: %v", name, a.header)
		}
	}
	if h := s.do(t, http.MethodGet, s.URL+"/healthz", "", "Origin", mine).header; h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("health: %v", h)
	}
}

func TestWithoutOriginsThereIsNoCORS(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	for _, a := range []answer{
		s.do(t, http.MethodGet, s.base+"/Patient/p1", "", "Origin", "https://dashboard.example"),
		s.do(t, http.MethodOptions, s.base+"/Patient/p1", "", "Origin", "https://dashboard.example", "Access-Control-Request-Method", "PUT"),
	} {
		for header := range a.header {
			if strings.HasPrefix(header, "Access-Control-") || strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Origin") {
				t.Errorf("%s: %v", header, a.header)
			}
		}
	}
}
