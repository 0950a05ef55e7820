package definitions

import (
	"strings"
	"testing"
	"testing/fstest"

	"aftercare/fhir"
	"aftercare/fhir/validate"
)

func TestLoadReplacesByTypeAndURL(t *testing.T) {
	a := fstest.MapFS{
		"a.json": {Data: []byte(`{"resourceType":"ValueSet","id":"a","url":"http://x/a","title":"first"}`)},
		"b.json": {Data: []byte(`{"resourceType":"Device","id":"b"}`)},
	}
	b := fstest.MapFS{
		"z.json":     {Data: []byte(`{"resourceType":"ValueSet","id":"other","url":"http://x/a","title":"second"}`)},
		"same.json":  {Data: []byte(`{"resourceType":"CodeSystem","id":"a","url":"http://x/a"}`)},
		"readme.txt": {Data: []byte(`not JSON`)},
	}
	nodes, err := Load(a, b)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range nodes {
		got = append(got, n.Str("resourceType")+" "+n.Str("title"))
	}
	if s := strings.Join(got, ", "); s != "ValueSet second, Device , CodeSystem " {
		t.Errorf("got %s", s)
	}
}

func TestLoadNamesTheBadFile(t *testing.T) {
	for name, data := range map[string]string{
		"not JSON":         `{`,
		"not a resource":   `{"id":"x"}`,
		"no id":            `{"resourceType":"ValueSet"}`,
		"a list":           `[]`,
		"a member twice":   `{"resourceType":"ValueSet","id":"x","id":"y"}`,
		"an impossible id": `{"resourceType":"ValueSet","id":"a b"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(fstest.MapFS{"bad.json": {Data: []byte(data)}})
			if err == nil || !strings.Contains(err.Error(), "bad.json") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestBuiltInFilesAreNamedForWhatTheyHold(t *testing.T) {
	nodes, err := Load(Files())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		kind, id, url := n.Str("resourceType"), n.Str("id"), n.Str("url")
		if _, err := files.Open(kind + "-" + id + ".json"); err != nil {
			t.Errorf("%s/%s: %v", kind, id, err)
		}
		if url != "" && url != fhir.Canonical+"/"+kind+"/"+id {
			t.Errorf("%s/%s has the url %s", kind, id, url)
		}
		if n.Get("status") != nil && n.Str("status") != "active" {
			t.Errorf("%s/%s is not active", kind, id)
		}
	}
}

// An extension says where it belongs by the ids of elements of R4
// (https://hl7.org/fhir/R4/defining-extensions.html#context).
func TestContextsAreElements(t *testing.T) {
	nodes, err := Load(Files())
	if err != nil {
		t.Fatal(err)
	}
	r4, err := validate.New()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, n := range nodes {
		for _, c := range n.Each("context") {
			at := c.Str("expression")
			typ, name := at, ""
			if i := strings.LastIndexByte(at, '.'); i >= 0 {
				typ, name = at[:i], at[i+1:]
			}
			if c.Str("type") != "element" {
				t.Errorf("%s: a context of type %s is not checked here", n.Str("id"), c.Str("type"))
			}
			checked++
			if name == "" {
				if types, _, _ := r4.Element(typ, "extension"); types == nil {
					t.Errorf("%s: %s is no type", n.Str("id"), at)
				}
				continue
			}
			element := strings.TrimSuffix(name, "[x]")
			if types, choice, _ := r4.Element(typ, element); types == nil || choice != (element != name) {
				t.Errorf("%s: %s is no element", n.Str("id"), at)
			}
		}
	}
	if checked < 20 {
		t.Errorf("%d contexts", checked)
	}
}
