package careplan

import (
	"bytes"

	"aftercare/fhir"
)

// Change says what became of one activity of a plan. Kind is a code of CodeSystem/plan-change:
// added, removed, moved (other dates), restated (another status), reworded (anything else), or
// kept: new facts would move it, but a person has begun it or moved it. From and To are dates in words, or
// statuses, "" where there are none.
type Change struct{ Activity, Kind, From, To string }

// Changes compares the activities of two versions of a plan, in the order of the later one.
func Changes(before, after *fhir.Node) []Change {
	was := map[string]*fhir.Node{}
	for _, a := range before.Each("activity") {
		was[a.Str("id")] = a
	}
	var list []Change
	for _, a := range after.Each("activity") {
		id, d := a.Str("id"), a.Get("detail")
		old, known := was[id]
		delete(was, id)
		if !known {
			list = append(list, Change{Activity: id, Kind: "added", To: when(d)})
			continue
		}
		list = append(list, changesOf(id, old, a)...)
	}
	for _, a := range before.Each("activity") {
		if id := a.Str("id"); was[id] != nil {
			list = append(list, Change{Activity: id, Kind: "removed", From: when(a.Get("detail"))})
		}
	}
	return list
}

func changesOf(id string, before, after *fhir.Node) (list []Change) {
	old, now := before.Get("detail"), after.Get("detail")
	if from, to := when(old), when(now); from != to {
		list = append(list, Change{id, "moved", from, to})
	}
	if from, to := old.Str("status"), now.Str("status"); from != to {
		list = append(list, Change{id, "restated", from, to})
	}
	if list == nil && !sameText(before, after) {
		list = append(list, Change{Activity: id, Kind: "reworded"})
	}
	return list
}

// sameText reports that two elements are written the same way, but for white space.
func sameText(a, b *fhir.Node) bool {
	return bytes.Equal(a.Raw, b.Raw) || bytes.Equal(compacted(a).Raw, compacted(b).Raw)
}

// keepBegun notes where a step would move an activity that somebody has begun or moved.
func (p *plan) keepBegun(s *step, was *fhir.Node) {
	d := object{}
	p.scheduled(&d, s)
	if from, to := when(was.Get("detail")), when(d.node()); from != to {
		p.begun = append(p.begun, Change{s.id, "kept", from, to})
	}
}

// Reason is why a resource was derived: a concept of CodeSystem/outcome.
type Reason struct{ System, Code, Display string }

// Reason is what closed a plan, if something did, and else that it follows the records.
func (e *Engine) Reason(derived *fhir.Node) Reason {
	code := "follows-records"
	for _, n := range derived.Each("note") {
		if status := extensionValue(derived, statusExtension, "valueCode"); status == "active" || status == "draft" {
			break
		}
		if closed := extensionValue(n, outcomeExtension, "valueCode"); closed != "" {
			code = closed
		}
	}
	o := e.terms.outcome(code)
	return Reason{outcomeSystem, o.code, o.display}
}
