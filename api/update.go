package api

import (
	"net/http"

	"aftercare/service"
)

// update: PUT [base]/[type]/[id] (https://hl7.org/fhir/R4/http.html#update), 201 where
// it made the resource. If-Match asks for an update of that version only, If-None-Match: *
// for a new resource only. PUT
// [base]/[type]?query updates the one resource that the query selects, or makes one.
func (a *api) update(c *call) error {
	body, err := readResource(c, a.maxBody)
	if err != nil {
		return err
	}
	var w service.Written
	if c.id == "" {
		w, err = a.service.UpdateWhere(c.ctx(), c.principal(), c.typ, c.Request.URL.RawQuery, body, c.when)
	} else {
		w, err = a.service.Update(c.ctx(), c.principal(), c.typ, c.id, body, c.when)
	}
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
