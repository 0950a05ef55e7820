package service

import (
	"context"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/audit"
	"aftercare/service/store"
)

// ofLog reports whether resources of a type are records of the auditor's log.
func ofLog(typ string) bool {
	t, _ := fhir.Served(typ)
	return t.Logged
}

// site is what AuditEvents say of the service.
func (s *Service) site() audit.Site {
	return *logSite(s.baseURL)
}

// current is a resource as it is now, from the store or the log.
func (s *Service) current(ctx context.Context, r *store.Reader, typ, id string) (*fhir.Resource, error) {
	if ofLog(typ) {
		return s.readLogged(ctx, r, typ, id)
	}
	return read(ctx, r, typ, id)
}

// past is a version of a resource, from the store or the log, where each has one.
func (s *Service) past(ctx context.Context, r *store.Reader, typ, id, version string) (*fhir.Resource, error) {
	switch {
	case !ofLog(typ):
		return vread(ctx, r, typ, id, version)
	case version != "1":
		return nil, fhir.Errorf(fhir.NotFound, "not-found", "", "There is no such version.")
	}
	return s.readLogged(ctx, r, typ, id)
}

// readLogged is the record with an id, which is its position. The error's kind is Gone where it was erased
// or moved to an archive.
func (s *Service) readLogged(ctx context.Context, r *store.Reader, typ, id string) (*fhir.Resource, error) {
	position, err := positionOf(id)
	if err != nil {
		return nil, err
	}
	row, err := r.LoggedAt(ctx, position)
	switch {
	case err != nil:
		return nil, err
	case row.Position == 0:
		return nil, fhir.Errorf(fhir.NotFound, "not-found", "", "There is no %s with this id.", typ)
	}
	if row.Leaf == nil || row.Key == nil {
		return nil, gone(ctx, r, position)
	}
	_, found, err := s.openLogged(typ, row)
	return found, err
}

// gone says where a record is that cannot be opened here.
func gone(ctx context.Context, r *store.Reader, position int64) error {
	switch name, err := r.Archived(ctx, position); {
	case err != nil:
		return err
	case name != "":
		return fhir.Errorf(fhir.Gone, "not-found", "", "This record was moved to an archive, %s. The log still proves that there was one.", name)
	}
	return fhir.Errorf(fhir.Gone, "deleted", "", "This record was erased. The log still proves that there was one.")
}

// openLogged is a row of the log as a record, and as the resource that it is shown as.
func (s *Service) openLogged(typ string, l store.Logged) (*audit.Record, *fhir.Resource, error) {
	record, err := audit.Read(l.Position, l.Leaf, l.Key)
	if err != nil {
		return nil, nil, err
	}
	site := s.site()
	body, err := site.Event(record)
	return record, &fhir.Resource{Type: typ, ID: record.ID, Version: 1, LastUpdated: l.Recorded, Body: body}, err
}

// historyOfLogged reads the parameters of the history of one record, which has one version.
func (s *Service) historyOfLogged(q *store.HistoryQuery, applied []search.Pair) (func(context.Context, *store.Reader) ([]byte, error), error) {
	if q.ID == "" {
		return nil, fhir.Errorf(fhir.BadRequest, "not-supported", "", "The log has no history besides itself; search %s, which gives the newest first, by date.", q.Type)
	}
	if q.Cursor != "" {
		return nil, fhir.Errorf(fhir.BadRequest, "value", "http._cursor", "This page link was not made for this query; start again from the first page.")
	}
	return func(ctx context.Context, r *store.Reader) ([]byte, error) {
		res, err := s.readLogged(ctx, r, q.Type, q.ID)
		if err != nil {
			return nil, err
		}
		asked := !res.LastUpdated.Before(q.Since) && (q.High.IsZero() || res.LastUpdated.Before(q.High))
		total := int64(0)
		if asked {
			total = 1
		}
		b := newBundle("history", total)
		b.link("self", s.link(res.Ref()+"/_history", applied, ""))
		if asked && q.Count > 0 {
			trailOf(ctx).shows(res)
			b.entry(s.historyEntry(store.HistoryEntry{Resource: res, Method: "POST", Created: true}))
		}
		return b.bytes(), nil
	}, nil
}
