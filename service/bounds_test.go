package service

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/service/permission"

	"pgregory.net/rapid"
)

// holder is a caller with scopes, launched for patient a.
func holder(t testing.TB, scopes string) *Principal {
	t.Helper()
	grant, others := permission.ParseGrant(scopes)
	if len(others) > 0 {
		t.Fatal(others)
	}
	return &Principal{Patient: "a", Grants: []permission.Grant{grant}}
}

// Whoever has the scopes of one patient cannot write what is another's, in whatever part they have in it.
func TestNobodyWritesForAnother(t *testing.T) {
	s := open(t)
	twoPatients(t, s)
	s.store1(t, `{"resourceType":"Observation","id":"b-by-a","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/b"},"performer":[{"reference":"Patient/a"}]}`)
	s.store1(t, `{"resourceType":"Observation","id":"a-own","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/a"},"performer":[{"reference":"Patient/a"}]}`)
	const pain = `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"72514-3"}]},"subject":{"reference":"Patient/b"},"performer":[{"reference":"Patient/a"}],"valueInteger":9,
		"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"survey"}]}]}`
	p := holder(t, "patient/*.cruds")
	for _, line := range []struct{ question, want string }{
		{`read Observation/b-by-a`, "b-by-a"},
		{`create Observation ` + strings.ReplaceAll(pain, "\n", ""), "403"},
		{`create QuestionnaireResponse {"resourceType":"QuestionnaireResponse","status":"completed","subject":{"reference":"Patient/b"},"author":{"reference":"Patient/a"}}`, "403"},
		{`update Observation/a-own {"resourceType":"Observation","id":"a-own","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/b"},"performer":[{"reference":"Patient/a"}]}`, "403"},
		{`patch Observation/a-own [{"op":"replace","path":"/subject/reference","value":"Patient/b"}]`, "403"},
		{`patch Observation/b-by-a [{"op":"replace","path":"/status","value":"amended"}]`, "404"},
		{`delete Observation/b-by-a`, "nothing"},
		{`read Observation/b-by-a`, "b-by-a"},
		{`update Patient/a {"resourceType":"Patient","id":"a","link":[{"type":"replaces","other":{"reference":"Patient/b"}}]}`, "403"},
		{`update Patient/a {"resourceType":"Patient","id":"a","link":[{"type":"replaced-by","other":{"reference":"Patient/b"}}]}`, "403"},
		{`create Patient {"resourceType":"Patient","link":[{"type":"replaces","other":{"reference":"Patient/a"}},{"type":"replaces","other":{"reference":"Patient/b"}}]}`, "403"},
		{`update Patient/a {"resourceType":"Patient","id":"a","gender":"female"}`, "updated"},
	} {
		if got := ask(t, s, p, line.question); got != line.want {
			t.Errorf("%s is answered %s, and is to be answered %s", line.question, got, line.want)
		}
	}
}

// Of a resource that was another's, and was deleted before it came, nothing is seen of the time before.
func TestWhatWasDeletedBeforeItCame(t *testing.T) {
	s := open(t)
	twoPatients(t, s)
	for _, of := range []string{"b", "", "a", "", "a"} {
		if of == "" {
			if _, err := s.Delete(ctx, Anonymous, "Observation", "n-o", Preconditions{}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		s.store1(t, `{"resourceType":"Observation","id":"n-o","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/`+of+`"}}`)
	}
	asks(t, s, holder(t, "patient/*.rs"), map[string]string{
		"history Observation/n-o/_history": "204 n-o n-o", "history Observation/_history?_count=3": "204 n-o n-o", "read Observation/n-o/_history/1": "404", "read Observation/n-o/_history/2": "404", "read Observation/n-o/_history/4": "410",
	})
	asks(t, s, &Anonymous, map[string]string{"history Observation/n-o/_history": "204 204 n-o n-o n-o", "read Observation/n-o/_history/2": "410"})
}

// Conditions, references and large transactions tell nothing of what is there.
func TestNobodyFindsOutByConditionsWhatIsThere(t *testing.T) {
	s := open(t, func(o *Options) { o.References = "exist" })
	twoPatients(t, s)
	s.stageFrom = 2
	p := principals(t)["the patient app of a, all of it"]
	said := func(err error) string {
		if err == nil {
			return "done"
		}
		return fmt.Sprint(fhir.KindOf(err).Status(), strings.NewReplacer("b-lab", "ID", "unknown", "ID").Replace(err.Error()))
	}
	for name, do := range map[string]func(id string) error{
		"a conditional update with an id": func(id string) error {
			_, err := s.UpdateWhere(ctx, *p, "Observation", "identifier=urn:none|1", []byte(`{"resourceType":"Observation","id":"`+id+`","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/a"}}`), Preconditions{})
			return err
		},
		"references in a staged transaction": func(id string) error {
			body := `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/a"},"hasMember":[{"reference":"Observation/` + id + `"}]}`
			_, err := s.Process(ctx, *p, bundleOf("transaction", entryOf("", body, "POST", "Observation", ""), entryOf("", body, "POST", "Observation", "")), "")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if of, unknown := said(do("b-lab")), said(do("unknown")); of != unknown {
				t.Errorf("of another's the answer is %s, and of an unknown one %s", of, unknown)
			}
		})
	}
}

// Consents that were not stored after all are not taken for those that are stored in their place.
func TestConsentsOfAFailedTransaction(t *testing.T) {
	s := open(t)
	twoPatients(t, s)
	clinician := &Principal{User: "Practitioner/p", Grants: holder(t, "user/*.cruds").Grants}
	s.store1(t, consentOf("n-none", "a", "inactive", `{"type":"deny"}`))
	failing := bundleOf("transaction", entryOf("", consentOf("n-x", "a", "active", `{"type":"permit"}`), "PUT", "Consent/n-x", ""), `{"request":{"method":"GET","url":"Patient/unknown"}}`)
	if _, err := s.Process(ctx, *clinician, failing, ""); err == nil {
		t.Fatal("the transaction was not refused")
	}
	s.store1(t, consentOf("n-c", "b", "active", `{"type":"deny"}`))
	asks(t, s, clinician, map[string]string{"read Patient/b": "404", "read Patient/a": "a"})
}

// A Consent of many exceptions, or many such, do not keep others from reading.
func TestConsentsWithManyExceptions(t *testing.T) {
	s := open(t)
	twoPatients(t, s)
	clinician := &Principal{User: "Practitioner/p", Grants: holder(t, "user/*.cruds").Grants}
	data := func(n int, more string) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"meaning":"instance","reference":{"reference":"Observation/x-%d"}}`, i))
		}
		return strings.Join(append(list, `{"meaning":"instance","reference":{"reference":"Observation/`+more+`"}}`), ",")
	}
	for name, provision := range map[string]string{
		"permitted": `{"type":"deny","provision":[{"type":"permit","data":[` + data(700, "b-lab") + `]}]}`,
		"denied":    `{"type":"permit","provision":[{"type":"deny","data":[` + data(700, "b-pain") + `]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s.store1(t, consentOf("n-c", "b", "active", provision))
			asks(t, s, clinician, map[string]string{"search Observation": "a-lab a-pain b-lab moved", "read Observation/b-pain": "404", "read Observation/b-lab": "b-lab"})
		})
	}
	t.Run("of many patients", func(t *testing.T) {
		var entries []string
		for i := range 400 {
			entries = append(entries, entryOf("", strings.Replace(consentOf("x", fmt.Sprintf("m-%d", i), "active", `{"type":"deny","provision":[{"type":"permit","data":[`+data(1, "b-lab")+`]}]}`), `"id":"x",`, "", 1), "POST", "Consent", ""))
		}
		if _, err := s.Process(ctx, Anonymous, bundleOf("transaction", entries...), ""); err != nil {
			t.Fatal(err)
		}
		asks(t, s, clinician, map[string]string{"search Observation?_count=5": "a-lab a-pain b-lab moved", "read Observation/b-pain": "404", "read Observation/a-pain": "a-pain", "history Observation/a-pain/_history": "a-pain"})
	})
}

// everythingBut are all current versions but of what is about a patient, as Type/id/version.
func everythingBut(rt *rapid.T, s *Service, patient string) (refs []string) {
	about := regexp.MustCompile(`"(?:subject|patient|for)":\s*\{"reference":\s*"Patient/` + patient + `"`)
	for _, typ := range []string{"Patient", "Observation", "Condition", "Task", "List", "Device", "Procedure", "CarePlan", "ClinicalImpression", "Flag", "Goal", "DetectedIssue", "Consent", "Practitioner", "QuestionnaireResponse"} {
		answer := answerTo(rt, s, &itself, "search "+typ+"?_count=1000")
		var bundle struct {
			Entry []struct{ Resource json.RawMessage }
		}
		if err := json.Unmarshal(answer, &bundle); err != nil {
			rt.Fatal(err)
		}
		for _, e := range bundle.Entry {
			if !about.Match(e.Resource) {
				refs = append(refs, disclosed(rt, e.Resource)...)
			}
		}
	}
	return slices.DeleteFunc(refs, func(ref string) bool { return strings.HasPrefix(ref, "Patient/"+patient+"/") })
}

// Whatever somebody with the scopes of one patient writes, what is not about that patient stays as it is,
// and so does what is derived of it.
func TestNothingOfOthersIsWritten(t *testing.T) {
	var s *Service
	checks, done := 0, 0
	grant, _ := permission.ParseGrant("patient/*.cruds")
	operation := func(id, of, by string) string {
		return fmt.Sprintf(`{"resourceType":"Procedure","id":%q,"status":"completed","code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"single-stage"}]},
			"subject":{"reference":"Patient/%s"},"performer":[{"actor":{"reference":"Patient/%s"}}],"performedDateTime":"2026-03-02","bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"}]}]}`, id, of, by)
	}
	pain := func(id, of, by string) string {
		return fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"survey"}]}],
			"code":{"coding":[{"system":"http://loinc.org","code":"72514-3"}]},"subject":{"reference":"Patient/%s"},"performer":[{"reference":"Patient/%s"}],"effectiveDateTime":"2026-04-01","valueInteger":7}`, id, of, by)
	}
	rapid.Check(t, func(rt *rapid.T) {
		if checks%20 == 0 {
			if s != nil {
				if err := s.store.Close(); err != nil {
					rt.Fatal(err)
				}
			}
			s = open(t)
			for _, body := range []string{`{"resourceType":"Patient","id":"p0"}`, `{"resourceType":"Patient","id":"p1"}`, operation("q0", "p0", "p1"), operation("q1", "p1", "p0"), pain("o8", "p0", "p1"), pain("o9", "p1", "p0")} {
				n, err := fhir.Parse([]byte(body))
				if err != nil {
					rt.Fatal(err)
				}
				if _, err := s.Update(ctx, Anonymous, n.Str("resourceType"), n.Str("id"), []byte(body), Preconditions{}); err != nil {
					rt.Fatal(err)
				}
			}
		}
		checks++
		p := &Principal{Patient: "p0", Grants: []permission.Grant{grant}}
		before := everythingBut(rt, s, "p0")
		for range rapid.IntRange(1, 4).Draw(rt, "writes") {
			of, by := rapid.SampledFrom([]string{"p0", "p0", "p1"}).Draw(rt, "of"), rapid.SampledFrom([]string{"p0", "p1"}).Draw(rt, "by")
			body := randomRecord(rt)
			switch rapid.IntRange(0, 4).Draw(rt, "what") {
			case 0:
				body = pain(rapid.SampledFrom([]string{"o8", "o9"}).Draw(rt, "report"), of, by)
			case 1:
				body = operation(rapid.SampledFrom([]string{"q0", "q1"}).Draw(rt, "operation"), of, by)
			case 2:
				body = fmt.Sprintf(`{"resourceType":"Patient","id":%q,"link":[{"type":%q,"other":{"reference":"Patient/%s"}}]}`, of, rapid.SampledFrom([]string{"replaces", "replaced-by"}).Draw(rt, "link"), by)
			}
			n, err := fhir.Parse([]byte(body))
			if err != nil {
				rt.Fatal(err)
			}
			typ, id := n.Str("resourceType"), n.Str("id")
			switch rapid.IntRange(0, 3).Draw(rt, "how") {
			case 0:
				_, err = s.Create(ctx, *p, typ, []byte(body), "")
			case 1:
				_, err = s.Update(ctx, *p, typ, id, []byte(body), Preconditions{})
			case 2:
				_, err = s.Delete(ctx, *p, typ, id, Preconditions{})
			default:
				_, err = s.Process(ctx, *p, bundleOf("transaction", entryOf("", body, "PUT", typ+"/"+id, ""), entryOf("", pain("x", of, by), "POST", "Observation", "")), "")
			}
			if err == nil {
				done++
			} else if fhir.KindOf(err) == fhir.Internal {
				rt.Fatal(err)
			}
		}
		if after := everythingBut(rt, s, "p0"); !slices.Equal(before, after) {
			rt.Fatalf("there was %s, and now is %s", before, after)
		}
	})
	if checks >= 100 && done == 0 {
		t.Error("nothing was written: this shows nothing")
	}
}
