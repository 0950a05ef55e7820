package api

import (
	"net/http"

	"aftercare/fhir"
	"aftercare/fhir/subset"
)

// read: GET [base]/[type]/[id] (https://hl7.org/fhir/R4/http.html#read).
func (a *api) read(c *call) error {
	part, err := a.service.Subset(c.typ, c.parameters)
	if err != nil {
		return err
	}
	r, err := a.service.Read(c.ctx(), c.principal(), c.typ, c.id)
	if err != nil {
		return err
	}
	return a.replyResource(c, r, part)
}

// vread: GET [base]/[type]/[id]/_history/[vid] (https://hl7.org/fhir/R4/http.html#vread).
func (a *api) vread(c *call) error {
	part, err := a.service.Subset(c.typ, c.parameters)
	if err != nil {
		return err
	}
	r, err := a.service.VRead(c.ctx(), c.principal(), c.typ, c.id, c.Param("version"))
	if err != nil {
		return err
	}
	return a.replyResource(c, r, part)
}

// replyResource answers a read with what part asks of the resource.
func (a *api) replyResource(c *call, r *fhir.Resource, part subset.Subset) error {
	had, err := a.has(c, r)
	if err != nil {
		return err
	}
	c.describe(r)
	if had {
		return c.replyEmpty(http.StatusNotModified)
	}
	body, err := part.Of(r.Body)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, body)
}
