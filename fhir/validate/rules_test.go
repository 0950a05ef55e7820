package validate

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gofhir/fhirpath"
	"github.com/gofhir/fhirpath/types"
	"pgregory.net/rapid"

	"aftercare/fhir"
)

// official are the expressions of R4 by key and place: "obs-6 Observation".
func official(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/invariants.txt")
	if err != nil {
		t.Fatal(err)
	}
	expressions := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if field := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(field) == 3 {
			expressions[field[0]+" "+field[1]] = field[2]
		}
	}
	return expressions
}

// elsewhere are rules that stand at another place than in the definitions: on each entry
// instead of all, or on the type instead of one of its elements, or on the abstract type
// instead of each that comes from it.
var elsewhere = map[string]string{
	"bdl-3 Bundle.entry":   "bdl-3 Bundle",
	"bdl-4 Bundle.entry":   "bdl-4 Bundle",
	"org-2 Organization":   "org-2 Organization.address",
	"org-3 Organization":   "org-3 Organization.telecom",
	"dom-4 DomainResource": "dom-4 Patient",
	"dom-5 DomainResource": "dom-5 Patient",
}

func TestRulesAreOfficial(t *testing.T) {
	expressions := official(t)
	for line := range strings.Lines(invariants) {
		field := strings.Split(line, "\t")
		if len(field) != 4 {
			continue
		}
		place := field[0] + " " + field[1]
		if other := elsewhere[place]; other != "" {
			place = other
		}
		if expressions[place] == "" {
			t.Errorf("R4 has no invariant %s", place)
		}
	}
}

// notCompared are rules that cannot be compared here: the FHIRPath engine orders no
// quantities, and the expression of nsd-1 is undefined without a type, which is required.
var notCompared = map[string]bool{"rng-2 Range": true, "nsd-1 NamingSystem": true}

var trace = regexp.MustCompile(`\.trace\('[a-z]+'\)`)

// TestRulesAgreeWithFHIRPath builds objects out of the elements that a rule names, and
// compares the rule with the official expression.
func TestRulesAgreeWithFHIRPath(t *testing.T) {
	expressions := official(t)
	v := validator(t)
	places := map[string][]rule{}
	for name, s := range v.types {
		for _, r := range s.rules {
			if inherited := strings.HasPrefix(r.key, "dom-") && name != "Patient"; inherited {
				continue
			}
			if place := r.key + " " + name; expressions[place] != "" && elsewhere[place] == "" && !notCompared[place] {
				places[place] = append(places[place], r)
			}
		}
	}
	for place, rules := range places {
		key, name, _ := strings.Cut(place, " ")
		if _, split := elsewhere[key+" Bundle.entry"]; split {
			continue
		}
		t.Run(place, func(t *testing.T) {
			structure := v.types[name]
			text := strings.ReplaceAll(expressions[place], "%ucum", "'http://unitsofmeasure.org'")
			expression, err := fhirpath.Compile(trace.ReplaceAllString(text, ""))
			if err != nil {
				t.Skip("the engine cannot compile it:", err)
			}
			results := map[bool]int{}
			check := func(t *rapid.T) {
				var paths []path
				var values []string
				for _, r := range rules {
					for _, l := range r.any {
						paths = append(paths, l.path)
						values = append(append(values, l.values...), l.values...)
						for _, o := range l.other {
							if l.op == "distinct" {
								o.names = append(append([]string{}, l.path.names...), o.names...)
							}
							paths = append(paths, o)
						}
					}
				}
				object := build(t, structure, paths, values)
				if structure.kind == "resource" {
					object["resourceType"] = name
				}
				text, err := json.Marshal(object)
				if err != nil {
					t.Fatal(err)
				}
				root, err := types.JSONToCollection(text)
				if err != nil {
					t.Fatal(err)
				}
				found, err := expression.EvaluateWithOptions(text, fhirpath.WithVariable("resource", root))
				if err != nil || len(found) != 1 { // an empty result: something required is absent
					return
				}
				want := found.AllTrue()
				n, err := fhir.Parse(text)
				if err != nil {
					t.Fatal(err)
				}
				var has seen
				for _, m := range n.Members {
					if child := structure.members[strings.TrimPrefix(m.Name, "_")]; child != nil {
						has.add(child.element.ordinal)
					}
				}
				got := true
				for i := range rules {
					got = got && rules[i].holds(n, n, &has)
				}
				results[want]++
				if got != want {
					t.Fatalf("%s: the rule says %v, %s says %v", text, got, expression, want)
				}
			}
			for range 500 { // until both outcomes were seen, which for some rules takes thousands of tries
				if rapid.Check(t, check); results[true] > 0 && results[false] > 0 {
					break
				}
			}
			if results[true] == 0 || results[false] == 0 {
				t.Errorf("held %d times, did not hold %d times: nothing was compared", results[true], results[false])
			}
		})
	}
}

// build makes an object with some of the elements that the paths name.
func build(t *rapid.T, s *structure, paths []path, values []string) map[string]any {
	object := map[string]any{}
	for _, e := range s.elements {
		var deeper []path
		named := false
		for _, p := range paths {
			if p.resource || p.names[0] != e.name && (s.members[p.names[0]] == nil || s.members[p.names[0]].element != e) {
				continue
			}
			named = true
			if len(p.names) > 1 {
				deeper = append(deeper, path{names: p.names[1:], index: make([]int, len(p.names)-1)})
			}
		}
		if !named || rapid.Bool().Draw(t, "without "+e.name) {
			continue
		}
		var names []string
		for name, m := range s.members {
			if m.element == e {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		name := rapid.SampledFrom(names).Draw(t, "name")
		value := func() any { return buildValue(t, s.members[name], deeper, values) }
		if !e.list {
			object[name] = value()
			continue
		}
		var list []any
		for range rapid.IntRange(1, 3).Draw(t, "items") {
			list = append(list, value())
		}
		object[name] = list
	}
	if len(object) == 0 {
		object["id"] = "a"
	}
	return object
}

func buildValue(t *rapid.T, m *member, deeper []path, values []string) any {
	switch {
	case m.structure != nil && m.structure.name == "Resource":
		resource := map[string]any{"resourceType": rapid.SampledFrom(append([]string{"Basic"}, values...)).Draw(t, "type")}
		if rapid.Bool().Draw(t, "with meta") {
			resource["meta"] = map[string]any{rapid.SampledFrom([]string{"versionId", "lastUpdated", "security"}).Draw(t, "meta"): "1"}
		}
		return resource
	case m.structure != nil && m.structure.name == "Coding" && len(deeper) == 0:
		coding := rapid.SampledFrom(append([]string{"s#c", "s#d"}, values...)).Draw(t, "coding")
		system, code, _ := strings.Cut(coding, "#")
		return map[string]any{"system": system, "code": code}
	case m.structure != nil:
		return build(t, m.structure, deeper, values)
	case m.primitive.kind == fhir.Bool:
		return rapid.Bool().Draw(t, "bool")
	case m.primitive.kind == fhir.Number:
		return json.Number(rapid.SampledFrom([]string{"-1", "0", "0.0", "1", "1.0", "100", "100.5"}).Draw(t, "number"))
	case strings.HasPrefix(m.primitive.name, "date") || m.primitive.name == "instant":
		return rapid.SampledFrom([]string{"2026-01-01T00:00:00Z", "2026-01-01T00:00:00+01:00", "2026-06-01T12:00:00Z"}).Draw(t, "date")
	}
	all := []string{"other", "1"}
	if codes := m.element.codes; codes != nil {
		all = slices.Sorted(maps.Keys(codes.codes))
		all = all[:min(2, len(all))]
	}
	return rapid.SampledFrom(append(all, values...)).Draw(t, "text")
}
