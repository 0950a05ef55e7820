package validate

// Part is what R4 says about one JSON member of a structure.
type Part struct {
	// Element is the element's name in FHIRPath: "value" for the member valueQuantity.
	Element string
	// Structure is that of the value's type, such as "Coding", "Patient.contact" or, for
	// a resource inside, "Resource"; "" for a primitive.
	Structure string
	// Required elements are given at least once. Modifier elements can change the meaning
	// of others, Summary elements make up a resource's summary
	// (https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition.isSummary).
	Required, Modifier, Summary bool
}

// Part looks up a JSON member of a structure, such as valueQuantity of "Observation"; ok
// is false where there is none.
func (v *Validator) Part(structure, member string) (p Part, ok bool) {
	t := v.types[structure]
	if t == nil {
		return Part{}, false
	}
	m := t.members[member]
	if m == nil || m.element.banned {
		return Part{}, false
	}
	e := m.element
	p = Part{Element: e.label(), Required: e.required, Modifier: e.modifier, Summary: e.summary}
	if m.structure != nil {
		p.Structure = m.structure.name
	}
	return p, true
}
