package search

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"

	"github.com/gofhir/fhirpath"
	"github.com/gofhir/fhirpath/types"
)

// examples are the official R4 examples, by path; the test is skipped where they are not.
func examples(t testing.TB) map[string]*fhir.Node {
	t.Helper()
	root := os.Getenv("AFTERCARE_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	found := make(map[string]*fhir.Node)
	err := filepath.WalkDir(filepath.Join(root, "examples", "hl7-r4"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".json" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n, err := fhir.Parse(data)
		if err != nil {
			return err
		}
		if _, served := fhir.Served(n.Str("resourceType")); served {
			found[path] = n
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the official examples are not here; set AFTERCARE_SHARED")
	}
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// stubs resolves a reference to an empty resource of the type that it names.
type stubs struct{ root *fhir.Node }

func (s stubs) Resolve(_ context.Context, reference string) ([]byte, error) {
	if id, ok := strings.CutPrefix(reference, "#"); ok {
		for _, c := range s.root.Each("contained") {
			if c.Str("id") == id {
				return c.Raw, nil
			}
		}
	}
	m := typeAndID.FindStringSubmatch(reference)
	if m == nil {
		return nil, errors.New("not here")
	}
	return json.Marshal(map[string]string{"resourceType": m[1], "id": m[2]})
}

var typeAndID = regexp.MustCompile(`(?:^|[^/:]/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/.*)?$`)

// Each parameter finds in each official example the values that an independent FHIRPath engine
// finds with the same expression; those of a composite, the contexts and in each the components.
func TestPathsAgreeWithFHIRPath(t *testing.T) {
	r := registry(t)
	values, parts, used := 0, 0, make(map[*Parameter]bool)
	for path, n := range examples(t) {
		typ := n.Str("resourceType")
		compare := func(e *entry, paths []route, from *fhir.Node, expression string) []*fhir.Node {
			var got []string
			var found []*fhir.Node
			x := extraction{root: n, zone: time.UTC, entry: e}
			for _, p := range paths {
				if err := x.walk(p, value{from, ""}, func(_ *extraction, v value) error {
					got, found = append(got, canonicalJSON(t, v.Raw)), append(found, v.Node)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
			want := evaluate(t, n, from, expression)
			if slices.Sort(got); !slices.Equal(slices.Compact(got), slices.Compact(slices.Sorted(slices.Values(want)))) {
				t.Errorf("%s: %s %s\n found %v\n want  %v", filepath.Base(path), e.param.Key(), expression, got, want)
			}
			if len(found) > 0 {
				used[e.param] = true
			}
			return found
		}
		for _, e := range r.types[typ].byCode {
			switch {
			case e.composite == nil && e.paths != nil:
				values += len(compare(e, e.paths, n, e.param.Expression))
			case e.composite != nil:
				for _, context := range compare(e, e.composite.contexts, n, e.param.Expression) {
					for i, c := range e.composite.components {
						paths, err := compileRelative(e.fact.components[i].expression)
						if err != nil {
							t.Fatal(err)
						}
						parts += len(compare(c, paths, context, e.fact.components[i].expression))
					}
				}
			}
		}
	}
	if values < 3000 || parts < 900 || len(used) < 490 { // of a log, few are known
		t.Errorf("only %d values of %d parameters and %d parts of composites were compared", values, len(used), parts)
	}
	t.Logf("%d values of %d parameters and %d parts of composites compared", values, len(used), parts)
}

// route is a path, under a name that no variable here has.
type route = path

// evaluate runs an expression on a part of a resource.
func evaluate(t *testing.T, root, n *fhir.Node, expression string) []string {
	t.Helper()
	compiled, err := fhirpath.GetCached(expression)
	if err != nil {
		t.Fatal(err)
	}
	found, err := compiled.EvaluateWithOptions(n.Raw, fhirpath.WithResolver(stubs{root}))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	var texts []string
	for _, v := range found {
		switch v := v.(type) {
		case *types.ObjectValue:
			texts = append(texts, canonicalJSON(t, v.Data()))
		case types.Boolean:
			texts = append(texts, v.String())
		default:
			text, err := json.Marshal(v.String())
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, canonicalJSON(t, text))
		}
	}
	return texts
}

// canonicalJSON is data with sorted members, no spaces and Z for the zone +00:00, as the
// engine writes it in some places.
func canonicalJSON(t *testing.T, data []byte) string {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(out), `+00:00"`, `Z"`)
}

// Every official example can be indexed, the same way each time, and each of its tokens,
// references and dates is found when it is asked for.
func TestExamplesAreFound(t *testing.T) {
	r := registry(t)
	rows := 0
	for path, n := range examples(t) {
		got, err := r.Extract(n, time.UTC, base)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
			continue
		}
		again, err := r.Extract(n, time.UTC, base)
		if err != nil || !slices.Equal(got, again) {
			t.Errorf("%s: differs the second time", filepath.Base(path))
		}
		for _, row := range got {
			rows++
			if strings.ContainsAny(row.Param.Code, ":$") || row.Param.Code == "phonetic" {
				continue // cannot be named
			}
			var raw string
			switch row.Param.Kind {
			case Token:
				raw = Escape(row.System) + "|" + Escape(row.Value)
			case Reference:
				raw = row.Value
				if row.System != "" {
					raw = row.System + "/" + row.Value
				}
				if strings.HasPrefix(raw, "#") || !strings.ContainsAny(raw, ":/") {
					continue // cannot be asked for
				}
			case String, URI:
				raw = Escape(row.Value)
			case Number, Quantity:
				raw = strconv.FormatFloat(row.NumberLow, 'f', -1, 64)
				if math.IsInf(row.NumberLow, 0) {
					raw = strconv.FormatFloat(row.NumberHigh, 'f', -1, 64)
				}
				if row.NumberLow != row.NumberHigh {
					raw = "ap" + raw
				}
				if row.Value != "" {
					raw += "|" + Escape(row.System) + "|" + Escape(row.Value)
				}
			default:
				continue
			}
			q, _, err := r.Parse(row.Param.Type, []Pair{{row.Param.Code, raw}}, Options{Zone: time.UTC, Base: base})
			if err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(path), show(row), err)
				continue
			}
			c := q.Clauses[0]
			if row.Param.Kind == Number || row.Param.Kind == Quantity {
				if !slices.ContainsFunc(got, func(row Row) bool { return row.Param == c.Param && holds(row, c.Values[0]) }) {
					t.Errorf("%s: %s is not found by %s", filepath.Base(path), show(row), raw)
				}
				continue
			}
			if v := c.Values[0]; v.System != row.System || v.Value+v.URL != row.Value {
				t.Errorf("%s: %s is not found by %+v", filepath.Base(path), show(row), v)
			}
		}
	}
	if rows < 1000 {
		t.Errorf("only %d rows", rows)
	}
}
