package service

import (
	"fmt"
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/service/permission"
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
