package service

import (
	"context"
	"errors"
	"net/http"

	"aftercare/fhir"
	"aftercare/fhir/patch"
)

// PatchFormat is the language that a patch is written in.
type PatchFormat int

// The patch formats of https://hl7.org/fhir/R4/http.html#patch that are served.
const (
	JSONPatch     PatchFormat = iota + 1 // application/json-patch+json, RFC 6902
	FHIRPathPatch                        // a Parameters resource
)

// Patch changes parts of a resource. The patch is applied to the version that is current
// when it is stored, so that of several patches at once none is lost. The result is
// validated like an update; a patch that changes nothing makes no new version.
func (s *Service) Patch(ctx context.Context, p Principal, typ, id string, format PatchFormat, body []byte, when Preconditions) (Written, error) {
	var out Written
	err := s.interact(ctx, p, interaction{"patch", typ, id}, func(ctx context.Context) error {
		change, err := s.patching(typ, format, body)
		if err != nil {
			return err
		}
		out, err = s.commitOne(ctx, &p, &write{method: http.MethodPatch, typ: typ, id: id, when: when, change: change})
		return err
	})
	return out, err
}

// PatchWhere patches the one resource that meets a query. The error is of kind NotFound
// for no match and PreconditionFailed for several.
func (s *Service) PatchWhere(ctx context.Context, p Principal, typ, query string, format PatchFormat, body []byte, when Preconditions) (Written, error) {
	var out Written
	err := s.interact(ctx, p, interaction{code: "patch", typ: typ}, func(ctx context.Context) error {
		change, err := s.patching(typ, format, body)
		if err != nil {
			return err
		}
		w := &write{method: http.MethodPatch, typ: typ, when: when, change: change}
		if err := s.conditionalTarget(w, query); err != nil {
			return err
		}
		out, err = s.commitOne(ctx, &p, w)
		return err
	})
	return out, err
}

// patching is the change that a patch makes to a resource of a type.
func (s *Service) patching(typ string, format PatchFormat, body []byte) (change, error) {
	apply := func(current *fhir.Resource) ([]byte, error) { return patch.JSON(current.Body, body) }
	if format == FHIRPathPatch {
		parameters, err := s.patchParameters(body)
		if err != nil {
			return nil, err
		}
		apply = func(current *fhir.Resource) ([]byte, error) {
			n, err := fhir.Parse(current.Body)
			if err != nil {
				return nil, err
			}
			return patch.FHIRPath(n, parameters, s.validator.Element)
		}
	}
	return func(current *fhir.Resource) (*fhir.Node, error) {
		body, err := apply(current)
		if err != nil {
			return nil, err
		}
		n, err := fhir.Parse(body)
		if err != nil {
			return nil, err
		}
		return n, unprocessable(s.check(n, typ, ""))
	}, nil
}

// patchParameters reads a FHIRPath Patch.
func (s *Service) patchParameters(body []byte) (*fhir.Node, error) {
	n, err := fhir.Parse(body)
	if err != nil {
		return nil, err
	}
	if n.Kind != fhir.Object || n.Str("resourceType") != "Parameters" {
		return nil, fhir.Errorf(fhir.BadRequest, "structure", "", "A FHIRPath Patch is a Parameters resource.")
	}
	if issues := s.validator.Resource(n, ""); len(issues) > 0 {
		return nil, &fhir.Error{Kind: fhir.BadRequest, Issues: issues}
	}
	return n, nil
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
