package api

import (
	"net/http"

	"aftercare/fhir"
)

// update: PUT [base]/[type]/[id] (https://hl7.org/fhir/R4/http.html#update), 201 where
// it made the resource. If-Match asks for an update of that version only.
func (a *api) update(c *call) error {
	if c.GetHeader("If-None-Match") != "" {
		// Ignoring it would overwrite what the caller wanted to keep.
		return fhir.Errorf(fhir.BadRequest, "not-supported", "", "If-None-Match is not offered for updates; use If-Match with the version that you read.")
	}
	body, err := readResource(c.Context, a.maxBody)
	if err != nil {
		return err
	}
	w, err := a.service.Update(c.ctx(), c.principal(), c.typ, c.id, body, c.GetHeader("If-Match"))
	if err != nil {
		return err
	}
	status := http.StatusOK
	if w.Created {
		status = http.StatusCreated
		a.locate(c, w.Resource)
	}
	return a.replyWritten(c, status, w)
}
