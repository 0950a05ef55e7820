package api

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"aftercare/api/auth"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
)

// meters are the HTTP server metrics of the OpenTelemetry conventions
// (https://opentelemetry.io/docs/specs/semconv/http/http-metrics/). The count of the
// duration is the number of requests.
type meters struct {
	duration metric.Float64Histogram
	active   metric.Int64UpDownCounter
	// refused counts tokens by the word that says why.
	refused metric.Int64Counter
}

func newMeters(m metric.Meter) (meters, error) {
	duration, err := m.Float64Histogram("http.server.request.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of FHIR requests."),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10))
	if err != nil {
		return meters{}, err
	}
	active, err := m.Int64UpDownCounter("http.server.active_requests",
		metric.WithUnit("{request}"), metric.WithDescription("FHIR requests that are being answered."))
	if err != nil {
		return meters{}, err
	}
	refused, err := m.Int64Counter("aftercare.auth.refused",
		metric.WithUnit("{request}"), metric.WithDescription("Requests whose token was missing or not acceptable, by reason."))
	return meters{duration, active, refused}, err
}

// countRefusal counts a request that was not let in.
func (a *api) countRefusal(g *gin.Context, err error) {
	var refused *auth.Refusal
	if errors.As(err, &refused) {
		a.meters.refused.Add(g.Request.Context(), 1, metric.WithAttributes(attribute.String("reason", refused.Reason)))
	}
}

// measure counts and times the request by method, route and status.
func (a *api) measure(g *gin.Context) {
	ctx, start := g.Request.Context(), time.Now()
	asked := metric.WithAttributes(semconv.HTTPRequestMethodKey.String(method(g)))
	a.meters.active.Add(ctx, 1, asked)
	defer func() {
		a.meters.active.Add(ctx, -1, asked)
		status := g.Writer.Status()
		attributes := []attribute.KeyValue{
			semconv.HTTPRequestMethodKey.String(method(g)),
			semconv.HTTPResponseStatusCode(status),
		}
		if route := g.FullPath(); route != "" {
			attributes = append(attributes, semconv.HTTPRoute(route))
		}
		if status >= http.StatusInternalServerError {
			attributes = append(attributes, semconv.ErrorTypeKey.String(strconv.Itoa(status)))
		}
		a.meters.duration.Record(ctx, time.Since(start).Seconds(), metric.WithAttributes(attributes...))
	}()
	g.Next()
}
