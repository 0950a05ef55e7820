package patch

import (
	"bytes"
	"encoding/json"
	"slices"

	"aftercare/fhir"
)

// value is one JSON value under change.
type value struct {
	// node is the value as it was written; nil once it was opened.
	node *fhir.Node
	kind fhir.Kind
	// slots are the members or items of an opened object or array.
	slots []slot
	// blank is the white space of an opened object or array that came empty.
	blank []byte
}

// slot is one member of an object or item of an array, with the bytes around it.
type slot struct {
	name  string // decoded; of an object only
	lead  []byte // the bytes before the value: white space, and the name with its colon
	value *value
	trail []byte // the white space between the value and the next comma or bracket
}

func newValue(n *fhir.Node) *value { return &value{node: n, kind: n.Kind} }

func newObject() *value { return &value{kind: fhir.Object} }

func newArray() *value { return &value{kind: fhir.Array} }

var null = &fhir.Node{Kind: fhir.Null, Raw: []byte("null")}

// newNull is a null that fills a place in a list.
func newNull() *value { return newValue(null) }

// open makes the slots of an object or array.
func (v *value) open() []slot {
	n := v.node
	if n == nil || n.Kind != fhir.Object && n.Kind != fhir.Array {
		return v.slots
	}
	v.node = nil
	raw, at := n.Raw, 1
	// between returns the bytes up to the given place, cut at the comma.
	between := func(start int) (trail, lead []byte) {
		gap := raw[at:start]
		if len(v.slots) == 0 {
			return nil, gap
		}
		comma := bytes.IndexByte(gap, ',')
		return gap[:comma], gap[comma+1:]
	}
	add := func(name string, child *fhir.Node) {
		start := child.Start - n.Start
		trail, lead := between(start)
		if len(v.slots) > 0 {
			v.slots[len(v.slots)-1].trail = trail
		}
		v.slots = append(v.slots, slot{name: name, lead: lead, value: newValue(child)})
		at = start + len(child.Raw)
	}
	v.slots = make([]slot, 0, len(n.Members)+len(n.Items)+1)
	for _, m := range n.Members {
		add(m.Name, m.Value)
	}
	for _, item := range n.Items {
		add("", item)
	}
	if rest := raw[at : len(raw)-1]; len(v.slots) > 0 {
		v.slots[len(v.slots)-1].trail = rest
	} else {
		v.blank = rest
	}
	return v.slots
}

// appendTo writes the value.
func (v *value) appendTo(b []byte) []byte {
	if v.node != nil {
		return append(b, v.node.Raw...)
	}
	first, last := byte('{'), byte('}')
	if v.kind == fhir.Array {
		first, last = '[', ']'
	}
	b = append(b, first)
	for i := range v.slots {
		s := &v.slots[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(s.value.appendTo(append(b, s.lead...)), s.trail...)
	}
	if len(v.slots) == 0 {
		b = append(b, v.blank...)
	}
	return append(b, last)
}

// parsed is the value as a tree of nodes.
func (v *value) parsed() (*fhir.Node, error) {
	if v.node != nil {
		return v.node, nil
	}
	return fhir.Parse(v.appendTo(nil))
}

// find is the index of an object's member, -1 where there is none.
func (v *value) find(name string) int {
	if v == nil || v.kind != fhir.Object {
		return -1
	}
	slots := v.open()
	for i := range slots {
		if slots[i].name == name {
			return i
		}
	}
	return -1
}

// get is an object's member, nil where there is none.
func (v *value) get(name string) *value {
	if i := v.find(name); i >= 0 {
		return v.slots[i].value
	}
	return nil
}

// item is the i-th item of an array, nil where it is absent or null.
func (v *value) item(i int) *value {
	if v == nil || v.kind != fhir.Array || i >= v.size() {
		return nil
	}
	if item := v.open()[i].value; item.kind != fhir.Null {
		return item
	}
	return nil
}

// size is the number of an array's items or an object's members.
func (v *value) size() int {
	switch {
	case v == nil:
		return 0
	case v.node != nil:
		return len(v.node.Items) + len(v.node.Members)
	default:
		return len(v.slots)
	}
}

// set gives an object's member a value. A new member goes to the end.
func (v *value) set(name string, to *value) {
	if i := v.find(name); i >= 0 {
		v.slots[i].value = to
		return
	}
	v.insert(len(v.slots), name, to)
}

// insert puts a new member or item at index i. The name of an item is "".
func (v *value) insert(i int, name string, what *value) {
	s := slot{name: name, value: what}
	if v.kind == fhir.Object {
		s.lead = leadOf(name)
	}
	v.slots = slices.Insert(v.open(), i, s)
}

// rename gives the member at index i another name.
func (v *value) rename(i int, name string) {
	v.slots[i].name, v.slots[i].lead = name, leadOf(name)
}

func leadOf(name string) []byte {
	quoted, err := json.Marshal(name)
	if err != nil { // a decoded JSON string: cannot happen
		panic(err)
	}
	return append(quoted, ':')
}

// remove takes out the member or item at index i.
func (v *value) remove(i int) *value {
	taken := v.open()[i].value
	v.slots = slices.Delete(v.slots, i, i+1)
	return taken
}

// drop removes a member if it is there.
func (v *value) drop(name string) {
	if i := v.find(name); i >= 0 {
		v.remove(i)
	}
}
