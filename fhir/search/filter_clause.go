package search

import "strings"

// filterClause is what a filter asks of a type. links are how many links of chains lead here.
func (p *parser) filterClause(typ string, n *filterNode, links int) (Clause, error) {
	if p.attempts++; p.attempts > maxAttempts {
		return Clause{}, tooCostly
	}
	switch n.op {
	case "and", "or", "not":
		var args []Clause
		for _, arg := range n.args {
			c, err := p.filterClause(typ, arg, links)
			if err != nil {
				return c, err
			}
			args = append(args, c)
		}
		switch {
		case n.op == "not":
			return Clause{Not: &args[0]}, nil
		case len(args) == 1:
			return args[0], nil
		case n.op == "and":
			return Clause{All: args}, nil
		}
		return Clause{Any: args}, nil
	case "pr", "ni":
		return p.filterSet(typ, n, links)
	}
	return p.filterPath(typ, n.path, n.op, n.value, links)
}

// filterSet is a test about all values: pr asks whether there are any, ni that none is in a value
// set.
func (p *parser) filterSet(typ string, n *filterNode, links int) (Clause, error) {
	op, value, holds := "in", n.value, false
	if n.op == "pr" {
		if n.value != "true" && n.value != "false" {
			return Clause{}, problem("the value of pr is true or false")
		}
		op, value, holds = "pr", "true", n.value == "true"
	}
	c, err := p.filterPath(typ, n.path, op, value, links)
	if err != nil || holds {
		return c, err
	}
	return Clause{Not: &c}, nil
}

func (p *parser) filterPath(typ string, path []filterStep, op, value string, links int) (Clause, error) {
	if links > MaxLinks {
		return Clause{}, unsupported{problem("a path has 4 links at most")}
	}
	step := path[0]
	if g, ok := filterGroups[typ+"."+step.name]; ok && step.filter != nil {
		return p.filterGroup(typ, g, path, op, value)
	}
	e := p.entry(typ, step.name)
	switch {
	case e == nil:
		return Clause{}, p.unknown(typ)
	case len(path) == 1:
		return p.filterTest(e, op, value)
	}
	targets, err := p.targets(e, "")
	if err != nil {
		return Clause{}, err
	}
	return p.follow(e, targets, func(target string) (Clause, error) {
		c, err := p.filterPath(target, path[1:], op, value, links+1)
		if err != nil || step.filter == nil {
			return c, err
		}
		inner, err := p.filterClause(target, step.filter, links+1)
		return Clause{All: []Clause{inner, c}}, err
	})
}

// filterGroup is a name that only _filter has, and what it is a composite of.
type filterGroup struct {
	composite string
	// parts are the names below it, in the order of the composite's components.
	parts []string
}

// The additional parameters of the page, as far as R4 has search parameters for what they mean.
var filterGroups = map[string]filterGroup{
	"Group.characteristic":        {"characteristic-value", []string{"code", "value"}},
	"DocumentReference.relatesTo": {"relationship", []string{"code", "target"}},
}

// filterGroup reads name[filter].part: the filter and the last test are about one element.
func (p *parser) filterGroup(typ string, g filterGroup, path []filterStep, op, value string) (Clause, error) {
	if len(path) != 2 {
		return Clause{}, problem("after " + path[0].name + "[…] comes one name: " + list(g.parts))
	}
	composite := p.entry(typ, g.composite).composite
	var all []Clause
	test := func(step filterStep, op, value string) error {
		for i, part := range g.parts {
			if part != step.name || step.filter != nil {
				continue
			}
			c, err := p.filterTest(composite.components[i], op, value)
			if err == nil && (c.Modifier != "" || len(c.Values) == 0) {
				err = unsupported{problem("inside " + path[0].name + " this operator is not supported")}
			}
			all = append(all, c)
			return err
		}
		return problem("inside " + path[0].name + " there are only " + list(g.parts))
	}
	var inside func(n *filterNode) error
	inside = func(n *filterNode) error {
		switch {
		case n.op == "and":
			for _, arg := range n.args {
				if err := inside(arg); err != nil {
					return err
				}
			}
			return nil
		case n.op == "or" || n.op == "not" || len(n.path) != 1:
			return unsupported{problem("inside " + path[0].name + "[…] only tests joined by and are supported")}
		}
		return test(n.path[0], n.op, n.value)
	}
	if err := inside(path[0].filter); err != nil {
		return Clause{}, err
	}
	err := test(path[1], op, value)
	return Clause{Together: all}, err
}

// filterTest is a test of one parameter.
func (p *parser) filterTest(e *entry, op, value string) (Clause, error) {
	if op == "pr" {
		if e.param.Kind == Composite || e.param.Kind == Text {
			return Clause{}, p.notFor(e, op, "")
		}
		return p.missing(e, "false")
	}
	if op == "ne" && (e.param.Kind == Token || e.param.Kind == String || e.param.Kind == URI || e.param.Kind == ID) {
		return p.filterUnequal(e, value)
	}
	switch e.param.Kind {
	case Date, LastUpdated:
		return p.filterDate(e, op, value)
	case Number, Quantity:
		if prefixes[Prefix(op)] {
			return p.value(e, "", "", op+value)
		}
	case String:
		return p.filterString(e, op, value)
	case Token:
		return p.filterToken(e, op, value)
	case ID, URI:
		if op == "eq" {
			return p.value(e, "", "", Escape(value))
		}
	case Reference:
		if op == "re" {
			return p.value(e, "", "", value)
		}
		return Clause{}, p.notFor(e, op, "; use re")
	}
	return Clause{}, p.notFor(e, op, "")
}

func (p *parser) notFor(e *entry, op, hint string) error {
	return unsupported{problem("the operator " + op + " is not supported for " + e.code + ", which is of type " + e.param.Kind.Name() + hint)}
}

// filterUnequal asks for a value that differs. Where there is at most one, that is a value which
// does not equal.
func (p *parser) filterUnequal(e *entry, value string) (Clause, error) {
	if !e.single && e.param.Kind != ID {
		return Clause{}, p.notFor(e, "ne", " and may repeat; not (… eq …) finds what has no such value")
	}
	equal, err := p.filterTest(e, "eq", value)
	if err != nil {
		return equal, err
	}
	there, err := p.missing(e, "false")
	return Clause{All: []Clause{there, {Not: &equal}}}, err
}

func (p *parser) filterString(e *entry, op, value string) (Clause, error) {
	modifier, ok := map[string]string{"eq": "equals", "co": "contains", "sw": "", "ew": "ends"}[op]
	switch {
	case !ok || e.phonetic() && op != "eq":
		return Clause{}, p.notFor(e, op, "")
	case e.phonetic():
		modifier = ""
	}
	c, err := p.value(e, modifier, "", Escape(value))
	return e.lookedInto(c), err
}

// filterSystems are the names that a filter may give a code system by.
var filterSystems = map[string]string{
	"loinc": "http://loinc.org", "snomed": "http://snomed.info/sct",
	"rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm", "ucum": "http://unitsofmeasure.org",
}

func (p *parser) filterToken(e *entry, op, value string) (Clause, error) {
	if name, code, ok := strings.Cut(value, "|"); ok && filterSystems[name] != "" {
		value = filterSystems[name] + "|" + code
	}
	modifier, ok := map[string]string{"eq": "", "ss": "below", "sb": "above", "in": "in"}[op]
	if !ok {
		return Clause{}, p.notFor(e, op, "")
	}
	if modifier != "" && !e.mayHave("code", "Coding", "CodeableConcept") {
		return Clause{}, p.notFor(e, op, "")
	}
	if modifier == "in" {
		value = Escape(value)
	}
	return p.modified(e, modifier, value)
}

// filterDate compares as the prefixes do. po is an overlap; co asks for a range that holds all
// of the value's, which is two comparisons where a resource has one range at most.
func (p *parser) filterDate(e *entry, op, value string) (Clause, error) {
	if prefixes[Prefix(op)] {
		return p.value(e, "", "", op+value)
	}
	c, err := p.value(e, "", "", "eq"+value)
	if err != nil {
		return c, err
	}
	v := &c.Values[0]
	switch {
	case op == "po":
		v.Prefix = Po
		return c, nil
	case op == "co" && (e.single || e.param.Kind == LastUpdated):
		starts := Value{Prefix: Lt, Low: v.Low + 1, High: v.Low + 2}
		ends := Value{Prefix: Gt, Low: v.High - 2, High: v.High - 1}
		return Clause{All: []Clause{{Param: c.Param, Values: []Value{starts}}, {Param: c.Param, Values: []Value{ends}}}}, nil
	case op == "co":
		return c, p.notFor(e, op, " and may repeat")
	}
	return c, p.notFor(e, op, "")
}
