package search

import (
	_ "embed"
	"fmt"
	"strings"
)

// The R4 search parameters of the served types: facts, one per line.
//
//go:embed parameters.txt
var parametersText string

// fact is what defines one parameter of one type: a line of parameters.txt, or a SearchParameter.
type fact struct {
	typ, code, kind, expression, definition string
	targets                                 []string
	// system is the code system that the elements' required ValueSet implies, where they are
	// of type code.
	system string
	// types are those that the values can have; none where they are not known.
	types []string
	// single is set where a resource has one row at most.
	single     bool
	components []componentFact
}

// componentFact is a part of a composite: the canonical URL of the parameter that it is like, and
// its expression from the composite's context.
type componentFact struct{ definition, expression string }

const officialDefinitions = "http://hl7.org/fhir/SearchParameter/"

// The parameters without an expression, which R4 defines for all types, and for those with a
// narrative (https://hl7.org/fhir/R4/search.html#all).
const contentCode, textCode = "_content", "_text"

// readFacts reads the lines of parameters.txt, whose fields are separated by tabs; "#" begins a
// comment.
func readFacts(text string) ([]fact, error) {
	var all []fact
	for i, line := range lines(text) {
		f := strings.Split(line, "\t")
		if len(f) != 10 {
			return nil, fmt.Errorf("parameters.txt: entry %d has %d fields, not 10", i+1, len(f))
		}
		p := fact{
			typ: f[0], code: f[1], kind: f[2], targets: fields(f[3], ","), expression: f[4], system: f[5],
			definition: officialDefinitions + f[6], types: fields(f[7], ","), single: f[8] == "1",
		}
		for _, c := range fields(f[9], ";") {
			id, expression, _ := strings.Cut(c, "=")
			p.components = append(p.components, componentFact{officialDefinitions + id, expression})
		}
		all = append(all, p)
	}
	return all, nil
}

// fields splits s, and gives none for "".
func fields(s, separator string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, separator)
}

// lines are the lines of a data file without comments and empty ones.
func lines(text string) []string {
	var kept []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line != "" && !strings.HasPrefix(line, "#") {
			kept = append(kept, line)
		}
	}
	return kept
}
