package patch

import (
	"os"
	"strings"
	"sync"
	"testing"

	"aftercare/fhir"
)

// r4Schema reads the table of R4 types that the validator is made from.
func r4Schema(t testing.TB) Schema {
	t.Helper()
	read := readR4()
	if len(read.bases) == 0 {
		t.Fatal("the table of R4 types could not be read")
	}
	return func(structure, name string) (types []string, choice, repeats bool) {
		for structure != "" {
			if f, ok := read.lines[structure][name]; ok {
				for typ := range strings.SplitSeq(f[2], ",") {
					typ, _, _ = strings.Cut(typ, "(")
					types = append(types, typ)
				}
				return types, strings.HasSuffix(f[0], "[x]"), strings.Contains(f[1], "*")
			}
			structure = read.bases[structure]
		}
		return nil, false, false
	}
}

type r4Table struct {
	bases map[string]string
	lines map[string]map[string][]string
}

var readR4 = sync.OnceValue(func() r4Table {
	r := r4Table{bases: map[string]string{}, lines: map[string]map[string][]string{}}
	text, err := os.ReadFile("../validate/r4.txt")
	if err != nil {
		return r
	}
	at := ""
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case f[0] == "valueset":
			at = ""
		case f[0] != "" && len(f) == 3:
			at = f[1]
			r.bases[at], r.lines[at] = f[2], map[string][]string{}
		case at != "" && f[0] == "" && len(f) > 3:
			r.lines[at][strings.TrimSuffix(f[1], "[x]")] = f[1:]
		}
	}
	return r
})

func parse(t testing.TB, s string) *fhir.Node {
	t.Helper()
	n, err := fhir.Parse([]byte(s))
	if err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	return n
}

func TestSchemaOfTheTable(t *testing.T) {
	s := r4Schema(t)
	for _, c := range []struct {
		structure, name, types string
		choice, repeats        bool
	}{
		{"Patient", "name", "HumanName", false, true},
		{"Patient", "deceased", "boolean dateTime", true, false},
		{"Patient", "contact", "Patient.contact", false, true},
		{"Patient.contact", "extension", "Extension", false, true},
		{"Patient", "id", "id", false, false},
		{"Element", "extension", "Extension", false, true},
		{"Patient", "deceasedBoolean", "", false, false},
		{"Patient", "contained", "Resource", false, true},
		{"Nothing", "id", "", false, false},
	} {
		types, choice, repeats := s(c.structure, c.name)
		if got := strings.Join(types, " "); got != c.types || choice != c.choice || repeats != c.repeats {
			t.Errorf("%s.%s: %q %t %t", c.structure, c.name, got, choice, repeats)
		}
	}
}
