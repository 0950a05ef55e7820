package service

import (
	"context"
	"net/http"

	"aftercare/fhir"
	"aftercare/service/permission"
	"aftercare/service/store"
)

// UpdateWhere updates the one resource that meets a query, or creates it where none does
// (https://hl7.org/fhir/R4/http.html#cond-update). Several matches are an error of kind
// PreconditionFailed.
func (s *Service) UpdateWhere(ctx context.Context, p Principal, typ, query string, body []byte, when Preconditions) (Written, error) {
	var out Written
	err := s.interact(ctx, p, interaction{code: "update", typ: typ}, func(ctx context.Context) error {
		n, err := fhir.Parse(body)
		if err != nil {
			return err
		}
		if err := s.check(n, typ, ""); err != nil {
			return err
		}
		w := &write{method: http.MethodPut, typ: typ, node: n, when: when}
		if err := s.conditionalTarget(w, query); err != nil {
			return err
		}
		out, err = s.commitOne(ctx, &p, w)
		return err
	})
	return out, err
}

// DeleteWhere deletes the one resource that meets a query; none is success
// (https://hl7.org/fhir/R4/http.html#3.1.0.7.1). Several matches are an error of kind
// PreconditionFailed: the server deletes one resource at a time.
func (s *Service) DeleteWhere(ctx context.Context, p Principal, typ, query string, when Preconditions) (Written, error) {
	var out Written
	err := s.interact(ctx, p, interaction{code: "delete", typ: typ}, func(ctx context.Context) error {
		w := &write{method: http.MethodDelete, typ: typ, when: when}
		if err := s.conditionalTarget(w, query); err != nil {
			return err
		}
		var err error
		out, err = s.commitOne(ctx, &p, w)
		return err
	})
	return out, err
}

// conditionalTarget gives a conditional write its query, and the id that it gets if it
// makes a new resource.
func (s *Service) conditionalTarget(w *write, query string) error {
	condition, err := s.condition(w.typ, query)
	if err != nil {
		return err
	}
	if condition == nil {
		return fhir.Errorf(fhir.BadRequest, "required", "", "The URL needs an id, or a query that selects one resource.")
	}
	w.condition = condition
	if w.id = w.node.Str("id"); w.id == "" {
		w.id = s.newID()
	}
	return nil
}

// target holds a conditional update against what its query has found.
func (s *Service) target(ctx context.Context, tx *store.Tx, by *Principal, w *write, match *fhir.Resource) error {
	if w.condition == nil || w.method != http.MethodPut {
		return nil
	}
	own := w.node.Str("id")
	if match != nil {
		if own != "" && own != match.ID {
			return fhir.Errorf(fhir.BadRequest, "value", w.typ+".id", "The query selects a resource with another id.")
		}
		return s.mayChange(match)
	}
	if own == "" {
		return nil
	}
	// R4 lets a server treat this as an update-as-create; the id must be free.
	switch current, err := s.as(by, &tx.Reader, permission.Update).Get(ctx, w.typ, own); {
	case err != nil && fhir.KindOf(err) != fhir.NotFound:
		return err
	case err == nil && !current.Deleted:
		return fhir.Errorf(fhir.BadRequest, "value", w.typ+".id", "The query selects nothing, but there is a resource with this id already.")
	}
	return nil
}
