package service

import (
	"context"
	"net/http"

	"aftercare/fhir"
	"aftercare/service/careplan"
	"aftercare/service/permission"
	"aftercare/service/store"
)

// itself is the service, where it writes of its own accord.
var itself = Principal{Name: "aftercare", Unbounded: true}

// mayLookUp refuses conditions and conditional references by callers who may not search for what
// they look for. A condition looks among what the caller may see.
func (s *Service) mayLookUp(by *Principal, w *write) error {
	if by.Unbounded {
		return nil
	}
	if w.condition != nil && !s.may(by, w.typ, searching) {
		return forbidden("search-type", w.typ)
	}
	for _, l := range w.links {
		if typ, _, ok := conditionalReference(l); ok && !s.may(by, typ, searching) {
			return at(forbidden("search-type", typ), l.Expression)
		}
	}
	return nil
}

// mayStore refuses content that the caller may not write: what is stored must be a part of what the
// caller may create, or update.
func (s *Service) mayStore(by *Principal, w *write, id string, c *content) error {
	do := permission.Update
	if w.method == http.MethodPost {
		do = permission.Create
	}
	if part := s.part(by, w.typ, do); !part.All() && !part.Holds(id, c.rows) {
		return fhir.Errorf(fhir.Forbidden, "forbidden", "", "The caller may write some %s resources, but not with this content.", w.typ)
	}
	if w.typ == careplan.SubjectType && len(named(c.rows, []string{linkParameter})) > 0 && by.Access(w.typ, permission.OfPatient, do).OfOne() {
		return fhir.Errorf(fhir.Forbidden, "forbidden", "Patient.link", "The caller may write the data of one patient, and so may not say who else that is.")
	}
	return nil
}

// mayReplace refuses an update of a resource that the caller may not update, in the same words as
// one of what is not there. Whoever may update only some resources of a type cannot make new ones
// under ids of their own: that would tell which ids are taken.
func (s *Service) mayReplace(ctx context.Context, r *store.Reader, by *Principal, typ, id string) error {
	if by.Unbounded || s.part(by, typ, permission.Update).All() {
		return nil
	}
	_, err := read(ctx, s.as(by, r, permission.Update), typ, id)
	return err
}

// asReferrer is a reader of what resources of a type may refer to, where that must exist: whoever may
// write only some of them could find out by references what is there.
func (s *Service) asReferrer(by *Principal, r *store.Reader, typ string) *store.Reader {
	if by.Unbounded || s.part(by, typ, permission.Create).All() {
		return r
	}
	return s.as(by, r, permission.Read)
}

// hide notes which of the results of writes the caller may not read.
func (s *Service) hide(ctx context.Context, r *store.Reader, by *Principal, out []Written) error {
	if by.Unbounded {
		return nil
	}
	shared, err := s.sharedPart(ctx, by, r)
	if err != nil {
		return err
	}
	for i := range out {
		r := out[i].Resource
		if r == nil || r.Deleted {
			continue
		}
		part := shared(r.Type, permission.Read)
		if part.All() {
			continue
		}
		rows, err := s.rows(r)
		if err != nil {
			return err
		}
		out[i].Hidden = !part.Holds(r.ID, rows)
	}
	return nil
}
