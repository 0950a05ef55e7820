package validate

import (
	"strings"

	"aftercare/fhir"
)

// holds evaluates a rule on an object whose elements are has.
func (r *rule) holds(n, resource *fhir.Node, has *seen) bool {
	for i := range r.any {
		if l := &r.any[i]; l.holds(n, resource, has) != l.negative {
			return true
		}
	}
	return false
}

func (l *literal) holds(n, resource *fhir.Node, has *seen) bool {
	if l.ordinal >= 0 {
		return has.has(l.ordinal)
	}
	start := n
	if l.path.resource {
		start = resource
	}
	switch l.op {
	case "=":
		return l.path.any(start, func(v *fhir.Node) bool { return equalsOne(v, l.values) })
	case "~":
		return l.path.any(start, func(v *fhir.Node) bool { return strings.Contains(v.Text, l.values[0]) })
	case "<=", "<":
		order, known := compare(l.path.first(start), l.other[0].first(start))
		return !known || order < 0 || order == 0 && l.op == "<="
	case "distinct":
		return distinct(l.path.all(start), l.other)
	case "disjoint":
		return !l.path.any(start, func(a *fhir.Node) bool {
			return l.other[0].any(start, func(b *fhir.Node) bool { return equal(a, b) })
		})
	default:
		return l.path.any(start, func(*fhir.Node) bool { return true })
	}
}

// any calls test with each value at the path until it says true.
func (p path) any(n *fhir.Node, test func(*fhir.Node) bool) bool {
	if n == nil || n.Kind == fhir.Null {
		return false
	}
	if n.Kind == fhir.Array {
		for _, item := range n.Items {
			if p.any(item, test) {
				return true
			}
		}
		return false
	}
	if len(p.names) == 0 {
		return test(n)
	}
	name, choice := strings.CutSuffix(p.names[0], "[x]")
	rest := path{names: p.names[1:], index: p.index[1:]}
	for i := range n.Members {
		m := &n.Members[i]
		given := strings.TrimPrefix(m.Name, "_")
		if given != name && (!choice || len(given) <= len(name) || given[:len(name)] != name || !upper(given[len(name)])) {
			continue
		}
		value := m.Value
		if at := p.index[0]; at >= 0 {
			if value.Kind != fhir.Array || at >= len(value.Items) {
				continue
			}
			value = value.Items[at]
		}
		if rest.any(value, test) {
			return true
		}
	}
	return false
}

func (p path) all(n *fhir.Node) []*fhir.Node {
	var found []*fhir.Node
	p.any(n, func(v *fhir.Node) bool {
		found = append(found, v)
		return false
	})
	return found
}

// first is the first value at a path, or the number that the path is.
func (p path) first(n *fhir.Node) *fhir.Node {
	if c := p.names[0][0]; c >= '0' && c <= '9' {
		return &fhir.Node{Kind: fhir.Number, Text: p.names[0]}
	}
	var found *fhir.Node
	p.any(n, func(v *fhir.Node) bool {
		found = v
		return true
	})
	return found
}

func equalsOne(n *fhir.Node, values []string) bool {
	for _, v := range values {
		switch n.Kind {
		case fhir.Object:
			system, code, _ := strings.Cut(v, "#")
			if n.Str("system") == system && n.Str("code") == code {
				return true
			}
		default:
			if n.Text == v {
				return true
			}
		}
	}
	return false
}

// distinct leaves out items that lack the first value.
func distinct(items []*fhir.Node, keys []path) bool {
	found := map[string]bool{}
	for _, item := range items {
		var b strings.Builder
		for i, k := range keys {
			v := k.first(item)
			if i == 0 && v == nil {
				b.Reset()
				break
			}
			if v != nil {
				b.WriteString(v.Text)
			}
			b.WriteByte(0)
		}
		if b.Len() == 0 {
			continue
		}
		if found[b.String()] {
			return false
		}
		found[b.String()] = true
	}
	return true
}

// equal compares two JSON values; the order of members does not count.
func equal(a, b *fhir.Node) bool {
	if a.Kind != b.Kind || a.Text != b.Text || len(a.Members) != len(b.Members) || len(a.Items) != len(b.Items) {
		return false
	}
	for i := range a.Items {
		if !equal(a.Items[i], b.Items[i]) {
			return false
		}
	}
	for _, m := range a.Members {
		if other := b.Get(m.Name); other == nil || !equal(m.Value, other) {
			return false
		}
	}
	return true
}
