package api

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"aftercare/api/auth"
	"aftercare/fhir"
	"aftercare/service"
	"aftercare/service/audit"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// audit sees to it that the log has a request before its answer leaves: every request under the FHIR
// base, and each one once. Where the log cannot be written, the answer is 503.
func (a *api) audit(g *gin.Context) {
	if a.service.Log() == nil {
		return
	}
	trail := service.NewTrail(a.known(g))
	g.Request = g.Request.WithContext(service.WithTrail(g.Request.Context(), trail))
	w := &auditedWriter{ResponseWriter: g.Writer, api: a, g: g, trail: trail}
	g.Writer = w
	g.Next()
	w.open() // of an answer without a body
}

// known is what is known of a request before it is understood. Who asks is added when it is known.
func (a *api) known(g *gin.Context) audit.Record {
	asked, parameters, sent := strings.Cut(strings.TrimPrefix(g.Request.URL.RequestURI(), a.path+"/"), "?")
	if sent && !strings.HasPrefix(asked, "/auth/") {
		asked += "?" + withoutTokens(parameters)
	}
	r := audit.Record{Code: routeCode(g), Type: resourceType(g), Query: g.Request.Method + " " + asked, RequestID: RequestID(g.Request.Context())}
	if rest, ok := strings.CutPrefix(g.FullPath(), "/auth/"); ok && rest != "" {
		r.Query = "" // the code says it
	}
	if r.Type != "" && fhir.ValidID(g.Param("id")) {
		r.Target = g.Param("id")
	}
	if host, _, err := net.SplitHostPort(g.Request.RemoteAddr); err == nil {
		r.Agent.Address = host
	}
	if span := trace.SpanContextFromContext(g.Request.Context()); span.IsValid() {
		r.Trace, r.Span = span.TraceID().String(), span.SpanID().String()
	}
	r.Caller = callersTrace(g.Request.Context())
	return r
}

// withoutTokens are the parameters of a query or a form without the value of access_token, which some put
// there (https://www.rfc-editor.org/rfc/rfc6750#section-2.3): whoever reads the log could use it.
func withoutTokens(parameters string) string {
	pairs := strings.Split(parameters, "&")
	for i, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil && strings.EqualFold(strings.TrimSpace(plain), "access_token") {
			pairs[i] = name + "="
		}
	}
	return strings.Join(pairs, "&")
}

// routeCode is the interaction that a route stands for (http://hl7.org/fhir/restful-interaction), for
// requests that are refused before the service sees them.
func routeCode(g *gin.Context) string {
	route := g.FullPath()
	switch {
	case route == auth.TokenPath:
		return audit.TokenIssued
	case route == auth.IntrospectPath:
		return audit.TokenJudged
	case route == auth.KeysPath:
		return audit.KeysShown
	case strings.Contains(route, "/$"):
		return "operation"
	case strings.HasSuffix(route, "/metadata"):
		return "capabilities"
	case strings.HasSuffix(route, "/_history/:version"):
		return "vread"
	case strings.HasSuffix(route, "/:id/_history"):
		return "history-instance"
	case strings.HasSuffix(route, "/:type/_history"):
		return "history-type"
	case strings.HasSuffix(route, "/_history"):
		return "history-system"
	}
	_, typed := g.Params.Get("type")
	_, instance := g.Params.Get("id")
	_, inside := g.Params.Get("inside")
	search := "search-system"
	if typed {
		search = "search-type"
	}
	switch method := g.Request.Method; {
	case route == "":
		return ""
	case strings.HasSuffix(route, "/_search"), inside:
		return search
	case method == http.MethodGet || method == http.MethodHead:
		if instance {
			return "read"
		}
		return search
	case method == http.MethodPost && typed:
		return "create"
	case method == http.MethodPost:
		return "transaction"
	case method == http.MethodPut:
		return "update"
	case method == http.MethodPatch:
		return "patch"
	case method == http.MethodDelete:
		return "delete"
	}
	return ""
}

// auditedWriter holds an answer back until the log has it.
type auditedWriter struct {
	gin.ResponseWriter
	api     *api
	g       *gin.Context
	trail   *service.Trail
	opened  bool
	refused bool // the log cannot be written, and another answer was sent
}

// open logs the request, once.
func (w *auditedWriter) open() {
	if w.opened {
		return
	}
	w.opened = true
	var reason error
	if w.Status() >= http.StatusBadRequest {
		reason = inOwnWords(w.Status())
		if last := w.g.Errors.Last(); last != nil {
			reason = last.Err
		}
	}
	// A caller who has gone may have got a part of the answer.
	wait := logTimeout
	if failed := reason != nil && fhir.KindOf(reason) == fhir.Unavailable; failed {
		wait = failedTimeout
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.g.Request.Context()), wait)
	defer cancel()
	if err := w.api.service.LogTrail(ctx, w.trail, w.Status(), reason); err != nil {
		if w.api.bestEffort {
			w.api.log.ErrorContext(ctx, "a request is not in the auditor's log", "error", err)
			return
		}
		if w.Status() == http.StatusServiceUnavailable {
			return // it says why already, and maybe more, and shows nothing
		}
		_ = w.g.Error(err)
		w.refuse()
		return
	}
	switch receipt, err := w.api.service.Receipt(w.trail); {
	case err != nil:
		w.api.log.ErrorContext(ctx, "there is no receipt for a request", "error", err)
	case receipt != "":
		w.ResponseWriter.Header().Set(receiptHeader, receipt)
	}
	trace.SpanFromContext(w.g.Request.Context()).SetAttributes(attribute.StringSlice("fhir.audit.id", w.trail.IDs(maxAuditIDs)))
}

// refuse sends 503 in place of the answer.
func (w *auditedWriter) refuse() {
	w.refused = true
	h := w.ResponseWriter.Header()
	for _, name := range []string{"Content-Encoding", "Content-Length", "ETag", "Last-Modified", "Location"} {
		h.Del(name)
	}
	h.Set("Content-Type", fhirJSON+"; charset=utf-8")
	h.Set("Retry-After", "1")
	w.ResponseWriter.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.ResponseWriter.Write(fhir.Outcome(fhir.Issue{Severity: "error", Code: "transient", Text: "The auditor's log cannot be written, so this cannot be answered; try again."}))
}

// Unwrap lets the deadlines of the connection be set through it (http.ResponseController).
func (w *auditedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *auditedWriter) WriteHeaderNow() {
	if w.open(); !w.refused {
		w.ResponseWriter.WriteHeaderNow()
	}
}

func (w *auditedWriter) Write(body []byte) (int, error) {
	if w.open(); w.refused {
		return len(body), nil
	}
	return w.ResponseWriter.Write(body)
}

func (w *auditedWriter) WriteString(body string) (int, error) { return w.Write([]byte(body)) }

func (w *auditedWriter) Flush() {
	if w.open(); !w.refused {
		w.ResponseWriter.Flush()
	}
}

// receiptHeader has the receipt for a request: a signed promise that the log has it.
const receiptHeader = "Audit-Receipt"

// maxAuditIDs bounds the ids of AuditEvents on a span.
const maxAuditIDs = 100

// logTimeout is how long the log may take before an answer is refused.
const logTimeout = 10 * time.Second

// failedTimeout is how long it may take for a request that the database was not there for.
const failedTimeout = time.Second

// inOwnWords is the error of an answer that tells of it in its own words, as OAuth does.
func inOwnWords(status int) error {
	switch status {
	case http.StatusUnauthorized:
		return fhir.Errorf(fhir.Unauthenticated, "login", "", "")
	case http.StatusTooManyRequests:
		return fhir.Errorf(fhir.TooMany, "throttled", "", "")
	case http.StatusServiceUnavailable:
		return fhir.Errorf(fhir.Unavailable, "transient", "", "")
	}
	if status < http.StatusInternalServerError {
		return fhir.Errorf(fhir.BadRequest, "invalid", "", "")
	}
	return fhir.Errorf(fhir.Internal, "exception", "", "")
}
