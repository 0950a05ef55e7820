package service

import (
	"errors"
	"testing"

	"aftercare/fhir"
	"aftercare/fhir/search"

	"github.com/google/go-cmp/cmp"
)

func TestTarget(t *testing.T) {
	s := open(t)
	for raw, want := range map[string]target{
		"Patient":                            {typ: "Patient"},
		"metadata":                           {metadata: true},
		base + "/metadata?mode=full":         {metadata: true, query: true, rawQuery: "mode=full", pairs: []search.Pair{{Name: "mode", Value: "full"}}},
		"/Patient":                           {typ: "Patient"},
		base + "/Patient/1":                  {typ: "Patient", id: "1"},
		"Patient/1":                          {typ: "Patient", id: "1"},
		"Patient/a%2E1":                      {typ: "Patient", id: "a.1"},
		"Patient/1/_history":                 {typ: "Patient", id: "1", history: true},
		"Patient/_history":                   {typ: "Patient", history: true},
		"_history":                           {history: true},
		"Patient/1/_history/2":               {typ: "Patient", id: "1", version: "2"},
		"$meta":                              {operation: "meta"},
		base + "/$meta":                      {operation: "meta"},
		"Patient/$meta":                      {typ: "Patient", operation: "meta"},
		"Patient/1/$meta":                    {typ: "Patient", id: "1", operation: "meta"},
		"Patient/1/%24meta":                  {typ: "Patient", id: "1", operation: "meta"},
		"Patient/1/_history/2/$meta":         {typ: "Patient", id: "1", version: "2", operation: "meta"},
		"Patient/_history/$meta":             {typ: "Patient", id: "_history", operation: "meta"}, // an id that cannot be
		"":                                   {},
		base:                                 {},
		base + "Patient/1":                   {},
		base + "//Patient/1":                 {},
		"?x=1":                               {query: true, rawQuery: "x=1", pairs: []search.Pair{{Name: "x", Value: "1"}}},
		base + "?x":                          {query: true, rawQuery: "x", pairs: []search.Pair{{Name: "x"}}},
		base + "/?x":                         {query: true, rawQuery: "x", pairs: []search.Pair{{Name: "x"}}},
		"Patient/1/*":                        {typ: "Patient", id: "1", inside: "*"},
		"Patient/1/%2a":                      {typ: "Patient", id: "1", inside: "*"},
		"Patient/1/Goal?x":                   {typ: "Patient", id: "1", inside: "Goal", query: true, rawQuery: "x", pairs: []search.Pair{{Name: "x"}}},
		"Patient/1/Practitioner":             {},
		"Patient/1/*/_history":               {},
		"Patient/1/Goal/$meta":               {},
		"Goal/1/Patient":                     {},
		"Goal/1/*":                           {},
		"*":                                  {},
		"Spaceship/1":                        {},
		"$":                                  {},
		"_history/1":                         {},
		"http://other.example/fhir/Patient/": {},
		"Patient/":                           {},
		"Patient//1":                         {},
		"Patient/1/":                         {},
		"Patient/1/2":                        {},
		"Patient/1/_history/":                {},
		"Patient/1/_history/2/3":             {},
		"Patient/1/_history/2/_history":      {},
		"Patient/1/$":                        {},
		"Patient/1/$meta/2":                  {},
		"Patient/1/_history/$meta":           {},
		"Patient/%zz":                        {},
	} {
		got, err := s.parseTarget(raw)
		if refused := err != nil; refused != cmp.Equal(want, target{}, cmp.AllowUnexported(target{})) {
			t.Errorf("%q: %v", raw, err)
		}
		if err == nil {
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(target{})); diff != "" {
				t.Errorf("%q: %s", raw, diff)
			}
		}
	}
}

// Any text as request.url: it is refused with a place to give, or names what is served.
func FuzzTarget(f *testing.F) {
	s := open(f)
	for _, seed := range []string{"Patient/1/_history/2", "Observation/$lastn?patient=1&code=2", "$meta", "_history?_count=1", base + "/Patient?identifier=x%7Cy", "Patient/%24", "//", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := s.parseTarget(raw)
		if err != nil {
			var known *fhir.Error
			if !errors.As(err, &known) || known.Kind == fhir.Internal {
				t.Errorf("%v is not an error for callers", err)
			}
			return
		}
		_, served := fhir.Served(got.typ)
		system := got.typ == "" && got.id == "" && got.version == "" && (got.history || got.operation != "")
		if !served && !system || got.version != "" && got.id == "" || got.history && got.operation != "" {
			t.Errorf("%+v", got)
		}
	})
}
