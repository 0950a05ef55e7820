package search

import "strings"

// readSort reads _sort: parameters with commas between them, each with "-" before it for the
// descending order (https://hl7.org/fhir/R4/search.html#sort).
func readSort(p *parser, pair Pair, _ string) error {
	keys := strings.Split(pair.Value, ",")
	if len(keys) > maxSortKeys {
		return costly{problem("there are more than 8 keys")}
	}
	for _, part := range p.query.Parts {
		if err := loggedSortKeys(part.Type, keys); err != nil {
			return err
		}
		for _, key := range keys {
			code, descending := strings.CutPrefix(key, "-")
			e := p.entry(part.Type, code)
			if e == nil {
				return problem(part.Type + " has no such search parameter to sort by; known are " + p.codes(part.Type))
			}
			switch e.param.Kind {
			case Composite, Special, Text:
				return unsupported{problem("parameters of type " + e.param.Kind.Name() + " and texts have no order, so none can be sorted by")}
			}
			part.Sort = append(part.Sort, SortKey{Param: e.param, Descending: descending})
		}
	}
	p.query.Applied = append(p.query.Applied, pair)
	return nil
}

const maxSortKeys = 8
