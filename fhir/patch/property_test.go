package patch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"aftercare/fhir"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// jsonText draws a JSON value with odd white space, escapes and numbers.
func jsonText(t *rapid.T, depth int) string {
	space := rapid.SampledFrom([]string{"", "", " ", "\n  ", "\t"})
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth == 0 && kind > 3 {
		kind = 0
	}
	switch kind {
	case 0:
		return rapid.SampledFrom([]string{"1", "1.50", "-0.0", "2e3", "9007199254740993", "0.1000"}).Draw(t, "number")
	case 1:
		return rapid.SampledFrom([]string{`"a"`, `""`, `"\u00e9\/"`, `"x,y}"`, `"\""`}).Draw(t, "string")
	case 2:
		return rapid.SampledFrom([]string{"true", "false"}).Draw(t, "bool")
	case 3:
		return "null"
	case 4:
		var b strings.Builder
		b.WriteString("[" + space.Draw(t, "space"))
		for i := range rapid.IntRange(0, 3).Draw(t, "items") {
			if i > 0 {
				b.WriteString("," + space.Draw(t, "space"))
			}
			b.WriteString(jsonText(t, depth-1) + space.Draw(t, "space"))
		}
		return b.String() + "]"
	default:
		return objectText(t, depth)
	}
}

func objectText(t *rapid.T, depth int) string {
	space := rapid.SampledFrom([]string{"", "", " ", "\n  ", "\t"})
	names := rapid.Permutation([]string{`"a"`, `"b"`, `"\u0063"`, `"d\/e"`, `"f~g"`, `""`}).Draw(t, "names")
	var b strings.Builder
	b.WriteString("{" + space.Draw(t, "space"))
	for i := range rapid.IntRange(0, 4).Draw(t, "members") {
		if i > 0 {
			b.WriteString("," + space.Draw(t, "space"))
		}
		b.WriteString(names[i] + space.Draw(t, "space") + ":" + space.Draw(t, "space") + jsonText(t, depth-1) + space.Draw(t, "space"))
	}
	return b.String() + "}"
}

func pointerText(steps []string) string {
	var b strings.Builder
	for _, s := range steps {
		b.WriteString("/" + strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// places lists the pointers of all values of a document, the document itself first.
func places(n *fhir.Node, at []string, found [][]string) [][]string {
	found = append(found, at)
	for _, m := range n.Members {
		found = places(m.Value, append(slices.Clone(at), m.Name), found)
	}
	for i, item := range n.Items {
		found = places(item, append(slices.Clone(at), strconv.Itoa(i)), found)
	}
	return found
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func mustParse(t *rapid.T, s string) *fhir.Node {
	n, err := fhir.Parse([]byte(s))
	if err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	return n
}

func TestAddThenRemoveRestoresEveryByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		document := objectText(t, 3)
		n := mustParse(t, document)
		var containers [][]string
		for _, at := range places(n, nil, nil) {
			if v, _ := pointer(at).walk(newValue(n)); v.kind == fhir.Object || v.kind == fhir.Array {
				containers = append(containers, at)
			}
		}
		at := rapid.SampledFrom(containers).Draw(t, "container")
		v, _ := pointer(at).walk(newValue(n))
		step := "new"
		if v.kind == fhir.Array {
			step = strconv.Itoa(rapid.IntRange(0, v.size()).Draw(t, "index"))
		}
		path := mustJSON(pointerText(append(slices.Clone(at), step)))
		out, err := JSON([]byte(document), fmt.Appendf(nil, `[{"op":"add","path":%s,"value":[1]},{"op":"remove","path":%s}]`, path, path))
		if err != nil || string(out) != document {
			t.Fatalf("%s at %s: %s %v", document, path, out, err)
		}
	})
}

func TestOtherMembersKeepTheirBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		document := objectText(t, 3)
		n := mustParse(t, document)
		all := places(n, nil, nil)[1:]
		if len(all) == 0 {
			return
		}
		at := rapid.SampledFrom(all).Draw(t, "place")
		operation := rapid.SampledFrom([]string{`"op":"replace","value":7`, `"op":"remove"`, `"op":"add","value":{"x":7.0}`}).Draw(t, "operation")
		out, err := JSON([]byte(document), fmt.Appendf(nil, `[{%s,"path":%s}]`, operation, mustJSON(pointerText(at))))
		if err != nil {
			t.Fatal(err)
		}
		var before, after []string
		for _, side := range []struct {
			n    *fhir.Node
			into *[]string
		}{{n, &before}, {mustParse(t, string(out)), &after}} {
			for _, m := range side.n.Members {
				if m.Name != at[0] {
					*side.into = append(*side.into, m.Name+"="+string(m.Value.Raw))
				}
			}
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAPatchThatFailsChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		document := []byte(objectText(t, 3))
		was := bytes.Clone(document)
		all := places(mustParse(t, string(document)), nil, nil)[1:]
		if len(all) == 0 {
			return
		}
		at := mustJSON(pointerText(rapid.SampledFrom(all).Draw(t, "place")))
		out, err := JSON(document, fmt.Appendf(nil, `[{"op":"replace","path":%s,"value":7},{"op":"remove","path":%s},{"op":"test","path":"","value":0}]`, at, at))
		if err == nil || out != nil {
			t.Fatalf("%s", out)
		}
		if !bytes.Equal(document, was) {
			t.Fatal("the input was changed")
		}
	})
}

// model applies one operation to decoded JSON, as plainly as can be.
func model(doc any, steps []string, change func(parent any, step string) any) any {
	if len(steps) == 1 {
		return change(doc, steps[0])
	}
	switch d := doc.(type) {
	case map[string]any:
		d[steps[0]] = model(d[steps[0]], steps[1:], change)
	case []any:
		i, _ := strconv.Atoi(steps[0])
		d[i] = model(d[i], steps[1:], change)
	}
	return doc
}

func decoded(t *rapid.T, s string) any {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	return v
}

func TestJSONPatchAgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := objectText(t, 3)
		want := decoded(t, text)
		var operations []string
		for range rapid.IntRange(1, 6).Draw(t, "operations") {
			now := mustParse(t, mustJSON(want))
			all := places(now, nil, nil)[1:]
			if len(all) == 0 {
				break
			}
			at := rapid.SampledFrom(all).Draw(t, "place")
			path := mustJSON(pointerText(at))
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				operations = append(operations, `{"op":"remove","path":`+path+`}`)
				want = model(want, at, func(parent any, step string) any {
					if list, ok := parent.([]any); ok {
						i, _ := strconv.Atoi(step)
						return slices.Delete(slices.Clone(list), i, i+1)
					}
					delete(parent.(map[string]any), step)
					return parent
				})
			case 1:
				operations = append(operations, `{"op":"replace","path":`+path+`,"value":{"r":1}}`)
				want = model(want, at, func(parent any, step string) any {
					if list, ok := parent.([]any); ok {
						i, _ := strconv.Atoi(step)
						list[i] = decoded(t, `{"r":1}`)
						return list
					}
					parent.(map[string]any)[step] = decoded(t, `{"r":1}`)
					return parent
				})
			default:
				op := "add"
				if v, _ := pointer(at).walk(newValue(now)); rapid.Bool().Draw(t, "copy") {
					op = "copy"
					raw := string(v.appendTo(nil))
					operations = append(operations, `{"op":"copy","from":`+path+`,"path":`+path+`}`)
					want = model(want, at, addition(t, raw))
				}
				if op == "add" {
					operations = append(operations, `{"op":"add","path":`+path+`,"value":[2.50]}`)
					want = model(want, at, addition(t, `[2.50]`))
				}
			}
		}
		out, err := JSON([]byte(text), []byte("["+strings.Join(operations, ",")+"]"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, decoded(t, string(out)), cmp.Comparer(func(a, b json.Number) bool { return a == b })); diff != "" {
			t.Fatalf("%s %s\n%s", text, operations, diff)
		}
	})
}

func addition(t *rapid.T, raw string) func(parent any, step string) any {
	return func(parent any, step string) any {
		if list, ok := parent.([]any); ok {
			i, _ := strconv.Atoi(step)
			return slices.Insert(slices.Clone(list), i, decoded(t, raw))
		}
		parent.(map[string]any)[step] = decoded(t, raw)
		return parent
	}
}

// A list of primitives is a list of pairs: operations on the pairs and on the two sides in
// JSON come to the same.
func TestListsOfPrimitivesStayAligned(t *testing.T) {
	type pair struct{ value, side string } // "" is absent
	schema := r4Schema(t)
	write := func(list []pair) string {
		var values, sides []string
		any1, any2 := false, false
		for _, p := range list {
			v, s := "null", "null"
			if p.value != "" {
				v, any1 = p.value, true
			}
			if p.side != "" {
				s, any2 = p.side, true
			}
			values, sides = append(values, v), append(sides, s)
		}
		var members []string
		if any1 {
			members = append(members, `"given":[`+strings.Join(values, ",")+`]`)
		}
		if any2 {
			members = append(members, `"_given":[`+strings.Join(sides, ",")+`]`)
		}
		return `{"resourceType":"Patient","name":[{` + strings.Join(append([]string{`"use":"usual"`}, members...), ",") + `}]}`
	}
	rapid.Check(t, func(t *rapid.T) {
		serial := 0
		draw := func() (p pair) {
			serial++
			kind := rapid.IntRange(0, 3).Draw(t, "pair")
			if kind != 1 {
				p.value = fmt.Sprintf(`"v%d"`, serial)
			}
			if kind == 1 || kind == 2 {
				p.side = fmt.Sprintf(`{"id":"s%d","extension":[{"url":"u"}]}`, serial)
			}
			return p
		}
		content := func(p pair) string {
			var members []string
			if p.value != "" {
				members = append(members, `"valueString":`+p.value)
			}
			if p.side != "" {
				members = append(members, `"_valueString":`+p.side)
			}
			return strings.Join(members, ",")
		}
		list := []pair{draw()}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, draw())
		}
		document := write(list)
		var operations []string
		for range rapid.IntRange(1, 8).Draw(t, "operations") {
			kind := rapid.IntRange(0, 4).Draw(t, "operation")
			if len(list) == 0 {
				kind = 0
			}
			i := rapid.IntRange(0, max(0, len(list)-1)).Draw(t, "index")
			item := fmt.Sprintf("Patient.name.given[%d]", i)
			switch kind {
			case 0:
				p := draw()
				operations, list = append(operations, add("Patient.name", "given", content(p))), append(list, p)
			case 1:
				p := draw()
				operations, list = append(operations, insert("Patient.name.given", i, content(p))), slices.Insert(list, i, p)
			case 2:
				operations, list = append(operations, del(item)), slices.Delete(list, i, i+1)
			case 3:
				p := draw()
				operations = append(operations, replace(item, content(p)))
				list[i] = p
			case 4:
				j := rapid.IntRange(0, len(list)-1).Draw(t, "destination")
				p := list[i]
				operations, list = append(operations, moved("Patient.name.given", i, j)), slices.Insert(slices.Delete(list, i, i+1), j, p)
			}
		}
		out, err := FHIRPath(mustParse(t, document), mustParse(t, patchOf(operations...)), schema)
		if err != nil {
			t.Fatalf("%s %s: %v", document, operations, err)
		}
		if diff := cmp.Diff(decoded(t, write(list)), decoded(t, string(out))); diff != "" {
			t.Fatalf("%s\n%s\n%s", document, operations, diff)
		}
	})
}
