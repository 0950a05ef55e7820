package careplan

import (
	"strings"

	"aftercare/fhir"
)

// detected is an outcome for which a DetectedIssue is kept.
type detected struct {
	outcome    outcome // its text is complete
	owner      string
	procedures []*procedure
}

// tell gives an outcome about procedures, once for each code and owner. The owner is what
// the outcome is about: a reference or the id of a plan.
func (d *derivation) tell(code, owner string, procedures ...*procedure) {
	d.tellCause(code, owner, "", procedures...)
}

// tellCause gives an outcome whose text names a cause.
func (d *derivation) tellCause(code, owner, cause string, procedures ...*procedure) {
	key := [2]string{code, owner}
	if d.told[key] {
		return
	}
	d.told[key] = true
	o := d.engine.terms.outcome(code)
	o.text = strings.ReplaceAll(o.text, "{cause}", cause)
	for _, p := range procedures {
		d.notice(o, p.ref(), "")
	}
	if o.detected != "" || o.flag != "" {
		d.detected = append(d.detected, detected{o, owner, procedures})
	}
}

// keptByPerson notes what of an activity, a Task or a Goal stands as a person has changed
// it.
func (p *plan) keptByPerson(what string, parts []string) {
	if len(parts) > 0 {
		p.keptAs = append(p.keptAs, what+" ("+strings.Join(parts, ", ")+")")
	}
}

// tellKept says what stands as people have changed it although the plan would say
// otherwise. Who writes the plan is told too.
func (p *plan) tellKept() {
	if len(p.keptAs) == 0 {
		return
	}
	o := p.d.engine.terms.outcome("kept-by-person")
	o.text = strings.ReplaceAll(o.text, "{kept}", strings.Join(p.keptAs, "; "))
	for _, op := range p.operations {
		p.d.notice(o, op.ref(), p.ref())
	}
	p.d.notice(o, p.ref(), p.ref())
}

// tellPlan gives an outcome whose text names a plan.
func (d *derivation) tellPlan(code, owner, procedure, planRef string) {
	key := [2]string{code, owner}
	if d.told[key] {
		return
	}
	d.told[key] = true
	d.notice(d.engine.terms.outcome(code), procedure, planRef)
}

func (d *derivation) notice(o outcome, procedure, planRef string) {
	if planRef == "" {
		planRef = "the care plan"
	}
	d.result.Notices = append(d.result.Notices, Notice{procedure, fhir.Issue{
		Severity: o.severity, Code: o.issueType, Detail: o.code,
		Text: strings.ReplaceAll(o.text, "{plan}", planRef),
	}})
}

// tellStatus says what the status of an operation that is not completed means.
func (d *derivation) tellStatus(p *procedure) {
	code := "not-completed"
	switch {
	case p.plan == "on-hold":
		code = "on-hold"
	case p.plan == "entered-in-error":
		code = "entered-in-error"
	case p.plan == "revoked":
		code = "not-done"
	case p.planned():
		code = "planned"
	}
	d.tell(code, p.ref(), p)
}

// unplaced tells about an operation that has no usable site.
func (d *derivation) unplaced(op *procedure) {
	if op.usable() {
		d.tell(op.site.problem, op.ref(), op)
		return
	}
	d.tellStatus(op)
}

// tellOnce gives an outcome about a plan's operations.
func (p *plan) tellOnce(code string) { p.d.tell(code, p.key, p.operations...) }

// issues writes a DetectedIssue for every outcome that asks for one, and cancels those
// that no longer hold.
func (d *derivation) issues() {
	holding := map[string]bool{}
	for _, x := range d.detected {
		if x.outcome.detected == "" {
			continue
		}
		key := hashID(d.records.Subject, x.owner, x.outcome.code)
		holding[key] = true
		existing, exists := d.records.existing[existingKey{"DetectedIssue", issueSystem, key}]
		o := object{}
		o.set("resourceType", "DetectedIssue")
		id := d.records.newID("DetectedIssue", key)
		identified := d.records.At.Format(instantLayout)
		if exists {
			id = existing.ID
			if was := existing.Node.Str("identifiedDateTime"); was != "" {
				identified = was
			}
		}
		o.set("id", id)
		o.set("language", "en-GB")
		o.set("extension", []any{derivedStatus("final")})
		o.set("identifier", []identifier{{issueSystem, key}})
		o.set("status", "final")
		o.set("code", concept{Coding: []coding{{outcomeSystem, x.outcome.code, x.outcome.display}}})
		o.set("severity", x.outcome.detected)
		o.set("patient", reference{Reference: d.records.Subject})
		o.set("identifiedDateTime", identified)
		o.set("author", software)
		var implicated []reference
		var basis []Source
		for _, p := range x.procedures {
			implicated = append(implicated, reference{Reference: p.ref()})
			basis = append(basis, p.Source)
		}
		o.set("implicated", implicated)
		o.set("detail", x.outcome.text)
		if exists {
			o, _ = d.records.keepOrUpdate(o, existing.Node, "status", nil)
		}
		d.emit("DetectedIssue", id, o, basis, nil)
	}
	for _, s := range d.records.existingOf("DetectedIssue") {
		key := identifierIn(s.Node, issueSystem)
		if key == "" || holding[key] || d.incomplete {
			continue
		}
		o, _ := withStatus(s.Node, "status", "cancelled", false)
		d.emit("DetectedIssue", s.ID, o, nil, nil)
	}
}
