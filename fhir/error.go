package fhir

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ErrorKind says what sort of refusal an Error is. The kinds are those that the R4
// REST page tells apart by status code (https://hl7.org/fhir/R4/http.html#summary).
type ErrorKind int

// The kinds of refusal.
const (
	// Internal is the zero value: a fault of ours, of which nothing is told outside.
	Internal           ErrorKind = iota
	BadRequest                   // not parsable, or against the basic FHIR rules
	Unauthenticated              // no acceptable token
	Forbidden                    // the caller may not
	NotFound                     // unknown type or id
	NotAllowed                   // the interaction is not offered for this type
	NotAcceptable                // no representation the caller accepts
	Conflict                     // clashes with the current state; a retry may help
	Gone                         // deleted
	PreconditionFailed           // If-Match, or several matches of a condition
	TooLarge                     // over a size limit
	UnsupportedMedia             // the body is not FHIR JSON
	Unprocessable                // against a profile or a business rule
	TooMany                      // rate limit
	Unavailable                  // try again later
)

// Error is the one error type that crosses package borders. Anything else that
// reaches the API counts as Internal.
type Error struct {
	Kind   ErrorKind
	Issues []Issue
	// Cause is logged and never sent.
	Cause error
}

// Errorf makes an Error with one issue of severity error.
func Errorf(kind ErrorKind, code, expression, format string, args ...any) *Error {
	issue := Issue{Severity: "error", Code: code, Text: fmt.Sprintf(format, args...)}
	if expression != "" {
		issue.Expression = []string{expression}
	}
	return &Error{Kind: kind, Issues: []Issue{issue}}
}

// Because attaches the internal cause and returns e.
func (e *Error) Because(cause error) *Error {
	e.Cause = cause
	return e
}

// Error joins the issues' texts and the cause, for logs.
func (e *Error) Error() string {
	var parts []string
	for _, i := range e.Issues {
		parts = append(parts, strings.Join(append(append([]string{}, i.Expression...), i.Text), ": "))
	}
	if e.Cause != nil {
		parts = append(parts, e.Cause.Error())
	}
	return strings.Join(parts, "; ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf is the kind of the first *Error in err's chain, Internal where there is none.
func KindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

var statusByKind = map[ErrorKind]int{
	Internal:           http.StatusInternalServerError,
	BadRequest:         http.StatusBadRequest,
	Unauthenticated:    http.StatusUnauthorized,
	Forbidden:          http.StatusForbidden,
	NotFound:           http.StatusNotFound,
	NotAllowed:         http.StatusMethodNotAllowed,
	NotAcceptable:      http.StatusNotAcceptable,
	Conflict:           http.StatusConflict,
	Gone:               http.StatusGone,
	PreconditionFailed: http.StatusPreconditionFailed,
	TooLarge:           http.StatusRequestEntityTooLarge,
	UnsupportedMedia:   http.StatusUnsupportedMediaType,
	Unprocessable:      http.StatusUnprocessableEntity,
	TooMany:            http.StatusTooManyRequests,
	Unavailable:        http.StatusServiceUnavailable,
}

// Status is the HTTP status of the kind, for a response and for a Bundle entry's
// response alike. It is the only place that maps one to the other.
func (k ErrorKind) Status() int { return statusByKind[k] }
