package patch

import (
	"strconv"

	"aftercare/fhir"
)

// FHIRPath applies a FHIRPath Patch, a Parameters resource
// (https://hl7.org/fhir/R4/fhirpatch.html), to a resource and returns the new JSON. The
// operations are applied in order, each to the result of the one before.
//
// A path must select exactly one element; for delete, one or none. insert and move name a
// list that has items. add appends to a list, or sets an element that is not there. delete
// also takes away objects and lists that it leaves empty. replace puts a whole element in
// the place of the old one, whose id and extensions go with it. Of FHIRPath, a path may use
// names of elements, [n], first(), last(), where(), extension('url'), ofType() and as.
//
// Errors: BadRequest for a patch that is malformed, Unprocessable for a path that does not
// select what it must or is beyond what is understood (not-supported), an unknown element,
// a value of the wrong type, or a changed id, TooLarge for more than 1000 operations or too
// much work. The expression is the operation, such as "Parameters.parameter[0].part[1]".
func FHIRPath(resource, parameters *fhir.Node, schema Schema) ([]byte, error) {
	if parameters.Str("resourceType") != "Parameters" {
		return nil, fhir.Errorf(fhir.BadRequest, "structure", "", "A FHIRPath Patch is a Parameters resource.")
	}
	list := parameters.Get("parameter")
	if list != nil && list.Kind != fhir.Array {
		return nil, fhir.Errorf(fhir.BadRequest, "structure", "Parameters.parameter", "parameter must be a JSON array.")
	}
	p := fhirPatch{schema: schema, root: &element{index: -1, typ: resource.Str("resourceType"), value: newValue(resource)}}
	if list != nil {
		if len(list.Items) > maxOperations {
			return nil, fhir.Errorf(fhir.TooLarge, "too-long", "Parameters.parameter", "A patch may have %d operations at most.", maxOperations)
		}
		for i, item := range list.Items {
			if err := p.apply(item); err != nil {
				return nil, within("Parameters.parameter["+strconv.Itoa(i)+"]", err)
			}
		}
	}
	return result(resource, p.root.value)
}

// fhirPatch is a FHIRPath Patch that is being applied.
type fhirPatch struct {
	schema Schema
	root   *element
	work   int
}

func (p *fhirPatch) apply(n *fhir.Node) error {
	o, err := readOperation(n)
	if err != nil {
		return err
	}
	text, err := o.text("path")
	if err != nil {
		return err
	}
	at := o.parts["path"].at
	if err := p.spend(pathWork * len(text)); err != nil {
		return within(at, err)
	}
	steps, err := parseSelector(text, p.root.typ)
	if err != nil {
		return within(at, err)
	}
	switch o.kind {
	case "insert", "move":
		c, err := p.collection(steps)
		if err != nil {
			return within(at, err)
		}
		if o.kind == "insert" {
			return p.insert(o, c)
		}
		return move(o, c)
	case "delete":
		found, err := p.selected(steps)
		switch {
		case err != nil:
			return within(at, err)
		case len(found) > 1:
			return within(at, severalSelected(len(found)))
		case len(found) == 0:
			return nil
		}
		return within(at, remove(found[0]))
	}
	e, err := p.one(steps)
	if err != nil {
		return within(at, err)
	}
	if o.kind == "add" {
		return p.add(o, e)
	}
	return p.replace(o, e)
}

func (p *fhirPatch) add(o *operation, e *element) error {
	name, err := o.text("name")
	if err != nil {
		return err
	}
	in := e.grown()
	if in.kind != fhir.Object {
		return within(o.parts["path"].at, notValid(e.name))
	}
	return p.schema.add(e.structure(), in, name, o.parts["value"])
}

func (p *fhirPatch) insert(o *operation, c collection) error {
	i, err := o.number("index", c.length)
	if err != nil {
		return err
	}
	w, err := p.schema.write(o.parts["value"], c.definition)
	if err != nil {
		return err
	}
	insertItem(c.in, c.name, i, w.value, w.side)
	return nil
}

func move(o *operation, c collection) error {
	from, err := o.number("source", c.length-1)
	if err != nil {
		return err
	}
	to, err := o.number("destination", c.length-1)
	if err != nil {
		return err
	}
	moveItem(c.in, c.name, from, to)
	return nil
}

func remove(e *element) error {
	if e.in == nil {
		return fhir.Errorf(fhir.Unprocessable, "business-rule", "", "A patch must not delete the whole resource.")
	}
	e.remove()
	return nil
}

func (p *fhirPatch) replace(o *operation, e *element) error {
	if e.in == nil {
		return within(o.parts["path"].at, fhir.Errorf(fhir.Unprocessable, "business-rule", "", "A patch must not replace the whole resource. Use an update."))
	}
	w, err := p.schema.write(o.parts["value"], e.definition)
	if err != nil {
		return err
	}
	return within(o.parts["path"].at, e.replace(w.typ, w.value, w.side))
}
