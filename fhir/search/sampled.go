package search

import (
	"math/big"
	"strconv"
	"strings"

	"aftercare/fhir"
)

// sampledOf reads the bounds of SampledData, which is what R4 searches it by
// (https://hl7.org/fhir/R4/observation.html#search, value-quantity); false where no sample has a
// value. A sample below the lower limit (L) or above the upper one (U) opens that end; an error
// (E) has no value.
func sampledOf(n *fhir.Node) (q quantity, ok bool, err error) {
	if q, ok, err = quantityOf(n.Get("origin")); err != nil || !ok || q.low == nil || q.high == nil {
		return q, false, err
	}
	origin, factor := q.low.rat(), big.NewRat(1, 1)
	if f := n.Get("factor"); f != nil {
		d, err := readDecimal(f.Text)
		if err != nil {
			return q, false, err
		}
		factor = d.rat()
	}
	var least, most string
	var low, high float64
	below, above := false, false
	for sample := range strings.FieldsSeq(n.Str("data")) {
		switch sample {
		case "E":
			continue
		case "L":
			below = true
			continue
		case "U":
			above = true
			continue
		}
		f, err := strconv.ParseFloat(sample, 64)
		if err != nil || len(sample) > maxDigits || !numberPattern.MatchString(sample) {
			return q, false, problem("a sample is neither a number nor E, L or U")
		}
		if least == "" || f < low {
			least, low = sample, f
		}
		if most == "" || f > high {
			most, high = sample, f
		}
	}
	if least == "" {
		return q, false, nil
	}
	at := func(sample string) *decimal {
		d, _ := new(big.Rat).SetString(sample) // a number by its pattern
		return &decimal{exact: d.Add(d.Mul(d, factor), origin)}
	}
	q.low, q.high = at(least), at(most)
	if factor.Sign() < 0 {
		q.low, q.high = q.high, q.low
	}
	if below {
		q.low = nil
	}
	if above {
		q.high = nil
	}
	return q, true, nil
}
