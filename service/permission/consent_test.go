package permission

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
)

const consentBase = "https://fhir.hospital.example/fhir"

func consentWith(t testing.TB, provision string) (Consent, bool) {
	t.Helper()
	n, err := fhir.Parse([]byte(`{"resourceType":"Consent","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},
		"patient":{"reference":"Patient/a"},"provision":` + provision + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return ReadConsent(n, consentBase, time.UTC)
}

func actorIs(reference string) string {
	return `"actor":[{"role":{"text":"x"},"reference":` + reference + `}]`
}

func TestWhatAConsentRefuses(t *testing.T) {
	clinician, other := Principal{User: "Practitioner/1"}, Principal{User: "Practitioner/2"}
	emergency := Principal{User: "Practitioner/1", Emergency: "unconscious", Purposes: []string{"BTG"}}
	research := Principal{Client: "registry", Purposes: []string{"HRESCH"}}
	patient := Principal{User: "Patient/a"}
	app := Principal{Client: "app", Patient: "a"}
	proxy := Principal{User: "RelatedPerson/r", Patient: "a"}
	member := Principal{User: "Practitioner/3", Organizations: []string{"Organization/o"}}
	for name, c := range map[string]struct {
		provision string
		caller    Principal
		typ       string
		want      string
	}{
		"a permit lets all see it":                {`{"type":"permit"}`, clinician, "Observation", "nothing"},
		"a deny keeps it from all":                {`{"type":"deny"}`, clinician, "Observation", "all"},
		"but not from the patient":                {`{"type":"deny"}`, patient, "Observation", "nothing"},
		"nor from the patient's app":              {`{"type":"deny"}`, app, "Observation", "nothing"},
		"but from a relative":                     {`{"type":"deny"}`, proxy, "Observation", "all"},
		"a relative who is named":                 {`{"type":"permit","provision":[{"type":"deny",` + actorIs(`{"reference":"RelatedPerson/r"}`) + `}]}`, proxy, "Observation", "all"},
		"broken glass":                            {`{"type":"deny"}`, emergency, "Observation", "nothing"},
		"a client without a user":                 {`{"type":"deny"}`, research, "Observation", "all"},
		"without a type it permits":               {`{"period":{"start":"2020-01-01"}}`, clinician, "Observation", "nothing"},
		"one who is named":                        {`{"type":"permit","provision":[{"type":"deny",` + actorIs(`{"reference":"Practitioner/1"}`) + `}]}`, clinician, "Observation", "all"},
		"one who is named by URL":                 {`{"type":"permit","provision":[{"type":"deny",` + actorIs(`{"reference":"`+consentBase+`/Practitioner/1"}`) + `}]}`, clinician, "Observation", "all"},
		"one who is not named":                    {`{"type":"permit","provision":[{"type":"deny",` + actorIs(`{"reference":"Practitioner/1"}`) + `}]}`, other, "Observation", "nothing"},
		"a nested rule is an exception":           {`{"type":"permit","provision":[{` + actorIs(`{"reference":"Practitioner/1"}`) + `}]}`, clinician, "Observation", "all"},
		"a root for one alone":                    {`{"type":"deny",` + actorIs(`{"reference":"Practitioner/1"}`) + `}`, other, "Observation", "nothing"},
		"denied but for one":                      {`{"type":"deny","provision":[{"type":"permit",` + actorIs(`{"reference":"Practitioner/1"}`) + `}]}`, clinician, "Observation", "nothing"},
		"denied but for another":                  {`{"type":"deny","provision":[{"type":"permit",` + actorIs(`{"reference":"Practitioner/1"}`) + `}]}`, other, "Observation", "all"},
		"a client by its id":                      {`{"type":"permit","provision":[{"type":"deny",` + actorIs(`{"identifier":{"value":"registry"}}`) + `}]}`, research, "Observation", "all"},
		"a member of an organization":             {`{"type":"permit","provision":[{"type":"deny",` + actorIs(`{"reference":"Organization/o"}`) + `}]}`, member, "Observation", "all"},
		"no member of it":                         {`{"type":"permit","provision":[{"type":"deny",` + actorIs(`{"reference":"Organization/o"}`) + `}]}`, clinician, "Observation", "nothing"},
		"an actor that is not said":               {`{"type":"permit","provision":[{"type":"deny","actor":[{"role":{"text":"x"}}]}]}`, clinician, "Observation", "all"},
		"a type":                                  {`{"type":"permit","provision":[{"type":"deny","class":[{"system":"http://hl7.org/fhir/resource-types","code":"Observation"}]}]}`, clinician, "Observation", "all"},
		"another type":                            {`{"type":"permit","provision":[{"type":"deny","class":[{"system":"http://hl7.org/fhir/resource-types","code":"Observation"}]}]}`, clinician, "CarePlan", "nothing"},
		"a class that is unknown denies":          {`{"type":"permit","provision":[{"type":"deny","class":[{"system":"urn:x","code":"y"}]}]}`, clinician, "CarePlan", "all"},
		"and does not permit":                     {`{"type":"deny","provision":[{"type":"permit","class":[{"system":"urn:x","code":"y"}]}]}`, clinician, "CarePlan", "all"},
		"one resource":                            {`{"type":"permit","provision":[{"type":"deny","data":[{"meaning":"instance","reference":{"reference":"Observation/x"}}]}]}`, clinician, "Observation", "x"},
		"one of another type":                     {`{"type":"permit","provision":[{"type":"deny","data":[{"meaning":"instance","reference":{"reference":"Observation/x"}}]}]}`, clinician, "CarePlan", "nothing"},
		"all but one":                             {`{"type":"deny","provision":[{"type":"permit","data":[{"meaning":"instance","reference":{"reference":"Observation/x"}}]}]}`, clinician, "Observation", "all but x"},
		"what depends on one denies all":          {`{"type":"permit","provision":[{"type":"deny","data":[{"meaning":"dependents","reference":{"reference":"Observation/x"}}]}]}`, clinician, "Observation", "all"},
		"and permits nothing":                     {`{"type":"deny","provision":[{"type":"permit","data":[{"meaning":"dependents","reference":{"reference":"Observation/x"}}]}]}`, clinician, "Observation", "all"},
		"a deny wins over a permit":               {`{"type":"permit","provision":[{"type":"deny"},{"type":"permit"}]}`, clinician, "Observation", "all"},
		"in the past":                             {`{"type":"deny","period":{"end":"2025-12-31"}}`, clinician, "Observation", "nothing"},
		"on the last day":                         {`{"type":"deny","period":{"end":"2026-06-15"}}`, clinician, "Observation", "all"},
		"in the future":                           {`{"type":"deny","period":{"start":"2026-07"}}`, clinician, "Observation", "nothing"},
		"in its time":                             {`{"type":"deny","period":{"start":"2026-01-01","end":"2026"}}`, clinician, "Observation", "all"},
		"a purpose":                               {`{"type":"permit","provision":[{"type":"deny","purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"HRESCH"}]}]}`, research, "Observation", "all"},
		"a purpose that is not stated":            {`{"type":"permit","provision":[{"type":"deny","purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"HRESCH"}]}]}`, clinician, "Observation", "all"},
		"a purpose that is needed":                {`{"type":"deny","provision":[{"type":"permit","purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"TREAT"}]}]}`, clinician, "Observation", "all"},
		"a permit for research":                   {`{"type":"deny","provision":[{"type":"permit","purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"HRESCH"}]}]}`, research, "Observation", "nothing"},
		"to change is not to see, deny":           {`{"type":"permit","provision":[{"type":"deny","action":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentaction","code":"correct"}]}]}]}`, clinician, "Observation", "all"},
		"to see":                                  {`{"type":"deny","provision":[{"type":"permit","action":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentaction","code":"access"}]}]}]}`, clinician, "Observation", "nothing"},
		"to change is not to see":                 {`{"type":"deny","provision":[{"type":"permit","action":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentaction","code":"correct"}]}]}]}`, clinician, "Observation", "all"},
		"labels deny":                             {`{"type":"permit","provision":[{"type":"deny","securityLabel":[{"code":"R"}]}]}`, clinician, "Observation", "all"},
		"labels do not permit":                    {`{"type":"deny","provision":[{"type":"permit","securityLabel":[{"code":"N"}]}]}`, clinician, "Observation", "all"},
		"an exception from an exception":          {`{"type":"deny","provision":[{"type":"permit",` + actorIs(`{"reference":"Practitioner/1"}`) + `,"provision":[{"type":"deny","class":[{"system":"http://hl7.org/fhir/resource-types","code":"Condition"}]}]}]}`, clinician, "Condition", "all"},
		"that is for another type":                {`{"type":"deny","provision":[{"type":"permit",` + actorIs(`{"reference":"Practitioner/1"}`) + `,"provision":[{"type":"deny","class":[{"system":"http://hl7.org/fhir/resource-types","code":"Condition"}]}]}]}`, clinician, "Observation", "nothing"},
		"a deny wins over an exception beside it": {`{"type":"permit","provision":[{"type":"deny",` + actorIs(`{"reference":"Practitioner/1"}`) + `},{"type":"deny","provision":[{"type":"permit",` + actorIs(`{"reference":"Practitioner/1"}`) + `}]}]}`, clinician, "Observation", "all"},
		"one that is denied beside another": {`{"type":"permit","provision":[{"type":"deny","data":[{"meaning":"instance","reference":{"reference":"Observation/x"}}]},
			{"type":"deny","data":[{"meaning":"instance","reference":{"reference":"Observation/y"}}],"provision":[{"type":"permit"}]}]}`, clinician, "Observation", "x"},
		"an exception reaches no further than what it is in": {`{"type":"deny","provision":[{"type":"permit","data":[{"meaning":"instance","reference":{"reference":"Observation/x"}}],"provision":[{"type":"permit"}]}]}`, clinician, "Observation", "all but x"},
		"a permit for an actor who is not said":              {`{"type":"deny","provision":[{"type":"permit","actor":[{"role":{"text":"x"},"reference":{"display":"Dr Jones"}}]}]}`, clinician, "Observation", "all"},
		"a permit for a team":                                {`{"type":"deny","provision":[{"type":"permit",` + actorIs(`{"reference":"CareTeam/t"}`) + `}]}`, clinician, "Observation", "all"},
		"a deny for a team":                                  {`{"type":"permit","provision":[{"type":"deny",` + actorIs(`{"reference":"CareTeam/t"}`) + `}]}`, clinician, "Observation", "all"},
		"a deny for a team of another server":                {`{"type":"permit","provision":[{"type":"deny",` + actorIs(`{"reference":"https://elsewhere.example/CareTeam/t"}`) + `}]}`, clinician, "Observation", "all"},
		"a deny for one who is contained":                    {`{"type":"permit","provision":[{"type":"deny",` + actorIs(`{"reference":"#p"}`) + `}]}`, clinician, "Observation", "all"},
		"a deny for a stranger":                              {`{"type":"permit","provision":[{"type":"deny",` + actorIs(`{"reference":"https://elsewhere.example/Practitioner/1"}`) + `}]}`, clinician, "Observation", "nothing"},
		"an exception from what is denied unclearly":         {`{"type":"deny","securityLabel":[{"code":"R"}],"provision":[{"type":"permit",` + actorIs(`{"reference":"Practitioner/1"}`) + `}]}`, clinician, "Observation", "nothing"},
		"what an unclear permit denies":                      {`{"type":"permit","securityLabel":[{"code":"N"}],"provision":[{"type":"deny"}]}`, clinician, "Observation", "all"},
		"what a permit for a purpose denies":                 {`{"type":"permit","purpose":[{"code":"TREAT"}],"provision":[{"type":"deny"}]}`, clinician, "Observation", "all"},
		"a rule that another word changes":                   {`{"type":"deny","provision":[{"type":"permit","modifierExtension":[{"url":"urn:x","valueCode":"not"}]}]}`, clinician, "Observation", "all"},
	} {
		t.Run(name, func(t *testing.T) {
			consent, ok := consentWith(t, c.provision)
			if !ok {
				t.Fatal("this is no consent")
			}
			r := consent.Refuses(&c.caller, c.typ, time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC))
			got := "nothing"
			switch {
			case r.All && len(r.Except) > 0:
				got = "all but " + strings.Join(r.Except, " ")
			case r.All:
				got = "all"
			case !r.None():
				got = strings.Join(r.Except, " ")
			}
			if got != c.want {
				t.Errorf("%s is kept from the caller, and %s is to be", got, c.want)
			}
		})
	}
}

func TestWhatIsNoConsentToSharing(t *testing.T) {
	const good = `{"resourceType":"Consent","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},"patient":{"reference":"Patient/a"},"provision":{"type":"deny"}}`
	for name, change := range map[string][2]string{
		"not active":           {`"active"`, `"rejected"`},
		"for research":         {"patient-privacy", "research"},
		"a scope of others":    {"http://terminology.hl7.org/CodeSystem/consentscope", "urn:x"},
		"of a patient of them": {"Patient/a", "https://elsewhere.example/Patient/a"},
		"without a patient":    {`"patient":{"reference":"Patient/a"},`, ""},
		"without a provision":  {`,"provision":{"type":"deny"}`, ""},
	} {
		n, err := fhir.Parse([]byte(strings.Replace(good, change[0], change[1], 1)))
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := ReadConsent(n, consentBase, time.UTC); ok {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if _, ok := consentWith(t, `{"type":"deny"}`); !ok {
		t.Error("the consent that the others are made from is none")
	}
}

func FuzzConsent(f *testing.F) {
	f.Add(`{"type":"deny","provision":[{"type":"permit","data":[{"meaning":"instance","reference":{"reference":"Observation/x"}}]}]}`)
	f.Fuzz(func(t *testing.T, provision string) {
		n, err := fhir.Parse([]byte(fmt.Sprintf(`{"status":"active","scope":{"coding":[{"system":%q,"code":%q}]},"patient":{"reference":"Patient/a"},"provision":%s}`, consentScope, privacyScope, provision)))
		if err != nil {
			return
		}
		c, ok := ReadConsent(n, consentBase, time.UTC)
		if !ok {
			return
		}
		if r := c.Refuses(&Principal{User: "Patient/a"}, "Observation", time.Now()); !r.None() {
			t.Fatalf("the patient is refused: %+v", r)
		}
		c.Refuses(&Principal{User: "Practitioner/1"}, "Observation", time.Now())
	})
}
