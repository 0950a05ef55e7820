package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/definitions"
	"aftercare/fhir"
	"aftercare/fhir/search"

	"github.com/gofhir/fhirpath"
	"github.com/gofhir/fhirpath/types"
)

// examples are the official R4 examples of served types, in order of their paths; the test is
// skipped where they are not.
func examples(t *testing.T) (all []*fhir.Node) {
	t.Helper()
	root := os.Getenv("AFTERCARE_SHARED")
	if root == "" {
		t.Skip("AFTERCARE_SHARED does not say where the official examples are")
	}
	seen := map[string]bool{}
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
		_, served := fhir.Served(n.Str("resourceType"))
		if ref := n.Str("resourceType") + "/" + n.Str("id"); served && n.Str("id") != "" && !seen[ref] {
			seen[ref] = true
			all = append(all, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Each official example goes in and comes out as it was. It is found by each value that another
// FHIRPath engine finds in it with the expression of a search parameter, and by no value that it
// does not have. A race detector makes that slow, so that some of the examples stand for all
// unless AFTERCARE_EXAMPLES is "all".
func TestOfficialExamplesAreFound(t *testing.T) {
	all := examples(t)
	if os.Getenv("AFTERCARE_EXAMPLES") != "all" {
		var some []*fhir.Node
		for i, n := range all {
			if i%4 == 0 {
				some = append(some, n)
			}
		}
		all = some
	}
	known, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	registry, err := search.NewRegistry(known...)
	if err != nil {
		t.Fatal(err)
	}
	onEachEngine(t, func(t *testing.T, s *server) {
		hits, misses, used := 0, 0, map[string]bool{}
		for _, n := range all {
			typ, id := n.Str("resourceType"), n.Str("id")
			ref := typ + "/" + id
			if served, _ := fhir.Served(typ); served.Logged { // nobody but the service writes to a log
				if a := s.send(t, "PUT /"+ref, string(n.Raw)); a.status != 405 {
					t.Errorf("%s goes in: %d", ref, a.status)
				}
				continue
			}
			if a := s.send(t, "PUT /"+ref, string(n.Raw)); faulty[ref] {
				if a.status != 400 {
					t.Errorf("%s has a fault, and goes in: %d", ref, a.status)
				}
				continue
			} else if a.status != 201 {
				t.Errorf("%s does not go in: %d %.400s", ref, a.status, a.body)
				continue
			}
			if got, want := content(t, []byte(s.must(t, 200, "GET /"+ref, "").body)), content(t, n.Raw); !reflect.DeepEqual(got, want) {
				t.Errorf("%s comes out as %v, not as %v", ref, got, want)
			}
			for _, p := range registry.Parameters(typ) {
				for _, v := range valuesOf(t, n, p) {
					used[p.Key()] = true
					for value, found := range map[string]bool{v.hit: true, v.miss: false} {
						if value == "" {
							continue
						}
						line := "GET /" + typ + "?" + query("_id", id, p.Code+v.modifier, value)
						if a := s.send(t, line, ""); a.status != 200 || slices.Contains(a.entries("match"), ref) != found {
							t.Errorf("%.200s: %d, found must be %v: %.300s", line, a.status, found, a.body)
						}
						if found {
							hits++
						} else {
							misses++
						}
					}
				}
			}
		}
		if hits < 3000 || misses < 3000 || len(used) < 350 {
			t.Errorf("only %d values and %d misses of %d parameters were asked for", hits, misses, len(used))
		}
		t.Logf("%d examples; %d values and %d misses of %d parameters were asked for", len(all), hits, misses, len(used))
	})
}

// faulty are the examples that are no valid R4: they have a narrative without content, lack a
// linkId, or refer to a type that the element does not allow.
var faulty = map[string]bool{
	"ActivityDefinition/blood-tubes-supply": true, "ActivityDefinition/heart-valve-replacement": true, "DeviceUseStatement/example": true,
	"MedicationRequest/medrx0301": true, "Observation/clinical-gender": true, "Questionnaire/qs1": true, "Questionnaire/zika-virus-exposure-assessment": true,
}

// content is a resource without what the server sets.
func content(t *testing.T, body []byte) any {
	t.Helper()
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if meta, ok := v["meta"].(map[string]any); ok {
		delete(meta, "versionId")
		delete(meta, "lastUpdated")
		if len(meta) == 0 {
			delete(v, "meta")
		}
	}
	return v
}

// expected is what finds a resource by one of its values, and what does not; "" for none.
type expected struct{ modifier, hit, miss string }

// valuesOf are the values of a resource under a parameter, and how a caller asks for them.
func valuesOf(t *testing.T, n *fhir.Node, p *search.Parameter) (out []expected) {
	t.Helper()
	switch {
	case p.Code == "_lastUpdated":
		return []expected{{"", "gt2020", "lt2020"}}
	case p.Code == "_text":
		return askWords(n.Str("text", "div"))
	case p.Code == "_content":
		for _, name := range []string{"text.div", "code.text", "description", "name.family", "code.coding.display", "title", "name", "contained.text.div"} {
			for _, text := range n.Each(strings.Split(name, ".")...) {
				out = append(out, askWords(text.Text)...)
			}
		}
		return out
	case p.Kind == search.Composite:
		return pairsOf(t, n, p)
	case p.Key() == "CarePlan.activity-date" && n.Get("activity") != nil && strings.Contains(string(n.Raw), "scheduledString"):
		return nil // a text that may look like a date
	case p.Code == "_id":
		return []expected{{"", n.Str("id"), n.Str("id") + "x"}}
	}
	found := evaluate(t, n, n, p.Expression)
	ask := asks[p.Kind]
	if p.Code == "phonetic" {
		ask = askSound
	}
	for _, v := range found {
		out = append(out, ask(v, len(found) == 1)...)
	}
	return out
}

var asks = map[search.Kind]func(v *fhir.Node, only bool) []expected{
	search.Token: askToken, search.Reference: askReference, search.Date: askDate, search.String: askString, search.URI: askURI,
	search.Number: askNumber, search.Quantity: askQuantity, search.Special: askPosition,
}

// evaluate gives what the other engine finds in a part of a resource.
func evaluate(t *testing.T, root, part *fhir.Node, expression string) (out []*fhir.Node) {
	t.Helper()
	compiled, err := fhirpath.GetCached(expression)
	if err != nil {
		t.Fatal(err)
	}
	found, err := compiled.EvaluateWithOptions(part.Raw, fhirpath.WithResolver(stubs{root}))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	for _, f := range found {
		switch f := f.(type) {
		case *types.ObjectValue:
			v, err := fhir.Parse(f.Data())
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, v)
		case types.Boolean:
			out = append(out, &fhir.Node{Kind: fhir.Bool, Text: f.String()})
		default:
			out = append(out, &fhir.Node{Kind: fhir.String, Text: f.String()})
		}
	}
	return out
}

// pairsOf asks a composite for the values that stand together, and for the first of them with
// another second one.
func pairsOf(t *testing.T, n *fhir.Node, p *search.Parameter) (out []expected) {
	t.Helper()
	for _, context := range evaluate(t, n, n, p.Expression) {
		if context.Get("detail", "scheduledString") != nil {
			continue // a text that may look like a date
		}
		hits, misses := []string{""}, []string{""}
		for i, c := range p.Components {
			var next, near []string
			for _, v := range evaluate(t, n, context, c.Expression) {
				for _, e := range asks[c.Kind](v, false) {
					if e.modifier != "" || e.hit == "" {
						continue
					}
					for _, before := range hits {
						next = append(next, strings.TrimPrefix(before+"$"+e.hit, "$"))
						if i > 0 && e.miss != "" {
							near = append(near, before+"$"+e.miss)
						}
					}
				}
			}
			hits, misses = next, near
		}
		for i := range max(len(hits), len(misses)) {
			var e expected
			if i < len(hits) {
				e.hit = hits[i]
			}
			if i < len(misses) {
				e.miss = misses[i]
			}
			out = append(out, e)
		}
	}
	return out
}

var (
	tagOrEntity = regexp.MustCompile(`<[^>]*>|&[^;]*;`)
	plainWord   = regexp.MustCompile(`^[A-Za-z]{5,}$`)
)

// askWords asks for some words of a text, and all of them together in quotes where they are
// neighbours.
func askWords(text string) (out []expected) {
	words := strings.Fields(tagOrEntity.ReplaceAllString(text, " "))
	for i, word := range words {
		if len(out) > 3 || !plainWord.MatchString(word) {
			continue
		}
		out = append(out, expected{"", strings.ToUpper(word), word + "qx"})
		if i > 0 && plainWord.MatchString(words[i-1]) {
			out = append(out, expected{"", `"` + words[i-1] + " " + word + `"`, `"` + words[i-1] + "qx " + word + `"`})
		}
	}
	return out
}

// askSound asks for a name by its own sound, and by one that begins with a letter which no name here
// begins with.
func askSound(v *fhir.Node, _ bool) (out []expected) {
	for _, part := range append(v.Each("family"), v.Each("given")...) {
		if plainWord.MatchString(part.Text) {
			out = append(out, expected{"", strings.ToUpper(part.Text), "x" + part.Text})
		}
	}
	return out
}

func askToken(v *fhir.Node, _ bool) (out []expected) {
	one := func(system, code string) {
		if code == "" {
			return
		}
		with := search.Escape(system) + "|" + search.Escape(code)
		out = append(out, expected{"", with, with + "x"}, expected{"", search.Escape(code), search.Escape(code) + "x"}, expected{":not", with + "x", with})
	}
	switch {
	case v.Kind == fhir.Bool:
		other := map[string]string{"true": "false", "false": "true"}[v.Text]
		out = append(out, expected{"", v.Text, other}, expected{":not", other, v.Text})
	case v.Kind != fhir.Object:
		value := search.Escape(v.Text)
		out = append(out, expected{"", value, value + "x"}, expected{":not", value + "x", value})
	case v.Get("coding") != nil:
		for _, c := range v.Each("coding") {
			one(c.Str("system"), c.Str("code"))
		}
	case v.Get("value") != nil && !strings.Contains(v.Str("system"), ":"): // a ContactPoint, or an Identifier without a system
		value := search.Escape(v.Str("value"))
		out = append(out, expected{"", value, value + "x"})
	case v.Get("value") != nil:
		one(v.Str("system"), v.Str("value"))
	default:
		one(v.Str("system"), v.Str("code"))
	}
	return out
}

func askReference(v *fhir.Node, _ bool) []expected {
	ref := v.Text
	if v.Kind == fhir.Object {
		ref = v.Str("reference")
	}
	ref, _, _ = strings.Cut(ref, "/_history/")
	ref, _, _ = strings.Cut(ref, "|")
	if ref == "" || strings.HasPrefix(ref, "#") || !strings.ContainsAny(ref, "/:") {
		return nil
	}
	return []expected{{"", search.Escape(ref), search.Escape(ref) + "x"}}
}

func askDate(v *fhir.Node, only bool) []expected {
	if v.Kind != fhir.Object {
		if _, err := time.Parse("2006", v.Text[:min(4, len(v.Text))]); err != nil {
			return nil // scheduledString
		}
		out := []expected{{"", v.Text, ""}, {"", "ge" + v.Text, ""}, {"", "le" + v.Text, ""}}
		if only {
			out = append(out, expected{"", "", "gt" + v.Text}, expected{"", "", "lt" + v.Text}, expected{"", "", "ne" + v.Text})
		}
		return out
	}
	start, end := v.Str("start"), v.Str("end")
	if bounds := v.Get("repeat", "boundsPeriod"); bounds != nil {
		start, end = bounds.Str("start"), bounds.Str("end")
	}
	var out []expected
	if start != "" {
		out = append(out, expected{"", "ge" + start, ""})
		if only {
			out = append(out, expected{"", "", "lt" + start}, expected{"", "", "eb" + start})
		}
	}
	if end != "" {
		out = append(out, expected{"", "le" + end, ""})
		if only {
			out = append(out, expected{"", "", "gt" + end}, expected{"", "", "sa" + end})
		}
	}
	return out
}

func askString(v *fhir.Node, _ bool) (out []expected) {
	var texts []string
	if v.Kind != fhir.Object {
		texts = append(texts, v.Text)
	}
	for _, name := range []string{"family", "given", "text", "line", "city", "district", "state", "country", "postalCode"} {
		for _, part := range v.Each(name) {
			texts = append(texts, part.Text)
		}
	}
	for _, text := range texts {
		if words := strings.Fields(text); len(text) > 400 { // longer texts can be asked for in part
			some := strings.Join(words[len(words)-20:], " ")
			if len(some) < 400 {
				out = append(out, expected{":contains", search.Escape(some), search.Escape(some) + "x"}, expected{":exact", search.Escape(text), search.Escape(text) + "x"})
			}
			continue
		}
		if strings.TrimSpace(text) == "" {
			continue
		}
		value := search.Escape(text)
		out = append(out, expected{"", value, value + "x"}, expected{":exact", value, value + "x"}, expected{":contains", search.Escape(strings.ToUpper(text)), value + "x"})
	}
	return out
}

func askURI(v *fhir.Node, _ bool) []expected {
	value := search.Escape(v.Text)
	return []expected{{"", value, value + "x"}}
}

func askNumber(v *fhir.Node, only bool) []expected {
	if v.Kind == fhir.Object {
		return nil
	}
	out := []expected{{"", v.Text, ""}, {"", "ge" + v.Text, ""}}
	if only {
		out = append(out, expected{"", "", "gt" + v.Text}, expected{"", "", "ne" + v.Text})
	}
	return out
}

func askQuantity(v *fhir.Node, only bool) []expected {
	number := v.Get("value")
	if number == nil || v.Get("comparator") != nil {
		return nil
	}
	unit := "|" + search.Escape(v.Str("system")) + "|" + search.Escape(v.Str("code"))
	if v.Str("code") == "" {
		unit = "||" + search.Escape(v.Str("unit"))
	}
	if unit == "||" {
		unit = ""
	}
	value := number.Text + unit
	out := []expected{{"", value, ""}, {"", number.Text, number.Text + "||nothing"}, {"", "le" + value, ""}}
	if only {
		out = append(out, expected{"", "", "gt" + value}, expected{"", "", "lt" + value}, expected{"", "", "ne" + value})
	}
	return out
}

func askPosition(v *fhir.Node, _ bool) []expected {
	at := v.Get("latitude").Text + "|" + v.Get("longitude").Text
	return []expected{{"", at + "|1|km", "0|0|1|m"}}
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
