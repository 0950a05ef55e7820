package api

import (
	"net/http"

	"aftercare/fhir"
)

// metadata: GET [base]/metadata (https://hl7.org/fhir/R4/http.html#capabilities). All
// that is served is normative or R4, so mode=normative gives the same statement.
func (a *api) metadata(c *call) error {
	for _, p := range c.parameters {
		if p.Name == "mode" && p.Value != "full" && p.Value != "normative" {
			return fhir.Errorf(fhir.BadRequest, "not-supported", "http.mode", "mode must be full or normative; there is no TerminologyCapabilities statement.")
		}
	}
	return c.reply(http.StatusOK, a.service.Capabilities())
}
