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
	// trail is what the log is to say of the entry.
	trail   *Trail
	place   string // "Bundle.entry[3]"
	fullURL string
	method  string
	url     string // as sent
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
			url:             item.Str("request", "url"),
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
	for _, check := range []func() error{r.check, r.checkConditions, r.checkFullURL, r.checkFormat} {
		if err := check(); err != nil {
			return err
		}
	}
	if !r.reads() {
		return nil
	}
	return s.readReading(r)
}

// checkFullURL refuses a fullUrl that is not absolute, for every relative reference of that
// form would then lead to the entry, and one in the form of a REST address that is not that of
// the resource (https://hl7.org/fhir/R4/bundle.html#bundle-unique).
func (r *request) checkFullURL() error {
	if end := strings.IndexAny(r.fullURL, ":/?#"); r.fullURL != "" && (end < 1 || r.fullURL[end] != ':') {
		return fhir.Errorf(fhir.BadRequest, "value", r.place+".fullUrl", "A fullUrl is an absolute URL, such as a urn:uuid, or is left out.")
	}
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
	for _, p := range r.target.pairs {
		if p.Name == "_format" && p.Value != "" && !fhir.IsJSONFormat(p.Value) {
			return fhir.Errorf(fhir.NotAcceptable, "not-supported", r.place+".request.url", "The entries of a Bundle are answered in JSON, as the Bundle is; leave _format out.")
		}
	}
	return nil
}

// check refuses a request whose parts do not fit together.
func (r *request) check() error {
	switch {
	case r.target.operation != "":
		return r.checkOperation()
	case r.target.metadata:
		return r.checkMetadata()
	}
	instance := r.target.id != "" && r.target.version == "" && !r.target.history && !r.target.query && r.target.inside == ""
	switch r.method {
	case http.MethodPost:
		if r.target.typ == "" || r.target.id != "" || r.target.history || r.target.query {
			return fhir.Errorf(fhir.BadRequest, "value", r.place+".request.url", "A POST entry names a resource type alone, or an operation.")
		}
	case http.MethodPut, http.MethodPatch, http.MethodDelete:
		if !instance && !r.conditional() {
			return fhir.Errorf(fhir.BadRequest, "value", r.place+".request.url", "A %s entry names a type and an id, or a type and a query.", r.method)
		}
		if instance && !fhir.ValidID(r.target.id) {
			return fhir.Errorf(fhir.BadRequest, "value", r.place+".request.url", "An id has 1 to 64 letters, digits, '-' or '.'.")
		}
		if r.method == http.MethodDelete {
			return r.checkBare()
		}
	case http.MethodGet, http.MethodHead:
		return r.checkBare()
	default:
		return fhir.Errorf(fhir.BadRequest, "not-supported", r.place+".request.method", "Entries may be POST, PUT, PATCH, DELETE, GET or HEAD.")
	}
	if r.resource == nil {
		return fhir.Errorf(fhir.BadRequest, "required", r.place+".resource", "A POST, PUT or PATCH entry carries a resource.")
	}
	return nil
}

// checkBare refuses a resource where none is asked for.
func (r *request) checkBare() error {
	if r.resource == nil {
		return nil
	}
	return fhir.Errorf(fhir.BadRequest, "not-supported", r.place+".resource", "A GET, HEAD or DELETE entry carries no resource; leave it out.")
}

// checkMetadata refuses what cannot be asked of the CapabilityStatement.
func (r *request) checkMetadata() error {
	if !r.reads() {
		return fhir.Errorf(fhir.NotAllowed, "not-supported", r.place+".request.method", "The CapabilityStatement is read by GET or HEAD.")
	}
	for _, p := range r.target.pairs {
		switch {
		case p.Name == "_format", p.Name == "_pretty", p.Name == "mode" && (p.Value == "full" || p.Value == "normative"):
		default:
			return fhir.Errorf(fhir.BadRequest, "not-supported", r.place+".request.url", "The CapabilityStatement takes the parameter mode, which is full or normative, and no other.")
		}
	}
	return r.checkBare()
}

// checkConditions refuses a condition that the interaction does not heed.
func (r *request) checkConditions() error {
	code := r.code()
	isRead := code == "read" || code == "vread"
	changes := !r.reads() && code != "create"
	for _, condition := range [...]struct {
		name, value string
		heeded      bool
	}{
		{"ifMatch", r.when.IfMatch, changes},
		{"ifNoneMatch", r.when.IfNoneMatch, changes || isRead},
		{"ifModifiedSince", r.ifModifiedSince, isRead},
		{"ifNoneExist", r.ifNoneExist, code == "create"},
	} {
		if condition.value != "" && !condition.heeded {
			return fhir.Errorf(fhir.BadRequest, "not-supported", r.place+".request."+condition.name, "%s says nothing in a request of this kind; leave it out.", condition.name)
		}
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
	case r.method != http.MethodPost:
		return r.checkBare()
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
	return r.target.query && r.target.typ != "" && r.target.id == "" && !r.target.history && r.operation == nil && !r.reads()
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
	case r.target.metadata:
		return "capabilities"
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
	case r.target.id != "" && r.target.inside == "":
		return "read"
	default:
		return r.target.scope().code()
	}
}
