package validate

import "strings"

// Element says what R4 has at a name of a structure: a type or an inner element with
// children, such as "Patient", "HumanName", "Patient.contact" or "Element". name is the
// element's in FHIRPath: "value", not "valueQuantity". types are its types, such as
// "dateTime", "Coding" or "Patient.contact"; none means that there is no such element.
func (v *Validator) Element(structure, name string) (types []string, choice, repeats bool) {
	t := v.types[structure]
	if t == nil {
		return nil, false, false
	}
	for _, e := range t.elements {
		if e.label() != name || e.banned {
			continue
		}
		for typ := range strings.SplitSeq(e.types, ",") {
			typ, _, _ = strings.Cut(typ, "(")
			types = append(types, typ)
		}
		return types, e.choice, e.list
	}
	return nil, false, false
}
