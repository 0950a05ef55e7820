package search

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
)

// versions count up when the rows of a kind come to mean something else although no definition
// has changed, as when texts are folded in another way. What is stored is then indexed again.
var versions = map[Kind]int{Token: 1, Reference: 2, Date: 1, String: 1, URI: 1, Number: 1, Quantity: 2, Text: 1, Special: 1, Pieces: 1}

// Fingerprints gives, by resource type and by Parameter.Code, a hash of all that the rows of a
// parameter rest on besides the resource: its definition, the version of its kind, and of zone and
// base (see Extract) what it heeds. Facets and the components of composites have their own;
// parameters without rows, such as _id, have none. While one stays the same, so do the rows of
// every resource.
func (r *Registry) Fingerprints(zone *time.Location, base string) map[string]map[string]string {
	site := site{zone.String(), base}
	out := map[string]map[string]string{}
	for typ, t := range r.types {
		codes := map[string]string{}
		if logged(typ) {
			continue // nothing of it is stored
		}
		for code, e := range t.byCode {
			switch {
			case e.composite != nil:
				site.composite(codes, e)
			case code == contentCode:
				codes[code] = hash(code, fmt.Sprint(versions[Text]), "without the URIs of extensions and codes")
			case e.param.Kind == Text:
				codes[code] = hash(code, fmt.Sprint(versions[Text]))
			case e.paths != nil:
				site.simple(codes, e, site.of(e, e.expression))
			}
		}
		out[typ] = codes
	}
	return out
}

// site is what rows rest on that is the same for all parameters.
type site struct{ zone, base string }

// of describes what the rows of values of an entry rest on, which are found by an expression.
func (s site) of(e *entry, expression string) string {
	kind := e.param.Kind
	text := fmt.Sprintf("%d %s %q %q %q %q %q", versions[kind], kind.Name(), expression, e.code, e.param.Targets, e.system, e.types)
	if e.caseless() {
		text += " caseless"
	}
	if kind == Date {
		text += fmt.Sprintf(" zone %q", s.zone)
	}
	if kind == Reference || strings.Contains(expression, "resolve()") {
		text += fmt.Sprintf(" base %q", s.base)
	}
	return text
}

// simple adds a parameter with the rows of its own, and its facets.
func (s site) simple(codes map[string]string, e *entry, described string) {
	if e.param.Kind != Special { // it has facets alone
		codes[e.param.Code] = hash(e.param.Code, described)
	}
	for _, facet := range []*Parameter{e.text, e.identifier, e.ofType, e.canonical, e.latitude, e.longitude, e.contains, e.ends} {
		if facet != nil {
			codes[facet.Code] = hash(facet.Code, described, fmt.Sprint(versions[facet.Kind]))
		}
	}
}

// composite adds the components that have rows of their own. Where they stand together, each rests
// on all the others.
func (s site) composite(codes map[string]string, e *entry) {
	context := ""
	if e.composite.together {
		context = e.expression
		for i, part := range e.composite.components {
			context += "\n" + s.of(part, e.fact.components[i].expression)
		}
	}
	for i, part := range e.composite.components {
		if part.param == e.param.Components[i] && strings.HasPrefix(part.param.Code, e.code+"$") {
			s.simple(codes, part, s.of(part, e.fact.components[i].expression)+"\n"+context)
		}
	}
}

// hash is short: there are some thousand parameters, and nobody gains from two that are equal.
func hash(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return string(sum[:16])
}
