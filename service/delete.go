package service

import (
	"context"
	"net/http"

	"aftercare/fhir"
)

// Delete makes a resource unreadable; its history stays
// (https://hl7.org/fhir/R4/http.html#delete). Deleting a resource that is already gone, or
// was never there, succeeds.
func (s *Service) Delete(ctx context.Context, p Principal, typ, id string, when Preconditions) (Written, error) {
	var out Written
	err := s.interact(ctx, p, interaction{"delete", typ, id}, func(ctx context.Context) (err error) {
		if !fhir.ValidID(id) {
			return when.hold(nil)
		}
		out, err = s.commitOne(ctx, &p, &write{method: http.MethodDelete, typ: typ, id: id, when: when})
		return err
	})
	return out, err
}
