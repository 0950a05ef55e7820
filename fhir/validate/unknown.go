package validate

import (
	"slices"
	"strings"
)

// unknown explains a name that the type does not have. child is the element when the
// name is that of the partner of an element that cannot have one.
func (w *walk) unknown(name string, t *structure, child *member) {
	place := name
	if !plainWord(name) {
		place = "" // came from outside and could be anything: not repeated
	}
	bare := strings.TrimPrefix(name, "_")
	text := t.name + " has no element of this name."
	if child != nil {
		text = bare + " is not a primitive element, so it has no underscore partner."
		w.add("structure", place, text)
		return
	}
	for _, e := range t.elements {
		switch {
		case e.choice && bare == e.label():
			text = e.name + " may be of several types: the name must end with the type, such as " + e.example(t) + "."
		case e.choice && strings.HasPrefix(bare, e.label()) && len(bare) > len(e.label()) && upper(bare[len(e.label())]):
			text = e.name + " must not be of this type; it may be " + typeNames(e) + "."
		}
	}
	for known := range t.members {
		if strings.EqualFold(known, bare) {
			text = t.name + " has no element of this name; upper and lower case matter: " + known + "."
		}
	}
	w.add("structure", place, text)
}

func upper(c byte) bool { return c >= 'A' && c <= 'Z' }

// example is one of the JSON names of a choice.
func (e *element) example(t *structure) string {
	var names []string
	for name, m := range t.members {
		if m.element == e {
			names = append(names, name)
		}
	}
	return slices.Min(names)
}

func typeNames(e *element) string {
	var names []string
	for t := range strings.SplitSeq(e.types, ",") {
		t, _, _ = strings.Cut(t, "(")
		names = append(names, t)
	}
	return strings.Join(names, ", ")
}

func plainWord(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && !upper(c) && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
