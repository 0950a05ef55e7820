package service

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"aftercare/fhir"

	"github.com/google/go-cmp/cmp"
)

// answered runs a Bundle and gives the entries of the response, which must be valid R4.
func (s *Service) answered(t testing.TB, kind string, entries ...string) []*fhir.Node {
	t.Helper()
	body, err := s.Process(ctx, Anonymous, bundleOf(kind, entries...), "")
	if err != nil {
		t.Fatal(err)
	}
	n, err := fhir.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	if issues := s.validator.Resource(n, ""); len(issues) > 0 {
		t.Fatalf("no valid Bundle: %+v\n%s", issues, body)
	}
	if got := n.Str("type"); got != kind+"-response" || len(n.Each("entry")) != len(entries) {
		t.Fatalf("got a %s of %d entries", got, len(n.Each("entry")))
	}
	return n.Each("entry")
}

const tagA = `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"system":"http://x.example","code":"a"}]}}]}`

func tagged(code string) string { return strings.Replace(tagA, `"code":"a"`, `"code":"`+code+`"`, 1) }

// An operation answers in a Bundle what it answers alone.
func TestOperationsInBundles(t *testing.T) {
	s := ward(t)
	s.keep(t, composition("c", entries("Observation/o1")), strings.Replace(obs("labelled", "p", ""), `{`, `{"meta":{"tag":[{"system":"http://x.example","code":"z"}]},`, 1))
	for _, c := range []struct{ url, body string }{
		{"Patient/p/$everything", ""},
		{"Patient/p/$everything?_type=Observation&_count=2", ""},
		{"Patient/p/$everything", `{"resourceType":"Parameters","parameter":[{"name":"_type","valueCode":"Patient"}]}`},
		{"Observation/$lastn?patient=p&code=http://loinc.org|1&max=2", ""},
		{"Observation/$stats?subject=Patient/p&code=1&system=http://loinc.org&statistic=count&statistic=total-count", ""},
		{"Observation/$stats", `{"resourceType":"Parameters","parameter":[{"name":"subject","valueUri":"Patient/p"},{"name":"coding","valueCoding":{"system":"http://loinc.org","code":"1"}},{"name":"statistic","valueCode":"median"}]}`},
		{"Composition/c/$document", ""},
		{"Composition/$document?id=c", ""},
		{"Patient/p/$meta", ""},
		{"Patient/p/_history/1/$meta", ""},
		{"Observation/$meta", ""},
		{"$meta", ""},
		{"$meta", `{"resourceType":"Parameters"}`},
	} {
		method := "GET"
		if c.body != "" {
			method = "POST"
		}
		want := refsOrRaw(s.ask(t, c.url, c.body))
		for _, kind := range []string{"batch", "transaction"} {
			t.Run(kind+" "+method+" "+c.url, func(t *testing.T) {
				got := s.answered(t, kind, entryOf("", c.body, method, strings.ReplaceAll(c.url, "|", "%7C"), ""))[0]
				if got.Str("response", "status") != "200 OK" {
					t.Fatalf("got %s", got.Raw)
				}
				if diff := cmp.Diff(want, refsOrRaw(got.Get("resource"))); diff != "" {
					t.Error(diff)
				}
				if method == "POST" {
					return
				}
				if e := s.answered(t, kind, entryOf("", "", "HEAD", c.url, ""))[0]; e.Get("resource") != nil || e.Str("response", "status") != "200 OK" {
					t.Errorf("HEAD gives %s", e.Raw)
				}
			})
		}
	}
}

// refsOrRaw is a resource, or what a document holds, which is never twice the same.
func refsOrRaw(n *fhir.Node) string {
	if n.Str("type") == "document" {
		return strings.Join(refs(n), " ")
	}
	return string(n.Raw)
}

// What reads in a transaction sees all that it writes, wherever it stands.
func TestOperationsOfATransactionSeeWhatItWrites(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`)
	e := s.answered(t, "transaction",
		entryOf("", "", "GET", "Patient/p/$everything?_type=Observation", ""),
		entryOf("", `{"resourceType":"Parameters"}`, "POST", "Patient/p/$meta", ""),
		entryOf("", "", "GET", "Patient/p/_history", ""),
		entryOf("", "", "GET", "Patient/_history", ""),
		entryOf("", "", "GET", "_history?_count=1", ""),
		entryOf("", obs("new", "p", ""), "PUT", "Observation/new", ""),
		entryOf("", tagA, "POST", "Patient/p/$meta-add", ""))
	if got := refs(e[0].Get("resource")); !slices.Equal(got, []string{"Observation/new"}) {
		t.Errorf("$everything: %v", got)
	}
	for i, want := range map[int]string{1: `"versionId":"2"`, 2: `"total":2`, 3: `"versionId":"2"`, 4: `"versionId":`, 6: `"code":"a"`} {
		if got := string(e[i].Get("resource").Raw); !strings.Contains(got, want) {
			t.Errorf("entry %d lacks %s: %s", i, want, got)
		}
	}
	if got := e[6].Get("response"); got.Str("etag") != `W/"2"` || got.Str("status") != "200 OK" {
		t.Errorf("$meta-add: %s", got.Raw)
	}
}

func TestMetaOperationsAreAPartOfTheTransaction(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, `{"resourceType":"Patient","id":"q","meta":{"tag":[{"system":"http://x.example","code":"a"}]}}`)
	add, remove := entryOf("", tagA, "POST", "Patient/p/$meta-add", ""), entryOf("", tagA, "POST", "Patient/q/$meta-delete", "")
	t.Run("undone with the rest", func(t *testing.T) {
		_, err := s.Process(ctx, Anonymous, bundleOf("transaction", add, remove, entryOf("", "", "GET", "Patient/nobody", "")), "")
		refused(t, err, fhir.NotFound, "Bundle.entry[2]")
		for _, id := range []string{"p", "q"} {
			if r, err := s.Read(ctx, Anonymous, "Patient", id); err != nil || r.Version != 1 {
				t.Errorf("%s changed: %+v %v", id, r, err)
			}
		}
	})
	for name, c := range map[string]struct {
		entries []string
		kind    fhir.ErrorKind
		place   string
	}{
		"of another version":           {[]string{add, entryOf("", tagA, "POST", "Patient/q/$meta-delete", `,"ifMatch":"W/\"7\""`)}, fhir.PreconditionFailed, "Bundle.entry[1]"},
		"of what is not there":         {[]string{add, entryOf("", tagA, "POST", "Patient/r/$meta-add", "")}, fhir.NotFound, "Bundle.entry[1]"},
		"of what is made beside":       {[]string{entryOf("", `{"resourceType":"Patient","id":"r"}`, "PUT", "Patient/r", ""), entryOf("", tagA, "POST", "Patient/r/$meta-add", "")}, fhir.BadRequest, "Bundle.entry[1]"},
		"of what is deleted":           {[]string{entryOf("", "", "DELETE", "Patient/p", ""), add}, fhir.BadRequest, "Bundle.entry[1]"},
		"twice":                        {[]string{add, entryOf("", tagged("b"), "POST", "Patient/p/$meta-add", "")}, fhir.BadRequest, "Bundle.entry[1]"},
		"and a patch":                  {[]string{add, entryOf("", jsonPatchEntry(`[{"op":"add","path":"/active","value":true}]`), "PATCH", "Patient/p", "")}, fhir.BadRequest, "Bundle.entry[1]"},
		"of a type that is read alone": {[]string{entryOf("", tagA, "POST", "AuditEvent/x/$meta-add", "")}, fhir.NotAllowed, "Bundle.entry[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Process(ctx, Anonymous, bundleOf("transaction", c.entries...), "")
			refused(t, err, c.kind, c.place)
		})
	}
	e := s.answered(t, "transaction", add, remove, entryOf("", patientWith("beside"), "POST", "Patient", ""))
	for i, want := range []string{`W/"2"`, `W/"2"`, `W/"1"`} {
		if got := e[i].Str("response", "etag"); got != want {
			t.Errorf("entry %d: etag %s, want %s", i, got, want)
		}
	}
	for id, want := range map[string]bool{"p": true, "q": false} {
		if got := strings.Contains(string(s.ask(t, "Patient/"+id+"/$meta", "").Raw), `"code":"a"`); got != want {
			t.Errorf("%s has the tag: %t", id, got)
		}
	}
	// Nothing to change is no new version.
	if e := s.answered(t, "transaction", add); e[0].Str("response", "etag") != `W/"2"` {
		t.Errorf("added again: %s", e[0].Raw)
	}
}

// Labels that are added at once are all there, alone and in Bundles.
func TestLabelsAddedAtOnceAreAllKept(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			var err error
			switch code := fmt.Sprintf("t%d", i); i % 3 {
			case 0:
				_, err = s.Operate(ctx, Anonymous, called(t, "Patient/p/$meta-add", tagged(code)))
			default:
				_, err = s.Process(ctx, Anonymous, bundleOf([]string{"batch", "transaction"}[i%3-1], entryOf("", tagged(code), "POST", "Patient/p/$meta-add", "")), "")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	tags := s.ask(t, "Patient/p/$meta", "").Each("parameter")[0].Get("valueMeta")
	if got := len(tags.Each("tag")); got != 64 || tags.Str("versionId") != "65" {
		t.Errorf("%d tags in version %s", got, tags.Str("versionId"))
	}
}

func TestOperationsInBundlesAreRefused(t *testing.T) {
	s := ward(t)
	s.keep(t, composition("c", entries("Observation/dangling")))
	before := s.census(t)
	for name, c := range map[string]struct {
		entry string
		kind  fhir.ErrorKind
		place string
	}{
		"unknown":                           {entryOf("", "", "GET", "Patient/p/$nothing", ""), fhir.NotFound, "request.url"},
		"without a name":                    {entryOf("", "", "GET", "Patient/p/$", ""), fhir.BadRequest, "request.url"},
		"at a level that lacks it":          {entryOf("", "", "GET", "Patient/$everything", ""), fhir.NotFound, "request.url"},
		"of a type that lacks it":           {entryOf("", "", "GET", "Observation/o1/$everything", ""), fhir.NotFound, "request.url"},
		"of a type that is not served":      {entryOf("", "", "GET", "Slot/$meta", ""), fhir.NotFound, "request.url"},
		"of a history":                      {entryOf("", "", "GET", "Patient/p/_history/$meta", ""), fhir.BadRequest, "request.url"},
		"with more behind":                  {entryOf("", "", "GET", "Patient/p/$meta/x", ""), fhir.BadRequest, "request.url"},
		"by PUT":                            {entryOf("", `{"resourceType":"Parameters"}`, "PUT", "Patient/p/$meta", ""), fhir.BadRequest, "request.method"},
		"by DELETE":                         {entryOf("", "", "DELETE", "Patient/p/$meta", ""), fhir.BadRequest, "request.method"},
		"a change by GET":                   {entryOf("", "", "GET", "Patient/p/$meta-add", ""), fhir.NotAllowed, "request.method"},
		"with a resource as its parameters": {entryOf("", `{"resourceType":"Patient"}`, "POST", "Patient/p/$meta", ""), fhir.BadRequest, "resource"},
		"with Parameters that are not":      {entryOf("", `{"resourceType":"Parameters","parameter":[{"valueCode":"x"}]}`, "POST", "Patient/p/$everything", ""), fhir.BadRequest, "resource.parameter[0]"},
		"with ifNoneExist":                  {entryOf("", tagA, "POST", "Patient/p/$meta-add", `,"ifNoneExist":"identifier=1"`), fhir.BadRequest, "request.ifNoneExist"},
		"with ifMatch, changing nothing":    {entryOf("", `{"resourceType":"Parameters"}`, "POST", "Patient/p/$meta", `,"ifMatch":"W/\"1\""`), fhir.BadRequest, "request"},
		"with an unknown parameter":         {entryOf("", "", "GET", "Patient/p/$everything?colour=red", ""), fhir.BadRequest, "request.url"},
		"with an unknown one in the body":   {entryOf("", `{"resourceType":"Parameters","parameter":[{"name":"_type","valueCode":"Patient"},{"name":"colour","valueCode":"x"}]}`, "POST", "Patient/p/$everything", ""), fhir.BadRequest, "resource.parameter[1]"},
		"without a needed one":              {entryOf("", `{"resourceType":"Parameters"}`, "POST", "Patient/p/$meta-add", ""), fhir.BadRequest, "resource.parameter"},
		"of nobody":                         {entryOf("", "", "GET", "Patient/nobody/$everything", ""), fhir.NotFound, "request.url"},
		"persisting":                        {entryOf("", "", "GET", "Composition/c/$document?persist=true", ""), fhir.BadRequest, "request.url"},
		"by a graph":                        {entryOf("", "", "GET", "Composition/c/$document?graph=http://x.example/g", ""), fhir.BadRequest, "request.url"},
		"by a statistic that is not served": {entryOf("", "", "GET", "Observation/$stats?subject=Patient/p&code=1&system=s&statistic=regression", ""), fhir.BadRequest, "request.url"},
		"a document that lacks something":   {entryOf("", "", "GET", "Composition/c/$document", ""), fhir.Unprocessable, "request.url"},
	} {
		t.Run(name, func(t *testing.T) {
			patient := entryOf("", `{"resourceType":"Patient","id":"new"}`, "PUT", "Patient/new", "")
			_, err := s.Process(ctx, Anonymous, bundleOf("transaction", patient, c.entry), "")
			refused(t, err, c.kind, "Bundle.entry[1]."+c.place)
			if diff := cmp.Diff(before, s.census(t)); diff != "" {
				t.Error(diff)
			}
			e := s.answered(t, "batch", c.entry, entryOf("", "", "GET", "Patient/p", ""))
			if got := e[0].Str("response", "status"); !strings.HasPrefix(got, fmt.Sprint(c.kind.Status())) || e[0].Get("response", "outcome") == nil {
				t.Errorf("in a batch: %s", e[0].Raw)
			}
			if got := e[1].Str("response", "status"); got != "200 OK" {
				t.Errorf("the entry beside it: %s", got)
			}
		})
	}
}

// The place in the document stands in the text: there is no such place in the request.
func TestAPlaceInAnAnswerIsToldInTheText(t *testing.T) {
	s := ward(t)
	s.keep(t, composition("c", entries("Observation/dangling")))
	_, err := s.Process(ctx, Anonymous, bundleOf("transaction", entryOf("", "", "GET", "Composition/c/$document", "")), "")
	if err == nil || !strings.Contains(err.Error(), "Bundle.entry[3].resource.performer[1].reference") {
		t.Errorf("got %v", err)
	}
}

// A batch takes its turns as a transaction does: an operation that changes nothing comes
// after all that does, also by POST.
func TestABatchReadsAfterItWrites(t *testing.T) {
	s := open(t)
	e := s.answered(t, "batch",
		entryOf("", `{"resourceType":"Parameters"}`, "POST", "Patient/p/$meta", ""),
		entryOf("", tagA, "POST", "Patient/q/$meta-add", ""),
		entryOf("", `{"resourceType":"Patient","id":"p"}`, "PUT", "Patient/p", ""))
	for i, want := range []string{"200 OK", "404 Not Found", "201 Created"} {
		if got := e[i].Str("response", "status"); got != want {
			t.Errorf("entry %d: %s, want %s", i, got, want)
		}
	}
}
