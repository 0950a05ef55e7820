package careplan

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aftercare/definitions"
	"aftercare/fhir"
	"aftercare/fhir/validate"
)

const ourExtensions = fhir.Canonical + "/StructureDefinition/"

// Every extension of ours that the definitions or the recorded results use has a
// StructureDefinition, which allows it there; and none is defined that nothing names.
func TestEveryExtensionOfOursIsDefined(t *testing.T) {
	nodes, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	r4, err := validate.New()
	if err != nil {
		t.Fatal(err)
	}
	contexts := map[string][]string{}
	for _, n := range nodes {
		if n.Str("resourceType") == "StructureDefinition" && n.Str("type") == "Extension" {
			for _, c := range n.Each("context", "expression") {
				contexts[n.Str("url")] = append(contexts[n.Str("url")], c.Text)
			}
		}
	}
	visit := func(url, place string) {
		t.Helper()
		allowed, defined := contexts[url]
		switch {
		case !defined:
			t.Errorf("%s is used at %s and not defined", url, place)
		case !slices.Contains(allowed, place) && !slices.Contains(allowed, "Element"):
			t.Errorf("%s is used at %s, and defined for %v", url, place, allowed)
		}
	}
	for _, pattern := range []string{"../../testdata/surgery/golden/*.json", "../../testdata/cases/*/want/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			n := parse(t, string(data))
			walkExtensions(n, "", r4, visit)
		}
	}
	for _, n := range nodes {
		walkExtensions(n, "", r4, visit)
	}
	named := sources(t)
	for url := range contexts {
		if !strings.Contains(named, `"/StructureDefinition/`+strings.TrimPrefix(url, ourExtensions)+`"`) {
			t.Errorf("%s is defined and no code names it", url)
		}
	}
	for _, line := range strings.Split(named, "\n") {
		if _, id, is := strings.Cut(line, `fhir.Canonical + "/StructureDefinition/`); is {
			if id, _, _ := strings.Cut(id, `"`); contexts[ourExtensions+id] == nil {
				t.Errorf("%s is named in code and not defined", id)
			}
		}
	}
}

// sources is the text of the packages that write extensions, without tests.
func sources(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, pattern := range []string{"*.go", "../*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(data)
		}
	}
	return b.String()
}

// walkExtensions visits each extension of ours with the id of the element that has it.
func walkExtensions(n *fhir.Node, place string, r4 *validate.Validator, visit func(url, place string)) {
	if n == nil {
		return
	}
	if n.Kind == fhir.Object && n.Str("resourceType") != "" {
		place = n.Str("resourceType")
	}
	if n.Kind == fhir.Object { // Each looks into lists
		for _, x := range n.Each("extension") {
			if url := x.Str("url"); strings.HasPrefix(url, ourExtensions) {
				visit(url, place)
			}
		}
	}
	for _, m := range n.Members {
		under := place + "." + elementOf(r4, place, strings.TrimPrefix(m.Name, "_"))
		if under == "PlanDefinition.action.action" { // defined as what PlanDefinition.action is
			under = place
		}
		walkExtensions(m.Value, under, r4, visit)
	}
	for _, item := range n.Items {
		walkExtensions(item, place, r4, visit)
	}
}

// elementOf is the name of the element that a member of JSON is of: when[x] for whenPeriod.
func elementOf(r4 *validate.Validator, structure, member string) string {
	for i, c := range member {
		if c < 'A' || c > 'Z' {
			continue
		}
		if _, choice, _ := r4.Element(structure, member[:i]); choice {
			return member[:i] + "[x]"
		}
	}
	return member
}
