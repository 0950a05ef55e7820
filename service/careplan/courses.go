package careplan

import (
	"slices"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

// What an operation does to the anchor at its site, the codes of CodeSystem/anchor-effect. The
// action that selects the operation says it; one that says nothing makes an anchor, or goes
// on making it.
const (
	effectEnds      = "ends"      // the anchor is out: no plan any more
	effectExchanges = "exchanges" // another anchor is put in: a plan that replaces the one before
	effectRevises   = "revises"   // the anchor stays: a plan that replaces the one before
)

// course is what one plan is for: the operations that make an anchor, or revise it.
type course struct {
	site site
	// nth is which anchor at the site it is, from 1; revision is how often that has been
	// revised, 0 for never.
	nth, revision int
	// operations are ordered as they are in their group.
	operations []*procedure
	// earlier are the operations on the same anchor before these.
	earlier []*procedure
	// replaces is the course before, which this one takes the place of; nil for none.
	replaces *course
	// end says why the course is over, nil while it is not; endedBy are the records that say that
	// the anchor is out.
	end     *closure
	endedBy []Source
	// planRef is the plan of the course, once there is one.
	planRef string
}

func (c *course) usable() []*procedure {
	return slices.DeleteFunc(slices.Clone(c.operations), func(op *procedure) bool { return !op.usable() })
}

// selectActions finds out for each operation which action of the protocol it is for: the first that
// is triggered, and whose conditions hold where it says what becomes of the anchor. Those that no
// action is for are left out.
func (e *Engine) selectActions(r *records, p *protocol, operations []*procedure) []*procedure {
	return slices.DeleteFunc(operations, func(op *procedure) bool {
		op.action = nil
		for _, s := range p.selectors {
			if anyTrigger(s.level.triggers, op.codes) && (s.effect == "" && s.pathway != nil || e.holds(r, s.level, op)) {
				op.action = s
				return false
			}
		}
		return true
	})
}

// holds evaluates the conditions of a selecting action for one operation. What is not known does
// not hold.
func (e *Engine) holds(r *records, l *level, op *procedure) bool {
	one := &plan{d: &derivation{engine: e, records: r}, operations: []*procedure{op}, bound: map[*level]*variables{}}
	op.facts = e.factsOf(op)
	one.gather(op)
	for _, c := range l.conditions {
		if truth, err := c.expression.truth(one.variables(l), ""); truth != path.True || err != nil {
			return false
		}
	}
	return true
}

// implants are the anchors, by reference, that an operation put in, as far as Devices say so.
func (e *Engine) implants(r *records, p *protocol, op *procedure) []string {
	var refs []string
	for _, f := range op.Node.Each("focalDevice") {
		device, known := r.byRef[r.localRef(f.Str("manipulated", "reference"))]
		if known && p.isAnchor(device) && !e.acted(f, explanted) {
			refs = append(refs, device.ref())
		}
	}
	if op.action.effect == effectEnds {
		return nil
	}
	return refs
}

// What Procedure.focalDevice.action says was done to a device
// (https://hl7.org/fhir/R4/valueset-device-action.html).
var (
	implanted = coding{System: "http://hl7.org/fhir/device-action", Code: "implanted"}
	explanted = coding{System: "http://hl7.org/fhir/device-action", Code: "explanted"}
)

// acted reports that an entry of Procedure.focalDevice has an action.
func (e *Engine) acted(focalDevice *fhir.Node, action coding) bool {
	return slices.Contains(e.terms.expand(codingsAt(focalDevice, "action", "coding")), action)
}

// siteByDevice gives operations that state no site that of the operation which put in a device
// that they name.
func siteByDevice(r *records, operations []*procedure) {
	for _, op := range operations {
		if op.site.problem != "no-body-site" {
			continue
		}
		for _, n := range op.Node.Each("focalDevice", "manipulated", "reference") {
			for _, o := range operations {
				if o != op && o.site.problem == "" && slices.Contains(o.implants, r.localRef(n.Text)) {
					op.site = o.site
				}
			}
		}
	}
}

// courses goes through the operations of a group in order, and through what became of the
// anchors. What cannot be placed is told about, and does nothing.
func (d *derivation) courses(p *protocol, g *group, all []*group) []*course {
	out := d.engine.devicesOut(d.records, p)
	current := &course{site: g.site, nth: 1}
	list := []*course{current}
	next := func(c *course) {
		c.site = g.site
		current = c
		list = append(list, c)
	}
	for _, op := range g.operations {
		effect := op.action.effect
		if effect != "" {
			op.claimed = true
			if !op.usable() {
				d.tellStatus(op)
				continue
			}
			if d.unplaceable(g, op, all) {
				continue
			}
		}
		ended := current.end != nil
		switch {
		case effect == effectEnds:
			if op.ends = current; !ended {
				current.close("anchor-removed", op.Source)
			}
			if len(current.anchor()) == 0 {
				d.tell("anchor-unknown", op.ref(), op)
			}
		case effect == effectRevises && ended:
			d.tell("anchor-already-out", op.ref(), op)
		case effect != "" && current.sameEvent(op):
			current.operations = append(current.operations, op)
		case effect == effectExchanges:
			c := &course{nth: current.nth + 1, replaces: current.orNil()}
			current.close("plan-replaced")
			next(c)
			current.operations = append(current.operations, op)
		case effect == effectRevises:
			c := &course{nth: current.nth, revision: current.revision + 1, earlier: current.anchor(), replaces: current.orNil()}
			current.close("plan-replaced")
			next(c)
			current.operations = append(current.operations, op)
		case ended, out.before(current, op):
			current.closeByDevices(out)
			next(&course{nth: current.nth + 1})
			current.operations = append(current.operations, op)
		case op.usable() && len(current.operations) > 0 && current.operations[0].action.effect == effectRevises:
			c := &course{nth: current.nth, revision: current.revision + 1, earlier: current.anchor(), replaces: current}
			current.close("plan-replaced")
			next(c)
			current.operations = append(current.operations, op)
		default:
			current.operations = append(current.operations, op)
		}
	}
	current.closeByDevices(out)
	return slices.DeleteFunc(list, func(c *course) bool { return len(c.operations) == 0 })
}

// unplaceable reports that it is not known which anchor an operation is about, or that its place
// among the other operations is not.
func (d *derivation) unplaceable(g *group, op *procedure, all []*group) bool {
	switch {
	case g.site.side == coding{} && besideAnother(all, g.site):
		d.tell("side-conflict", op.ref(), op)
	case op.from.IsZero() || slices.ContainsFunc(g.operations, func(o *procedure) bool {
		return o != op && op.day.IsZero() && !o.from.After(op.until) && !o.until.Before(op.from)
	}):
		d.tell("date-not-exact", op.ref(), op)
	default:
		return false
	}
	return true
}

// anchor are all operations on the anchor of a course up to its end.
func (c *course) anchor() []*procedure { return slices.Concat(c.earlier, c.operations) }

// orNil is a course that has a plan, or nil.
func (c *course) orNil() *course {
	if len(c.operations) == 0 {
		return nil
	}
	return c
}

func (c *course) close(reason string, by ...Source) {
	if c.end == nil {
		end := closures[reason]
		c.end = &end
	}
	c.endedBy = append(c.endedBy, by...)
}

// sameEvent reports that an operation is another record of the one that began the course.
func (c *course) sameEvent(op *procedure) bool {
	return len(c.operations) > 0 && c.operations[0].action.effect == op.action.effect && !op.day.IsZero() && c.operations[0].day.Equal(op.day)
}

// devicesOut are the anchors, by reference, that are out according to their own records, with
// the records that say so. The day is zero where it is not known.
type devicesOut map[string]deviceOut

type deviceOut struct {
	day time.Time
	by  []Source
}

// devicesOut finds the Devices that the inputs of an action that ends anchors ask for, and the
// DeviceUseStatements that have an end (https://hl7.org/fhir/R4/deviceusestatement.html).
func (e *Engine) devicesOut(r *records, p *protocol) devicesOut {
	found := devicesOut{}
	for _, s := range r.byType("Device") {
		for _, in := range p.endings {
			if in.kind == "Device" && in.matches(s.Node) {
				found[s.ref()] = deviceOut{by: []Source{s}}
			}
		}
	}
	for _, s := range r.byType("DeviceUseStatement") {
		device := r.byRef[r.localRef(s.Node.Str("device", "reference"))]
		for _, in := range p.endings {
			end := s.Node.Get("timingPeriod", "end")
			if in.kind != "DeviceUseStatement" || end == nil || device.Node == nil || !in.matches(s.Node) || !p.isAnchor(device) {
				continue
			}
			was := found[device.ref()]
			if day := e.day(end.Text); was.day.IsZero() || !day.IsZero() && day.Before(was.day) {
				was.day = day
			}
			was.by = append(was.by, s)
			found[device.ref()] = was
		}
	}
	return found
}

// isAnchor reports that a Device is of a type that the inputs of an action that ends anchors name.
func (p *protocol) isAnchor(device Source) bool {
	return slices.ContainsFunc(p.endings, func(in ending) bool {
		return in.kind == "Device" && slices.ContainsFunc(in.filters, func(f inputFilter) bool { return f.path == "type" && f.matches(device.Node) })
	})
}

// before reports that the anchor of a course was out before an operation: it is out, and the
// operation is later, or put in another.
func (o devicesOut) before(c *course, op *procedure) bool {
	if !op.usable() || !o.all(c) {
		return false
	}
	own := map[string]bool{}
	another := false
	for _, was := range c.anchor() {
		for _, ref := range was.implants {
			own[ref] = true
		}
	}
	for _, ref := range op.implants {
		another = another || !own[ref]
	}
	for ref := range own {
		if day := o[ref].day; !another && (day.IsZero() || !day.Before(op.day)) || another && day.After(op.day) {
			return false
		}
	}
	return true
}

// all reports that every device that the operations on an anchor put in is out.
func (o devicesOut) all(c *course) bool {
	some := false
	for _, op := range c.anchor() {
		for _, ref := range op.implants {
			if _, out := o[ref]; !out {
				return false
			}
			some = true
		}
	}
	return some
}

func (c *course) closeByDevices(out devicesOut) {
	if c.end != nil || !out.all(c) {
		return
	}
	for _, op := range c.anchor() {
		for _, ref := range op.implants {
			c.close("anchor-removed", out[ref].by...)
		}
	}
}
