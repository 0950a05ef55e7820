package careplan

import (
	"strings"

	"aftercare/fhir"
)

// closedAs says what a plan's closed status means for what belongs to it.
var closedAs = map[string]struct{ activity, task, goal string }{
	"on-hold":          {"on-hold", "on-hold", "on-hold"},
	"revoked":          {"cancelled", "cancelled", "cancelled"},
	"entered-in-error": {"entered-in-error", "entered-in-error", "entered-in-error"},
}

// closePlan gives an existing plan a closed status, with its open activities, Tasks and
// Goals. Nothing is removed. A plan that a person has closed stays as it is, unless it
// turns out to be entered in error.
func (d *derivation) closePlan(existing Source, key, status, reason string, operations []*procedure) {
	o := withStatus(existing.Node, "status", status, carePlanOrder)
	var basis []Source
	for _, op := range operations {
		basis = append(basis, op.Source)
		if op.planRef == "" {
			op.planRef = existing.ref()
		}
	}
	if ownStatus(existing.Node, "status") || status == "entered-in-error" {
		var list []*fhir.Node
		for _, a := range existing.Node.Each("activity") {
			list = append(list, d.closeActivity(a, closedAs[status].activity, reason))
		}
		o.set("activity", raws(list))
		usage := ""
		if p := d.protocolOf(existing.Node); p != nil {
			usage = p.usage
		}
		o.set("text", narrative(existing.Node.Str("title"), usage, status, list))
		o.arrange(carePlanOrder)
	}
	d.emit("CarePlan", existing.ID, o, basis, nil)
	d.closeBelongings(key, status)
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

// closeActivity closes a derived activity that is open, and says why.
func (d *derivation) closeActivity(a *fhir.Node, status, reason string) *fhir.Node {
	if !derived(a) {
		return a
	}
	switch a.Str("detail", "status") {
	case "not-started", "scheduled", "in-progress", "on-hold", "unknown":
	default:
		if !closedByEngine(a.Get("detail")) && status != "entered-in-error" {
			return a
		}
	}
	detail := members(a.Get("detail"))
	detail.set("status", status)
	out := d.engine.terms.outcome(reason)
	detail.set("statusReason", concept{Coding: []coding{{outcomeSystem, out.code, out.display}}})
	detail.arrange(detailOrder)
	o := members(a)
	o.set("detail", detail)
	return o.node()
}

// closeBelongings closes the Tasks and Goals of a plan.
func (d *derivation) closeBelongings(key, status string) {
	for _, s := range d.records.existingOf("Task") {
		if strings.HasPrefix(identifierIn(s.Node, activitySystem), key+"#") && !d.kept["Task "+s.ID] {
			d.emit("Task", s.ID, withStatus(s.Node, "status", closedAs[status].task, taskOrder), nil, nil)
		}
	}
	for _, s := range d.records.existingOf("Goal") {
		if strings.HasPrefix(identifierIn(s.Node, goalSystem), key+"#") && !d.kept["Goal "+s.ID] {
			d.emit("Goal", s.ID, withStatus(s.Node, "lifecycleStatus", closedAs[status].goal, goalOrder), nil, nil)
		}
	}
}

// closeLeftOvers cancels the Tasks and Goals of a plan that it no longer asks for.
func (p *plan) closeLeftOvers() { p.d.closeBelongings(p.key, "revoked") }

// closeOrphans revokes the plans of the patient whose operations are no longer recorded at
// their site.
func (d *derivation) closeOrphans() {
	for _, s := range d.records.existingOf("CarePlan") {
		if d.protocolOf(s.Node) == nil {
			continue // made from definitions that are not loaded: not ours to judge
		}
		if key := identifierIn(s.Node, planSystem); key != "" && !d.kept["CarePlan "+s.ID] {
			d.closePlan(s, key, "revoked", "anchor-gone", nil)
		}
	}
}
