package service

import (
	"context"
	"strconv"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/service/store"
)

// Preconditions are what the caller asks of the current version before anything is
// written: the header If-Match and If-None-Match, or request.ifMatch and
// request.ifNoneMatch of a Bundle entry. Each is "" for none, "*", or one or more ETags
// such as W/"3" with commas between them (https://hl7.org/fhir/R4/http.html#concurrency,
// RFC 9110 section 13.1).
type Preconditions struct {
	// IfMatch asks that the current version be one of these; "*" that there be one.
	IfMatch string
	// IfNoneMatch asks that the current version be none of these; "*" that there be none,
	// so that an update can only create.
	IfNoneMatch string
}

// hold checks the preconditions against the current version, nil where there is none or
// it is a deletion. The error is of kind PreconditionFailed.
func (p Preconditions) hold(current *fhir.Resource) error {
	exists := current != nil && !current.Deleted
	switch {
	case p.IfMatch == "":
	case !exists:
		return fhir.Errorf(fhir.PreconditionFailed, "conflict", "", "If-Match was given, but there is no such resource now.")
	case !names(p.IfMatch, current.Version):
		return fhir.Errorf(fhir.PreconditionFailed, "conflict", "", "If-Match does not name the current version, which is %d; read it and try again.", current.Version)
	}
	if p.IfNoneMatch != "" && exists && names(p.IfNoneMatch, current.Version) {
		return fhir.Errorf(fhir.PreconditionFailed, "conflict", "", "If-None-Match rules out the current version, which is %d.", current.Version)
	}
	return nil
}

// Unchanged reports whether a conditional read has this version already
// (https://hl7.org/fhir/R4/http.html#cread). ifNoneMatch counts before since, which
// cannot tell two quick updates apart; it is "" for none, as is since where it is zero.
func Unchanged(r *fhir.Resource, ifNoneMatch string, since time.Time) bool {
	if ifNoneMatch != "" {
		return names(ifNoneMatch, r.Version)
	}
	return !since.IsZero() && !r.LastUpdated.After(since)
}

// AloneInItsSecond reports whether no other version of a resource was stored in the same
// second as r, which has been read as the current one: then Last-Modified, which has no
// fraction of a second, can mean no other (RFC 9110 section 8.8.2). It is part of the read
// that gave r.
func (s *Service) AloneInItsSecond(ctx context.Context, r *fhir.Resource) (bool, error) {
	if r.Version == 1 {
		return true, nil
	}
	alone := false
	err := s.store.View(ctx, func(ctx context.Context, reader *store.Reader) error {
		before, err := reader.Version(ctx, r.Type, r.ID, r.Version-1)
		if err == nil {
			alone = before.LastUpdated.Unix() < r.LastUpdated.Unix()
		}
		return err
	})
	return alone, err
}

// names reports whether a list of ETags has that of a version. ETags are compared weakly
// (RFC 9110 section 8.8.3.2); quotes may be missing.
func names(tags string, version int64) bool {
	want := strconv.FormatInt(version, 10)
	for tag := range strings.SplitSeq(tags, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.Trim(strings.TrimPrefix(tag, "W/"), `"`) == want {
			return true
		}
	}
	return false
}
