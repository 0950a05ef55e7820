package validate

import "aftercare/fhir"

// primitive checks a value together with its underscore partner, which holds its id and
// extensions (https://hl7.org/fhir/R4/json.html#primitive). Either may be nil.
func (w *walk) primitive(value, partner *fhir.Node, m *member) {
	if !m.element.list {
		if value != nil {
			w.value(value, m)
		}
		if partner != nil {
			w.partner(partner, value != nil, m)
		}
		return
	}
	if value != nil && !w.array(value) || partner != nil && !w.array(partner) {
		return
	}
	if value != nil && partner != nil && len(value.Items) != len(partner.Items) {
		w.add("structure", "", w.name(), " and its underscore partner must have the same length; fill up with null.")
		return
	}
	for i := range max(items(value), items(partner)) {
		w.index(i)
		v, p := item(value, i), item(partner, i)
		switch {
		case v == nil && p == nil:
			w.add("structure", "", "null is only allowed where the underscore partner, or the value, stands at the same index.")
			continue
		case v != nil:
			w.value(v, m)
		}
		if p != nil {
			w.partner(p, v != nil, m)
		}
	}
}

func items(n *fhir.Node) int {
	if n == nil {
		return 0
	}
	return len(n.Items)
}

// item is the i-th value of an array, nil where that is absent or null.
func item(n *fhir.Node, i int) *fhir.Node {
	if n == nil || n.Items[i].Kind == fhir.Null {
		return nil
	}
	return n.Items[i]
}

// value checks one primitive value.
func (w *walk) value(n *fhir.Node, m *member) {
	p := m.primitive
	switch {
	case n.Kind != p.kind:
		w.wrongKind(n, kindName(p.kind)+" in JSON: "+p.expects)
	case n.Text == "":
		w.add("value", "", w.name(), " must not be an empty string.")
	case p.link == LinkNarrative:
		if problem := checkXHTML(n.Text); problem != "" {
			w.add("structure", "", problem)
		}
	case p.valid != nil && !p.valid(n.Text):
		w.add("value", "", w.name(), " must be ", p.expects, ".")
	case m.element.codes != nil && !m.element.codes.codes[n.Text]:
		w.add("code-invalid", "", w.name(), " must be ", m.element.codes.describe(), ".")
	case p.link != 0 && n.Text[0] == '#':
		w.use(n.Text)
	}
}

// partner checks the object that holds the id and extensions of a primitive value.
func (w *walk) partner(n *fhir.Node, hasValue bool, m *member) {
	w.object(n, w.v.types["Element"], nil)
	switch {
	case onlyID(n) && !hasValue:
		w.add("invariant", "", ele1)
	case m.primitive.link == LinkNarrative && n.Get("extension") != nil:
		w.add("structure", "extension", "The div of a narrative must not have extensions.")
	}
}

// ele1 is the one invariant of all elements
// (https://hl7.org/fhir/R4/element.html#invs). That {} is empty is seen earlier.
const ele1 = "ele-1: An element must have a value, or content beside its id."

func onlyID(n *fhir.Node) bool { return len(n.Members) == 1 && n.Members[0].Name == "id" }
