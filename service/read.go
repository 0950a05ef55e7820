package service

import (
	"context"
	"strconv"

	"aftercare/fhir"
	"aftercare/service/permission"
	"aftercare/service/store"
)

// Read returns the current version of a resource. The error's kind is NotFound for an
// unknown id and Gone for a deleted resource (https://hl7.org/fhir/R4/http.html#read).
func (s *Service) Read(ctx context.Context, p Principal, typ, id string) (*fhir.Resource, error) {
	var found *fhir.Resource
	err := s.interact(ctx, p, interaction{"read", typ, id}, func(ctx context.Context) error {
		return s.view(ctx, &p, permission.Read, func(ctx context.Context, r *store.Reader) (err error) {
			if found, err = s.current(ctx, r, typ, id); err == nil {
				trailOf(ctx).shows(found)
			}
			return err
		})
	})
	return found, err
}

// VRead returns one version of a resource (https://hl7.org/fhir/R4/http.html#vread). The
// error's kind is NotFound for an unknown version and Gone for one that is a deletion.
func (s *Service) VRead(ctx context.Context, p Principal, typ, id, version string) (*fhir.Resource, error) {
	var found *fhir.Resource
	err := s.interact(ctx, p, interaction{"vread", typ, id}, func(ctx context.Context) error {
		return s.view(ctx, &p, permission.Read, func(ctx context.Context, r *store.Reader) (err error) {
			if found, err = s.past(ctx, r, typ, id, version); err == nil {
				err = s.showPast(ctx, found)
			}
			return err
		})
	})
	return found, err
}

func read(ctx context.Context, r *store.Reader, typ, id string) (*fhir.Resource, error) {
	res, err := r.Get(ctx, typ, id)
	return present(res, err)
}

func vread(ctx context.Context, r *store.Reader, typ, id, version string) (*fhir.Resource, error) {
	n, err := strconv.ParseInt(version, 10, 64)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != version {
		return nil, fhir.Errorf(fhir.NotFound, "not-found", "", "There is no such version.")
	}
	res, err := r.Version(ctx, typ, id, n)
	return present(res, err)
}

func present(res *fhir.Resource, err error) (*fhir.Resource, error) {
	if err == nil && res.Deleted {
		return nil, fhir.Errorf(fhir.Gone, "deleted", "", "This %s was deleted.", res.Type)
	}
	return res, err
}
