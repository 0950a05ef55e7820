package careplan

import (
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

// plan is a care plan in the making.
type plan struct {
	d        *derivation
	protocol *protocol
	pathway  *pathway
	// key is the identifier value; id is the logical id, equal to it for a new plan.
	key, id string
	site    site
	// operations are the completed operations of the course; earlier are those on the same
	// anchor before them.
	operations, earlier []*procedure
	// planned are operations of the course that are planned.
	planned []*procedure
	// replaces is the plan that this one takes the place of, "" for none; endedBy are the
	// records by which it is over.
	replaces   string
	endedBy    []Source
	devices    []Source
	implanted  []Source // of the devices
	structures []Source
	existing   *fhir.Node
	schedules  map[*step]schedule
	bound      map[*level]*variables
	answers    map[*level]answer
	// together: the operations are the parts of one, since they took place on one day.
	together bool
	// failed says why the protocol cannot be applied, nil while it can.
	failed *failure
	// begun are the activities that would move, were they not begun.
	begun []Change
	// evident are the records that activities follow.
	evident []Source
	// keptAs are the activities, Tasks and Goals in which a person's change stands beside
	// what the plan would say.
	keptAs []string
	// prescribed are the activities, by id, that the protocol asks for now.
	prescribed map[string]bool
	// gone is what people have taken out of the plan.
	gone removals
}

func (p *plan) ref() string { return "CarePlan/" + p.id }

// refuseDates gives an outcome that forbids dating anything.
func (p *plan) refuseDates(code string) {
	for _, op := range p.operations {
		op.waits = p.d.engine.terms.outcome(code).display
	}
	p.tellOnce(code)
}

func (p *plan) derive() {
	inexact := p.d.engine.terms.outcome("date-not-exact")
	for _, op := range p.operations {
		op.planRef = p.ref()
		p.d.tellPlan("plan", op.ref(), op.ref(), p.ref())
		if op.day.IsZero() {
			p.d.tell(inexact.code, op.ref(), op)
			if op.waits == "" {
				op.waits = inexact.display
			}
		}
		p.gather(op)
	}
	for _, op := range p.earlier {
		p.gather(op)
	}
	p.scheduleSteps()
	if p.closedByPerson() {
		p.d.emit("CarePlan", p.id, members(p.existing), p.basis(), p.definitions())
		return
	}
	status := p.ownStatus()
	p.readRemovals()
	activities := p.activities()
	goals := p.goals()
	o := object{}
	o.set("resourceType", "CarePlan")
	o.set("id", p.id)
	o.put("meta", p.existing.Get("meta"))
	o.set("language", "en-GB")
	o.set("identifier", p.identifiers())
	o.set("instantiatesCanonical", []string{p.pathway.canonical, p.protocol.canonical})
	o.set("replaces", p.replaced())
	o.set("status", p.keepStatus(status))
	o.set("intent", "plan")
	o.set("category", p.categories())
	o.set("title", p.title())
	o.set("subject", p.subject())
	o.set("period", p.period())
	o.set("created", p.created())
	o.set("author", software)
	o.set("careTeam", p.careTeams())
	o.set("supportingInfo", p.supportingInfo())
	o.set("goal", goals)
	o.set("activity", raws(activities))
	now, kept := keepEdits(&o, p.existing, p.d.records.writtenBefore(p.existing, planParts), planParts)
	p.keptByPerson("plan", kept)
	o.set("extension", p.extensions(status, now, activities))
	o.set("note", p.notes())
	if p.existing != nil {
		mergeExtensions(&o, p.existing)
		o.keep(p.existing, "text", "title", "period", "author", "_status", "note", "replaces")
	}
	o.set("text", p.narrative(o, activities))
	o.arrange(carePlanOrder)
	p.d.emit("CarePlan", p.id, o, p.basis(), p.definitions())
	p.d.result.Resources[len(p.d.result.Resources)-1].Kept = p.begun
	p.statements()
	p.closeLeftOvers()
	p.tellKept()
}

// notes are those of people, and that several operations were taken for one.
func (p *plan) notes() []raw {
	list := notesOfPeople(p.existing)
	if p.together {
		out := p.d.engine.terms.outcome(togetherOutcome)
		list = append(list, raw{&fhir.Node{Raw: encode(ownNoteText{[]outcomeMark{{outcomeExtension, out.code}}, out.text})}})
	}
	return list
}

// togetherOutcome is told where the parts of an operation took place on one day.
const togetherOutcome = "stages-on-one-day"

// ownStatus is what the plan would be if nobody had touched it: a draft while no
// operation has an exact date.
func (p *plan) ownStatus() string {
	for _, op := range p.operations {
		if op.waits == "" {
			return "active"
		}
	}
	return "draft"
}

// closedByPerson reports that somebody has ended the plan. It is then a record of what
// was, and stays as it is.
func (p *plan) closedByPerson() bool {
	return p.existing != nil && endedByPerson(p.existing)
}

func endedByPerson(plan *fhir.Node) bool {
	if ownStatus(plan, "status") {
		return false
	}
	switch plan.Str("status") {
	case "completed", "revoked", "entered-in-error":
		return true
	}
	return false
}

// keepStatus lets a person's status stand.
func (p *plan) keepStatus(status string) string {
	if p.existing != nil && !ownStatus(p.existing, "status") {
		return p.existing.Str("status")
	}
	return status
}

// gather collects the devices and body structures of an operation.
func (p *plan) gather(op *procedure) {
	for _, f := range op.Node.Each("focalDevice") {
		if s, ok := p.d.records.byRef[p.d.records.localRef(f.Str("manipulated", "reference"))]; ok {
			p.devices = appendSource(p.devices, s)
			if p.d.engine.acted(f, implanted) {
				p.implanted = appendSource(p.implanted, s)
			}
		}
	}
	for _, s := range op.site.structures {
		p.structures = appendSource(p.structures, s)
	}
}

func appendSource(list []Source, s Source) []Source {
	if slices.ContainsFunc(list, func(o Source) bool { return o.ref() == s.ref() }) {
		return list
	}
	return append(list, s)
}

// basis are the records that the plan rests on.
func (p *plan) basis() []Source {
	var all []Source
	for _, op := range slices.Concat(p.earlier, p.operations, p.planned) {
		all = appendSource(all, op.Source)
		for _, c := range op.components {
			all = appendSource(all, c.Source)
		}
	}
	for _, s := range slices.Concat(p.endedBy, p.devices, p.structures, p.evident) {
		all = appendSource(all, s)
	}
	if p.d.records.Patient != nil {
		all = append(all, *p.d.records.Patient)
	}
	return all
}

// replaced names the plan that this one takes the place of, and what others have added.
func (p *plan) replaced() []raw {
	var list []raw
	if p.replaces != "" {
		list = append(list, raw{asNode(reference{Reference: p.replaces})})
	}
	for _, n := range p.existing.Each("replaces") {
		ref := fhir.ParseReference(n.Str("reference"), "")
		if s := p.d.records.existingAt("CarePlan", ref.ID); s == nil || p.d.protocolOf(s.Node) != p.protocol {
			list = append(list, raw{n})
		}
	}
	return list
}

func (p *plan) definitions() []string {
	return p.pathway.definitions
}

func (p *plan) identifiers() []raw {
	own := identifier{planSystem, p.key}
	return ownFirst(own, p.existing.Each("identifier"), func(n *fhir.Node) bool { return n.Str("system") == planSystem })
}

// ownFirst lists our value and then the existing ones that are not ours.
func ownFirst(own any, existing []*fhir.Node, ours func(*fhir.Node) bool) []raw {
	list := []raw{{asNode(own)}}
	for _, n := range existing {
		if !ours(n) {
			list = append(list, raw{n})
		}
	}
	return list
}

// categories are the topics of the protocol, and what others have added.
func (p *plan) categories() []raw {
	list := raws(p.protocol.topics)
	for _, n := range p.existing.Each("category") {
		ours := slices.ContainsFunc(p.protocol.topics, func(topic *fhir.Node) bool {
			return anyCoding(codingsAt(n, "coding"), func(c coding) bool {
				return slices.ContainsFunc(codingsAt(topic, "coding"), func(o coding) bool { return o.key() == c.key() })
			})
		})
		if !ours {
			list = append(list, raw{n})
		}
	}
	return list
}

// title names the site in everyday words: "Osseointegration aftercare, left femur".
func (p *plan) title() string {
	bone := p.protocol.sites.word[p.site.bone]
	if p.site.side == (coding{}) {
		return p.pathway.title + ", " + bone + " (" + p.d.engine.terms.outcome("side-not-recorded").display + ")"
	}
	return p.pathway.title + ", " + p.d.engine.terms.sets[lateralitySet].word[p.site.side] + " " + bone
}

func (p *plan) subject() reference {
	return reference{Reference: p.d.records.Subject, Display: p.d.records.patientName()}
}

// patientName is the official name, or else the usual one, or another that is in use.
func (r *records) patientName() string {
	if r.Patient == nil {
		return ""
	}
	return nameOf(r.Patient.Node)
}

// nameOf is the name of a person or an organization, "" where none is recorded.
func nameOf(n *fhir.Node) string {
	if name := n.Get("name"); name != nil && name.Kind == fhir.String {
		return name.Text
	}
	var best *fhir.Node
	for _, name := range n.Each("name") {
		if best == nil || nameRank[name.Str("use")] > nameRank[best.Str("use")] {
			best = name
		}
	}
	if text := best.Str("text"); text != "" {
		return text
	}
	var parts []string
	for _, given := range best.Each("given") {
		parts = append(parts, given.Text)
	}
	if family := best.Str("family"); family != "" {
		parts = append(parts, family)
	}
	return strings.Join(parts, " ")
}

// nameRank orders HumanName.use: a name that is no longer used comes last.
var nameRank = map[string]int{"official": 2, "usual": 1, "old": -1, "maiden": -1}

// period runs from the first operation to the end of the last window.
func (p *plan) period() period {
	var w window
	for _, s := range p.pathway.order {
		schedule := p.schedules[s]
		if !schedule.dated || schedule.provisional || schedule.window == (window{}) || s.pattern != nil {
			continue
		}
		if s.isAnchor() && (w.Start.IsZero() || schedule.window.Start.Before(w.Start)) {
			w.Start = schedule.window.Start
		}
		if schedule.window.End.After(w.End) {
			if truth, _ := p.applies(s.level); truth != path.False {
				w.End = schedule.window.End
			}
		}
	}
	return periodOf(w)
}

func (p *plan) created() string {
	if was := p.existing.Str("created"); was != "" {
		return was
	}
	return p.d.records.At.Format(instantLayout)
}
