package careplan

import (
	"slices"
	"time"

	"aftercare/fhir"
)

// Anchors are what the rules for pain read of a patient besides the report. They hold no other
// content of records, so that many can be kept at hand.
type Anchors struct {
	base, subject string
	list          []*anchor // in the order of plans
	// without says why there is no anchor at all that a report could be about.
	without string
	// closed: the patient has died, so nothing is to be done any more.
	closed bool
	// patient is the Patient resource, which every interpretation rests on; nil where there is none.
	patient *Source
}

// anchor is a plan as the rules for pain see it.
type anchor struct {
	planRef, key string // planRef is "" where a person has deleted the plan
	site         site
	first        time.Time // of its own operations, zero where that is not known
	occasions    []occasion
	devices      []*fhir.Node
	// records are the operations, their parts, devices and body structures, without content.
	records []Source
	about   []string // the references of those that a report may name
	// performers are those of the operations, as they are named there.
	performers []performedBy
	// holdable: the plan was derived, so that its activities can be put on hold. Then title, usage and
	// definitions are what a derivation puts into it, and begun is what it would move.
	holdable     bool
	title, usage string
	definitions  []string
	begun        []Change
}

// performedBy is who did an operation in which functions.
type performedBy struct {
	functions []coding
	actor     *fhir.Node
}

// occasion is an operation, or a part of one, on its local date.
type occasion struct {
	day   time.Time
	codes []coding
}

// Anchors reads the records of a case as Derive does.
func (e *Engine) Anchors(c Case) (*Anchors, error) {
	d, err := e.run(c)
	if err != nil {
		return nil, err
	}
	return d.anchors(), nil
}

func (d *derivation) anchors() *Anchors {
	a := &Anchors{base: d.records.Base, subject: d.records.Subject, without: d.withoutAnchor(), closed: d.records.deceased()}
	if p := d.records.Patient; p != nil {
		a.patient = &Source{Type: p.Type, ID: p.ID, Version: p.Version}
	}
	for _, p := range d.plans {
		a.list = append(a.list, p.painAnchor())
	}
	a.list = append(a.list, d.without...)
	return a
}

// anchorWithoutPlan keeps what reports of pain are held against where a person has deleted the plan:
// the anchor is there.
func (d *derivation) anchorWithoutPlan(p *protocol, c *course, key, id string) {
	pl := &plan{d: d, protocol: p, id: id, key: key, site: c.site, operations: c.usable(), earlier: slices.DeleteFunc(slices.Clone(c.earlier), func(op *procedure) bool { return !op.usable() }), endedBy: c.endedBy}
	if len(pl.operations) == 0 {
		return
	}
	for _, op := range slices.Concat(pl.earlier, pl.operations) {
		pl.gather(op)
	}
	a := pl.painAnchor()
	a.planRef = ""
	d.without = append(d.without, a)
}

func (p *plan) painAnchor() *anchor {
	operations := slices.Concat(p.earlier, p.operations)
	a := &anchor{planRef: p.ref(), key: p.key, site: p.site, occasions: p.painOccasions(), about: []string{p.ref()}}
	a.site.structures = nil
	if len(p.operations) > 0 {
		a.first = p.operations[0].day
	}
	if p.pathway != nil && p.failed == nil {
		a.holdable, a.title, a.usage, a.definitions, a.begun = true, p.title(), p.protocol.usage, p.definitions(), p.begun
	}
	for _, s := range p.basis() {
		if s.Type != SubjectType {
			a.records = append(a.records, Source{Type: s.Type, ID: s.ID, Version: s.Version})
		}
	}
	for _, s := range p.devices {
		a.devices = append(a.devices, s.Node)
	}
	for _, s := range slices.Concat(p.devices, p.structures) {
		a.about = append(a.about, s.ref())
	}
	for _, op := range operations {
		a.about = append(a.about, op.ref())
		for _, n := range op.Node.Each("performer") {
			if actor := n.Get("actor"); actor.Str("reference") != "" {
				a.performers = append(a.performers, performedBy{codingsAt(n, "function", "coding"), actor})
			}
		}
	}
	return a
}

func (p *plan) painOccasions() (found []occasion) {
	for _, op := range slices.Concat(p.earlier, p.operations) {
		codes := slices.Clone(op.codes)
		if op.action != nil {
			codes = append(codes, op.action.codes...)
		}
		found = append(found, occasion{op.day, append(codes, p.d.engine.met(op)...)})
		for _, part := range op.components {
			day := part.day
			if day.IsZero() {
				day = op.day
			}
			found = append(found, occasion{day, append(slices.Clone(part.codes), p.d.engine.met(part)...)})
		}
	}
	for _, s := range p.endedBy {
		if proc := p.d.records.byID[s.ref()]; proc != nil {
			found = append(found, occasion{proc.day, proc.codes})
		} else if day := p.d.engine.day(s.Node.Str("timingPeriod", "end")); !day.IsZero() {
			found = append(found, occasion{day, p.protocol.endingCodes()})
		}
	}
	return found
}

// endingCodes are the codes of operations that end an anchor. The record of a device that is out
// says the same.
func (p *protocol) endingCodes() (codes []coding) {
	for _, s := range p.selectors {
		for _, t := range s.level.triggers {
			for _, f := range t.filters {
				for c := range f.codes {
					if s.effect == effectEnds {
						codes = append(codes, c)
					}
				}
			}
		}
	}
	return codes
}

// withoutAnchor says why there is no anchor that a report could be about.
func (d *derivation) withoutAnchor() string {
	operations := false
	for _, p := range d.records.procedures {
		if d.engine.selects(p.codes) {
			operations = true
			if p.plan == "entered-in-error" {
				return "pain-surgery-in-error"
			}
		}
	}
	if operations && len(d.plans)+len(d.without) > 0 {
		return "pain-no-anchor-there"
	}
	return "pain-no-surgery"
}

// of are the anchors that a report is about: those that it names, else those at its side and bone,
// else all. flagged: it says no side.
func (a *Anchors) of(r *painReport) (found []*anchor, flagged bool) {
	var refs []string
	for _, name := range []string{"focus", "basedOn", "partOf"} {
		for _, n := range r.Node.Each(name, "reference") {
			refs = append(refs, localRef(a.base, n.Text))
		}
	}
	for _, one := range a.list {
		if slices.ContainsFunc(refs, func(ref string) bool { return slices.Contains(one.about, ref) }) {
			found = append(found, one)
		}
	}
	if len(found) > 0 {
		return current(found, r), false
	}
	for _, one := range a.list {
		side := len(r.sides) == 0 || one.site.side == coding{} || slices.Contains(r.sides, one.site.side)
		bone := len(r.bones) == 0 || slices.Contains(r.bones, one.site.bone)
		if side && bone {
			found = append(found, one)
		}
	}
	return current(found, r), len(r.sides) == 0
}

// current leaves one anchor for each site: the last that had begun on the day of the report, or
// else the first.
func current(all []*anchor, r *painReport) []*anchor {
	var kept []*anchor
	for _, a := range all {
		i := slices.IndexFunc(kept, func(k *anchor) bool { return k.site.equals(a.site) })
		switch {
		case i < 0:
			kept = append(kept, a)
		case !a.first.After(r.seen):
			kept[i] = a // plans are in the order of their operations
		}
	}
	return kept
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

// met are the codes of what an operation, or a part of one, came across and used.
func (e *Engine) met(op *procedure) []coding {
	return e.terms.expand(append(codingsAt(op.Node, "complication", "coding"), codingsAt(op.Node, "usedCode", "coding")...))
}

// factsUntil are the codes of the operations up to a day, and of those without a date, each once.
func (a *anchor) factsUntil(day time.Time) (facts []coding) {
	for _, o := range a.occasions {
		if o.day.After(day) {
			continue
		}
		for _, c := range o.codes {
			if !slices.Contains(facts, c) {
				facts = append(facts, c)
			}
		}
	}
	return facts
}
