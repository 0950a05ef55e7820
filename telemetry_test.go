package main

import (
	"bytes"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSpanExporters(t *testing.T) {
	for name, tc := range map[string]struct {
		environ []string
		want    []string
	}{
		"nothing is sent unless asked":  {nil, nil},
		"an endpoint asks":              {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318"}, []string{"otlp"}},
		"so does one for traces":        {[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c:4318"}, []string{"otlp"}},
		"one for metrics does not":      {[]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://c:4318"}, nil},
		"a name asks":                   {[]string{"OTEL_TRACES_EXPORTER=console"}, []string{"console"}},
		"two names":                     {[]string{"OTEL_TRACES_EXPORTER=otlp, console"}, []string{"otlp", "console"}},
		"none wins over an endpoint":    {[]string{"OTEL_TRACES_EXPORTER=none", "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318"}, nil},
		"disabled wins over everything": {[]string{"OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=console"}, nil},
		"the last of two values counts": {[]string{"OTEL_TRACES_EXPORTER=console", "OTEL_TRACES_EXPORTER=otlp"}, []string{"otlp"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := spanExporters(tc.environ)
			if len(got) == 0 {
				got = nil
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTelemetryRefusesWhatItCannotDo(t *testing.T) {
	for _, environ := range [][]string{
		{"OTEL_TRACES_EXPORTER=zipkin"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"},
	} {
		if _, err := newTelemetry(t.Context(), environ, io.Discard); err == nil || !strings.Contains(err.Error(), "offered") {
			t.Errorf("%v: %v", environ, err)
		}
	}
}

func TestConsoleSpansAndMetrics(t *testing.T) {
	var console bytes.Buffer
	tele, err := newTelemetry(t.Context(), []string{"OTEL_TRACES_EXPORTER=console"}, &console)
	if err != nil {
		t.Fatal(err)
	}
	_, span := tele.tracer.Tracer("test").Start(t.Context(), "a span of the test")
	span.End()

	w := httptest.NewRecorder()
	tele.metrics.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	for _, want := range []string{"go_memory_used_bytes", "process_resident_memory_bytes", `service_name="aftercare"`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in /metrics", want)
		}
	}
	if err := tele.shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(console.String(), "a span of the test") {
		t.Errorf("the span is not on the console: %s", console.String())
	}
}
