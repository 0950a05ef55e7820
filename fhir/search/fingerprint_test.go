package search

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
)

const siteBase = "http://one.example/fhir"

// ownParameter is a SearchParameter resource.
func ownParameter(t testing.TB, base, code, kind, expression, more string) *fhir.Node {
	t.Helper()
	n, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"SearchParameter","id":%q,"url":"http://x.example/SearchParameter/%s","code":%q,"base":[%q],"type":%q,"expression":%q%s}`,
		code, code, code, base, kind, expression, more))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fingerprints are those of a registry, by key.
func fingerprints(t testing.TB, zone *time.Location, base string, extra ...*fhir.Node) map[string]string {
	t.Helper()
	r, err := NewRegistry(extra...)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for typ, codes := range r.Fingerprints(zone, base) {
		for code, print := range codes {
			out[typ+"."+code] = print
		}
	}
	return out
}

// different are the keys under which two sets differ.
func different(a, b map[string]string) []string {
	keys := map[string]bool{}
	for _, pair := range [][2]map[string]string{{a, b}, {b, a}} {
		for key, print := range pair[0] {
			if pair[1][key] != print {
				keys[key] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

func TestFingerprints(t *testing.T) {
	before := fingerprints(t, time.UTC, siteBase)
	if len(before) < 1000 {
		t.Fatalf("there are %d", len(before))
	}
	own := func(expression string) *fhir.Node {
		return ownParameter(t, "Patient", "nickname", "string", expression, "")
	}
	pair := func(first, second string) *fhir.Node {
		return ownParameter(t, "Observation", "pair", "composite", "Observation.component", fmt.Sprintf(
			`,"component":[{"definition":"http://hl7.org/fhir/SearchParameter/clinical-code","expression":%q},{"definition":"http://hl7.org/fhir/SearchParameter/Observation-value-quantity","expression":%q}]`, first, second))
	}
	with := func(extra ...*fhir.Node) map[string]string { return fingerprints(t, time.UTC, siteBase, extra...) }
	for name, c := range map[string]struct {
		a, b map[string]string
		want []string
	}{
		"the same twice":        {before, with(), nil},
		"a new parameter":       {before, with(own("Patient.name.text")), []string{"Patient.nickname", "Patient.nickname:contains", "Patient.nickname:ends"}},
		"another expression":    {with(own("Patient.name.text")), with(own("Patient.name.family")), []string{"Patient.nickname", "Patient.nickname:contains", "Patient.nickname:ends"}},
		"another kind":          {with(own("Patient.name.text")), with(ownParameter(t, "Patient", "nickname", "token", "Patient.name.text", "")), []string{"Patient.nickname", "Patient.nickname:contains", "Patient.nickname:ends", "Patient.nickname:of-type", "Patient.nickname:text"}},
		"other targets":         {with(ownParameter(t, "Task", "to", "reference", "Task.owner", `,"target":["Patient"]`)), with(ownParameter(t, "Task", "to", "reference", "Task.owner", `,"target":["Group"]`)), []string{"Task.to", "Task.to:identifier"}},
		"of another name alone": {with(own("Patient.name.text")), with(ownParameter(t, "Patient", "other", "string", "Patient.name.text", "")), []string{"Patient.nickname", "Patient.nickname:contains", "Patient.nickname:ends", "Patient.other", "Patient.other:contains", "Patient.other:ends"}},
		"one part of a composite": {with(pair("code", "value.as(Quantity)")), with(pair("interpretation", "value.as(Quantity)")),
			[]string{"Observation.pair$1", "Observation.pair$2", "Observation.pair$2:canonical"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := different(c.a, c.b); !slices.Equal(got, c.want) {
				t.Errorf("they differ in %q, want %q", got, c.want)
			}
		})
	}
	registry, err := NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	kindOf := func(key string) Kind {
		typ, code, _ := strings.Cut(key, ".")
		code, _, _ = strings.Cut(code, ":")
		if p, ok := registry.Lookup(typ, code); ok {
			return p.Kind
		}
		composite, part, _ := strings.Cut(code, "$")
		p, _ := registry.Lookup(typ, composite)
		return p.Components[part[0]-'1'].Kind
	}
	t.Run("another zone is heeded by dates alone", func(t *testing.T) {
		found := different(before, fingerprints(t, time.FixedZone("x", 3600), siteBase))
		for _, key := range found {
			if kind := kindOf(key); kind != Date && !strings.Contains(key, "$") {
				t.Errorf("%s", key)
			}
		}
		if !slices.Contains(found, "Procedure.date") || len(found) > 300 {
			t.Errorf("there are %d", len(found))
		}
	})
	t.Run("another base is heeded by references and by what looks at them", func(t *testing.T) {
		found := different(before, fingerprints(t, time.UTC, "http://two.example/fhir"))
		for _, key := range found {
			if kind := kindOf(key); kind != Reference && !strings.Contains(key, "$") {
				t.Errorf("%s", key)
			}
		}
		if !slices.Contains(found, "Procedure.patient") || slices.Contains(found, "Procedure.code") {
			t.Errorf("they are %q", found)
		}
	})
}

// Whatever has rows has a fingerprint: rows without one would be removed as left over.
func TestRowsHaveFingerprints(t *testing.T) {
	r, err := NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	prints := r.Fingerprints(time.UTC, siteBase)
	for typ, entries := range r.types {
		keys := map[string]bool{}
		for _, e := range entries.entries {
			list := []*entry{e}
			if e.composite != nil {
				list = e.composite.components
			} else {
				keys[e.param.Code] = e.param.Kind != Special
			}
			for _, e := range list {
				keys[e.param.Code] = e.param.Kind != Special
				for _, facet := range []*Parameter{e.text, e.identifier, e.ofType, e.canonical, e.latitude, e.longitude} {
					if facet != nil {
						keys[facet.Code] = true
					}
				}
			}
		}
		for code, rows := range keys {
			if rows && (prints[typ][code] == "") != logged(typ) {
				t.Errorf("%s.%s has %q", typ, code, prints[typ][code])
			}
		}
	}
}
