package api

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
)

func TestTakesGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"":                         false,
		"identity":                 false,
		"br, deflate":              false,
		"gzip":                     true,
		"GZIP":                     true,
		"x-gzip":                   true,
		"deflate, gzip;q=1.0":      true,
		"gzip;q=0.001":             true,
		"gzip ; Q = 0.5":           true,
		"*":                        true,
		"br;q=1.0, *;q=0.1":        true,
		"gzip;q=0":                 false,
		"gzip;q=0.0":               false,
		"gzip;q=0, *":              false,
		"*, gzip;q=0":              false,
		"*;q=0":                    false,
		"gzip;q=high":              false,
		"gzipped":                  false,
		"identity;q=1, gzip;q=0.5": true,
	} {
		if got := takesGzip(http.Header{"Accept-Encoding": {header}}); got != want {
			t.Errorf("Accept-Encoding: %s: %v, want %v", header, got, want)
		}
	}
	if !takesGzip(http.Header{"Accept-Encoding": {"br", "gzip"}}) {
		t.Error("the second header is not seen")
	}
}

// long is a patient whose body is over the size that is compressed.
func long(t testing.TB, s *server, id string) {
	t.Helper()
	given := `"given":["` + strings.Repeat(`Ada","`, 400) + `Ada"]`
	s.do(t, http.MethodPut, s.base+"/Patient/"+id, strings.Replace(withID(id), `"given":["Ada"]`, given, 1)).want(t, 201, "")
}

func unzip(t testing.TB, body string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestGzip(t *testing.T) {
	s := start(t, setup{options: func(o *Options) { o.NewID = func() string { return "fixed" } }})
	long(t, s, "p1")
	put(t, s, "short")
	for _, path := range []string{"/Patient/p1", "/Patient/p1?_pretty=true", "/Patient/p1?_elements=name", "/Patient", "/Patient/p1/_history", "/metadata", "/_history"} {
		t.Run(path, func(t *testing.T) {
			plain := s.do(t, http.MethodGet, s.base+path, "").want(t, 200, "")
			zipped := s.do(t, http.MethodGet, s.base+path, "", "Accept-Encoding", "gzip").want(t, 200, "")
			head := s.do(t, http.MethodHead, s.base+path, "", "Accept-Encoding", "gzip").want(t, 200, "")
			if plain.header.Get("Content-Encoding") != "" || zipped.header.Get("Content-Encoding") != "gzip" || unzip(t, zipped.body) != plain.body {
				t.Errorf("plain %v, zipped %v", plain.header, zipped.header)
			}
			if len(zipped.body) >= len(plain.body) || zipped.header.Get("Content-Length") != strconv.Itoa(len(zipped.body)) {
				t.Errorf("%d bytes as %d, Content-Length %s", len(plain.body), len(zipped.body), zipped.header.Get("Content-Length"))
			}
			for _, name := range []string{"ETag", "Content-Type", "Vary"} {
				if plain.header.Get(name) != zipped.header.Get(name) {
					t.Errorf("%s: plain %q, zipped %q", name, plain.header.Get(name), zipped.header.Get(name))
				}
			}
			for _, name := range []string{"ETag", "Content-Type", "Vary", "Content-Length", "Content-Encoding"} {
				if head.header.Get(name) != zipped.header.Get(name) {
					t.Errorf("%s: HEAD %q, GET %q", name, head.header.Get(name), zipped.header.Get(name))
				}
			}
		})
	}
	for name, a := range map[string]answer{
		"short":      s.do(t, http.MethodGet, s.base+"/Patient/short", "", "Accept-Encoding", "gzip").want(t, 200, ""),
		"no body":    s.do(t, http.MethodGet, s.base+"/Patient/p1", "", "Accept-Encoding", "gzip", "If-None-Match", `W/"1"`).want(t, 304, ""),
		"not wanted": s.do(t, http.MethodGet, s.base+"/Patient/p1", "", "Accept-Encoding", "gzip;q=0").want(t, 200, ""),
		"error":      s.do(t, http.MethodGet, s.base+"/Patient/nobody", "", "Accept-Encoding", "gzip").want(t, 404, "not-found"),
	} {
		if a.header.Get("Content-Encoding") != "" || a.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %v", name, a.header)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if a := s.do(t, http.MethodGet, s.URL+path, "", "Accept-Encoding", "gzip").want(t, 200, ""); a.header.Get("Vary")+a.header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	made := s.do(t, http.MethodPost, s.base+"/Patient", strings.Replace(patient, "Ada", strings.Repeat("Ada ", 400)+"x", 1), "Accept-Encoding", "gzip").want(t, 201, "")
	if made.header.Get("Content-Encoding") != "gzip" || !strings.Contains(unzip(t, made.body), "Lovelace") {
		t.Errorf("create: %v", made.header)
	}
}

func TestLongErrorsAreCompressed(t *testing.T) {
	s := start(t, setup{})
	var unknown strings.Builder
	for i := range 40 {
		fmt.Fprintf(&unknown, `"a%d":1,`, i)
	}
	body := strings.Replace(patient, `"name"`, unknown.String()+`"name"`, 1)
	plain := s.do(t, http.MethodPost, s.base+"/Patient", body).want(t, 400, "")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+"/Patient", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {fhirJSON}, "Accept-Encoding": {"gzip"}}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil || res.Header.Get("Content-Encoding") != "gzip" || unzip(t, string(got)) != plain.body {
		t.Errorf("%v %v: %d bytes plain, %d zipped", err, res.Header, len(plain.body), len(got))
	}
}

func TestCompressAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			body := bytes.Repeat(fmt.Appendf(nil, "line %d\n", i), 500)
			g, _ := gin.CreateTestContext(httptest.NewRecorder())
			g.Set(gzipKey, true)
			if got := unzip(t, string(compress(g, body))); got != string(body) {
				t.Error("another body came back")
			}
		})
	}
	wg.Wait()
}

func BenchmarkGzip(b *testing.B) {
	s := start(b, setup{})
	plain := s.do(b, http.MethodGet, s.base+"/PlanDefinition", "").body
	g, _ := gin.CreateTestContext(httptest.NewRecorder())
	g.Set(gzipKey, true)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	out := 0
	for b.Loop() {
		out = len(compress(g, []byte(plain)))
	}
	b.ReportMetric(float64(len(plain))/float64(out), "ratio")
}
