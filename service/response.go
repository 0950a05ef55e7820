package service

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"aftercare/fhir"
)

// writtenEntry is the response to an entry that writes.
func (s *Service) writtenEntry(r *request, w Written, prefer Prefer) (entry, error) {
	if r.operation != nil {
		a, err := metaWritten(w)
		return r.answerEntry(a), err
	}
	e := entry{status: statusLine(http.StatusOK)}
	if w.Resource == nil || w.Resource.Deleted {
		e.status = statusLine(http.StatusNoContent)
	} else {
		e.fullURL = s.url(w.Resource)
		e.location = s.url(w.Resource) + "/_history/" + strings.Trim(etag(w.Resource), `W/"`)
		if w.Created {
			e.status = statusLine(http.StatusCreated)
		}
		if prefer == "representation" && !w.Hidden {
			e.resource = w.Resource.Body
		}
	}
	if w.Resource != nil {
		e.etag, e.lastModified = etag(w.Resource), w.Resource.LastUpdated
	}
	if len(w.Issues) > 0 || prefer == "OperationOutcome" {
		e.outcome = fhir.Outcome(w.Issues...)
	}
	return e, nil
}

// readEntry is the response to a read: with the resource, or of status 304 where the
// sender has this version, or with neither for HEAD.
func (s *Service) readEntry(q *request, r *fhir.Resource) (e entry, err error) {
	e = entry{fullURL: s.url(r), status: statusLine(http.StatusOK), etag: etag(r), lastModified: r.LastUpdated}
	switch {
	case Unchanged(r, q.when.IfNoneMatch, q.since):
		e.status = statusLine(http.StatusNotModified)
	case q.method != http.MethodHead:
		e.resource, err = q.subset.Of(r.Body)
	}
	return e, err
}

// bundleEntry is the response to a search, a history or an operation.
func (r *request) bundleEntry(body []byte) entry {
	e := entry{status: statusLine(http.StatusOK)}
	if r.method != http.MethodHead {
		e.resource = body
	}
	return e
}

// answerEntry is the response to the call of an operation.
func (r *request) answerEntry(a Answer) entry {
	e := r.bundleEntry(a.Body)
	if a.Resource != nil {
		e.etag, e.lastModified = etag(a.Resource), a.Resource.LastUpdated
	}
	return e
}

func (s *Service) failedEntry(ctx context.Context, err error) entry {
	kind := fhir.KindOf(err)
	e := entry{status: statusLine(kind.Status())}
	var known *fhir.Error
	if kind == fhir.Internal || !errors.As(err, &known) {
		s.log.ErrorContext(ctx, "batch entry failed", "error", err)
		e.outcome = fhir.Outcome(fhir.Issue{Severity: "error", Code: "exception", Text: "The server failed at this entry; nothing of it was stored."})
		return e
	}
	e.outcome = fhir.Outcome(slices.Clone(known.Issues)...)
	return e
}
