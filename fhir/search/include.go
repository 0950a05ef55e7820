package search

import (
	"slices"
	"strings"

	"aftercare/fhir"
)

// readInclude and readRevInclude read Source:parameter[:Target], Source:* and *
// (https://hl7.org/fhir/R4/search.html#include).
func readInclude(p *parser, pair Pair, modifier string) error {
	return p.include(pair, modifier, false)
}

func readRevInclude(p *parser, pair Pair, modifier string) error {
	return p.include(pair, modifier, true)
}

func (p *parser) include(pair Pair, modifier string, reverse bool) error {
	in := Include{Reverse: reverse, Iterate: modifier == "iterate"}
	switch modifier {
	case "", "iterate":
	case "recurse":
		return unsupported{problem(":recurse is not of R4; it is :iterate")}
	default:
		return unsupported{problem("it takes :iterate alone")}
	}
	if p.clauses++; p.clauses > MaxClauses {
		return nil // done says so
	}
	source, code := "", "*"
	if pair.Value != "*" {
		parts := strings.Split(pair.Value, ":")
		if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
			return problem("write Type:parameter, Type:parameter:Target, Type:* or *")
		}
		source, code = parts[0], parts[1]
		if len(parts) == 3 {
			in.Target = parts[2]
		}
		if p.Registry.types[source] == nil {
			return problem("the first part is not a type that is served")
		}
	}
	if logged(source) || slices.ContainsFunc(p.types, logged) {
		return unsupported{problem(loggedAlone)}
	}
	if source != "" && !reverse && !in.Iterate && !slices.Contains(p.types, source) {
		return problem("the first part is not a type that is searched; with :iterate it may be one that is included")
	}
	sources := searchable(source)
	if source == "" && !reverse && !in.Iterate {
		sources = p.types
	}
	for _, typ := range sources {
		for _, param := range p.Parameters(typ) {
			e := p.entry(typ, param.Code)
			if param.Kind != Reference || code != "*" && param.Code != code || in.Target != "" && !p.mayBe(e, in.Target) {
				continue
			}
			// What is searched for is what is referred to, where nothing else was included.
			if reverse && !in.Iterate && !slices.ContainsFunc(p.types, func(t string) bool {
				return (in.Target == "" || t == in.Target) && p.mayBe(e, t)
			}) {
				continue
			}
			in.Params = append(in.Params, param)
		}
	}
	if len(in.Params) == 0 {
		var known []string
		for _, param := range p.Parameters(source) {
			if param.Kind == Reference {
				known = append(known, param.Code)
			}
		}
		if known == nil {
			return problem("there is no reference to follow")
		}
		return problem("there is no such reference parameter, or it does not refer to this type; " + source + " has " + list(known))
	}
	p.query.Include = append(p.query.Include, in)
	p.query.Applied = append(p.query.Applied, pair)
	return nil
}

// searchable are the types to search where typ is one, or all served ones for "".
func searchable(typ string) []string {
	var all []string
	for _, t := range fhir.StoredTypes() {
		if typ == "" || t.Name == typ {
			all = append(all, t.Name)
		}
	}
	return all
}
