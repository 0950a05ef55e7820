package search

import "strconv"

// resultParameters are those that say how the answer is given
// (https://hl7.org/fhir/R4/search.html#return). None may be empty, and only the includes may be
// repeated and have a modifier.
var resultParameters = map[string]func(p *parser, pair Pair, modifier string) error{
	"_count":      readCount,
	"_total":      readTotal,
	"_summary":    readSummary,
	"_sort":       readSort,
	"_include":    readInclude,
	"_revinclude": readRevInclude,
	"_contained":  readContained,
	"_cursor":     readCursor,
	"_format":     passOver,
	"_pretty":     passOver,
}

// readCount sets the page size. 0 asks for the number of matches alone; more than the
// largest page is the largest page.
func readCount(p *parser, pair Pair, _ string) error {
	for _, c := range pair.Value {
		if c < '0' || c > '9' {
			return problem("the page size is a whole number from 0 up")
		}
	}
	n, err := strconv.Atoi(pair.Value)
	if err != nil || n > p.MaxCount { // too long for an int, so too large
		n = p.MaxCount
	}
	p.query.Count = n
	p.query.Applied = append(p.query.Applied, Pair{pair.Name, strconv.Itoa(n)})
	return nil
}

func readTotal(p *parser, pair Pair, _ string) error {
	switch pair.Value {
	case "none":
	case "accurate", "estimate": // an exact number is the best estimate
		p.query.Total = true
	default:
		return problem("it is none, estimate or accurate")
	}
	p.query.Applied = append(p.query.Applied, pair)
	return nil
}

func readSummary(p *parser, pair Pair, _ string) error {
	switch pair.Value {
	case "false":
	case "count":
		p.countOnly = true
	default:
		return unsupported{problem("of the summaries only count and false are supported")}
	}
	p.query.Applied = append(p.query.Applied, pair)
	return nil
}

func readCursor(p *parser, pair Pair, _ string) error {
	p.query.Cursor = pair.Value
	return nil
}

// passOver keeps what the HTTP side acts on.
func passOver(p *parser, pair Pair, _ string) error {
	p.query.Applied = append(p.query.Applied, pair)
	return nil
}

// readContained reads _contained (https://hl7.org/fhir/R4/search.html#contained): contained
// resources are never matches.
func readContained(p *parser, pair Pair, _ string) error {
	if pair.Value != "false" {
		return unsupported{problem("contained resources are not searched; it can only be false")}
	}
	p.query.Applied = append(p.query.Applied, pair)
	return nil
}
