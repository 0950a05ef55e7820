package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// telemetry is the OpenTelemetry SDK of one run of the service.
type telemetry struct {
	tracer *sdktrace.TracerProvider
	meter  *sdkmetric.MeterProvider
	// metrics answers Prometheus.
	metrics http.Handler
}

// newTelemetry follows the standard OTEL_* variables
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
// Spans leave the process only if an endpoint or an exporter is named. Metrics are kept
// for Prometheus to fetch, those of the Go runtime included.
func newTelemetry(ctx context.Context, environ []string, stderr io.Writer) (*telemetry, error) {
	about, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName("aftercare"), semconv.ServiceVersion(versionName())),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	traceOptions := []sdktrace.TracerProviderOption{sdktrace.WithResource(about)}
	for _, name := range spanExporters(environ) {
		exporter, err := newSpanExporter(ctx, name, environ, stderr)
		if err != nil {
			return nil, err
		}
		traceOptions = append(traceOptions, sdktrace.WithBatcher(exporter))
	}

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	t := &telemetry{
		tracer:  sdktrace.NewTracerProvider(traceOptions...),
		meter:   sdkmetric.NewMeterProvider(sdkmetric.WithResource(about), sdkmetric.WithReader(reader)),
		metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	}
	if err := runtime.Start(runtime.WithMeterProvider(t.meter)); err != nil {
		return nil, fmt.Errorf("runtime metrics: %w", err)
	}
	return t, nil
}

// shutdown sends what is still waiting.
func (t *telemetry) shutdown(ctx context.Context) error {
	return errors.Join(t.tracer.Shutdown(ctx), t.meter.Shutdown(ctx))
}

// spanExporters are the exporters asked for: those of OTEL_TRACES_EXPORTER, else otlp
// where an endpoint is set, else none.
func spanExporters(environ []string) []string {
	switch {
	case lookup(environ, "OTEL_SDK_DISABLED") == "true":
		return nil
	case lookup(environ, "OTEL_TRACES_EXPORTER") != "":
		names := strings.Split(strings.ReplaceAll(lookup(environ, "OTEL_TRACES_EXPORTER"), " ", ""), ",")
		return slices.DeleteFunc(names, func(name string) bool { return name == "none" })
	case lookup(environ, "OTEL_EXPORTER_OTLP_ENDPOINT") != "", lookup(environ, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "":
		return []string{"otlp"}
	default:
		return nil
	}
}

func newSpanExporter(ctx context.Context, name string, environ []string, stderr io.Writer) (sdktrace.SpanExporter, error) {
	switch name {
	case "console":
		return stdouttrace.New(stdouttrace.WithWriter(stderr))
	case "otlp":
		for _, variable := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"} {
			if protocol := lookup(environ, variable); protocol != "" && protocol != "http/protobuf" {
				return nil, fmt.Errorf("%s: only http/protobuf is offered", variable)
			}
		}
		return otlptracehttp.New(ctx)
	default:
		return nil, errors.New("OTEL_TRACES_EXPORTER: only otlp, console and none are offered")
	}
}

// lookup is the value of a variable, the last one where it is given twice.
func lookup(environ []string, name string) (value string) {
	for _, entry := range environ {
		if n, v, _ := strings.Cut(entry, "="); n == name {
			value = v
		}
	}
	return value
}
