package service

import (
	"context"
	"net/http"

	"aftercare/fhir"
	"aftercare/fhir/subset"
)

// Update stores a new version of a resource, or creates it under the caller's id
// (https://hl7.org/fhir/R4/http.html#update). An update that changes nothing makes no new
// version.
func (s *Service) Update(ctx context.Context, p Principal, typ, id string, body []byte, when Preconditions) (Written, error) {
	var out Written
	err := s.interact(ctx, p, interaction{"update", typ, id}, func(ctx context.Context) error {
		n, err := fhir.Parse(body)
		if err != nil {
			return err
		}
		if err := s.check(n, typ, ""); err != nil {
			return err
		}
		if err := sameID(n, typ, id, ""); err != nil {
			return err
		}
		out, err = s.commitOne(ctx, &p, &write{method: http.MethodPut, typ: typ, id: id, node: n, when: when})
		return err
	})
	return out, err
}

// isWhole refuses a resource that says of itself that it is a part, as what was read with
// _summary or _elements does: stored, it would stand for the whole, and in place of the whole
// it would lose the rest (https://hl7.org/fhir/R4/search.html#summary). A patch or $meta-add
// cannot add that tag either, or a part could follow. The error is of kind Unprocessable.
func isWhole(n *fhir.Node, place string) error {
	if !subset.Tagged(n) {
		return nil
	}
	return fhir.Errorf(fhir.Unprocessable, "business-rule", place+".meta.tag",
		"The resource is tagged SUBSETTED, so it is a part of a resource, and only whole resources are stored. Read the whole, or, if this is the whole, take the tag out.")
}

// sameID holds the id in the content against the one in the URL; at is the place of the
// resource in a Bundle or "".
func sameID(n *fhir.Node, typ, id, at string) error {
	place := typ + ".id"
	if at != "" {
		place = at + ".id"
	}
	switch {
	case !fhir.ValidID(id):
		return fhir.Errorf(fhir.BadRequest, "value", "", "An id has 1 to 64 letters, digits, '-' or '.'.")
	case n.Get("id") == nil:
		return fhir.Errorf(fhir.BadRequest, "required", place, "An update carries the id of the URL in the resource too.")
	case n.Str("id") != id:
		return fhir.Errorf(fhir.BadRequest, "value", place, "The id in the resource is not the id in the URL.")
	}
	return nil
}
