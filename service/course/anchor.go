package course

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"aftercare/fhir"
)

// Record is one stored resource.
type Record struct {
	Ref     string // "Procedure/x"
	Version int64
	Node    *fhir.Node
}

// Operation is a completed Procedure on an anchor.
type Operation struct {
	Ref, Name string
	// Day is the local date, as midnight UTC; zero where it is not known to the day.
	Day time.Time
}

// Anchor is an anchor of the patient.
type Anchor struct {
	// Plan is the reference to the plan in force, or the last one; Title is its title.
	Plan, Title string
	Operations  []Operation
	Windows     []Window

	plans        []string // of all its plans
	refs         []string // its Procedures, Devices and BodyStructures
	sides, bones []Coding
}

// Window is a span of local dates, both inclusive; a zero Start or End is open.
type Window struct {
	Code       Coding
	Name       string
	Start, End time.Time
}

// Day0 is the local date from which days are counted, zero where it is not known.
func (a *Anchor) Day0() time.Time {
	if len(a.Operations) == 0 {
		return time.Time{}
	}
	return a.Operations[0].Day
}

// anchors makes the anchors of the plans, in the order of their first day. A plan that replaces
// another one and rests on the same operations goes on with its anchor. One that was entered in
// error is none.
func (r *Rules) anchors(plans []Record, records map[string]*fhir.Node, base string) []*Anchor {
	byRef := map[string]*Anchor{}
	var out []*Anchor
	plans = slices.DeleteFunc(slices.Clone(plans), func(p Record) bool { return p.Node.Str("status") == "entered-in-error" })
	refsOf := func(p Record) (refs []string) {
		for _, n := range p.Node.Each("supportingInfo", "reference") {
			refs = append(refs, localRef(n.Text, base))
		}
		return refs
	}
	// The plan that is replaced comes first.
	slices.SortFunc(plans, func(a, b Record) int {
		return cmp.Or(cmp.Compare(len(refsOf(a)), len(refsOf(b))), strings.Compare(a.Ref, b.Ref))
	})
	for _, p := range plans {
		refs := refsOf(p)
		var a *Anchor
		for _, n := range p.Node.Each("replaces", "reference") {
			if before := byRef[localRef(n.Text, base)]; before != nil && slices.ContainsFunc(refs, func(ref string) bool {
				return strings.HasPrefix(ref, "Procedure/") && slices.Contains(before.refs, ref)
			}) {
				a = before
			}
		}
		if a == nil {
			a = &Anchor{}
			out = append(out, a)
		}
		byRef[p.Ref] = a
		a.Plan, a.Title, a.Windows = p.Ref, p.Node.Str("title"), r.windowsOf(p.Node)
		a.plans = append(a.plans, p.Ref)
		for _, ref := range refs {
			if !slices.Contains(a.refs, ref) {
				a.refs = append(a.refs, ref)
			}
		}
	}
	for _, a := range out {
		r.fill(a, records, base)
	}
	slices.SortStableFunc(out, func(a, b *Anchor) int {
		return cmp.Or(a.Day0().Compare(b.Day0()), strings.Compare(a.Plan, b.Plan))
	})
	return out
}

// fill adds the operations and the site of an anchor from the records that its plans name.
func (r *Rules) fill(a *Anchor, records map[string]*fhir.Node, base string) {
	var site []Coding
	for _, ref := range a.refs {
		n := records[ref]
		switch {
		case n == nil:
			continue
		case strings.HasPrefix(ref, "BodyStructure/"):
			site = append(site, codings(n, "location", "coding")...)
			site = append(site, codings(n, "locationQualifier", "coding")...)
		case strings.HasPrefix(ref, "Procedure/") && n.Str("status") == "completed":
			site = append(site, codings(n, "bodySite", "coding")...)
			a.Operations = append(a.Operations, Operation{Ref: ref, Name: nameOf(n.Get("code")), Day: r.dayOf(n)})
		}
	}
	a.sides, a.bones = r.among(site, r.sides), r.among(site, r.bones)
	slices.SortStableFunc(a.Operations, func(x, y Operation) int { // those without a day last
		if x.Day.IsZero() != y.Day.IsZero() {
			if x.Day.IsZero() {
				return 1
			}
			return -1
		}
		return cmp.Or(x.Day.Compare(y.Day), strings.Compare(x.Ref, y.Ref))
	})
}

// dayOf is the local date of an operation: the end of its period if there is one.
func (r *Rules) dayOf(n *fhir.Node) time.Time {
	for _, text := range []string{n.Str("performedPeriod", "end"), n.Str("performedDateTime"), n.Str("performedPeriod", "start")} {
		if text != "" {
			day, _ := r.localDay(text)
			return day
		}
	}
	return time.Time{}
}

// localDay is the date of a moment in the zone of the site, as midnight UTC; false where it is not
// known to the day.
func (r *Rules) localDay(text string) (time.Time, bool) {
	m, err := fhir.ParseMoment(text, r.zone)
	if err != nil || m.Precision < fhir.DayPrecision {
		return time.Time{}, false
	}
	t := m.Low.In(r.zone)
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC), true
}

// windowsOf are the dated activities of a plan that count as windows and are not called off.
func (r *Rules) windowsOf(plan *fhir.Node) []Window {
	var out []Window
	for _, d := range plan.Each("activity", "detail") {
		code := r.among(codings(d, "code", "coding"), r.windows)
		p := d.Get("scheduledPeriod")
		if status := d.Str("status"); len(code) == 0 || p == nil || status == "cancelled" || status == "entered-in-error" || status == "stopped" {
			continue
		}
		w := Window{Code: code[0], Name: nameOf(d.Get("code"))}
		w.Start, _ = r.localDay(p.Str("start"))
		w.End, _ = r.localDay(p.Str("end"))
		out = append(out, w)
	}
	return out
}

// nameOf is the text of a CodeableConcept, or its first display or code.
func nameOf(concept *fhir.Node) string {
	texts := []string{concept.Str("text")}
	for _, name := range []string{"display", "code"} {
		for _, n := range concept.Each("coding", name) {
			texts = append(texts, n.Text)
		}
	}
	return cmp.Or(texts...)
}

func codings(n *fhir.Node, path ...string) (out []Coding) {
	for _, c := range n.Each(path...) {
		out = append(out, codingOf(c))
	}
	return out
}

// localRef is "Type/id" for a reference to this server, else the reference itself.
func localRef(reference, base string) string {
	if ref := fhir.ParseReference(reference, base); ref.Local() {
		return ref.Type + "/" + ref.ID
	}
	return reference
}
