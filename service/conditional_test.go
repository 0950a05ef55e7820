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

func TestPatch(t *testing.T) {
	s := open(t)
	put := func() {
		if _, err := s.Update(ctx, Anonymous, "Observation", "o", []byte(strings.Replace(pain(`"valueQuantity":{"value":6.0}`), `"status"`, `"id":"o","status"`, 1)), Preconditions{}); err != nil {
			t.Fatal(err)
		}
	}
	put()
	w, err := s.Patch(ctx, Anonymous, "Observation", "o", JSONPatch, []byte(`[{"op":"replace","path":"/status","value":"amended"}]`), Preconditions{IfMatch: `W/"1"`})
	if err != nil || w.Resource.Version != 2 || !strings.Contains(string(w.Resource.Body), `"value":6.0}`) || !strings.Contains(string(w.Resource.Body), `"amended"`) {
		t.Fatalf("%+v %v", w, err)
	}
	w, err = s.Patch(ctx, Anonymous, "Observation", "o", FHIRPathPatch, []byte(`{"resourceType":"Parameters","parameter":[{"name":"operation","part":[
	 {"name":"type","valueCode":"replace"},{"name":"path","valueString":"Observation.status"},{"name":"value","valueCode":"final"}]}]}`), Preconditions{})
	if err != nil || w.Resource.Version != 3 || !strings.Contains(string(w.Resource.Body), `"final"`) {
		t.Fatalf("%+v %v", w, err)
	}
	w, err = s.Patch(ctx, Anonymous, "Observation", "o", JSONPatch, []byte(`[{"op":"test","path":"/status","value":"final"}]`), Preconditions{})
	if err != nil || w.Changed || w.Resource.Version != 3 {
		t.Fatalf("patch that changes nothing: %+v %v", w, err)
	}
	for name, c := range map[string]struct {
		format  PatchFormat
		body    string
		ifMatch string
		kind    fhir.ErrorKind
	}{
		"stale":              {JSONPatch, `[]`, `W/"1"`, fhir.PreconditionFailed},
		"not JSON":           {JSONPatch, `[`, "", fhir.BadRequest},
		"not Parameters":     {FHIRPathPatch, `{"resourceType":"Patient"}`, "", fhir.BadRequest},
		"test fails":         {JSONPatch, `[{"op":"test","path":"/status","value":"x"}]`, "", fhir.Unprocessable},
		"result not valid":   {JSONPatch, `[{"op":"remove","path":"/status"}]`, "", fhir.Unprocessable},
		"result off scale":   {JSONPatch, `[{"op":"replace","path":"/valueQuantity/value","value":11}]`, "", fhir.Unprocessable},
		"changes the id":     {JSONPatch, `[{"op":"replace","path":"/id","value":"x"}]`, "", fhir.Unprocessable},
		"changes the type":   {JSONPatch, `[{"op":"replace","path":"/resourceType","value":"Patient"}]`, "", fhir.Unprocessable},
		"nothing is at path": {JSONPatch, `[{"op":"remove","path":"/note"}]`, "", fhir.Unprocessable},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.Patch(ctx, Anonymous, "Observation", "o", c.format, []byte(c.body), Preconditions{IfMatch: c.ifMatch}); err == nil || fhir.KindOf(err) != c.kind {
				t.Errorf("got %v, want kind %d", err, c.kind)
			}
		})
	}
	if _, err := s.Patch(ctx, Anonymous, "Observation", "none", JSONPatch, []byte(`[]`), Preconditions{}); fhir.KindOf(err) != fhir.NotFound || err == nil {
		t.Errorf("unknown: %v", err)
	}
	if r, err := s.Read(ctx, Anonymous, "Observation", "o"); err != nil || r.Version != 3 {
		t.Errorf("a failed patch changed something: %v %v", r, err)
	}
}

func TestPatchesAtOnceLoseNothing(t *testing.T) {
	s := open(t)
	if _, err := s.Update(ctx, Anonymous, "Basic", "b", []byte(`{"resourceType":"Basic","id":"b","code":{"text":"x"},"identifier":[{"value":"first"}]}`), Preconditions{}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			body := fmt.Sprintf(`[{"op":"add","path":"/identifier/-","value":{"value":"n%d"}}]`, i)
			if _, err := s.Patch(ctx, Anonymous, "Basic", "b", JSONPatch, []byte(body), Preconditions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r, err := s.Read(ctx, Anonymous, "Basic", "b")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		if !strings.Contains(string(r.Body), fmt.Sprintf(`"n%d"`, i)) {
			t.Errorf("patch %d was lost", i)
		}
	}
}

func TestConditionalPatch(t *testing.T) {
	s := open(t)
	const query = "identifier=http://x.example|1"
	body := []byte(`[{"op":"add","path":"/active","value":true}]`)
	if _, err := s.PatchWhere(ctx, Anonymous, "Patient", query, JSONPatch, body, Preconditions{}); fhir.KindOf(err) != fhir.NotFound || err == nil {
		t.Errorf("no match: %v", err)
	}
	if _, err := s.Update(ctx, Anonymous, "Patient", "a", []byte(`{"resourceType":"Patient","id":"a","identifier":[{"system":"http://x.example","value":"1"}]}`), Preconditions{}); err != nil {
		t.Fatal(err)
	}
	if w, err := s.PatchWhere(ctx, Anonymous, "Patient", query, JSONPatch, body, Preconditions{}); err != nil || w.Resource.Version != 2 || w.Resource.ID != "a" {
		t.Errorf("one match: %+v %v", w, err)
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
