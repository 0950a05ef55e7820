package service

import (
	"context"
	"errors"
	"net/http"

	"aftercare/fhir"
	"aftercare/fhir/patch"
	"aftercare/service/store"
)

// PatchFormat is the language that a patch is written in.
type PatchFormat int

// The patch formats of https://hl7.org/fhir/R4/http.html#patch that are served.
const (
	JSONPatch     PatchFormat = iota + 1 // application/json-patch+json, RFC 6902
	FHIRPathPatch                        // a Parameters resource
)

// patchAttempts is how often a patch is applied anew because somebody else changed the
// resource in between.
const patchAttempts = 10

// Patch changes parts of a resource. The result is validated like an update; a patch that
// changes nothing makes no new version.
func (s *Service) Patch(ctx context.Context, p Principal, typ, id string, format PatchFormat, body []byte, when Preconditions) (Written, error) {
	var out Written
	err := s.interact(ctx, p, interaction{"patch", typ, id}, func(ctx context.Context) (err error) {
		out, err = s.patch(ctx, &write{typ: typ, id: id, when: when}, format, body)
		return err
	})
	return out, err
}

// PatchWhere patches the one resource that meets a query. The error is of kind NotFound
// for no match and PreconditionFailed for several.
func (s *Service) PatchWhere(ctx context.Context, p Principal, typ, query string, format PatchFormat, body []byte, when Preconditions) (Written, error) {
	var out Written
	err := s.interact(ctx, p, interaction{code: "patch", typ: typ}, func(ctx context.Context) error {
		w := &write{typ: typ, when: when}
		if err := s.conditionalTarget(w, query); err != nil {
			return err
		}
		var err error
		out, err = s.patch(ctx, w, format, body)
		return err
	})
	return out, err
}

// patch applies the patch to the current version and stores the result if that is still
// the current one; if not, it begins anew.
func (s *Service) patch(ctx context.Context, w *write, format PatchFormat, body []byte) (Written, error) {
	for range patchAttempts {
		ready, err := s.patched(ctx, w, format, body)
		if err != nil {
			return Written{}, err
		}
		out, err := s.commitOne(ctx, ready)
		if !errors.Is(err, errMoved) {
			return out, err
		}
	}
	return Written{}, fhir.Errorf(fhir.Conflict, "conflict", "", "The resource is changed too often to be patched now; try again.")
}

// patched is the write that a patch comes to on the current version.
func (s *Service) patched(ctx context.Context, w *write, format PatchFormat, body []byte) (*write, error) {
	var current *fhir.Resource
	err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
		if w.condition == nil {
			current, err = read(ctx, r, w.typ, w.id)
			return err
		}
		if current, err = find(ctx, r, w.condition); err == nil && current == nil {
			err = fhir.Errorf(fhir.NotFound, "not-found", "", "No %s meets the condition.", w.typ)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := w.when.hold(current); err != nil {
		return nil, err
	}
	if err := s.mayChange(current); err != nil {
		return nil, err
	}
	changed, err := s.apply(current, format, body)
	if err != nil {
		return nil, err
	}
	n, err := fhir.Parse(changed)
	if err != nil {
		return nil, err
	}
	if err := s.check(n, w.typ, ""); err != nil {
		return nil, unprocessable(err)
	}
	return &write{
		method: http.MethodPatch, typ: w.typ, id: current.ID, entry: w.entry, fullURL: w.fullURL,
		node: n, condition: w.condition, when: w.when, base: current.Version,
	}, nil
}

func (s *Service) apply(current *fhir.Resource, format PatchFormat, body []byte) ([]byte, error) {
	if format == JSONPatch {
		return patch.JSON(current.Body, body)
	}
	parameters, err := fhir.Parse(body)
	if err != nil {
		return nil, err
	}
	if parameters.Kind != fhir.Object || parameters.Str("resourceType") != "Parameters" {
		return nil, fhir.Errorf(fhir.BadRequest, "structure", "", "A FHIRPath Patch is a Parameters resource.")
	}
	if issues := s.validator.Resource(parameters, ""); len(issues) > 0 {
		return nil, &fhir.Error{Kind: fhir.BadRequest, Issues: issues}
	}
	n, err := fhir.Parse(current.Body)
	if err != nil {
		return nil, err
	}
	return patch.FHIRPath(n, parameters, s.validator.Element)
}

// unprocessable turns "not a valid resource" into "the patch does not fit": the request
// itself could be read (https://hl7.org/fhir/R4/http.html#patch).
func unprocessable(err error) error {
	var e *fhir.Error
	if errors.As(err, &e) && e.Kind == fhir.BadRequest {
		return &fhir.Error{Kind: fhir.Unprocessable, Issues: e.Issues, Cause: e.Cause}
	}
	return err
}
