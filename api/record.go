package api

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"aftercare/api/auth"
	"aftercare/fhir"

	"github.com/gin-gonic/gin"
)

// record writes one log line per request. Of an error it gives the issue codes, and the
// cause where the fault is ours: causes of refusals may quote what the caller sent.
func (a *api) record(g *gin.Context) {
	start := time.Now()
	defer func() {
		status := g.Writer.Status()
		attributes := []slog.Attr{
			slog.String("method", method(g)),
			slog.String("route", g.FullPath()),
			slog.Int("status", status),
			slog.Float64("duration_ms", float64(time.Since(start).Microseconds())/1000),
			slog.Int("bytes", max(g.Writer.Size(), 0)),
		}
		if name := callerName(g); name != "" {
			attributes = append(attributes, slog.String("client", name))
		}
		if typ := resourceType(g); typ != "" {
			attributes = append(attributes, slog.String("resource_type", typ))
		}
		level := slog.LevelInfo
		switch route := g.FullPath(); {
		case status >= http.StatusInternalServerError:
			level = slog.LevelError
		case route == healthRoute || route == readyRoute || route == metricsRoute:
			level = slog.LevelDebug
		}
		if failure := g.Errors.Last(); failure != nil {
			attributes = append(attributes, describeError(failure.Err)...)
		}
		a.log.LogAttrs(g.Request.Context(), level, "request", attributes...)
	}()
	g.Next()
}

func describeError(err error) []slog.Attr {
	var attributes []slog.Attr
	var e *fhir.Error
	if errors.As(err, &e) {
		var codes []string
		for _, i := range e.Issues {
			codes = append(codes, i.Code)
		}
		attributes = append(attributes, slog.String("error", strings.Join(codes, ",")))
	}
	var refused *auth.Refusal
	if errors.As(err, &refused) {
		attributes = append(attributes, slog.String("token", refused.Reason))
	}
	switch fhir.KindOf(err) {
	case fhir.Internal, fhir.Unavailable:
		attributes = append(attributes, slog.String("cause", err.Error()))
	}
	return attributes
}
