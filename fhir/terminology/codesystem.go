package terminology

import (
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Subsumed lists a code and all codes above it in its CodeSystem, or all below
// (https://hl7.org/fhir/R4/codesystem.html#hierachy), the code itself first.
//
// The error is an *fhir.Error of kind BadRequest where the CodeSystem is not known as a whole,
// does not have the code, or does not say that its hierarchy is one of meaning; else that of
// Lookup.
func (t Terms) Subsumed(system, code string, above bool) ([]search.Value, error) {
	cs, err := t.system(system)
	if err != nil {
		return nil, err
	}
	related := cs.below
	if above {
		related = cs.above
	}
	list, err := related(code)
	if err != nil {
		return nil, err
	}
	found := newCodes()
	for _, c := range list {
		found.add(coding{system, c})
	}
	return found.values(), nil
}

// system is a CodeSystem that is known as a whole.
type system struct {
	order  []string
	parent map[string]string // "" at the top
	// isA is set where the hierarchy is one of meaning.
	isA bool
}

func (t Terms) system(url string) (*system, error) {
	n, err := t.find("CodeSystem", url, "The CodeSystem")
	if err != nil {
		return nil, err
	}
	if content := n.Str("content"); content != "complete" {
		return nil, refuse("The CodeSystem is not known here as a whole")
	}
	cs := &system{parent: make(map[string]string)}
	if err := cs.add(n.Each("concept"), ""); err != nil {
		return nil, err
	}
	nested := slices.ContainsFunc(cs.order, func(c string) bool { return cs.parent[c] != "" })
	cs.isA = !nested || n.Str("hierarchyMeaning") == "is-a"
	for _, p := range n.Each("property") {
		switch p.Str("uri") {
		case "http://hl7.org/fhir/concept-properties#parent", "http://hl7.org/fhir/concept-properties#child":
			cs.isA = false // there is more than the tree shows
		}
	}
	return cs, nil
}

// add takes concepts with what is nested in them. The parser bounds how deep that can be.
func (s *system) add(concepts []*fhir.Node, parent string) error {
	for _, c := range concepts {
		code := c.Str("code")
		if _, twice := s.parent[code]; twice || code == "" {
			return refuse("The CodeSystem has a concept without a code, or a code twice")
		}
		if len(s.order) >= maxCodes {
			return refuse("The CodeSystem has more than %d codes", maxCodes)
		}
		s.order = append(s.order, code)
		s.parent[code] = parent
		if err := s.add(c.Each("concept"), code); err != nil {
			return err
		}
	}
	return nil
}

// self is the code, if there is one.
func (s *system) self(code string) ([]string, error) {
	if _, ok := s.parent[code]; !ok {
		return nil, refuse("The CodeSystem does not have the code")
	}
	return []string{code}, nil
}

// above is the code and what it is a kind of.
func (s *system) above(code string) ([]string, error) {
	list, err := s.tree(code)
	for err == nil && s.parent[code] != "" {
		code = s.parent[code]
		list = append(list, code)
	}
	return list, err
}

// below is the code and its kinds, in their order.
func (s *system) below(code string) ([]string, error) {
	list, err := s.tree(code)
	if err != nil {
		return nil, err
	}
	in := map[string]bool{code: true}
	for _, c := range s.order { // a parent comes before what is nested in it
		if in[s.parent[c]] && s.parent[c] != "" {
			in[c] = true
			list = append(list, c)
		}
	}
	return list, nil
}

func (s *system) tree(code string) ([]string, error) {
	if !s.isA {
		return nil, refuse("The CodeSystem does not say that its hierarchy is one of meaning (is-a)")
	}
	return s.self(code)
}
