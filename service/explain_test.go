package service

import (
	"strings"
	"testing"

	"aftercare/fhir"
)

func TestExplain(t *testing.T) {
	s := open(t)
	s.process(t, surgeries(t)["single-stage-femur-left"])
	id := s.planID(t)
	ask := func(id, version string) (string, error) {
		out, err := s.Operate(ctx, Anonymous, OperationRequest{Name: "explain", Type: "CarePlan", ID: id, Version: version})
		return string(out.Body), err
	}
	body, err := ask(id, "")
	if err != nil || !strings.Contains(body, `"valueCode":"current"`) || !strings.Contains(body, "CarePlan/"+id+"/_history/1") || !strings.Contains(body, "Procedure/") {
		t.Errorf("%v: %.300s", err, body)
	}
	if _, err := ask("nobody", ""); fhir.KindOf(err) != fhir.NotFound {
		t.Errorf("a plan that is not there: %v", err)
	}
	if _, err := ask(id, "7"); fhir.KindOf(err) != fhir.NotFound {
		t.Errorf("a version that is not there: %v", err)
	}
	s.put1(t, "CarePlan", `{"resourceType":"CarePlan","id":"theirs","status":"active","intent":"plan","subject":{"reference":"Patient/x"}}`)
	if body, err := ask("theirs", ""); err != nil || !strings.Contains(body, `"valueCode":"not-derived"`) {
		t.Errorf("another's plan: %v: %s", err, body)
	}
	if _, err := s.Delete(ctx, Anonymous, "CarePlan", "theirs", Preconditions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := ask("theirs", ""); fhir.KindOf(err) != fhir.Gone {
		t.Errorf("a plan that was deleted: %v", err)
	}
	if _, err := s.Operate(ctx, Anonymous, OperationRequest{Name: "explain", Type: "Goal", ID: "x"}); fhir.KindOf(err) != fhir.NotFound {
		t.Errorf("of another type: %v", err)
	}
	// An earlier version is held against what the records give now.
	n, err := fhir.Parse(s.find(t, "Procedure", "")[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, proc := range s.find(t, "Procedure", "") {
		if p, err := fhir.Parse(proc); err == nil && strings.Contains(string(proc), "single-stage") {
			n = p
		}
	}
	s.put1(t, "Procedure", strings.ReplaceAll(string(n.Raw), `"2026-`, `"2027-`))
	if now, err := ask(id, ""); err != nil || !strings.Contains(now, `"valueCode":"current"`) || !strings.Contains(now, "_history/2") {
		t.Errorf("now: %v: %.300s", err, now)
	}
	if before, err := ask(id, "1"); err != nil || !strings.Contains(before, `"valueCode":"differs"`) || !strings.Contains(before, "The stored version says") {
		t.Errorf("before: %v: %.300s", err, before)
	}
}
