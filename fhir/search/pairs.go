package search

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"aftercare/fhir"
)

// ParsePairs decodes a query string, or a form body, and keeps the order and repetition of
// its parameters. Empty parts ("a=1&&b=2") are passed over; a name without "=" has the
// value "". The error is an *fhir.Error of kind BadRequest where a part is not
// percent-encoded UTF-8 text.
func ParsePairs(rawQuery string) ([]Pair, error) {
	var pairs []Pair
	position := 0
	for part := range strings.SplitSeq(rawQuery, "&") {
		if part == "" {
			continue
		}
		position++
		rawName, rawValue, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return nil, badEncoding(position)
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil || !storable(name) || !storable(value) {
			return nil, badEncoding(position)
		}
		pairs = append(pairs, Pair{Name: name, Value: value})
	}
	return pairs, nil
}

// storable reports whether s is text that both engines can compare.
func storable(s string) bool {
	return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

func badEncoding(position int) error {
	return fhir.Errorf(fhir.BadRequest, "invalid", "", "Parameter %d of the query is not percent-encoded UTF-8 text", position)
}
