// Package api is the FHIR R4 REST surface of the service
// (https://hl7.org/fhir/R4/http.html), on gin.
//
// Start at routes.go: it holds every route. A route's handler is one method in a file
// named for its interaction (read.go, create.go, ...). A handler gets a call, which is
// the request once its type, id, parameters and formats are checked, asks package
// service, and either replies or returns an error. errors.go alone turns errors into
// HTTP.
//
// Around every handler stands the same chain: identify (X-Request-Id), trace (one span,
// W3C traceparent continued), measure (metrics), record (one log line), rescue (panics),
// cors (web pages of other origins), negotiateEncoding (gzip), authenticate (who asks). None of them writes a
// path, a query, a header or a body anywhere: the route template stands for the URL, so
// that no patient's id, name or number reaches a log or a span.
//
// Bytes that the service returns go to the socket as they are, compressed where the caller takes
// gzip.
package api
