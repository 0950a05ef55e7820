package store

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// postgresTelemetry makes a span of every exchange with the server, inside a span of the caller
// only, and counts how long they take
// (https://opentelemetry.io/docs/specs/semconv/database/postgresql/).
type postgresTelemetry struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
	system   attribute.KeyValue
}

func newPostgresTelemetry(o Options, database string) (*postgresTelemetry, error) {
	tracers, meters := o.TracerProvider, o.MeterProvider
	if tracers == nil {
		tracers = otel.GetTracerProvider()
	}
	if meters == nil {
		meters = otel.GetMeterProvider()
	}
	const name = "aftercare/service/store"
	duration, err := meters.Meter(name).Float64Histogram("db.client.operation.duration", metric.WithUnit("s"),
		metric.WithDescription("How long an exchange with the database takes."),
		metric.WithExplicitBucketBoundaries(0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10))
	return &postgresTelemetry{tracers.Tracer(name), duration, attribute.String("db.system.name", "postgresql")}, err
}

// start begins a span that holds the texts of statements, without their values. The function that
// it returns ends it; of an error it keeps the code alone, for the text may hold values.
func (t *postgresTelemetry) start(ctx context.Context, queue []query, last *query) (context.Context, func(error)) {
	began := time.Now()
	var span trace.Span
	if trace.SpanFromContext(ctx).IsRecording() {
		if last != nil {
			queue = append(queue[:len(queue):len(queue)], *last)
		}
		var texts []string
		for _, q := range queue {
			text := q.text
			if q.into != nil {
				text = q.into.one
			}
			if len(texts) == 0 || texts[len(texts)-1] != text {
				texts = append(texts, text)
			}
		}
		name, _, _ := strings.Cut(texts[len(texts)-1], " ")
		ctx, span = t.tracer.Start(ctx, "postgresql "+name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			t.system, attribute.String("db.query.text", strings.Join(texts, "; ")), attribute.Int("db.operation.batch.size", len(queue))))
	}
	return ctx, func(err error) {
		attributes := []attribute.KeyValue{t.system}
		if err != nil {
			kind := code(err)
			if kind == "" {
				kind = "_OTHER"
			}
			attributes = append(attributes, attribute.String("error.type", kind))
		}
		t.duration.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(attributes...))
		if span != nil {
			if err != nil {
				span.SetAttributes(attributes[1])
				span.SetStatus(codes.Error, "")
			}
			span.End()
		}
	}
}
