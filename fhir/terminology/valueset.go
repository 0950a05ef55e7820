package terminology

import (
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Expand lists all codes of a ValueSet, by its canonical URL, with "|version" or without, or its
// reference "ValueSet/id": in the order of its definition, each once.
//
// The error is an *fhir.Error of kind BadRequest where the ValueSet is not known, or its
// definition does not say all of its codes with what is known here; else that of Lookup.
func (t Terms) Expand(valueSet string) ([]search.Value, error) {
	found, err := t.expand(valueSet, "This ValueSet", nil)
	if err != nil {
		return nil, err
	}
	return found.values(), nil
}

// expand is Expand inside the ValueSets of path.
func (t Terms) expand(url, what string, path []string) (*codes, error) {
	if slices.Contains(path, url) || len(path) > maxDepth {
		return nil, refuse("The ValueSet includes itself, or ValueSets more than %d deep", maxDepth)
	}
	path = append(path[:len(path):len(path)], url)
	n, err := t.find("ValueSet", url, what)
	if err != nil {
		return nil, err
	}
	compose := n.Get("compose")
	switch {
	case compose == nil:
		return nil, refuse("%s has no compose, so which codes it has is not defined", what)
	case compose.Get("modifierExtension") != nil:
		return nil, refuse("%s has an extension that changes its meaning", what)
	case compose.Get("lockedDate") != nil:
		return nil, refuse("%s asks for code systems as they were on a day", what)
	}
	if inactive := compose.Get("inactive"); inactive != nil && inactive.Text == "false" {
		return nil, refuse("%s leaves out inactive codes, and which those are is not known here", what)
	}
	found := newCodes()
	for _, part := range []string{"include", "exclude"} {
		for _, set := range compose.Each(part) {
			some, err := t.part(set, path)
			if err != nil {
				return nil, err
			}
			if part == "include" {
				found.add(some.list...)
			} else {
				found = found.keep(some, true)
			}
		}
	}
	if len(found.list) > maxCodes {
		return nil, refuse("%s has more than %d codes", what, maxCodes)
	}
	return found, nil
}

// part is one include or exclude: the codes of its system that are in all of its ValueSets
// (https://hl7.org/fhir/R4/valueset.html#compositions).
func (t Terms) part(set *fhir.Node, path []string) (*codes, error) {
	if set.Get("modifierExtension") != nil {
		return nil, refuse("The ValueSet has an extension that changes its meaning")
	}
	var found *codes
	if system := set.Str("system"); system != "" {
		var err error
		if found, err = t.ofSystem(system, set); err != nil {
			return nil, err
		}
	}
	for _, other := range set.Each("valueSet") {
		some, err := t.expand(other.Text, "A ValueSet that it includes", path)
		if err != nil {
			return nil, err
		}
		if found == nil {
			found = some
		} else {
			found = found.keep(some, false)
		}
	}
	if found == nil {
		return nil, refuse("A part of the ValueSet has neither a system nor a ValueSet")
	}
	return found, nil
}

// ofSystem are the codes of a system that a part lists, or that all of its filters let through.
func (t Terms) ofSystem(system string, set *fhir.Node) (*codes, error) {
	found := newCodes()
	if concepts := set.Each("concept"); len(concepts) > 0 {
		if set.Get("filter") != nil {
			return nil, refuse("A part of the ValueSet has codes and a filter, of which there may be one")
		}
		for _, c := range concepts {
			found.add(coding{system, c.Str("code")})
		}
		return found, nil
	}
	url := system
	if version := set.Str("version"); version != "" && version != "*" {
		url += "|" + version
	}
	cs, err := t.system(url)
	if err != nil {
		return nil, err
	}
	for _, c := range cs.order {
		found.add(coding{system, c})
	}
	for _, filter := range set.Each("filter") {
		property, op, value := filter.Str("property"), filter.Str("op"), filter.Str("value")
		var passed []string
		switch {
		case property != "concept" && property != "code":
			return nil, refuse("The ValueSet has a filter on a property, which is not supported")
		case op == "=":
			passed, err = cs.self(value)
		case op == "is-a":
			passed, err = cs.below(value)
		case op == "descendent-of":
			if passed, err = cs.below(value); err == nil {
				passed = passed[1:]
			}
		default:
			return nil, refuse("The ValueSet has a filter other than =, is-a and descendent-of, which is not supported")
		}
		if err != nil {
			return nil, err
		}
		some := newCodes()
		for _, c := range passed {
			some.add(coding{system, c})
		}
		found = found.keep(some, false)
	}
	return found, nil
}
