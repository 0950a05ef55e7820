package validate

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"aftercare/fhir"
)

// spot is one member of a valid resource, with what the table says of it.
type spot struct {
	expression string // of the member
	parent     string // of the object that has it
	pointer    []any  // names and indexes from the root to the object
	name       string
	value      *fhir.Node
	structure  *structure
	member     *member
}

// object is the object of the spot in a resource.
func (s spot) object(tree any) map[string]any {
	for _, p := range s.pointer {
		switch p := p.(type) {
		case string:
			tree = tree.(map[string]any)[p]
		case int:
			tree = tree.([]any)[p]
		}
	}
	return tree.(map[string]any)
}

// spots lists all members that the table knows.
func spots(v *Validator, n *fhir.Node, t *structure, at string, pointer []any) []spot {
	var found []spot
	for _, m := range n.Members {
		child := t.members[m.Name]
		if child == nil {
			continue
		}
		s := spot{at + "." + m.Name, at, append([]any{}, pointer...), m.Name, m.Value, t, child}
		found = append(found, s)
		down := func(item *fhir.Node, at string, pointer []any) {
			inner := child.structure
			if inner != nil && inner.name == "Resource" {
				inner = v.types[item.Str("resourceType")]
			}
			if inner != nil {
				found = append(found, spots(v, item, inner, at, pointer)...)
			}
		}
		if m.Value.Kind == fhir.Array {
			for i, item := range m.Value.Items {
				down(item, s.expression+"["+strconv.Itoa(i)+"]", append(append([]any{}, pointer...), m.Name, i))
			}
		} else {
			down(m.Value, s.expression, append(append([]any{}, pointer...), m.Name))
		}
	}
	return found
}

// damage changes the object that has the spot, and says where an issue is expected; ""
// if this damage cannot be done here.
type damage struct {
	name string
	do   func(s spot, object map[string]any) (expect string)
}

var damages = []damage{
	{"rename", func(s spot, o map[string]any) string {
		o[s.name+"Zz"] = o[s.name]
		delete(o, s.name)
		return s.expression + "Zz"
	}},
	{"change case", func(s spot, o map[string]any) string {
		name := strings.ToUpper(s.name)
		if name == s.name {
			return ""
		}
		o[name] = o[s.name]
		delete(o, s.name)
		return s.parent + "." + name
	}},
	{"wrong JSON type", func(s spot, o map[string]any) string {
		switch {
		case s.member.element.list:
			o[s.name] = "text"
		case s.member.primitive != nil && s.member.primitive.kind == fhir.String:
			o[s.name] = 5
		default:
			o[s.name] = "text"
		}
		return s.expression
	}},
	{"array for single", func(s spot, o map[string]any) string {
		if s.member.element.list {
			return ""
		}
		o[s.name] = []any{o[s.name]}
		return s.expression
	}},
	{"single for array", func(s spot, o map[string]any) string {
		if !s.member.element.list {
			return ""
		}
		o[s.name] = o[s.name].([]any)[0]
		return s.expression
	}},
	{"null", func(s spot, o map[string]any) string {
		o[s.name] = nil
		return s.expression
	}},
	{"empty array", func(s spot, o map[string]any) string {
		o[s.name] = []any{}
		return s.expression
	}},
	{"empty object", func(s spot, o map[string]any) string {
		o[s.name] = map[string]any{}
		return s.expression
	}},
	{"null in an array", func(s spot, o map[string]any) string {
		if !s.member.element.list || o["_"+s.name] != nil {
			return ""
		}
		list := o[s.name].([]any)
		o[s.name] = append(append([]any{}, list...), nil)
		return s.expression + "[" + strconv.Itoa(len(list)) + "]"
	}},
	{"missing required", func(s spot, o map[string]any) string {
		if !s.member.element.required || o["_"+s.name] != nil || len(o) == 1 {
			return "" // what is left of one would be an empty object
		}
		delete(o, s.name)
		return s.parent + "." + s.member.element.label()
	}},
	{"second choice", func(s spot, o map[string]any) string {
		if !s.member.element.choice {
			return ""
		}
		for name, m := range s.structure.members {
			if m.element == s.member.element && name != s.name && m.primitive != nil && m.primitive.name == "string" {
				o[name] = "text"
				return s.parent + "." + s.member.element.label()
			}
		}
		return ""
	}},
	{"code outside the binding", func(s spot, o map[string]any) string {
		if s.member.element.codes == nil || s.member.primitive == nil {
			return ""
		}
		if s.member.element.list {
			o[s.name] = []any{"nosuchcode"}
			return s.expression + "[0]"
		}
		o[s.name] = "nosuchcode"
		return s.expression
	}},
	{"stranger", func(s spot, o map[string]any) string {
		o["stranger"] = 1
		return s.parent + ".stranger"
	}},
	{"strange partner", func(s spot, o map[string]any) string {
		o["_stranger"] = map[string]any{"id": "a"}
		return s.parent + "._stranger"
	}},
}

// TestDamageIsFound breaks one random place of a valid resource in one way.
func TestDamageIsFound(t *testing.T) {
	files, _ := filepath.Glob("testdata/valid/*.json")
	for _, f := range append(exampleFiles(t, "hl7-r4"), exampleFiles(t, "derived")...) {
		if wrongExamples[filepath.Base(f)] == "" {
			files = append(files, f)
		}
	}
	v := validator(t)
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			done := 0
			check := func(t *rapid.T) {
				file := rapid.SampledFrom(files).Draw(t, "file")
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				n, err := fhir.Parse(data)
				if err != nil {
					t.Fatal(err)
				}
				var tree any
				if err := json.Unmarshal(data, &tree); err != nil {
					t.Fatal(err)
				}
				kind := v.types[n.Str("resourceType")]
				var fit []spot
				for _, s := range spots(v, n, kind, kind.name, nil) {
					// The absence of "contained" moves issues elsewhere.
					if s.name != "contained" && d.do(s, maps.Clone(s.object(tree))) != "" {
						fit = append(fit, s)
					}
				}
				if len(fit) == 0 {
					return
				}
				s := rapid.SampledFrom(fit).Draw(t, "spot")
				want := d.do(s, s.object(tree))
				done++
				broken, err := json.Marshal(tree)
				if err != nil {
					t.Fatal(err)
				}
				b, err := fhir.Parse(broken)
				if err != nil {
					t.Fatal(err)
				}
				for _, i := range v.Resource(b, "") {
					if got := i.Expression[0]; got == want || got == want+".resourceType" || d.name == "second choice" && strings.HasPrefix(got, want) {
						return
					}
				}
				t.Fatalf("%s: no issue at %s, only %q", file, want, flat(v.Resource(b, "")))
			}
			for range 20 { // some damage fits few places
				if rapid.Check(t, check); done >= 20 {
					return
				}
			}
			t.Errorf("this damage was done %d times only", done)
		})
	}
}

// TestIssuesRepeatNoValue puts the same secret into every string and expects to read it
// nowhere.
func TestIssuesRepeatNoValue(t *testing.T) {
	const secret = "Zq 77 <"
	files, _ := filepath.Glob("testdata/valid/*.json")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		if err := json.Unmarshal(data, &tree); err != nil {
			t.Fatal(err)
		}
		spoil(tree, secret)
		text, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		issues := validator(t).Resource(parse(t, string(text)), "")
		if len(issues) == 0 {
			t.Errorf("%s: nothing was found", file)
		}
		for _, i := range issues {
			if strings.Contains(i.Text+i.Expression[0], "Zq") {
				t.Errorf("%s: %+v", file, i)
			}
		}
	}
}

func spoil(v any, secret string) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if _, isString := value.(string); isString && name != "resourceType" {
				v[name] = secret
			}
			spoil(value, secret)
		}
		v[secret] = secret
	case []any:
		for i, value := range v {
			if _, isString := value.(string); isString {
				v[i] = secret
			}
			spoil(value, secret)
		}
	}
}

// FuzzResource looks for a panic and for a result that is not the same twice.
func FuzzResource(f *testing.F) {
	files, _ := filepath.Glob("testdata/valid/*.json")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"resourceType":"Patient","name":[{"given":[null],"_given":[{"id":"a"}]}],"contained":[[]]}`))
	v := validator(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := fhir.Parse(data)
		if err != nil {
			return
		}
		issues := v.Resource(n, "")
		if len(issues) > maxIssues+1 {
			t.Fatalf("%d issues", len(issues))
		}
		if again := v.Resource(n, ""); flat(again) != flat(issues) {
			t.Fatalf("%q, then %q", flat(issues), flat(again))
		}
		v.Links(n)
	})
}
