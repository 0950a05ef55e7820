package api

import "aftercare/fhir"

// provenanceHeader is where a caller says how he came by what he writes
// (https://hl7.org/fhir/R4/provenance.html#header).
const provenanceHeader = "X-Provenance"

// takeProvenance gives what a request writes the Provenance that it states.
func (a *api) takeProvenance(c *call) error {
	stated := c.Request.Header.Values(provenanceHeader)
	switch len(stated) {
	case 0:
		return nil
	case 1:
	default:
		return fhir.Errorf(fhir.BadRequest, "invalid", "http."+provenanceHeader, "%s is given more than once; one Provenance speaks for all that is written.", provenanceHeader)
	}
	ctx, err := a.service.WithProvenance(c.ctx(), c.principal(), []byte(stated[0]))
	if err == nil {
		c.Request = c.Request.WithContext(ctx)
	}
	return err
}
