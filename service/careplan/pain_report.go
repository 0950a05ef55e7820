package careplan

import (
	"slices"
	"strconv"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

// painReport is an Observation of pain (https://hl7.org/fhir/R4/observation.html) as the rules
// see it.
type painReport struct {
	Source
	codes, sites, triggers []coding
	sides, bones           []coding
	score                  *fhir.Node
	// seen is the local date of the report; begun that of the onset, where it is known to the day,
	// and begunBy the last day that the onset can have been.
	seen, begun, begunBy time.Time
	// unread: a site or trigger is coded that no ValueSet has.
	unread bool
}

// painReport reads an Observation. The code says why it cannot be interpreted, "" where it can.
func (e *Engine) painReport(s Source, g *ranking) (*painReport, string) {
	n := s.Node
	r := &painReport{Source: s, codes: e.terms.expand(codingsAt(n, "code", "coding"))}
	r.score = n.Get("valueQuantity", "value")
	if r.score == nil {
		r.score = n.Get("valueInteger")
	}
	switch status := n.Str("status"); {
	case !anyTrigger(g.reports, r.codes):
		return r, "pain-other-observation"
	case status == "entered-in-error" || status == "cancelled":
		return r, "pain-report-withdrawn"
	case r.score == nil:
		return r, "pain-not-measured"
	}
	at := e.terms.expand(codingsAt(n, "bodySite", "coding"))
	r.sites = pick(at, e.terms.sets[painSitesSet])
	r.sides = pick(at, e.terms.sets[lateralitySet])
	for _, p := range e.protocols {
		r.bones = append(r.bones, pick(at, p.sites)...)
	}
	var triggers []coding
	for _, c := range n.Each("component") {
		codes := codingsAt(c, "valueCodeableConcept", "coding")
		triggers = append(triggers, codes...)
	}
	r.triggers = pick(e.terms.expand(triggers), e.terms.sets[painTriggersSet])
	read := len(r.sites) + len(r.sides) + len(r.bones)
	r.unread = n.Get("bodySite") != nil && read == 0
	return r, e.painDays(r, g)
}

// painDays finds the local dates of a report. It is made at the end of its period, and the start of
// the period is an onset too.
func (e *Engine) painDays(r *painReport, g *ranking) string {
	onset := r.Node.Str("effectivePeriod", "start")
	seen := r.Node.Str("effectivePeriod", "end")
	for _, text := range []string{r.Node.Str("effectiveDateTime"), r.Node.Str("effectiveInstant"), onset} {
		if seen == "" {
			seen = text
		}
	}
	if r.seen = e.day(seen); r.seen.IsZero() {
		return "pain-date-not-exact"
	}
	if g.onset != nil {
		found, err := g.onset.Nodes(r.Node, path.Bind(emptyPainVariables()))
		if err != nil || len(found) > 1 {
			return "pain-onset-unclear"
		}
		if len(found) == 1 {
			onset = found[0].Text
		}
	}
	if onset == "" {
		return ""
	}
	m, err := fhir.ParseMoment(onset, e.zone)
	if err != nil {
		return "pain-onset-unclear"
	}
	first := localDay(m.Low.In(e.zone))
	r.begun, r.begunBy = e.day(onset), localDay(m.High.Add(-1).In(e.zone))
	if !r.begun.IsZero() {
		first, r.begunBy = r.begun, r.begun
	}
	if first.After(r.seen) {
		return "pain-onset-after-report"
	}
	return ""
}

// painAnchors are the plans of the anchors that a report is about: those that it names, else those
// at its side and bone, else all. flagged: it says no side.
func (d *derivation) painAnchors(r *painReport) (plans []*plan, flagged bool) {
	var refs []string
	for _, name := range []string{"focus", "basedOn", "partOf"} {
		for _, n := range r.Node.Each(name, "reference") {
			refs = append(refs, d.records.localRef(n.Text))
		}
	}
	for _, p := range d.plans {
		if slices.ContainsFunc(refs, func(ref string) bool { return p.ref() == ref || p.about(ref) }) {
			plans = append(plans, p)
		}
	}
	if len(plans) > 0 {
		return d.current(plans, r), false
	}
	for _, p := range d.plans {
		side := len(r.sides) == 0 || p.site.side == coding{} || slices.Contains(r.sides, p.site.side)
		bone := len(r.bones) == 0 || slices.Contains(r.bones, p.site.bone)
		if side && bone {
			plans = append(plans, p)
		}
	}
	return d.current(plans, r), len(r.sides) == 0
}

// about reports that a plan rests on a record.
func (p *plan) about(ref string) bool {
	for _, s := range slices.Concat(p.devices, p.structures) {
		if s.ref() == ref {
			return true
		}
	}
	return slices.ContainsFunc(slices.Concat(p.earlier, p.operations), func(op *procedure) bool { return op.ref() == ref })
}

// current leaves one plan for each site: the last that had begun on the day of the report, or else
// the first.
func (d *derivation) current(plans []*plan, r *painReport) []*plan {
	var kept []*plan
	for _, p := range plans {
		i := slices.IndexFunc(kept, func(k *plan) bool { return k.site.equals(p.site) })
		switch {
		case i < 0:
			kept = append(kept, p)
		case !p.first().After(r.seen):
			kept[i] = p // plans are in the order of their operations
		}
	}
	return kept
}

// first is the first day of the plan's own operations, zero where it is not known.
func (p *plan) first() time.Time {
	if len(p.operations) == 0 {
		return time.Time{}
	}
	return p.operations[0].day
}

// occasion is an operation, or a part of one, on its local date.
type occasion struct {
	day   time.Time
	codes []coding
}

func (p *plan) painOccasions() (found []occasion) {
	for _, op := range slices.Concat(p.earlier, p.operations) {
		codes := slices.Clone(op.codes)
		if op.action != nil {
			codes = append(codes, op.action.codes...)
		}
		codes = append(codes, p.d.engine.terms.expand(codingsAt(op.Node, "complication", "coding"))...)
		found = append(found, occasion{op.day, codes})
		for _, part := range op.components {
			day := part.day
			if day.IsZero() {
				day = op.day
			}
			found = append(found, occasion{day, part.codes})
		}
	}
	return found
}

// eventDay is the date of an event for a report of pain on a day: the last one until then, or else
// the first. happened is false where no operation matches, or none until then.
func (ev *painEvent) eventDay(all []occasion, on time.Time) (day time.Time, happened bool) {
	for _, o := range all {
		switch {
		case !anyTrigger(ev.triggers, o.codes) || o.day.IsZero():
		case o.day.After(on):
			if day.IsZero() || !happened && o.day.Before(day) {
				day = o.day
			}
		case !happened || o.day.After(day):
			day, happened = o.day, true
		}
	}
	return day, happened
}

// whole evaluates an expression that gives one whole number.
func whole(e *path.Expression, vars path.Variables) (int, error) {
	found, err := e.Nodes(nil, vars)
	if err != nil {
		return 0, err
	}
	if len(found) != 1 || found[0].Kind != fhir.Number {
		return 0, errNotWhole
	}
	return strconv.Atoi(found[0].Text)
}
