package validate

import (
	"strconv"

	"aftercare/fhir"
)

// LinkKind is the type of the place that a link stands in.
type LinkKind byte

// The kinds of link. All but LinkReference and LinkNarrative are the primitive type of
// the element.
const (
	LinkReference LinkKind = iota + 1 // Reference.reference
	LinkURI
	LinkURL
	LinkCanonical
	LinkOID
	LinkUUID
	LinkNarrative // the div of a narrative, which may have links inside
)

// Link is a place in a resource whose value may be the address of another resource.
type Link struct {
	// Node is the string.
	Node *fhir.Node
	Kind LinkKind
	// Expression is where it stands, such as "CarePlan.subject.reference".
	Expression string
	// Targets are the resource types that a reference or canonical may point to; none
	// means any.
	Targets []string
}

// Links lists in document order every place of a resource, and of the resources inside
// it, whose value may be the address of a resource: Reference.reference, every element
// of type uri, url, canonical, oid or uuid, and the narrative
// (https://hl7.org/fhir/R4/http.html#trules says what a transaction rewrites). An
// Identifier.value is a string and is not among them; Identifier.system and
// Coding.system are. It works on resources that are not valid, and leaves out what it
// does not know.
func (v *Validator) Links(n *fhir.Node) []Link {
	l := links{v: v}
	if t := v.types[n.Str("resourceType")]; t != nil && t.kind == "resource" {
		l.resource(n, t.name)
	}
	return l.found
}

type links struct {
	v     *Validator
	found []Link
}

func (l *links) resource(n *fhir.Node, at string) {
	if t := l.v.types[n.Str("resourceType")]; t != nil && t.kind == "resource" {
		l.object(n, t, at, nil)
	}
}

func (l *links) object(n *fhir.Node, t *structure, at string, targets []string) {
	for _, m := range n.Members {
		name, underscore := m.Name, false
		if name != "" && name[0] == '_' {
			name, underscore = name[1:], true
		}
		child := t.members[name]
		if child == nil {
			continue
		}
		link := LinkKind(0)
		if child.primitive != nil {
			link = child.primitive.link
		}
		if t.name == "Reference" && name == "reference" {
			link, child = LinkReference, &member{element: child.element, primitive: child.primitive, targets: targets}
		}
		if link == 0 && child.primitive != nil && !underscore {
			continue
		}
		place := at + "." + name
		if m.Value.Kind != fhir.Array {
			l.value(m.Value, child, link, underscore, place)
			continue
		}
		for i, item := range m.Value.Items {
			l.value(item, child, link, underscore, place+"["+strconv.Itoa(i)+"]")
		}
	}
}

func (l *links) value(n *fhir.Node, m *member, link LinkKind, underscore bool, at string) {
	switch {
	case underscore:
		l.object(n, l.v.types["Element"], at, nil)
	case m.primitive != nil:
		if n.Kind == fhir.String {
			l.found = append(l.found, Link{Node: n, Kind: link, Expression: at, Targets: m.targets})
		}
	case m.structure.name == "Resource":
		l.resource(n, at)
	default:
		l.object(n, m.structure, at, m.targets)
	}
}
