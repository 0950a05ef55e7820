package search

import (
	"math"

	"aftercare/fhir"
)

// indexQuantity gives the range of a Quantity (or Age, Duration, Money), of a Range, or of
// a bare number (https://hl7.org/fhir/R4/search.html#quantity). A comparator opens one
// side. The unit is its code and system; a unit without a code stands for itself.
func indexQuantity(x *extraction, v value) error {
	if v.Kind == fhir.Number {
		return indexNumber(x, v)
	}
	switch v.Type {
	case "", "Quantity", "Age", "Duration", "Distance", "Count", "Money", "Range":
	default:
		return nil
	}
	if v.Kind != fhir.Object {
		return problem("a Quantity is needed")
	}
	if low, high := v.Get("low"), v.Get("high"); low != nil || high != nil {
		return x.quantityRange(low, high)
	}
	row, ok, err := quantityRow(v.Node)
	if err != nil || !ok {
		return err
	}
	return x.add(row)
}

func (x *extraction) quantityRange(low, high *fhir.Node) error {
	a, hasLow, err := quantityRow(low)
	if err != nil {
		return err
	}
	b, hasHigh, err := quantityRow(high)
	if err != nil {
		return err
	}
	switch {
	case !hasLow && !hasHigh:
		return nil
	case !hasLow:
		a = b
		a.NumberLow = math.Inf(-1)
	case !hasHigh:
		a.NumberHigh = math.Inf(1)
	default:
		if a.System != b.System || a.Value != b.Value {
			return problem("the two ends of the range have different units")
		}
		a.NumberHigh = b.NumberHigh
	}
	return x.add(a)
}

// quantityRow reads a Quantity; false where it has no value.
func quantityRow(n *fhir.Node) (Row, bool, error) {
	number := n.Get("value")
	if number == nil {
		return Row{}, false, nil
	}
	if number.Kind != fhir.Number {
		return Row{}, false, problem("a JSON number is needed")
	}
	r, err := readNumber(number.Text)
	if err != nil {
		return Row{}, false, err
	}
	row := Row{System: n.Str("system"), Value: n.Str("code"), NumberLow: r.low, NumberHigh: r.high}
	switch {
	case n.Get("currency") != nil: // Money
		row.System, row.Value = "urn:iso:std:iso:4217", n.Str("currency")
	case row.Value == "":
		row.System, row.Value = "", n.Str("unit")
	}
	switch n.Str("comparator") {
	case "":
	case "<":
		row.NumberLow, row.NumberHigh = math.Inf(-1), r.number
	case "<=":
		row.NumberLow = math.Inf(-1)
	case ">", ">=":
		row.NumberHigh = math.Inf(1)
	default:
		return Row{}, false, problem("the comparator of the quantity is not known")
	}
	return row, true, nil
}

// parseQuantity reads [prefix]number, [prefix]number|system|code and [prefix]number||code.
func parseQuantity(raw string) (askedNumber, error) {
	parts, err := unescapeParts(raw, '|')
	if err != nil {
		return askedNumber{}, err
	}
	if len(parts) != 1 && len(parts) != 3 {
		return askedNumber{}, problem("write number, number|system|code or number||code")
	}
	a, err := parseNumber(parts[0])
	if err != nil || len(parts) == 1 {
		return a, err
	}
	a.system, a.code, a.anyUnit = parts[1], parts[2], false
	if a.code == "" {
		return askedNumber{}, problem("the unit has no code; write number, number|system|code or number||code")
	}
	return a, nil
}
