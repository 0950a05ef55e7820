package api

import "net/http"

// history: GET [base]/[type]/[id]/_history, [base]/[type]/_history and [base]/_history
// (https://hl7.org/fhir/R4/http.html#history).
func (a *api) history(c *call) error {
	bundle, err := a.service.History(c.ctx(), c.principal(), c.typ, c.id, c.parameters)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, bundle)
}
