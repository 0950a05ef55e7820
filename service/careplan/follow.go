package careplan

import (
	"encoding/json"
	"slices"
	"time"

	"aftercare/fhir"
)

// An activity and its Task follow each other, and both follow what is recorded of the
// patient. What a person says of either stands. A status that the engine gives in this way
// is marked with followedExtension, so that it can be taken back when its reason goes.

// followedExtension says that the engine gave an element its status because something else
// has it (given), and which open status of a person that took the place of (before), with the
// reason that there was for that (reason).
const followedExtension = fhir.Canonical + "/StructureDefinition/status-followed"

// finished are the statuses of an activity after which there is nothing left to do.
var finished = map[string]bool{"completed": true, "cancelled": true, "stopped": true, "entered-in-error": true}

// finishedTask are those of a Task.
var finishedTask = map[string]bool{"completed": true, "cancelled": true, "rejected": true, "failed": true, "entered-in-error": true}

// explainable are the statuses of a Task that its statusReason is about; with others it is what was
// left from before (https://hl7.org/fhir/R4/task-definitions.html#Task.statusReason).
var explainable = map[string]bool{"on-hold": true, "cancelled": true, "rejected": true, "failed": true, "entered-in-error": true}

const (
	taskStatusSystem     = "http://hl7.org/fhir/task-status"
	activityStatusSystem = "http://hl7.org/fhir/care-plan-activity-status"
)

// following is a status that something gets because something else has it. The zero value
// gives none.
type following struct {
	status, outcome string
	// before is a person's open status that it takes the place of, "" for none.
	before string
	// task is the status of the Task that it comes from, "" for none; reason is that
	// Task's own reason.
	task   string
	reason *fhir.Node
	// because are the interpretations that it comes from.
	because []string
	// record is what is recorded, done the local date that it gives; nil and zero where
	// nothing is.
	record *Source
	done   time.Time
}

// follow says what an activity follows. own is the status that people gave it, or
// not-started. What is finished goes before what is open, and a person's word before the
// record.
func (p *plan) follow(s *step, own string, task *activityTask) following {
	by := p.evidence(s)
	says := p.d.engine.terms.translate(taskStatusSystem, task.byPerson(), activityStatusSystem)
	if finished[says] && (finished[own] && says != own || by.status != "" && says != by.status) {
		p.d.tell("task-conflict", p.key+"#"+s.id, p.operations...)
	}
	switch {
	case finished[own]:
		return following{}
	case by.status != "":
	case says != "" && says != "not-started" && (own == "not-started" || finished[says]):
		by = following{status: says, outcome: "by-task", task: task.byPerson()}
		if explainable[by.task] {
			by.reason = task.node.Get("statusReason")
		}
	default:
		return following{}
	}
	if own != "not-started" {
		by.before = own
	}
	return by
}

// followedTask is what the Task of an activity with the given status follows.
func (p *plan) followedTask(task *fhir.Node, activity string) following {
	status := p.d.engine.terms.translate(activityStatusSystem, activity, taskStatusSystem)
	was := task.Str("status")
	switch {
	case status == "" || status == was || finishedTask[was]:
		return following{}
	case was == opened["Task"]:
		return following{status: status, outcome: "by-activity"}
	case finishedTask[status]:
		return following{status: status, outcome: "by-activity", before: was}
	}
	return following{}
}

// give writes the status into an activity's detail or a Task.
func (d *derivation) give(o *object, f following) {
	o.set("extension", append(listIn(*o, "extension"), f.mark(memberOf(*o, "statusReason"))))
	o.set("status", f.status)
	o.set("statusReason", d.reasonOf(f))
}

// mark is the extension that says so, with the reason that there was for the status before, nil for
// none.
func (f following) mark(reason *fhir.Node) raw {
	type part struct {
		URL    string     `json:"url"`
		Code   string     `json:"valueCode,omitempty"`
		Reason any        `json:"valueCodeableConcept,omitempty"`
		Ref    *reference `json:"valueReference,omitempty"`
	}
	parts := []part{{URL: "given", Code: f.status}}
	if f.before != "" {
		parts = append(parts, part{URL: "before", Code: f.before})
	}
	if reason != nil {
		parts = append(parts, part{URL: "reason", Reason: json.RawMessage(reason.Raw)})
	}
	for _, ref := range f.because {
		parts = append(parts, part{URL: "because", Ref: &reference{Reference: ref}})
	}
	return raw{&fhir.Node{Raw: encode(struct {
		URL   string `json:"url"`
		Parts []part `json:"extension"`
	}{followedExtension, parts})}}
}

// reasonOf is the statusReason of what follows something, with the mark of the outcome.
func (d *derivation) reasonOf(f following) object {
	out := d.engine.terms.outcome(f.outcome)
	codings := []any{coding{outcomeSystem, out.code, out.display}}
	if f.task != "" {
		codings = append(codings, coding{System: taskStatusSystem, Code: f.task})
	}
	why := object{}
	why.set("extension", []outcomeMark{{outcomeExtension, out.code}})
	text := out.display
	if f.task != "" {
		text += ": " + f.task
	}
	for _, c := range f.reason.Each("coding") {
		codings = append(codings, raw{c})
	}
	if more := f.reason.Str("text"); more != "" {
		text += ". " + more
	}
	why.set("coding", codings)
	why.set("text", text)
	return why
}

// followActivity gives an activity the status that it follows, with the record and the
// date that tell of it (https://hl7.org/fhir/R4/careplan-definitions.html, activity.progress
// and activity.outcomeReference).
func (p *plan) followActivity(a *fhir.Node, f following) *fhir.Node {
	if f.status == "" {
		return a
	}
	detail := members(a.Get("detail"))
	p.d.give(&detail, f)
	detail.arrange(detailOrder)
	o := members(a)
	o.set("detail", detail)
	out := p.d.engine.terms.outcome(f.outcome)
	mark := []outcomeMark{{outcomeExtension, out.code}}
	if f.record != nil {
		o.set("outcomeReference", append(listIn(o, "outcomeReference"), raw{&fhir.Node{Raw: encode(struct {
			Extension []outcomeMark `json:"extension"`
			Reference string        `json:"reference"`
		}{mark, f.record.ref()})}}))
	}
	if !f.done.IsZero() {
		o.set("progress", append(listIn(o, "progress"), raw{&fhir.Node{Raw: encode(struct {
			Extension []outcomeMark `json:"extension"`
			Time      string        `json:"time"`
			Text      string        `json:"text"`
		}{mark, formatDate(f.done), out.display})}}))
	}
	o.arrange(activityOrder)
	return o.node()
}

// unfollowed is an activity's detail or a Task as it was before it followed something; an
// element that a person has changed since keeps that person's status. open is the status
// that the engine gives without a reason.
func unfollowed(n *fhir.Node, open string) *fhir.Node {
	mark := extensionOf(n, followedExtension)
	if mark == nil {
		return n
	}
	o := members(n).without("extension")
	var kept []raw
	for _, x := range n.Each("extension") {
		if x != mark {
			kept = append(kept, raw{x})
		}
	}
	o.set("extension", kept)
	if n.Str("status") == extensionValue(mark, "given", "valueCode") {
		if before := extensionValue(mark, "before", "valueCode"); before != "" {
			open = before
		}
		o.set("status", open)
	}
	ownReasonDropped(&o, n)
	for _, part := range mark.Each("extension") {
		if part.Str("url") == "reason" && n.Str("status") == extensionValue(mark, "given", "valueCode") {
			o.put("statusReason", part.Get("valueCodeableConcept"))
		}
	}
	if order := orders[n.Str("resourceType")]; order != nil {
		o.arrange(order)
	} else {
		o.arrange(detailOrder)
	}
	return o.node()
}

// ownReasonDropped leaves of a statusReason what a person wrote.
func ownReasonDropped(o *object, n *fhir.Node) {
	if n.Get("statusReason") != nil {
		*o = o.without("statusReason")
		o.set("statusReason", reasonOfPeople(n))
	}
}

// reasonOfPeople is what a person wrote in the statusReason of an element, empty for nothing.
func reasonOfPeople(n *fhir.Node) object {
	why := n.Get("statusReason")
	if why == nil || ownNote(why) {
		return nil
	}
	var codings []raw
	for _, c := range why.Each("coding") {
		if system := c.Str("system"); system != outcomeSystem && system != taskStatusSystem {
			codings = append(codings, raw{c})
		}
	}
	theirs := members(why).without("coding")
	theirs.set("coding", codings)
	theirs.arrange(conceptOrder)
	return theirs
}

// unfollowedActivity is an activity as it was before it followed something.
func unfollowedActivity(a *fhir.Node) *fhir.Node {
	detail := a.Get("detail")
	was := unfollowed(detail, "not-started")
	if was == detail && !slices.ContainsFunc(a.Each("progress"), ownNote) && !slices.ContainsFunc(a.Each("outcomeReference"), ownNote) {
		return a
	}
	o := members(a).without("progress", "outcomeReference")
	for _, name := range []string{"outcomeReference", "progress"} {
		var theirs []raw
		for _, n := range a.Each(name) {
			if !ownNote(n) {
				theirs = append(theirs, raw{n})
			}
		}
		o.set(name, theirs)
	}
	o.put("detail", was)
	o.arrange(activityOrder)
	return o.node()
}

// ownNote reports that an element carries the mark of an outcome: the engine wrote it.
func ownNote(n *fhir.Node) bool { return extensionValue(n, outcomeExtension, "valueCode") != "" }

// followedStatus is the status that the engine gave an element because of something else,
// "" for none.
func followedStatus(n *fhir.Node) string {
	return extensionValue(extensionOf(n, followedExtension), "given", "valueCode")
}

// doneOn is the local date on which the record says that an activity was done, zero where
// it says nothing.
func doneOn(a *fhir.Node) time.Time {
	for _, n := range a.Each("progress") {
		if ownNote(n) {
			if day, err := time.Parse(dateLayout, n.Str("time")); err == nil {
				return day
			}
		}
	}
	return time.Time{}
}
