package api

import (
	"net/http"

	"aftercare/fhir"
	"aftercare/service"
)

// delete: DELETE [base]/[type]/[id] (https://hl7.org/fhir/R4/http.html#delete), also a
// success where nothing is left to delete; DELETE [base]/[type]?query deletes the one
// resource that the query selects.
func (a *api) delete(c *call) error {
	var w service.Written
	var err error
	if c.id == "" {
		w, err = a.service.DeleteWhere(c.ctx(), c.principal(), c.typ, c.Request.URL.RawQuery, c.when)
	} else {
		w, err = a.service.Delete(c.ctx(), c.principal(), c.typ, c.id, c.when)
	}
	if err != nil {
		return err
	}
	if w.Resource != nil {
		c.describe(w.Resource)
	}
	if c.prefer.returns == preferOutcome {
		return c.reply(http.StatusOK, fhir.Outcome(w.Issues...))
	}
	return c.replyEmpty(http.StatusNoContent)
}
