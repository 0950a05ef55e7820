package service

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"aftercare/fhir"
)

func TestConditionalUpdate(t *testing.T) {
	s := open(t)
	const query = "identifier=http://x.example|1"
	body := func(more string) []byte {
		return []byte(`{"resourceType":"Patient",` + more + `"identifier":[{"system":"http://x.example","value":"1"}]}`)
	}
	w, err := s.UpdateWhere(ctx, Anonymous, "Patient", query, body(""), Preconditions{})
	if err != nil || !w.Created {
		t.Fatalf("no match: %+v %v", w, err)
	}
	id := w.Resource.ID
	if w, err = s.UpdateWhere(ctx, Anonymous, "Patient", query, body(""), Preconditions{}); err != nil || w.Changed || w.Resource.ID != id {
		t.Fatalf("nothing to change: %+v %v", w, err)
	}
	if w, err = s.UpdateWhere(ctx, Anonymous, "Patient", query, body(`"active":true,`), Preconditions{IfMatch: `W/"1"`}); err != nil || w.Resource.Version != 2 || w.Resource.ID != id {
		t.Fatalf("one match: %+v %v", w, err)
	}
	_, err = s.UpdateWhere(ctx, Anonymous, "Patient", query, body(`"id":"other",`), Preconditions{})
	refused(t, err, fhir.BadRequest, "Patient.id")
	if w, err = s.UpdateWhere(ctx, Anonymous, "Patient", "identifier=none", body(`"id":"mine",`), Preconditions{}); err != nil || w.Resource.ID != "mine" {
		t.Fatalf("no match, own id: %+v %v", w, err)
	}
	_, err = s.UpdateWhere(ctx, Anonymous, "Patient", "identifier=none", body(`"id":"mine",`), Preconditions{})
	refused(t, err, fhir.BadRequest, "Patient.id")
	if _, err = s.UpdateWhere(ctx, Anonymous, "Patient", query, body(""), Preconditions{}); fhir.KindOf(err) != fhir.PreconditionFailed {
		t.Errorf("two matches: %v", err)
	}
	if _, err = s.UpdateWhere(ctx, Anonymous, "Patient", "", body(""), Preconditions{}); fhir.KindOf(err) != fhir.BadRequest || err == nil {
		t.Errorf("no condition: %v", err)
	}
}

func TestConditionalDelete(t *testing.T) {
	s := open(t)
	const query = "identifier=http://x.example|1"
	create := func() {
		if _, err := s.Create(ctx, Anonymous, "Patient", []byte(`{"resourceType":"Patient","identifier":[{"system":"http://x.example","value":"1"}]}`), ""); err != nil {
			t.Fatal(err)
		}
	}
	if w, err := s.DeleteWhere(ctx, Anonymous, "Patient", query, Preconditions{}); err != nil || w.Changed {
		t.Errorf("no match: %+v %v", w, err)
	}
	create()
	if w, err := s.DeleteWhere(ctx, Anonymous, "Patient", query, Preconditions{}); err != nil || !w.Resource.Deleted {
		t.Errorf("one match: %+v %v", w, err)
	}
	create()
	create()
	if _, err := s.DeleteWhere(ctx, Anonymous, "Patient", query, Preconditions{}); fhir.KindOf(err) != fhir.PreconditionFailed {
		t.Errorf("two matches: %v", err)
	}
	if got := len(s.find(t, "Patient", query)); got != 2 {
		t.Errorf("%d patients are left, want 2", got)
	}
}

func TestConditionalUpdateAtOnceMakesOne(t *testing.T) {
	s := open(t)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			body := fmt.Sprintf(`{"resourceType":"Patient","identifier":[{"system":"http://x.example","value":"1"}],"multipleBirthInteger":%d}`, i)
			if _, err := s.UpdateWhere(ctx, Anonymous, "Patient", "identifier=http://x.example|1", []byte(body), Preconditions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	found := s.find(t, "Patient", "identifier=http://x.example|1")
	if len(found) != 1 || !strings.Contains(string(found[0]), `"versionId":"32"`) {
		t.Errorf("%s", found)
	}
}

func TestTransactionWithConditionsAndPatches(t *testing.T) {
	s := open(t)
	s.process(t, []byte(`{"resourceType":"Bundle","type":"transaction","entry":[
	 {"resource":{"resourceType":"Patient","id":"a","identifier":[{"system":"http://x.example","value":"1"}]},"request":{"method":"PUT","url":"Patient/a"}},
	 {"resource":{"resourceType":"Patient","id":"b","identifier":[{"system":"http://x.example","value":"2"}]},"request":{"method":"PUT","url":"Patient/b"}},
	 {"resource":{"resourceType":"Basic","id":"c","code":{"text":"x"}},"request":{"method":"PUT","url":"Basic/c"}}]}`))
	const urn = "urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f7c01"
	r := s.process(t, []byte(`{"resourceType":"Bundle","type":"transaction","entry":[
	 {"resource":{"resourceType":"Binary","contentType":"application/json-patch+json","data":"W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9jb2RlL3RleHQiLCJ2YWx1ZSI6InkifV0="},"request":{"method":"PATCH","url":"Basic/c"}},
	 {"fullUrl":"`+urn+`","resource":{"resourceType":"Patient","active":true,"identifier":[{"system":"http://x.example","value":"1"}]},"request":{"method":"PUT","url":"Patient?identifier=http://x.example|1"}},
	 {"resource":{"resourceType":"Basic","code":{"text":"x"},"subject":{"reference":"`+urn+`"}},"request":{"method":"POST","url":"Basic"}},
	 {"request":{"method":"DELETE","url":"Patient?identifier=http://x.example|2"}}]}`))
	var got []string
	for _, e := range r.Entry {
		got = append(got, e.Response.Status+" "+e.Response.Etag)
	}
	want := []string{`200 OK W/"2"`, `200 OK W/"2"`, `201 Created W/"1"`, `204 No Content W/"2"`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if found := s.find(t, "Basic", "patient=a"); len(found) != 1 {
		t.Errorf("the reference to a conditional update was not resolved: %s", found)
	}
}

func TestTransactionRefusesConditionsThatMeet(t *testing.T) {
	s := open(t)
	if _, err := s.Update(ctx, Anonymous, "Patient", "a", []byte(`{"resourceType":"Patient","id":"a","identifier":[{"system":"http://x.example","value":"1"},{"system":"http://x.example","value":"2"}]}`), Preconditions{}); err != nil {
		t.Fatal(err)
	}
	update := func(value string) string {
		return `{"resource":{"resourceType":"Patient","active":true},"request":{"method":"PUT","url":"Patient?identifier=http://x.example|` + value + `"}}`
	}
	for name, entries := range map[string]string{
		"two conditional updates":          update("1") + "," + update("2"),
		"conditional update and an update": update("1") + `,{"resource":{"resourceType":"Patient","id":"a"},"request":{"method":"PUT","url":"Patient/a"}}`,
		"conditional update and patch":     update("1") + `,{"resource":{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},{"name":"path","valueString":"Patient"},{"name":"name","valueString":"active"},{"name":"value","valueBoolean":true}]}]},"request":{"method":"PATCH","url":"Patient/a"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Process(ctx, Anonymous, []byte(`{"resourceType":"Bundle","type":"transaction","entry":[`+entries+`]}`), "")
			if err == nil || fhir.KindOf(err) == fhir.Internal {
				t.Errorf("got %v, want a refusal", err)
			}
			if r, err := s.Read(ctx, Anonymous, "Patient", "a"); err != nil || r.Version != 1 {
				t.Errorf("something changed: %+v %v", r, err)
			}
		})
	}
}
