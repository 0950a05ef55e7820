package search

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"aftercare/fhir"
)

// Registry holds the search parameters. It is read-only after NewRegistry and safe for
// concurrent use.
type Registry struct {
	types map[string]*typeEntries
}

// typeEntries are the parameters of one resource type.
type typeEntries struct {
	entries []*entry // those that have rows, sorted by code
	params  []*Parameter
	byCode  map[string]*entry
	// firsts are the names that paths begin with; see mask.
	firsts []string
}

// entry is one parameter with what only this package needs.
type entry struct {
	fact
	param *Parameter
	index func(*extraction, value) error
	parse func(*asked, string) (Value, error)
	paths []path
	masks []uint64 // by path; see mask
	facets
	composite *composite
}

// NewRegistry holds all R4 search parameters of the served types, and those that SearchParameter
// resources among the definitions add (https://hl7.org/fhir/R4/searchparameter.html). An error names the parameter and the
// reason: it exists already, its type cannot be searched, its base is not served, its expression
// is not understood, or a component of a composite is not known.
func NewRegistry(definitions ...*fhir.Node) (*Registry, error) {
	r := &Registry{types: make(map[string]*typeEntries)}
	for _, t := range fhir.ServedTypes() {
		r.types[t.Name] = &typeEntries{byCode: make(map[string]*entry)}
	}
	all, err := readFacts(parametersText)
	if err != nil {
		return nil, err
	}
	for _, t := range fhir.StoredTypes() {
		r.addText(t.Name)
	}
	if err := r.addAll(knowsLogged(all)); err != nil {
		return nil, fmt.Errorf("parameters.txt: %w", err)
	}
	for _, n := range definitions {
		if n.Str("resourceType") != "SearchParameter" {
			continue
		}
		if err := r.addResource(n); err != nil {
			return nil, fmt.Errorf("SearchParameter %q: %w", n.Str("url"), err)
		}
	}
	for _, t := range r.types {
		t.finish()
	}
	return r, nil
}

// finish makes the lists that are read.
func (t *typeEntries) finish() {
	for _, code := range slices.Sorted(maps.Keys(t.byCode)) {
		e := t.byCode[code]
		t.params = append(t.params, e.param)
		if c := e.composite; c != nil {
			t.entries = append(t.entries, c.rows...)
			continue
		}
		if e.paths != nil {
			t.entries = append(t.entries, e)
		}
	}
	for _, e := range t.entries {
		paths := e.paths
		if e.composite != nil {
			paths = e.composite.contexts
		}
		for _, p := range paths {
			e.masks = append(e.masks, t.mask(p))
		}
	}
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
	return strings.Join(codes, ", ")
}

// list joins words for a message, and stops after two dozen.
func list(words []string) string {
	const most = 24
	if len(words) > most {
		return strings.Join(words[:most], ", ") + ", …"
	}
	return strings.Join(words, ", ")
}

// codePattern is the form of a parameter's code, and of what a message may repeat.
var codePattern = regexp.MustCompile(`^_?[A-Za-z][A-Za-z0-9-]{0,63}$`)

// addResource adds a SearchParameter resource.
func (r *Registry) addResource(n *fhir.Node) error {
	bases := n.Each("base")
	if len(bases) == 0 {
		return fmt.Errorf("it has no base")
	}
	p := fact{code: n.Str("code"), kind: n.Str("type"), definition: n.Str("url")}
	for _, target := range n.Each("target") {
		p.targets = append(p.targets, target.Text)
	}
	for _, c := range n.Each("component") {
		p.components = append(p.components, componentFact{c.Str("definition"), c.Str("expression")})
	}
	var all []fact
	for _, base := range bases {
		if p.typ = base.Text; logged(p.typ) {
			return fmt.Errorf("%s: the auditor's log has no index of it", p.typ)
		}
		p.expression = Branches(n.Str("expression"), p.typ)
		all = append(all, p)
	}
	return r.addAll(all)
}

// addAll adds composites after what they are made of.
func (r *Registry) addAll(all []fact) error {
	for _, composites := range []bool{false, true} {
		for _, p := range all {
			if (p.kind == kinds[Composite].name) != composites {
				continue
			}
			if err := r.add(p); err != nil {
				return fmt.Errorf("%s.%s: %w", p.typ, p.code, err)
			}
		}
	}
	return nil
}

func (r *Registry) add(p fact) error {
	t := r.types[p.typ]
	switch {
	case t == nil:
		return fmt.Errorf("the type is not served")
	case !codePattern.MatchString(p.code):
		return fmt.Errorf("the code is not a word of letters, digits and dashes")
	case resultParameters[p.code] != nil || specialParameters[p.code] != nil:
		return fmt.Errorf("the code is taken")
	case t.byCode[p.code] != nil:
		return fmt.Errorf("the parameter exists already")
	}
	e := &entry{fact: p, param: &Parameter{
		Type: p.typ, Code: p.code, Targets: p.targets, Expression: p.expression, Definition: p.definition,
	}}
	var err error
	switch kind, ok := kindByName(p.kind); {
	case p.code == "_id":
		e.param.Kind = ID
	case p.code == "_lastUpdated":
		e.param.Kind = LastUpdated
	case p.code == "near" && p.typ == "Location" && p.kind == "special":
		e.param.Kind = Special
		e.paths, err = compile(p.expression, p.typ)
	case !ok:
		return fmt.Errorf("parameters of type %s are not supported", p.kind)
	case kind == Composite:
		e.param.Kind = Composite
		e.composite, err = r.compose(e)
	default:
		e.param.Kind = kind
		e.paths, err = compile(p.expression, p.typ)
	}
	if err != nil {
		return err
	}
	e.index, e.parse = kinds[e.param.Kind].index, kinds[e.param.Kind].parse
	if e.phonetic() {
		e.index, e.parse = indexPhonetic, parsePhonetic
	}
	e.addFacets()
	t.byCode[p.code] = e
	return nil
}

func (r *Registry) addText(typ string) {
	for _, code := range []string{contentCode, textCode} {
		if code == textCode && typ == "Binary" { // it has no narrative
			continue
		}
		f := fact{typ: typ, code: code, definition: officialDefinitions + map[string]string{
			contentCode: "Resource-content", textCode: "DomainResource-text"}[code]}
		r.types[typ].byCode[code] = &entry{fact: f, param: &Parameter{Type: typ, Code: code, Kind: Text, Definition: f.definition}}
	}
}
