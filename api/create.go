package api

import (
	"net/http"

	"aftercare/fhir"
)

// create: POST [base]/[type] (https://hl7.org/fhir/R4/http.html#create), with
// If-None-Exist a conditional create: 200 and the Location of the resource that is
// there already.
func (a *api) create(c *call) error {
	conditions := c.Request.Header.Values("If-None-Exist")
	if len(conditions) > 1 {
		return fhir.Errorf(fhir.BadRequest, "invalid", "", "If-None-Exist is given more than once; join the conditions with '&'.")
	}
	condition := ""
	if len(conditions) == 1 {
		// An empty header is a condition that a client failed to fill in, not no condition.
		if condition = conditions[0]; condition == "" {
			return fhir.Errorf(fhir.BadRequest, "invalid", "", "If-None-Exist is empty; give search parameters such as identifier=system|value, or leave the header out.")
		}
	}
	body, err := readResource(c, a.maxBody)
	if err != nil {
		return err
	}
	w, err := a.service.Create(c.ctx(), c.principal(), c.typ, body, condition)
	if err != nil {
		return err
	}
	a.locate(c, w.Resource)
	status := http.StatusCreated
	if !w.Created {
		status = http.StatusOK
	}
	return a.replyWritten(c, status, w)
}
