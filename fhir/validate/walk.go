package validate

import (
	"slices"
	"strconv"
	"strings"

	"aftercare/fhir"
)

const maxIssues = 50

// walk is one pass over a resource. It keeps the place as steps, so that a path is only
// written where something is wrong.
type walk struct {
	v      *Validator
	at     string
	steps  []step
	room   [32]step
	issues []fhir.Issue
	left   int // issues beyond maxIssues

	resourceNode *fhir.Node // the innermost resource: %resource of the invariants
	container    *fhir.Node // the innermost resource that is not contained
	inside       int        // index of the contained resource being walked, -1 outside
	uses         []use
	types        map[string]string // of the container's contained resources, by id; nil until asked for
}

// step is one name of a path, with an index where that is not negative.
type step struct {
	name  string
	index int
}

func (w *walk) enter(name string) { w.steps = append(w.steps, step{name, -1}) }

func (w *walk) index(i int) { w.steps[len(w.steps)-1].index = i }

func (w *walk) leave() { w.steps = w.steps[:len(w.steps)-1] }

// place writes the path of the current node, or of a child of it.
func (w *walk) place(child string) string {
	var b strings.Builder
	b.WriteString(w.at)
	for _, s := range w.steps {
		b.WriteByte('.')
		b.WriteString(s.name)
		if s.index >= 0 {
			b.WriteByte('[')
			b.WriteString(strconv.Itoa(s.index))
			b.WriteByte(']')
		}
	}
	if child != "" {
		b.WriteByte('.')
		b.WriteString(child)
	}
	return b.String()
}

// add notes an issue at a child of the current node, or at the node itself for "". The
// parts of the text are joined only if the issue is kept.
func (w *walk) add(code, child string, text ...string) {
	if len(w.issues) >= maxIssues {
		w.left++
		return
	}
	w.issues = append(w.issues, fhir.Issue{
		Severity: "error", Code: code, Text: strings.Join(text, ""), Expression: []string{w.place(child)},
	})
}

// resource walks a resource, which may be inside another.
func (w *walk) resource(n *fhir.Node, contained bool) {
	if n == nil || n.Kind != fhir.Object {
		w.add("structure", "", "A resource must be a JSON object.")
		return
	}
	kind := n.Get("resourceType")
	switch {
	case kind == nil:
		w.add("required", "resourceType", "resourceType is missing.")
		return
	case kind.Kind != fhir.String:
		w.add("structure", "resourceType", "resourceType must be a string.")
		return
	}
	t := w.v.types[kind.Text]
	if t == nil || t.kind != "resource" {
		text := "resourceType must be the name of an R4 resource type."
		for name, other := range w.v.types {
			if other.kind == "resource" && strings.EqualFold(name, kind.Text) {
				text = "resourceType must be the name of an R4 resource type; upper and lower case matter: " + name + "."
			}
		}
		w.add("value", "resourceType", text)
		return
	}
	if contained && n.Get("contained") != nil {
		w.add("invariant", "contained", "dom-2: A contained resource must not contain others.")
	}
	outer, container, inside, uses, types := w.resourceNode, w.container, w.inside, w.uses, w.types
	w.resourceNode = n
	if !contained {
		w.container, w.inside, w.uses, w.types = n, -1, nil, nil
	}
	w.object(n, t, nil)
	if !contained {
		w.contained(n)
		w.container, w.inside, w.uses, w.types = container, inside, uses, types
	}
	w.resourceNode = outer
}

// object walks the members of an object of the given type.
func (w *walk) object(n *fhir.Node, t *structure, targets []string) {
	if n.Kind != fhir.Object {
		w.wrongKind(n, "a JSON object")
		return
	}
	isResource := t.kind == "resource"
	if len(n.Members) == 0 {
		w.add("structure", "", "An object must not be empty.")
		return
	}
	paired := slices.ContainsFunc(n.Members, func(m fhir.Member) bool { return strings.HasPrefix(m.Name, "_") })
	var has seen
	for i := range n.Members {
		m := &n.Members[i]
		name, partner := m.Name, strings.HasPrefix(m.Name, "_")
		if partner {
			name = name[1:]
		}
		child := t.members[name]
		if child == nil || partner && child.primitive == nil {
			if !isResource || name != "resourceType" || partner {
				w.unknown(m.Name, t, child)
			}
			continue
		}
		e := child.element
		switch {
		case e.banned:
			w.add("structure", name, name, " is not allowed here.")
			continue
		case e.choice && has.has(e.ordinal) && twice(n.Members[:i], name, t, e):
			w.add("structure", name, "Only one ", e.name, " may be given.")
		}
		has.add(e.ordinal)
		w.enter(name)
		switch {
		case child.primitive == nil:
			w.complex(m.Value, child)
		case partner:
			if n.Get(name) == nil {
				w.primitive(nil, m.Value, child)
			} // else it was or will be seen with its value
		case paired:
			w.primitive(m.Value, n.Get("_"+name), child)
		default:
			w.primitive(m.Value, nil, child)
		}
		w.leave()
	}
	for _, e := range t.elements {
		if e.required && !has.has(e.ordinal) {
			w.add("required", e.label(), e.name, " is required.")
		}
	}
	switch {
	case isResource:
	case onlyID(n) && t.name != "Element":
		w.add("invariant", "", ele1)
	case t.name == "Reference":
		w.reference(n, targets)
	}
	for i := range t.rules {
		if r := &t.rules[i]; !r.holds(n, w.resourceNode, &has) {
			w.add("invariant", "", r.key, ": ", r.text)
		}
	}
}

// twice tells whether another alternative of a choice was given before name.
func twice(before []fhir.Member, name string, t *structure, e *element) bool {
	for _, m := range before {
		other := strings.TrimPrefix(m.Name, "_")
		if c := t.members[other]; c != nil && c.element == e && other != name {
			return true
		}
	}
	return false
}

// complex walks the value of an element that has children: one object, or an array.
func (w *walk) complex(n *fhir.Node, m *member) {
	if !m.element.list {
		w.one(n, m)
		return
	}
	if !w.array(n) {
		return
	}
	for i, item := range n.Items {
		w.index(i)
		w.one(item, m)
	}
}

func (w *walk) array(n *fhir.Node) bool {
	switch {
	case n.Kind != fhir.Array:
		w.wrongKind(n, "a JSON array, since this element may repeat")
		return false
	case len(n.Items) == 0:
		w.add("structure", "", "An array must not be empty.")
		return false
	}
	return true
}

func (w *walk) one(n *fhir.Node, m *member) {
	t := m.structure
	if t.name == "Resource" {
		if m.element.name == "contained" {
			w.inside = w.steps[len(w.steps)-1].index
			w.resource(n, true)
			w.inside = -1
		} else {
			w.resource(n, false)
		}
		return
	}
	w.object(n, t, m.targets)
	if m.element.codes != nil && n.Kind == fhir.Object {
		w.concept(n, m.element)
	}
}

// wrongKind says which JSON kind was expected and which was found.
func (w *walk) wrongKind(n *fhir.Node, want string) {
	if n.Kind == fhir.Null {
		w.add("structure", "", "null is not allowed here; leave the element out.")
		return
	}
	if n.Kind == fhir.Array {
		w.add("structure", "", w.name(), " must not be an array, since this element does not repeat.")
		return
	}
	w.add("structure", "", w.name(), " must be ", want, ", not ", kindName(n.Kind), ".")
}

// name is that of the current element.
func (w *walk) name() string {
	if len(w.steps) == 0 {
		return "The resource"
	}
	return w.steps[len(w.steps)-1].name
}

func kindName(k fhir.Kind) string {
	switch k {
	case fhir.Bool:
		return "a boolean"
	case fhir.Number:
		return "a number"
	case fhir.String:
		return "a string"
	case fhir.Array:
		return "an array"
	case fhir.Object:
		return "an object"
	default:
		return "null"
	}
}
