package service

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"aftercare/fhir"
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
	// ifModifiedSince is as sent; since is the time that it is, where a read asks by it.
	ifModifiedSince string
	since           time.Time
	resource        *fhir.Node
	// subset is what of the resource a read asks.
	subset subset.Subset
	// operation is the one that is called, nil for an interaction.
	operation *Operation
	// err says why the request cannot be run: it fails a transaction, and in a batch
	// this entry alone.
	err error
}

func (s *Service) entries(bundle *fhir.Node) []request {
	items := bundle.Each("entry")
	out := make([]request, len(items))
	for i, item := range items {
		r := request{
			place:           fmt.Sprintf("Bundle.entry[%d]", i),
			fullURL:         item.Str("fullUrl"),
			method:          item.Str("request", "method"),
			ifNoneExist:     item.Str("request", "ifNoneExist"),
			when:            Preconditions{IfMatch: item.Str("request", "ifMatch"), IfNoneMatch: item.Str("request", "ifNoneMatch")},
			ifModifiedSince: item.Str("request", "ifModifiedSince"),
			resource:        item.Get("resource"),
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
	for _, check := range []func() error{r.check, r.checkFullURL, r.checkFormat} {
		if err := check(); err != nil {
			return err
		}
	}
	if !r.reads() {
		return nil
	}
	return s.readReading(r)
}

// checkFullURL refuses a fullUrl in the form of a REST address that is not that of the
// resource (https://hl7.org/fhir/R4/bundle.html#bundle-unique).
func (r *request) checkFullURL() error {
	if r.operation != nil || r.reads() || !strings.HasPrefix(r.fullURL, "http") {
		return nil
	}
	id := r.target.id
	if id == "" && r.method != http.MethodPatch {
		id = r.resource.Str("id")
	}
	part := strings.Split(r.fullURL, "/")
	named := fhir.ParseReference(strings.Join(part[max(0, len(part)-2):], "/"), "")
	if _, known := fhir.Served(named.Type); !known || id == "" || named.Type == r.target.typ && named.ID == id {
		return nil
	}
	return fhir.Errorf(fhir.BadRequest, "value", r.place+".fullUrl", "The fullUrl names another resource than the one that this entry is about; leave it out, or give a urn:uuid.")
}

// checkFormat refuses an answer in another format than JSON, as it is refused outside of
// Bundles.
func (r *request) checkFormat() error {
	if r.operation == nil && !r.reads() {
		return nil
	}
	for _, p := range r.target.pairs {
		if p.Name == "_format" && p.Value != "" && !fhir.IsJSONFormat(p.Value) {
			return fhir.Errorf(fhir.NotAcceptable, "not-supported", r.place+".request.url", "The entries of a Bundle are answered in JSON, as the Bundle is; leave _format out.")
		}
	}
	return nil
}

// check refuses a request whose parts do not fit together.
func (r *request) check() error {
	if r.ifNoneExist != "" && (r.method != http.MethodPost || r.target.operation != "") {
		return fhir.Errorf(fhir.BadRequest, "not-supported", r.place+".request.ifNoneExist", "ifNoneExist is for a POST entry that makes a new resource; here it says nothing.")
	}
	if r.target.operation != "" {
		return r.checkOperation()
	}
	instance := r.target.id != "" && r.target.version == "" && !r.target.history && !r.target.query
	switch r.method {
	case http.MethodPost:
		if r.target.id != "" || r.target.history || r.target.query {
			return fhir.Errorf(fhir.BadRequest, "value", r.place+".request.url", "A POST entry names a resource type alone, or an operation.")
		}
		if r.when != (Preconditions{}) {
			return fhir.Errorf(fhir.BadRequest, "not-supported", r.place+".request", "A POST entry makes a new resource, so ifMatch and ifNoneMatch say nothing; ifNoneExist asks that there be none.")
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

// checkOperation finds the operation that is called, and refuses a call whose parts do not
// fit together (https://hl7.org/fhir/R4/operations.html#request).
func (r *request) checkOperation() error {
	call := r.call()
	o, err := offered(&call)
	if err != nil {
		return at(err, r.place+".request.url")
	}
	r.operation = o
	switch {
	case r.method != http.MethodPost && r.method != http.MethodGet && r.method != http.MethodHead:
		return fhir.Errorf(fhir.BadRequest, "not-supported", r.place+".request.method", "An operation is called by POST, GET or HEAD.")
	case r.method != http.MethodPost && o.Changes:
		return fhir.Errorf(fhir.NotAllowed, "not-supported", r.place+".request.method", "$%s changes what is stored, so it is called by POST alone.", o.Name)
	case r.method == http.MethodPost && r.resource != nil && r.resource.Str("resourceType") != "Parameters":
		return fhir.Errorf(fhir.BadRequest, "structure", r.place+".resource", "An operation takes its parameters in the URL or in a Parameters resource.")
	case o.Changes:
		return nil
	}
	for _, condition := range [...]struct{ name, value string }{
		{"ifMatch", r.when.IfMatch}, {"ifNoneMatch", r.when.IfNoneMatch}, {"ifModifiedSince", r.ifModifiedSince},
	} {
		if condition.value != "" {
			return fhir.Errorf(fhir.BadRequest, "not-supported", r.place+".request."+condition.name, "$%s is answered whatever %s says; leave it out.", o.Name, condition.name)
		}
	}
	return nil
}

// call is the call of an operation.
func (r *request) call() OperationRequest {
	t := r.target
	q := OperationRequest{Name: t.operation, Type: t.typ, ID: t.id, Version: t.version, Pairs: t.pairs, When: r.when}
	if r.method == http.MethodPost && r.resource != nil {
		q.Body = r.resource.Raw
	}
	return q
}

// conditional reports whether a query stands in for the id.
func (r *request) conditional() bool {
	return r.target.query && r.target.id == "" && !r.target.history && r.operation == nil && !r.reads()
}

// reads reports whether the request changes nothing.
func (r *request) reads() bool {
	if r.operation != nil {
		return !r.operation.Changes
	}
	return r.method == http.MethodGet || r.method == http.MethodHead
}

// writing is the order in which the methods that write take their turn, before all that
// reads (https://hl7.org/fhir/R4/http.html#trules).
var writing = []string{http.MethodDelete, http.MethodPost, http.MethodPut, http.MethodPatch}

// turn is the request's place in that order.
func (r *request) turn() int {
	if r.reads() {
		return len(writing)
	}
	return slices.Index(writing, r.method)
}

// code is the restful-interaction of an entry.
func (r *request) code() string {
	switch {
	case r.operation != nil:
		return "operation"
	case r.method == http.MethodPost:
		return "create"
	case r.method == http.MethodPut:
		return "update"
	case r.method == http.MethodPatch:
		return "patch"
	case r.method == http.MethodDelete:
		return "delete"
	case r.target.history && r.target.typ == "":
		return "history-system"
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
