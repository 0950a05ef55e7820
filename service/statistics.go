package service

import (
	"errors"
	"slices"

	"github.com/cockroachdb/apd/v3"
)

// exact is the arithmetic of sums and products: 400 digits, and an error
// rather than a rounded result. rounded is that of the others; its results are cut to
// significant digits at the end.
var (
	exact   = arithmetic{apd.BaseContext.WithPrecision(400), apd.Inexact}
	rounded = arithmetic{apd.BaseContext.WithPrecision(60), 0}
	shown   = apd.BaseContext.WithPrecision(significant)
)

// significant is the number of digits of results that cannot be written down exactly; R4
// asks for at least 18 (https://hl7.org/fhir/R4/datatypes.html#decimal).
const significant = 18

var errTooWide = errors.New("the values lie too far apart to be added exactly")

// arithmetic is decimal arithmetic that refuses results with one of the conditions.
type arithmetic struct {
	*apd.Context
	refused apd.Condition
}

func (a arithmetic) done(d *apd.Decimal, c apd.Condition, err error) (*apd.Decimal, error) {
	if err != nil || c&a.refused != 0 {
		return nil, errTooWide // no other error can occur: nothing is divided by 0
	}
	return d, nil
}

func (a arithmetic) do(op func(d, x, y *apd.Decimal) (apd.Condition, error), x, y *apd.Decimal) (*apd.Decimal, error) {
	d := new(apd.Decimal)
	c, err := op(d, x, y)
	return a.done(d, c, err)
}

func whole(n int) *apd.Decimal { return apd.New(int64(n), 0) }

// sample is a set of measurements in the same unit, sorted.
type sample []*apd.Decimal

func newSample(values []*apd.Decimal) sample {
	s := slices.Clone(values)
	slices.SortStableFunc(s, (*apd.Decimal).Cmp)
	return s
}

func (s sample) count() (*apd.Decimal, error) { return whole(len(s)), nil }

func (s sample) minimum() (*apd.Decimal, error) {
	if len(s) == 0 {
		return nil, nil
	}
	return s[0], nil
}

func (s sample) maximum() (*apd.Decimal, error) {
	if len(s) == 0 {
		return nil, nil
	}
	return s[len(s)-1], nil
}

// sum is exact, and 0 for no values.
func (s sample) sum() (*apd.Decimal, error) {
	total := new(apd.Decimal)
	for _, v := range s {
		var err error
		if total, err = exact.do(exact.Add, total, v); err != nil {
			return nil, err
		}
	}
	return total, nil
}

// mean is the average, exact to rounded's digits; nil for no values.
func (s sample) mean() (*apd.Decimal, error) {
	if len(s) == 0 {
		return nil, nil
	}
	total, err := s.sum()
	if err != nil {
		return nil, err
	}
	return rounded.do(rounded.Quo, total, whole(len(s)))
}

func (s sample) average() (*apd.Decimal, error) { return cut(s.mean()) }

// moment is the mean of the differences from the mean raised to a power; nil for no
// values.
func (s sample) moment(power int) (*apd.Decimal, error) {
	mean, err := s.mean()
	if mean == nil || err != nil {
		return nil, err
	}
	total := new(apd.Decimal)
	for _, v := range s {
		difference, err := rounded.do(rounded.Sub, v, mean)
		if err != nil {
			return nil, err
		}
		product := whole(1)
		for range power {
			if product, err = rounded.do(rounded.Mul, product, difference); err != nil {
				return nil, err
			}
		}
		if total, err = rounded.do(rounded.Add, total, product); err != nil {
			return nil, err
		}
	}
	return rounded.do(rounded.Quo, total, whole(len(s)))
}

// variance is that of the measurements themselves: their squared differences from the mean
// are divided by their number.
func (s sample) variance() (*apd.Decimal, error) { return cut(s.moment(2)) }

func (s sample) deviation() (*apd.Decimal, error) {
	variance, err := s.moment(2)
	if variance == nil || err != nil {
		return nil, err
	}
	d := new(apd.Decimal)
	c, err := rounded.Sqrt(d, variance)
	return cut(rounded.done(d, c, err))
}

// skew is the third standardized moment, and kurtosis the fourth, which is 3 for a normal
// distribution. Neither exists where all values are equal.
func (s sample) skew() (*apd.Decimal, error) { return cut(s.standardized(3)) }

func (s sample) kurtosis() (*apd.Decimal, error) { return cut(s.standardized(4)) }

func (s sample) standardized(power int) (*apd.Decimal, error) {
	if len(s) == 0 || s[0].Cmp(s[len(s)-1]) == 0 {
		return nil, nil
	}
	m, err := s.moment(power)
	if err != nil {
		return nil, err
	}
	variance, err := s.moment(2)
	if err != nil {
		return nil, err
	}
	scale, err := rounded.do(rounded.Mul, variance, variance)
	if err != nil {
		return nil, err
	}
	if power == 3 { // the cube of the square root
		root := new(apd.Decimal)
		c, err := rounded.Sqrt(root, variance)
		if root, err = rounded.done(root, c, err); err != nil {
			return nil, err
		}
		if scale, err = rounded.do(rounded.Mul, root, variance); err != nil {
			return nil, err
		}
	}
	return rounded.do(rounded.Quo, m, scale)
}

// quantile is the value below which a part of parts lies, on a straight line between the
// two measurements around it, of which the first is at 0 and the last at 1. It is exact for the
// numbers of parts that divide 100.
func (s sample) quantile(part, parts int) (*apd.Decimal, error) {
	if len(s) == 0 {
		return nil, nil
	}
	at := (len(s) - 1) * part
	low := s[at/parts]
	if at%parts == 0 {
		return low, nil
	}
	step, err := exact.do(exact.Sub, s[at/parts+1], low)
	if err != nil {
		return nil, err
	}
	if step, err = exact.do(exact.Mul, step, hundredths(at%parts*100/parts)); err != nil {
		return nil, err
	}
	return short(exact.do(exact.Add, low, step))
}

func hundredths(n int) *apd.Decimal { return apd.New(int64(n), -2) }

// short drops zeros at the end.
func short(d *apd.Decimal, err error) (*apd.Decimal, error) {
	if err != nil {
		return nil, err
	}
	out := new(apd.Decimal)
	out.Reduce(d)
	return out, nil
}

// quartileDeviation is half of the distance between the quartiles.
func (s sample) quartileDeviation() (*apd.Decimal, error) {
	lower, err := s.quantile(1, 4)
	if lower == nil || err != nil {
		return nil, err
	}
	upper, err := s.quantile(3, 4)
	if err != nil {
		return nil, err
	}
	distance, err := exact.do(exact.Sub, upper, lower)
	if err != nil {
		return nil, err
	}
	return short(exact.do(exact.Mul, distance, hundredths(50)))
}

// cut rounds to the digits that are shown and drops zeros at the end.
func cut(d *apd.Decimal, err error) (*apd.Decimal, error) {
	if d == nil || err != nil {
		return nil, err
	}
	out := new(apd.Decimal)
	if _, err := shown.Round(out, d); err != nil {
		return nil, errTooWide
	}
	return short(out, nil)
}
