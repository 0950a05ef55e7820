package service

import (
	"fmt"
	"strings"
	"testing"

	"aftercare/fhir"
)

const operationOf = `{"resourceType":"Procedure","id":"ID","status":"completed","performedDateTime":"2026-03-02",
 "code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"single-stage"}]},
 "subject":{"reference":"Patient/WHO"},"bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"},{"system":"http://snomed.info/sct","code":"7771000"}]}]}`

func (s *Service) mustPut(t *testing.T, body string) {
	t.Helper()
	n, err := fhir.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(t.Context(), Anonymous, n.Str("resourceType"), n.Str("id"), []byte(body), Preconditions{}); err != nil {
		t.Fatal(err)
	}
}

func operation(id, who string) string {
	return strings.NewReplacer("ID", id, "WHO", who).Replace(operationOf)
}

// subjectsOfPlans are the patients of the plans, by plan id.
func (s *Service) subjectsOfPlans(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, body := range s.find(t, "CarePlan", "") {
		n, err := fhir.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		found[n.Str("id")] = n.Str("subject", "reference") + " " + n.Str("status")
	}
	return found
}

// A plan that has moved to another patient keeps its id, and the next plan of the first patient
// leaves it alone.
func TestTheIDOfAMovedPlanIsNotUsedAgain(t *testing.T) {
	s := open(t)
	const old, now = `{"resourceType":"Patient","id":"old"}`, `{"resourceType":"Patient","id":"now"}`
	s.mustPut(t, old)
	s.mustPut(t, now)
	s.mustPut(t, operation("a", "old"))
	s.mustPut(t, strings.Replace(old, `"old"`, `"old","link":[{"other":{"reference":"Patient/now"},"type":"replaced-by"}]`, 1))
	s.mustPut(t, operation("a", "now"))
	s.mustPut(t, old)
	moved := s.subjectsOfPlans(t)
	if len(moved) != 1 {
		t.Fatalf("plans %v", moved)
	}
	s.mustPut(t, operation("b", "old"))
	got := s.subjectsOfPlans(t)
	for id, of := range moved {
		if of != "Patient/now active" || got[id] != of {
			t.Errorf("%s was %s and is %s", id, of, got[id])
		}
	}
	if len(got) != 2 {
		t.Errorf("plans %v", got)
	}
}

// What was staged ahead for a patient who is merged meanwhile counts for the record in use.
func TestMergeWhileALargeTransactionIsStaged(t *testing.T) {
	s := open(t)
	s.mustPut(t, `{"resourceType":"Patient","id":"old"}`)
	s.mustPut(t, `{"resourceType":"Patient","id":"now"}`)
	s.stageFrom = 1
	merged := false
	s.staged = func(confirmed bool) {
		if confirmed && !merged {
			merged = true
			s.stageFrom = stageFrom // nobody waits for its own staging
			s.mustPut(t, `{"resourceType":"Patient","id":"old","link":[{"other":{"reference":"Patient/now"},"type":"replaced-by"}]}`)
		}
	}
	s.process(t, bundleOf("transaction", entryOf("", operation("a", "old"), "PUT", "Procedure/a", "")))
	s.staged = nil
	for id, of := range s.subjectsOfPlans(t) {
		if of != "Patient/now active" {
			t.Errorf("%s is of %s", id, of)
		}
	}
	if !merged || len(s.subjectsOfPlans(t)) != 1 {
		t.Errorf("merged: %v, plans %v", merged, s.subjectsOfPlans(t))
	}
}

// A person may have many records, and every one counts; more than can be looked at are refused, and
// nothing is passed over.
func TestAllRecordsOfAPersonCount(t *testing.T) {
	if testing.Short() || !strings.HasPrefix(newDatabase(t), "sqlite:") {
		t.Skip("hundreds of Patients")
	}
	s := open(t)
	link := func(id string) string {
		return `{"resourceType":"Patient","id":"` + id + `","link":[{"other":{"reference":"Patient/now"},"type":"replaced-by"}]}`
	}
	s.mustPut(t, `{"resourceType":"Patient","id":"now"}`)
	s.mustPut(t, operation("last", "r-119"))
	var entries []string
	for i := range 120 {
		id := fmt.Sprint("r-", i)
		entries = append(entries, entryOf("", link(id), "PUT", "Patient/"+id, ""))
	}
	s.process(t, bundleOf("transaction", entries...))
	for id, of := range s.subjectsOfPlans(t) {
		if of != "Patient/now active" {
			t.Errorf("%s is of %s", id, of)
		}
	}
	entries = nil
	for i := range maxRecords {
		id := fmt.Sprint("more-", i)
		entries = append(entries, entryOf("", link(id), "PUT", "Patient/"+id, ""))
	}
	if _, err := s.Process(ctx, Anonymous, bundleOf("transaction", entries...), ""); fhir.KindOf(err) != fhir.Unprocessable {
		t.Errorf("got %v", err)
	}
	if n := len(found(t, s, "Patient?_id=more-1")); n != 0 {
		t.Error("some of them are stored")
	}
}
