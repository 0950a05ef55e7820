package service

import (
	"os"
	"strings"
	"testing"

	"aftercare/definitions"
	"aftercare/fhir"
)

// The resources of a site are there to read and to search, and not to write; the team of a
// patient is stored with the plan.
func TestSiteIsServedLikeDefinitions(t *testing.T) {
	s := open(t, func(o *Options) {
		file, err := os.Open("../docs/site.example.yaml")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		site, err := definitions.Site(file)
		if err != nil {
			t.Fatal(err)
		}
		o.Definitions = append(o.Definitions, site...)
	})
	if got := s.find(t, "HealthcareService", "name=Enquiries"); len(got) != 1 {
		t.Errorf("%d services", len(got))
	}
	_, err := s.Update(ctx, Anonymous, "Organization", "aftercare-site", []byte(`{"resourceType":"Organization","id":"aftercare-site","name":"Other"}`), Preconditions{})
	if fhir.KindOf(err) != fhir.NotAllowed {
		t.Errorf("a write of the organisation: %v", err)
	}
	s.process(t, surgeries(t)["bilateral-femur"])
	teams := s.find(t, "CareTeam", "patient:missing=false")
	if len(teams) != 1 || !strings.Contains(string(teams[0]), "PractitionerRole/aftercare-site-surgeon") {
		t.Fatalf("%d teams: %s", len(teams), teams)
	}
	if got := s.find(t, "CarePlan", "care-team:missing=false"); len(got) != 2 {
		t.Errorf("%d plans with a team", len(got))
	}
	before := s.versions(t)
	s.process(t, surgeries(t)["bilateral-femur"])
	if after := s.versions(t); len(after) != len(before) {
		t.Errorf("%d resources, then %d", len(before), len(after))
	}
}
