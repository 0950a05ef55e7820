package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// lines are the facts of every parameter that has an expression for a served type, sorted.
func (d *definitions) lines() ([]string, error) {
	if len(d.parameters) == 0 || len(d.structures) == 0 || len(d.valueSets) == 0 {
		return nil, errors.New("the package has no search parameters, StructureDefinitions or ValueSets")
	}
	var lines []string
	for _, p := range d.parameters {
		for _, t := range fhir.ServedTypes() {
			typ := t.Name
			base := typ
			switch {
			case slices.Contains(p.Base, typ):
			case slices.Contains(p.Base, "Resource"):
				base = "Resource"
			case slices.Contains(p.Base, "DomainResource") && typ != "Binary":
				base = "DomainResource"
			default:
				continue
			}
			if p.Expression == "" {
				continue // _text, _content, _query
			}
			expression := dataTypes.Replace(search.Branches(p.Expression, base))
			if expression == "" {
				return nil, fmt.Errorf("%s.%s: no branch of its expression starts at %s", typ, p.Code, base)
			}
			elements, err := d.elements(expression, typ)
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", typ, p.Code, err)
			}
			lines = append(lines, strings.Join([]string{
				typ, p.Code, p.Type, strings.Join(targets(p, expression, elements), ","), expression, d.impliedSystem(elements),
				id(p.URL), strings.Join(valueTypes(expression, elements), ","), d.single(p.Type, expression, typ, elements), components(p),
			}, "\t"))
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines), nil
}

// dataTypes puts right how R4 4.0.1 writes a type in one expression.
var dataTypes = strings.NewReplacer("as(DateTime)", "as(dateTime)")

// id is the last part of a SearchParameter's URL, which is its id, too.
func id(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// components are the parts of a composite: "id=expression", with ";" between them.
func components(p searchParameter) string {
	var parts []string
	for _, c := range p.Component {
		parts = append(parts, id(c.Definition)+"="+dataTypes.Replace(c.Expression))
	}
	return strings.Replace(strings.Join(parts, ";"),
		// R4 4.0.1 has the two the wrong way round: relation is the code, relatesto the target.
		"DocumentReference-relatesto=code;DocumentReference-relation=target", "DocumentReference-relation=code;DocumentReference-relatesto=target", 1)
}

// valueTypes are the data types that the values of an expression can have, sorted; none where
// they are not known.
func valueTypes(expression string, elements []element) []string {
	branches := strings.Split(expression, " | ")
	if len(elements) != len(branches) {
		return nil
	}
	var types []string
	for i, e := range elements {
		if m := asType.FindStringSubmatch(branches[i]); m != nil {
			types = append(types, m[1])
			continue
		}
		for _, t := range e.Type {
			switch t.Code {
			case "BackboneElement", "Element":
				return nil
			case "http://hl7.org/fhirpath/System.String":
				types = append(types, "id")
			default:
				types = append(types, t.Code)
			}
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// oneRow are the types of which one value has one row in an index. An age, a range or a text
// among dates has none.
var oneRow = map[string]bool{
	"boolean": true, "code": true, "date": true, "dateTime": true, "decimal": true, "instant": true, "id": true,
	"integer": true, "markdown": true, "positiveInt": true, "string": true, "unsignedInt": true, "uri": true, "url": true,
	"Coding": true, "ContactPoint": true, "Identifier": true, "Period": true, "Reference": true, "Timing": true,
}

// single is "1" where a resource has at most one value: one element, or one choice of types,
// that does not repeat and lies in none that does.
func (d *definitions) single(kind, expression, typ string, elements []element) string {
	types := valueTypes(expression, elements)
	if kind == "date" {
		types = slices.DeleteFunc(types, func(t string) bool { return t == "Age" || t == "Range" || t == "string" })
	}
	if len(types) == 0 || slices.ContainsFunc(types, func(t string) bool { return !oneRow[t] }) ||
		slices.ContainsFunc(elements, func(e element) bool { return e.Path != elements[0].Path }) {
		return ""
	}
	names := strings.Split(strings.TrimSuffix(elements[0].Path, "[x]"), ".")
	if names[0] != typ {
		names = append(strings.Split(strings.Trim(strings.SplitN(expression, " | ", 2)[0], "()"), ".")[:1], names[1:]...)
	}
	for i := 2; i <= len(names); i++ {
		e, err := d.element(typ, names[1:i])
		if err != nil || e.Max != "1" {
			return ""
		}
	}
	return "1"
}

var (
	asType    = regexp.MustCompile(`(?: as |\.as\(|\.ofType\()([A-Za-z0-9]+)\)?\)?$`)
	resolveIs = regexp.MustCompile(`resolve\(\) is ([A-Za-z]+)`)
	calls     = regexp.MustCompile(`\.(?:where|as|ofType|extension|exists)\((?:[^()]|\([^()]*\))*\)| as [A-Za-z0-9]+`)
)

// elements finds the element that each branch of an expression ends at. A branch that ends
// in an extension, makes a comparison or goes on inside a choice of types has none.
func (d *definitions) elements(expression, typ string) ([]element, error) {
	var found []element
	for branch := range strings.SplitSeq(expression, " | ") {
		if strings.Contains(branch, "!") || strings.Contains(branch, "xtension(") || strings.Contains(branch, ").") && strings.Contains(branch, " as ") {
			continue
		}
		words := strings.Split(strings.Trim(strings.ReplaceAll(calls.ReplaceAllString(branch, ""), ")", ""), "( "), ".")
		e, err := d.element(typ, words[1:])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", branch, err)
		}
		found = append(found, e)
	}
	return found, nil
}

// element follows names down from a type's root.
func (d *definitions) element(typ string, names []string) (element, error) {
	at := element{Path: typ}
	for _, name := range names {
		if len(at.Type) == 1 && at.Type[0].Code != "BackboneElement" && at.Type[0].Code != "Element" {
			at = element{Path: at.Type[0].Code}
		}
		if ref, ok := strings.CutPrefix(at.ContentReference, "#"); ok {
			at = element{Path: ref}
		}
		root, _, _ := strings.Cut(at.Path, ".")
		next := slices.IndexFunc(d.structures[root].Snapshot.Element, func(e element) bool {
			return strings.TrimSuffix(e.Path, "[x]") == at.Path+"."+name
		})
		if next < 0 {
			return element{}, fmt.Errorf("%s has no element %s", at.Path, name)
		}
		at = d.structures[root].Snapshot.Element[next]
	}
	return at, nil
}

// targets are the types that a parameter can point to, sorted: those that the parameter and
// its elements both allow. Parameters are defined for many types at once, and so more
// widely than each element. No types means any.
func targets(p searchParameter, expression string, elements []element) []string {
	if p.Type != "reference" {
		return nil
	}
	// R4 defines clinical "patient" for Group, too, and tells apart only by the value.
	if p.Code == "patient" {
		return []string{"Patient"}
	}
	if m := resolveIs.FindStringSubmatch(expression); m != nil {
		return []string{m[1]}
	}
	var allowed []string
	for _, e := range elements {
		for _, t := range e.Type {
			if t.Code == "Reference" && len(t.TargetProfile) == 0 {
				allowed = append(allowed, "Resource")
			}
			for _, profile := range t.TargetProfile {
				allowed = append(allowed, profile[strings.LastIndexByte(profile, '/')+1:])
			}
		}
	}
	slices.Sort(allowed)
	allowed = slices.Compact(allowed)
	switch {
	case slices.Contains(allowed, "Resource"), len(allowed) == 0:
		allowed = slices.Sorted(slices.Values(p.Target))
	case len(p.Target) > 0:
		allowed = slices.DeleteFunc(allowed, func(t string) bool { return !slices.Contains(p.Target, t) })
	}
	if len(allowed) > 100 { // all of R4's types
		return nil
	}
	return allowed
}

// impliedSystem is the one code system that elements of type code take their values from.
func (d *definitions) impliedSystem(elements []element) string {
	system := ""
	for _, e := range elements {
		if len(e.Type) != 1 || e.Type[0].Code != "code" || e.Binding.Strength != "required" {
			return ""
		}
		url, _, _ := strings.Cut(e.Binding.ValueSet, "|")
		include := d.valueSets[url].Compose.Include
		if len(include) != 1 || include[0].System == "" || system != "" && system != include[0].System {
			return ""
		}
		system = include[0].System
	}
	return system
}
