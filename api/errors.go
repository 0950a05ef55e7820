package api

import (
	"context"
	"errors"
	"net/http"

	"aftercare/api/auth"
	"aftercare/fhir"

	"github.com/gin-gonic/gin"
)

// statusClientGone is the status under which a request counts whose client left before
// the answer; it is nginx's, HTTP has none.
const statusClientGone = 499

// unsaid is the issue for an error of a kind that brings none of its own.
var unsaid = map[fhir.ErrorKind]fhir.Issue{
	fhir.BadRequest:         {Code: "invalid", Text: "The request cannot be understood."},
	fhir.Unauthenticated:    {Code: "login", Text: "The request has no acceptable token."},
	fhir.Forbidden:          {Code: "forbidden", Text: "The caller may not do this."},
	fhir.NotFound:           {Code: "not-found", Text: "There is no such resource."},
	fhir.NotAllowed:         {Code: "not-supported", Text: "This interaction is not offered here."},
	fhir.NotAcceptable:      {Code: "not-supported", Text: "The answer cannot be given in the form that was asked for."},
	fhir.Conflict:           {Code: "conflict", Text: "The request clashes with the current state; read it again, then retry."},
	fhir.Gone:               {Code: "deleted", Text: "The resource was deleted."},
	fhir.PreconditionFailed: {Code: "conflict", Text: "A condition of the request does not hold."},
	fhir.TooLarge:           {Code: "too-long", Text: "The request is too large."},
	fhir.UnsupportedMedia:   {Code: "not-supported", Text: "The body is not " + fhirJSON + "."},
	fhir.Unprocessable:      {Code: "processing", Text: "The resource breaks a rule."},
	fhir.TooMany:            {Code: "throttled", Text: "There are too many requests; slow down."},
	fhir.Unavailable:        {Code: "transient", Text: "The service cannot answer now; try again."},
}

var (
	errNoAddress = fhir.Errorf(fhir.NotFound, "not-found", "", "There is nothing at this address; [base]/metadata lists what is served.")
	errNoMethod  = fhir.Errorf(fhir.NotAllowed, "not-supported", "", "This address does not offer that method; the Allow header lists those that it offers.")
)

// fail answers with an error and leaves it to record for the log. It is the only place
// that turns errors into HTTP. What is not a *fhir.Error, or is of kind Internal, gets a
// sentence that says nothing but the request id.
func (a *api) fail(g *gin.Context, err error) {
	_ = g.Error(err)
	g.Abort()
	status, issues := explain(g.Request.Context(), err)
	h := g.Writer.Header()
	if challenge := auth.Challenge(err); challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	switch status {
	case http.StatusMethodNotAllowed:
		a.allow(g)
	case http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close") // the rest of the body is not worth reading
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", "1")
		}
	}
	body := fhir.Outcome(issues...)
	if wantsPretty(g.Request.URL.RawQuery) {
		body = indent(body)
	}
	reply(g, status, body)
}

// explain gives the status and the issues for an error.
func explain(ctx context.Context, err error) (int, []fhir.Issue) {
	kind := fhir.KindOf(err)
	fault := kind == fhir.Internal || kind == fhir.Unavailable
	switch {
	case fault && errors.Is(ctx.Err(), context.Canceled):
		return statusClientGone, []fhir.Issue{{Severity: "error", Code: "transient", Text: "The request was cancelled."}}
	case kind == fhir.Internal && errors.Is(err, context.DeadlineExceeded):
		kind, err = fhir.Unavailable, fhir.Errorf(fhir.Unavailable, "timeout", "", "The request took too long; try again, or ask for less.")
	}
	issue, known := unsaid[kind]
	if !known {
		return http.StatusInternalServerError, []fhir.Issue{{Severity: "fatal", Code: "exception",
			Text: "The server failed on this request, and the fault is not yours. If it stays, report it with the request id " + RequestID(ctx) + "."}}
	}
	var e *fhir.Error
	if errors.As(err, &e) && len(e.Issues) > 0 {
		return kind.Status(), e.Issues
	}
	issue.Severity = "error"
	return kind.Status(), []fhir.Issue{issue}
}
