package search

import "strings"

// indexURI gives the URI as it is written (https://hl7.org/fhir/R4/search.html#uri).
func indexURI(x *extraction, v value) error {
	s, err := text(v.Node)
	if err != nil || s == "" {
		return err
	}
	return x.add(Row{Value: s})
}

// parseURI reads a URI, which matches exactly: case and trailing slash count. The modifiers
// above and below go by the parts of a path, and so are not for URNs.
func parseURI(a *asked, raw string) (Value, error) {
	s, err := unescape(raw)
	if err != nil {
		return Value{}, err
	}
	if a.modifier != "" && strings.HasPrefix(strings.ToLower(s), "urn:") {
		return Value{}, problem("a URN has no path, so nothing is above or below it")
	}
	return Value{Value: s}, nil
}
