package search

import (
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search/ucum"
)

// indexNumber gives a number, or the ends of a Range that has no unit
// (https://hl7.org/fhir/R4/search.html#number).
func indexNumber(x *extraction, v value) error {
	switch {
	case v.Kind == fhir.Number:
		d, err := readDecimal(v.Text)
		if err != nil {
			return err
		}
		return x.add(Row{NumberLow: d.float(), NumberHigh: d.float()})
	case v.Kind != fhir.Object:
		return problem("a JSON number is needed")
	case v.Type != "" && v.Type != "Range":
		return nil
	}
	r, ok, err := rangeOf(v.Node)
	if err != nil || !ok {
		return err
	}
	// 30 to 50 percent is 0.3 to 0.5; what else has a unit is no number.
	switch unit, known := ucum.Parse(r.code); {
	case r.code == "" && r.unit == "":
		return x.add(Row{NumberLow: r.low.orInf(-1), NumberHigh: r.high.orInf(1)})
	case known && unit.Base == "1" && r.system == ucum.System:
		return x.add(Row{NumberLow: r.low.toBase(unit).orInf(-1), NumberHigh: r.high.toBase(unit).orInf(1)})
	}
	return nil
}

// decimal is an exact number. A nil one is an open end.
type decimal struct {
	text  string // as it was written, "" if it was computed
	exact *big.Rat
}

// Numbers of more characters than any measurement has are refused: exact arithmetic takes time.
const maxDigits = 1000

// The parts of a decimal: digits after the point, and exponent.
var numberPattern = regexp.MustCompile(`^-?[0-9]+(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,3}))?$`)

func readDecimal(s string) (*decimal, error) {
	d := &decimal{text: s}
	if len(s) > maxDigits {
		return nil, problem("the number has too many digits")
	}
	if !plainNumber(s) && !numberPattern.MatchString(s) {
		return nil, problem("it is not a decimal number")
	}
	if math.Abs(d.float()) > 1e300 {
		return nil, problem("the number is too large")
	}
	return d, nil
}

// plainNumber reports whether s is digits alone, which most numbers are.
func plainNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// float is the nearest float64. What that cannot tell apart, which is what agrees in 15 digits,
// is one number to a search.
func (d *decimal) float() float64 {
	if d.text == "" {
		f, _ := d.exact.Float64()
		return f
	}
	f, _ := strconv.ParseFloat(d.text, 64) // too large is infinite
	return f
}

func (d *decimal) orInf(sign int) float64 {
	if d == nil {
		return math.Inf(sign)
	}
	return d.float()
}

func (d *decimal) rat() *big.Rat {
	if d.exact == nil {
		d.exact, _ = new(big.Rat).SetString(d.text) // a number by its pattern
	}
	return d.exact
}

func (d *decimal) toBase(u ucum.Unit) *decimal {
	if d == nil {
		return nil
	}
	return &decimal{exact: u.ToBase(d.rat())}
}

// askedNumber is what a query asks of a number, and of a quantity's: low is included, high is not.
type askedNumber struct {
	prefix            Prefix
	number, low, high *big.Rat
}

// readNumber reads [prefix]number. The range reaches half a unit of the last written digit to
// either side: 100 is [99.5, 100.5), 100.00 is [99.995, 100.005). A single digit with an exponent
// counts as if ".0" followed, as the specification has it: 1e2 is [95, 105). What is
// approximately the number lies within a tenth of it.
func readNumber(s string) (askedNumber, error) {
	p, s, err := cutPrefix(s)
	if err != nil {
		return askedNumber{}, err
	}
	d, err := readDecimal(s)
	if err != nil {
		return askedNumber{}, err
	}
	m := numberPattern.FindStringSubmatch(s)
	places, exponent := len(m[1]), 0
	if m[2] != "" {
		exponent, _ = strconv.Atoi(m[2]) // digits by the pattern
		places = max(places, 1)
	}
	half := new(big.Rat).Mul(big.NewRat(1, 2), power10(exponent-places))
	if p == Ap {
		tenth := new(big.Rat).Mul(new(big.Rat).Abs(d.rat()), big.NewRat(1, 10))
		if tenth.Cmp(half) > 0 {
			half = tenth
		}
	}
	return askedNumber{p, d.rat(), new(big.Rat).Sub(d.rat(), half), new(big.Rat).Add(d.rat(), half)}, nil
}

func power10(n int) *big.Rat {
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n, -n))), nil)
	if n < 0 {
		return new(big.Rat).SetFrac(big.NewInt(1), p)
	}
	return new(big.Rat).SetInt(p)
}

func (n askedNumber) value() Value {
	v := Value{Prefix: n.prefix}
	v.Number, _ = n.number.Float64()
	v.NumberLow, _ = n.low.Float64()
	v.NumberHigh, _ = n.high.Float64()
	if v.NumberHigh <= v.Number { // more digits than a float64 has
		v.NumberHigh = math.Nextafter(v.Number, math.Inf(1))
	}
	return v
}

// parseNumber reads [prefix]number.
func parseNumber(_ *asked, raw string) (Value, error) {
	s, err := unescape(raw)
	if err != nil {
		return Value{}, err
	}
	n, err := readNumber(s)
	if err != nil {
		return Value{}, err
	}
	v := n.value()
	v.AnyUnit = true
	return v, nil
}
