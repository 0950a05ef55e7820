package search

import (
	"math"
	"math/big"

	"aftercare/fhir"
	"aftercare/fhir/search/ucum"
)

// indexQuantity gives the values of a Quantity (or Age, Duration, Money), of a Range, of the
// bounds of SampledData, or of a bare number (https://hl7.org/fhir/R4/search.html#quantity). A
// comparator opens one side; what is less than 5 ends just before it. There is a row for the unit's system and code, one for its text
// where that differs, and one in base units, of the facet canonical, where UCUM knows how.
func indexQuantity(x *extraction, v value) error {
	if v.Kind == fhir.Number {
		return indexNumber(x, v)
	}
	switch v.Type {
	case "", "Quantity", "Age", "Duration", "Distance", "Count", "Money", "Range", "SampledData":
	default:
		return nil
	}
	if v.Kind != fhir.Object {
		return problem("a Quantity is needed")
	}
	read := quantityOf
	switch {
	case v.Get("low") != nil || v.Get("high") != nil:
		read = rangeOf
	case v.Get("origin") != nil:
		read = sampledOf
	}
	q, ok, err := read(v.Node)
	if err != nil || !ok {
		return err
	}
	return x.quantity(q)
}

// quantity is a range of numbers with a unit. Both ends are included, but where before and after say
// otherwise: it is all before the high one, or after the low one.
type quantity struct {
	low, high          *decimal
	after, before      bool
	system, code, unit string
}

// in sets the range of a row, in the given unit or, without one, as it is.
func (q quantity) in(unit *ucum.Unit, row Row) Row {
	if unit != nil {
		q.low, q.high = q.low.toBase(*unit), q.high.toBase(*unit)
	}
	row.NumberLow, row.NumberHigh = q.low.orInf(-1), q.high.orInf(1)
	if q.after {
		row.NumberLow = math.Nextafter(row.NumberLow, math.Inf(1))
	}
	if q.before {
		row.NumberHigh = math.Nextafter(row.NumberHigh, math.Inf(-1))
	}
	return row
}

func (x *extraction) quantity(q quantity) error {
	row := q.in(nil, Row{System: q.system, Value: q.code})
	if q.code != "" || q.unit == "" {
		if q.code == "" {
			row.System = ""
		}
		if err := x.add(row); err != nil {
			return err
		}
	}
	if q.unit != "" && q.unit != q.code {
		row.System, row.Value = "", q.unit
		if err := x.add(row); err != nil {
			return err
		}
	}
	if q.system != ucum.System || x.entry.canonical == nil {
		return nil
	}
	unit, ok := ucum.Parse(q.code)
	if !ok {
		return nil
	}
	return x.add(q.in(&unit, Row{Param: x.entry.canonical, Value: unit.Base}))
}

// quantityOf reads a Quantity or Money; false where it has no value.
func quantityOf(n *fhir.Node) (q quantity, ok bool, err error) {
	number := n.Get("value")
	if number == nil {
		return q, false, nil
	}
	if number.Kind != fhir.Number {
		return q, false, problem("a JSON number is needed")
	}
	d, err := readDecimal(number.Text)
	if err != nil {
		return q, false, err
	}
	q = quantity{low: d, high: d, system: n.Str("system"), code: n.Str("code"), unit: n.Str("unit")}
	if n.Get("currency") != nil { // Money
		q.system, q.code = "urn:iso:std:iso:4217", n.Str("currency")
	}
	switch n.Str("comparator") {
	case "":
	case "<":
		q.low, q.before = nil, true
	case "<=":
		q.low = nil
	case ">":
		q.high, q.after = nil, true
	case ">=":
		q.high = nil
	default:
		return q, false, problem("the comparator of the quantity is not known")
	}
	return q, true, nil
}

// rangeOf reads a Range; false where it has neither end.
func rangeOf(n *fhir.Node) (quantity, bool, error) {
	low, hasLow, err := quantityOf(n.Get("low"))
	if err != nil {
		return quantity{}, false, err
	}
	high, hasHigh, err := quantityOf(n.Get("high"))
	switch {
	case err != nil || !hasLow && !hasHigh:
		return quantity{}, false, err
	case !hasLow:
		high.low = nil
		return high, true, nil
	case !hasHigh:
		low.high = nil
		return low, true, nil
	case low.system != high.system || low.code != high.code || low.code == "" && low.unit != high.unit:
		return quantity{}, false, problem("the two ends of the range have different units")
	}
	low.high = high.high
	if low.low != nil && low.high != nil && low.low.rat().Cmp(low.high.rat()) > 0 {
		return quantity{}, false, problem("the range ends before it starts")
	}
	return low, true, nil
}

// parseQuantity reads [prefix]number, [prefix]number|system|code and [prefix]number||code. A UCUM
// unit that can be converted is asked for in base units.
func parseQuantity(a *asked, raw string) (Value, error) {
	parts, err := unescapeParts(raw, '|')
	if err != nil {
		return Value{}, err
	}
	if len(parts) != 1 && len(parts) != 3 {
		return Value{}, problem("write number, number|system|code or number||code")
	}
	n, err := readNumber(parts[0])
	if err != nil {
		return Value{}, err
	}
	if len(parts) == 1 {
		v := n.value()
		v.AnyUnit = true
		return v, nil
	}
	system, code := parts[1], parts[2]
	if code == "" {
		return Value{}, problem("the unit has no code; write number, number|system|code or number||code")
	}
	if unit, ok := ucum.Parse(code); ok && system == ucum.System && a.entry.canonical != nil {
		for _, r := range []**big.Rat{&n.number, &n.low, &n.high} {
			*r = unit.ToBase(*r)
		}
		a.param = a.entry.canonical
		v := n.value()
		v.Value = unit.Base
		return v, nil
	}
	v := n.value()
	v.System, v.Value, v.AnySystem = system, code, system == ""
	return v, nil
}
