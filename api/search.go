package api

import (
	"net/http"

	"aftercare/service"
)

// search: GET [base]/[type]?parameters, [base]?parameters, and [base]/Patient/[id]/[type]?parameters
// with * for all types, or POST to any of these followed by /_search, with a form
// (https://hl7.org/fhir/R4/http.html#search). With Prefer: handling=lenient unknown
// parameters are left out instead of refused.
func (a *api) search(c *call) error {
	var bundle []byte
	var err error
	switch inside := c.Param("inside"); inside {
	case "":
		bundle, err = a.service.Search(c.ctx(), c.principal(), c.typ, c.parameters, c.prefer.lenient)
	default:
		if inside == service.AllTypes {
			inside = ""
		}
		bundle, err = a.service.SearchCompartment(c.ctx(), c.principal(), c.id, inside, c.parameters, c.prefer.lenient)
	}
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, bundle)
}
