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
}

// MaxClauses and MaxValues are how many parameters, and values over all of them, one query
// may hold.
const (
	MaxClauses = 50
	MaxValues  = 1000
)

// Parse reads the parameters of a search for resources of a type
// (https://hl7.org/fhir/R4/search.html). Repeated parameters must all hold; of values with
// commas between them one must. It returns the query and, when lenient, a warning for each
// parameter that it left out.
//
// The error is an *fhir.Error: NotFound for a type that is not served, else BadRequest with
// one issue for each parameter that is unknown, has an unknown modifier or a value of the
// wrong form. Issues name parameters and never repeat values.
func (r *Registry) Parse(typ string, pairs []Pair, o Options) (*Query, []fhir.Issue, error) {
	if r.types[typ] == nil {
		return nil, nil, fhir.Errorf(fhir.NotFound, "not-supported", "", "This resource type is not served")
	}
	p := parser{Registry: r, Options: o, query: &Query{Type: typ, Count: o.DefaultCount}, once: make(map[string]bool)}
	for i, pair := range pairs {
		if err := p.pair(pair); err != nil {
			p.refuse(pair.Name, i+1, err)
		}
	}
	if len(p.query.Clauses) > MaxClauses || p.values > MaxValues {
		p.issues = append(p.issues, fhir.Issue{Severity: "error", Code: "too-costly",
			Text: fmt.Sprintf("A query may have %d parameters with %d values in all", MaxClauses, MaxValues)})
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

type parser struct {
	*Registry
	Options
	query            *Query
	once             map[string]bool
	values           int
	countOnly        bool // _summary=count
	issues, warnings []fhir.Issue
}

// unknown is the error for a parameter that is not known, which lenient handling passes
// over.
type unknown struct{ problem }

// unsupported is the error for a modifier or a form that exists but is not offered.
type unsupported struct{ problem }

func (p *parser) refuse(name string, position int, err error) {
	issue := fhir.Issue{Severity: "error", Code: "value", Text: quoted(name, position) + ": " + err.Error()}
	if base, _, _ := strings.Cut(name, ":"); codePattern.MatchString(base) {
		issue.Expression = []string{"http." + base}
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
	if read, ok := resultParameters[pair.Name]; ok {
		if p.once[pair.Name] {
			return problem("it is given more than once")
		}
		p.once[pair.Name] = true
		if pair.Value == "" {
			return problem("it has no value")
		}
		return read(p, pair)
	}
	clause, err := p.clause(pair.Name, pair.Value)
	if err != nil {
		return err
	}
	p.query.Clauses = append(p.query.Clauses, clause)
	p.query.Applied = append(p.query.Applied, pair)
	return nil
}

// clause reads name[:modifier], name.name[:modifier] or name:Type.name[:modifier].
func (p *parser) clause(name, raw string) (Clause, error) {
	first, second, chained := strings.Cut(name, ".")
	code, modifier, modified := strings.Cut(first, ":")
	e := p.entry(p.query.Type, code)
	if e == nil {
		return Clause{}, p.unknown(p.query.Type)
	}
	if modified && modifier == "" {
		return Clause{}, problem("there is a colon without a modifier")
	}
	if chained {
		return p.chain(e, modifier, second, raw)
	}
	return p.plain(e, modifier, raw)
}

func (p *parser) unknown(typ string) error {
	return unknown{problem(typ + " has no such search parameter; known are " + p.codes(typ))}
}

// plain reads a parameter without a chain.
func (p *parser) plain(e *entry, modifier, raw string) (Clause, error) {
	c := Clause{Param: e.param, Modifier: modifier}
	a := &asked{entry: e, zone: p.Zone, base: p.Base}
	switch {
	case modifier == "":
	case modifier == "missing" && e.paths != nil:
		if raw != "true" && raw != "false" {
			return c, problem("the value of :missing is true or false")
		}
		p.values++
		c.Values = []Value{{Missing: raw == "true"}}
		return c, nil
	case e.param.Kind == Reference && p.mayBe(e, modifier):
		a.target, c.Modifier = modifier, ""
	default:
		return c, unsupported{problem("this modifier is not supported here; " + modifiers(e))}
	}
	parse := kinds[e.param.Kind].parse
	if parse == nil {
		return c, unsupported{problem("parameters of type " + e.param.Kind.Name() + " cannot be asked for yet")}
	}
	for _, part := range splitUnescaped(raw, ',') {
		if part == "" {
			return c, problem("a value is empty")
		}
		v, err := parse(a, part)
		if err != nil {
			return c, err
		}
		p.values++
		c.Values = append(c.Values, v)
	}
	return c, nil
}

// asked is what the reading of one value depends on.
type asked struct {
	entry *entry
	// target is the type of a modifier such as :Patient, else "".
	target string
	zone   *time.Location
	base   string
}

// mayBe reports whether a reference parameter can point to the type.
func (p *parser) mayBe(e *entry, typ string) bool {
	if targets := e.param.Targets; len(targets) > 0 {
		return slices.Contains(targets, typ)
	}
	return p.types[typ] != nil
}

// modifiers says which modifiers a parameter takes.
func modifiers(e *entry) string {
	switch {
	case e.paths == nil:
		return "it takes none"
	case e.param.Kind == Reference:
		return "it takes :missing and a type that it can refer to, such as :" + append(e.param.Targets, "Patient")[0]
	default:
		return "it takes :missing"
	}
}

// chain reads the second half of a chained parameter. Without a type every type that the
// first half can point to and that has such a parameter is tried.
func (p *parser) chain(e *entry, typ, second, raw string) (Clause, error) {
	c := Clause{Param: e.param}
	if e.param.Kind != Reference {
		return c, problem("only a reference parameter can be chained")
	}
	if strings.Contains(second, ".") {
		return c, unsupported{problem("a chain of more than one step is not supported")}
	}
	targets := e.param.Targets
	switch {
	case typ != "" && !p.mayBe(e, typ):
		return c, problem("the type after the colon is not one that it can refer to; " + modifiers(e))
	case typ != "":
		targets = []string{typ}
	case len(targets) == 0:
		for _, t := range fhir.ServedTypes() {
			targets = append(targets, t.Name)
		}
	}
	code, modifier, modified := strings.Cut(second, ":")
	if modified && modifier == "" {
		return c, problem("there is a colon without a modifier")
	}
	var refused error
	for _, target := range targets {
		inner := p.entry(target, code)
		if inner == nil {
			continue
		}
		clause, err := p.plain(inner, modifier, raw)
		if err != nil { // the value may fit another type's parameter of that name
			if refused == nil {
				refused = err
			}
			continue
		}
		c.Chain = append(c.Chain, Chain{Type: target, Clause: clause})
	}
	switch {
	case len(c.Chain) > 0:
		return c, nil
	case refused != nil:
		return c, refused
	case len(targets) == 1 && p.types[targets[0]] != nil:
		return c, p.unknown(targets[0])
	default:
		return c, unknown{problem("no type that it can refer to has the search parameter after the dot")}
	}
}
