package terminology

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"aftercare/definitions"
	"aftercare/fhir"
	"aftercare/fhir/search"
)

const animals = `{"resourceType":"CodeSystem","url":"http://cs","version":"2","content":"complete","hierarchyMeaning":"is-a","concept":[
	{"code":"animal","concept":[{"code":"bird","concept":[{"code":"owl"},{"code":"wren"}]},{"code":"cat"}]},{"code":"stone"}]}`

func terms(t *testing.T, resources ...string) Terms {
	t.Helper()
	known := map[string]*fhir.Node{}
	for _, s := range resources {
		n, err := fhir.Parse([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		known[n.Str("resourceType")+" "+n.Str("url")] = n
	}
	return Terms{Lookup: func(typ, url, _ string) (*fhir.Node, error) { return known[typ+" "+url], nil }}
}

func valueSet(compose string) string {
	return `{"resourceType":"ValueSet","url":"http://vs","compose":` + compose + `}`
}

func show(values []search.Value) string {
	var list []string
	for _, v := range values {
		list = append(list, strings.TrimPrefix(v.System+"|"+v.Value, "http://cs|"))
	}
	return strings.Join(list, " ")
}

func TestExpand(t *testing.T) {
	for name, c := range map[string]struct{ compose, want string }{
		"codes of an unknown system": {`{"include":[{"system":"http://x","concept":[{"code":"a"},{"code":"b"},{"code":"a"}]}]}`, "http://x|a http://x|b"},
		"a whole system":             {`{"include":[{"system":"http://cs"}]}`, "animal bird owl wren cat stone"},
		"a system in its version":    {`{"include":[{"system":"http://cs","version":"2"}]}`, "animal bird owl wren cat stone"},
		"a code and its kinds":       {`{"include":[{"system":"http://cs","filter":[{"property":"concept","op":"is-a","value":"bird"}]}]}`, "bird owl wren"},
		"the kinds of a code":        {`{"include":[{"system":"http://cs","filter":[{"property":"concept","op":"descendent-of","value":"animal"}]}]}`, "bird owl wren cat"},
		"one code":                   {`{"include":[{"system":"http://cs","filter":[{"property":"code","op":"=","value":"cat"}]}]}`, "cat"},
		"two filters": {`{"include":[{"system":"http://cs","filter":[{"property":"concept","op":"is-a","value":"animal"},
			{"property":"concept","op":"descendent-of","value":"bird"}]}]}`, "owl wren"},
		"less what is excluded": {`{"include":[{"system":"http://cs"}],"exclude":[{"system":"http://cs","filter":[{"property":"concept","op":"is-a","value":"bird"}]},
			{"system":"http://cs","concept":[{"code":"stone"}]}]}`, "animal cat"},
		"another value set":                   {`{"include":[{"valueSet":["http://pets"]}]}`, "cat owl"},
		"what is in both value sets":          {`{"include":[{"valueSet":["http://pets","http://birds"]}]}`, "owl"},
		"what is in a system and a value set": {`{"include":[{"system":"http://cs","filter":[{"property":"concept","op":"is-a","value":"bird"}],"valueSet":["http://pets|1"]}]}`, "owl"},
		"two parts":                           {`{"include":[{"valueSet":["http://pets"]},{"valueSet":["http://birds"]}]}`, "cat owl wren"},
		"nothing":                             {`{"include":[{"system":"http://cs","concept":[{"code":"cat"}]}],"exclude":[{"system":"http://cs"}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := terms(t, animals, valueSet(c.compose),
				`{"resourceType":"ValueSet","url":"http://pets","version":"1","compose":{"include":[{"system":"http://cs","concept":[{"code":"cat"},{"code":"owl"}]}]}}`,
				`{"resourceType":"ValueSet","url":"http://birds","compose":{"include":[{"system":"http://cs","concept":[{"code":"owl"},{"code":"wren"}]}]}}`,
			).Expand("http://vs")
			if err != nil || show(got) != c.want {
				t.Errorf("%s %v", show(got), err)
			}
		})
	}
}

func TestExpandRefuses(t *testing.T) {
	concept := `{"property":"concept","op":"is-a","value":"bird"}`
	for name, c := range map[string]struct{ resource, reason string }{
		"an unknown ValueSet":         {`{"resourceType":"ValueSet","url":"http://other"}`, "not known"},
		"no compose":                  {`{"resourceType":"ValueSet","url":"http://vs","expansion":{"contains":[{"code":"a"}]}}`, "no compose"},
		"an unknown CodeSystem":       {valueSet(`{"include":[{"system":"http://snomed"}]}`), "CodeSystem is not known"},
		"known codes beside unknown":  {valueSet(`{"include":[{"system":"http://cs"},{"system":"http://snomed"}]}`), "CodeSystem is not known"},
		"an unknown exclude":          {valueSet(`{"include":[{"system":"http://cs"}],"exclude":[{"system":"http://snomed"}]}`), "CodeSystem is not known"},
		"another version":             {valueSet(`{"include":[{"system":"http://cs","version":"1"}]}`), "another version"},
		"a part of a CodeSystem":      {valueSet(`{"include":[{"system":"http://part"}]}`), "as a whole"},
		"an unknown nested ValueSet":  {valueSet(`{"include":[{"valueSet":["http://other"]}]}`), "not known"},
		"itself":                      {valueSet(`{"include":[{"valueSet":["http://vs"]}]}`), "includes itself"},
		"a filter on a property":      {valueSet(`{"include":[{"system":"http://cs","filter":[{"property":"status","op":"=","value":"x"}]}]}`), "filter on a property"},
		"a filter by pattern":         {valueSet(`{"include":[{"system":"http://cs","filter":[{"property":"concept","op":"regex","value":".*"}]}]}`), "filter other than"},
		"a filter by a code it lacks": {valueSet(`{"include":[{"system":"http://cs","filter":[{"property":"concept","op":"is-a","value":"dog"}]}]}`), "does not have the code"},
		"codes and a filter":          {valueSet(`{"include":[{"system":"http://cs","concept":[{"code":"cat"}],"filter":[` + concept + `]}]}`), "codes and a filter"},
		"neither":                     {valueSet(`{"include":[{}]}`), "neither a system"},
		"a hierarchy of another kind": {valueSet(`{"include":[{"system":"http://parts","filter":[` + concept + `]}]}`), "is-a"},
		"no inactive codes":           {valueSet(`{"inactive":false,"include":[{"system":"http://cs"}]}`), "inactive"},
		"a locked date":               {valueSet(`{"lockedDate":"2020","include":[{"system":"http://cs"}]}`), "on a day"},
		"an extension":                {valueSet(`{"include":[{"system":"http://cs","modifierExtension":[{}]}]}`), "changes its meaning"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := terms(t, animals, c.resource,
				`{"resourceType":"CodeSystem","url":"http://part","content":"fragment","concept":[{"code":"a"}]}`,
				`{"resourceType":"CodeSystem","url":"http://parts","content":"complete","hierarchyMeaning":"part-of","concept":[{"code":"bird","concept":[{"code":"wing"}]}]}`,
			).Expand("http://vs")
			if fhir.KindOf(err) != fhir.BadRequest || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%s %v", show(got), err)
			}
		})
	}
	if _, err := terms(t, valueSet(`{"include":[]}`)).Expand("http://vs|3"); err == nil {
		t.Error("another version is accepted")
	}
	broken := errors.New("disk")
	if _, err := (Terms{Lookup: func(string, string, string) (*fhir.Node, error) { return nil, broken }}).Expand("http://vs"); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestSubsumed(t *testing.T) {
	lookup := terms(t, animals,
		`{"resourceType":"CodeSystem","url":"http://flat","content":"complete","concept":[{"code":"a"},{"code":"b"}]}`,
		`{"resourceType":"CodeSystem","url":"http://more","content":"complete","hierarchyMeaning":"is-a","property":[{"code":"parent","uri":"http://hl7.org/fhir/concept-properties#parent"}],"concept":[{"code":"a"}]}`,
		`{"resourceType":"CodeSystem","url":"http://twice","content":"complete","concept":[{"code":"a"},{"code":"a"}]}`)
	for _, c := range []struct {
		system, code string
		above        bool
		want         string
	}{
		{"http://cs", "bird", true, "bird animal"}, {"http://cs", "owl", true, "owl bird animal"}, {"http://cs", "stone", true, "stone"},
		{"http://cs", "animal", false, "animal bird owl wren cat"}, {"http://cs", "owl", false, "owl"}, {"http://flat", "a", false, "http://flat|a"},
	} {
		if got, err := lookup.Subsumed(c.system, c.code, c.above); err != nil || show(got) != c.want {
			t.Errorf("%+v: %s %v", c, show(got), err)
		}
	}
	for _, c := range [][2]string{{"http://cs", "dog"}, {"http://x", "a"}, {"http://more", "a"}, {"http://twice", "a"}, {"http://cs", ""}} {
		if got, err := lookup.Subsumed(c[0], c[1], true); fhir.KindOf(err) != fhir.BadRequest || err == nil {
			t.Errorf("%v: %s %v", c, show(got), err)
		}
	}
}

// What the service brings is answered, or the reason is known.
func TestDefinitions(t *testing.T) {
	names, err := fs.Glob(definitions.Files(), "*.json")
	if err != nil {
		t.Fatal(err)
	}
	var resources []string
	var systems, sets []string
	for _, name := range names {
		data, err := fs.ReadFile(definitions.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		resources = append(resources, string(data))
		n, err := fhir.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		switch n.Str("resourceType") {
		case "CodeSystem":
			systems = append(systems, n.Str("url"))
		case "ValueSet":
			sets = append(sets, n.Str("url"))
		}
	}
	lookup := terms(t, resources...)
	for _, url := range systems {
		if cs, err := lookup.system(url); err != nil || len(cs.order) == 0 {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range sets {
		if list, err := lookup.Expand(url); err != nil || len(list) == 0 {
			t.Errorf("%s: %v", url, err)
		}
	}
}
