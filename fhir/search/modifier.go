package search

import "strings"

// modifiers are those that a parameter takes (https://hl7.org/fhir/R4/search.html#modifiers),
// besides the types that a reference can have.
func (e *entry) modifiers() []string {
	if logged(e.param.Type) {
		return loggedParameters[e.param.Code]
	}
	var names []string
	add := func(allowed bool, more ...string) {
		if allowed {
			names = append(names, more...)
		}
	}
	kind := e.param.Kind
	add(kind != Text && kind != Composite, "missing")
	switch kind {
	case ID:
		add(true, "not")
	case Token:
		add(true, "not")
		add(e.text != nil, "text")
		add(e.ofType != nil, "of-type")
		add(e.mayHave("code", "Coding", "CodeableConcept"), "in", "not-in", "above", "below")
	case String:
		add(!e.phonetic(), "exact", "contains")
	case URI:
		add(true, "above", "below")
	case Reference:
		add(e.identifier != nil, "identifier")
	}
	return names
}

// allowed says which modifiers a parameter takes.
func (e *entry) allowed() string {
	names := e.modifiers()
	if e.param.Kind == Reference {
		names = append(names, append(e.param.Targets, "Patient")[0])
	}
	if len(names) == 0 {
		return "it takes none"
	}
	s := "it takes :" + strings.Join(names, ", :")
	if e.param.Kind == Reference {
		s += " and other types that it can refer to"
	}
	return s
}
