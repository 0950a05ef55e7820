package service

import (
	"context"
	"net/http"

	"aftercare/fhir"
)

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
