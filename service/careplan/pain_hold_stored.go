package careplan

import (
	"bytes"
	"slices"

	"aftercare/fhir"
)

// holdStored is holdActivities for plans as they are stored, where a derivation would change nothing
// else in them: what it would make of a plan before the holds is then the plan without its holds. It
// is false where a plan has to be derived.
func (k *keeper) holdStored(plan func(ref string) *Source) bool {
	if len(k.holds) == 0 && len(k.back) == 0 {
		return true
	}
	made := k.result.Resources
	k.result.Resources = nil // plans come first
	for _, a := range k.anchors.list {
		if !a.holdable || len(k.back) == 0 && !slices.ContainsFunc(k.holds, func(h painHold) bool { return h.planRef == a.planRef }) {
			continue
		}
		if stored := plan(a.planRef); stored == nil || !k.holdIn(*stored, a) {
			return false
		}
	}
	k.result.Resources = append(k.result.Resources, made...)
	return true
}

// holdIn emits a stored plan with the holds that it should have, where those that it has are others.
// It is false where the plan has to be derived.
func (k *keeper) holdIn(stored Source, a *anchor) bool {
	n := stored.Node
	p := &plan{d: k.derivation, id: stored.ID, existing: n}
	before := (&keeper{derivation: k.derivation}).of(p)
	holds := k.of(p)
	if len(before) == 0 && len(holds) == 0 {
		return true
	}
	status := n.Str("status")
	if status != "active" && status != "draft" && status != "on-hold" {
		return true
	}
	if reopened(n, "status") != n {
		return false
	}
	var list []*fhir.Node
	for _, was := range n.Each("activity") {
		plain := k.unheld(was)
		if !bytes.Equal(k.held(plain, before).Raw, was.Raw) {
			return false
		}
		list = append(list, k.held(plain, holds))
	}
	o := members(n)
	k.setActivities(&o, n, status, list)
	if len(holds) == 0 {
		o.set("text", narrative(a.title, a.usage, status, list))
	}
	k.emit("CarePlan", stored.ID, o, k.basisOf(a), a.definitions)
	k.result.Resources[len(k.result.Resources)-1].Kept = a.begun
	return true
}

// unheld is an activity as it was before held.
func (d *derivation) unheld(a *fhir.Node) *fhir.Node {
	detail := a.Get("detail")
	mark := extensionOf(detail, followedExtension)
	if !slices.ContainsFunc(mark.Each("extension"), func(x *fhir.Node) bool { return x.Str("url") == "because" }) {
		return a
	}
	var kept []raw
	for _, x := range detail.Each("extension") {
		if x != mark {
			kept = append(kept, raw{x})
		}
	}
	o := members(detail).without("extension")
	o.set("extension", kept)
	if detail.Str("status") == followedStatus(detail) {
		o = o.without("statusReason")
		o.set("status", "not-started")
		for _, x := range mark.Each("extension") {
			switch x.Str("url") {
			case "before":
				o.put("status", x.Get("valueCode"))
			case "reason":
				o.put("statusReason", x.Get("valueCodeableConcept"))
			}
		}
	}
	o.arrange(detailOrder)
	out := members(a)
	out.set("detail", o)
	return out.node()
}
