package service

import (
	"context"
	"net/http"

	"aftercare/fhir"
)

// Create stores a new resource under an id of ours
// (https://hl7.org/fhir/R4/http.html#create). ifNoneExist is the query of the
// If-None-Exist header or "": when one resource meets it, that one is returned and
// nothing is written; several are an error of kind PreconditionFailed.
func (s *Service) Create(ctx context.Context, p Principal, typ string, body []byte, ifNoneExist string) (Written, error) {
	var out Written
	err := s.interact(ctx, p, interaction{code: "create", typ: typ}, func(ctx context.Context) error {
		n, err := fhir.Parse(body)
		if err != nil {
			return err
		}
		if err := s.check(n, typ, ""); err != nil {
			return err
		}
		condition, err := s.condition(typ, ifNoneExist)
		if err != nil {
			return err
		}
		out, err = s.commitOne(ctx, &p, &write{
			method: http.MethodPost, typ: typ, id: s.newID(), node: n, condition: condition,
		})
		return err
	})
	return out, err
}
