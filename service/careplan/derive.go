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
	for _, s := range append(append([]Source{}, c.Inputs...), c.Existing...) {
		if s.Node == nil || s.Type == "" || s.ID == "" {
			return Result{}, fmt.Errorf("careplan: a record without type, id or content")
		}
	}
	d := &derivation{engine: e, records: e.read(c), kept: map[string]bool{}, told: map[[2]string]bool{}}
	if fault := guarded(d.protocols); fault != nil {
		d.fault(fault)
		d.keepEverything()
	}
	d.issues()
	slices.SortStableFunc(d.result.Notices, func(a, b Notice) int { return strings.Compare(a.Procedure, b.Procedure) })
	return d.result, nil
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
	// incomplete: a fault of the engine has kept it from looking at everything.
	incomplete bool
}

func (d *derivation) protocol(p *protocol) {
	operations := d.engine.operations(d.records, p)
	groups := d.engine.groups(d, operations)
	for _, g := range groups {
		d.group(p, g, groups)
	}
	for _, proc := range d.records.procedures {
		for _, r := range p.reviews {
			if !proc.claimed && anyTrigger(r.triggers, proc.codes) {
				proc.claimed = true
				if proc.usable() {
					d.tell(r.outcome, proc.ref(), proc)
				} else {
					d.tellStatus(proc)
				}
			}
		}
	}
}

// group makes, keeps or closes the plan of one site.
func (d *derivation) group(p *protocol, g *group, all []*group) {
	id := planID(d.records.Subject, g.site, p.url, 1)
	existing, exists := d.records.existing[existingKey{"CarePlan", planSystem, id}]
	usable := g.usable()
	for _, op := range g.operations {
		if !op.usable() {
			d.tellStatus(op)
		}
	}
	status, reason := "", ""
	if len(usable) == 0 {
		status, reason = closing(g.operations)
	}
	switch {
	case d.records.deceased() && status != "entered-in-error":
		for _, op := range usable {
			d.tell("patient-deceased", op.ref(), op)
		}
		if exists {
			d.closePlan(existing, id, "revoked", "patient-deceased", g.operations)
		}
		return
	case len(usable) == 0:
		if exists {
			d.closePlan(existing, id, status, reason, g.operations)
		}
		return
	}
	w, several := d.choose(p, usable)
	pl := &plan{
		d: d, protocol: p, pathway: w, id: id, key: id, site: g.site, operations: usable,
		bound: map[*level]pathVariables{},
	}
	if exists {
		pl.id, pl.existing = existing.ID, d.reopenedPlan(existing.Node)
	}
	switch {
	case several:
		pl.refuseDates("operations-conflict")
	case g.site.side == coding{} && besideAnother(g, all):
		pl.refuseDates("side-conflict")
	case g.site.side == coding{}:
		pl.tellOnce("side-not-recorded")
	}
	pl.attempt()
}

// choose finds the pathway whose trigger matches; several is true where operations match
// different ones.
func (d *derivation) choose(p *protocol, operations []*procedure) (chosen *pathway, several bool) {
	for _, w := range p.pathways {
		if len(w.level.matching(operations)) == 0 {
			continue
		}
		if chosen == nil {
			chosen = w
		} else {
			several = true
		}
	}
	return chosen, several
}

// besideAnother reports that the patient has an operation with a known side in the same bone.
func besideAnother(g *group, all []*group) bool {
	for _, o := range all {
		if o != g && o.site.bone == g.site.bone && len(o.usable()) > 0 {
			return true
		}
	}
	return false
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
