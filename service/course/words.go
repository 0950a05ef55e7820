package course

import (
	"fmt"
	"strings"

	"aftercare/fhir"
)

// wordsSystem is the CodeSystem whose definitions are the words in charts.
const wordsSystem = fhir.Canonical + "/CodeSystem/pain-chart"

// wordsNeeded are its codes.
var wordsNeeded = []string{
	"no-reports", "no-anchor", "after-operation", "after-report", "window-any", "window-until", "window-from", "window-between",
	"no-site", "trend", "some-without-side",
}

// Words are what stands in charts, by the codes of CodeSystem/pain-chart.
type Words map[string]string

// Words are those of the definitions.
func (r *Rules) Words() Words { return r.words }

// readWords reads the CodeSystem. The error names what is missing.
func readWords(definitions []*fhir.Node) (Words, error) {
	w := Words{}
	for _, d := range definitions {
		if d.Str("resourceType") != "CodeSystem" || d.Str("url") != wordsSystem {
			continue
		}
		for _, c := range d.Each("concept") {
			w[c.Str("code")] = c.Str("definition")
		}
	}
	for _, code := range wordsNeeded {
		if w[code] == "" {
			return nil, fmt.Errorf("%s has no definition of %s", wordsSystem, code)
		}
	}
	return w, nil
}

// Say is the text of a code with values in the place of words in braces, given as names and values.
// What stands in a value is left as it is.
func (w Words) Say(code string, values ...string) string {
	var pairs []string
	for i := 0; i+1 < len(values); i += 2 {
		pairs = append(pairs, "{"+values[i]+"}", values[i+1])
	}
	return strings.NewReplacer(pairs...).Replace(w[code])
}
