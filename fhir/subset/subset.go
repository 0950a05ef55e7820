package subset

import (
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/fhir/validate"
)

// Subset says which elements of a resource are asked for. The zero value asks for all.
type Subset struct {
	types *validate.Validator
	// summary is true, text or data, "" for none.
	summary string
	// elements are the names in _elements, by the type that they are for; "" for every type.
	elements map[string][]string
	// Applied are the parameters that it was made from, for links.
	Applied []search.Pair
}

// Text reports whether narratives alone are asked for.
func (s Subset) Text() bool { return s.summary == "text" }

// Whole reports whether all elements are asked for.
func (s Subset) Whole() bool { return s.summary == "" && s.elements == nil }

// Parse takes _summary and _elements out of the parameters of a read or a search, of a type or
// several, and returns the others. _summary=count, which asks for no resource, is left among
// them. The error is of kind BadRequest.
func Parse(v *validate.Validator, types []string, pairs []search.Pair) (s Subset, others []search.Pair, err error) {
	s.types = v
	seen := map[string]bool{}
	including := slices.ContainsFunc(pairs, func(p search.Pair) bool {
		name, _, _ := strings.Cut(p.Name, ":")
		return name == "_include" || name == "_revinclude"
	})
	for _, p := range pairs {
		if p.Name != "_summary" && p.Name != "_elements" {
			others = append(others, p)
			continue
		}
		if seen[p.Name] {
			return Subset{}, nil, refuse("value", p.Name, "%s is given more than once.", p.Name)
		}
		seen[p.Name] = true
		if p.Name == "_elements" {
			if s.elements, err = elements(v, types, including, p.Value); err != nil {
				return Subset{}, nil, err
			}
			s.Applied = append(s.Applied, p)
			continue
		}
		switch p.Value {
		case "true", "text", "data":
			s.summary = p.Value
			s.Applied = append(s.Applied, p)
		case "false", "count":
			others = append(others, p)
		default:
			return Subset{}, nil, refuse("value", p.Name, "_summary is true, text, data, count or false.")
		}
		seen["a summary"] = p.Value != "false"
	}
	if seen["_elements"] && seen["a summary"] {
		return Subset{}, nil, refuse("invalid", "_elements", "_elements and _summary ask for different things; give one of them.")
	}
	return s, others, nil
}

// elements reads the names of top-level elements. A name alone is that of an element of one of
// the types that are asked for, and counts for all resources; one after a type and a dot counts
// for that type, which may be any where something is included.
func elements(v *validate.Validator, types []string, including bool, list string) (map[string][]string, error) {
	names := map[string][]string{}
	for name := range strings.SplitSeq(list, ",") {
		typ, element, typed := strings.Cut(strings.TrimSpace(name), ".")
		of := []string{typ}
		_, served := fhir.Served(typ)
		if !typed || !slices.Contains(types, typ) && !(including && served) {
			typ, element, of = "", strings.TrimSpace(name), types
		}
		if !slices.ContainsFunc(of, func(t string) bool { return known(v, t, element) }) {
			return nil, refuse("value", "_elements", "_elements has a name that is not one of an element of %s; give names such as id,meta,extension with commas between them, and no parts of elements.", ofTypes(of))
		}
		names[typ] = append(names[typ], element)
	}
	return names, nil
}

func ofTypes(types []string) string {
	if len(types) == 1 {
		return types[0]
	}
	return "the types that are searched"
}

// known tells whether a type has an element or a JSON member of that name.
func known(v *validate.Validator, typ, name string) bool {
	if _, ok := v.Part(typ, name); ok {
		return true
	}
	types, _, _ := v.Element(typ, name)
	return len(types) > 0
}

func refuse(code, parameter, format string, args ...any) error {
	return fhir.Errorf(fhir.BadRequest, code, "http."+parameter, format, args...)
}

// asks tells whether a top-level element is part of the subset.
func (s Subset) asks(typ, member string, p validate.Part) bool {
	switch {
	case p.Element == "id" || p.Element == "meta" || p.Required || p.Modifier:
		return true
	case s.summary == "true":
		return p.Summary
	case s.summary == "text":
		return p.Element == "text"
	case s.summary == "data":
		return p.Element != "text"
	default:
		return slices.ContainsFunc([]string{"", typ}, func(t string) bool {
			return slices.Contains(s.elements[t], p.Element) || slices.Contains(s.elements[t], member)
		})
	}
}
