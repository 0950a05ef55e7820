// Package terminology answers which codes a ValueSet has, and which codes are above or below
// another in a CodeSystem, from the resources that it is given
// (https://hl7.org/fhir/R4/valueset.html, https://hl7.org/fhir/R4/codesystem.html).
//
// An answer is whole or there is none: what a resource does not say exactly is refused with the
// reason. No terminology server is asked, so SNOMED CT or LOINC are known only as far as a
// ValueSet lists their codes.
package terminology

import (
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Terms answers from what Lookup finds. It holds nothing, so an answer is as new as the
// resources.
type Terms struct {
	// Lookup finds a ValueSet or CodeSystem by its type and its canonical URL, or its reference
	// "ValueSet/id"; nil where there is none. version is the one that is asked for, "" for any;
	// where it is not there, another may be given. An error is a failure of the look-up itself,
	// and comes back as it is.
	Lookup func(typ, url, version string) (*fhir.Node, error)
}

// The limits of one answer.
const (
	maxCodes = 10_000
	maxDepth = 10
)

// refuse is the error for what cannot be answered exactly.
func refuse(format string, args ...any) error {
	return fhir.Errorf(fhir.BadRequest, "not-supported", "", format, args...)
}

// find looks a resource up by URL, with "|version" or without. If there is a version it must be
// that of the resource. What names the resource in the error.
func (t Terms) find(typ, canonical, what string) (*fhir.Node, error) {
	url, version, _ := strings.Cut(canonical, "|")
	n, err := t.Lookup(typ, url, version)
	switch {
	case err != nil:
		return nil, err
	case n == nil:
		return nil, refuse("%s is not known here", what)
	case version != "" && n.Str("version") != version:
		return nil, refuse("%s is known here in another version", what)
	case n.Get("modifierExtension") != nil:
		return nil, refuse("%s has an extension that changes its meaning", what)
	}
	return n, nil
}

// coding is a code of a system.
type coding struct{ system, code string }

// codes is a set of codings in their order.
type codes struct {
	list []coding
	has  map[coding]bool
}

func newCodes() *codes { return &codes{has: make(map[coding]bool)} }

func (c *codes) add(more ...coding) {
	for _, one := range more {
		if !c.has[one] {
			c.has[one] = true
			c.list = append(c.list, one)
		}
	}
}

// keep drops what is not among others, or with not what is.
func (c *codes) keep(others *codes, not bool) *codes {
	kept := newCodes()
	for _, one := range c.list {
		if others.has[one] != not {
			kept.add(one)
		}
	}
	return kept
}

func (c *codes) values() []search.Value {
	var values []search.Value
	for _, one := range c.list {
		values = append(values, search.Value{System: one.system, Value: one.code})
	}
	return values
}
