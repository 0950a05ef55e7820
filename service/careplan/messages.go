package careplan

import (
	"slices"
	"strings"

	"aftercare/fhir"
)

// messageSystem identifies CommunicationRequests
// (https://hl7.org/fhir/R4/communicationrequest.html). There are three: what an action asks to be
// said, that a plan is closed, and that a task has other dates.
const messageSystem = fhir.Canonical + "/identifier/message"

// message writes what an action asks to be said, to the performers that are records. Where the
// activity has been begun or ended, it stays as it is.
func (p *plan) message(s *step, a *fhir.Node, begun bool) {
	when := p.d.engine.scheduledWindow(a.Get("detail"))
	if !s.message || when == (window{}) || p.schedules[s].provisional {
		return
	}
	if begun || finished[a.Str("detail", "status")] {
		p.keepMessage(s.id)
		return
	}
	var to []raw
	for _, who := range a.Each("detail", "performer") {
		if who.Str("reference") != "" {
			to = append(to, raw{who})
		}
	}
	o := p.d.messageTo(p.key+"#"+s.id, p.ref(), a.Str("detail", "description"), to)
	o.put("category", listOf(s.activity.topic))
	if when.singleDay() {
		o.set("occurrenceDateTime", formatDate(when.Start))
	} else {
		o.set("occurrencePeriod", periodOf(when))
	}
	p.d.emitMessage(o, p.key+"#"+s.id, p.basis())
}

// tellMoved tells whom a Task is for that it has other dates. It stays said for as long as the Task
// has these dates.
func (p *plan) tellMoved(s *step, was *fhir.Node, owner *fhir.Node, dates window) {
	day := formatDate(dates.Start)
	key := p.key + "#" + s.id + "@" + day
	before := was.Get("restriction", "period")
	if before.Str("start") == day && before.Str("end") == formatDate(dates.End) {
		p.keepMessage(s.id + "@" + day)
		return
	}
	if owner == nil || before == nil || !openStatus[was.Str("status")] {
		return
	}
	out := p.d.engine.terms.outcome("task-moved")
	text := strings.NewReplacer("{before}", span(before), "{now}", span(&fhir.Node{Kind: fhir.Object, Members: periodMembers(dates)})).Replace(out.text)
	o := p.d.messageTo(key, p.ref(), p.title()+". "+p.description(s)+" "+text, []raw{{owner}})
	p.d.emitMessage(o, key, p.basis())
}

// tellClosed tells those who have open Tasks of a plan that it is closed, where the outcome asks
// for that.
func (d *derivation) tellClosed(planRef, key, title, reason string) {
	out := d.engine.terms.outcome(reason)
	if !out.told {
		return
	}
	var to []raw
	told := map[string]bool{}
	for _, s := range d.records.existingOf("Task") {
		if !strings.HasPrefix(identifierIn(s.Node, activitySystem), key+"#") || !openStatus[reopened(s.Node, "status").Str("status")] {
			continue
		}
		if owner := s.Node.Get("owner"); owner.Str("reference") != "" && !told[owner.Str("reference")] {
			told[owner.Str("reference")] = true
			to = append(to, raw{owner})
		}
	}
	if len(to) == 0 {
		return
	}
	o := d.messageTo(key+"#"+reason, planRef, title+". "+strings.ReplaceAll(out.text, "{plan}", planRef), to)
	d.emitMessage(o, key+"#"+reason, nil)
}

func (d *derivation) messageTo(key, planRef, text string, to []raw) object {
	o := object{}
	o.set("resourceType", "CommunicationRequest")
	o.set("language", "en-GB")
	o.set("extension", []any{derivedStatus("active")})
	o.set("identifier", []identifier{{messageSystem, key}})
	o.set("basedOn", []reference{{Reference: planRef}})
	o.set("status", "active")
	o.set("subject", reference{Reference: d.records.Subject})
	o.set("about", []reference{{Reference: planRef}})
	o.set("payload", []any{struct {
		Text string `json:"contentString"`
	}{text}})
	o.set("requester", software)
	o.set("recipient", to)
	return o
}

func (d *derivation) emitMessage(o object, key string, basis []Source) {
	const kind = "CommunicationRequest"
	was, exists := d.records.existing[existingKey{kind, messageSystem, key}]
	if !exists && d.records.deleted(kind, messageSystem, key) != nil {
		return // somebody does not want it said
	}
	authored := d.records.At.Format(instantLayout)
	id := ""
	if exists {
		id = was.ID
		if on := was.Node.Str("authoredOn"); on != "" {
			authored = on
		}
	} else {
		id = d.records.newID(kind, hashID(key, "message"))
	}
	o.set("id", id)
	o.set("authoredOn", authored)
	o.arrange(messageOrder)
	if exists {
		o, _ = d.records.keepOrUpdate(o, was.Node, "status", nil)
	}
	d.result.Resources = slices.DeleteFunc(d.result.Resources, func(p Prescribed) bool { // a left-over before the plan was closed
		return p.Type == kind && p.ID == id
	})
	d.emit(kind, id, o, basis, nil)
}

// keepMessage leaves what was asked to be said as it is.
func (p *plan) keepMessage(id string) {
	if was, exists := p.d.records.existing[existingKey{"CommunicationRequest", messageSystem, p.key + "#" + id}]; exists {
		p.d.emit(was.Type, was.ID, members(reopened(was.Node, "status")), nil, nil)
	}
}
