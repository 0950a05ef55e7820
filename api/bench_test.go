package api

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/subset"
	"aftercare/service"
)

// BenchmarkSurface is what the API adds to a read: routing, ids, checks, metrics and the
// log line, around 6.3 KB of stored bytes.
func BenchmarkSurface(b *testing.B) {
	a, err := newAPI(Options{Service: new(service.Service), BaseURL: publicBase, Logger: slog.New(LogHandler(slog.NewJSONHandler(io.Discard, nil)))})
	if err != nil {
		b.Fatal(err)
	}
	stored := &fhir.Resource{Type: "CarePlan", ID: "1", Version: 3, LastUpdated: time.Now(), Body: []byte(strings.Repeat("x", 6300))}
	engine := a.routes()
	engine.Group("/stored", a.around()...).GET("/:type/:id", a.handle(func(c *call) error { return a.replyResource(c, stored, subset.Subset{}) }))
	req := httptest.NewRequest(http.MethodGet, "/stored/CarePlan/1", nil)
	req.Header.Set("Accept", fhirJSON)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, req)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
	}
}

// BenchmarkAuthentication is BenchmarkSurface below the base, without and with a token, and with a
// limit of rates.
func BenchmarkAuthentication(b *testing.B) {
	s, c := startWithTokens(b, setup{})
	token := s.token(b, c, "system/CarePlan.rs")
	log := slog.New(LogHandler(slog.NewJSONHandler(io.Discard, nil)))
	stored := &fhir.Resource{Type: "CarePlan", ID: "1", Version: 3, LastUpdated: time.Now(), Body: []byte(strings.Repeat("x", 6300))}
	for _, way := range []struct {
		name    string
		options Options
	}{
		{"none", Options{}}, {"token", Options{Auth: s.authority}}, {"token and limit", Options{Auth: s.authority, Rate: Rate{1e6, 1e6}}},
	} {
		way.options.Service, way.options.BaseURL, way.options.Logger = new(service.Service), publicBase, log
		a, err := newAPI(way.options)
		if err != nil {
			b.Fatal(err)
		}
		engine := a.routes()
		engine.Group("/fhir/stored/of", a.around()...).GET("/:type/:id", a.handle(func(c *call) error { return a.replyResource(c, stored, subset.Subset{}) }))
		req := httptest.NewRequest(http.MethodGet, "/fhir/stored/of/CarePlan/1", nil)
		req.Header.Set("Accept", fhirJSON)
		req.Header.Set("Authorization", "Bearer "+token)
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				engine.ServeHTTP(w, req)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}
