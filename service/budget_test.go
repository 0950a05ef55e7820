package service

import (
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// A query that takes longer than one may is refused; what was to be written with it is not, and
// others go on.
func TestQueriesHaveABudget(t *testing.T) {
	s := open(t)
	twoPatients(t, s)
	refused := func(what string, err error) {
		t.Helper()
		if fhir.KindOf(err) != fhir.Unprocessable {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.queryLimit = time.Nanosecond
	_, err := s.Search(ctx, Anonymous, "Observation", []search.Pair{{Name: "status", Value: "final"}}, false)
	refused("a search", err)
	_, err = s.History(ctx, Anonymous, "Observation", "", nil)
	refused("a history", err)
	_, err = s.Operate(ctx, Anonymous, OperationRequest{Name: "everything", Type: "Patient", ID: "a"})
	refused("an operation", err)
	_, err = s.Process(ctx, Anonymous, bundleOf("transaction", entryOf("", `{"resourceType":"Organization","id":"n-o","name":"x"}`, "PUT", "Organization/n-o", ""), entryOf("", "", "GET", "Observation?status=final", "")), "")
	refused("a search in a transaction", err)
	if _, err := s.Update(ctx, Anonymous, "Practitioner", "p", []byte(`{"resourceType":"Practitioner","id":"p"}`), Preconditions{}); err != nil {
		t.Error("a write:", err)
	}
	s.queryLimit = 0
	if _, err := s.Read(ctx, Anonymous, "Organization", "n-o"); fhir.KindOf(err) != fhir.NotFound {
		t.Error("the rest of the transaction is stored:", err)
	}
	asks(t, s, &Anonymous, map[string]string{"search Observation": "a-lab a-pain b-lab b-pain moved", "read Practitioner/p": "p"})
}
