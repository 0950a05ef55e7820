package careplan

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	samply "github.com/samply/golang-fhir-models/fhir-models/fhir"

	"aftercare/fhir"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A Bundle in testdata/surgery is a case: what it leads to lies beside it in golden/, one
// file per kind of resource, and the notices.
func TestGolden(t *testing.T) {
	e := builtIn(t)
	for _, file := range surgeryFiles(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			r := derive(t, e, readBundle(t, file))
			found := map[string][]json.RawMessage{}
			for _, p := range r.Resources {
				found[p.Type] = append(found[p.Type], p.Body)
			}
			for kind, suffix := range map[string]string{
				"CarePlan": "careplan", "Task": "tasks", "Goal": "goals", "DetectedIssue": "detectedissues", "RiskAssessment": "risks", "Flag": "flags",
			} {
				golden(t, name+"."+suffix+".json", found[kind])
			}
			var notices []json.RawMessage
			for _, n := range r.Notices {
				notices = append(notices, encode(struct {
					Procedure string
					Issue     fhir.Issue
				}{n.Procedure, n.Issue}))
			}
			golden(t, name+".notices.json", notices)
		})
	}
}

func golden(t *testing.T, name string, bodies []json.RawMessage) {
	t.Helper()
	file := filepath.Join("../../testdata/surgery/golden", name)
	if len(bodies) == 0 {
		if *update {
			_ = os.Remove(file)
		} else if _, err := os.Stat(file); err == nil {
			t.Errorf("%s: nothing of the kind was derived", name)
		}
		return
	}
	got := indent(t, encode(bodies))
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; see what changed with go test -run Golden -update and git diff", name)
	}
}

// A plan with what exists already is the same plan: the judge is the store's own.
func TestDerivingAgainChangesNothing(t *testing.T) {
	e := builtIn(t)
	for _, file := range surgeryFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c := readBundle(t, file)
			first := derive(t, e, c)
			c = stored(t, c, first)
			c.At = c.At.AddDate(0, 1, 0)
			second := derive(t, e, c)
			if len(first.Resources) != len(second.Resources) {
				t.Fatalf("%d resources, then %d", len(first.Resources), len(second.Resources))
			}
			for i, p := range first.Resources {
				if q := second.Resources[i]; p.ID != q.ID || !sameContent(t, p.Body, q.Body) {
					t.Errorf("%s changed\n%s\n%s", p.Type, p.Body, q.Body)
				}
			}
		})
	}
}

// Clients with typed models read the plan: decoded, written and parsed again it says the
// same.
func TestTypedClientsReadThePlan(t *testing.T) {
	e := builtIn(t)
	for _, file := range surgeryFiles(t) {
		for _, p := range derive(t, e, readBundle(t, file)).Resources {
			if p.Type != "CarePlan" {
				continue
			}
			typed, err := samply.UnmarshalCarePlan(p.Body)
			if err != nil {
				t.Fatal(err)
			}
			again, err := typed.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if got, want := flat(t, again), flat(t, p.Body); got != want {
				t.Errorf("%s: a typed client reads\n%s\ninstead of\n%s", filepath.Base(file), got, want)
			}
		}
	}
}

// flat writes JSON with sorted members.
func flat(t *testing.T, body []byte) string {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(v)
}
