package careplan

import (
	"aftercare/fhir"
)

// existingTask is the Task of an activity, by the element id of the activity.
func (p *plan) existingTask(id string) (key string, was Source, exists bool) {
	key = p.key + "#" + id
	was, exists = p.d.records.existing[existingKey{"Task", activitySystem, key}]
	return key, was, exists
}

// keepTask leaves the Task of an activity that somebody has begun as it is.
func (p *plan) keepTask(id string) {
	if _, was, exists := p.existingTask(id); exists {
		p.d.emit("Task", was.ID, members(reopened(was.Node, "status")), nil, nil)
	}
}

// task writes the Task for a step that somebody else has to do. An undated step has none
// yet: nobody can be asked to do something on no day.
func (p *plan) task(s *step, performers []raw, owner *fhir.Node) {
	schedule := p.schedules[s]
	if !s.task || !schedule.dated {
		return
	}
	key, was, exists := p.existingTask(s.id)
	id := ""
	authored := p.d.records.At.Format(instantLayout)
	if exists {
		id = was.ID
		if on := was.Node.Str("authoredOn"); on != "" {
			authored = on
		}
	} else {
		id = p.d.records.newID("Task", hashID(p.key, "task", s.id))
	}
	o := object{}
	o.set("resourceType", "Task")
	o.set("id", id)
	o.set("language", "en-GB")
	o.set("extension", []any{derivedStatus("requested")})
	o.set("identifier", []identifier{{activitySystem, key}})
	o.set("instantiatesCanonical", s.activity.canonical)
	o.set("basedOn", []reference{{Reference: p.ref()}})
	o.set("status", "requested")
	o.set("intent", "plan")
	o.set("priority", "routine")
	o.put("code", s.activity.code)
	o.set("description", p.title()+". "+s.description())
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
	o.set("restriction", struct {
		Period period `json:"period"`
	}{periodOf(schedule.window)})
	if exists {
		o = keepOrUpdate(o, was.Node, "status")
	}
	p.d.emit("Task", id, o, p.basis(), p.definitions())
}
