package definitions

import (
	"os"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/fhir/validate"
)

func TestSiteExample(t *testing.T) {
	file, err := os.Open("../docs/site.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	nodes, err := Site(file)
	if err != nil {
		t.Fatal(err)
	}
	v, err := validate.New()
	if err != nil {
		t.Fatal(err)
	}
	byRef := map[string]*fhir.Node{}
	for _, n := range nodes {
		ref := n.Str("resourceType") + "/" + n.Str("id")
		byRef[ref] = n
		for _, issue := range v.Resource(n, "") {
			if issue.Severity == "error" {
				t.Errorf("%s: %v %s", ref, issue.Expression, issue.Text)
			}
		}
	}
	for _, n := range nodes {
		for _, l := range v.Links(n) {
			if l.Kind == validate.LinkReference && byRef[l.Node.Text] == nil {
				t.Errorf("%s refers to %s, which is not there", n.Str("id"), l.Node.Text)
			}
		}
	}
	line := byRef["HealthcareService/aftercare-site-enquiries"]
	if got := line.Each("availableTime", "availableStartTime")[0].Text + " " + line.Each("availableTime", "availableEndTime")[0].Text; got != "09:00:00 17:00:00" {
		t.Errorf("hours %s", got)
	}
	if n := len(line.Each("availableTime", "daysOfWeek")); n != 5 || !strings.Contains(line.Str("comment"), "not a line for urgent help") {
		t.Errorf("%d days, %q", n, line.Str("comment"))
	}
	if n := len(byRef["CareTeam/aftercare-site-team"].Each("participant")); n != 5 {
		t.Errorf("%d participants", n)
	}
}

func TestSiteWithNothingMakesATeamOfPatientAndPractice(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n"} {
		nodes, err := Site(strings.NewReader(text))
		if err != nil || len(nodes) != 1 || nodes[0].Str("resourceType") != "CareTeam" || len(nodes[0].Each("participant")) != 2 {
			t.Errorf("%q: %v, %v", text, nodes, err)
		}
	}
}

func TestSiteRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a key that is not known, with its line": {"organisation:\n  name: A\nsurgoen:\n  name: B\n", "[3:1]"},
		"a nested key that is not known":         {"organisation:\n  name: A\n  fax: 1\n", "[3:3]"},
		"a key given twice":                      {"organisation:\n  name: A\norganisation:\n  name: B\n", "[3:1]"},
		"a text for a mapping":                   {"organisation: A\n", "[1:"},
		"what is no YAML":                        {"organisation: [\n", "["},
		"an organisation without a name":         {"organisation:\n  phone: '1'\n", "organisation.name"},
		"a name of blanks":                       {"surgeon:\n  name: '  '\n", "surgeon.name"},
		"enquiries that nobody can reach":        {"enquiries:\n  name: A\n", "needs a phone or an email"},
		"a day that is none":                     {"enquiries:\n  name: A\n  phone: '1'\n  days: [monday]\n  from: '08:00'\n  until: '18:00'\n", `"monday"`},
		"a day twice":                            {"enquiries:\n  name: A\n  phone: '1'\n  days: [mon, mon]\n  from: '08:00'\n  until: '18:00'\n", "twice"},
		"days without hours":                     {"enquiries:\n  name: A\n  phone: '1'\n  days: [mon]\n", "belong together"},
		"hours without days":                     {"enquiries:\n  name: A\n  phone: '1'\n  from: '08:00'\n  until: '18:00'\n", "belong together"},
		"hours that end before they begin":       {"enquiries:\n  name: A\n  phone: '1'\n  days: [mon]\n  from: '18:00'\n  until: '08:00'\n", "the earlier one first"},
		"an hour that is none":                   {"enquiries:\n  name: A\n  phone: '1'\n  days: [mon]\n  from: '8:00'\n  until: '24:00'\n", "times of day"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Site(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// FuzzSite looks for files that end in a panic, or in resources that are not valid.
func FuzzSite(f *testing.F) {
	example, err := os.ReadFile("../docs/site.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	f.Add("organisation:\n  name: A\nenquiries:\n  name: B\n  email: x\n")
	v, err := validate.New()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		nodes, err := Site(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, n := range nodes {
			if i := slices.IndexFunc(v.Resource(n, ""), func(i fhir.Issue) bool { return i.Severity == "error" && i.Code != "value" }); i >= 0 {
				t.Errorf("%s: %+v", n.Raw, v.Resource(n, "")[i])
			}
		}
	})
}
