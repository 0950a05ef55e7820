package careplan

import (
	"cmp"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

// activityTask is the Task of an activity, as people left it: without what it followed and
// what closing a plan did to it. node is nil where there is none.
type activityTask struct {
	key, id string
	node    *fhir.Node
}

// taskOf is the Task of an activity, by the element id of the activity.
func (p *plan) taskOf(id string) *activityTask {
	t := &activityTask{key: p.key + "#" + id}
	if was, ok := p.d.records.existing[existingKey{"Task", activitySystem, t.key}]; ok {
		t.id, t.node = was.ID, unfollowed(reopened(was.Node, "status"), opened["Task"])
	} else {
		t.id = p.d.records.newID("Task", hashID(p.key, "task", id))
	}
	return t
}

// byPerson is the status that a person gave the Task, "" for none.
func (t *activityTask) byPerson() string {
	if t.node == nil || ownStatus(t.node, "status") {
		return ""
	}
	return t.node.Str("status")
}

// keepTask leaves the Task of an activity that is no longer asked for as people left it,
// but that it follows the activity.
func (p *plan) keepTask(a *fhir.Node) {
	if t := p.taskOf(a.Str("id")); t.node != nil {
		o := members(t.node)
		p.finishTask(t, o, a, "")
	}
}

// callOff ends the Task of an activity that a person has taken out of the plan, as if the activity
// were cancelled.
func (p *plan) callOff(id string) {
	if t := p.taskOf(id); t.node != nil {
		o := members(t.node)
		if f := p.followedTask(t.node, "cancelled"); f.status != "" {
			p.d.give(&o, f)
		}
		p.businessStatus(&o, "")
		o.arrange(taskOrder)
		p.d.emit("Task", t.id, o, p.basis(), p.definitions())
	}
}

// task writes the Task for a step that somebody else has to do, with the activity as it is
// in the plan. An undated step has none yet, nor has a provisional one: nobody can be asked to
// do something on no day. Where the activity has been begun, its Task stays as it is. One that is
// done already has a Task that says so: in another order of messages it would have been asked for
// first.
func (p *plan) task(s *step, a *fhir.Node, t *activityTask, owner *fhir.Node, begun bool, mark string) {
	if begun {
		if t.node != nil {
			p.finishTask(t, p.movedTask(s, a, t), a, mark)
		}
		return
	}
	when := p.d.engine.scheduledWindow(a.Get("detail"))
	if !s.task || when == (window{}) || p.schedules[s].provisional || !p.asksForTask(s) || p.removed("Task", activitySystem, s.id) {
		return
	}
	authored := p.d.records.At.Format(instantLayout)
	if on := t.node.Str("authoredOn"); on != "" {
		authored = on
	}
	o := object{}
	o.set("resourceType", "Task")
	o.set("id", t.id)
	o.set("language", "en-GB")
	o.set("extension", []any{derivedStatus("requested")})
	o.set("identifier", []identifier{{activitySystem, t.key}})
	o.set("instantiatesCanonical", s.activity.canonical)
	o.set("basedOn", []reference{{Reference: p.ref()}})
	o.set("status", "requested")
	o.set("intent", "plan")
	o.set("priority", "routine")
	o.put("code", s.activity.code)
	o.set("description", p.title()+". "+p.description(s))
	o.set("focus", reference{Reference: p.ref()})
	o.set("for", p.subject())
	o.set("authoredOn", authored)
	o.set("requester", software)
	var types []concept
	for _, who := range s.activity.participants {
		if len(who.coding) > 0 {
			types = append(types, concept{Coding: who.coding})
		}
	}
	o.set("performerType", types)
	o.put("owner", owner)
	if matching := s.level.matching(p.operations); len(matching) > 0 {
		o.set("reasonReference", reference{Reference: matching[0].ref()})
	}
	o.set("restriction", restrictionOf(when))
	o, kept := p.d.records.keepOrUpdate(o, t.node, "status", taskParts)
	p.keptByPerson("task "+s.id, kept)
	switch {
	case slices.Contains(kept, "restriction"):
		setAgreed(&o, writtenIn(o.node()), cmp.Or(p.agreed(t), disagreed))
	case t.node != nil:
		p.tellMoved(s, t.node, owner, when)
	}
	p.finishTask(t, o, a, mark)
}

// asksForTask reports whether the step has a Task for this patient.
func (p *plan) asksForTask(s *step) bool {
	if s.taskWhen == nil {
		return true
	}
	truth, err := s.taskWhen.truth(p.variables(s.level), "")
	if err != nil {
		p.fail(s.action, s.taskWhen.String(), path.Reason(err))
	}
	return truth != path.False
}

// finishTask emits a Task with what it follows and its mark.
func (p *plan) finishTask(t *activityTask, o object, a *fhir.Node, mark string) {
	if f := p.followedTask(o.node(), a.Str("detail", "status")); f.status != "" {
		p.d.give(&o, f)
		o.arrange(taskOrder)
	}
	p.businessStatus(&o, mark)
	p.d.emit("Task", t.id, o, p.basis(), p.definitions())
}
