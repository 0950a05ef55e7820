package conformance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service"

	"pgregory.net/rapid"
)

const fuzzBase = "http://127.0.0.1:8080/fhir"

// Any bytes as a Bundle.
func FuzzBundle(f *testing.F) {
	fill := strings.NewReplacer("{base}", fuzzBase)
	for _, exchanges := range transactions {
		for _, x := range exchanges {
			if x.body != "" && strings.HasPrefix(x.line, "POST") {
				f.Add([]byte(fill.Replace(x.body)))
			}
		}
	}
	samples, err := filepath.Glob("../testdata/surgery/*.json")
	if err != nil || len(samples) == 0 {
		f.Fatalf("no sample Bundles: %v", err)
	}
	for _, sample := range samples {
		body, err := os.ReadFile(sample)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	svc := fuzzed(f, engines[0].new(f))
	f.Fuzz(func(t *testing.T, body []byte) { process(t, svc, body) })
}

// fuzzed is a service on a database, which logs nothing.
func fuzzed(t testing.TB, database string) *service.Service {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	return newService(t, openStore(t, database, log), fuzzBase, log)
}

// Bundles put together from entries that fit and entries that do not. Few ids and
// identifiers make them meet what others have left.
func FuzzMadeBundle(f *testing.F) {
	svc := fuzzed(f, engines[0].new(f))
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { process(t, svc, []byte(anyBundle.Draw(t, "bundle"))) }))
}

// The same without a fuzzer, so that every run of the tests has some.
func TestMadeBundles(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			svc := fuzzed(t, e.new(t))
			accepted, refused := 0, 0
			rapid.Check(t, func(t *rapid.T) {
				if process(t, svc, []byte(anyBundle.Draw(t, "bundle"))) {
					accepted++
				} else {
					refused++
				}
			})
			if accepted == 0 || refused == 0 {
				t.Errorf("%d accepted and %d refused: the Bundles are not mixed", accepted, refused)
			}
		})
	}
}

var anyBundle = rapid.Custom(func(t *rapid.T) string {
	kind := rapid.SampledFrom([]string{"transaction", "transaction", "batch"}).Draw(t, "type")
	return bundle(kind, rapid.SliceOfN(anyEntry, 0, 6).Draw(t, "entries")...)
})

var anyEntry = rapid.Custom(func(t *rapid.T) string {
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	id := pick("id", "a", "b", "c")
	value := pick("identifier", "1", "2")
	subject := pick("subject", "Patient/a", "Patient/b", urn1, urn2, "Patient?identifier=urn:conformance|1", "#p", "http://example.org/fhir/Patient/x")
	query := "identifier=urn:conformance|" + value
	gender := pick("gender", female, male, `"gender":"unheard-of"`, identified(value), identified(value)+","+female)
	var more []string
	if rapid.Bool().Draw(t, "condition") {
		more = append(more, pick("which", `"ifMatch":"W/\"1\""`, `"ifMatch":"*"`, `"ifNoneMatch":"*"`, `"ifNoneExist":"`+query+`"`, `"ifModifiedSince":"2020-01-01T00:00:00Z"`))
	}
	e := pick("entry",
		entry("POST Patient", patient("", gender), more...), entry("PUT Patient/"+id, patient(id, gender), more...),
		entry("PUT Patient?"+query, patient("", identified(value)+","+male), more...), entry("PUT Patient?"+query, patient(id, identified(value)), more...),
		entry("POST Condition", condition("", subject, ""), more...), entry("PUT Condition/"+id, condition(id, subject, narrative(subject)), more...),
		entry("DELETE Patient/"+id, "", more...), entry("DELETE Patient?"+query, "", more...), entry("DELETE Condition/"+id, "", more...),
		entry("PATCH Patient/"+id, fhirPathPatch("other"), more...), entry("PATCH Patient?"+query, binary, more...), entry("PATCH Condition/"+id, binary, more...),
		entry("GET Patient/"+id, "", more...), entry("HEAD Patient/"+id, "", more...), entry("GET Patient?"+query, "", more...), entry("GET Condition?subject="+subject, "", more...),
		entry("GET Patient/"+id+"/_history/1", "", more...), entry("GET Patient/"+id+"/_history", "", more...), entry("POST Spaceship", patient("", ""), more...),
		entry("GET Patient/"+id+"/$everything", "", more...), entry("POST Patient/"+id+"/$meta", emptyParameters, more...), entry("GET $meta", "", more...),
		entry("POST Patient/"+id+"/$meta-add", metaParameters, more...), entry("POST Patient/"+id+"/$meta-delete", metaParameters, more...), entry("GET _history", "", more...),
		entry("GET metadata", "", more...), entry("PUT Patient?"+query+"&_count=1", patient("", identified(value)), more...),
	)
	if rapid.Bool().Draw(t, "named") {
		e = named(pick("fullUrl", urn1, urn2, fuzzBase+"/Patient/"+id), e)
	}
	return e
})

// reporter is what is asked of a test here, rapid's own included.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
}

// process runs a Bundle and reports whether it was accepted. Nothing panics, an error is one
// that a caller may see, what was refused has changed nothing, and what was accepted is
// answered entry by entry and can be read where the answer says.
func process(t reporter, svc *service.Service, body []byte) bool {
	t.Helper()
	ctx := context.Background()
	before := newest(ctx, t, svc)
	answer, err := svc.Process(ctx, service.Anonymous, body, "")
	if err != nil {
		var known *fhir.Error
		if !errors.As(err, &known) || known.Kind == fhir.Internal || len(known.Issues) == 0 {
			t.Fatalf("the error is not one for callers: %v", err)
		}
		if after := newest(ctx, t, svc); after != before {
			t.Fatalf("refused with %v, but changed\n%s\nto\n%s", err, before, after)
		}
		return false
	}
	checkAnswer(ctx, t, svc, body, answer)
	return true
}

// newest is the last change of all, as a history shows it.
func newest(ctx context.Context, t reporter, svc *service.Service) string {
	t.Helper()
	history, err := svc.History(ctx, service.Anonymous, "", "", []search.Pair{{Name: "_count", Value: "1"}})
	if err != nil {
		t.Fatalf("%v", err)
	}
	n, err := fhir.Parse(history)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var b strings.Builder
	for _, e := range n.Each("entry") {
		b.Write(e.Raw)
	}
	return b.String()
}

// refers reports whether a resource has a reference or a link of its narrative to a target. The
// text of the narrative and other attributes may name it.
func refers(body []byte, target string) bool {
	for _, form := range []string{`"reference":"%s"`, ` href=\"%s\"`, ` src='%s'`} {
		if strings.Contains(string(body), fmt.Sprintf(form, target)) {
			return true
		}
	}
	return false
}

func checkAnswer(ctx context.Context, t reporter, svc *service.Service, body, answer []byte) {
	t.Helper()
	asked, err := fhir.Parse(body)
	if err != nil {
		t.Fatalf("it was accepted: %v", err)
	}
	got, err := fhir.Parse(answer)
	if err != nil {
		t.Fatalf("the answer is no JSON: %v\n%s", err, answer)
	}
	transaction := asked.Str("type") == "transaction"
	if want := asked.Str("type") + "-response"; got.Str("type") != want {
		t.Fatalf("the answer is a %s, want %s", got.Str("type"), want)
	}
	entries := got.Each("entry")
	if want := len(asked.Each("entry")); len(entries) != want {
		t.Fatalf("%d answers to %d entries", len(entries), want)
	}
	seen := map[string]bool{}
	for i, e := range entries {
		status := e.Str("response", "status")
		if len(status) < 4 || status[0] < '2' || status[0] > '4' || transaction && status[0] == '4' {
			t.Fatalf("entry %d is answered with %q", i, status)
		}
		at := e.Str("response", "location")
		location := fhir.ParseReference(at, fuzzBase)
		if !location.Local() {
			continue
		}
		stored, err := svc.VRead(ctx, service.Anonymous, location.Type, location.ID, location.Version)
		if err != nil {
			t.Fatalf("entry %d is not at its location: %v", i, err)
		}
		method := asked.Each("entry")[i].Str("request", "method") // a patch may leave what was there before
		if transaction && method != "PATCH" && slices.Contains(texts(asked.Each("entry", "fullUrl")), urn1) && refers(stored.Body, urn1) {
			t.Fatalf("entry %d is stored with a reference that was not resolved", i)
		}
		if fresh := strings.HasPrefix(status, "201"); fresh && seen[at] {
			t.Fatalf("entry %d was made at %s, where another was", i, fmt.Sprint(location.Type))
		}
		seen[at] = true
	}
}
