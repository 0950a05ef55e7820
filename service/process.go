package service

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/fhir/subset"
	"aftercare/service/store"
)

// Prefer is the return preference of a request
// (https://hl7.org/fhir/R4/http.html#ops): "minimal", "representation",
// "OperationOutcome", or "" for none stated.
type Prefer string

// Process runs a transaction, whose entries succeed or fail together, or a batch, whose
// entries stand alone (https://hl7.org/fhir/R4/http.html#transaction). The response's
// entries are in the order of the request's.
func (s *Service) Process(ctx context.Context, p Principal, body []byte, prefer Prefer) ([]byte, error) {
	n, err := fhir.Parse(body)
	if err != nil {
		return nil, err
	}
	if n.Kind != fhir.Object || n.Str("resourceType") != "Bundle" {
		return nil, fhir.Errorf(fhir.BadRequest, "structure", "", "The base URL takes a Bundle of type transaction or batch.")
	}
	kind := n.Str("type")
	if kind != "transaction" && kind != "batch" {
		return nil, fhir.Errorf(fhir.BadRequest, "value", "Bundle.type", "The base URL takes a Bundle of type transaction or batch.")
	}
	var out []byte
	err = s.interact(ctx, p, interaction{code: kind}, func(ctx context.Context) error {
		if len(n.Each("entry")) > s.maxEntries {
			return fhir.Errorf(fhir.TooLarge, "too-long", "Bundle.entry", "A Bundle may have %d entries at most.", s.maxEntries)
		}
		// First the Bundle, then what is asked, then the resources.
		issues := slices.DeleteFunc(s.validator.Resource(withoutResources(n), ""), func(i fhir.Issue) bool {
			return onlyResource(n, i) // the entry itself is asked for its request below
		})
		if len(issues) > 0 {
			return &fhir.Error{Kind: fhir.BadRequest, Issues: issues}
		}
		entries := s.entries(n)
		if kind == "batch" { // an entry's failure is its own affair
			out = s.batch(ctx, p, entries, prefer)
			return nil
		}
		for i := range entries {
			if entries[i].err != nil {
				return inEntry(entries[i].err, entries[i].place)
			}
		}
		if issues := s.validator.Resource(n, ""); len(issues) > 0 {
			return &fhir.Error{Kind: fhir.BadRequest, Issues: issues}
		}
		var err error
		out, err = s.transaction(ctx, p, entries, prefer)
		return err
	})
	return out, err
}

// onlyResource reports whether an issue is that of an entry which has a resource and
// nothing else, and so is empty without it.
func onlyResource(bundle *fhir.Node, issue fhir.Issue) bool {
	for i, item := range bundle.Each("entry") {
		if len(item.Members) == 1 && item.Members[0].Name == "resource" &&
			slices.Contains(issue.Expression, fmt.Sprintf("Bundle.entry[%d]", i)) {
			return true
		}
	}
	return false
}

// withoutResources is a Bundle as it is, but for the resources in its entries.
func withoutResources(bundle *fhir.Node) *fhir.Node {
	return withMembers(bundle, func(m fhir.Member) (fhir.Member, bool) {
		if m.Name == "entry" && m.Value.Kind == fhir.Array {
			array := *m.Value
			array.Items = slices.Clone(array.Items)
			for i, item := range array.Items {
				array.Items[i] = withMembers(item, func(m fhir.Member) (fhir.Member, bool) { return m, m.Name != "resource" })
			}
			m.Value = &array
		}
		return m, true
	})
}

// withMembers is a node with the members that change gives and wants kept.
func withMembers(n *fhir.Node, change func(fhir.Member) (m fhir.Member, keep bool)) *fhir.Node {
	out := *n
	out.Members = nil
	for _, m := range n.Members {
		if m, keep := change(m); keep {
			out.Members = append(out.Members, m)
		}
	}
	return &out
}

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

// transaction runs the entries until no patch in it is overtaken by another write.
func (s *Service) transaction(ctx context.Context, p Principal, entries []request, prefer Prefer) ([]byte, error) {
	for range patchAttempts {
		out, err := s.tryTransaction(ctx, p, entries, prefer)
		if !errors.Is(err, errMoved) {
			return out, err
		}
	}
	return nil, fhir.Errorf(fhir.Conflict, "conflict", "", "A resource that the Bundle patches is changed too often; try again.")
}

func (s *Service) tryTransaction(ctx context.Context, p Principal, entries []request, prefer Prefer) ([]byte, error) {
	var ws []*write
	var gets []int
	position := make([]int, len(entries)) // of the entry's write in ws
	for i := range entries {
		r := &entries[i]
		if err := s.permit(p, interaction{r.code(), r.target.typ, r.target.id}); err != nil {
			return nil, inEntry(err, r.place)
		}
		if r.reads() {
			gets = append(gets, i)
			continue
		}
		w, err := s.entryWrite(ctx, r)
		if err != nil {
			return nil, inEntry(err, r.place)
		}
		position[i] = len(ws)
		ws = append(ws, w)
	}
	if err := distinct(ws); err != nil {
		return nil, err
	}
	results := make([]entry, len(entries))
	written, err := s.commit(ctx, ws, func(ctx context.Context, r *store.Reader) error {
		for _, i := range gets {
			res, err := s.get(ctx, r, &entries[i])
			if err != nil {
				return inEntry(err, entries[i].place)
			}
			results[i] = res
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b := newBundle("transaction-response", -1)
	for i := range entries {
		if !entries[i].reads() {
			results[i] = s.writtenEntry(entries[i].method, written[position[i]], prefer)
		}
		b.entry(results[i])
	}
	return b.bytes(), nil
}

func (s *Service) entryWrite(ctx context.Context, r *request) (*write, error) {
	w := &write{method: r.method, typ: r.target.typ, id: r.target.id, entry: r.place, fullURL: r.fullURL, when: r.when}
	resource := r.place + ".resource"
	if r.method == http.MethodPatch {
		format, body, err := patchOf(r)
		if err != nil {
			return nil, err
		}
		if r.conditional() {
			if err := s.conditionalTarget(w, r.target.rawQuery); err != nil {
				return nil, at(err, r.place+".request.url")
			}
		}
		return s.patched(ctx, w, format, body)
	}
	if r.method != http.MethodDelete {
		w.node = r.resource
		if got := r.resource.Str("resourceType"); got != r.target.typ {
			return nil, fhir.Errorf(fhir.BadRequest, "structure", resource+".resourceType", "The resource is not of the type that request.url names.")
		}
		if err := s.checkScale(r.resource, resource); err != nil {
			return nil, err
		}
	}
	var err error
	switch {
	case r.conditional():
		err = at(s.conditionalTarget(w, r.target.rawQuery), r.place+".request.url")
	case r.method == http.MethodPut:
		err = sameID(r.resource, w.typ, w.id, resource)
	case r.method == http.MethodPost:
		w.id = s.newID()
		w.condition, err = s.condition(w.typ, r.ifNoneExist)
		err = at(err, r.place+".request.ifNoneExist")
	}
	return w, err
}

// patchOf reads the patch of an entry: a FHIRPath Patch, or a Binary that holds a JSON
// Patch (https://hl7.org/fhir/R4/http.html#patch).
func patchOf(r *request) (PatchFormat, []byte, error) {
	switch r.resource.Str("resourceType") {
	case "Parameters":
		return FHIRPathPatch, r.resource.Raw, nil
	case "Binary":
		if r.resource.Str("contentType") == "application/json-patch+json" {
			body, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(r.resource.Str("data")), ""))
			if err == nil {
				return JSONPatch, body, nil
			}
		}
	}
	return 0, nil, fhir.Errorf(fhir.BadRequest, "value", r.place+".resource", "A PATCH entry carries a Parameters resource, or a Binary of contentType application/json-patch+json.")
}

// distinct refuses a transaction in which two entries are about the same resource
// (https://hl7.org/fhir/R4/http.html#trules).
func distinct(ws []*write) error {
	seen := map[string]string{}
	claim := func(key, entry string) error {
		if first := seen[key]; first != "" {
			return fhir.Errorf(fhir.BadRequest, "duplicate", entry, "This entry is about the same resource as %s; a transaction may touch a resource once.", first)
		}
		seen[key] = entry
		return nil
	}
	for _, w := range ws {
		if w.condition == nil || w.method == http.MethodPost {
			if err := claim(w.ref(), w.entry); err != nil {
				return err
			}
		}
		if w.fullURL != "" {
			if err := claim("fullUrl "+w.fullURL, w.entry); err != nil {
				return err
			}
		}
		if w.condition != nil {
			key := w.typ + "?"
			for _, pair := range w.condition.Applied {
				key += "\x00" + pair.Name + "\x00" + pair.Value
			}
			if err := claim(key, w.entry); err != nil {
				return err
			}
		}
	}
	return nil
}

// writtenEntry is the response to a POST, PUT or DELETE entry.
func (s *Service) writtenEntry(method string, w Written, prefer Prefer) entry {
	e := entry{status: statusLine(http.StatusOK)}
	if w.Resource == nil || w.Resource.Deleted {
		e.status = statusLine(http.StatusNoContent)
	} else {
		e.fullURL = s.url(w.Resource)
		e.location = s.url(w.Resource) + "/_history/" + strings.Trim(etag(w.Resource), `W/"`)
		if w.Created {
			e.status = statusLine(http.StatusCreated)
		}
		if prefer == "representation" {
			e.resource = w.Resource.Body
		}
	}
	if w.Resource != nil {
		e.etag, e.lastModified = etag(w.Resource), w.Resource.LastUpdated
	}
	if len(w.Issues) > 0 || prefer == "OperationOutcome" {
		e.outcome = fhir.Outcome(w.Issues...)
	}
	return e
}

// batch runs each entry as if it had come alone; a failure stays in its own response.
// The order is that of a transaction, so that the result does not depend on the order of
// the entries.
func (s *Service) batch(ctx context.Context, p Principal, entries []request, prefer Prefer) []byte {
	results := make([]entry, len(entries))
	for i := range entries {
		if entries[i].err != nil {
			results[i] = s.failedEntry(ctx, entries[i].err)
		}
	}
	for _, method := range []string{http.MethodDelete, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodGet, http.MethodHead} {
		for i := range entries {
			if entries[i].method == method && entries[i].err == nil {
				results[i] = s.batchEntry(ctx, p, &entries[i], prefer)
			}
		}
	}
	b := newBundle("batch-response", -1)
	for _, e := range results {
		b.entry(e)
	}
	return b.bytes()
}

func (s *Service) batchEntry(ctx context.Context, p Principal, r *request, prefer Prefer) entry {
	t := r.target
	var w Written
	var res *fhir.Resource
	var body []byte
	var err error
	switch r.code() {
	case "create":
		w, err = s.Create(ctx, p, t.typ, r.resource.Raw, r.ifNoneExist)
	case "update":
		if r.conditional() {
			w, err = s.UpdateWhere(ctx, p, t.typ, t.rawQuery, r.resource.Raw, r.when)
		} else {
			w, err = s.Update(ctx, p, t.typ, t.id, r.resource.Raw, r.when)
		}
	case "patch":
		w, err = s.batchPatch(ctx, p, r)
	case "delete":
		if r.conditional() {
			w, err = s.DeleteWhere(ctx, p, t.typ, t.rawQuery, r.when)
		} else {
			w, err = s.Delete(ctx, p, t.typ, t.id, r.when)
		}
	case "read":
		res, err = s.Read(ctx, p, t.typ, t.id)
	case "vread":
		res, err = s.VRead(ctx, p, t.typ, t.id, t.version)
	case "history-instance", "history-type":
		body, err = s.History(ctx, p, t.typ, t.id, t.pairs)
	default:
		body, err = s.Search(ctx, p, t.typ, t.pairs, false)
	}
	switch {
	case err != nil:
		return s.failedEntry(ctx, err)
	case res != nil:
		e, err := s.readEntry(r, res)
		if err != nil {
			return s.failedEntry(ctx, err)
		}
		return e
	case body != nil:
		return r.bundleEntry(body)
	default:
		return s.writtenEntry(r.method, w, prefer)
	}
}

func (s *Service) batchPatch(ctx context.Context, p Principal, r *request) (Written, error) {
	format, body, err := patchOf(r)
	switch {
	case err != nil:
		return Written{}, err
	case r.conditional():
		return s.PatchWhere(ctx, p, r.target.typ, r.target.rawQuery, format, body, r.when)
	default:
		return s.Patch(ctx, p, r.target.typ, r.target.id, format, body, r.when)
	}
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
