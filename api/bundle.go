package api

import "net/http"

// process: POST [base] with a transaction or batch Bundle
// (https://hl7.org/fhir/R4/http.html#transaction).
func (a *api) process(c *call) error {
	body, err := readResource(c.Context, a.maxBundle)
	if err != nil {
		return err
	}
	answer, err := a.service.Process(c.ctx(), c.principal(), body, c.prefer.returns)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, answer)
}
