package patch

import "strings"

// Schema tells what R4 has at a name of a structure. structure is a type or an inner
// element with children: "Patient", "HumanName", "Patient.contact", "Element" for what a
// primitive has beside its value. name is the element's in FHIRPath, so without the type
// of a choice: "value", not "valueQuantity".
//
// types are the types of the element, more than one for a choice only: primitives such as
// "dateTime", structures such as "Coding" or "Patient.contact", "Resource" for any
// resource. No types means that there is no such element.
type Schema func(structure, name string) (types []string, choice, repeats bool)

// definition is what the Schema says of one element.
type definition struct {
	label           string
	types           []string
	choice, repeats bool
}

func (s Schema) of(structure, name string) (definition, bool) {
	d := definition{label: name}
	d.types, d.choice, d.repeats = s(structure, name)
	return d, len(d.types) > 0
}

// member is the JSON name of the element with the given type.
func (d definition) member(typ string) string {
	if !d.choice {
		return d.label
	}
	return d.label + upperFirst(plainType(typ))
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// primitive tells primitive types from structures: all are named in lower case.
func primitive(typ string) bool { return typ != "" && typ[0] >= 'a' && typ[0] <= 'z' }

// plainType is the name that JSON and FHIRPath have for a type.
func plainType(typ string) string {
	if typ == "SimpleQuantity" {
		return "Quantity"
	}
	return typ
}

// quantities are Quantity and what is made from it: the same members with other rules
// (https://hl7.org/fhir/R4/datatypes.html#quantity).
var quantities = map[string]bool{
	"Quantity": true, "SimpleQuantity": true, "MoneyQuantity": true,
	"Age": true, "Count": true, "Distance": true, "Duration": true,
}

// takes is the type of the element that a value of the given type may stand for. The
// primitive types of a value need not be those of an element without choice: whether
// the text fits is for the caller's validation.
func (d definition) takes(typ string) (string, bool) {
	for _, t := range d.types {
		switch {
		case plainType(t) == typ,
			!d.choice && primitive(t) && primitive(typ),
			!d.choice && quantities[t] && quantities[typ]:
			return t, true
		}
	}
	return "", false
}
