package search

import "aftercare/fhir"

// indexToken gives one row per code (https://hl7.org/fhir/R4/search.html#token): each
// coding of a CodeableConcept, an Identifier's system and value, a ContactPoint's value,
// and primitive values as they are written, without a system.
func indexToken(x *extraction, v value) error {
	if v.Kind != fhir.Object {
		return x.add(Row{Value: v.Text})
	}
	switch v.Type {
	case "", "Identifier", "ContactPoint", "Coding", "CodeableConcept":
	default:
		return nil // Quantity has a code, too, but is no token
	}
	for _, coding := range v.Each("coding") {
		if err := x.token(coding, "code"); err != nil {
			return err
		}
	}
	if v.Get("value") != nil {
		return x.token(v.Node, "value")
	}
	return x.token(v.Node, "code")
}

func (x *extraction) token(n *fhir.Node, name string) error {
	row := Row{System: n.Str("system"), Value: n.Str(name)}
	if row.Value == "" && row.System == "" {
		return nil
	}
	if name == "value" && contactSystems[row.System] {
		row.System = ""
	}
	return x.add(row)
}

// contactSystems are the codes of ContactPoint.system, which are no system of a token.
// Identifier.system is a URI.
var contactSystems = map[string]bool{
	"phone": true, "fax": true, "email": true, "pager": true, "url": true, "sms": true, "other": true,
}

const tokenForm = "write code, system|code, |code or system|"

// parseToken reads "code" (any system), "system|code", "|code" (no system) and "system|"
// (any code of the system).
func parseToken(a *asked, raw string) (Value, error) {
	parts, err := unescapeParts(raw, '|')
	if err != nil {
		return Value{}, err
	}
	var v Value
	switch len(parts) {
	case 1:
		v = Value{AnySystem: true, Value: parts[0]}
	case 2:
		v = Value{System: parts[0], Value: parts[1]}
	default:
		return Value{}, problem("there is more than one |; " + tokenForm)
	}
	if v.Value == "" && v.System == "" {
		return Value{}, problem("there is neither a system nor a code; " + tokenForm)
	}
	// An element of type code has no system of its own: its ValueSet implies one.
	if implied := a.entry.system; implied != "" && v.System == implied {
		if v.Value == "" {
			return Value{}, problem("give the code, too: every value is of this system")
		}
		v.System = ""
	}
	return v, nil
}

// parseID reads the logical id of a resource.
func parseID(_ *asked, raw string) (Value, error) {
	id, err := unescape(raw)
	if err != nil {
		return Value{}, err
	}
	if !fhir.ValidID(id) {
		return Value{}, problem("an id has 1 to 64 letters, digits, dots and dashes")
	}
	return Value{Value: id}, nil
}
