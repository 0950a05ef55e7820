package patch

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aftercare/fhir"
)

// suiteCases is how many cases the official suite has.
const suiteCases = 33

// The official test cases of HL7 for FHIRPath Patch (fhir-patch-tests.xml of
// https://github.com/FHIR/fhir-test-cases). They are not part of this repository:
// AFTERCARE_SHARED names the folder that has official-tests/fhir-patch-tests.xml.
func TestOfficialSuite(t *testing.T) {
	folder := os.Getenv("AFTERCARE_SHARED")
	if folder == "" {
		folder = "../../../shared"
	}
	text, err := os.ReadFile(filepath.Join(folder, "official-tests", "fhir-patch-tests.xml"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the official suite is not here; set AFTERCARE_SHARED")
	}
	if err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Cases []struct {
			Name  string     `xml:"name,attr"`
			Input xmlElement `xml:"input"`
			Diff  xmlElement `xml:"diff"`
			// Exactly one of the two.
			Output *xmlElement `xml:"output"`
			Error  *xmlElement `xml:"error"`
		} `xml:"case"`
	}
	if err := xml.Unmarshal(text, &suite); err != nil {
		t.Fatal(err)
	}
	if len(suite.Cases) != suiteCases {
		t.Errorf("%d cases, want %d", len(suite.Cases), suiteCases)
	}
	schema := r4Schema(t)
	for _, c := range suite.Cases {
		t.Run(c.Name, func(t *testing.T) {
			input, diff := c.Input.resource(t, schema), c.Diff.resource(t, schema)
			got, err := FHIRPath(parse(t, input), parse(t, diff), schema)
			if c.Error != nil {
				if fhir.KindOf(err) != fhir.Unprocessable {
					t.Errorf("got %s %v, want an error", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := c.Output.resource(t, schema)
			if normal(t, string(got)) != normal(t, want) {
				t.Errorf("got\n%s, want\n%s", got, want)
			}
		})
	}
}

// normal is JSON that can be compared: members sorted, white space in texts folded.
func normal(t *testing.T, s string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
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
	out, err := json.Marshal(fold(v))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

type xmlElement struct {
	XMLName  xml.Name
	Attrs    []xml.Attr   `xml:",any,attr"`
	Children []xmlElement `xml:",any"`
	Inner    string       `xml:",innerxml"`
}

// resource is the JSON of the resource inside x.
func (x *xmlElement) resource(t *testing.T, schema Schema) string {
	t.Helper()
	r := x.Children[0]
	name := r.XMLName.Local
	object := r.object(t, schema, name)
	object["resourceType"] = name
	out, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func (x *xmlElement) object(t *testing.T, schema Schema, structure string) map[string]any {
	t.Helper()
	object := map[string]any{}
	for _, a := range x.Attrs {
		if n := a.Name.Local; n == "id" || n == "url" {
			object[n] = a.Value
		}
	}
	for i := range x.Children {
		child := &x.Children[i]
		name := child.XMLName.Local
		d, typ := byMember(schema, structure, name)
		if typ == "" {
			t.Fatalf("%s has no %s", structure, name)
		}
		var value, side any
		if primitive(typ) {
			value, side = child.primitive(t, schema, typ)
		} else {
			value = child.object(t, schema, typ)
		}
		switch {
		case d.repeats && side != nil:
			t.Fatal("lists with extensions do not occur in the suite")
		case d.repeats:
			list, _ := object[name].([]any)
			object[name] = append(list, value)
			continue
		case side != nil:
			object["_"+name] = side
		}
		if value != nil {
			object[name] = value
		}
	}
	return object
}

func (x *xmlElement) primitive(t *testing.T, schema Schema, typ string) (value, side any) {
	t.Helper()
	if typ == "xhtml" {
		return `<div xmlns="http://www.w3.org/1999/xhtml">` + x.Inner + `</div>`, nil
	}
	for _, a := range x.Attrs {
		if a.Name.Local == "value" {
			value = a.Value
			if typ == "boolean" || typ == "integer" {
				value = json.RawMessage(a.Value)
			}
		}
	}
	if object := x.object(t, schema, "Element"); len(object) > 0 {
		side = object
	}
	return value, side
}

// byMember finds the element that has the given JSON name.
func byMember(schema Schema, structure, member string) (definition, string) {
	for end := len(member); end > 0; end-- {
		d, ok := schema.of(structure, member[:end])
		if !ok {
			continue
		}
		for _, typ := range d.types {
			if d.member(typ) == member {
				return d, typ
			}
		}
	}
	return definition{}, ""
}
