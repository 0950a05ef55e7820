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
	// elements are the names in _elements.
	elements []string
	// Applied are the parameters that it was made from, for links.
	Applied []search.Pair
}

// Whole reports whether all elements are asked for.
func (s Subset) Whole() bool { return s.summary == "" && s.elements == nil }

// Parse takes _summary and _elements out of the parameters of a read or a search of a type
// and returns the others. _summary=count, which asks for no resource, is left among them.
// The error is of kind BadRequest.
func Parse(v *validate.Validator, typ string, pairs []search.Pair) (s Subset, others []search.Pair, err error) {
	s.types = v
	seen := map[string]bool{}
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
			if s.elements, err = elements(v, typ, p.Value); err != nil {
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

// elements reads the names of top-level elements, each alone or after the type and a dot.
func elements(v *validate.Validator, typ, list string) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimPrefix(strings.TrimSpace(name), typ+".")
		if !known(v, typ, name) {
			return nil, refuse("value", "_elements", "_elements has a name that is not one of an element of %s; give names such as id,meta,extension with commas between them, and no parts of elements.", typ)
		}
		names = append(names, name)
	}
	return names, nil
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
func (s Subset) asks(member string, p validate.Part) bool {
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
		return slices.Contains(s.elements, p.Element) || slices.Contains(s.elements, member)
	}
}
