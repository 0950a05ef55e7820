package service

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"aftercare/fhir"
)

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
		"stale and no fit":   {JSONPatch, `[{"op":"test","path":"/status","value":"x"}]`, `W/"1"`, fhir.PreconditionFailed},
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

// jsonPatchEntry is a resource that carries a JSON Patch in a Bundle.
func jsonPatchEntry(body string) string {
	return `{"resourceType":"Binary","contentType":"application/json-patch+json","data":"` + base64.StdEncoding.EncodeToString([]byte(body)) + `"}`
}

// The ways to add an identifier to Basic/b by a patch.
var identifierPatches = map[string]func(s *Service, value string) error{
	"JSON Patch": func(s *Service, value string) error {
		_, err := s.Patch(ctx, Anonymous, "Basic", "b", JSONPatch, []byte(jsonAddition(value)), Preconditions{})
		return err
	},
	"FHIRPath Patch": func(s *Service, value string) error {
		_, err := s.Patch(ctx, Anonymous, "Basic", "b", FHIRPathPatch, []byte(pathAddition(value)), Preconditions{})
		return err
	},
	"conditional patch": func(s *Service, value string) error {
		_, err := s.PatchWhere(ctx, Anonymous, "Basic", "identifier=urn:x|first", JSONPatch, []byte(jsonAddition(value)), Preconditions{})
		return err
	},
	"transaction": func(s *Service, value string) error {
		_, err := s.Process(ctx, Anonymous, bundleOf("transaction",
			entryOf("", `{"resourceType":"Basic","code":{"text":"beside"}}`, "POST", "Basic", ""),
			entryOf("", jsonPatchEntry(jsonAddition(value)), "PATCH", "Basic/b", ""),
			entryOf("", pathAddition(value), "PATCH", "Basic?identifier=urn:x|other", "")), "")
		return err
	},
	"batch": func(s *Service, value string) error {
		body, err := s.Process(ctx, Anonymous, bundleOf("batch", entryOf("", pathAddition(value), "PATCH", "Basic/b", "")), "")
		if err == nil && !strings.Contains(string(body), `"status":"200 OK"`) {
			err = fmt.Errorf("%s", body)
		}
		return err
	},
}

func jsonAddition(value string) string {
	return `[{"op":"add","path":"/identifier/-","value":{"value":"` + value + `"}}]`
}

func pathAddition(value string) string {
	return `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},{"name":"path","valueString":"Basic"},
	 {"name":"name","valueString":"identifier"},{"name":"value","valueIdentifier":{"value":"` + value + `"}}]}]}`
}

// Each of many patches at once is stored as a version of its own on top of the one before.
func TestPatchesAtOnceAllSucceed(t *testing.T) {
	const many = 64
	for name, add := range identifierPatches {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.process(t, bundleOf("transaction",
				entryOf("", `{"resourceType":"Basic","id":"b","code":{"text":"x"},"identifier":[{"system":"urn:x","value":"first"}]}`, "PUT", "Basic/b", ""),
				entryOf("", `{"resourceType":"Basic","id":"other","code":{"text":"x"},"identifier":[{"system":"urn:x","value":"other"}]}`, "PUT", "Basic/other", "")))
			var wg sync.WaitGroup
			for i := range many {
				wg.Go(func() {
					if err := add(s, fmt.Sprintf("n%d", i)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			seen := map[string]bool{}
			for version := 1; version <= many+1; version++ {
				r, err := s.VRead(ctx, Anonymous, "Basic", "b", fmt.Sprint(version))
				if err != nil {
					t.Fatal(err)
				}
				n, err := fhir.Parse(r.Body)
				if err != nil {
					t.Fatal(err)
				}
				values := n.Each("identifier")
				if len(values) != version {
					t.Fatalf("version %d has %d identifiers", version, len(values))
				}
				seen[values[version-1].Str("value")] = true
			}
			if len(seen) != many+1 {
				t.Errorf("%d different identifiers, want %d", len(seen), many+1)
			}
			if r, err := s.Read(ctx, Anonymous, "Basic", "b"); err != nil || r.Version != many+1 {
				t.Errorf("the last version is %+v %v", r, err)
			}
		})
	}
}

// A write that fails makes those that share its commit run again, on what was there before
// it: the version that a patch saw in the first run may come back with other content.
func TestPatchesAreAppliedAnewWhereACommitIsUndone(t *testing.T) {
	const each = 32
	s := open(t)
	s.keep(t, `{"resourceType":"Basic","id":"b","code":{"text":"x"},"identifier":[{"value":"first"}]}`)
	var wg sync.WaitGroup
	for i := range each {
		patch := entryOf("", pathAddition(fmt.Sprintf("n%d", i)), "PATCH", "Basic/b", "")
		wg.Go(func() {
			if _, err := s.Process(ctx, Anonymous, bundleOf("transaction", patch), ""); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			_, err := s.Process(ctx, Anonymous, bundleOf("transaction", entryOf("", pathAddition("undone"), "PATCH", "Basic/b", ""), entryOf("", "", "GET", "Patient/nobody", "")), "")
			refused(t, err, fhir.NotFound, "Bundle.entry[1]")
		})
	}
	wg.Wait()
	r, err := s.Read(ctx, Anonymous, "Basic", "b")
	if err != nil || r.Version != each+1 || strings.Contains(string(r.Body), "undone") {
		t.Fatalf("%+v %v", r, err)
	}
	for i := range each {
		if !strings.Contains(string(r.Body), fmt.Sprintf(`"n%d"`, i)) {
			t.Errorf("patch %d was lost", i)
		}
	}
}

// Of patches that name the version they were made for one is stored.
func TestPatchesAtOnceKeepToIfMatch(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Basic","id":"b","code":{"text":"x"},"identifier":[{"value":"first"}]}`)
	var stored, refused sync.Map
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			_, err := s.Patch(ctx, Anonymous, "Basic", "b", JSONPatch, []byte(jsonAddition(fmt.Sprint(i))), Preconditions{IfMatch: `W/"1"`})
			switch {
			case err == nil:
				stored.Store(i, true)
			case fhir.KindOf(err) == fhir.PreconditionFailed:
				refused.Store(i, true)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if size(&stored) != 1 || size(&refused) != 31 {
		t.Errorf("%d were stored, %d refused", size(&stored), size(&refused))
	}
}

func size(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

// A patch that is overtaken between the look at the snapshot and its transaction is
// applied anew to what is there then, and refused where it does not fit that.
func TestAPatchThatIsOvertaken(t *testing.T) {
	const first = `{"resourceType":"Basic","id":"b","code":{"text":"x"},"identifier":[{"system":"urn:x","value":"1"}]}`
	update := func(typ, id, body string) func(*testing.T, *Service) {
		return func(t *testing.T, s *Service) {
			if _, err := s.Update(ctx, Anonymous, typ, id, []byte(body), Preconditions{}); err != nil {
				t.Error(err)
			}
		}
	}
	remove := func(t *testing.T, s *Service) {
		if _, err := s.Delete(ctx, Anonymous, "Basic", "b", Preconditions{}); err != nil {
			t.Error(err)
		}
	}
	for name, c := range map[string]struct {
		patch, query string
		when         Preconditions
		meanwhile    func(*testing.T, *Service)
		kind         fhir.ErrorKind // Internal for success
		// id and version are what the patch makes; has is in it.
		id      string
		version int64
		has     string
	}{
		"by an update": {patch: jsonAddition("2"), meanwhile: update("Basic", "b", strings.Replace(first, `"x"`, `"y"`, 1)),
			id: "b", version: 3, has: `"code":{"text":"y"},"identifier":[{"system":"urn:x","value":"1"},{"value":"2"}]`},
		"by an update that does the same": {patch: `[{"op":"replace","path":"/code/text","value":"y"}]`, meanwhile: update("Basic", "b", strings.Replace(first, `"x"`, `"y"`, 1)),
			id: "b", version: 2, has: `"text":"y"`},
		"by an update that it does not fit": {patch: jsonAddition("2"), meanwhile: update("Basic", "b", `{"resourceType":"Basic","id":"b","code":{"text":"x"}}`), kind: fhir.Unprocessable},
		"by an update that makes the result bad": {patch: `[{"op":"remove","path":"/identifier/0"}]`, meanwhile: update("Basic", "b", strings.Replace(first, `"code"`, `"language":"en","code"`, 1)),
			kind: fhir.Unprocessable},
		"by an update, with If-Match":      {patch: jsonAddition("2"), when: Preconditions{IfMatch: `W/"1"`}, meanwhile: update("Basic", "b", strings.Replace(first, `"x"`, `"y"`, 1)), kind: fhir.PreconditionFailed},
		"by an update, with If-None-Match": {patch: jsonAddition("2"), when: Preconditions{IfNoneMatch: `W/"2"`}, meanwhile: update("Basic", "b", strings.Replace(first, `"x"`, `"y"`, 1)), kind: fhir.PreconditionFailed},
		"by a deletion":                    {patch: jsonAddition("2"), meanwhile: remove, kind: fhir.Gone},
		"by a deletion and a new one": {patch: jsonAddition("2"), meanwhile: func(t *testing.T, s *Service) { remove(t, s); update("Basic", "b", first)(t, s) },
			id: "b", version: 4, has: `"value":"2"`},
		"by a deletion of what it looks for": {patch: jsonAddition("2"), query: "identifier=urn:x|1", meanwhile: remove, kind: fhir.NotFound},
		"by a second match":                  {patch: jsonAddition("2"), query: "identifier=urn:x|1", meanwhile: update("Basic", "c", strings.Replace(first, `"b"`, `"c"`, 1)), kind: fhir.PreconditionFailed},
		"by another match": {patch: jsonAddition("2"), query: "identifier=urn:x|1", meanwhile: func(t *testing.T, s *Service) {
			remove(t, s)
			update("Basic", "c", strings.Replace(strings.Replace(first, `"b"`, `"c"`, 1), `"x"`, `"z"`, 1))(t, s)
		}, id: "c", version: 2, has: `"z"},"identifier":[{"system":"urn:x","value":"1"},{"value":"2"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.keep(t, first)
			change, err := s.patching("Basic", JSONPatch, []byte(c.patch))
			if err != nil {
				t.Fatal(err)
			}
			w := &write{method: http.MethodPatch, typ: "Basic", id: "b", when: c.when}
			calls := 0
			w.change = func(current *fhir.Resource) (*fhir.Node, error) {
				if calls++; calls == 1 { // on the snapshot
					defer c.meanwhile(t, s)
				}
				return change(current)
			}
			if c.query != "" {
				if err := s.conditionalTarget(w, c.query); err != nil {
					t.Fatal(err)
				}
			}
			out, err := s.commitOne(ctx, &itself, w)
			if c.kind != fhir.Internal {
				if err == nil || fhir.KindOf(err) != c.kind {
					t.Errorf("got %+v %v, want kind %d", out, err, c.kind)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if r := out.Resource; r.ID != c.id || r.Version != c.version || !strings.Contains(string(r.Body), c.has) {
				t.Errorf("got %s version %d: %s", r.ID, r.Version, r.Body)
			}
			if calls < 2 {
				t.Error("it was not overtaken")
			}
		})
	}
}

// An index row of a patch is that of the version that was stored, not of the snapshot's.
func TestAPatchThatIsOvertakenCanBeFound(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Basic","id":"b","code":{"text":"x"},"identifier":[{"value":"1"}]}`)
	change, err := s.patching("Basic", JSONPatch, []byte(jsonAddition("2")))
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	if _, err := s.commitOne(ctx, &itself, &write{method: http.MethodPatch, typ: "Basic", id: "b", change: func(current *fhir.Resource) (*fhir.Node, error) {
		if calls++; calls == 1 {
			defer s.keep(t, `{"resourceType":"Basic","id":"b","code":{"text":"x"},"identifier":[{"value":"3"}]}`)
		}
		return change(current)
	}}); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]int{"1": 0, "2": 1, "3": 1} {
		if got := len(s.find(t, "Basic", "identifier="+value)); got != want {
			t.Errorf("identifier %s finds %d, want %d", value, got, want)
		}
	}
}

func TestTransactionOfSeveralPatches(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Basic","id":"b","code":{"text":"x"},"identifier":[{"system":"urn:x","value":"1"}]}`, `{"resourceType":"Basic","id":"c","code":{"text":"x"},"identifier":[{"system":"urn:x","value":"2"}]}`)
	for name, c := range map[string]struct {
		entries []string
		kind    fhir.ErrorKind
		place   string
	}{
		"one does not fit": {[]string{entryOf("", jsonPatchEntry(jsonAddition("3")), "PATCH", "Basic/b", ""), entryOf("", jsonPatchEntry(`[{"op":"remove","path":"/language"}]`), "PATCH", "Basic/c", "")},
			fhir.Unprocessable, "Bundle.entry[1]"},
		"one result is bad": {[]string{entryOf("", jsonPatchEntry(jsonAddition("3")), "PATCH", "Basic/b", ""), entryOf("", jsonPatchEntry(`[{"op":"remove","path":"/code"}]`), "PATCH", "Basic/c", "")},
			fhir.Unprocessable, "Bundle.entry[1].resource"},
		"one has no target":         {[]string{entryOf("", jsonPatchEntry(jsonAddition("3")), "PATCH", "Basic/b", ""), entryOf("", pathAddition("3"), "PATCH", "Basic?identifier=9", "")}, fhir.NotFound, "Bundle.entry[1]"},
		"one is of another version": {[]string{entryOf("", pathAddition("3"), "PATCH", "Basic/b", ""), entryOf("", pathAddition("3"), "PATCH", "Basic/c", `,"ifMatch":"W/\"2\""`)}, fhir.PreconditionFailed, "Bundle.entry[1]"},
		"two of one resource":       {[]string{entryOf("", pathAddition("3"), "PATCH", "Basic/b", ""), entryOf("", pathAddition("4"), "PATCH", "Basic/b", "")}, fhir.BadRequest, "Bundle.entry[1]"},
		"two lead to one resource":  {[]string{entryOf("", pathAddition("3"), "PATCH", "Basic/b", ""), entryOf("", pathAddition("4"), "PATCH", "Basic?identifier=1", "")}, fhir.BadRequest, "Bundle.entry[1]"},
		"a patch and a deletion":    {[]string{entryOf("", pathAddition("3"), "PATCH", "Basic?identifier=1", ""), entryOf("", "", "DELETE", "Basic/b", "")}, fhir.BadRequest, "Bundle.entry[1]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Process(ctx, Anonymous, bundleOf("transaction", c.entries...), "")
			refused(t, err, c.kind, c.place)
		})
	}
	for _, id := range []string{"b", "c"} {
		if r, err := s.Read(ctx, Anonymous, "Basic", id); err != nil || r.Version != 1 {
			t.Errorf("%s changed: %+v %v", id, r, err)
		}
	}
	// A patch may lead to what another entry makes.
	s.process(t, bundleOf("transaction", entryOf("", jsonPatchEntry(`[{"op":"add","path":"/subject","value":{"reference":"Patient?identifier=urn:x|7"}}]`), "PATCH", "Basic/c", ""),
		entryOf("", `{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"7"}]}`, "POST", "Patient", ""),
		entryOf("", jsonPatchEntry(jsonAddition("3")), "PATCH", "Basic/b", "")))
	if got := len(s.find(t, "Basic", "patient.identifier=urn:x|7")); got != 1 {
		t.Errorf("%d lead to the patient", got)
	}
}
