package api

import (
	"net/http"

	"aftercare/service/memory"
)

// process: POST [base] with a transaction or batch Bundle
// (https://hl7.org/fhir/R4/http.html#transaction).
func (a *api) process(c *call) error {
	body, err := readResource(c, a.maxBundle)
	if err != nil {
		return err
	}
	answer, err := a.service.Process(memory.With(c.ctx(), c.memory), c.principal(), body, c.prefer.returns)
	if err != nil {
		return err
	}
	// What a Bundle has written stays, so its answer is sent in any case; its parts took their
	// room when they were made.
	_ = c.memory.Answered(int64(len(answer)))
	return c.send(http.StatusOK, answer)
}
