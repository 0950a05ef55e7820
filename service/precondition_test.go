package service

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aftercare/fhir"
)

func TestPreconditions(t *testing.T) {
	third, gone := &fhir.Resource{Version: 3}, &fhir.Resource{Version: 3, Deleted: true}
	for name, c := range map[string]struct {
		when    Preconditions
		current *fhir.Resource
		holds   bool
	}{
		"none":                               {Preconditions{}, third, true},
		"none, no resource":                  {Preconditions{}, nil, true},
		"If-Match, the version":              {Preconditions{IfMatch: `W/"3"`}, third, true},
		"If-Match, a strong ETag":            {Preconditions{IfMatch: `"3"`}, third, true},
		"If-Match, a bare number":            {Preconditions{IfMatch: `3`}, third, true},
		"If-Match, one of several":           {Preconditions{IfMatch: `W/"1" , W/"3"`}, third, true},
		"If-Match, any":                      {Preconditions{IfMatch: `*`}, third, true},
		"If-Match, an older version":         {Preconditions{IfMatch: `W/"2"`}, third, false},
		"If-Match, the number in another":    {Preconditions{IfMatch: `W/"33"`}, third, false},
		"If-Match, leading zero":             {Preconditions{IfMatch: `W/"03"`}, third, false},
		"If-Match, no resource":              {Preconditions{IfMatch: `*`}, nil, false},
		"If-Match, the deletion":             {Preconditions{IfMatch: `W/"3"`}, gone, false},
		"If-None-Match, any":                 {Preconditions{IfNoneMatch: `*`}, third, false},
		"If-None-Match, any, no resource":    {Preconditions{IfNoneMatch: `*`}, nil, true},
		"If-None-Match, any, a deletion":     {Preconditions{IfNoneMatch: `*`}, gone, true},
		"If-None-Match, the version":         {Preconditions{IfNoneMatch: `W/"3"`}, third, false},
		"If-None-Match, one of several":      {Preconditions{IfNoneMatch: `"2","3"`}, third, false},
		"If-None-Match, another":             {Preconditions{IfNoneMatch: `W/"2"`}, third, true},
		"If-None-Match, the deleted version": {Preconditions{IfNoneMatch: `W/"3"`}, gone, true},
		"both hold":                          {Preconditions{`W/"3"`, `W/"2"`}, third, true},
		"the second fails":                   {Preconditions{`W/"3"`, `*`}, third, false},
		"the first fails":                    {Preconditions{`W/"2"`, `W/"2"`}, third, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.when.hold(c.current)
			if (err == nil) != c.holds || err != nil && fhir.KindOf(err) != fhir.PreconditionFailed {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestUnchanged(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 30, 0, 5000, time.UTC)
	r := &fhir.Resource{Version: 3, LastUpdated: at}
	for name, c := range map[string]struct {
		tag   string
		since time.Time
		want  bool
	}{
		"nothing asked":            {"", time.Time{}, false},
		"the version":              {`W/"3"`, time.Time{}, true},
		"any":                      {"*", time.Time{}, true},
		"since then":               {"", at, true},
		"since a microsecond ago":  {"", at.Add(-time.Microsecond), false},
		"the ETag counts, not had": {`W/"2"`, at.Add(time.Hour), false},
		"the ETag counts, had":     {`W/"3"`, at.Add(-time.Hour), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Unchanged(r, c.tag, c.since); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestUpdateIfNoneMatchOnlyCreates(t *testing.T) {
	s := open(t)
	body := []byte(`{"resourceType":"Patient","id":"p","identifier":[{"system":"http://x.example","value":"1"}]}`)
	only := Preconditions{IfNoneMatch: "*"}
	w, err := s.Update(ctx, Anonymous, "Patient", "p", body, only)
	if err != nil || !w.Created {
		t.Fatalf("first: %+v %v", w, err)
	}
	if _, err := s.Update(ctx, Anonymous, "Patient", "p", body, only); fhir.KindOf(err) != fhir.PreconditionFailed {
		t.Errorf("second, with the same content: %v", err)
	}
	if _, err := s.UpdateWhere(ctx, Anonymous, "Patient", "identifier=http://x.example|1", body, only); fhir.KindOf(err) != fhir.PreconditionFailed {
		t.Errorf("by condition: %v", err)
	}
	if _, err := s.Delete(ctx, Anonymous, "Patient", "p", Preconditions{IfNoneMatch: `W/"1"`}); fhir.KindOf(err) != fhir.PreconditionFailed {
		t.Errorf("delete: %v", err)
	}
	if _, err := s.Patch(ctx, Anonymous, "Patient", "p", JSONPatch, []byte(`[]`), Preconditions{IfNoneMatch: `W/"1"`}); fhir.KindOf(err) != fhir.PreconditionFailed {
		t.Errorf("patch: %v", err)
	}
	if _, err := s.Delete(ctx, Anonymous, "Patient", "p", Preconditions{}); err != nil {
		t.Fatal(err)
	}
	if w, err = s.Update(ctx, Anonymous, "Patient", "p", body, only); err != nil || !w.Created || w.Resource.Version != 3 {
		t.Errorf("after the deletion: %+v %v", w, err)
	}
}

func TestUpdatesIfNoneMatchAtOnceMakeOne(t *testing.T) {
	s := open(t)
	var made, refused atomic.Int32
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			_, err := s.Update(ctx, Anonymous, "Patient", "p", []byte(`{"resourceType":"Patient","id":"p"}`), Preconditions{IfNoneMatch: "*"})
			switch {
			case err == nil:
				made.Add(1)
			case fhir.KindOf(err) == fhir.PreconditionFailed:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 || refused.Load() != 31 {
		t.Errorf("%d made, %d refused", made.Load(), refused.Load())
	}
}

// one is a Bundle of one request without a resource.
func one(kind, request string) []byte {
	return []byte(`{"resourceType":"Bundle","type":"` + kind + `","entry":[{"request":{` + request + `}}]}`)
}

func TestReadsInBundles(t *testing.T) {
	s := open(t)
	w, err := s.Update(ctx, Anonymous, "Patient", "p", []byte(`{"resourceType":"Patient","id":"p","birthDate":"1815-12-10"}`), Preconditions{})
	if err != nil {
		t.Fatal(err)
	}
	same := w.Resource.LastUpdated.Format(fhir.InstantLayout)
	before := w.Resource.LastUpdated.Add(-time.Microsecond).Format(fhir.InstantLayout)
	for name, c := range map[string]struct {
		request, status string
		body            bool
	}{
		"read":                           {`"method":"GET","url":"Patient/p"`, "200", true},
		"read of the same version":       {`"method":"GET","url":"Patient/p","ifNoneMatch":"W/\"1\""`, "304", false},
		"read of another version":        {`"method":"GET","url":"Patient/p","ifNoneMatch":"W/\"2\""`, "200", true},
		"vread of the same version":      {`"method":"GET","url":"Patient/p/_history/1","ifNoneMatch":"*"`, "304", false},
		"not modified since":             {`"method":"GET","url":"Patient/p","ifModifiedSince":"` + same + `"`, "304", false},
		"modified since":                 {`"method":"GET","url":"Patient/p","ifModifiedSince":"` + before + `"`, "200", true},
		"ETag counts before the time":    {`"method":"GET","url":"Patient/p","ifNoneMatch":"W/\"2\"","ifModifiedSince":"` + same + `"`, "200", true},
		"HEAD of a read":                 {`"method":"HEAD","url":"Patient/p"`, "200", false},
		"HEAD of the same version":       {`"method":"HEAD","url":"Patient/p","ifNoneMatch":"W/\"1\""`, "304", false},
		"HEAD of a search":               {`"method":"HEAD","url":"Patient?_id=p"`, "200", false},
		"search is not conditional":      {`"method":"GET","url":"Patient?_id=p","ifNoneMatch":"*"`, "400", false},
		"summary":                        {`"method":"GET","url":"Patient/p?_summary=text"`, "200", true},
		"summary of a search":            {`"method":"GET","url":"Patient?_id=p&_summary=text"`, "200", true},
		"format is passed over":          {`"method":"GET","url":"Patient/p?_format=json"`, "200", true},
		"HEAD of what is not there":      {`"method":"HEAD","url":"Patient/q"`, "404", false},
		"read with a search's parameter": {`"method":"GET","url":"Patient/p?name=x"`, "400", false},
		"read of a count":                {`"method":"GET","url":"Patient/p?_summary=count"`, "400", false},
		"unknown element":                {`"method":"GET","url":"Patient/p?_elements=shoe"`, "400", false},
		"POST with an ETag":              {`"method":"POST","url":"Patient","ifNoneMatch":"*"`, "400", false},
	} {
		for _, kind := range []string{"batch", "transaction"} {
			t.Run(name+" in a "+kind, func(t *testing.T) {
				out, err := s.Process(ctx, Anonymous, one(kind, c.request), "")
				if kind == "transaction" && c.status >= "400" {
					if err == nil || !strings.HasPrefix(statusLine(fhir.KindOf(err).Status()), c.status) {
						t.Errorf("got %s %v", out, err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				n, err := fhir.Parse(out)
				if err != nil {
					t.Fatal(err)
				}
				e := n.Each("entry")[0]
				if got := e.Str("response", "status"); !strings.HasPrefix(got, c.status) || (e.Get("resource") != nil) != c.body {
					t.Errorf("got %s", out)
				}
				if c.status < "400" && !strings.Contains(c.request, "Patient?") && (e.Str("response", "etag") != `W/"1"` || e.Str("response", "lastModified") != same) {
					t.Errorf("no version in %s", out)
				}
				if strings.Contains(c.request, "_summary=text") != strings.Contains(string(out), "SUBSETTED") || strings.Contains(string(out), "SUBSETTED") && strings.Contains(string(out), "1815") {
					t.Errorf("the part is wrong: %s", out)
				}
			})
		}
	}
}

func TestIfNoneMatchInBundles(t *testing.T) {
	s := open(t)
	entry := func(kind, url string) []byte {
		return []byte(`{"resourceType":"Bundle","type":"` + kind + `","entry":[{"resource":{"resourceType":"Patient","id":"p","identifier":[{"system":"http://x.example","value":"1"}]},
		 "request":{"method":"PUT","url":"` + url + `","ifNoneMatch":"*"}}]}`)
	}
	var got []string
	for _, kind := range []string{"transaction", "transaction", "batch"} {
		for _, url := range []string{"Patient/p", "Patient?identifier=http://x.example|1"} {
			out, err := s.Process(ctx, Anonymous, entry(kind, url), "")
			if err != nil {
				got = append(got, kind+" "+statusLine(fhir.KindOf(err).Status()))
				continue
			}
			n, err := fhir.Parse(out)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, kind+" "+n.Each("entry")[0].Str("response", "status"))
		}
	}
	const failed = "412 Precondition Failed"
	want := []string{"transaction 201 Created", "transaction " + failed, "transaction " + failed, "transaction " + failed, "batch " + failed, "batch " + failed}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestAloneInItsSecond(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 30, 0, 100_000, time.UTC)
	s := open(t, func(o *Options) { o.Now = func() time.Time { return now } })
	for i, c := range []struct {
		name string
		wait time.Duration
		gone bool
		want bool
	}{
		{"the first version", 0, false, true},
		{"another in the same second", 999 * time.Millisecond, false, false},
		{"the first of the next second", time.Millisecond, false, true},
		{"a deletion", 500 * time.Millisecond, true, false},
		{"made again in the second of the deletion", time.Millisecond, false, false},
		{"much later", time.Hour, false, true},
		{"after the clock was put back", -time.Minute, false, false},
	} {
		now = now.Add(c.wait)
		var w Written
		var err error
		if c.gone {
			w, err = s.Delete(ctx, Anonymous, "Patient", "p", Preconditions{})
		} else {
			w, err = s.Update(ctx, Anonymous, "Patient", "p", fmt.Appendf(nil, `{"resourceType":"Patient","id":"p","birthDate":"%d"}`, 1950+i), Preconditions{})
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.AloneInItsSecond(ctx, w.Resource); err != nil || got != c.want {
			t.Errorf("%s: %v %v", c.name, got, err)
		}
	}
}
