package api

import (
	"context"
	"net/http"

	"aftercare/fhir"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"
)

// traceContext is W3C Trace Context alone: baggage from outside is not taken in, as
// nobody can say what it holds.
var traceContext propagation.TraceContext

// trace opens the request's span, as a child of the caller's where a traceparent came.
// The usual instrumentation records the URL, the client's address and its user agent,
// of which the first names patients; here the span knows method, route, type and status.
func (a *api) trace(g *gin.Context) {
	ctx := traceContext.Extract(g.Request.Context(), propagation.HeaderCarrier(g.Request.Header))
	name := method(g)
	attributes := []attribute.KeyValue{semconv.HTTPRequestMethodKey.String(method(g))}
	if route := g.FullPath(); route != "" {
		name += " " + route
		attributes = append(attributes, semconv.HTTPRoute(route))
	}
	if typ := resourceType(g); typ != "" {
		attributes = append(attributes, attribute.String("fhir.resource_type", typ))
	}
	if caller := trace.SpanContextFromContext(ctx); caller.IsRemote() {
		carrier := propagation.MapCarrier{}
		traceContext.Inject(ctx, carrier)
		ctx = context.WithValue(ctx, callerKey{}, carrier.Get("traceparent"))
	}
	ctx, span := a.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
	defer span.End()
	g.Request = g.Request.WithContext(ctx)

	carrier := propagation.MapCarrier{}
	traceContext.Inject(ctx, carrier)
	if parent := carrier.Get("traceparent"); parent != "" {
		g.Header("Traceresponse", parent)
	}

	g.Next()

	status := g.Writer.Status()
	span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
}

type callerKey struct{}

// callersTrace is the traceparent that a request came with, as far as it is one
// (https://www.w3.org/TR/trace-context/), else "".
func callersTrace(ctx context.Context) string {
	caller, _ := ctx.Value(callerKey{}).(string)
	return caller
}

// method is the request's method, or _OTHER for one that HTTP does not define, so that
// callers cannot fill logs and metrics with words of their own.
func method(g *gin.Context) string {
	switch m := g.Request.Method; m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return m
	}
	return "_OTHER"
}

// resourceType is the served type in the address, "" where there is none.
func resourceType(g *gin.Context) string {
	served, _ := fhir.Served(g.Param("type"))
	return served.Name
}
