package search

import (
	"math"
	"regexp"
	"strconv"

	"aftercare/fhir"
)

// indexNumber gives the range that the written precision of a number means
// (https://hl7.org/fhir/R4/search.html#number).
func indexNumber(x *extraction, v value) error {
	if v.Kind != fhir.Number {
		return problem("a JSON number is needed")
	}
	r, err := readNumber(v.Text)
	if err != nil {
		return err
	}
	return x.add(Row{NumberLow: r.low, NumberHigh: r.high})
}

// numberRange is [low, high) around number: what its digits do not tell.
type numberRange struct{ number, low, high float64 }

var numberPattern = regexp.MustCompile(`^-?[0-9]+(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,3}))?$`)

// readNumber reads a decimal. Its range reaches half a unit of the last written digit to
// either side: 100 is [99.5, 100.5), 100.00 is [99.995, 100.005). A single digit with an
// exponent counts as if ".0" followed, as the specification has it: 1e2 is [95, 105).
func readNumber(s string) (numberRange, error) {
	m := numberPattern.FindStringSubmatch(s)
	if m == nil {
		return numberRange{}, problem("it is not a decimal number")
	}
	places, exponent := len(m[1]), 0
	if m[2] != "" {
		exponent, _ = strconv.Atoi(m[2]) // digits by the pattern
		places = max(places, 1)
	}
	number, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(number) > 1e300 {
		return numberRange{}, problem("the number is too large")
	}
	half := math.Pow10(exponent-places) / 2
	return numberRange{number, number - half, number + half}, nil
}

// askedNumber is what a query asks of a number, and of a quantity's.
type askedNumber struct {
	prefix Prefix
	numberRange
	// system and code are those of the unit; anyUnit is true where none is given.
	system, code string
	anyUnit      bool
}

// parseNumber reads [prefix]number.
func parseNumber(s string) (askedNumber, error) {
	p, s, err := cutPrefix(s)
	if err != nil {
		return askedNumber{}, err
	}
	r, err := readNumber(s)
	if err != nil {
		return askedNumber{}, err
	}
	return askedNumber{prefix: p, numberRange: r, anyUnit: true}, nil
}
