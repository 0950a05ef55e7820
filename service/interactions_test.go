package service

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

var ctx = context.Background()

func TestLifeOfAResource(t *testing.T) {
	s := open(t)
	w, err := s.Update(ctx, Anonymous, "Patient", "p", []byte(`{"resourceType":"Patient","id":"p","active":true}`), Preconditions{})
	if err != nil || !w.Created || w.Resource.Version != 1 {
		t.Fatalf("update as create: %+v %v", w, err)
	}
	w, err = s.Update(ctx, Anonymous, "Patient", "p", []byte(`{"resourceType":"Patient","id":"p","meta":{"versionId":"9"},"active": true}`), Preconditions{})
	if err != nil || w.Changed || w.Resource.Version != 1 {
		t.Fatalf("update that changes nothing: %+v %v", w, err)
	}
	w, err = s.Update(ctx, Anonymous, "Patient", "p", []byte(`{"resourceType":"Patient","id":"p","active":false}`), Preconditions{IfMatch: `W/"1"`})
	if err != nil || w.Created || !w.Changed || w.Resource.Version != 2 {
		t.Fatalf("update: %+v %v", w, err)
	}
	if _, err = s.Update(ctx, Anonymous, "Patient", "p", []byte(`{"resourceType":"Patient","id":"p","active":true}`), Preconditions{IfMatch: `W/"1"`}); fhir.KindOf(err) != fhir.PreconditionFailed {
		t.Fatalf("stale update: %v", err)
	}
	if _, err = s.Update(ctx, Anonymous, "Patient", "p", []byte(`{"resourceType":"Patient","id":"q"}`), Preconditions{}); fhir.KindOf(err) != fhir.BadRequest {
		t.Fatalf("other id: %v", err)
	}
	if _, err = s.Delete(ctx, Anonymous, "Patient", "p", Preconditions{IfMatch: `W/"1"`}); fhir.KindOf(err) != fhir.PreconditionFailed {
		t.Fatalf("stale delete: %v", err)
	}
	for range 2 {
		if w, err = s.Delete(ctx, Anonymous, "Patient", "p", Preconditions{}); err != nil || w.Resource.Version != 3 {
			t.Fatalf("delete: %+v %v", w, err)
		}
	}
	if w, err = s.Delete(ctx, Anonymous, "Patient", "never", Preconditions{}); err != nil || w.Resource != nil {
		t.Fatalf("delete of nothing: %+v %v", w, err)
	}
	if _, err = s.Read(ctx, Anonymous, "Patient", "p"); fhir.KindOf(err) != fhir.Gone {
		t.Fatalf("read of a deleted: %v", err)
	}
	if _, err = s.VRead(ctx, Anonymous, "Patient", "p", "3"); fhir.KindOf(err) != fhir.Gone {
		t.Fatalf("vread of a deletion: %v", err)
	}
	if r, err := s.VRead(ctx, Anonymous, "Patient", "p", "1"); err != nil || !strings.Contains(string(r.Body), `"active":true`) {
		t.Fatalf("vread: %v", err)
	}
	for _, version := range []string{"4", "0", "x", "01", "-1", "99999999999999999999"} {
		if _, err = s.VRead(ctx, Anonymous, "Patient", "p", version); fhir.KindOf(err) != fhir.NotFound || err == nil {
			t.Errorf("vread of %s: %v", version, err)
		}
	}
	if got := len(s.find(t, "Patient", "")); got != 0 {
		t.Errorf("%d patients after the delete", got)
	}
	if w, err = s.Update(ctx, Anonymous, "Patient", "p", []byte(`{"resourceType":"Patient","id":"p"}`), Preconditions{}); err != nil || !w.Created || w.Resource.Version != 4 {
		t.Fatalf("update after delete: %+v %v", w, err)
	}
	if got, want := s.history(t, "Patient", "p"), []string{"PUT 4 201 Created", "DELETE 3 204 No Content", "PUT 2 200 OK", "PUT 1 201 Created"}; !slices.Equal(got, want) {
		t.Errorf("history %q", got)
	}
}

// history reads all pages of a history, two entries at a time.
func (s *Service) history(t *testing.T, typ, id string) []string {
	t.Helper()
	var out []string
	pairs := []search.Pair{{Name: "_count", Value: "2"}}
	for {
		body, err := s.History(ctx, Anonymous, typ, id, pairs)
		if err != nil {
			t.Fatal(err)
		}
		var b struct {
			Link  []struct{ Relation, URL string }
			Entry []struct {
				Request  struct{ Method string }
				Response struct{ Status, Etag string }
			}
		}
		if err := json.Unmarshal(body, &b); err != nil {
			t.Fatal(err)
		}
		for _, e := range b.Entry {
			out = append(out, e.Request.Method+" "+strings.Trim(e.Response.Etag, `W/"`)+" "+e.Response.Status)
		}
		next := ""
		for _, l := range b.Link {
			if l.Relation == "next" {
				next = l.URL
			}
		}
		if next == "" {
			return out
		}
		_, query, _ := strings.Cut(next, "?")
		if pairs, err = search.ParsePairs(query); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConditionalCreateAtOnceMakesOne(t *testing.T) {
	s := open(t)
	var created, found sync.Map
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			w, err := s.Create(ctx, Anonymous, "Patient", []byte(`{"resourceType":"Patient","identifier":[{"system":"http://x.example","value":"1"}]}`), "identifier=http://x.example|1")
			switch {
			case err != nil:
				t.Error(err)
			case w.Created:
				created.Store(i, w.Resource.ID)
			default:
				found.Store(i, w.Resource.ID)
			}
		})
	}
	wg.Wait()
	count := func(m *sync.Map) (n int) {
		m.Range(func(any, any) bool { n++; return true })
		return n
	}
	if count(&created) != 1 || count(&found) != 63 {
		t.Errorf("%d created, %d found", count(&created), count(&found))
	}
}

func TestUpdatesAtOnceCountUp(t *testing.T) {
	s := open(t)
	var wg sync.WaitGroup
	seen := make([]bool, 33)
	var mu sync.Mutex
	for i := range 32 {
		wg.Go(func() {
			body := fmt.Sprintf(`{"resourceType":"Basic","id":"b","code":{"text":"%d"}}`, i)
			w, err := s.Update(ctx, Anonymous, "Basic", "b", []byte(body), Preconditions{})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if seen[w.Resource.Version] {
				t.Errorf("version %d twice", w.Resource.Version)
			}
			seen[w.Resource.Version] = true
		})
	}
	wg.Wait()
}

func TestSearchPagesPutTogetherAreTheSet(t *testing.T) {
	s := open(t)
	for i := range 25 {
		body := fmt.Sprintf(`{"resourceType":"Basic","id":"b%d","code":{"coding":[{"system":"http://x.example","code":"k"}]}}`, i)
		if _, err := s.Update(ctx, Anonymous, "Basic", fmt.Sprintf("b%d", i), []byte(body), Preconditions{}); err != nil {
			t.Fatal(err)
		}
	}
	pairs := []search.Pair{{Name: "code", Value: "http://x.example|k"}, {Name: "_count", Value: "7"}}
	seen := map[string]bool{}
	pages := 0
	for pairs != nil {
		body, err := s.Search(ctx, Anonymous, "Basic", pairs, false)
		if err != nil {
			t.Fatal(err)
		}
		n, err := fhir.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, e := range n.Each("entry") {
			id := e.Str("resource", "id")
			if seen[id] {
				t.Errorf("%s twice", id)
			}
			seen[id] = true
			if got, want := e.Str("fullUrl"), base+"/Basic/"+id; got != want {
				t.Errorf("fullUrl %s, want %s", got, want)
			}
		}
		pairs = nil
		for _, l := range n.Each("link") {
			if l.Str("relation") == "next" {
				_, query, _ := strings.Cut(l.Str("url"), "?")
				if pairs, err = search.ParsePairs(query); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if len(seen) != 25 || pages != 4 {
		t.Errorf("%d resources on %d pages", len(seen), pages)
	}
}

func TestUnknownParameterIsRefusedOrNamed(t *testing.T) {
	s := open(t)
	pairs := []search.Pair{{Name: "shoe", Value: "43"}}
	if _, err := s.Search(ctx, Anonymous, "Patient", pairs, false); fhir.KindOf(err) != fhir.BadRequest || err == nil {
		t.Errorf("strict: %v", err)
	}
	body, err := s.Search(ctx, Anonymous, "Patient", pairs, true)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(body), "shoe=43") || !strings.Contains(string(body), `"mode":"outcome"`) {
		t.Errorf("lenient: %s", body)
	}
}

func TestDefinitionsCanBeReadAndNotChanged(t *testing.T) {
	s := open(t)
	if len(s.provided) == 0 {
		t.Fatal("no definitions")
	}
	for ref := range s.provided {
		typ, id, _ := strings.Cut(ref, "/")
		r, err := s.Read(ctx, Anonymous, typ, id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Update(ctx, Anonymous, typ, id, r.Body, Preconditions{}); fhir.KindOf(err) != fhir.NotAllowed {
			t.Errorf("update of %s: %v", ref, err)
		}
		if _, err := s.Delete(ctx, Anonymous, typ, id, Preconditions{}); fhir.KindOf(err) != fhir.NotAllowed {
			t.Errorf("delete of %s: %v", ref, err)
		}
	}
}

func TestBatchEntriesStandAlone(t *testing.T) {
	s := open(t)
	r := s.process(t, []byte(`{"resourceType":"Bundle","type":"batch","entry":[
	 {"request":{"method":"GET","url":"Patient?_id=b"}},
	 {"resource":{"resourceType":"Patient","id":"a","shoe":1},"request":{"method":"PUT","url":"Patient/a"}},
	 {"resource":{"resourceType":"Patient","id":"b"},"request":{"method":"PUT","url":"Patient/b"}},
	 {"request":{"method":"GET","url":"Patient/none"}},
	 {"request":{"method":"DELETE","url":"Patient/none"}}]}`))
	var got []string
	for _, e := range r.Entry {
		got = append(got, e.Response.Status)
	}
	want := []string{"200 OK", "400 Bad Request", "201 Created", "404 Not Found", "204 No Content"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if !strings.Contains(string(r.Entry[0].Resource), `"id":"b"`) {
		t.Errorf("the search does not see the update: %s", r.Entry[0].Resource)
	}
}

func TestReferencesMustExistWhereTheSiteAsksForIt(t *testing.T) {
	s := open(t, func(o *Options) { o.References = "exist" })
	const procedure = `{"resourceType":"Procedure","status":"completed","subject":{"reference":"Patient/p"}}`
	_, err := s.Create(ctx, Anonymous, "Procedure", []byte(procedure), "")
	refused(t, err, fhir.Unprocessable, "Procedure.subject")
	if _, err := s.Update(ctx, Anonymous, "Patient", "p", []byte(`{"resourceType":"Patient","id":"p"}`), Preconditions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(ctx, Anonymous, "Procedure", []byte(procedure), ""); err != nil {
		t.Error(err)
	}
	for name, body := range surgeries(t) {
		if _, err := s.Process(ctx, Anonymous, body, ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
