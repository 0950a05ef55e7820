package careplan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/definitions"
	"aftercare/fhir"
)

var at = time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)

func london(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func builtIn(t testing.TB) *Engine {
	t.Helper()
	nodes, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	e, err := Compile(nodes, london(t))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func parse(t testing.TB, text string) *fhir.Node {
	t.Helper()
	n, err := fhir.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func source(t testing.TB, text string) Source {
	t.Helper()
	n := parse(t, text)
	return Source{Type: n.Str("resourceType"), ID: n.Str("id"), Version: 1, Node: n}
}

// surgery is a folder of Bundles as feeds send them; readBundle gives each entry the last
// part of its urn as id and turns urn references into references.
func readBundle(t testing.TB, file string) Case {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var bundle struct {
		Entry []struct {
			FullURL  string          `json:"fullUrl"`
			Resource json.RawMessage `json:"resource"`
		} `json:"entry"`
	}
	if err := json.Unmarshal(data, &bundle); err != nil {
		t.Fatal(err)
	}
	var replace []string
	for _, e := range bundle.Entry {
		kind := parse(t, string(e.Resource)).Str("resourceType")
		replace = append(replace, e.FullURL, kind+"/"+strings.TrimPrefix(e.FullURL, "urn:uuid:"))
	}
	replacer := strings.NewReplacer(replace...)
	c := Case{At: at}
	for _, e := range bundle.Entry {
		text := replacer.Replace(string(e.Resource))
		id := strings.TrimPrefix(e.FullURL, "urn:uuid:")
		text = strings.Replace(text, "{", `{"id":"`+id+`",`, 1)
		s := source(t, text)
		switch s.Type {
		case "Patient":
			c.Subject, c.Patient = s.ref(), &s
		case "Procedure", "Device", "BodyStructure":
			c.Inputs = append(c.Inputs, s)
		}
	}
	return c
}

func derive(t testing.TB, e *Engine, c Case) Result {
	t.Helper()
	r, err := e.Derive(c)
	for _, p := range r.Resources {
		if whole := parse(t, string(p.Body)); !alike(p.Node, whole) {
			t.Fatalf("the tree of %s/%s is another than its text", p.Type, p.ID)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, p := range r.Resources {
		if seen[p.Type+"/"+p.ID] {
			t.Fatalf("%s/%s is prescribed twice", p.Type, p.ID)
		}
		seen[p.Type+"/"+p.ID] = true
	}
	return r
}

// stored puts what was derived into the case, as the caller's store would.
func stored(t testing.TB, c Case, r Result) Case {
	t.Helper()
	byRef := map[string]int{}
	c.Existing = append([]Source{}, c.Existing...)
	for i, s := range c.Existing {
		byRef[s.ref()] = i
	}
	for _, p := range r.Resources {
		n := parse(t, string(p.Body))
		stamped := fhir.NewDraft(n).Stamp(p.ID, 1, at)
		s := Source{Type: p.Type, ID: p.ID, Version: 1, Node: parse(t, string(stamped.Body))}
		if i, ok := byRef[s.ref()]; ok {
			c.Existing[i] = s
		} else {
			c.Existing = append(c.Existing, s)
		}
	}
	return c
}

func sameContent(t testing.TB, a, b []byte) bool {
	t.Helper()
	return fhir.NewDraft(parse(t, string(a))).Same(fhir.NewDraft(parse(t, string(b))))
}

func only(t testing.TB, r Result, kind string) []*fhir.Node {
	t.Helper()
	var found []*fhir.Node
	for _, p := range r.Resources {
		if p.Type == kind {
			found = append(found, parse(t, string(p.Body)))
		}
	}
	return found
}

func plan1(t testing.TB, r Result) *fhir.Node {
	t.Helper()
	plans := only(t, r, "CarePlan")
	if len(plans) != 1 {
		t.Fatalf("%d care plans, want 1", len(plans))
	}
	return plans[0]
}

// dates lists the activities of a plan with what is scheduled.
func dates(plan *fhir.Node) map[string]string {
	found := map[string]string{}
	for _, a := range plan.Each("activity") {
		found[a.Str("id")] = when(a.Get("detail"))
	}
	return found
}

func codesTold(r Result) []string {
	var found []string
	for _, n := range r.Notices {
		found = append(found, n.Issue.Detail)
	}
	return found
}

func indent(t testing.TB, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, body, "", "  "); err != nil {
		t.Fatal(err)
	}
	b.WriteByte('\n')
	return b.Bytes()
}

func surgeryFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("../../testdata/surgery/*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	return files
}

// op is a Procedure in JSON, with the members given as text put after the usual ones.
func op(id, code, when, more string) string {
	if when != "" {
		when = fmt.Sprintf(`"performedDateTime":%q,`, when)
	}
	if more == "" {
		more = femurLeft
	}
	return fmt.Sprintf(`{"resourceType":"Procedure","id":%q,"status":"completed",%s
	 "code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":%q}]},
	 "subject":{"reference":"Patient/p"},%s}`, id, when, code, more)
}

const (
	femurLeft  = `"bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"},{"system":"http://snomed.info/sct","code":"7771000"}]}]`
	femurRight = `"bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"},{"system":"http://snomed.info/sct","code":"24028007"}]}]`
	tibiaLeft  = `"bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"12611008"},{"system":"http://snomed.info/sct","code":"7771000"}]}]`
	femur      = `"bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"}]}]`
)

func caseOf(t testing.TB, texts ...string) Case {
	t.Helper()
	c := Case{Subject: "Patient/p", At: at}
	for _, text := range texts {
		c.Inputs = append(c.Inputs, source(t, text))
	}
	return c
}

// alike reports that two trees say the same.
func alike(a, b *fhir.Node) bool {
	return a.Kind == b.Kind && a.Text == b.Text && string(a.Raw) == string(b.Raw) && slices.EqualFunc(a.Items, b.Items, alike) &&
		slices.EqualFunc(a.Members, b.Members, func(a, b fhir.Member) bool { return a.Name == b.Name && alike(a.Value, b.Value) })
}
