package careplan

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"aftercare/definitions"
	"aftercare/fhir"
)

// testdata/facts.tsv lists every source fact with what carries it, and what is still to come.
// What carries it is read from the definitions and the derived samples; with -update the column
// is rewritten, the remarks are kept.
func TestEveryFactIsCarried(t *testing.T) {
	const file = "../../testdata/facts.tsv"
	carriers := factCarriers(t)
	rows := readFacts(t, file)
	var out strings.Builder
	out.WriteString("fact\tcarriers\tstill to come\n")
	labels := builtIn(t).terms.concepts
	count := 0
	for _, series := range []struct {
		letter string
		last   int
	}{{"A", 73}, {"B", 35}} {
		for i := 1; i <= series.last; i++ {
			fact := fmt.Sprintf("%s%02d", series.letter, i)
			count++
			if labels[coding{System: fhir.Canonical + "/CodeSystem/source-fact", Code: fact}] == nil {
				t.Errorf("%s is not in the code system", fact)
			}
			slices.Sort(carriers[fact])
			found := strings.Join(nearest(slices.Compact(carriers[fact])), ", ")
			row, listed := rows[fact]
			switch {
			case *update:
			case !listed:
				t.Errorf("%s is not listed", fact)
			case row[0] != found:
				t.Errorf("%s is carried by %q, listed as %q", fact, found, row[0])
			case found == "":
				t.Errorf("%s is not carried", fact)
			}
			fmt.Fprintf(&out, "%s\t%s\t%s\n", fact, found, row[1])
		}
	}
	if count != 108 {
		t.Errorf("%d facts", count)
	}
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// nearest leaves out the definitions of a fact that reaches a plan.
func nearest(carriers []string) []string {
	inPlan := func(c string) bool { return strings.HasPrefix(c, "activity ") || strings.HasPrefix(c, "goal ") }
	if !slices.ContainsFunc(carriers, inPlan) {
		return carriers
	}
	return slices.DeleteFunc(carriers, func(c string) bool { return !inPlan(c) })
}

func readFacts(t *testing.T, file string) map[string][2]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][2]string{}
	for _, line := range strings.Split(strings.TrimRight(string(data), "\n"), "\n")[1:] {
		cells := strings.Split(line, "\t")
		if len(cells) != 3 {
			t.Fatalf("%q has %d cells", line, len(cells))
		}
		rows[cells[0]] = [2]string{cells[1], cells[2]}
	}
	return rows
}

// factCarriers finds every source-fact extension: on activities and goals of the derived
// samples, and on elements of the definitions, each named by the nearest id or code.
func factCarriers(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	nodes, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		walkFacts(n, "", func(fact, place string) {
			name := n.Str("resourceType") + "/" + n.Str("id")
			if place != "" {
				name += "#" + place
			}
			found[fact] = append(found[fact], name)
		})
	}
	e := builtIn(t)
	for _, file := range surgeryFiles(t) {
		r := derive(t, e, readBundle(t, file))
		for _, plan := range only(t, r, "CarePlan") {
			for _, a := range plan.Each("activity") {
				id := a.Str("id")[strings.LastIndex(a.Str("id"), ".")+1:]
				walkFacts(a, "", func(fact, _ string) { found[fact] = append(found[fact], "activity "+id) })
			}
		}
		for _, goal := range only(t, r, "Goal") {
			value := identifierIn(goal, goalSystem)
			id := value[strings.LastIndexAny(value, ".#")+1:]
			for _, fact := range factsOf(goal) {
				found[fact] = append(found[fact], "goal "+id)
			}
		}
	}
	return found
}

func walkFacts(n *fhir.Node, place string, visit func(fact, place string)) {
	if n == nil {
		return
	}
	if n.Kind == fhir.Object && n.Str("resourceType") == "" {
		if id := n.Str("id"); id != "" {
			place = id
		} else if code := n.Str("code"); code != "" && n.Get("definition") != nil {
			place = code
		}
	}
	if n.Kind == fhir.Object {
		for _, x := range n.Each("extension") {
			if x.Str("url") == factExtension {
				visit(x.Str("valueCoding", "code"), place)
			}
		}
	}
	for _, m := range n.Members {
		if m.Name != "extension" {
			walkFacts(m.Value, place, visit)
		}
	}
	for _, item := range n.Items {
		walkFacts(item, place, visit)
	}
}
