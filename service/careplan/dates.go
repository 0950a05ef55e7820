package careplan

import (
	"slices"

	"aftercare/fhir"
)

// An activity and its Task have the same dates, whichever of them a person moves. The digest of the
// Task's restriction is that of the dates on which both agreed last, so it tells which of them was
// moved since. Where both were, each stays as it is.

// restrictionDigest is the digest of the restriction that the engine would write for a window.
func restrictionDigest(w window) string {
	o := object{}
	o.set("restriction", restrictionOf(w))
	return digests(o.node(), []string{"restriction"})
}

func restrictionOf(w window) any {
	return object{{Name: "period", Value: asNode(periodOf(w))}}
}

// agreed is the digest of the dates on which an activity and its Task agreed last, "" where that is
// not known.
func (p *plan) agreed(t *activityTask) string {
	before := p.d.records.writtenBefore(t.node, taskParts)
	from := slices.Index(taskParts, "restriction") * digestLength
	if len(before) < from+digestLength {
		return ""
	}
	return before[from : from+digestLength]
}

// movedByTask is an activity that nobody has begun, on the dates to which a person has moved its Task.
func (p *plan) movedByTask(s *step, a *fhir.Node, t *activityTask) *fhir.Node {
	if a == nil || t.node == nil {
		return a
	}
	agreed, own := p.agreed(t), p.d.engine.scheduledWindow(a.Get("detail"))
	to := p.d.engine.windowIn(t.node.Get("restriction", "period"))
	if agreed == "" || to.End.IsZero() || to == own || restrictionDigest(own) != agreed || digests(t.node, []string{"restriction"}) == agreed {
		return a
	}
	detail := slices.DeleteFunc(members(a.Get("detail")), func(m fhir.Member) bool { return inPart(m.Name, "scheduled") })
	s.activity.dated(&detail, to)
	detail.arrange(detailOrder)
	o := members(a)
	o.set("detail", detail)
	return o.node()
}

// movedTask is the Task of an activity that has been begun, on the dates to which a person has moved
// the activity; it notes on which they agree. A Task that a person has taken on or moved keeps its own.
func (p *plan) movedTask(s *step, a *fhir.Node, t *activityTask) object {
	o, agreed := members(t.node), p.agreed(t)
	to := p.d.engine.scheduledWindow(a.Get("detail"))
	if agreed == "" || to == (window{}) || restrictionDigest(to) == agreed {
		return o
	}
	switch {
	case p.d.engine.windowIn(t.node.Get("restriction", "period")) == to:
	case t.byPerson() == "" && !finished[a.Str("detail", "status")] && digests(t.node, []string{"restriction"}) == agreed:
		o.set("restriction", restrictionOf(to))
		p.tellMoved(s, t.node, t.node.Get("owner"), to)
	default:
		return o
	}
	setAgreed(&o, p.d.records.writtenBefore(t.node, taskParts), restrictionDigest(to))
	o.arrange(taskOrder)
	return o
}

// disagreed is the digest of dates that are none.
const disagreed = "????"

// setAgreed notes in a Task the digest of the dates on which it and its activity agreed last. written
// are the digests of all its parts.
func setAgreed(o *object, written, agreed string) {
	from := slices.Index(taskParts, "restriction") * digestLength
	extensions := slices.DeleteFunc(listIn(*o, "extension"), func(x raw) bool { return x.Str("url") == writtenExtension })
	o.set("extension", append(extensions, writtenDigests(written[:from]+agreed+written[from+digestLength:])))
}
