package search

import (
	"slices"
	"strings"

	"aftercare/fhir"

	"golang.org/x/text/cases"
)

// indexToken gives one row per code (https://hl7.org/fhir/R4/search.html#token): each
// coding of a CodeableConcept, an Identifier's system and value, a ContactPoint's value,
// and primitive values as they are written, without a system. Texts of concepts and types of
// identifiers are rows of the facets :text and :of-type.
func indexToken(x *extraction, v value) error {
	if v.Kind != fhir.Object {
		return x.add(Row{Value: x.entry.cased(v.Text)})
	}
	switch v.Type {
	case "", "Identifier", "ContactPoint", "Coding", "CodeableConcept":
	default:
		return nil // Quantity has a code, too, but is no token
	}
	if coding := v.Get("coding"); coding != nil {
		codings := coding.Items
		if coding.Kind != fhir.Array {
			codings = []*fhir.Node{coding}
		}
		for _, c := range codings {
			if err := x.token(c, "code"); err != nil {
				return err
			}
		}
		if x.entry.text != nil {
			for _, c := range codings {
				if err := x.label(c.Get("display")); err != nil {
					return err
				}
			}
		}
		return x.label(v.Get("text"))
	}
	if v.Get("value") != nil {
		if err := x.token(v.Node, "value"); err != nil {
			return err
		}
		return x.identifierType(v.Node)
	}
	if err := x.token(v.Node, "code"); err != nil {
		return err
	}
	if err := x.label(v.Get("text")); err != nil { // of a CodeableConcept
		return err
	}
	return x.label(v.Get("display")) // of a Coding
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

// label adds what :text looks in.
func (x *extraction) label(n *fhir.Node) error {
	if x.entry.text == nil || n == nil || n.Kind != fhir.String {
		return nil
	}
	s := Fold(n.Text)
	if s == "" {
		return nil
	}
	return x.add(Row{Param: x.entry.text, Value: s})
}

// identifierType adds what :of-type and :text of an Identifier look for.
func (x *extraction) identifierType(n *fhir.Node) error {
	if x.entry.ofType == nil {
		return nil
	}
	for _, coding := range n.Each("type", "coding") {
		code := coding.Str("code")
		if code == "" {
			continue
		}
		if err := x.add(Row{Param: x.entry.ofType, System: coding.Str("system"), Value: OfType(code, n.Str("value"))}); err != nil {
			return err
		}
	}
	return x.label(n.Get("type", "text"))
}

// OfType is the value of a row of the facet :of-type: the code of an identifier's type and the
// identifier's value, which no other two give.
func OfType(code, value string) string { return Escape(code) + "|" + Escape(value) }

// contactSystems are the codes of ContactPoint.system, which are no system of a token.
// Identifier.system is a URI.
var contactSystems = map[string]bool{
	"phone": true, "fax": true, "email": true, "pager": true, "url": true, "sms": true, "other": true,
}

// plainTokens reports whether the values are of types that have no system, nor one that is implied.
func (e *entry) plainTokens() bool {
	return e.boolean() || len(e.types) > 0 && !e.mayHave("code", "Coding", "CodeableConcept", "Identifier")
}

// boolean reports whether true and false are all that there can be.
func (e *entry) boolean() bool {
	return slices.Equal(e.types, []string{"boolean"}) || len(e.paths) == 1 && e.paths[0][0].op == opHolds
}

// caseless reports whether case does not count: "if the underlying datatype is string", as R4 says
// of tokens. That of codes and identifiers does.
func (e *entry) caseless() bool {
	return slices.Equal(e.types, []string{"string"}) && e.param.Kind == Token
}

func (e *entry) cased(s string) string {
	if e.caseless() {
		return cases.Fold().String(s)
	}
	return s
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
	switch {
	case v.System != "" && a.entry.plainTokens():
		return Value{}, problem("its values have no system; write the value alone, and a | in it as \\|")
	case v.Value == "" && v.System == "":
		return Value{}, problem("there is neither a system nor a code; " + tokenForm)
	case a.entry.boolean() && v.Value != "true" && v.Value != "false":
		return Value{}, problem("it is true or false")
	}
	v.Value = a.entry.cased(v.Value)
	// An element of type code has no system of its own: its ValueSet implies one.
	if implied := a.entry.system; implied != "" && v.System == implied {
		if v.Value == "" {
			return Value{}, problem("give the code, too: every value is of this system")
		}
		v.System = ""
	}
	return v, nil
}

// parseOfType reads "type system|type code|value", all of which R4 asks for.
func parseOfType(_ *asked, raw string) (Value, error) {
	parts, err := unescapeParts(raw, '|')
	if err != nil {
		return Value{}, err
	}
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return Value{}, problem("write the system and the code of the identifier's type, and its value: system|code|value")
	}
	return Value{System: parts[0], Value: OfType(parts[1], parts[2])}, nil
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

// terms asks the terminology for the codes of a value set, or for what is above or below a code
// (https://hl7.org/fhir/R4/search.html#modifiers).
func (p *parser) terms(e *entry, modifier, raw string) ([]Value, error) {
	var found []Value
	var err error
	switch modifier {
	case "in", "not-in":
		var set string
		if set, err = unescape(raw); err != nil {
			return nil, err
		}
		if p.Expand == nil {
			return nil, unsupported{problem("the modifier :" + modifier + " needs a terminology, and there is none")}
		}
		if schemePattern.FindString(set) == "" && !strings.HasPrefix(set, "ValueSet/") {
			return nil, problem("write the URL of a ValueSet")
		}
		found, err = p.Expand(set)
	default:
		var v Value
		if v, err = parseToken(&asked{entry: &entry{}}, raw); err != nil {
			return nil, err
		}
		if v.AnySystem && e.system != "" {
			v.AnySystem, v.System = false, e.system
		}
		if v.System == "" || v.Value == "" {
			return nil, problem("write system|code")
		}
		if p.Subsumed == nil {
			return nil, unsupported{problem("the modifier :" + modifier + " needs a terminology, and there is none")}
		}
		found, err = p.Subsumed(v.System, v.Value, modifier == "above")
	}
	if err != nil {
		return nil, p.reason(err)
	}
	if e.system == "" {
		return found, nil
	}
	var codes []Value
	for _, v := range found { // rows of code elements have no system
		if v.System == e.system {
			codes = append(codes, Value{Value: v.Value})
		}
	}
	return codes, nil
}
