package search

import (
	"regexp"
	"time"

	"aftercare/fhir"
)

// indexDate gives the range of time that a date, dateTime, instant, Period or Timing
// covers (https://hl7.org/fhir/R4/search.html#date). An open end of a Period is open here;
// of a Timing only the outer bounds count; a Timing without any has no row.
func indexDate(x *extraction, v value) error {
	var r span
	var err error
	switch v.Type {
	case "", "date", "dateTime", "instant", "Period", "Timing":
	default:
		return nil // such as Procedure.performedString or performedAge
	}
	switch {
	case v.Kind != fhir.Object:
		r, err = dateOf(v.Node, x.zone)
	case v.Get("event") != nil || v.Get("repeat") != nil:
		r, err = timingSpan(v.Node, x.zone)
	default:
		r, err = periodSpan(v.Node, x.zone)
	}
	if err != nil || r.empty() {
		return err
	}
	return x.add(Row{Low: r.low, High: r.high})
}

// span is a half-open range [low, high) in microseconds UTC. The zero span is empty.
type span struct{ low, high int64 }

func (s span) empty() bool { return s.low >= s.high }

// join is the smallest span that covers both.
func (s span) join(o span) span {
	switch {
	case s.empty():
		return o
	case o.empty():
		return s
	}
	return span{min(s.low, o.low), max(s.high, o.high)}
}

func readDate(s string, zone *time.Location) (span, error) {
	m, err := fhir.ParseMoment(s, zone)
	if err != nil {
		return span{}, problem("it is not a date or date-time that exists, such as 2026-03-29 or 2026-03-29T09:30:00Z")
	}
	// A fraction finer than a microsecond still has an extent.
	return span{Micros(m.Low), Micros(m.High.Add(time.Microsecond - 1))}, nil
}

func dateOf(n *fhir.Node, zone *time.Location) (span, error) {
	s, err := text(n)
	if err != nil {
		return span{}, err
	}
	return readDate(s, zone)
}

func periodSpan(n *fhir.Node, zone *time.Location) (span, error) {
	start, end := n.Get("start"), n.Get("end")
	if start == nil && end == nil {
		return span{}, nil
	}
	r := span{MinTime, MaxTime}
	if start != nil {
		s, err := dateOf(start, zone)
		if err != nil {
			return span{}, err
		}
		r.low = s.low
	}
	if end != nil {
		s, err := dateOf(end, zone)
		if err != nil {
			return span{}, err
		}
		r.high = s.high
	}
	if r.empty() {
		return span{}, problem("the period ends before it starts")
	}
	return r, nil
}

func timingSpan(n *fhir.Node, zone *time.Location) (span, error) {
	all, err := periodSpan(n.Get("repeat", "boundsPeriod"), zone)
	if err != nil {
		return span{}, err
	}
	for _, event := range n.Each("event") {
		if event.Kind == fhir.Null {
			continue
		}
		r, err := dateOf(event, zone)
		if err != nil {
			return span{}, err
		}
		all = all.join(r)
	}
	return all, nil
}

// prefixes are the comparators of ordered values.
var prefixes = map[Prefix]bool{Eq: true, Ne: true, Gt: true, Lt: true, Ge: true, Le: true, Sa: true, Eb: true, Ap: true}

// cutPrefix takes the comparator off a date, number or quantity; none means eq.
func cutPrefix(s string) (Prefix, string, error) {
	if len(s) < 2 || s[0] < 'a' || s[0] > 'z' {
		return Eq, s, nil
	}
	p := Prefix(s[:2])
	if !prefixes[p] {
		return "", "", problem("a value begins with eq, ne, gt, lt, ge, le, sa, eb, ap or a digit")
	}
	return p, s[2:], nil
}

// A "+" in a query string that was not written %2B has become a space.
var plusLost = regexp.MustCompile(`^(.*T.*) ([0-9]{2}:[0-9]{2})$`)

// parseDate reads [prefix]date. The range is the time that the written precision covers,
// in the zone that the value names or else the service's own.
func parseDate(a *asked, raw string) (Value, error) {
	s, err := unescape(raw)
	if err != nil {
		return Value{}, err
	}
	p, s, err := cutPrefix(s)
	if err != nil {
		return Value{}, err
	}
	r, err := readDate(plusLost.ReplaceAllString(s, "$1+$2"), a.zone)
	if err != nil {
		return Value{}, err
	}
	return Value{Prefix: p, Low: r.low, High: r.high}, nil
}
