package careplan

import (
	"os"
	"slices"
	"strings"
	"testing"

	"aftercare/definitions"
	"aftercare/fhir/validate"
)

// ofSite is the engine of the example site.
func ofSite(t testing.TB) *Engine {
	t.Helper()
	file, err := os.Open("../../docs/site.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	site, err := definitions.Site(file)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Compile(append(loaded(t), site...), london(t))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// participants are the members of the only team, each with its role.
func participants(t *testing.T, r Result) (list []string) {
	t.Helper()
	teams := only(t, r, "CareTeam")
	if len(teams) != 1 {
		t.Fatalf("%d teams", len(teams))
	}
	for _, p := range teams[0].Each("participant") {
		list = append(list, p.Each("role", "text")[0].Text+" "+p.Str("member", "reference")+" "+p.Str("member", "display"))
	}
	return list
}

func patientOf(t *testing.T, c Case, more string) Case {
	t.Helper()
	p := source(t, `{"resourceType":"Patient","id":"p","name":[{"text":"P"}]`+more+`}`)
	c.Patient = &p
	return c
}

const (
	teamOfSite = "Surgeon PractitionerRole/aftercare-site-surgeon Ms Example Surgeon, " +
		"Rehabilitation Organization/aftercare-site-rehabilitation Example Rehabilitation Partner, " +
		"Care site Organization/aftercare-site Example Limb Centre"
	withPractice = `,"generalPractitioner":[{"reference":"Practitioner/gp","display":"Dr G"}]`
)

func TestAllPlansOfAPatientShareATeam(t *testing.T) {
	v, err := validate.New()
	if err != nil {
		t.Fatal(err)
	}
	e := ofSite(t)
	c := patientOf(t, caseOf(t, op("a", "single-stage", "2026-03-02", femurLeft), op("b", "single-stage", "2026-06-01", femurRight)), withPractice)
	r := derive(t, e, c)
	want := "Patient Patient/p P, General practice Practitioner/gp Dr G, " + teamOfSite
	if got := strings.Join(participants(t, r), ", "); got != want {
		t.Errorf("got %s", got)
	}
	check(t, v, only(t, r, "CareTeam")[0])
	for _, plan := range only(t, r, "CarePlan") {
		check(t, v, plan)
		if got := string(plan.Get("careTeam").Raw); got != `[{"reference":"CareTeam/`+only(t, r, "CareTeam")[0].Str("id")+`"}]` {
			t.Errorf("the plan has the team %s", got)
		}
	}
	c = stored(t, c, r)
	for _, p := range derive(t, e, c).Resources {
		for _, s := range c.Existing {
			if s.Type == p.Type && s.ID == p.ID && !sameContent(t, p.Body, s.Node.Raw) {
				t.Errorf("%s changed", p.Type)
			}
		}
	}
}

func TestTeamFollowsThePatientAndKeepsWhatOthersAdded(t *testing.T) {
	e := ofSite(t)
	c := patientOf(t, caseOf(t, op("a", "single-stage", "2026-03-02", "")), "")
	c = stored(t, c, derive(t, e, c))
	for i, s := range c.Existing {
		if s.Type == "CareTeam" {
			c.Existing[i].Node = parse(t, strings.Replace(string(s.Node.Raw), `"participant":[`, `"participant":[{"role":[{"text":"Sister"}],"member":{"reference":"RelatedPerson/s"}},`, 1))
		}
	}
	c = patientOf(t, c, withPractice)
	r := derive(t, e, c)
	want := "Patient Patient/p P, General practice Practitioner/gp Dr G, " + teamOfSite + ", Sister RelatedPerson/s "
	if got := strings.Join(participants(t, r), ", "); got != want {
		t.Errorf("got %s", got)
	}
	c = patientOf(t, stored(t, c, r), `,"deceasedBoolean":true`)
	r = derive(t, e, c)
	if got := only(t, r, "CareTeam")[0].Str("status"); got != "inactive" {
		t.Errorf("without a plan in force the team is %s", got)
	}
	c = patientOf(t, stored(t, c, r), "")
	r = derive(t, e, c)
	if got := only(t, r, "CareTeam")[0].Str("status"); got != "active" {
		t.Errorf("with the plan opened again the team is %s", got)
	}
	want = "General practice  GP practice (not recorded)"
	if got := participants(t, r); !slices.Contains(got, want) {
		t.Errorf("without a practice: %q", got)
	}
}

func TestTeamOfThePlanKeepsOtherTeams(t *testing.T) {
	e := ofSite(t)
	c := caseOf(t, op("a", "single-stage", "2026-03-02", ""))
	c = stored(t, c, derive(t, builtIn(t), c))
	for i, s := range c.Existing {
		if s.Type == "CarePlan" {
			c.Existing[i].Node = parse(t, strings.Replace(string(s.Node.Raw), `"period":`, `"careTeam":[{"reference":"CareTeam/theirs"}],"period":`, 1))
		}
	}
	if got := plan1(t, derive(t, e, c)).Each("careTeam", "reference"); len(got) != 2 || got[1].Text != "CareTeam/theirs" {
		t.Errorf("teams %v", got)
	}
	if got := plan1(t, derive(t, builtIn(t), c)).Each("careTeam", "reference"); len(got) != 1 || got[0].Text != "CareTeam/theirs" {
		t.Errorf("without a site, teams %v", got)
	}
}

func TestTwoTeamsAmongTheDefinitionsAreRefused(t *testing.T) {
	team := `{"resourceType":"CareTeam","id":"x","status":"active"}`
	_, err := Compile(append(loaded(t), parse(t, team), parse(t, strings.Replace(team, `"x"`, `"y"`, 1))), london(t))
	if err == nil || !strings.Contains(err.Error(), "CareTeam/y") {
		t.Errorf("got %v", err)
	}
	_, err = Compile(append(loaded(t), parse(t, `{"resourceType":"CareTeam","id":"x","status":"active","participant":[{"extension":[{"url":"`+memberExtension+`","valueExpression":{"language":"text/fhirpath","expression":"%nobody"}}]}]}`)), london(t))
	if err == nil || !strings.Contains(err.Error(), "participant[0]") {
		t.Errorf("got %v", err)
	}
}
