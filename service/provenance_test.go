package service

import (
	"fmt"
	"slices"
	"testing"

	"aftercare/fhir"
	"aftercare/fhir/validate"
)

// The Provenance of a derivation names what it changed, what it replaced, and why.
func TestProvenanceNamesTheDifference(t *testing.T) {
	s := open(t)
	v, err := validate.New()
	if err != nil {
		t.Fatal(err)
	}
	surgery := func(status, day string) {
		s.put1(t, "Procedure", `{"resourceType":"Procedure","id":"op","status":"`+status+`","performedDateTime":"`+day+`","subject":{"reference":"Patient/p"},
			"code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"single-stage"}]},
			"bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"},{"system":"http://snomed.info/sct","code":"7771000"}]}]}`)
	}
	// latest is the Provenance that was not there before.
	seen := map[string]bool{}
	latest := func() *fhir.Node {
		t.Helper()
		var found *fhir.Node
		for _, body := range s.find(t, "Provenance", "") {
			n, err := fhir.Parse(body)
			if err != nil {
				t.Fatal(err)
			}
			if !seen[n.Str("id")] {
				if found != nil {
					t.Fatal("two at once")
				}
				found = n
			}
			seen[n.Str("id")] = true
		}
		for _, issue := range v.Resource(found, "") {
			if issue.Severity == "error" {
				t.Errorf("%v %s", issue.Expression, issue.Text)
			}
		}
		return found
	}
	codes := func(n *fhir.Node, path ...string) (list []string) {
		for _, c := range n.Each(path...) {
			list = append(list, c.Text)
		}
		return list
	}
	changes := func(n *fhir.Node) (list []string) {
		for _, x := range n.Each("target", "extension") {
			if x.Str("url") != changeExtension {
				t.Errorf("an extension %s", x.Str("url"))
			}
			text := ""
			for _, part := range x.Each("extension") {
				text += " " + part.Str("valueCode") + part.Str("valueString")
			}
			list = append(list, text[1:])
		}
		return list
	}

	surgery("completed", "2026-03-02")
	n := latest()
	if got := fmt.Sprint(codes(n, "activity", "coding", "code"), codes(n, "reason", "coding", "code"), changes(n)); got != "[CREATE] [follows-records] []" {
		t.Errorf("made: %s", got)
	}
	if got := codes(n, "entity", "role"); slices.Contains(got, "revision") {
		t.Errorf("made: roles %v", got)
	}

	surgery("completed", "2026-03-04")
	n = latest()
	if got := changes(n); !slices.Contains(got, "staples-partial moved 2026-03-23 2026-03-25") || slices.Contains(got, "loading") {
		t.Errorf("moved: %q", got)
	}
	if got := fmt.Sprint(codes(n, "activity", "coding", "code")); got != "[UPDATE]" {
		t.Errorf("moved: %s", got)
	}
	var revised []string
	for _, e := range n.Each("entity") {
		if e.Str("role") == "revision" {
			revised = append(revised, e.Str("what", "reference"))
		}
	}
	if plan := fmt.Sprintf("CarePlan/%s/_history/1", s.planID(t)); !slices.Contains(revised, plan) {
		t.Errorf("moved: the revised versions are %q, without %s", revised, plan)
	}

	surgery("completed", "2026-03-04")
	if got := len(s.find(t, "Provenance", "")); got != 2 {
		t.Errorf("%d Provenance resources after nothing has changed", got)
	}

	surgery("not-done", "2026-03-04")
	n = latest()
	if got := codes(n, "reason", "coding", "code"); !slices.Contains(got, "not-done") {
		t.Errorf("closed: reasons %q", got)
	}
	if got := changes(n); !slices.Contains(got, "staples-partial restated not-started cancelled") {
		t.Errorf("closed: %q", got)
	}
}

// planID is the id of the only care plan.
func (s *Service) planID(t *testing.T) string {
	t.Helper()
	plans := s.find(t, "CarePlan", "")
	if len(plans) != 1 {
		t.Fatalf("%d plans", len(plans))
	}
	n, err := fhir.Parse(plans[0])
	if err != nil {
		t.Fatal(err)
	}
	return n.Str("id")
}
