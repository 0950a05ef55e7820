package conformance

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aftercare/fhir/validate"
)

// suiteCases is how many cases the official suite has.
const suiteCases = 33

// Of the official suite these give a Patient with a contact that has nothing in it, which the
// invariant pat-1 forbids. The result of a patch is validated like any write.
var suiteInvalid = map[string]bool{"Delete Nested Primitive #2": true, "Consecutive operations": true}

// The official cases of FHIRPath Patch (fhir-patch-tests.xml of
// https://github.com/FHIR/fhir-test-cases) over HTTP: a PUT of the input, a PATCH of the diff.
// They are not part of this repository: AFTERCARE_SHARED names the folder that has
// official-tests/fhir-patch-tests.xml.
func TestOfficialPatchSuite(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(os.Getenv("AFTERCARE_SHARED"), "official-tests", "fhir-patch-tests.xml"))
	if errors.Is(err, os.ErrNotExist) {
		const why = "HL7's suite of FHIRPath Patch is not here; set AFTERCARE_SHARED"
		fmt.Fprintln(os.Stderr, "TestOfficialPatchSuite is skipped:", why)
		t.Skip(why)
	}
	if err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Cases []struct {
			Name   string   `xml:"name,attr"`
			Input  xmlNode  `xml:"input"`
			Diff   xmlNode  `xml:"diff"`
			Output *xmlNode `xml:"output"` // or Error
			Error  *xmlNode `xml:"error"`
		} `xml:"case"`
	}
	if err := xml.Unmarshal(text, &suite); err != nil {
		t.Fatal(err)
	}
	if len(suite.Cases) != suiteCases {
		t.Errorf("%d cases, want %d", len(suite.Cases), suiteCases)
	}
	types, err := validate.New()
	if err != nil {
		t.Fatal(err)
	}
	onEachEngine(t, func(t *testing.T, s *server) {
		invalid := 0
		for i, c := range suite.Cases {
			t.Run(c.Name, func(t *testing.T) {
				id := fmt.Sprintf("case-%d", i)
				resource := func(x *xmlNode, id string) string {
					r := x.Children[0]
					members := r.object(t, types, r.XMLName.Local)
					members["resourceType"] = r.XMLName.Local
					if id != "" {
						members["id"] = id
					}
					return marshal(t, members)
				}
				s.must(t, 201, "PUT /Patient/"+id, resource(&c.Input, id))
				a := s.send(t, "PATCH /Patient/"+id, resource(&c.Diff, ""))
				switch {
				case c.Error != nil:
					if a.status != 422 {
						t.Errorf("%d, want 422: %s", a.status, a.body)
					}
				case suiteInvalid[c.Name]:
					invalid++
					if a.status != 422 || !strings.Contains(a.body, "pat-1") || a.at("issue.code") != "invariant" {
						t.Errorf("%d, want 422 by pat-1: %s", a.status, a.body)
					}
				case a.status != 200:
					t.Errorf("%d %s", a.status, a.body)
				default:
					got := s.must(t, 200, "GET /Patient/"+id, "").body
					if folded(t, got) != folded(t, resource(c.Output, id)) {
						t.Errorf("got\n%s, want\n%s", got, resource(c.Output, id))
					}
				}
			})
		}
		if invalid != len(suiteInvalid) {
			t.Errorf("%d of %d cases with an invalid result are in the suite", invalid, len(suiteInvalid))
		}
	})
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// folded is a resource without meta, its members sorted and the white space in its texts
// folded.
func folded(t *testing.T, resource string) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(resource), &v); err != nil {
		t.Fatal(err)
	}
	delete(v, "meta")
	var fold func(any) any
	fold = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k := range v {
				v[k] = fold(v[k])
			}
		case []any:
			for i := range v {
				v[i] = fold(v[i])
			}
		case string:
			return html.UnescapeString(strings.Join(strings.Fields(v), " "))
		}
		return v
	}
	return marshal(t, fold(v))
}

// xmlNode is an element of FHIR XML (https://hl7.org/fhir/R4/xml.html).
type xmlNode struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []xmlNode  `xml:",any"`
	Inner    string     `xml:",innerxml"`
}

func (x *xmlNode) attribute(name string) (string, bool) {
	for _, a := range x.Attrs {
		if a.Name.Local == name {
			return a.Value, true
		}
	}
	return "", false
}

// object is the JSON of an element of a type that is not primitive.
func (x *xmlNode) object(t *testing.T, types *validate.Validator, structure string) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, name := range []string{"id", "url"} {
		if value, ok := x.attribute(name); ok {
			out[name] = value
		}
	}
	for i := range x.Children {
		child := &x.Children[i]
		name := child.XMLName.Local
		typ, repeats := elementType(types, structure, name)
		if typ == "" {
			t.Fatalf("%s has no %s", structure, name)
		}
		value, beside := child.value(t, types, typ)
		switch {
		case repeats && beside != nil:
			t.Fatal("lists of primitives with extensions do not occur in the suite")
		case repeats:
			before, _ := out[name].([]any)
			out[name] = append(before, value)
			continue
		}
		if value != nil {
			out[name] = value
		}
		if beside != nil {
			out["_"+name] = beside
		}
	}
	return out
}

// value is the JSON of an element; beside is what a primitive has in "_name".
func (x *xmlNode) value(t *testing.T, types *validate.Validator, typ string) (value, beside any) {
	t.Helper()
	switch {
	case typ == "xhtml":
		return `<div xmlns="http://www.w3.org/1999/xhtml">` + x.Inner + `</div>`, nil
	case typ[0] < 'a': // data types begin with a capital, primitives do not
		return x.object(t, types, typ), nil
	}
	if text, ok := x.attribute("value"); ok {
		value = text
		if typ == "boolean" || typ == "integer" {
			value = json.RawMessage(text)
		}
	}
	if more := x.object(t, types, "Element"); len(more) > 0 {
		beside = more
	}
	return value, beside
}

// elementType is the type of the member of a structure with a name such as "valueInteger".
func elementType(types *validate.Validator, structure, member string) (typ string, repeats bool) {
	for end := len(member); end > 0; end-- {
		all, choice, repeats := types.Element(structure, member[:end])
		for _, typ := range all {
			switch {
			case !choice && end == len(member),
				choice && strings.EqualFold(member[end:], typ):
				return typ, repeats
			}
		}
	}
	return "", false
}
