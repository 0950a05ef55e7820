package service

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/fhir/subset"
)

// request is one entry of a transaction or batch.
type request struct {
	place   string // "Bundle.entry[3]"
	fullURL string
	method  string
	// target is the parsed request.url.
	target      target
	ifNoneExist string
	when        Preconditions
	resource    *fhir.Node
	// since and subset are of a read: ifModifiedSince, and what of the resource is asked.
	since  time.Time
	subset subset.Subset
	// err says why the request cannot be run: it fails a transaction, and in a batch
	// this entry alone.
	err error
}

// target is a URL below the base: Type, Type/id, Type/id/_history/version, or Type?query.
type target struct {
	typ, id, version string
	history          bool
	pairs            []search.Pair
	query            bool
	rawQuery         string
}

func (s *Service) entries(bundle *fhir.Node) []request {
	items := bundle.Each("entry")
	out := make([]request, len(items))
	for i, item := range items {
		r := request{
			place:       fmt.Sprintf("Bundle.entry[%d]", i),
			fullURL:     item.Str("fullUrl"),
			method:      item.Str("request", "method"),
			ifNoneExist: item.Str("request", "ifNoneExist"),
			when:        Preconditions{IfMatch: item.Str("request", "ifMatch"), IfNoneMatch: item.Str("request", "ifNoneMatch")},
			resource:    item.Get("resource"),
		}
		r.err = s.readRequest(&r, item)
		out[i] = r
	}
	return out
}

func (s *Service) readRequest(r *request, item *fhir.Node) (err error) {
	if item.Get("request", "url") == nil || r.method == "" {
		return fhir.Errorf(fhir.BadRequest, "required", r.place+".request", "Each entry needs request.method and request.url.")
	}
	if r.target, err = s.parseTarget(item.Str("request", "url")); err != nil {
		return at(err, r.place+".request.url")
	}
	if r.method == http.MethodPost && r.when != (Preconditions{}) {
		return fhir.Errorf(fhir.BadRequest, "not-supported", r.place+".request", "A POST entry makes a new resource, so ifMatch and ifNoneMatch say nothing; ifNoneExist asks that there be none.")
	}
	if err := r.check(); err != nil || !r.reads() {
		return err
	}
	return s.readReading(r, item)
}

func (s *Service) parseTarget(raw string) (target, error) {
	bad := func() (target, error) {
		return target{}, fhir.Errorf(fhir.BadRequest, "value", "", "request.url must be a URL below the base, such as Patient, Patient/123 or Observation?patient=123.")
	}
	raw = strings.TrimPrefix(strings.TrimPrefix(raw, s.baseURL), "/")
	path, query, hasQuery := strings.Cut(raw, "?")
	var t target
	if hasQuery {
		var err error
		if t.pairs, err = search.ParsePairs(query); err != nil {
			return t, err
		}
		t.query, t.rawQuery = true, query
	}
	part := strings.Split(path, "/")
	for i := range part {
		decoded, err := url.PathUnescape(part[i])
		if err != nil {
			return bad()
		}
		part[i] = decoded
	}
	t.typ = part[0]
	if _, ok := fhir.Served(t.typ); !ok {
		return target{}, fhir.Errorf(fhir.NotFound, "not-supported", "", "request.url does not start with a resource type that this server serves.")
	}
	switch {
	case len(part) == 1:
	case len(part) == 2 && part[1] == "_history":
		t.history = true
	case len(part) == 2:
		t.id = part[1]
	case len(part) == 3 && part[2] == "_history":
		t.id, t.history = part[1], true
	case len(part) == 4 && part[2] == "_history":
		t.id, t.version = part[1], part[3]
	default:
		return bad()
	}
	return t, nil
}

// check refuses a request whose parts do not fit together.
func (r *request) check() error {
	instance := r.target.id != "" && r.target.version == "" && !r.target.history && !r.target.query
	switch r.method {
	case http.MethodPost:
		if r.target.id != "" || r.target.history || r.target.query {
			return fhir.Errorf(fhir.BadRequest, "value", r.place+".request.url", "A POST entry names a resource type alone.")
		}
	case http.MethodPut, http.MethodPatch, http.MethodDelete:
		if !instance && !r.conditional() {
			return fhir.Errorf(fhir.BadRequest, "value", r.place+".request.url", "A %s entry names a type and an id, or a type and a query.", r.method)
		}
		if r.method == http.MethodDelete {
			return nil
		}
	case http.MethodGet, http.MethodHead:
		return nil
	default:
		return fhir.Errorf(fhir.BadRequest, "not-supported", r.place+".request.method", "Entries may be POST, PUT, PATCH, DELETE, GET or HEAD.")
	}
	if r.resource == nil {
		return fhir.Errorf(fhir.BadRequest, "required", r.place+".resource", "A POST, PUT or PATCH entry carries a resource.")
	}
	return nil
}

// conditional reports whether a query stands in for the id.
func (r *request) conditional() bool {
	return r.target.query && r.target.id == "" && !r.target.history && !r.reads()
}

func (r *request) reads() bool { return r.method == http.MethodGet || r.method == http.MethodHead }

// code is the restful-interaction of an entry.
func (r *request) code() string {
	switch {
	case r.method == http.MethodPost:
		return "create"
	case r.method == http.MethodPut:
		return "update"
	case r.method == http.MethodPatch:
		return "patch"
	case r.method == http.MethodDelete:
		return "delete"
	case r.target.history && r.target.id == "":
		return "history-type"
	case r.target.history:
		return "history-instance"
	case r.target.version != "":
		return "vread"
	case r.target.id != "":
		return "read"
	default:
		return "search-type"
	}
}
