package service

import (
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Every entry of an answer has a fullUrl of its own, also that of a resource that is stored nowhere
// (https://hl7.org/fhir/R4/bundle.html#bundle-unique).
func TestEntriesOfAnswersHaveFullURLs(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, `{"resourceType":"Observation","id":"a","status":"final","code":{"coding":[{"system":"http://x.example","code":"c"}]},"subject":{"reference":"Patient/p"}}`)
	lastN := called(t, "Observation/$lastn?patient=p&code=c&colour=red", "")
	lastN.Lenient = true
	newest, err := s.Operate(ctx, Anonymous, lastN)
	if err != nil {
		t.Fatal(err)
	}
	patients, err := s.Search(ctx, Anonymous, "Patient", []search.Pair{{Name: "shoe", Value: "43"}}, true)
	if err != nil {
		t.Fatal(err)
	}
	part := func(name, resource string) string { return `{"name":"` + name + `","resource":` + resource + `}` }
	sides := s.ask(t, "$interpret-pain", `{"resourceType":"Parameters","parameter":[`+strings.Join([]string{
		part("observation", hurting("o", "2026-03-05", "5", "twist")),
		part("procedure", anchorIn("a", "2026-03-02", "left")), part("procedure", anchorIn("b", "2026-02-01", "right")),
	}, ",")+`]}`)
	for name, c := range map[string]struct {
		body         []byte
		entries, urn int
	}{
		"a search that left something out": {patients, 2, 1},
		"the newest, as far as asked":      {newest.Body, 2, 1},
		"causes of pain of two anchors":    {sides.Raw, 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := fhir.Parse(c.body)
			if err != nil {
				t.Fatal(err)
			}
			urls, urn := map[string]bool{}, 0
			for _, e := range n.Each("entry") {
				url := e.Str("fullUrl")
				if urls[url] = true; strings.HasPrefix(url, "urn:uuid:") {
					urn++
				}
			}
			if len(n.Each("entry")) != c.entries || len(urls) != c.entries || urls[""] || urn != c.urn {
				t.Errorf("%d entries with %v", len(n.Each("entry")), urls)
			}
		})
	}
}
