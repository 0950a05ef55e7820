package course

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"aftercare/fhir"
)

// Case is what a course is worked out from.
type Case struct {
	// Base is the public FHIR base without a trailing slash.
	Base string
	// Plans are the care plans of the patient that protocols have made; Records are the
	// Procedures and BodyStructures, by reference.
	Plans   []Record
	Records map[string]*fhir.Node
	// Observations are the reports of pain; the order does not matter.
	Observations []Record
}

// Filter narrows what is shown. Start and End are local dates, both inclusive, as midnight UTC;
// zero is open. No Codes or Sites are all of them.
type Filter struct {
	Start, End   time.Time
	Codes, Sites []Coding
}

// Course is how pain has gone.
type Course struct {
	Series  []*Series
	LeftOut []LeftOut
}

// Series are the points of one anchor, site, scale and unit, in the order of time.
type Series struct {
	// Anchor is nil where the patient has none, or where none is at the side that is reported.
	Anchor *Anchor
	Sites  []Coding
	// SiteName is the site in words, "" where none is reported.
	SiteName string
	Code     Coding
	// Name is that of the scale. Limits are its ends, nil where it has none.
	Name   string
	Limits *[2]float64
	// Unit is the UCUM code, "" for a number without one.
	Unit   string
	Points []Point
	Trend  *Trend // nil where there is none
}

// What may be said of a point.
const (
	SeveralAnchors = "several-anchors" // no side is reported: the point is in the series of each
	SideDiffers    = "side-differs"    // the side is not that of the anchor that is named
	BeforeSurgery  = "before-surgery"  // not part of the trend
)

// Point is one report.
type Point struct {
	// Observation is the versioned reference; Time is the element as it is stored: a dateTime,
	// or the end or start of a Period. Value is the number as it is stored.
	Observation, Time, Value string
	// Day is the local date; Number is Value as far as a float holds it.
	Day    time.Time
	Number float64
	moment time.Time
	// Since is the days from the first operation, SinceLast those from the last one before the
	// point; nil where that has no date.
	Since, SinceLast *int
	Flags            []string
}

// Why a report is no point.
const (
	EnteredInError = "entered-in-error" // or cancelled
	NoValue        = "no-value"         // dataAbsentReason, or nothing
	NotANumber     = "not-a-number"     // a value of another type
	Comparator     = "comparator"       // such as "more than 8": not a point on the scale
	NoDay          = "no-day"           // no time, or one that is not known to the day
	SeveralScales  = "several-scales"   // codes of two scales
	Modified       = "modified"         // an extension changes the meaning
)

// LeftOut is a report that is in no series.
type LeftOut struct{ Observation, Reason string }

// Of works the course out.
func (r *Rules) Of(c Case, f Filter) Course {
	anchors := r.anchors(c.Plans, c.Records, c.Base)
	var out Course
	byKey := map[string]*Series{}
	for _, o := range c.Observations {
		p := Point{Observation: o.Ref + "/_history/" + strconv.FormatInt(o.Version, 10)}
		code, unit, reason := r.read(o.Node, &p)
		if len(f.Codes) > 0 {
			if _, asked := in(f.Codes, code); !asked && reason != SeveralScales {
				continue
			}
		}
		sites, name := r.siteOf(o.Node)
		if len(f.Sites) > 0 && !slices.ContainsFunc(sites, func(s Coding) bool { _, asked := in(f.Sites, s); return asked }) {
			continue
		}
		if !p.Day.IsZero() && (!f.Start.IsZero() && p.Day.Before(f.Start) || !f.End.IsZero() && p.Day.After(f.End)) {
			continue
		}
		if reason != "" {
			out.LeftOut = append(out.LeftOut, LeftOut{p.Observation, reason})
			continue
		}
		for _, a := range r.anchorsOf(o.Node, anchors, c.Base, &p) {
			key := seriesKey(a, sites, name, code, unit)
			s := byKey[key]
			if s == nil {
				s = &Series{Anchor: a, Sites: sites, SiteName: name, Code: code, Unit: unit, Name: cmp.Or(r.names[code.key()], code.Display, code.Code)}
				if limits, ok := r.limits[code.key()]; ok {
					s.Limits = &limits
				}
				byKey[key] = s
				out.Series = append(out.Series, s)
			}
			s.Points = append(s.Points, p.at(a))
		}
	}
	for _, s := range out.Series {
		s.finish()
	}
	slices.SortFunc(out.Series, func(a, b *Series) int { return r.order(a, b, anchors) })
	slices.SortFunc(out.LeftOut, func(a, b LeftOut) int { return strings.Compare(a.Observation, b.Observation) })
	return out
}

func seriesKey(a *Anchor, sites []Coding, name string, code Coding, unit string) string {
	var b strings.Builder
	add := func(parts ...string) {
		for _, p := range parts {
			b.WriteString(strconv.Quote(p))
		}
	}
	if a != nil {
		add(a.Plan)
	}
	b.WriteByte('|')
	for _, s := range sites {
		add(s.System, s.Code)
	}
	if len(sites) == 0 {
		add("text", name)
	}
	b.WriteByte('|')
	add(code.System, code.Code, unit)
	return b.String()
}

// order is that of the anchors, then that of the scales, units and sites.
func (r *Rules) order(a, b *Series, anchors []*Anchor) int {
	index := func(s *Series) int {
		if i := slices.Index(anchors, s.Anchor); i >= 0 {
			return i
		}
		return len(anchors)
	}
	scale := func(s *Series) int {
		return slices.IndexFunc(r.scales, func(c Coding) bool { return c.key() == s.Code.key() })
	}
	key := func(s *Series) string { return seriesKey(nil, s.Sites, s.SiteName, s.Code, s.Unit) }
	return cmp.Or(cmp.Compare(index(a), index(b)), cmp.Compare(scale(a), scale(b)), strings.Compare(a.Unit, b.Unit), strings.Compare(key(a), key(b)))
}

// read reads scale, time and value of an observation into a point; reason says why it is none.
func (r *Rules) read(n *fhir.Node, p *Point) (code Coding, unit, reason string) {
	found := 0
	for _, c := range codings(n, "code", "coding") {
		if scale, ok := in(r.scales, c); ok {
			if found == 0 || scale.key() != code.key() {
				found++
			}
			code = scale
		}
	}
	p.Time = timeOf(n)
	p.Day, _ = r.localDay(p.Time)
	if m, err := fhir.ParseMoment(p.Time, r.zone); err == nil {
		p.moment = m.Low
	}
	value, quantity := n.Get("valueInteger"), n.Get("valueQuantity")
	switch status := n.Str("status"); {
	case found > 1:
		return code, "", SeveralScales
	case status == "entered-in-error" || status == "cancelled":
		return code, "", EnteredInError
	case n.Get("modifierExtension") != nil:
		return code, "", Modified
	case quantity.Get("comparator") != nil:
		return code, "", Comparator
	case quantity != nil:
		value = quantity.Get("value")
		unit = unitOf(quantity)
	case value == nil && slices.ContainsFunc(n.Members, func(m fhir.Member) bool { return strings.HasPrefix(m.Name, "value") }):
		return code, "", NotANumber
	}
	number, ok := float(value)
	switch {
	case value == nil:
		return code, unit, NoValue
	case !ok:
		return code, unit, NotANumber
	case p.Day.IsZero():
		return code, unit, NoDay
	}
	p.Value, p.Number = value.Text, number
	return code, unit, ""
}

// unitOf is the code of a unit; a UCUM annotation alone, such as {score}, is none
// (https://ucum.org/ucum#section-Curly-Braces).
func unitOf(q *fhir.Node) string {
	code := cmp.Or(q.Str("code"), q.Str("unit"))
	if code == "1" || strings.HasPrefix(code, "{") && strings.IndexByte(code, '}') == len(code)-1 || q.Str("code") == "" && code == "score" {
		return ""
	}
	return code
}

// timeOf is the time that an observation is about: a period by its end, or by its start if it has
// not ended; a timing by the last of its events, as in $lastn.
func timeOf(n *fhir.Node) string {
	text := cmp.Or(n.Str("effectiveDateTime"), n.Str("effectiveInstant"), n.Str("effectivePeriod", "end"), n.Str("effectivePeriod", "start"))
	for _, e := range n.Each("effectiveTiming", "event") {
		text = max(text, e.Text)
	}
	return text
}

// float is a JSON number, if it can be one.
func float(n *fhir.Node) (float64, bool) {
	if n == nil || n.Kind != fhir.Number {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.Text, 64)
	return f, err == nil
}

// siteOf is the site: the codes of pain-sites, or else all that are no sides; and in words.
func (r *Rules) siteOf(n *fhir.Node) ([]Coding, string) {
	found := codings(n, "bodySite", "coding")
	sites := r.among(found, r.sites)
	if len(sites) == 0 {
		for _, c := range found {
			if c.Code != "" && len(r.among([]Coding{c}, r.sides)) == 0 {
				sites = append(sites, c)
			}
		}
	}
	slices.SortFunc(sites, func(a, b Coding) int {
		return cmp.Or(strings.Compare(a.System, b.System), strings.Compare(a.Code, b.Code))
	})
	var names []string
	for _, s := range sites {
		names = append(names, cmp.Or(s.Display, s.Code))
	}
	if len(sites) == 0 {
		return nil, n.Str("bodySite", "text")
	}
	return sites, strings.Join(names, ", ")
}

// anchorsOf are the anchors that a report is about; one nil where there is none. What it names by
// basedOn or focus counts first, then its side and bone. Of several anchors that were at one place
// one after another, it is about that of its time.
func (r *Rules) anchorsOf(n *fhir.Node, anchors []*Anchor, base string, p *Point) []*Anchor {
	site := codings(n, "bodySite", "coding")
	sides, bones := r.among(site, r.sides), r.among(site, r.bones)
	var named []*Anchor
	for _, a := range anchors {
		for _, list := range []string{"basedOn", "focus"} {
			for _, ref := range n.Each(list, "reference") {
				own := localRef(ref.Text, base)
				if (slices.Contains(a.plans, own) || slices.Contains(a.refs, own)) && !slices.Contains(named, a) {
					named = append(named, a)
				}
			}
		}
	}
	if len(named) > 0 {
		if slices.ContainsFunc(named, func(a *Anchor) bool { return !agree(sides, a.sides) }) {
			p.Flags = append(p.Flags, SideDiffers)
		}
		return named
	}
	var fitting []*Anchor
	for _, a := range anchors {
		if !agree(sides, a.sides) || !agree(bones, a.bones) {
			continue
		}
		// anchors are in order: a later one at the same place takes over from its first day.
		i := slices.IndexFunc(fitting, func(o *Anchor) bool { return samePlace(o, a) })
		switch {
		case i < 0:
			fitting = append(fitting, a)
		case !a.Day0().IsZero() && !p.Day.Before(a.Day0()):
			fitting[i] = a
		}
	}
	switch len(fitting) {
	case 0:
		return []*Anchor{nil}
	case 1:
		return fitting
	}
	p.Flags = append(p.Flags, SeveralAnchors)
	return fitting
}

// agree reports whether two lists of codes have one in common, or one says nothing.
func agree(a, b []Coding) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(c Coding) bool { _, ok := in(b, c); return ok })
}

func samePlace(a, b *Anchor) bool {
	same := func(x, y []Coding) bool {
		return slices.EqualFunc(x, y, func(x, y Coding) bool { return x.key() == y.key() })
	}
	return same(a.sides, b.sides) && same(a.bones, b.bones)
}

// at is the point in the series of an anchor.
func (p Point) at(a *Anchor) Point {
	p.Flags = slices.Clone(p.Flags)
	if a == nil || a.Day0().IsZero() {
		return p
	}
	days := func(from time.Time) *int {
		n := int(p.Day.Sub(from) / (24 * time.Hour))
		return &n
	}
	p.Since = days(a.Day0())
	if *p.Since < 0 {
		p.Flags = append(p.Flags, BeforeSurgery)
		return p
	}
	for _, op := range a.Operations {
		if !op.Day.IsZero() && !p.Day.Before(op.Day) {
			p.SinceLast = days(op.Day)
		}
	}
	return p
}

// finish sorts the points and adds the trend: over the days since the first operation, or, where
// that is not known, over all.
func (s *Series) finish() {
	slices.SortFunc(s.Points, func(a, b Point) int {
		return cmp.Or(a.moment.Compare(b.moment), strings.Compare(a.Observation, b.Observation))
	})
	var days, values []float64
	for _, p := range s.Points {
		if p.Since == nil || *p.Since >= 0 {
			days = append(days, p.Day.Sub(s.Points[0].Day).Hours()/24)
			values = append(values, p.Number)
		}
	}
	s.Trend = trend(days, values)
}
