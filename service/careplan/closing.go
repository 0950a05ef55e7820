package careplan

import (
	"slices"
	"strings"

	"aftercare/fhir"
)

// closure says what closing a plan makes of it and of what belongs to it, and why: reason is
// an outcome.
type closure struct{ plan, activity, task, goal, statement, reason string }

// closedAs says what a plan's closed status means for what belongs to it.
var closedAs = map[string]closure{
	"on-hold":          {"on-hold", "on-hold", "on-hold", "on-hold", "final", ""},
	"revoked":          {"revoked", "cancelled", "cancelled", "cancelled", "cancelled", ""},
	"entered-in-error": {"entered-in-error", "entered-in-error", "entered-in-error", "entered-in-error", "entered-in-error", ""},
}

func closureOf(status, reason string) closure {
	c := closedAs[status]
	c.reason = reason
	return c
}

// closures are how plans are closed whose course is over.
var closures = map[string]closure{
	"anchor-removed": {"revoked", "stopped", "cancelled", "cancelled", "cancelled", "anchor-removed"},
	"plan-replaced":  {"revoked", "cancelled", "cancelled", "cancelled", "cancelled", "plan-replaced"},
}

// closePlan gives an existing plan a closed status, with its open activities, Tasks and
// Goals. Nothing is removed, and what was open remembers how it was. A plan that a person
// has closed stays as it is, unless it turns out to be entered in error.
func (d *derivation) closePlan(existing Source, key string, c closure, operations []*procedure) {
	var basis []Source
	for _, op := range operations {
		basis = append(basis, op.Source)
		if op.planRef == "" {
			op.planRef = existing.ref()
		}
	}
	d.emit("CarePlan", existing.ID, d.closedPlan(d.reopenedPlan(existing.Node), c), basis, nil)
	if c.plan != "on-hold" {
		d.tellClosed(existing.ref(), key, existing.Node.Str("title"), c.reason)
	}
	d.closeBelongings(key, c, true)
}

// closedPlan is an open plan, closed.
func (d *derivation) closedPlan(plan *fhir.Node, c closure) object {
	o, given := withStatus(plan, "status", c.plan, true)
	if !given {
		return o
	}
	var list []*fhir.Node
	for _, a := range plan.Each("activity") {
		list = append(list, d.closeActivity(a, c.activity, c.reason))
	}
	out := d.engine.terms.outcome(c.reason)
	o.set("note", append(notesOfPeople(plan), raw{&fhir.Node{Raw: encode(ownNoteText{[]outcomeMark{{outcomeExtension, out.code}}, out.display})}}))
	d.setActivities(&o, plan, c.plan+" ("+out.display+")", list)
	return o
}

// close closes the plan that was just derived, and what belongs to it: the resources of the
// result from a place on. A plan in which all work is done is completed.
func (p *plan) close(c closure, from int) {
	for i, r := range p.d.result.Resources[from:] {
		n := r.Node
		o := members(n)
		switch r.Type {
		case "CarePlan":
			if !slices.ContainsFunc(n.Each("activity"), p.d.engine.openWork) {
				c.plan = "completed"
			}
			o = p.d.closedPlan(n, c)
		case "Task":
			o, _ = withStatus(n, "status", c.task, true)
		case "Goal":
			o, _ = withStatus(n, "lifecycleStatus", c.goal, true)
		case "CommunicationRequest":
			o, _ = withStatus(n, "status", "revoked", true)
		default:
			if statementKinds[r.Type] {
				o, _ = withStatus(n, "status", c.statement, true)
			}
		}
		p.d.result.Resources[from+i].set(o)
	}
	p.d.tellClosed(p.ref(), p.key, p.title(), c.reason)
}

// openWork reports that an activity is work that is still to be done. What is only allowed or not
// allowed, watched for or waited for is none: it ends by time alone, or has no end. That is what a
// definition gives no kind to, or forbids, or begins on a day without an end.
func (e *Engine) openWork(a *fhir.Node) bool {
	detail := a.Get("detail")
	if !openStatus[detail.Str("status")] {
		return false
	}
	if forbidden := detail.Get("doNotPerform"); forbidden != nil && forbidden.Text == "true" {
		return false
	}
	w := e.scheduledWindow(detail)
	return !e.derived(a) || detail.Str("kind") != "" && (w.Start.IsZero() || !w.End.IsZero())
}

// ownNoteText is a note of the engine in CarePlan.note, such as why a plan was closed; the mark tells
// it from the notes of people.
type ownNoteText struct {
	Extension []outcomeMark `json:"extension"`
	Text      string        `json:"text"`
}

type outcomeMark struct {
	URL  string `json:"url"`
	Code string `json:"valueCode"`
}

// notesOfPeople are the notes of a plan that the engine did not write.
func notesOfPeople(plan *fhir.Node) []raw {
	var list []raw
	for _, n := range plan.Each("note") {
		if extensionValue(n, outcomeExtension, "valueCode") == "" {
			list = append(list, raw{n})
		}
	}
	return list
}

// reopenedPlan is a plan as it was before the engine closed it, with its activities.
func (d *derivation) reopenedPlan(existing *fhir.Node) *fhir.Node {
	plan := reopened(existing, "status")
	if plan == existing {
		return existing
	}
	o := members(plan).without("note")
	o.set("note", notesOfPeople(plan))
	var list []*fhir.Node
	for _, a := range plan.Each("activity") {
		list = append(list, reopenedActivity(a))
	}
	d.setActivities(&o, plan, plan.Str("status"), list)
	return o.node()
}

// setActivities writes the activities of an existing plan, and the narrative with them.
func (d *derivation) setActivities(o *object, existing *fhir.Node, status string, list []*fhir.Node) {
	usage := ""
	if p := d.protocolOf(existing); p != nil {
		usage = p.usage
	}
	o.set("activity", raws(list))
	o.set("text", narrative(existing.Str("title"), usage, status, list))
	o.arrange(carePlanOrder)
}

// Made reports that an existing plan was made by one of the protocols that are loaded.
func (e *Engine) Made(plan Source) bool {
	return identifierIn(plan.Node, planSystem) != "" && (&derivation{engine: e}).protocolOf(plan.Node) != nil
}

// protocolOf is the protocol that a plan follows, nil when it is not loaded.
func (d *derivation) protocolOf(existing *fhir.Node) *protocol {
	for _, url := range existing.Each("instantiatesCanonical") {
		for _, p := range d.engine.protocols {
			if strings.HasPrefix(url.Text, p.url+"|") || url.Text == p.url {
				return p
			}
		}
	}
	return nil
}

// closeActivity closes an activity that is open, and says why and how it was.
func (d *derivation) closeActivity(a *fhir.Node, status, reason string) *fhir.Node {
	a = reopenedActivity(a)
	was := a.Str("detail", "status")
	if a.Get("detail") == nil || was == status || !openStatus[was] && status != "entered-in-error" {
		return a
	}
	detail := members(a.Get("detail"))
	var extensions []any
	if was != "not-started" {
		extensions = append(extensions, statusBefore(was))
	}
	for _, x := range a.Each("detail", "extension") {
		if x.Str("url") != beforeExtension {
			extensions = append(extensions, raw{x})
		}
	}
	detail.set("extension", extensions)
	detail.set("status", status)
	out := d.engine.terms.outcome(reason)
	why := object{}
	if theirs := a.Get("detail", "statusReason"); theirs != nil {
		why = members(theirs)
	}
	codings := []any{coding{outcomeSystem, out.code, out.display}}
	for _, c := range a.Each("detail", "statusReason", "coding") {
		switch {
		case c.Str("system") != outcomeSystem:
			codings = append(codings, raw{c})
		case why.text("text") == d.engine.terms.outcome(c.Str("code")).display: // it says why it waited
			why = why.without("text", "extension")
		}
	}
	why.set("coding", codings)
	why.arrange(conceptOrder)
	detail.set("statusReason", why)
	detail.arrange(detailOrder)
	o := members(a)
	o.set("detail", detail)
	return o.node()
}

// reopenedActivity is an activity as it was before the engine closed it.
func reopenedActivity(a *fhir.Node) *fhir.Node {
	was := a.Get("detail")
	if !closedByEngine(was) {
		return a
	}
	detail := members(was).without("extension", "statusReason")
	detail.set("status", "not-started")
	if before := extensionValue(was, beforeExtension, "valueCode"); before != "" {
		detail.set("status", before)
	}
	var extensions, codings []raw
	for _, x := range was.Each("extension") {
		if x.Str("url") != beforeExtension {
			extensions = append(extensions, raw{x})
		}
	}
	detail.set("extension", extensions)
	for _, c := range was.Each("statusReason", "coding") {
		if c.Str("system") != outcomeSystem {
			codings = append(codings, raw{c})
		}
	}
	why := members(was.Get("statusReason")).without("coding")
	why.set("coding", codings)
	why.arrange(conceptOrder)
	detail.set("statusReason", why)
	detail.arrange(detailOrder)
	o := members(a)
	o.set("detail", detail)
	return o.node()
}

// closedByEngine reports that an activity has a status that closing a plan gave it.
func closedByEngine(detail *fhir.Node) bool {
	switch status := detail.Str("status"); status {
	case "on-hold", "cancelled", "stopped", "entered-in-error":
		reasons := 0
		for _, c := range codingsAt(detail, "statusReason", "coding") {
			if c.System == outcomeSystem {
				reasons++
			}
		}
		if extensionOf(detail, followedExtension) != nil && extensionOf(detail, beforeExtension) == nil {
			reasons-- // that of what it follows, which closing takes away
		}
		return status != followedStatus(detail) && reasons > 0
	}
	return false
}

// closeBelongings closes the Tasks and Goals of a plan; force closes also those that
// somebody has begun.
func (d *derivation) closeBelongings(key string, c closure, force bool) {
	closeAll := func(kind, system, member, status string) {
		for _, s := range d.records.existingOf(kind) {
			if strings.HasPrefix(identifierIn(s.Node, system), key+"#") && !d.kept[kind+" "+s.ID] {
				o, _ := withStatus(s.Node, member, status, force)
				d.emit(kind, s.ID, o, nil, nil)
			}
		}
	}
	closeAll("Task", activitySystem, "status", c.task)
	if c.task == "entered-in-error" {
		closeAll("Flag", flagSystem, "status", c.task)
	}
	closeAll("Goal", goalSystem, "lifecycleStatus", c.goal)
	if c.plan == "on-hold" {
		closeAll("CommunicationRequest", messageSystem, "status", "on-hold")
	} else {
		closeAll("CommunicationRequest", messageSystem, "status", "revoked")
	}
	for kind := range statementKinds {
		closeAll(kind, statementSystem, "status", c.statement)
	}
}

// closeLeftOvers cancels the Tasks and Goals of a plan that it no longer asks for.
func (p *plan) closeLeftOvers() { p.d.closeBelongings(p.key, closedAs["revoked"], false) }

// closeOrphans closes the plans of the patient that no operation at their site stands for:
// as the records say that they were made from, or else because those are gone.
func (d *derivation) closeOrphans() {
	for _, s := range d.records.existingOf("CarePlan") {
		if d.protocolOf(s.Node) == nil {
			continue // made from definitions that are not loaded: not ours to judge
		}
		if key := identifierIn(s.Node, planSystem); key != "" && !d.kept["CarePlan "+s.ID] {
			status, reason := "revoked", "anchor-gone"
			from, elsewhere := d.madeFrom(s.Node)
			switch {
			case len(from) > 0:
				status, reason = closing(from)
			case elsewhere:
				reason = "plan-elsewhere"
			}
			if d.records.deceased() && status != "entered-in-error" {
				status, reason = "revoked", "patient-deceased"
			}
			d.closePlan(s, key, closureOf(status, reason), from)
		}
	}
}

// madeFrom are the Procedures that a plan names, if all that is left of them is not to be
// counted: a feed may strip a record that was entered in error of code and site. elsewhere is
// true where another plan stands for one of them.
func (d *derivation) madeFrom(existing *fhir.Node) (found []*procedure, elsewhere bool) {
	basis, _ := supportOf(existing, d.records.lastWritten(existing))
	for _, n := range basis {
		p := d.records.byID[d.records.localRef(n.Str("reference"))]
		switch {
		case p == nil || p.Type != "Procedure" || p.planRef == "" && len(p.parents) > 0:
		case !p.usable():
			found = append(found, p)
		case p.planRef != "" || p.ends != nil:
			elsewhere = true
		default:
			return nil, false
		}
	}
	for _, p := range found {
		if p.void() { // else it counts as what it says that it is now
			p.claimed = true
			d.tellStatus(p)
		}
	}
	return found, elsewhere
}
