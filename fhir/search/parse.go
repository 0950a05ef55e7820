package search

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aftercare/fhir"
)

// Options are what the meaning of a query depends on besides its text.
type Options struct {
	// Zone is that of dates and date-times that name none.
	Zone *time.Location
	// Base is the server's public FHIR base without a trailing slash: references under it
	// mean the same as relative ones.
	Base string
	// Lenient leaves unknown parameters out, with a warning each (Prefer: handling=lenient,
	// https://hl7.org/fhir/R4/search.html#errors).
	Lenient bool
	// DefaultCount is the page size where _count is absent; MaxCount is the largest one.
	// Both are 1 or more.
	DefaultCount, MaxCount int
	// Expand gives all codes of a value set, for :in and :not-in, each with System and Value.
	// An *fhir.Error of another kind than Internal says why it cannot; its texts reach the
	// caller. nil: there is no terminology, and the modifiers are refused.
	Expand func(valueSet string) ([]Value, error)
	// Subsumed gives a code and all that are above it, or below, for :above and :below.
	Subsumed func(system, code string, above bool) ([]Value, error)
}

// The limits of one query: MaxClauses parameters and tests of _filter; MaxValues values, counted
// in each type that a chain may lead to; MaxLinks links of chains and _has in one parameter.
const (
	MaxClauses = 50
	MaxValues  = 1000
	MaxLinks   = 4
)

// The limits of work on a query that is refused at last: attempts to read a parameter, and how
// deep brackets may stand in each other.
const (
	maxAttempts = 10_000
	maxNesting  = 20
)

// Parse reads the parameters of a search for resources of a type
// (https://hl7.org/fhir/R4/search.html). Repeated parameters must all hold; of values with
// commas between them one must. It returns the query and, when lenient, a warning for each
// parameter that it left out.
//
// The error is an *fhir.Error: NotFound for a type that is not served, else BadRequest with
// one issue for each parameter that is unknown, has an unknown modifier or a value of the
// wrong form; Internal where the terminology failed. Issues name parameters and never repeat
// values.
func (r *Registry) Parse(typ string, pairs []Pair, o Options) (*Query, []fhir.Issue, error) {
	if r.types[typ] == nil {
		return nil, nil, fhir.Errorf(fhir.NotFound, "not-supported", "", "This resource type is not served")
	}
	p := newParser(r, o, []string{typ})
	p.query.Type = typ
	p.all(pairs)
	p.query.Clauses, p.query.Sort = p.query.Parts[0].Clauses, p.query.Parts[0].Sort
	p.query.Parts = nil
	return p.done()
}

// ParseTypes reads the parameters of a search in several types: the whole system where types is
// nil, or a compartment. _type picks some of them. All other parameters must be known for each
// type that is left, and Parts has a query for each. Other results are those of Parse.
func (r *Registry) ParseTypes(types []string, pairs []Pair, o Options) (*Query, []fhir.Issue, error) {
	if types == nil {
		for _, t := range fhir.StoredTypes() {
			types = append(types, t.Name)
		}
	}
	var others []Pair
	var asked []Pair
	for _, pair := range pairs {
		if pair.Name != "_type" {
			others = append(others, pair)
			continue
		}
		if asked = append(asked, pair); len(asked) > 1 {
			return nil, nil, fhir.Errorf(fhir.BadRequest, "value", "http._type", "Parameter _type: it is given more than once")
		}
		picked := strings.Split(pair.Value, ",")
		for _, t := range picked {
			if r.types[t] == nil || !slices.Contains(types, t) {
				return nil, nil, fhir.Errorf(fhir.BadRequest, "value", "http._type",
					"Parameter _type: not all of these are resource types that can be searched here; they are %s", strings.Join(types, ", "))
			}
		}
		types = slices.DeleteFunc(slices.Clone(types), func(t string) bool { return !slices.Contains(picked, t) })
	}
	p := newParser(r, o, types)
	p.query.Applied = asked
	p.all(others)
	return p.done()
}

type parser struct {
	*Registry
	Options
	types            []string // those that are searched
	query            *Query
	once             map[string]bool
	clauses          int
	values, attempts int
	countOnly        bool // _summary=count
	internal         error
	issues, warnings []fhir.Issue
}

func newParser(r *Registry, o Options, types []string) *parser {
	p := &parser{Registry: r, Options: o, types: types, query: &Query{Count: o.DefaultCount}, once: make(map[string]bool)}
	for _, t := range types {
		p.query.Parts = append(p.query.Parts, &Query{Type: t})
	}
	return p
}

func (p *parser) all(pairs []Pair) {
	for i, pair := range pairs {
		if err := p.pair(pair); err != nil {
			p.refuse(pair.Name, i+1, err)
		}
	}
}

func (p *parser) done() (*Query, []fhir.Issue, error) {
	if p.internal != nil {
		return nil, nil, p.internal
	}
	if p.clauses > MaxClauses {
		p.issues = append(p.issues, fhir.Issue{Severity: "error", Code: "too-costly", Text: tooCostly.Error()})
	}
	if len(p.issues) > 0 {
		return nil, nil, &fhir.Error{Kind: fhir.BadRequest, Issues: p.issues}
	}
	if p.countOnly {
		p.query.Count = 0
	}
	if p.query.Count == 0 {
		p.query.Total = true
	}
	return p.query, p.warnings, nil
}

// unknown is the error for a parameter that is not known, which lenient handling passes
// over.
type unknown struct{ problem }

// unsupported is the error for a modifier or a form that exists but is not offered.
type unsupported struct{ problem }

// costly is the error for a query over the limits.
type costly struct{ problem }

var tooCostly = costly{problem(fmt.Sprintf("A query may have %d parameters and %d values in all", MaxClauses, MaxValues))}

// spend counts values.
func (p *parser) spend(n int) error {
	if p.values += n; p.values > MaxValues {
		return tooCostly
	}
	return nil
}

// reason is the error for what the terminology does not answer.
func (p *parser) reason(err error) error {
	var e *fhir.Error
	if errors.As(err, &e) && e.Kind != fhir.Internal && len(e.Issues) > 0 {
		return unsupported{problem(e.Issues[0].Text)}
	}
	p.internal = err
	return problem("the terminology failed")
}

func (p *parser) refuse(name string, position int, err error) {
	issue := fhir.Issue{Severity: "error", Code: "value", Text: quoted(name, position) + ": " + err.Error()}
	end := strings.IndexAny(name, ":.")
	if end < 0 {
		end = len(name)
	}
	if codePattern.MatchString(name[:end]) {
		issue.Expression = []string{"http." + name[:end]}
	}
	switch {
	case errors.As(err, new(unknown)):
		issue.Code = "not-supported"
		if p.Lenient {
			issue.Severity, issue.Text = "warning", issue.Text+". It was left out"
			p.warnings = append(p.warnings, issue)
			return
		}
	case errors.As(err, new(unsupported)):
		issue.Code = "not-supported"
	case errors.As(err, new(costly)):
		issue.Code = "too-costly"
	}
	p.issues = append(p.issues, issue)
}

// quoted is a parameter's name for a message: as it is written if each of its parts is a
// plain word, else by its position, since anything may stand there.
func quoted(name string, position int) string {
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == ':' || r == '.' }) {
		if !codePattern.MatchString(word) {
			return fmt.Sprintf("Parameter %d", position)
		}
	}
	if name == "" {
		return fmt.Sprintf("Parameter %d", position)
	}
	return "Parameter " + name
}

func (p *parser) pair(pair Pair) error {
	if !storable(pair.Name) || !storable(pair.Value) {
		return problem("it is not UTF-8 text, or has the character U+0000")
	}
	base, modifier, modified := strings.Cut(pair.Name, ":")
	if read, ok := resultParameters[base]; ok {
		repeats := base == "_include" || base == "_revinclude"
		switch {
		case modified && !repeats:
			return unsupported{problem("it takes no modifier")}
		case p.once[base] && !repeats:
			return problem("it is given more than once")
		case pair.Value == "":
			return problem("it has no value")
		}
		p.once[base] = true
		return read(p, pair, modifier)
	}
	if p.clauses++; p.clauses > MaxClauses {
		return nil // done says so
	}
	if err := p.search(pair); err != nil {
		return err
	}
	p.query.Applied = append(p.query.Applied, pair)
	return nil
}

// search adds the clause of a parameter to each of the types that are searched. The limit of
// values is that of a type.
func (p *parser) search(pair Pair) error {
	var clauses []Clause
	var knows, lacks []string
	var first error
	values, filters := p.values, p.clauses
	for _, t := range p.types {
		p.values, p.clauses = values, filters
		c, err := p.clause(t, pair.Name, pair.Value, 0)
		if errors.As(err, new(unknown)) {
			lacks = append(lacks, t)
		} else {
			knows = append(knows, t)
		}
		if err != nil && first == nil {
			first = err
		}
		clauses = append(clauses, c)
	}
	switch {
	case len(lacks) > 0 && len(knows) > 0:
		return problem("not all types that are searched have it; with _type, ask for some of " + list(knows))
	case first != nil && len(lacks) > 1:
		return unknown{problem("no type that is searched has it")}
	case first != nil:
		return first
	}
	for i, c := range clauses {
		p.query.Parts[i].Clauses = append(p.query.Parts[i].Clauses, c)
	}
	return nil
}
