package service

import (
	"fmt"
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/service/permission"
)

// asks gives what a caller is answered for lines of the form of permissions.txt.
func asks(t *testing.T, s *Service, p *Principal, want map[string]string) {
	t.Helper()
	for line, answer := range want {
		if got := ask(t, s, p, line); got != answer {
			t.Errorf("%s is answered %s, and is to be answered %s", line, got, answer)
		}
	}
}

// consentOf is a Consent of a patient with a provision.
func consentOf(id, patient, status, provision string) string {
	return fmt.Sprintf(`{"resourceType":"Consent","id":%q,"status":%q,"scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},
		"category":[{"text":"x"}],"policyRule":{"text":"x"},"patient":{"reference":"Patient/%s"},"provision":%s}`, id, status, patient, provision)
}

func (s *Service) store1(t *testing.T, body string) {
	t.Helper()
	n, err := fhir.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(ctx, Anonymous, n.Str("resourceType"), n.Str("id"), []byte(body), Preconditions{}); err != nil {
		t.Fatal(err)
	}
}

// What a patient keeps from a caller is in no answer, from the moment at which the Consent is stored
// to that at which it ends.
func TestConsent(t *testing.T) {
	s := open(t)
	twoPatients(t, s)
	grant, _ := permission.ParseGrant("user/*.cruds")
	clinician := &Principal{User: "Practitioner/p", Client: "ehr", Grants: []permission.Grant{grant}}
	everything := map[string]string{
		"read Patient/b": "b", "read Observation/b-pain": "b-pain", "read Observation/b-pain/_history/1": "b-pain", "history Observation/b-pain/_history": "b-pain",
		"search Observation": "a-lab a-pain b-lab b-pain moved", "search Observation?_summary=count": "5 in all", "search Patient?_revinclude=Task:patient": "a a-task b b-task",
		"search Observation?subject:Patient.family=Family-b": "b-lab b-pain", "search Patient/b/Task": "b-task", "operate CarePlan/b-plan/$explain": "Parameters",
	}
	none := map[string]string{
		"read Patient/b": "404", "read Observation/b-pain": "404", "read Observation/b-pain/_history/1": "404", "history Observation/b-pain/_history": "404",
		"search Observation": "a-lab a-pain moved", "search Observation?_summary=count": "3 in all", "search Patient?_revinclude=Task:patient": "a a-task",
		"search Observation?subject:Patient.family=Family-b": "empty", "search Patient/b/Task": "404", "operate CarePlan/b-plan/$explain": "404",
		"operate Patient/b/$everything": "404", "history Observation/_history": "a-lab a-pain moved", "history Observation/_history?_count=1": "moved", "search Practitioner?_has:Patient:general-practitioner:family=Family-b": "empty",
		"batch  {\"request\":{\"method\":\"GET\",\"url\":\"Task/b-task\"}} ; {\"request\":{\"method\":\"GET\",\"url\":\"Task?patient=b\"}}": "(empty) 404",
		"transaction  {\"request\":{\"method\":\"GET\",\"url\":\"Task?_count=5\"}}":                                                         "(a-task)",
	}
	asks(t, s, clinician, everything)
	s.store1(t, consentOf("c", "b", "active", `{"type":"deny"}`))
	t.Run("denied to all", func(t *testing.T) { asks(t, s, clinician, none) })
	t.Run("but not to the patient", func(t *testing.T) {
		asks(t, s, &Principal{User: "Patient/b", Grants: []permission.Grant{grant}}, map[string]string{"read Observation/b-pain": "b-pain", "search Observation": "b-lab b-pain"})
	})
	t.Run("nor in an emergency", func(t *testing.T) {
		with := *clinician
		with.Emergency, with.Purposes = "no answer from the patient", []string{"BTG"}
		asks(t, s, &with, everything)
	})
	t.Run("nor without authentication", func(t *testing.T) { asks(t, s, &Anonymous, everything) })
	t.Run("what is there already is found by those who write, and not shown", func(t *testing.T) {
		asks(t, s, clinician, map[string]string{
			`create Patient?identifier=urn:p|b {"resourceType":"Patient"}`:                                                                                       "found, hidden",
			`transaction  {"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=urn:p|b"}}`:                "200",
			`patch Condition/b-condition [{"op":"add","path":"/recordedDate","value":"2026-01-01"}]`:                                                             "updated, hidden",
			`create Observation {"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient?identifier=urn:p|b"}}`:        "created, hidden",
			`operate Condition/b-condition/$meta-add {"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"code":"t"}]}}]}`:             "Parameters",
			`update Task/b-task {"resourceType":"Task","id":"b-task","status":"requested","intent":"order","for":{"reference":"Patient/b"},"priority":"urgent"}`: "updated, hidden",
		})
	})
	for name, c := range map[string]struct {
		provision string
		want      map[string]string
	}{
		"denied to another":  {`{"type":"permit","provision":[{"type":"deny","actor":[{"role":{"text":"x"},"reference":{"reference":"Practitioner/q"}}]}]}`, map[string]string{"read Patient/b": "b"}},
		"denied to this one": {`{"type":"permit","provision":[{"type":"deny","actor":[{"role":{"text":"x"},"reference":{"reference":"Practitioner/p"}}]}]}`, map[string]string{"read Patient/b": "404"}},
		"denied to the client": {`{"type":"permit","provision":[{"type":"deny","actor":[{"role":{"text":"x"},"reference":{"identifier":{"value":"ehr"}}}]}]}`,
			map[string]string{"read Patient/b": "404"}},
		"denied to the organization": {`{"type":"permit","provision":[{"type":"deny","actor":[{"role":{"text":"x"},"reference":{"reference":"Organization/n-o"}}]}]}`,
			map[string]string{"read Patient/b": "404"}},
		"denied to an organization left": {`{"type":"permit","provision":[{"type":"deny","actor":[{"role":{"text":"x"},"reference":{"reference":"Organization/n-old"}}]}]}`,
			map[string]string{"read Patient/b": "b"}},
		"one type": {`{"type":"permit","provision":[{"type":"deny","class":[{"system":"http://hl7.org/fhir/resource-types","code":"Task"}]}]}`,
			map[string]string{"read Patient/b": "b", "read Task/b-task": "404", "search Task": "a-task", "search Condition": "a-condition b-condition"}},
		"one Observation": {`{"type":"permit","provision":[{"type":"deny","data":[{"meaning":"instance","reference":{"reference":"Observation/b-pain"}}]}]}`,
			map[string]string{"read Observation/b-pain": "404", "read Observation/b-lab": "b-lab", "search Observation?code=b-pain": "empty", "operate Observation/$lastn?patient=b&category=survey": "0 in all"}},
		"all but one Observation": {`{"type":"deny","provision":[{"type":"permit","data":[{"meaning":"instance","reference":{"reference":"Observation/b-pain"}}]}]}`,
			map[string]string{"read Observation/b-pain": "b-pain", "read Observation/b-lab": "404", "search Observation?subject=b": "b-pain", "read Patient/b": "404"}},
		"what a plan is derived from": {`{"type":"permit","provision":[{"type":"deny","class":[{"system":"http://hl7.org/fhir/resource-types","code":"Procedure"}]}]}`,
			map[string]string{"read CarePlan/b-plan": "b-plan", "operate Patient/b/$pain-course": "403", "operate Patient/a/$pain-course": "Parameters"}},
		"over": {`{"type":"deny","period":{"end":"2026-10-31"}}`, map[string]string{"read Patient/b": "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, body := range []string{`{"resourceType":"Organization","id":"n-o","name":"o"}`,
				`{"resourceType":"PractitionerRole","id":"n-role","practitioner":{"reference":"Practitioner/p"},"organization":{"reference":"Organization/n-o"}}`,
				`{"resourceType":"PractitionerRole","id":"n-old","active":false,"practitioner":{"reference":"Practitioner/p"},"organization":{"reference":"Organization/n-old"}}`} {
				s.store1(t, body)
			}
			s.store1(t, consentOf("c", "b", "active", c.provision))
			asks(t, s, clinician, c.want)
		})
	}
	t.Run("withdrawn", func(t *testing.T) {
		s.store1(t, consentOf("c", "b", "active", `{"type":"deny"}`))
		asks(t, s, clinician, map[string]string{"read Patient/b": "404"})
		s.store1(t, consentOf("c", "b", "inactive", `{"type":"deny"}`))
		asks(t, s, clinician, map[string]string{"read Patient/b": "b"})
	})
	t.Run("deleted", func(t *testing.T) {
		s.store1(t, consentOf("c", "b", "active", `{"type":"deny"}`))
		asks(t, s, clinician, map[string]string{"read Patient/b": "404"})
		if _, err := s.Delete(ctx, Anonymous, "Consent", "c", Preconditions{}); err != nil {
			t.Fatal(err)
		}
		asks(t, s, clinician, map[string]string{"read Patient/b": "b"})
	})
}

// What was derived for a patient has a Provenance that tells of plans and reports. It rests on the patient,
// and is kept with the record; a scope for the patient does not reach it.
func TestConsentKeepsTheProvenanceOfAPlan(t *testing.T) {
	s := open(t)
	for _, of := range []string{"a", "b"} {
		s.store1(t, `{"resourceType":"Patient","id":"`+of+`"}`)
		s.store1(t, `{"resourceType":"Procedure","id":"`+of+`-op","status":"completed","subject":{"reference":"Patient/`+of+`"},"performedDateTime":"2026-03-02",
			"code":{"coding":[{"system":"`+fhir.Canonical+`/CodeSystem/osseointegration","code":"single-stage"}]},
			"bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"},{"system":"http://snomed.info/sct","code":"7771000"}]}]}`)
	}
	unbounded := Anonymous
	provenance := func(of string) string { return ask(t, s, &unbounded, "search Provenance?entity=Patient/"+of) }
	ofA, ofB := provenance("a"), provenance("b")
	if ofA == ofB || strings.Contains(ofB, " ") || ofB == "empty" {
		t.Fatalf("one Provenance was expected for each plan, not %q and %q", ofA, ofB)
	}
	clinician := &Principal{User: "Practitioner/p", Grants: holder(t, "user/*.cruds").Grants}
	shown := map[string]string{"search Provenance?entity=Patient/b": ofB, "search Provenance?entity=Procedure/b-op": ofB, "read Provenance/" + ofB: ofB, "read Provenance/" + ofB + "/_history/1": ofB}
	asks(t, s, clinician, shown)
	s.store1(t, consentOf("c", "b", "active", `{"type":"deny"}`))
	asks(t, s, clinician, map[string]string{"search Provenance?entity=Patient/b": "empty", "search Provenance?entity=Procedure/b-op": "empty", "search Provenance?_summary=count": "1 in all",
		"read Provenance/" + ofB: "404", "read Provenance/" + ofB + "/_history/1": "404", "history Provenance/_history": ofA, "search Provenance?entity=Patient/a": ofA})
	s.store1(t, consentOf("c", "b", "active", `{"type":"permit","provision":[{"type":"deny","data":[{"meaning":"instance","reference":{"reference":"Provenance/`+ofB+`"}}]}]}`))
	asks(t, s, clinician, map[string]string{"read Provenance/" + ofB: "404", "read Provenance/" + ofA: ofA, "read Procedure/b-op": "b-op"})
	s.store1(t, consentOf("c", "b", "inactive", `{"type":"deny"}`))
	asks(t, s, clinician, shown)
	app := holder(t, "patient/*.rs")
	app.Patient = "b"
	asks(t, s, app, map[string]string{"read Provenance/" + ofB: "404", "read Procedure/b-op": "b-op"})
}

// A Consent counts for all records of a patient that are linked as replaced, as long as they are.
func TestConsentOfAReplacedPatient(t *testing.T) {
	s := open(t)
	twoPatients(t, s)
	clinician := &Principal{User: "Practitioner/p", Grants: holder(t, "user/*.cruds").Grants}
	s.store1(t, `{"resourceType":"Patient","id":"n-old"}`)
	s.store1(t, consentOf("n-c", "n-old", "active", `{"type":"deny"}`))
	asks(t, s, clinician, map[string]string{"read Patient/b": "b", "read Patient/n-old": "404"})
	link := func(kind, other string) string {
		return fmt.Sprintf(`,"link":[{"type":%q,"other":{"reference":"Patient/%s"}}]}`, kind, other)
	}
	for _, step := range []struct{ patient, want string }{
		{`{"resourceType":"Patient","id":"n-old"` + link("replaced-by", "n-middle"), "b-pain"},
		{`{"resourceType":"Patient","id":"b"` + link("replaces", "n-middle"), "404"},
		{`{"resourceType":"Patient","id":"b"}`, "b-pain"},
		{`{"resourceType":"Patient","id":"n-middle"` + link("replaced-by", "b"), "404"},
		{`{"resourceType":"Patient","id":"n-middle"` + link("seealso", "b"), "b-pain"},
	} {
		s.store1(t, step.patient)
		asks(t, s, clinician, map[string]string{"read Observation/b-pain": step.want, "read Observation/a-pain": "a-pain"})
	}
}

// Many patients who keep their data from all are named in several clauses.
func TestManyConsents(t *testing.T) {
	s := open(t)
	twoPatients(t, s)
	var entries []string
	for i := range refusingStep + 50 {
		patient := fmt.Sprintf("many-%d", i)
		if i == refusingStep+20 {
			patient = "b"
		}
		consent := strings.Replace(consentOf("x", patient, "active", `{"type":"deny"}`), `"id":"x",`, "", 1)
		entries = append(entries, entryOf("", consent, "POST", "Consent", ""))
	}
	if _, err := s.Process(ctx, Anonymous, bundleOf("transaction", entries...), ""); err != nil {
		t.Fatal(err)
	}
	grant, _ := permission.ParseGrant("system/*.rs")
	asks(t, s, &Principal{Grants: []permission.Grant{grant}}, map[string]string{
		"read Patient/b": "404", "search Observation": "a-lab a-pain moved", "read Observation/a-pain": "a-pain", "search Patient?_revinclude=Task:patient": "a a-task",
	})
}

// BenchmarkPermission reads one Observation as callers of several sorts: what they take more than
// the first is what permission costs.
func BenchmarkPermission(b *testing.B) {
	s := open(b)
	twoPatients(b, s)
	all := principals(b)
	read := func(name string, p *Principal) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Read(ctx, *p, "Observation", "a-pain"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	names := []string{"without authentication", "an EHR", "the patient app of a", "a system with surveys of all"}
	for _, name := range names {
		read(name, all[name])
	}
	var entries []string
	for i := range 100 {
		entries = append(entries, entryOf("", strings.Replace(consentOf("x", fmt.Sprintf("many-%d", i), "active", `{"type":"deny"}`), `"id":"x",`, "", 1), "POST", "Consent", ""))
	}
	if _, err := s.Process(ctx, Anonymous, bundleOf("transaction", entries...), ""); err != nil {
		b.Fatal(err)
	}
	for _, name := range names[1:3] {
		read(name+", with 100 consents of others", all[name])
	}
}
