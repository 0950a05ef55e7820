package patch

import "aftercare/fhir"

// element is a place in the resource that a path selects.
type element struct {
	parent *element
	// in is the object that has the element; nil for the resource itself.
	in *value
	// name is the member of in, index the item of its list, -1 where it does not repeat.
	name  string
	index int
	definition
	typ string
	// value is the JSON of the element. It is nil for a primitive with extensions alone.
	value *value
	// side is the object beside a primitive, nil where there is none.
	side *value
}

// structure is the type whose elements can follow.
func (e *element) structure() string {
	switch {
	case primitive(e.typ):
		return "Element"
	case e.typ == "Resource":
		return e.value.text("resourceType")
	}
	return e.typ
}

// text is the string at an object's member, "" where there is none.
func (v *value) text(name string) string {
	if m := v.get(name); m != nil && m.kind == fhir.String {
		return m.node.Text
	}
	return ""
}

// object is the JSON that has the children of e, nil where there is none.
func (e *element) object() *value {
	if primitive(e.typ) {
		return e.side
	}
	return e.value
}

// grown is object, made if need be.
func (e *element) grown() *value {
	if primitive(e.typ) && e.side == nil {
		e.side = newObject()
		if e.index < 0 {
			put(e.in, e.name, e.value, e.side)
		} else {
			setItem(e.in, e.name, e.index, e.value, e.side)
		}
	}
	return e.object()
}

// children are the elements below e that the definition d has there, in order.
func (e *element) children(d definition) ([]*element, error) {
	o := e.object()
	var found []*element
	for _, typ := range d.types {
		name := d.member(typ)
		v, side, err := sides(o, name, d)
		switch {
		case err != nil:
			return nil, err
		case v == nil && side == nil:
			continue
		}
		child := element{parent: e, in: o, name: name, index: -1, definition: d, typ: typ, value: v, side: side}
		if !d.repeats {
			found = append(found, &child)
			continue
		}
		for i := range max(v.size(), side.size()) {
			one := child
			one.index, one.value, one.side = i, v.item(i), side.item(i)
			if one.value != nil || one.side != nil {
				found = append(found, &one)
			}
		}
	}
	return found, nil
}

// sides are the member and its underscore partner, nil where absent. A list is an array
// and nothing else is; an error means that the resource is not so.
func sides(o *value, name string, d definition) (v, side *value, err error) {
	v, side = o.get(name), o.get("_"+name)
	for _, s := range []*value{v, side} {
		if s != nil && (s.kind == fhir.Array) != d.repeats {
			return nil, nil, notValid(name)
		}
	}
	return v, side, nil
}

// remove takes e out, and then what was left empty around it: JSON in FHIR has no empty
// objects and arrays (https://hl7.org/fhir/R4/json.html).
func (e *element) remove() {
	if e.index < 0 {
		put(e.in, e.name, nil, nil)
	} else {
		removeItem(e.in, e.name, e.index)
	}
	e.parent.prune()
}

func (e *element) prune() {
	if e.in == nil || e.object().size() > 0 {
		return
	}
	if !primitive(e.typ) || e.value == nil {
		e.remove()
		return
	}
	if e.index < 0 {
		put(e.in, e.name, e.value, nil)
	} else {
		setItem(e.in, e.name, e.index, e.value, nil)
	}
}

// replace gives e a value of the given type; the old one goes with its extensions.
func (e *element) replace(typ string, v, side *value) error {
	if e.index >= 0 {
		setItem(e.in, e.name, e.index, v, side)
		return nil
	}
	name := e.member(typ)
	if name != e.name {
		if e.in.find(name) >= 0 || e.in.find("_"+name) >= 0 {
			return notValid(name)
		}
		for _, prefix := range []string{"", "_"} {
			if at := e.in.find(prefix + e.name); at >= 0 {
				e.in.rename(at, prefix+name)
			}
		}
	}
	put(e.in, name, v, side)
	return nil
}

// notValid is the error for a resource that does not have the JSON of FHIR at a member.
func notValid(member string) error {
	return fhir.Errorf(fhir.Unprocessable, "structure", "", "The resource is not valid at %s, so it cannot be patched there.", member)
}

// put sets both sides of an element that does not repeat; nil removes a side.
func put(o *value, name string, v, side *value) {
	if v == nil {
		o.drop(name)
	} else {
		o.set(name, v)
	}
	putSide(o, name, side)
}

// putSide sets the underscore partner; a new one goes behind its value.
func putSide(o *value, name string, side *value) {
	switch at := o.find(name); {
	case side == nil:
		o.drop("_" + name)
	case at >= 0 && o.find("_"+name) < 0:
		o.insert(at+1, "_"+name, side)
	default:
		o.set("_"+name, side)
	}
}

// lists are the two sides of an element that repeats, nil where absent. The sides that are
// asked for are made, and both are filled up with null to the same length.
func lists(o *value, name string, needValues, needSides bool) (values, sides *value) {
	values, sides = o.get(name), o.get("_"+name)
	length := max(values.size(), sides.size())
	if values == nil && needValues {
		values = newArray()
		if at := o.find("_" + name); at >= 0 {
			o.insert(at, name, values)
		} else {
			o.set(name, values)
		}
	}
	if sides == nil && needSides {
		sides = newArray()
		putSide(o, name, sides)
	}
	for _, side := range []*value{values, sides} {
		for side != nil && side.size() < length {
			side.insert(side.size(), "", newNull())
		}
	}
	return values, sides
}

func orNull(v *value) *value {
	if v == nil {
		return newNull()
	}
	return v
}

func setItem(o *value, name string, i int, v, side *value) {
	values, sides := lists(o, name, v != nil, side != nil)
	if values != nil {
		values.open()[i].value = orNull(v)
	}
	if sides != nil {
		sides.open()[i].value = orNull(side)
	}
	tidy(o, name)
}

func insertItem(o *value, name string, i int, v, side *value) {
	values, sides := lists(o, name, v != nil, side != nil)
	if values != nil {
		values.insert(i, "", orNull(v))
	}
	if sides != nil {
		sides.insert(i, "", orNull(side))
	}
}

func removeItem(o *value, name string, i int) {
	values, sides := lists(o, name, false, false)
	for _, list := range []*value{values, sides} {
		if list != nil {
			list.remove(i)
		}
	}
	tidy(o, name)
}

func moveItem(o *value, name string, from, to int) {
	values, sides := lists(o, name, false, false)
	for _, list := range []*value{values, sides} {
		if list != nil {
			list.insert(to, "", list.remove(from))
		}
	}
}

// tidy removes lists that say nothing any more.
func tidy(o *value, name string) {
	for _, side := range []string{name, "_" + name} {
		if list := o.get(side); list != nil && onlyNulls(list) {
			o.drop(side)
		}
	}
}

func onlyNulls(list *value) bool {
	for i := range list.size() {
		if list.item(i) != nil {
			return false
		}
	}
	return true
}
