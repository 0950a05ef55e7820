package careplan

import (
	"strconv"

	"aftercare/fhir"
)

// relation reads a PlanDefinition.action.relatedAction.
func (x *expansion) relation(s *scope, place string, n *fhir.Node) (relation, bool) {
	r := relation{target: s.step(n.Str("actionId"))}
	if r.target == nil {
		x.fail(s.plan, place+".actionId", "no anchor or activity has the id %q", n.Str("actionId"))
		return r, false
	}
	exact := false
	switch kind := n.Str("relationship"); kind {
	case "after-end", "after":
		r.end, r.sign = true, 1
	case "after-start":
		r.sign = 1
	case "before-start", "before":
		r.sign = -1
	case "before-end":
		r.end, r.sign = true, -1
	case "concurrent-with-start":
		exact, r.sign = true, 1
	case "concurrent-with-end":
		exact, r.end, r.sign = true, true, 1
	default:
		x.fail(s.plan, place+".relationship", "%q is not supported", kind)
		return r, false
	}
	duration, span := n.Get("offsetDuration"), n.Get("offsetRange")
	switch {
	case exact && (duration != nil || span != nil):
		x.fail(s.plan, place, "an offset has no meaning with this relationship")
		return r, false
	case exact:
		r.low = &offset{unit: "d"}
		r.high = r.low
	case duration != nil:
		r.low = x.offset(s.plan, place+".offsetDuration", duration)
		r.high = r.low
	case span != nil:
		if low := span.Get("low"); low != nil {
			r.low = x.offset(s.plan, place+".offsetRange.low", low)
		}
		if high := span.Get("high"); high != nil {
			r.high = x.offset(s.plan, place+".offsetRange.high", high)
		}
		if r.low == nil && r.high == nil {
			x.fail(s.plan, place+".offsetRange", "needs low, high or both")
			return r, false
		}
	default:
		r.open = true
	}
	return r, true
}

// maxOffset keeps dates inside the four-digit years that FHIR can write.
const maxOffset = 100_000

// offset reads a Duration or Quantity of whole UCUM days, weeks, months or years.
func (c *compiler) offset(d *fhir.Node, place string, n *fhir.Node) *offset {
	unit := n.Str("code")
	switch unit {
	case "d", "wk", "mo", "a":
	default:
		c.fail(d, place+".code", "unit %q is not supported; d, wk, mo and a are", unit)
		return nil
	}
	if system := n.Str("system"); system != "http://unitsofmeasure.org" {
		c.fail(d, place+".system", "must be UCUM, http://unitsofmeasure.org")
		return nil
	}
	if n.Get("comparator") != nil {
		c.fail(d, place+".comparator", "is not supported")
		return nil
	}
	value := n.Get("value")
	if value == nil || value.Kind != fhir.Number {
		c.fail(d, place+".value", "is missing")
		return nil
	}
	i, err := strconv.Atoi(value.Text)
	if err != nil || i < 0 || i > maxOffset {
		c.fail(d, place+".value", "must be a whole number from 0 to %d", maxOffset)
		return nil
	}
	return &offset{n: i, unit: unit}
}
