package search

import (
	"errors"
	"slices"
	"strings"
	"time"

	"aftercare/fhir"
)

// clause reads one parameter of a type: a name with a modifier, a chain, or _has. links are how
// many links of chains lead here.
func (p *parser) clause(typ, name, raw string, links int) (Clause, error) {
	if p.attempts++; p.attempts > maxAttempts {
		return Clause{}, tooCostly
	}
	if links > MaxLinks {
		return Clause{}, unsupported{problem("a chain has 4 links at most")}
	}
	if err := refuseLogged(typ, name); err != nil {
		return Clause{}, err
	}
	if strings.HasPrefix(name, "_has:") {
		return p.has(typ, name, raw, links)
	}
	first, rest, chained := strings.Cut(name, ".")
	code, modifier, modified := strings.Cut(first, ":")
	if modified && modifier == "" {
		return Clause{}, problem("there is a colon without a modifier")
	}
	if read, ok := specialParameters[code]; ok {
		if chained || modified {
			return Clause{}, unsupported{problem(code + " takes neither a modifier nor a chain")}
		}
		if raw == "" {
			return Clause{}, problem("it has no value")
		}
		return read(p, typ, raw)
	}
	e := p.entry(typ, code)
	switch {
	case e == nil:
		return Clause{}, p.unknown(typ)
	case chained:
		return p.chain(e, modifier, rest, raw, links)
	}
	return p.plain(e, modifier, raw)
}

func (p *parser) unknown(typ string) error {
	return unknown{problem(typ + " has no such search parameter; known are " + p.codes(typ))}
}

// plain reads a parameter without a chain.
func (p *parser) plain(e *entry, modifier, raw string) (Clause, error) {
	if modifier != "" && !slices.Contains(e.modifiers(), modifier) && !(e.param.Kind == Reference && p.mayBe(e, modifier)) {
		return Clause{}, unsupported{problem("this modifier is not supported here; " + e.allowed())}
	}
	switch {
	case modifier == "missing":
		return p.missing(e, raw)
	case raw == "":
		return Clause{}, problem("a value is empty")
	case e.param.Kind == Composite:
		return p.compositeClause(e, raw)
	case e.param.Kind == Special:
		return p.near(e, raw)
	case e.param.Kind == Text:
		return p.text(e, raw)
	}
	var any []Clause
	for _, part := range splitUnescaped(raw, ',') {
		if part == "" {
			return Clause{}, problem("a value is empty")
		}
		c, err := p.modified(e, modifier, part)
		if err != nil {
			return Clause{}, err
		}
		any = append(any, c)
	}
	c := anyOf(any)
	if modifier == "not" || modifier == "not-in" {
		if e.param.Kind == Token && len(c.Values) > 0 {
			c.Modifier = "not"
			return c, nil
		}
		return Clause{Not: &c}, nil
	}
	return e.lookedInto(c), nil
}

// modified reads one value with a modifier; that of :not and :not-in is read as without not.
func (p *parser) modified(e *entry, modifier, raw string) (Clause, error) {
	switch modifier {
	case "in", "not-in", "above", "below":
		if e.param.Kind != Token {
			break
		}
		values, err := p.terms(e, modifier, raw)
		if err != nil {
			return Clause{}, err
		}
		if len(values) == 0 {
			return p.never(e.typ), nil
		}
		return Clause{Param: e.param, Values: values}, p.spend(len(values))
	case "not":
		modifier = ""
	case "text":
		return p.facetValue(e.text, parseString, raw)
	case "of-type":
		return p.facetValue(e.ofType, parseOfType, raw)
	case "identifier":
		return p.facetValue(e.identifier, parseToken, raw)
	}
	if e.param.Kind == Reference && modifier != "" {
		return p.value(e, "", modifier, raw)
	}
	return p.value(e, modifier, "", raw)
}

// value reads one value of a parameter. target is the only type that a reference may have, ""
// for any.
func (p *parser) value(e *entry, modifier, target, raw string) (Clause, error) {
	a := &asked{entry: e, param: e.param, modifier: modifier, target: target, zone: p.Zone, base: p.Base}
	v, err := e.parse(a, raw)
	if err != nil {
		return Clause{}, err
	}
	return Clause{Param: a.param, Modifier: modifier, Values: []Value{v}}, p.spend(1)
}

func (p *parser) facetValue(facet *Parameter, parse func(*asked, string) (Value, error), raw string) (Clause, error) {
	v, err := parse(&asked{entry: &entry{param: facet}}, raw)
	if err != nil {
		return Clause{}, err
	}
	return Clause{Param: facet, Values: []Value{v}}, p.spend(1)
}

// missing reads :missing (https://hl7.org/fhir/R4/search.html#missing). All resources have an id
// and a time of their last update. A value that only a modifier finds, such as the text of a concept
// without a code or a reference by an identifier alone, is not missing.
func (p *parser) missing(e *entry, raw string) (Clause, error) {
	if raw != "true" && raw != "false" {
		return Clause{}, problem("the value of :missing is true or false")
	}
	absent := raw == "true"
	param := e.param
	switch param.Kind {
	case ID, LastUpdated:
		if absent {
			return p.never(e.typ), p.spend(1)
		}
		return p.always(e.typ), p.spend(1)
	case Special:
		param = e.latitude
	}
	var all []Clause
	for _, place := range []*Parameter{param, e.text, e.identifier} {
		if place != nil {
			all = append(all, Clause{Param: place, Modifier: "missing", Values: []Value{{Missing: absent}}})
		}
	}
	switch {
	case len(all) == 1:
		return all[0], p.spend(1)
	case absent:
		return Clause{All: all}, p.spend(len(all))
	}
	return Clause{Any: all}, p.spend(len(all))
}

// asked is what the reading of one value depends on.
type asked struct {
	entry *entry
	// param is what the value is asked of: the entry's parameter, if parsing does not set
	// another.
	param    *Parameter
	modifier string
	// target is the type of a modifier such as :Patient, else "".
	target string
	zone   *time.Location
	base   string
}

// mayBe reports whether a reference parameter can point to the type.
func (r *Registry) mayBe(e *entry, typ string) bool {
	if targets := e.param.Targets; len(targets) > 0 {
		return slices.Contains(targets, typ)
	}
	return r.types[typ] != nil
}

// chain reads the rest of a chained parameter (https://hl7.org/fhir/R4/search.html#chaining).
// Without a type every type that the first link can point to and that has such a parameter is
// tried.
func (p *parser) chain(e *entry, typ, rest, raw string, links int) (Clause, error) {
	targets, err := p.targets(e, typ)
	if err != nil {
		return Clause{}, err
	}
	return p.follow(e, targets, func(target string) (Clause, error) { return p.clause(target, rest, raw, links+1) })
}

// targets are the types that a link of a chain may lead to.
func (p *parser) targets(e *entry, typ string) ([]string, error) {
	switch {
	case e.param.Kind != Reference:
		return nil, problem("only a reference parameter can be chained")
	case logged(typ):
		return nil, unsupported{problem(loggedAlone)}
	case typ != "" && !p.mayBe(e, typ):
		return nil, problem("the type after the colon is not one that it can refer to; " + e.allowed())
	case typ != "":
		return []string{typ}, nil
	case len(e.param.Targets) > 0:
		return e.param.Targets, nil
	}
	var all []string
	for _, t := range fhir.StoredTypes() {
		all = append(all, t.Name)
	}
	return all, nil
}

// follow makes the link to each of the types for which the rest can be read.
func (p *parser) follow(e *entry, targets []string, rest func(target string) (Clause, error)) (Clause, error) {
	c := Clause{Param: e.param}
	var unread, refused error
	for _, target := range targets {
		clause, err := rest(target)
		switch {
		case err == nil:
			c.Chain = append(c.Chain, Chain{Type: target, Clause: clause})
		case errors.As(err, new(costly)):
			return c, err
		case errors.As(err, new(unknown)):
			unread = err
		case refused == nil: // the value may fit another type's parameter of that name
			refused = err
		}
	}
	switch {
	case len(c.Chain) > 0:
		return c, nil
	case refused != nil:
		return c, refused
	case len(targets) == 1 && p.Registry.types[targets[0]] != nil:
		return c, unread
	default:
		return c, unknown{problem("no type that it can refer to has the search parameter after the dot")}
	}
}

// has reads _has:Type:reference:parameter, whose last part may be a chain or a _has
// (https://hl7.org/fhir/R4/search.html#has).
func (p *parser) has(typ, name, raw string, links int) (Clause, error) {
	parts := strings.SplitN(name, ":", 4)
	if len(parts) < 4 || parts[3] == "" {
		return Clause{}, problem("write _has:Type:reference:parameter")
	}
	source, code := parts[1], parts[2]
	if p.Registry.types[source] == nil {
		return Clause{}, problem("the type after _has is not one that is served")
	}
	if logged(source) {
		return Clause{}, unsupported{problem(loggedAlone)}
	}
	e := p.entry(source, code)
	switch {
	case e == nil:
		return Clause{}, p.unknown(source)
	case e.param.Kind != Reference || !p.mayBe(e, typ):
		return Clause{}, problem("the parameter after the type does not refer to a " + typ)
	}
	c, err := p.clause(source, parts[3], raw, links+1)
	if err != nil {
		return Clause{}, err
	}
	return Clause{Has: &Has{Param: e.param, Clause: c}}, nil
}
