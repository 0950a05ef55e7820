package search

import (
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"aftercare/fhir"
)

// The R4 search parameters of the served types: facts, one per line.
//
//go:embed parameters.txt
var parametersText string

// The parameters that are switched on, by hand.
//
//go:embed declared.txt
var declaredText string

// Registry holds the search parameters that are switched on. It is read-only after
// NewRegistry and safe for concurrent use.
type Registry struct {
	types map[string]*typeEntries
}

// typeEntries are the parameters of one resource type.
type typeEntries struct {
	entries []entry // sorted by code
	params  []*Parameter
	byCode  map[string]*entry
}

// entry is one parameter with what only this package needs.
type entry struct {
	param *Parameter
	paths []path
	// system is the code system that the elements' required ValueSet implies, where they
	// are of type code; else "".
	system string
}

// NewRegistry switches on the R4 parameters of declared.txt and the given SearchParameter
// resources (https://hl7.org/fhir/R4/searchparameter.html). An error names the parameter
// and the reason: it exists already, its type cannot be searched, its base is not served,
// or its expression is not understood.
func NewRegistry(extra ...*fhir.Node) (*Registry, error) {
	r := &Registry{types: make(map[string]*typeEntries)}
	for _, t := range fhir.ServedTypes() {
		r.types[t.Name] = &typeEntries{byCode: make(map[string]*entry)}
	}
	official, err := readParameters(parametersText)
	if err != nil {
		return nil, err
	}
	if err := r.declare(official, declaredText); err != nil {
		return nil, err
	}
	for _, n := range extra {
		if err := r.addResource(n); err != nil {
			return nil, fmt.Errorf("SearchParameter %q: %w", n.Str("url"), err)
		}
	}
	for _, t := range r.types {
		for _, code := range slices.Sorted(maps.Keys(t.byCode)) {
			e := t.byCode[code]
			t.params = append(t.params, e.param)
			if e.paths != nil {
				t.entries = append(t.entries, *e)
			}
		}
	}
	return r, nil
}

// Parameters lists the parameters of a type by code, _id and _lastUpdated included; nil for
// a type that is not served. The caller must not change the list.
func (r *Registry) Parameters(typ string) []*Parameter {
	if t := r.types[typ]; t != nil {
		return t.params
	}
	return nil
}

// Lookup finds a parameter by resource type and code.
func (r *Registry) Lookup(typ, code string) (*Parameter, bool) {
	if e := r.entry(typ, code); e != nil {
		return e.param, true
	}
	return nil, false
}

func (r *Registry) entry(typ, code string) *entry {
	if t := r.types[typ]; t != nil {
		return t.byCode[code]
	}
	return nil
}

// codes lists the codes of a type's parameters, for messages.
func (r *Registry) codes(typ string) string {
	var codes []string
	for _, p := range r.Parameters(typ) {
		codes = append(codes, p.Code)
	}
	return list(codes)
}

// list joins words for a message, and stops after two dozen.
func list(words []string) string {
	const most = 24
	if len(words) > most {
		return strings.Join(words[:most], ", ") + ", …"
	}
	return strings.Join(words, ", ")
}

// official is one line of parameters.txt.
type official struct {
	typ, code, kind, expression, system string
	targets                             []string
}

// readParameters reads the lines of parameters.txt: type, code, kind, targets, expression
// and implied code system, separated by tabs; "#" begins a comment. Of the official
// parameters only some can be switched on; see add.
func readParameters(text string) ([]official, error) {
	var all []official
	for i, line := range lines(text) {
		f := strings.Split(line, "\t")
		if len(f) != 6 {
			return nil, fmt.Errorf("parameters.txt: entry %d has %d fields, not 6", i+1, len(f))
		}
		p := official{typ: f[0], code: f[1], kind: f[2], expression: f[4], system: f[5]}
		if f[3] != "" {
			p.targets = strings.Split(f[3], ",")
		}
		all = append(all, p)
	}
	return all, nil
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

// declare switches on what declared.txt lists: on each line a code and the types that it
// is for, "*" for every type that has it.
func (r *Registry) declare(known []official, text string) error {
	byCode := make(map[string][]official)
	for _, p := range known {
		byCode[p.code] = append(byCode[p.code], p)
	}
	for _, line := range lines(text) {
		words := strings.Fields(line)
		code, types := words[0], words[1:]
		if len(types) == 0 || len(byCode[code]) == 0 {
			return fmt.Errorf("declared.txt: %s: no types are given, or no R4 parameter has this code", code)
		}
		found := 0
		for _, p := range byCode[code] {
			if types[0] != "*" && !slices.Contains(types, p.typ) {
				continue
			}
			found++
			if err := r.add(p); err != nil {
				return fmt.Errorf("declared.txt: %s.%s: %w", p.typ, p.code, err)
			}
		}
		if types[0] != "*" && found != len(types) {
			return fmt.Errorf("declared.txt: %s: not all of these types have it in R4: %s", code, list(types))
		}
	}
	return nil
}

// codePattern is the form of a parameter's code, and of what a message may repeat.
var codePattern = regexp.MustCompile(`^_?[A-Za-z][A-Za-z0-9-]{0,63}$`)

func (r *Registry) addResource(n *fhir.Node) error {
	if n.Str("resourceType") != "SearchParameter" {
		return fmt.Errorf("it is not a SearchParameter")
	}
	bases := n.Each("base")
	if len(bases) == 0 {
		return fmt.Errorf("it has no base")
	}
	p := official{code: n.Str("code"), kind: n.Str("type")}
	for _, target := range n.Each("target") {
		p.targets = append(p.targets, target.Text)
	}
	for _, base := range bases {
		p.typ = base.Text
		p.expression = Branches(n.Str("expression"), p.typ)
		if err := r.add(p); err != nil {
			return fmt.Errorf("%s.%s: %w", p.typ, p.code, err)
		}
	}
	return nil
}

func (r *Registry) add(p official) error {
	t := r.types[p.typ]
	switch {
	case t == nil:
		return fmt.Errorf("the type is not served")
	case !codePattern.MatchString(p.code):
		return fmt.Errorf("the code is not a word of letters, digits and dashes")
	case resultParameters[p.code] != nil:
		return fmt.Errorf("the code is taken by a result parameter")
	case t.byCode[p.code] != nil:
		return fmt.Errorf("the parameter exists already")
	}
	e := &entry{
		param:  &Parameter{Type: p.typ, Code: p.code, Targets: p.targets, Expression: p.expression},
		system: p.system,
	}
	switch p.code {
	case "_id":
		e.param.Kind = ID
	case "_lastUpdated":
		e.param.Kind = LastUpdated
	default:
		kind, ok := kindByName(p.kind)
		if !ok {
			return fmt.Errorf("parameters of type %s are not supported", p.kind)
		}
		e.param.Kind = kind
		paths, err := compile(p.expression, p.typ)
		if err != nil {
			return err
		}
		e.paths = paths
	}
	t.byCode[p.code] = e
	return nil
}
