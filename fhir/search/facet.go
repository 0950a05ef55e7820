package search

import "slices"

// facets are the parameters that modifiers of another ask for; nil where R4 does not allow the
// modifier. See Parameter.
type facets struct {
	text, identifier, ofType, canonical, latitude, longitude, contains, ends *Parameter
}

// addFacets gives an entry the facets that its kind and the types of its values have.
func (e *entry) addFacets() {
	facet := func(name string, kind Kind) *Parameter {
		return &Parameter{Type: e.param.Type, Code: e.param.Code + ":" + name, Kind: kind, Expression: e.param.Expression}
	}
	switch e.param.Kind {
	case Token:
		if e.mayHave("CodeableConcept", "Coding", "Identifier") {
			e.text = facet("text", String)
		}
		if e.mayHave("Identifier") {
			e.ofType = facet("of-type", Token)
		}
	case Reference:
		if e.mayHave("Reference") {
			e.identifier = facet("identifier", Token)
		}
	case Quantity:
		e.canonical = facet("canonical", Quantity)
	case String:
		if !e.phonetic() {
			e.contains, e.ends = facet("contains", Pieces), facet("ends", Pieces)
		}
	case Special:
		e.latitude, e.longitude = facet("latitude", Number), facet("longitude", Number)
	}
}

// mayHave reports whether a value can be of one of the types, as far as is known.
func (e *entry) mayHave(types ...string) bool {
	return len(e.types) == 0 || slices.ContainsFunc(types, func(t string) bool { return slices.Contains(e.types, t) })
}
