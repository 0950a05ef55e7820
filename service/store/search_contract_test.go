package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// searchContract is what every engine must do for searches, besides what contract has.
var searchContract = map[string]func(*testing.T, func() *Store){
	"numbers and units":                   searchNumbers,
	"paths of URLs":                       searchPaths,
	"texts as written":                    searchExact,
	"inside of long texts":                searchPieces,
	"words and phrases":                   searchWords,
	"long texts":                          searchLongTexts,
	"components of one part":              searchTogether,
	"who is referred to":                  searchHas,
	"what has no value comes last":        sortNulls,
	"several types at once":               searchTypes,
	"a sort that cannot be is refused":    sortRefuses,
	"a cursor after too much change":      cursorExpires,
	"a cursor tells nothing":              cursorTellsNothing,
	"what is staged is not sorted either": stagedIsNotSorted,
	"includes":                            includes,
	"includes go on":                      includesIterate,
	"definitions are included by URL":     includeCanonical,
	"too much to include":                 includeTooMuch,
}

func searchNumbers(t *testing.T, open func() *Store) {
	s := open()
	const ucum = "http://unitsofmeasure.org"
	put(t, s, "Observation", "low", search.Row{Param: obsValue, NumberLow: 99.5, NumberHigh: 99.5, System: ucum, Value: "mg"})
	put(t, s, "Observation", "same", search.Row{Param: obsValue, NumberLow: 100, NumberHigh: 100, System: ucum, Value: "mg"})
	put(t, s, "Observation", "high", search.Row{Param: obsValue, NumberLow: 100.5, NumberHigh: 100.5, System: ucum, Value: "mg"})
	put(t, s, "Observation", "range", search.Row{Param: obsValue, NumberLow: 50, NumberHigh: 105, System: ucum, Value: "mg"})
	put(t, s, "Observation", "open", search.Row{Param: obsValue, NumberLow: 111, NumberHigh: math.Inf(1), System: ucum, Value: "mg"})
	put(t, s, "Observation", "other", search.Row{Param: obsValue, NumberLow: 100, NumberHigh: 100, System: "http://other", Value: "mg"})
	put(t, s, "Observation", "none")
	for prefix, want := range map[search.Prefix]string{
		"":        "low same",
		search.Eq: "low same",
		search.Ne: "high range open",
		search.Gt: "high range open",
		search.Ge: "same high range open",
		search.Lt: "low range",
		search.Le: "low same range",
		search.Sa: "high open",
		search.Eb: "low",
		search.Ap: "low same high range",
	} {
		v := search.Value{Prefix: prefix, Number: 100, NumberLow: 99.5, NumberHigh: 100.5, System: ucum, Value: "mg"}
		if prefix == search.Ap {
			v.NumberLow, v.NumberHigh = 90, 110
		}
		if got := ids(t, s, "Observation", clauseOf(obsValue, v)); got != want {
			t.Errorf("%s finds %q, want %q", prefix, got, want)
		}
	}
	for name, c := range map[string]struct {
		value search.Value
		want  string
	}{
		"any unit":        {search.Value{NumberLow: 100, NumberHigh: 100.1, AnyUnit: true}, "same other"},
		"code of a unit":  {search.Value{NumberLow: 100, NumberHigh: 100.1, AnySystem: true, Value: "mg"}, "same other"},
		"another unit":    {search.Value{NumberLow: 100, NumberHigh: 100.1, AnySystem: true, Value: "g"}, ""},
		"no system":       {search.Value{NumberLow: 100, NumberHigh: 100.1, Value: "mg"}, ""},
		"unknown system":  {search.Value{NumberLow: 100, NumberHigh: 100.1, System: "http://none", Value: "mg"}, ""},
		"above all":       {search.Value{Prefix: search.Gt, Number: 1e300, AnyUnit: true}, "open"},
		"below the least": {search.Value{Prefix: search.Lt, Number: 50, AnyUnit: true}, ""},
	} {
		if got := ids(t, s, "Observation", clauseOf(obsValue, c.value)); got != c.want {
			t.Errorf("%s finds %q, want %q", name, got, c.want)
		}
	}
}

func searchPaths(t *testing.T, open func() *Store) {
	s := open()
	for id, url := range map[string]string{
		"root": "http://x.example", "slash": "http://x.example/", "p": "http://x.example/p", "pq": "http://x.example/p/q",
		"pp": "http://x.example/pp", "query": "http://x.example/p?a=b", "part": "http://x.example/p#a", "urn": "urn:oid:1.2",
	} {
		put(t, s, "PlanDefinition", id, search.Row{Param: planURL, Value: url})
	}
	find := func(modifier, url string) string {
		out := strings.Fields(ids(t, s, "PlanDefinition", search.Clause{Param: planURL, Modifier: modifier, Values: []search.Value{{Value: url}}}))
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	for _, c := range [][3]string{
		{"below", "http://x.example/p", "p part pq query"},
		{"below", "http://x.example/p/", "pq"},
		{"below", "http://x.example", "p part pp pq query root slash"},
		{"below", "http://x.exam", ""},
		{"below", "urn:oid:1", ""},
		{"above", "http://x.example/p/q", "p pq root slash"},
		{"above", "http://x.example/p", "p root slash"},
		{"above", "http://x.example/p?a=b", "p query root slash"},
		{"above", "urn:oid:1.2", "urn"},
	} {
		if got := find(c[0], c[1]); got != c[2] {
			t.Errorf("%s %s finds %q, want %q", c[0], c[1], got, c[2])
		}
	}
	_, err := findAll(t, s, &search.Query{Type: "PlanDefinition", Clauses: []search.Clause{{Param: planURL, Modifier: "above", Values: []search.Value{{Value: strings.Repeat("/", 2000)}}}}, Count: 1})
	wantKind(t, err, fhir.BadRequest)
}

// findAll gives the refs of one page.
func findAll(t testing.TB, s *Store, q *search.Query) ([]string, error) {
	t.Helper()
	page, err := find(t, s, q)
	var out []string
	for _, r := range page.Resources {
		out = append(out, r.Ref())
	}
	return out, err
}

func searchExact(t *testing.T, open func() *Store) {
	s := open()
	row := func(text string) search.Row {
		r := search.Row{Param: patName, Value: search.Fold(text)}
		if r.Value != text {
			r.Exact = text
		}
		return r
	}
	long := "É" + strings.Repeat("x", 2000)
	put(t, s, "Patient", "capital", row("Müller"))
	put(t, s, "Patient", "plain", row("muller"))
	put(t, s, "Patient", "both", row("Müller"), row("MULLER"))
	put(t, s, "Patient", "long", row(long))
	for _, c := range [][3]string{
		{"exact", "Müller", "capital both"},
		{"exact", "muller", "plain"},
		{"exact", "MULLER", "both"},
		{"exact", "Mulle", ""},
		{"exact", long, "long"},
		{"exact", long + "x", ""},
		{"equals", "muller", "capital plain both"},
		{"equals", "mulle", ""},
		{"ends", "ler", "capital plain both"},
		{"ends", "muller", "capital plain both"},
		{"ends", "xmuller", ""},
		{"", "mull", "capital plain both"},
	} {
		if got := ids(t, s, "Patient", search.Clause{Param: patName, Modifier: c[0], Values: []search.Value{{Value: c[1]}}}); got != c[2] {
			t.Errorf("%s %.20s finds %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

// The index holds a hash of a long text, in which nothing is to be found, and pieces of it.
func searchPieces(t *testing.T, open func() *Store) {
	s := open()
	contains, ends := param("Patient", "family:contains", search.Pieces), param("Patient", "family:ends", search.Pieces)
	for i := range 300 {
		row := search.Row{Param: patName, Value: strings.Repeat("=", search.LongText) + fmt.Sprint(i)}
		put(t, s, "Patient", fmt.Sprint("hash", i), row)
	}
	piece := strings.Repeat("=", search.PieceText-1) + "k"
	put(t, s, "Patient", "long", search.Row{Param: patName, Value: piece + "m"}, search.Row{Param: contains, Value: piece}, search.Row{Param: contains, Value: "=km"}, search.Row{Param: ends, Value: "=km"})
	put(t, s, "Patient", "edge", search.Row{Param: patName, Value: "k" + strings.Repeat("-", search.LongText-2)})
	for _, c := range []struct{ modifier, text, want string }{
		{"contains", "k", "long edge"}, {"contains", "km", "long"}, {"contains", "m", "long"}, {"contains", "7", ""}, {"contains", "~", ""}, {"contains", "--", "edge"},
		{"ends", "m", "long"}, {"ends", "k", ""}, {"ends", "7", ""}, {"ends", "-", "edge"},
	} {
		values := []search.Value{{Value: c.text}}
		facet := map[string]*search.Parameter{"contains": contains, "ends": ends}[c.modifier]
		clause := search.Clause{Any: []search.Clause{{Param: patName, Modifier: c.modifier, Values: values}, {Param: facet, Modifier: c.modifier, Values: values}}}
		if got := ids(t, s, "Patient", clause); got != c.want {
			t.Errorf("%s %s finds %q, want %q", c.modifier, c.text, got, c.want)
		}
	}
}

var (
	obsText    = param("Observation", "_text", search.Text)
	obsContent = param("Observation", "_content", search.Text)
)

func phrases(p *search.Parameter, phrases ...string) search.Clause {
	return clauseOf(p, search.Value{Phrases: phrases})
}

func searchWords(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Observation", "a", search.Row{Param: obsText, Value: "pain in the left leg, worse at night"}, search.Row{Param: obsContent, Value: "survey pain"})
	put(t, s, "Observation", "b", search.Row{Param: obsContent, Value: "left the leg; night-time pain"})
	put(t, s, "Observation", "c", search.Row{Param: obsText, Value: "大腿 骨痛 o'neill's and or not near"})
	put(t, s, "Observation", "d", search.Row{Param: obsText, Value: "x"}, search.Row{Param: obsText, Value: "y"})
	put(t, s, "Patient", "p", search.Row{Param: param("Patient", "_text", search.Text), Value: "pain"})
	for name, c := range map[string]struct {
		clause search.Clause
		want   string
	}{
		"a word":                 {phrases(obsText, "pain"), "a"},
		"of all texts":           {phrases(obsContent, "pain"), "a b"},
		"the beginning of one":   {phrases(obsText, "nigh"), ""},
		"a phrase":               {phrases(obsText, "left leg"), "a"},
		"words in another order": {phrases(obsText, "leg left"), ""},
		"across a comma":         {phrases(obsText, "leg worse"), "a"},
		"two words":              {phrases(obsContent, "leg", "left"), "b"},
		"one of them not there":  {phrases(obsContent, "leg", "right"), ""},
		"a hyphen":               {phrases(obsContent, "night time"), "b"},
		"without spaces":         {phrases(obsText, "腿骨"), "c"},
		"in another order":       {phrases(obsText, "骨腿"), ""},
		"operators are words":    {phrases(obsText, "and or not near"), "c"},
		"an apostrophe":          {phrases(obsText, "o neill s"), "c"},
		"two rows are one text":  {phrases(obsText, "y"), "d"},
		"not":                    {search.Clause{Not: &search.Clause{Any: []search.Clause{phrases(obsText, "pain"), phrases(obsText, "and")}}}, "b d"},
	} {
		if got := ids(t, s, "Observation", c.clause); got != c.want {
			t.Errorf("%s finds %q, want %q", name, got, c.want)
		}
	}
	put(t, s, "Observation", "a", search.Row{Param: obsText, Value: "better"})
	remove(t, s, "Observation", "b")
	if got := ids(t, s, "Observation", phrases(obsContent, "pain")) + ids(t, s, "Observation", phrases(obsText, "better")); got != "a" {
		t.Errorf("after an update and a deletion: %q", got)
	}
}

func searchLongTexts(t *testing.T, open func() *Store) {
	s := open()
	var text []string
	for i := range 40_000 {
		text = append(text, fmt.Sprint("w", i), "the")
	}
	endless := strings.Repeat("z", 5000)
	put(t, s, "Observation", "a", search.Row{Param: obsContent, Value: strings.Join(text, " ") + " " + endless + "q"}, search.Row{Param: obsText, Value: "short"})
	put(t, s, "Observation", "b", search.Row{Param: obsContent, Value: endless})
	for name, c := range map[string]struct {
		clause search.Clause
		want   string
	}{
		"its last word":     {phrases(obsContent, "w39999"), "a"},
		"far apart":         {phrases(obsContent, "w3", "w39000"), "a"},
		"a frequent word":   {phrases(obsContent, "the w35000 the"), "a"},
		"not together":      {phrases(obsContent, "w20000 the w20002"), ""},
		"a long phrase":     {phrases(obsContent, strings.Join(text[510:510+phraseLimit], " ")), "a"},
		"another":           {phrases(obsContent, strings.Join(text[480:480+phraseLimit], " ")), "a"},
		"an endless word":   {phrases(obsContent, endless), "b"},
		"another like it":   {phrases(obsContent, endless+"q"), "a"},
		"its beginning":     {phrases(obsContent, endless[:100]), ""},
		"the other of them": {phrases(obsText, "short"), "a"},
	} {
		if got := ids(t, s, "Observation", c.clause); got != c.want {
			t.Errorf("%s finds %q, want %q", name, got, c.want)
		}
	}
	_, err := find(t, s, &search.Query{Type: "Observation", Count: 1, Clauses: []search.Clause{phrases(obsContent, strings.Join(text[:phraseLimit+1], " "))}})
	wantKind(t, err, fhir.BadRequest)
}

func searchTogether(t *testing.T, open func() *Store) {
	s := open()
	code, value := param("Observation", "component-code-value-quantity$1", search.Token), param("Observation", "component-code-value-quantity$2", search.Quantity)
	rows := func(part int64, c string, v float64) []search.Row {
		return []search.Row{{Param: code, Part: part, Value: c}, {Param: value, Part: part, NumberLow: v, NumberHigh: v}}
	}
	put(t, s, "Observation", "apart", append(rows(1, "systolic", 90), rows(2, "diastolic", 140)...)...)
	put(t, s, "Observation", "together", append(rows(1, "diastolic", 90), rows(2, "systolic", 140)...)...)
	put(t, s, "Observation", "twice", append(rows(1, "systolic", 140), rows(2, "systolic", 140)...)...)
	c := search.Clause{Together: []search.Clause{
		clauseOf(code, search.Value{AnySystem: true, Value: "systolic"}),
		clauseOf(value, search.Value{Prefix: search.Gt, Number: 100, AnyUnit: true}),
	}}
	if got := ids(t, s, "Observation", c); got != "together twice" {
		t.Errorf("it finds %q", got)
	}
	if got := ids(t, s, "Observation", search.Clause{Not: &c}); got != "apart" {
		t.Errorf("not finds %q", got)
	}
	c.Together[0].Modifier = "not"
	_, err := find(t, s, &search.Query{Type: "Observation", Clauses: []search.Clause{c}, Count: 1})
	wantKind(t, err, fhir.BadRequest)
}

func searchHas(t *testing.T, open func() *Store) {
	s := open()
	code := func(c string) search.Row { return search.Row{Param: obsCode, Value: c} }
	of := func(id string) search.Row { return search.Row{Param: obsPatient, System: "Patient", Value: id} }
	put(t, s, "Patient", "1", search.Row{Param: patGP, System: "Practitioner", Value: "g"})
	put(t, s, "Patient", "2", search.Row{Param: patGP, System: "Practitioner", Value: "h"})
	put(t, s, "Practitioner", "g")
	put(t, s, "Practitioner", "h")
	put(t, s, "Group", "2")
	put(t, s, "Observation", "a", of("1"), code("x"))
	put(t, s, "Observation", "b", of("2"), code("y"))
	put(t, s, "Observation", "c", search.Row{Param: obsPatient, System: "Group", Value: "2"}, code("x"))
	put(t, s, "Observation", "d", of("2"), code("x"))
	remove(t, s, "Observation", "d")
	has := func(p *search.Parameter, c search.Clause) search.Clause {
		return search.Clause{Has: &search.Has{Param: p, Clause: c}}
	}
	asks := func(c string) search.Clause { return clauseOf(obsCode, search.Value{AnySystem: true, Value: c}) }
	for name, c := range map[string]struct{ typ, want, code string }{
		"patient":            {"Patient", "1", "x"},
		"the other":          {"Patient", "2", "y"},
		"none":               {"Patient", "", "z"},
		"of another type":    {"Group", "2", "x"},
		"of what none names": {"Practitioner", "", "x"},
	} {
		if got := ids(t, s, c.typ, has(obsPatient, asks(c.code))); got != c.want {
			t.Errorf("%s: found %q, want %q", name, got, c.want)
		}
	}
	if got := ids(t, s, "Practitioner", has(patGP, has(obsPatient, asks("x")))); got != "g" {
		t.Errorf("nested: found %q", got)
	}
	if got := ids(t, s, "Patient", search.Clause{Not: &search.Clause{Has: &search.Has{Param: obsPatient, Clause: asks("x")}}}); got != "2" {
		t.Errorf("not: found %q", got)
	}
	// What is staged refers to nobody yet.
	g := stage(t, s, newOf(t, "Observation", "s", of("2"), code("x")))
	if got := ids(t, s, "Patient", has(obsPatient, asks("x"))) + ids(t, s, "Patient", clauseOf(param("Patient", "_id", search.ID), search.Value{Value: "2"}), has(obsPatient, asks("x"))); got != "1" {
		t.Errorf("with one staged: found %q", got)
	}
	drop(t, g)
}

// sortBy is a search for all patients.
func sortBy(count int, keys ...search.SortKey) *search.Query {
	return &search.Query{Type: "Patient", Count: count, Sort: keys}
}

func sortNulls(t *testing.T, open func() *Store) {
	s := open()
	birth := param("Patient", "birthdate", search.Date)
	day := func(n int64) search.Row { return search.Row{Param: birth, Low: n, High: n + 1} }
	put(t, s, "Patient", "none1")
	put(t, s, "Patient", "three", day(3))
	put(t, s, "Patient", "one-and-five", day(1), day(5))
	put(t, s, "Patient", "none2")
	put(t, s, "Patient", "three-too", day(3))
	put(t, s, "Patient", "always", search.Row{Param: birth, Low: search.MinTime, High: search.MaxTime})
	for _, effort := range []effort{usualEffort, {probe: 1, steps: []int{1, 2, 50}, changed: 10}} {
		s.effort = effort
		for descending, want := range map[bool]string{
			false: "always one-and-five three three-too none1 none2",
			true:  "one-and-five three three-too always none1 none2",
		} {
			for count := 1; count < 7; count++ {
				q, got := sortBy(count, search.SortKey{Param: birth, Descending: descending}), ""
				for more := true; more; more = q.Cursor != "" {
					page, err := find(t, s, q)
					if err != nil {
						t.Fatal(err)
					}
					for _, r := range page.Resources {
						got += " " + r.ID
					}
					q.Cursor = page.Next
				}
				if got != " "+want {
					t.Errorf("descending %v in pages of %d: %s", descending, count, got)
				}
			}
		}
	}
}

func searchTypes(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Patient", "a")
	put(t, s, "Observation", "b")
	put(t, s, "Group", "c")
	put(t, s, "Patient", "d")
	// A key that only one of the types has a value of, page by page.
	url := func(typ string) []search.SortKey { return []search.SortKey{{Param: param(typ, "source", search.URI)}} }
	put(t, s, "Group", "e", search.Row{Param: url("Group")[0].Param, Value: "http://x"})
	one, order := &search.Query{Parts: []*search.Query{{Type: "Patient", Sort: url("Patient")}, {Type: "Group", Sort: url("Group")}}, Count: 1}, ""
	for more := true; more; more = one.Cursor != "" {
		page, err := find(t, s, one)
		if err != nil {
			t.Fatal(err)
		}
		order, one.Cursor = order+" "+page.Resources[0].Ref(), page.Next
	}
	if order != " Group/e Patient/a Group/c Patient/d" {
		t.Errorf("page by page: %s", order)
	}
	key := func(typ string) []search.SortKey {
		return []search.SortKey{{Param: param(typ, "_id", search.ID), Descending: true}}
	}
	for want, q := range map[string]*search.Query{
		"[Patient/a Observation/b Patient/d]": {Parts: []*search.Query{{Type: "Patient"}, {Type: "Observation"}}, Count: 5},
		"[Patient/d Observation/b Patient/a]": {Parts: []*search.Query{{Type: "Patient", Sort: key("Patient")}, {Type: "Observation", Sort: key("Observation")}}, Count: 5},
		"[Patient/d]":                         {Parts: []*search.Query{{Type: "Device"}, {Type: "Patient", Clauses: []search.Clause{clauseOf(param("Patient", "_id", search.ID), search.Value{Value: "d"})}}}, Count: 5},
	} {
		if got, err := findAll(t, s, q); err != nil || fmt.Sprint(got) != want {
			t.Errorf("found %v, %v, want %s", got, err, want)
		}
	}
}

func sortRefuses(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Patient", "a")
	for name, q := range map[string]*search.Query{
		"words":         sortBy(1, search.SortKey{Param: param("Patient", "_text", search.Text)}),
		"a composite":   sortBy(1, search.SortKey{Param: param("Patient", "both", search.Composite)}),
		"too many keys": sortBy(1, slices.Repeat([]search.SortKey{{Param: patName}}, 11)...),
		"unlike kinds": {Count: 1, Parts: []*search.Query{
			{Type: "Patient", Sort: []search.SortKey{{Param: patName}}}, {Type: "Observation", Sort: []search.SortKey{{Param: obsDate}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := find(t, s, q)
			wantKind(t, err, fhir.BadRequest)
		})
	}
}

func cursorExpires(t *testing.T, open func() *Store) {
	s := open()
	s.effort.changed = 3
	for i := range 5 {
		put(t, s, "Patient", fmt.Sprint("p", i), search.Row{Param: patName, Value: "x"})
	}
	q := sortBy(1, search.SortKey{Param: patName})
	page, err := find(t, s, q)
	if err != nil {
		t.Fatal(err)
	}
	q.Cursor = page.Next
	for i := range 20 { // what is new, or of another type, does not count
		put(t, s, "Patient", fmt.Sprint("new", i), search.Row{Param: patName, Value: "a"})
		put(t, s, "Group", "g")
	}
	if got, err := findAll(t, s, q); err != nil || fmt.Sprint(got) != "[Patient/p1]" {
		t.Fatalf("found %v, %v", got, err)
	}
	for i := range 4 {
		put(t, s, "Patient", fmt.Sprint("p", i+1))
	}
	_, err = find(t, s, q)
	wantKind(t, err, fhir.Gone)
}

func cursorTellsNothing(t *testing.T, open func() *Store) {
	s := open()
	length := 0
	for i, name := range []string{"a", "secret", strings.Repeat("very long ", 300)} {
		put(t, s, "Patient", fmt.Sprint("p", i), search.Row{Param: patName, Value: name})
		put(t, s, "Patient", fmt.Sprint("q", i), search.Row{Param: patName, Value: name})
		page, err := find(t, s, sortBy(2*i+1, search.SortKey{Param: patName}))
		if err != nil {
			t.Fatal(err)
		}
		if length == 0 {
			length = len(page.Next)
		}
		if page.Next == "" || len(page.Next) != length {
			t.Errorf("the cursor after %.10s has %d characters", name, len(page.Next))
		}
		if _, err := find(t, s, &search.Query{Type: "Patient", Count: 1, Cursor: page.Next}); fhir.KindOf(err) != fhir.BadRequest {
			t.Errorf("without the sort: %v", err)
		}
		if _, err := find(t, s, &search.Query{Type: "Patient", Count: 1, Cursor: page.Next, Sort: []search.SortKey{{Param: patName, Descending: true}}}); fhir.KindOf(err) != fhir.BadRequest {
			t.Errorf("in the other direction: %v", err)
		}
	}
}

func stagedIsNotSorted(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Patient", "a", search.Row{Param: patName, Value: "m"})
	put(t, s, "Patient", "b", search.Row{Param: patName, Value: "n"})
	g := stage(t, s, newOf(t, "Patient", "staged", search.Row{Param: patName, Value: "a"}, search.Row{Param: param("Patient", "_text", search.Text), Value: "a"}))
	want := "[Patient/a Patient/b]"
	for _, effort := range []effort{usualEffort, {probe: 1, steps: []int{10}, changed: 10}} {
		s.effort = effort
		for _, p := range []*search.Parameter{patName, param("Patient", "_id", search.ID), param("Patient", "_lastUpdated", search.LastUpdated)} {
			if got, err := findAll(t, s, sortBy(5, search.SortKey{Param: p})); err != nil || fmt.Sprint(got) != want {
				t.Errorf("by %s: found %v, %v", p.Code, got, err)
			}
		}
	}
	q := sortBy(1, search.SortKey{Param: patName})
	page, err := find(t, s, q)
	if err != nil {
		t.Fatal(err)
	}
	reveal(t, s, g)
	q.Cursor, q.Count = page.Next, 5
	if got, err := findAll(t, s, q); err != nil || fmt.Sprint(got) != "[Patient/b]" {
		t.Errorf("after the first page: found %v, %v", got, err)
	}
	if got := ids(t, s, "Patient", phrases(param("Patient", "_text", search.Text), "a")); got != "staged" {
		t.Errorf("revealed: found %q", got)
	}
	lost := stage(t, s, newOf(t, "Patient", "lost", search.Row{Param: param("Patient", "_text", search.Text), Value: "gone"}))
	drop(t, lost)
	var n int
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		_, err := r.row(ctx, "SELECT count(*) FROM index_text", nil, &n)
		return err
	}); err != nil || n != 1 {
		t.Errorf("%d texts are left, %v", n, err)
	}
}

// included gives the refs that includes add to resources.
func included(t testing.TB, s *Store, limit int, refs string, asked ...search.Include) (string, error) {
	t.Helper()
	var out []string
	err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		var matches []*fhir.Resource
		for _, ref := range strings.Fields(refs) {
			typ, id, _ := strings.Cut(ref, "/")
			res, err := r.Get(ctx, typ, id)
			if err != nil {
				return err
			}
			matches = append(matches, res)
		}
		found, err := r.Include(ctx, matches, asked, limit)
		for _, res := range found {
			if len(res.Body) == 0 || res.Version == 0 || res.LastUpdated.Before(t0.Add(-time.Hour)) {
				t.Errorf("%s is not whole", res.Ref())
			}
			out = append(out, res.Ref())
		}
		return err
	})
	return strings.Join(out, " "), err
}

func seedIncludes(t testing.TB, s *Store) {
	refer := func(p *search.Parameter, typ, id string) search.Row {
		return search.Row{Param: p, System: typ, Value: id}
	}
	part := param("Observation", "has-member", search.Reference)
	put(t, s, "Practitioner", "g")
	put(t, s, "Patient", "1", refer(patGP, "Practitioner", "g"))
	put(t, s, "Patient", "2", refer(patGP, "Practitioner", "nobody"))
	put(t, s, "Group", "1")
	put(t, s, "Observation", "a", refer(obsPatient, "Patient", "1"))
	put(t, s, "Observation", "b", refer(obsPatient, "Patient", "1"), refer(part, "Observation", "a"), refer(obsPatient, "", "http://elsewhere/Patient/2"))
	put(t, s, "Observation", "c", refer(obsPatient, "Group", "1"), refer(part, "Observation", "b"), refer(part, "Observation", "c"))
	put(t, s, "Patient", "gone", refer(patGP, "Practitioner", "g"))
	put(t, s, "Observation", "d", refer(obsPatient, "Patient", "gone"))
	remove(t, s, "Patient", "gone")
}

func includes(t *testing.T, open func() *Store) {
	s := open()
	seedIncludes(t, s)
	part := param("Observation", "has-member", search.Reference)
	for name, c := range map[string]struct {
		from    string
		include search.Include
		want    string
	}{
		"forwards":                 {"Observation/a", search.Include{Params: []*search.Parameter{obsPatient}}, "Patient/1"},
		"each once":                {"Observation/a Observation/b", search.Include{Params: []*search.Parameter{obsPatient}}, "Patient/1"},
		"all that it refers to":    {"Observation/b", search.Include{Params: []*search.Parameter{obsPatient, part}}, "Patient/1 Observation/a"},
		"a match is none":          {"Observation/a Observation/b", search.Include{Params: []*search.Parameter{part}}, ""},
		"itself is none":           {"Observation/c", search.Include{Params: []*search.Parameter{part}}, "Observation/b"},
		"from several types":       {"Patient/1 Observation/c", search.Include{Params: []*search.Parameter{obsPatient, patGP}}, "Practitioner/g Group/1"},
		"one type":                 {"Observation/a Observation/c", search.Include{Params: []*search.Parameter{obsPatient}, Target: "Group"}, "Group/1"},
		"nothing deleted":          {"Observation/d", search.Include{Params: []*search.Parameter{obsPatient}}, ""},
		"nothing that is not":      {"Patient/2", search.Include{Params: []*search.Parameter{patGP}}, ""},
		"of another type":          {"Patient/1", search.Include{Params: []*search.Parameter{obsPatient}}, ""},
		"an unknown parameter":     {"Patient/1", search.Include{Params: []*search.Parameter{param("Patient", "link", search.Reference)}}, ""},
		"of nothing":               {"", search.Include{Params: []*search.Parameter{patGP}}, ""},
		"backwards":                {"Patient/1", search.Include{Params: []*search.Parameter{obsPatient}, Reverse: true}, "Observation/a Observation/b"},
		"backwards, not itself":    {"Observation/c", search.Include{Params: []*search.Parameter{part}, Reverse: true}, ""},
		"backwards, from one type": {"Patient/1 Group/1", search.Include{Params: []*search.Parameter{obsPatient}, Reverse: true, Target: "Group"}, "Observation/c"},
		"backwards, none deleted":  {"Practitioner/g", search.Include{Params: []*search.Parameter{patGP}, Reverse: true}, "Patient/1"},
	} {
		if got, err := included(t, s, 10, c.from, c.include); got != c.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
	// What is staged is not there.
	g := stage(t, s, newOf(t, "Observation", "s", search.Row{Param: obsPatient, System: "Patient", Value: "2"}))
	if got, err := included(t, s, 10, "Patient/2", search.Include{Params: []*search.Parameter{obsPatient}, Reverse: true}); got != "" || err != nil {
		t.Errorf("staged: %q, %v", got, err)
	}
	drop(t, g)
}

func includesIterate(t *testing.T, open func() *Store) {
	s := open()
	seedIncludes(t, s)
	part := param("Observation", "has-member", search.Reference)
	patient := search.Include{Params: []*search.Parameter{obsPatient}}
	practitioner := search.Include{Params: []*search.Parameter{patGP}}
	members := search.Include{Params: []*search.Parameter{part}, Iterate: true}
	on := func(i search.Include) search.Include { i.Iterate = true; return i }
	for name, c := range map[string]struct {
		from    string
		asked   []search.Include
		want    string
		reverse bool
	}{
		"only from matches": {from: "Observation/a", asked: []search.Include{patient, practitioner}, want: "Patient/1"},
		"from what was":     {from: "Observation/a", asked: []search.Include{patient, on(practitioner)}, want: "Patient/1 Practitioner/g"},
		"until nothing new": {from: "Observation/c", asked: []search.Include{members}, want: "Observation/b Observation/a"},
		"in a circle":       {from: "Observation/c", asked: []search.Include{members, {Params: []*search.Parameter{part}, Reverse: true, Iterate: true}}, want: "Observation/b Observation/a"},
		"backwards and on":  {from: "Practitioner/g", asked: []search.Include{{Params: []*search.Parameter{patGP}, Reverse: true}, {Params: []*search.Parameter{obsPatient}, Reverse: true, Iterate: true}}, want: "Patient/1 Observation/a Observation/b"},
		"all from all that is": {from: "Observation/c", asked: []search.Include{members, on(patient), on(practitioner)},
			want: "Observation/b Group/1 Observation/a Patient/1 Practitioner/g"},
	} {
		if got, err := included(t, s, 10, c.from, c.asked...); got != c.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func includeCanonical(t *testing.T, open func() *Store) {
	s := open()
	instantiates := &search.Parameter{Type: "CarePlan", Code: "instantiates-canonical", Kind: search.Reference, Targets: []string{"Questionnaire", "PlanDefinition"}}
	put(t, s, "PlanDefinition", "p", search.Row{Param: planURL, Value: "http://x/p"})
	put(t, s, "PlanDefinition", "q", search.Row{Param: planURL, Value: "http://x/q"})
	put(t, s, "CarePlan", "c", search.Row{Param: instantiates, Value: "http://x/p"}, search.Row{Param: instantiates, Value: "http://x/p|1"})
	if got, err := included(t, s, 10, "CarePlan/c", search.Include{Params: []*search.Parameter{instantiates}}); got != "PlanDefinition/p" || err != nil {
		t.Errorf("forwards: %q, %v", got, err)
	}
	if got, err := included(t, s, 10, "CarePlan/c", search.Include{Params: []*search.Parameter{instantiates}, Target: "Questionnaire"}); got != "" || err != nil {
		t.Errorf("to another type: %q, %v", got, err)
	}
	if got, err := included(t, s, 10, "PlanDefinition/p PlanDefinition/q", search.Include{Params: []*search.Parameter{instantiates}, Reverse: true}); got != "CarePlan/c" || err != nil {
		t.Errorf("backwards: %q, %v", got, err)
	}
}

func includeTooMuch(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Patient", "p")
	for i := range 5 {
		put(t, s, "Observation", fmt.Sprint("o", i), search.Row{Param: obsPatient, System: "Patient", Value: "p"})
	}
	all := search.Include{Params: []*search.Parameter{obsPatient}, Reverse: true}
	if got, err := included(t, s, 5, "Patient/p", all, all); err != nil || len(strings.Fields(got)) != 5 {
		t.Errorf("as many as may be: %q, %v", got, err)
	}
	_, err := included(t, s, 4, "Patient/p", all)
	wantKind(t, err, fhir.BadRequest)
	if got, err := included(t, s, 3, "Patient/p Observation/o0 Observation/o1", all); err != nil || len(strings.Fields(got)) != 3 {
		t.Errorf("matches do not count: %q, %v", got, err)
	}
}
