package search

// indexURI gives the URI as it is written (https://hl7.org/fhir/R4/search.html#uri).
func indexURI(x *extraction, v value) error {
	s, err := text(v.Node)
	if err != nil || s == "" {
		return err
	}
	return x.add(Row{Value: s})
}

// parseURI reads a URI, which matches exactly: case and trailing slash count.
func parseURI(_ *asked, raw string) (Value, error) {
	s, err := unescape(raw)
	if err != nil {
		return Value{}, err
	}
	return Value{Value: s}, nil
}
