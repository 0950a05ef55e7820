package validate

import (
	"slices"
	"strings"

	"aftercare/fhir"
)

// reference checks the content of a Reference (https://hl7.org/fhir/R4/references.html).
// What it points to is known from a relative or absolute Type/id, a condition such as
// "Patient?identifier=...", a contained resource, or Reference.type; where it is not
// known, as with a urn:, nothing is assumed.
func (w *walk) reference(n *fhir.Node, targets []string) {
	stated := n.Str("type")
	if t := w.v.types[stated]; t == nil || t.kind != "resource" {
		stated = "" // a logical model, or nothing
	}
	found := ""
	if literal := n.Str("reference"); literal != "" {
		var ok bool
		if found, ok = w.target(literal); !ok {
			return
		}
	}
	place := "reference"
	switch {
	case found != "" && stated != "" && found != stated:
		w.add("value", "type", "type must be the type that reference names.")
		return
	case found == "" && stated == "":
		return
	case found == "":
		found, place = stated, "type"
	}
	if w.v.referenceTypes && len(targets) > 0 && !slices.Contains(targets, found) {
		w.add("value", place, w.name(), " must refer to ", orList(targets), ".")
	}
}

func orList(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// target is the type that a literal reference names, "" if it does not tell. A
// reference that nothing can be referred to with is reported and not ok.
func (w *walk) target(literal string) (found string, ok bool) {
	switch {
	case literal[0] == '#':
		w.use(literal)
		if literal == "#" {
			return w.container.Str("resourceType"), true
		}
		if typ, ok := w.containedType(literal[1:]); ok {
			return typ, true
		}
		w.add("invariant", "reference", "ref-1: A reference that begins with # must name the id of a contained resource.")
		return "", false
	case !validURI(literal):
		w.add("value", "reference", "reference must be a URL without white space.")
		return "", false
	}
	if scheme, rest, absolute := strings.Cut(literal, ":"); absolute && isScheme(scheme) {
		if scheme == "http" || scheme == "https" {
			return w.lastType(rest), true
		}
		return "", true
	}
	if before, _, conditional := strings.Cut(literal, "?"); conditional {
		found = before
	} else {
		r := fhir.ParseReference(literal, "")
		found = r.Type
	}
	if t := w.v.types[found]; t == nil || t.kind != "resource" {
		w.add("value", "reference", "reference must be Type/id with an R4 resource type and a valid id, an absolute URL, a urn:, a # with the id of a contained resource, or Type?condition.")
		return "", false
	}
	return found, true
}

// containedType is the type of the contained resource with an id, and whether there is one.
// The first question lists them: asking each resource for its id at every reference would
// take time by the square of their number.
func (w *walk) containedType(id string) (typ string, ok bool) {
	if w.types == nil {
		w.types = map[string]string{}
		for _, c := range w.container.Each("contained") {
			if _, known := w.types[c.Str("id")]; !known {
				w.types[c.Str("id")] = c.Str("resourceType")
			}
		}
	}
	typ, ok = w.types[id]
	return typ, ok
}

// isScheme tells a URL scheme from a relative path with a colon in it.
func isScheme(s string) bool {
	return s != "" && !strings.ContainsAny(s, "/?#")
}

// lastType is the type of an absolute URL that ends in Type/id or
// Type/id/_history/version, which is how R4 tells a RESTful reference.
func (w *walk) lastType(url string) string {
	part := strings.Split(url, "/")
	if n := len(part); n > 4 && part[n-2] == "_history" {
		part = part[:n-2]
	}
	n := len(part)
	if n < 4 || !fhir.ValidID(part[n-1]) {
		return ""
	}
	if t := w.v.types[part[n-2]]; t == nil || t.kind != "resource" {
		return ""
	}
	return part[n-2]
}
