package patch

import (
	"strings"

	"aftercare/fhir"
)

// written is a content in the form of one element: its type and the two sides of its JSON.
type written struct {
	typ         string
	value, side *value
}

// write gives the content of a part the form that the definition d asks for. The part has
// one value[x], a resource, or parts that are the children of an element that has no
// value[x] (https://hl7.org/fhir/R4/fhirpatch.html#anonymous).
func (s Schema) write(p part, d definition) (written, error) {
	var w written
	given := 0
	for _, m := range p.node.Members {
		switch name := strings.TrimPrefix(m.Name, "_"); {
		case strings.HasPrefix(name, "value") && name == m.Name:
			given++
		case name == "resource" || name == "part":
			given++
		case strings.HasPrefix(name, "value") && p.node.Get(name) == nil:
			given++
		}
	}
	if given != 1 {
		return w, fhir.Errorf(fhir.BadRequest, "structure", p.at, "A part that brings a value must have one value[x], one resource, or parts.")
	}
	var err error
	switch {
	case p.node.Get("part") != nil:
		w, err = s.anonymous(p.node, d)
	case p.node.Get("resource") != nil:
		w, err = contained(p.node.Get("resource"), d)
	default:
		w, err = s.named(p.node, d)
	}
	if err != nil {
		return w, within(p.at, err)
	}
	return w, nil
}

// named reads a value[x], which has its underscore partner beside it.
func (s Schema) named(n *fhir.Node, d definition) (written, error) {
	open, _ := s.of("Parameters.parameter", "value")
	for _, typ := range open.types {
		name := open.member(typ)
		v, side := n.Get(name), n.Get("_"+name)
		if v == nil && side == nil {
			continue
		}
		fits, ok := d.takes(typ)
		if !ok {
			return written{}, fhir.Errorf(fhir.Unprocessable, "value", name, "%s does not take a %s. It takes %s.", d.label, typ, d.typeNames())
		}
		w := written{typ: fits}
		if v != nil {
			isObject := v.Kind == fhir.Object
			if v.Kind == fhir.Array || v.Kind == fhir.Null || isObject == primitive(typ) {
				return written{}, fhir.Errorf(fhir.BadRequest, "structure", name, "This is not the JSON of a %s.", typ)
			}
			if isObject && len(v.Members) == 0 {
				return written{}, fhir.Errorf(fhir.BadRequest, "structure", name, "An object must not be empty.")
			}
			w.value = newValue(v)
		}
		if side != nil {
			if side.Kind != fhir.Object || len(side.Members) == 0 || !primitive(typ) {
				return written{}, fhir.Errorf(fhir.BadRequest, "structure", "_"+name, "This is not the JSON of the id and extensions of a primitive value.")
			}
			w.side = newValue(side)
		}
		return w, nil
	}
	return written{}, fhir.Errorf(fhir.BadRequest, "structure", "", "value[x] must end with a type that R4 allows in Parameters.")
}

func (d definition) typeNames() string {
	names := make([]string, len(d.types))
	for i, t := range d.types {
		names[i] = plainType(t)
	}
	return strings.Join(names, ", ")
}

func contained(n *fhir.Node, d definition) (written, error) {
	if d.types[0] != "Resource" {
		return written{}, fhir.Errorf(fhir.Unprocessable, "value", "resource", "%s does not take a resource.", d.label)
	}
	if n.Kind != fhir.Object || n.Str("resourceType") == "" {
		return written{}, fhir.Errorf(fhir.BadRequest, "structure", "resource", "A resource must be a JSON object with a resourceType.")
	}
	return written{typ: "Resource", value: newValue(n)}, nil
}

// anonymous makes an object of parts that are its elements.
func (s Schema) anonymous(n *fhir.Node, d definition) (written, error) {
	w := written{typ: d.types[0], value: newObject()}
	if len(d.types) > 1 || primitive(w.typ) || w.typ == "Resource" {
		return w, fhir.Errorf(fhir.Unprocessable, "value", "part", "%s cannot be given as parts. It takes %s.", d.label, d.typeNames())
	}
	parts, err := readParts(n)
	if err != nil {
		return w, err
	}
	for _, p := range parts {
		if err := s.add(w.typ, w.value, p.name, p); err != nil {
			return w, err
		}
	}
	return w, nil
}

// add gives the object o, which is of the given structure, one more element: the next of
// a list, or one that is not there yet.
func (s Schema) add(structure string, o *value, name string, p part) error {
	d, ok := s.of(structure, name)
	if !ok {
		return within(p.at, s.unknownElement(structure, name))
	}
	length := 0
	for _, typ := range d.types {
		v, side, err := sides(o, d.member(typ), d)
		if err != nil {
			return within(p.at, err)
		}
		length = max(v.size(), side.size())
		if !d.repeats && (v != nil || side != nil) {
			return fhir.Errorf(fhir.Unprocessable, "duplicate", p.at, "%s.%s does not repeat and is there already. Use replace.", structure, name)
		}
	}
	w, err := s.write(p, d)
	if err != nil {
		return err
	}
	if member := d.member(w.typ); d.repeats {
		insertItem(o, member, length, w.value, w.side)
	} else {
		put(o, member, w.value, w.side)
	}
	return nil
}
