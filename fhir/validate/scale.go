package validate

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"aftercare/fhir"
)

// Scales are the measurement scales that ObservationDefinitions describe
// (https://hl7.org/fhir/R4/observationdefinition.html). It is read-only after NewScales
// and safe for concurrent use.
type Scales struct {
	byCode map[string]*scale // by system|code
}

type scale struct {
	dataTypes []string // permittedDataType; none means any
	units     []string // system|code as unit gives it; none means any
	unitNames []string // as the definition writes them
	decimals  int32    // decimalPrecision, -1 for any
	intervals []interval
}

// interval is inclusive; a nil end is open.
type interval struct{ low, high *apd.Decimal }

// NewScales reads the ObservationDefinitions among the given resources. The error names
// the definition that cannot be used: without a coded code, with a number that cannot be
// read, with low above high, or for a code that another definition has.
func NewScales(definitions []*fhir.Node) (*Scales, error) {
	s := &Scales{byCode: map[string]*scale{}}
	for _, d := range definitions {
		if d.Str("resourceType") != "ObservationDefinition" {
			continue
		}
		if err := s.add(d); err != nil {
			return nil, fmt.Errorf("ObservationDefinition %q: %w", d.Str("id"), err)
		}
	}
	return s, nil
}

func (s *Scales) add(d *fhir.Node) error {
	c := &scale{decimals: -1}
	for _, t := range d.Each("permittedDataType") {
		c.dataTypes = append(c.dataTypes, t.Text)
	}
	for _, u := range d.Each("quantitativeDetails", "unit", "coding") {
		c.units = append(c.units, unit(u))
		c.unitNames = append(c.unitNames, u.Str("code")+" of "+u.Str("system"))
	}
	if p := d.Get("quantitativeDetails", "decimalPrecision"); p != nil {
		n, ok := number(p.Text, 0, 1000)
		if !ok || p.Kind != fhir.Number {
			return fmt.Errorf("quantitativeDetails.decimalPrecision is not a whole number from 0")
		}
		c.decimals = int32(n)
	}
	for _, q := range d.Each("qualifiedInterval") {
		if q.Str("category") != "absolute" || q.Get("range") == nil {
			continue
		}
		low, err := decimalAt(q, "low")
		if err != nil {
			return err
		}
		high, err := decimalAt(q, "high")
		if err != nil {
			return err
		}
		if low != nil && high != nil && low.Cmp(high) > 0 {
			return fmt.Errorf("qualifiedInterval.range: low is above high")
		}
		c.intervals = append(c.intervals, interval{low, high})
	}
	codings := d.Each("code", "coding")
	if len(codings) == 0 {
		return fmt.Errorf("code.coding is missing")
	}
	for _, coding := range codings {
		key := coding.Str("system") + "|" + coding.Str("code")
		if coding.Str("code") == "" || coding.Str("system") == "" {
			return fmt.Errorf("code.coding needs a system and a code")
		}
		if s.byCode[key] != nil {
			return fmt.Errorf("another definition already has the code %s", key)
		}
		s.byCode[key] = c
	}
	return nil
}

func decimalAt(q *fhir.Node, end string) (*apd.Decimal, error) {
	n := q.Get("range", end, "value")
	if n == nil {
		return nil, nil
	}
	d, ok := decimal(n)
	if !ok {
		return nil, fmt.Errorf("qualifiedInterval.range.%s.value is not a number that can be used", end)
	}
	return d, nil
}

func decimal(n *fhir.Node) (*apd.Decimal, bool) {
	if n.Kind != fhir.Number || len(n.Text) > maxDigits {
		return nil, false
	}
	d, _, err := apd.NewFromString(n.Text)
	return d, err == nil
}

// Check lists how the value of an Observation leaves the scales of its code; at is the
// place of n, "" for "Observation". An Observation whose code has no scale passes, as
// does one without a value, and components are not looked at.
//
// The value must be of a permitted type. A Quantity or integer must lie in an absolute
// interval, ends included, and have no more decimals than the definition's precision:
// with 0, the numbers 6, 6.0 and 6e0 are all right. Where there is either, a Quantity needs a
// value and must not have a comparator. It must never have a coded unit other than that of the
// definition; UCUM annotations in braces do not tell units apart
// (https://ucum.org/ucum#section-Curly-Braces). All issues have severity error and code value, or required for a Quantity without a value.
func (s *Scales) Check(n *fhir.Node, at string) []fhir.Issue {
	if n.Str("resourceType") != "Observation" {
		return nil
	}
	if at == "" {
		at = "Observation"
	}
	var issues []fhir.Issue
	var done []*scale
codings:
	for _, coding := range n.Each("code", "coding") {
		c := s.byCode[coding.Str("system")+"|"+coding.Str("code")]
		if c == nil {
			continue
		}
		for _, d := range done {
			if d == c {
				continue codings
			}
		}
		done = append(done, c)
		for _, m := range n.Members {
			if strings.HasPrefix(m.Name, "value") && m.Name != "value" {
				issues = append(issues, c.check(m, at+"."+m.Name)...)
			}
		}
	}
	return issues
}

func (c *scale) check(m fhir.Member, at string) []fhir.Issue {
	kind := strings.TrimPrefix(m.Name, "value")
	permitted := len(c.dataTypes) == 0
	for _, t := range c.dataTypes {
		permitted = permitted || strings.EqualFold(t, kind)
	}
	if !permitted {
		return []fhir.Issue{scaleIssue("value", at, "The value of this code must be of type "+orList(c.dataTypes)+".")}
	}
	switch kind {
	case "Integer":
		return c.checkNumber(m.Value, at)
	case "Quantity":
		return c.checkQuantity(m.Value, at)
	}
	return nil
}

// bounded reports whether the scale says which numbers are on it.
func (c *scale) bounded() bool { return len(c.intervals) > 0 || c.decimals >= 0 }

func (c *scale) checkQuantity(q *fhir.Node, at string) []fhir.Issue {
	var issues []fhir.Issue
	if q.Get("comparator") != nil && c.bounded() {
		issues = append(issues, scaleIssue("value", at+".comparator", "A point on the scale is expected, so there must be no comparator."))
	}
	if q.Str("code") != "" && len(c.units) > 0 {
		given, matches := unit(q), false
		for _, u := range c.units {
			_, code, _ := strings.Cut(u, "|")
			matches = matches || u == given || given == "|"+code
		}
		if !matches {
			issues = append(issues, scaleIssue("value", at+".code", "The unit must be "+orList(c.unitNames)+"."))
		}
	}
	switch value := q.Get("value"); {
	case value != nil:
		issues = append(issues, c.checkNumber(value, at+".value")...)
	case q.Get("_value") == nil && c.bounded():
		issues = append(issues, scaleIssue("required", at+".value", "A quantity on a scale needs a value; without one, give dataAbsentReason instead."))
	}
	return issues
}

func (c *scale) checkNumber(n *fhir.Node, at string) []fhir.Issue {
	d, ok := decimal(n)
	if !ok {
		return []fhir.Issue{scaleIssue("value", at, "The value must be a number that can be compared.")}
	}
	var issues []fhir.Issue
	if len(c.intervals) > 0 {
		inside := false
		var ranges []string
		for _, i := range c.intervals {
			inside = inside || (i.low == nil || i.low.Cmp(d) <= 0) && (i.high == nil || d.Cmp(i.high) <= 0)
			ranges = append(ranges, i.String())
		}
		if !inside {
			issues = append(issues, scaleIssue("value", at, "The value must be "+orList(ranges)+"."))
		}
	}
	var reduced apd.Decimal
	reduced.Reduce(d)
	if c.decimals >= 0 && reduced.Exponent < -c.decimals {
		text := "The value must be a whole number."
		if c.decimals > 0 {
			text = fmt.Sprintf("The value must have no more than %d decimals.", c.decimals)
		}
		issues = append(issues, scaleIssue("value", at, text))
	}
	return issues
}

func (i interval) String() string {
	switch {
	case i.low != nil && i.high != nil:
		return "from " + i.low.Text('f') + " to " + i.high.Text('f')
	case i.low != nil:
		return "at least " + i.low.Text('f')
	case i.high != nil:
		return "at most " + i.high.Text('f')
	}
	return "any number"
}

// unit is the system|code of a Coding or Quantity. A UCUM annotation is part of how a
// unit is shown and not of the unit, so that {score} is 1.
func unit(n *fhir.Node) string {
	system, code := n.Str("system"), n.Str("code")
	if system == "http://unitsofmeasure.org" {
		for {
			before, rest, open := strings.Cut(code, "{")
			_, after, closed := strings.Cut(rest, "}")
			if !open || !closed {
				break
			}
			code = before + after
		}
		if code == "" {
			code = "1"
		}
	}
	return system + "|" + code
}

func scaleIssue(code, at, text string) fhir.Issue {
	return fhir.Issue{Severity: "error", Code: code, Text: text, Expression: []string{at}}
}
