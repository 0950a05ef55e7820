package validate

import "testing"

func TestPart(t *testing.T) {
	const required, modifier, summary = 1, 2, 4
	for _, c := range []struct {
		structure, member  string
		element, contained string
		flags              int
	}{
		{"Patient", "id", "id", "", summary},
		{"Patient", "meta", "meta", "Meta", summary},
		{"Patient", "implicitRules", "implicitRules", "", modifier | summary},
		{"Patient", "modifierExtension", "modifierExtension", "Extension", modifier},
		{"Patient", "extension", "extension", "Extension", 0},
		{"Patient", "text", "text", "Narrative", 0},
		{"Patient", "contained", "contained", "Resource", 0},
		{"Patient", "active", "active", "", modifier | summary},
		{"Patient", "name", "name", "HumanName", summary},
		{"Patient", "maritalStatus", "maritalStatus", "CodeableConcept", 0},
		{"Patient", "deceasedBoolean", "deceased", "", modifier | summary},
		{"Patient", "contact", "contact", "Patient.contact", 0},
		{"Patient.link", "other", "other", "Reference", required | summary},
		{"Observation", "status", "status", "", required | modifier | summary},
		{"Observation", "code", "code", "CodeableConcept", required | summary},
		{"Observation", "valueQuantity", "value", "Quantity", summary},
		{"Observation.component", "modifierExtension", "modifierExtension", "Extension", modifier | summary},
		{"Observation.component", "referenceRange", "referenceRange", "Observation.referenceRange", 0},
		{"Binary", "data", "data", "", 0},
		{"Attachment", "data", "data", "", 0},
		{"Attachment", "url", "url", "", summary},
		{"Quantity", "comparator", "comparator", "", modifier | summary},
		{"Identifier", "use", "use", "", modifier | summary},
	} {
		p, ok := validator(t).Part(c.structure, c.member)
		flags := 0
		for i, set := range []bool{p.Required, p.Modifier, p.Summary} {
			if set {
				flags |= 1 << i
			}
		}
		if !ok || p.Element != c.element || p.Structure != c.contained || flags != c.flags {
			t.Errorf("%s.%s: %+v, %v", c.structure, c.member, p, ok)
		}
	}
	for _, c := range [][2]string{{"Patient", "value"}, {"Patient", "deceased"}, {"Patient", "_active"}, {"Patient", ""}, {"Nobody", "id"}, {"Patient", "resourceType"}} {
		if p, ok := validator(t).Part(c[0], c[1]); ok {
			t.Errorf("%s.%s: %+v", c[0], c[1], p)
		}
	}
}
