package patch

import (
	"slices"
	"strconv"
	"strings"

	"aftercare/fhir"
)

// operation is one operation of a FHIRPath Patch, as its parts by name.
type operation struct {
	kind  string
	parts map[string]part
}

// part is a part of an operation, or of an anonymous value.
type part struct {
	at   string // such as "part[2]"
	name string
	node *fhir.Node
}

// partsOf are the parts that each type of operation must have, beside type; all of them
// and no others (https://hl7.org/fhir/R4/fhirpatch.html#concept).
var partsOf = map[string][]string{
	"add":     {"path", "name", "value"},
	"insert":  {"path", "index", "value"},
	"delete":  {"path"},
	"replace": {"path", "value"},
	"move":    {"path", "source", "destination"},
}

// readOperation reads one Parameters.parameter.
func readOperation(n *fhir.Node) (*operation, error) {
	if err := plainParameter(n); err != nil {
		return nil, err
	}
	if n.Str("name") != "operation" {
		return nil, fhir.Errorf(fhir.BadRequest, "value", "name", "Every parameter of a patch must have the name operation.")
	}
	parts, err := readParts(n)
	if err != nil {
		return nil, err
	}
	o := operation{parts: map[string]part{}}
	for _, p := range parts {
		if _, twice := o.parts[p.name]; twice {
			return nil, fhir.Errorf(fhir.BadRequest, "structure", p.at+".name", "An operation must not have two parts of the same name.")
		}
		o.parts[p.name] = p
	}
	if o.kind, err = o.text("type"); err != nil {
		return nil, err
	}
	needed, ok := partsOf[o.kind]
	if !ok {
		return nil, fhir.Errorf(fhir.BadRequest, "not-supported", o.parts["type"].at, "type must be add, insert, delete, replace or move.")
	}
	for _, name := range needed {
		if _, ok := o.parts[name]; !ok {
			return nil, fhir.Errorf(fhir.BadRequest, "required", "", "The operation %s must have a part %s.", o.kind, name)
		}
	}
	for _, p := range parts {
		if p.name != "type" && !slices.Contains(needed, p.name) {
			return nil, fhir.Errorf(fhir.BadRequest, "structure", p.at+".name",
				"The operation %s has the parts type, %s and no others.", o.kind, strings.Join(needed, ", "))
		}
	}
	return &o, nil
}

// plainParameter refuses what a parameter must not have.
func plainParameter(n *fhir.Node) error {
	if n.Kind != fhir.Object {
		return fhir.Errorf(fhir.BadRequest, "structure", "", "A parameter must be a JSON object.")
	}
	if n.Get("modifierExtension") != nil {
		return fhir.Errorf(fhir.BadRequest, "not-supported", "modifierExtension", "A modifier extension is not understood here.")
	}
	return nil
}

func readParts(n *fhir.Node) ([]part, error) {
	list := n.Get("part")
	if list == nil || list.Kind != fhir.Array || len(list.Items) == 0 {
		return nil, fhir.Errorf(fhir.BadRequest, "required", "part", "part must be an array with at least one part.")
	}
	parts := make([]part, len(list.Items))
	for i, item := range list.Items {
		p := part{at: "part[" + strconv.Itoa(i) + "]", node: item, name: item.Str("name")}
		if err := plainParameter(item); err != nil {
			return nil, within(p.at, err)
		}
		if p.name == "" {
			return nil, fhir.Errorf(fhir.BadRequest, "required", p.at+".name", "A part must have a name.")
		}
		parts[i] = p
	}
	return parts, nil
}

// text is the string of a part.
func (o *operation) text(name string) (string, error) {
	p, ok := o.parts[name]
	if !ok {
		return "", fhir.Errorf(fhir.BadRequest, "required", "", "An operation must have a part %s.", name)
	}
	for _, member := range []string{"valueString", "valueCode"} {
		if s := p.node.Str(member); s != "" {
			return s, nil
		}
	}
	return "", fhir.Errorf(fhir.BadRequest, "required", p.at, "The part %s must have a valueString or valueCode.", name)
}

// number is the integer of a part, from 0 to most.
func (o *operation) number(name string, most int) (int, error) {
	p := o.parts[name]
	v := p.node.Get("valueInteger")
	if v == nil || v.Kind != fhir.Number {
		return 0, fhir.Errorf(fhir.BadRequest, "required", p.at, "The part %s must have a valueInteger.", name)
	}
	i, err := strconv.Atoi(v.Text)
	if err != nil {
		return 0, fhir.Errorf(fhir.BadRequest, "value", p.at+".valueInteger", "%s must be a whole number.", name)
	}
	if i < 0 || i > most {
		return 0, fhir.Errorf(fhir.Unprocessable, "value", p.at+".valueInteger", "%s must be from 0 to %d in this list.", name, most)
	}
	return i, nil
}
