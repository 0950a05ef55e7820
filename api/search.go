package api

import "net/http"

// search: GET [base]/[type]?parameters, or POST [base]/[type]/_search with a form
// (https://hl7.org/fhir/R4/http.html#search). With Prefer: handling=lenient unknown
// parameters are left out instead of refused.
func (a *api) search(c *call) error {
	bundle, err := a.service.Search(c.ctx(), c.principal(), c.typ, c.parameters, c.prefer.lenient)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, bundle)
}
