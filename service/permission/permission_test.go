package permission

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestScopesAreRead(t *testing.T) {
	for text, want := range map[string]Scope{
		"system/CarePlan.rs":   {Level: LevelSystem, Type: "CarePlan", Actions: Read | Search},
		"user/Observation.c":   {Level: LevelUser, Type: "Observation", Actions: Create},
		"patient/*.cruds":      {Level: LevelPatient, Type: "*", Actions: Create | Read | Update | Delete | Search},
		"patient/*.read":       {Level: LevelPatient, Type: "*", Actions: Read | Search},
		"system/Patient.write": {Level: LevelSystem, Type: "Patient", Actions: Create | Update | Delete},
		"user/*.*":             {Level: LevelUser, Type: "*", Actions: Create | Read | Update | Delete | Search},
		"patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|survey": {
			Level: LevelPatient, Type: "Observation", Actions: Read | Search,
			Narrow: []Pair{{"category", "http://terminology.hl7.org/CodeSystem/observation-category|survey"}},
		},
		"user/Observation.rs?category=a%26b&code=c": {
			Level: LevelUser, Type: "Observation", Actions: Read | Search, Narrow: []Pair{{"category", "a&b"}, {"code", "c"}},
		},
	} {
		got, err := ParseScope(text)
		if err != nil || got.Level != want.Level || got.Type != want.Type || got.Actions != want.Actions || !slices.Equal(got.Narrow, want.Narrow) || got.Text != text {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestWhatIsNoScope(t *testing.T) {
	for _, text := range []string{
		"", "openid", "launch/patient", "offline_access", "system/", "system/CarePlan", "system/CarePlan.", "system/.rs",
		"system/CarePlan.sr", "system/CarePlan.dus", "system/CarePlan.rr", "system/CarePlan.rx", "system/CarePlan.Rs", "System/CarePlan.rs",
		"tenant/CarePlan.rs", "system/carePlan.rs", "system/Care Plan.rs", "system/Care*.rs", "system/**.rs", "system/CarePlan.read.write", "system/CarePlan.reads",
		"patient/Observation.rs?", "patient/Observation.rs?category", "patient/Observation.rs?category=", "patient/Observation.rs?=x",
		"patient/Observation.rs?category:not=x", "patient/Observation.rs?subject.name=x", "patient/Observation.rs?category=%zz",
		"patient/Observation.read?category=x", "patient/Observation.rs?category=x&", "//", "system/../Patient.rs", "patient/CarePlan.rs/Observation.rs",
	} {
		if got, err := ParseScope(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

func TestAccess(t *testing.T) {
	grant := func(list string) Grant {
		g, others := ParseGrant(list)
		if len(others) > 0 {
			t.Fatal(others)
		}
		return g
	}
	kinds := map[string]Kind{"Observation": OfPatient, "Practitioner": Shared, "Subscription": Guarded}
	for name, c := range map[string]struct {
		p      Principal
		typ    string
		action Actions
		want   string
	}{
		"nobody":                                 {Principal{}, "Observation", Read, "none"},
		"without authentication":                 {Anonymous, "Subscription", Delete, "all"},
		"system":                                 {Principal{Grants: []Grant{grant("system/*.rs")}}, "Observation", Search, "all"},
		"system, another action":                 {Principal{Grants: []Grant{grant("system/*.rs")}}, "Observation", Create, "none"},
		"system, another type":                   {Principal{Grants: []Grant{grant("system/CarePlan.rs")}}, "Observation", Read, "none"},
		"a patient":                              {Principal{Patient: "a", Grants: []Grant{grant("patient/*.cruds")}}, "Observation", Update, "a"},
		"a patient, staff":                       {Principal{Patient: "a", Grants: []Grant{grant("patient/*.cruds")}}, "Practitioner", Read, "all"},
		"a patient changes staff":                {Principal{Patient: "a", Grants: []Grant{grant("patient/*.cruds")}}, "Practitioner", Update, "none"},
		"a patient, what belongs to nobody":      {Principal{Patient: "a", Grants: []Grant{grant("patient/*.cruds")}}, "Subscription", Read, "none"},
		"a patient scope without a patient":      {Principal{Grants: []Grant{grant("patient/*.rs")}}, "Observation", Read, "none"},
		"a patient scope without one, staff":     {Principal{Grants: []Grant{grant("patient/*.rs")}}, "Practitioner", Read, "none"},
		"a user of staff":                        {Principal{User: "Practitioner/1", Grants: []Grant{grant("user/*.rs")}}, "Observation", Read, "all"},
		"a user of staff elsewhere":              {Principal{User: "https://ehr.example/fhir/Practitioner/1", Grants: []Grant{grant("user/*.rs")}}, "Observation", Read, "all"},
		"a user not named":                       {Principal{Grants: []Grant{grant("user/*.rs")}}, "Observation", Read, "all"},
		"a user who is a patient":                {Principal{User: "Patient/b", Grants: []Grant{grant("user/*.rs")}}, "Observation", Read, "b"},
		"a user who is a patient elsewhere":      {Principal{User: "https://ehr.example/fhir/Patient/b", Grants: []Grant{grant("user/*.rs")}}, "Observation", Read, "none"},
		"a user who is related":                  {Principal{User: "RelatedPerson/r", Patient: "c", Grants: []Grant{grant("user/*.rs")}}, "Observation", Read, "c"},
		"a user who is related to nobody known":  {Principal{User: "RelatedPerson/r", Grants: []Grant{grant("user/*.rs")}}, "Observation", Read, "none"},
		"a user who is not a person":             {Principal{User: "nonsense", Grants: []Grant{grant("user/*.rs")}}, "Observation", Read, "none"},
		"the wider of two scopes":                {Principal{Patient: "a", Grants: []Grant{grant("patient/*.rs system/Observation.r")}}, "Observation", Read, "all"},
		"the narrower of two grants":             {Principal{Patient: "a", Grants: []Grant{grant("system/*.rs"), grant("patient/*.rs")}}, "Observation", Read, "a"},
		"two grants that have nothing in common": {Principal{Patient: "a", Grants: []Grant{grant("system/*.rs"), grant("system/AuditEvent.rs")}}, "Observation", Read, "none"},
		"a role that is unknown":                 {Principal{Grants: []Grant{grant("system/*.rs"), {}}}, "Observation", Read, "none"},
		"narrowed":                               {Principal{Patient: "a", Grants: []Grant{grant("patient/Observation.rs?category=survey")}}, "Observation", Read, "a?category=survey"},
		"narrowed for all":                       {Principal{Grants: []Grant{grant("system/Observation.rs?category=survey")}}, "Observation", Read, "?category=survey"},
	} {
		t.Run(name, func(t *testing.T) {
			access := c.p.Access(c.typ, kinds[c.typ], c.action)
			var got []string
			for _, any := range access {
				for _, b := range any {
					text := b.Patient
					for _, pair := range b.Narrow {
						text += "?" + pair.Name + "=" + pair.Value
					}
					got = append(got, text)
				}
			}
			said := strings.Join(got, " ")
			switch {
			case access.All():
				said = "all"
			case access.None():
				said = "none"
			}
			if said != c.want {
				t.Errorf("got %s, want %s", said, c.want)
			}
		})
	}
}

func TestRoles(t *testing.T) {
	roles, err := ReadRoles(map[string]string{"registry": "system/Procedure.rs"})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(slices.Sorted(maps.Keys(roles)), " "); got != "administrator auditor ehr integration-engine patient-app registry" {
		t.Error(got)
	}
	for _, role := range []string{"registry", "ehr", "integration-engine", "auditor", "administrator"} {
		p := Principal{Grants: []Grant{roles.Grant([]string{role})}}
		for typ, want := range map[string]string{"Procedure": "registry ehr integration-engine", "CarePlan": "ehr", "AuditEvent": "auditor", "PlanDefinition": "ehr administrator"} {
			if got := p.Access(typ, OfPatient, Read).All(); got != slices.Contains(strings.Fields(want), role) {
				t.Errorf("%s reads %s: %t", role, typ, got)
			}
		}
	}
	for _, wrong := range []string{"", "system/Procedure", "openid system/Procedure.rs"} {
		if _, err := ReadRoles(map[string]string{"r": wrong}); err == nil {
			t.Errorf("%q is taken for a role", wrong)
		}
	}
	p := Principal{Grants: []Grant{roles.Grant([]string{"unheard-of"})}}
	if !p.Access("Procedure", OfPatient, Read).None() {
		t.Error("an unknown role may read")
	}
}

func FuzzScope(f *testing.F) {
	for _, seed := range []string{"patient/*.rs", "user/Observation.cruds?category=a|b&code=c", "system/CarePlan.read"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		scope, err := ParseScope(text)
		if err != nil {
			return
		}
		if scope.Actions == 0 || scope.Type == "" || scope.Level.String() == "" {
			t.Fatalf("%q: %+v", text, scope)
		}
		again, err := ParseScope(scope.Level.String() + "/" + scope.Type + "." + scope.Actions.String())
		if err != nil || again.Actions != scope.Actions || again.Type != scope.Type || again.Level != scope.Level {
			t.Fatalf("%q: %+v, %v", text, again, err)
		}
	})
}
