package careplan

import (
	"fmt"
	"slices"
	"strings"

	"aftercare/fhir"
)

// Derive returns what should exist for a patient, and what there is to tell. It is a pure
// function of the case: the order of Inputs and Existing does not matter. An error means
// that the case itself is malformed, not that a protocol could not be applied.
func (e *Engine) Derive(c Case) (Result, error) {
	if ref := fhir.ParseReference(c.Subject, ""); ref.Type != SubjectType {
		return Result{}, fmt.Errorf("careplan: the subject must be a reference Patient/id")
	}
	d, err := e.run(c)
	if err != nil {
		return Result{}, err
	}
	if fault := guarded(func() { d.result.Anchors = d.anchors() }); fault != nil && !d.incomplete {
		d.fault(fault)
	}
	return d.result, nil
}

func (e *Engine) run(c Case) (*derivation, error) {
	for _, s := range append(append([]Source{}, c.Inputs...), c.Existing...) {
		if s.Node == nil || s.Type == "" || s.ID == "" {
			return nil, fmt.Errorf("careplan: a record without type, id or content")
		}
	}
	d := &derivation{engine: e, records: e.read(c), kept: map[string]bool{}, told: map[[2]string]bool{}}
	if fault := guarded(d.protocols); fault != nil {
		d.fault(fault)
		d.keepEverything()
	}
	d.interpretReports()
	d.issues()
	d.flags()
	d.storeMoved()
	slices.SortStableFunc(d.result.Notices, func(a, b Notice) int { return strings.Compare(a.Procedure, b.Procedure) })
	return d, nil
}

func (d *derivation) protocols() {
	for _, p := range d.engine.protocols {
		d.protocol(p)
	}
	d.closeOrphans()
	d.closeTeam()
	d.otherProcedures()
}

// derivation is one run of Derive.
type derivation struct {
	engine  *Engine
	records *records
	result  Result
	// kept are the identifier values of the derived resources that have been dealt with.
	kept map[string]bool
	// told are the outcomes given so far, by code and owner.
	told map[[2]string]bool
	// detected are the issues that hold.
	detected []detected
	// plans are those that were derived, or could not be.
	plans []*plan
	// without are those of anchors whose plans people have deleted.
	without []*anchor
	// incomplete: a fault of the engine has kept it from looking at everything.
	incomplete bool
}

func (d *derivation) protocol(p *protocol) {
	operations := d.engine.operations(d.records, p)
	groups := d.engine.groups(d, operations)
	var courses []*course
	for _, g := range groups {
		courses = append(courses, d.courses(p, g, groups)...)
	}
	claimed := d.claim(p, courses)
	for _, c := range courses {
		d.course(p, c, claimed[c].Node, claimed[c].ID, groups)
	}
	for _, op := range d.records.procedures {
		switch {
		case op.ends != nil && op.ends.planRef != "":
			d.tellPlan(op.action.outcome, op.ref(), op.ref(), op.ends.planRef)
		case op.claimed || op.action == nil || op.action.pathway != nil || op.action.effect != "":
		case op.usable():
			op.claimed = true
			d.tell(op.action.outcome, op.ref(), op)
		default:
			op.claimed = true
			d.tellStatus(op)
		}
	}
}

// course makes, keeps or closes the plan of a course. existing is nil where there is none.
func (d *derivation) course(p *protocol, c *course, existing *fhir.Node, id string, all []*group) {
	key := d.key(p, c)
	if existing == nil {
		id = d.records.newID("CarePlan", key)
	}
	usable := c.usable()
	if existing != nil && d.deletedPlan(id) && (len(usable) == 0 || d.records.deceased() || !d.asksAnew(c, existing)) {
		d.anchorWithoutPlan(p, c, key, id)
		d.leaveDeleted(c, key, Source{Type: "CarePlan", ID: id, Node: existing})
		return
	}
	var planned []*procedure
	for _, op := range c.operations {
		switch {
		case op.usable():
		case op.planned() && len(usable) > 0:
			planned = append(planned, op)
		default:
			d.tellStatus(op)
		}
	}
	status, reason := "", ""
	if len(usable) == 0 {
		status, reason = closing(c.operations)
	}
	switch {
	case d.records.deceased() && status != "entered-in-error":
		for _, op := range usable {
			d.tell("patient-deceased", op.ref(), op)
		}
		if existing != nil {
			c.planRef = "CarePlan/" + id
			d.closePlan(Source{Type: "CarePlan", ID: id, Node: existing}, key, closureOf("revoked", "patient-deceased"), c.operations)
		}
		return
	case len(usable) == 0:
		if existing != nil {
			c.planRef = "CarePlan/" + id
			d.closePlan(Source{Type: "CarePlan", ID: id, Node: existing}, key, closureOf(status, reason), c.operations)
		}
		return
	}
	w, several := d.choose(usable)
	if together := onOneDay(usable); together != nil {
		w, several = together.pathway, false
		for _, op := range usable {
			op.facts = append(op.facts, together.codes...)
		}
		d.tell(togetherOutcome, key, usable...)
	}
	pl := &plan{
		d: d, protocol: p, pathway: w, id: id, key: key, site: c.site, operations: usable,
		earlier: slices.DeleteFunc(slices.Clone(c.earlier), func(op *procedure) bool { return !op.usable() }),
		planned: planned, endedBy: c.endedBy, bound: map[*level]*variables{}, together: d.told[[2]string{togetherOutcome, key}],
	}
	c.planRef = pl.ref()
	if c.replaces != nil && len(c.replaces.usable()) > 0 { // else its plan may be there or not
		pl.replaces = c.replaces.planRef
	}
	if existing != nil {
		pl.existing = d.reopenedPlan(existing)
	}
	resources, detected := len(d.result.Resources), len(d.detected)
	unsided := c.site.side == coding{}
	switch {
	case several:
		pl.refuseDates("operations-conflict")
	case unsided && besideAnother(all, c.site):
		pl.refuseDates("side-conflict")
	case unsided:
		pl.tellOnce("side-not-recorded")
	}
	pl.attempt()
	for _, op := range planned {
		if !d.told[[2]string{"planned-provisional", op.ref()}] {
			d.tellStatus(op)
		}
	}
	// Which of several anchors a Device was, nobody can say.
	unsettled := d.told[[2]string{"operations-conflict", key}] && len(c.endedBy) > 0 && !slices.ContainsFunc(c.endedBy, func(s Source) bool { return s.Type == "Procedure" })
	if c.end != nil && pl.failed == nil && !unsettled {
		d.detected = d.detected[:detected] // nobody has to settle what is over
		pl.close(*c.end, resources)
	}
}

// choose finds the pathway of operations; several is true where they ask for different ones.
func (d *derivation) choose(operations []*procedure) (chosen *pathway, several bool) {
	for _, op := range operations {
		if chosen == nil {
			chosen = op.action.pathway
		}
		several = several || chosen != op.action.pathway
	}
	return chosen, several
}

// onOneDay is the action for operations that are the parts of one, since they took place on one day;
// nil where they are not.
func onOneDay(operations []*procedure) *selector {
	first := operations[0]
	different := false
	for _, op := range operations {
		if op.action != first.action || op.day.IsZero() || !op.day.Equal(first.day) {
			return nil
		}
		different = different || !slices.Equal(op.action.triggeredBy(op.codes), first.action.triggeredBy(first.codes))
	}
	if !different {
		return nil
	}
	return first.action.together
}

// triggeredBy are those of an operation's codes that the action names.
func (s *selector) triggeredBy(codes []coding) []coding {
	return slices.DeleteFunc(slices.Clone(codes), func(c coding) bool { return !anyTrigger(s.level.triggers, []coding{c}) })
}

// besideAnother reports that the patient has an operation in the same bone at another side.
func besideAnother(all []*group, s site) bool {
	return slices.ContainsFunc(all, func(o *group) bool {
		return !o.site.equals(s) && o.site.bone == s.bone && len(o.usable()) > 0
	})
}

// closing is the status of a plan none of whose operations is completed, and why.
func closing(operations []*procedure) (status, reason string) {
	has := func(s string) bool {
		return slices.ContainsFunc(operations, func(p *procedure) bool { return p.plan == s })
	}
	switch {
	case has("on-hold"):
		return "on-hold", "on-hold"
	case has(""):
		return "on-hold", "not-completed"
	case has("revoked"):
		return "revoked", "not-done"
	default:
		return "entered-in-error", "entered-in-error"
	}
}

func (r *records) deceased() bool {
	if r.Patient == nil {
		return false
	}
	n := r.Patient.Node
	flag := n.Get("deceasedBoolean")
	when := n.Get("deceasedDateTime") != nil || n.Get("_deceasedDateTime") != nil // at an unknown time is deceased too
	return flag != nil && flag.Text == "true" || when
}

// otherProcedures tells about every Procedure that is not an operation.
func (d *derivation) otherProcedures() {
	for _, p := range d.records.procedures {
		if p.claimed {
			continue
		}
		code, operations := "not-triggered", p.operations(nil)
		planRef := ""
		for _, op := range operations {
			if op.planRef != "" {
				planRef = op.planRef
			}
		}
		switch {
		case len(operations) > 0 && !p.usable():
			code = "component-not-completed"
		case len(operations) > 0 && planRef == "":
			code = "component-waiting"
		case len(operations) > 0 && p.assumed:
			code = "component-assumed"
		case len(operations) > 0:
			code = "component"
		case d.engine.known(p.codes):
			code = "component-not-linked"
		}
		d.tellPlan(code, p.ref(), p.ref(), planRef)
	}
}

// operations are those that p is part of, directly or through other Procedures.
func (p *procedure) operations(seen []*procedure) []*procedure {
	var found []*procedure
	for _, parent := range p.parents {
		switch {
		case slices.Contains(seen, parent):
		case len(parent.facts) > 0:
			found = append(found, parent)
		default:
			found = append(found, parent.operations(append(seen, p))...)
		}
	}
	return found
}

// known reports that a code is in a code system that triggers use: the Procedure may have
// been meant to be part of an operation.
func (e *Engine) known(codes []coding) bool {
	return anyCoding(codes, func(c coding) bool { return e.systems[c.System] && e.terms.concepts[c] != nil })
}
