package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// serverSpans leaves out the spans that the service opens inside.
func (s *server) serverSpans() []tracetest.SpanStub {
	var out []tracetest.SpanStub
	for _, span := range s.spans.GetSpans() {
		if span.SpanKind == trace.SpanKindServer {
			out = append(out, span)
		}
	}
	return out
}

func TestTraceparentIsContinued(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	s.spans.Reset()
	const traceID, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	a := s.do(t, http.MethodGet, s.base+"/Patient/p1", "", "Traceparent", "00-"+traceID+"-"+parent+"-01", "X-Request-Id", "r1").want(t, 200, "")
	spans := s.serverSpans()
	if len(spans) != 1 {
		t.Fatalf("%d server spans", len(spans))
	}
	span := spans[0]
	if span.SpanContext.TraceID().String() != traceID || span.Parent.SpanID().String() != parent || !span.Parent.IsRemote() {
		t.Errorf("span %v of parent %v", span.SpanContext, span.Parent)
	}
	if want := "00-" + traceID + "-" + span.SpanContext.SpanID().String() + "-01"; a.header.Get("Traceresponse") != want {
		t.Errorf("Traceresponse = %q, want %q", a.header.Get("Traceresponse"), want)
	}
	if span.Name != "GET /fhir/:type/:id" {
		t.Errorf("name %q", span.Name)
	}
	want := []attribute.KeyValue{
		attribute.String("http.request.method", "GET"), attribute.String("http.route", "/fhir/:type/:id"),
		attribute.String("fhir.resource_type", "Patient"), attribute.StringSlice("fhir.audit.id", []string{"3"}), attribute.Int("http.response.status_code", 200),
	}
	if fmt.Sprint(span.Attributes) != fmt.Sprint(want) {
		t.Errorf("attributes %v, want %v", span.Attributes, want)
	}
	lines := s.logs.lines(t)
	line := lines[len(lines)-1]
	for key, want := range map[string]any{
		"msg": "request", "level": "INFO", "method": "GET", "route": "/fhir/:type/:id", "resource_type": "Patient", "status": 200.0,
		"bytes": float64(len(a.body)), "request_id": "r1", "traceparent": "00-" + traceID + "-" + parent + "-01", "trace_id": traceID, "span_id": span.SpanContext.SpanID().String(),
	} {
		if line[key] != want {
			t.Errorf("log %s = %v, want %v", key, line[key], want)
		}
	}
	if d, ok := line["duration_ms"].(float64); !ok || d <= 0 {
		t.Errorf("duration_ms = %v", line["duration_ms"])
	}
}

func TestBadTraceparentStartsANewTrace(t *testing.T) {
	s := start(t, setup{})
	for _, bad := range []string{"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "nonsense"} {
		s.spans.Reset()
		s.do(t, http.MethodGet, s.base+"/metadata", "", "Traceparent", bad)
		if span := s.serverSpans()[0]; !span.SpanContext.IsValid() || span.Parent.IsValid() {
			t.Errorf("%s: %v of %v", bad, span.SpanContext, span.Parent)
		}
	}
}

func TestServerFaultsMarkTheSpan(t *testing.T) {
	s := start(t, setup{})
	s.do(t, http.MethodGet, s.base+"/Patient/nobody", "").want(t, 404, "")
	s.breakStore()
	if a := s.do(t, http.MethodGet, s.base+"/Patient/nobody", ""); a.status < 500 {
		t.Fatalf("status %d", a.status)
	}
	spans := s.serverSpans()
	if spans[0].Status.Code != codes.Unset || spans[1].Status.Code != codes.Error || spans[1].Status.Description != "" {
		t.Errorf("%v %v", spans[0].Status, spans[1].Status)
	}
	lines := s.logs.lines(t)
	if last := lines[len(lines)-1]; last["level"] != "ERROR" || last["cause"] == nil {
		t.Errorf("log: %v", last)
	}
}

func TestProbesAreNotTraced(t *testing.T) {
	s := start(t, setup{})
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		s.do(t, http.MethodGet, s.URL+path, "").want(t, 200, "")
	}
	if spans := s.serverSpans(); len(spans) != 0 {
		t.Errorf("spans: %v", spans)
	}
	for _, line := range s.logs.lines(t) {
		if line["level"] != "DEBUG" || line["request_id"] == nil {
			t.Errorf("log: %v", line)
		}
	}
}

// Nothing that is sent may show up in a log line, a span or a metric: not from the path,
// the query, a header, the form or the body, whether the request succeeds or fails.
func TestNothingOfThePatientIsRecorded(t *testing.T) {
	s := start(t, setup{})
	const id, number, name = "id-943-476-5919", "9434765919", "Zebedee"
	body := func(id string) string {
		return `{"resourceType":"Patient","id":"` + id + `","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + number + `"}],"name":[{"family":"` + name + `"}]}`
	}
	agent := []string{"User-Agent", "agent-" + number, "Referer", "https://x/" + id, "Baggage", "patient=" + number, "X-Forwarded-For", "203.0.113.77"}
	requests := [][3]string{
		{"PUT", "/fhir/Patient/" + id, body(id)},
		{"GET", "/fhir/Patient/" + id, ""},
		{"GET", "/fhir/Patient/" + id + "/_history/1", ""},
		{"GET", "/fhir/Patient/" + id + "/_history/" + number, ""},
		{"GET", "/fhir/Patient/" + id + "/_history?_count=" + name, ""},
		{"GET", "/fhir/Patient?family=" + name + "&identifier=" + number, ""},
		{"GET", "/fhir/Patient?" + name + "=" + number, ""},
		{"GET", "/fhir/Patient?birthdate=" + name, ""},
		{"GET", "/fhir/Patient/" + id + "?" + name + "=" + number, ""},
		{"GET", "/fhir/" + name + "/" + number, ""},
		{"GET", "/fhir/" + name + "/" + number + "/" + id + "/x/y", ""},
		{"GET", "/" + name, ""},
		{"GET", "/fhir/Patient/" + id + "%2F" + name, ""},
		{"PATCH", "/fhir/Patient/" + id, "{}"},
		{name, "/fhir/Patient/" + id, ""},
		{"POST", "/fhir/Patient", body(id)},
		{"POST", "/fhir/Patient", `{"resourceType":"` + name + `"}`},
		{"POST", "/fhir/Patient", `{"` + name + `":"` + number},
		{"POST", "/fhir/Patient", `{"resourceType":"Patient","` + name + `":"` + number + `","birthDate":"` + number + `"}`},
		{"PUT", "/fhir/Patient/" + id, body("other-" + id)},
		{"POST", "/fhir", `{"resourceType":"Bundle","type":"` + name + `"}`},
		{"POST", "/fhir", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"GET","url":"Patient/` + id + `-x"}}]}`},
		{"DELETE", "/fhir/Patient/" + id, ""},
		{"GET", "/fhir/Patient/" + id, ""},
	}
	for range 2 { // the second time with a store that fails
		for _, r := range requests {
			s.do(t, r[0], s.URL+r[1], r[2], append(agent, "If-None-Exist", "")...)
			s.do(t, r[0], s.URL+r[1], r[2], append(agent, "If-None-Exist", "identifier="+number, "If-Match", `W/"`+number+`"`)...)
		}
		s.do(t, "POST", s.base+"/Patient/_search", "family="+name, "Content-Type", formType)
		s.breakStore()
	}
	var metrics metricdata.ResourceMetrics
	if err := s.meters.Collect(t.Context(), &metrics); err != nil {
		t.Fatal(err)
	}
	recorded := map[string]string{"logs": s.logs.String(), "metrics": fmt.Sprintf("%+v", metrics)}
	for i, span := range s.spans.GetSpans() {
		recorded[fmt.Sprintf("span %d", i)] = fmt.Sprintf("%s %v %v %v %v", span.Name, span.Attributes, span.Events, span.Status, span.Links)
	}
	if len(recorded) < 2*len(requests) {
		t.Fatalf("only %d records", len(recorded))
	}
	for where, text := range recorded {
		for _, private := range []string{number, "943-476", name, "203.0.113"} {
			if i := strings.Index(text, private); i >= 0 {
				t.Errorf("%s: %s", where, text[max(0, i-300):min(len(text), i+100)])
			}
		}
	}
}

func TestRequestsAreMeasured(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	for range 3 {
		s.do(t, http.MethodGet, s.base+"/Patient/p1", "")
	}
	s.do(t, http.MethodGet, s.base+"/Patient/nobody", "")
	s.do(t, http.MethodGet, s.URL+"/nowhere", "")
	s.do(t, "BREW", s.base+"/Patient/p1", "")
	s.do(t, http.MethodGet, s.URL+"/healthz", "")
	var all metricdata.ResourceMetrics
	if err := s.meters.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	active := int64(-1)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				if m.Name != "http.server.request.duration" || m.Unit != "s" {
					t.Errorf("metric %s in %s", m.Name, m.Unit)
				}
				for _, p := range data.DataPoints {
					key := ""
					for _, kv := range p.Attributes.ToSlice() {
						key += kv.Value.String() + " "
					}
					got[key] = p.Count
				}
			case metricdata.Sum[int64]:
				active = 0
				for _, p := range data.DataPoints {
					active += p.Value
				}
			}
		}
	}
	want := map[string]uint64{
		"PUT 201 /fhir/:type/:id ": 1, "GET 200 /fhir/:type/:id ": 3, "GET 404 /fhir/:type/:id ": 1, "GET 404 ": 1, "_OTHER 405 ": 1,
	}
	// Attribute sets are sorted by key: method, status code, route.
	norm := map[string]uint64{}
	for k, v := range got {
		norm[k] = v
	}
	for k, v := range want {
		parts := strings.Fields(k)
		key := parts[0] + " " + parts[1] + " "
		if len(parts) == 3 {
			key += parts[2] + " "
		}
		if norm[key] != v {
			t.Errorf("%s: %d, want %d (all: %v)", key, norm[key], v, got)
		}
	}
	if len(got) != len(want) || active != 0 {
		t.Errorf("%v, active %d", got, active)
	}
}

func TestLogHandlerKeepsAttributesAndLevels(t *testing.T) {
	var out logBuffer
	h := LogHandler(slog.NewJSONHandler(&out, nil))
	if h.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("debug is on")
	}
	slog.New(h).With("a", 1).InfoContext(t.Context(), "outside", "b", 2)
	line := out.lines(t)[0]
	if line["a"] != 1.0 || line["b"] != 2.0 || line["request_id"] != nil || line["trace_id"] != nil {
		t.Errorf("%v", line)
	}
}
