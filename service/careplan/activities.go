package careplan

import (
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

// activities are the activities of the plan: what is prescribed, merged with what exists.
// It also writes the Tasks that go with them.
func (p *plan) activities() []*fhir.Node {
	existing := map[string]*fhir.Node{}
	for _, a := range p.existing.Each("activity") {
		if id := a.Str("id"); id != "" {
			existing[id] = reopenedActivity(a)
		}
	}
	var list []*fhir.Node
	windows := map[string]window{}
	p.prescribed = map[string]bool{}
	for _, s := range p.pathway.steps {
		if s.activity == nil {
			continue
		}
		truth, assumed := p.applies(s.level)
		if truth == path.False {
			continue
		}
		p.prescribed[s.id] = true
		var mark marked
		was, own := existing[s.id], "not-started"
		if p.removedActivity(s.id, was) {
			p.callOff(s.id)
			continue
		}
		if was != nil {
			mark = p.d.engine.markOf(was)
			was = unfollowedActivity(was)
			own = was.Str("detail", "status")
		}
		task := p.taskOf(s.id)
		if own == "not-started" {
			was = p.movedByTask(s, was, task)
		}
		f := p.follow(s, own, task)
		a, begun := was, was != nil && (own != "not-started" || f.task != "")
		var owner *fhir.Node
		if !begun {
			who := p.performers(s)
			a, owner = p.activity(s, was, who.list, assumed), who.owner
			if who.missing != "" && !finished[f.status] {
				p.tellOnce(who.missing)
			}
		} else {
			p.keepBegun(s, was)
			a = p.withDigests(a)
			if !finished[own] && !finished[f.status] && p.schedules[s].dated && p.schedules[s].window != p.d.engine.scheduledWindow(was.Get("detail")) {
				p.keptByPerson("activity "+s.id, []string{"scheduled"})
			}
		}
		a, code := p.mark(s, p.followActivity(a, f), mark)
		list = append(list, a)
		windows[s.id] = p.actual(a)
		p.task(s, a, task, owner, begun, code)
		p.message(s, a, begun)
	}
	p.checkOrder(list, windows)
	for _, a := range p.existing.Each("activity") {
		a = unfollowedActivity(reopenedActivity(a))
		id := a.Str("id")
		if p.prescribed[id] {
			continue
		}
		f := p.follow(&step{id: id}, a.Str("detail", "status"), p.taskOf(id))
		if f.task != "" || !replaceable(a) || !p.d.engine.derived(a) || p.editedActivity(a) {
			a = p.followActivity(a, f)
			list = append(list, a)
			p.keepTask(a)
		}
	}
	return list
}

// editedActivity reports that a person has changed an activity that has not been begun.
func (p *plan) editedActivity(a *fhir.Node) bool {
	return len(editedParts(a.Get("detail"), p.activityBefore(a), detailParts)) > 0
}

// withDigests is an activity that has been begun, with what the engine had written of it, if that
// is known, for when somebody sets it back.
func (p *plan) withDigests(a *fhir.Node) *fhir.Node {
	before := p.activityBefore(a)
	if writtenIn(a) != "" || before == "" {
		return a
	}
	o := members(a)
	o.set("extension", append(listIn(o, "extension"), writtenDigests(before)))
	o.arrange(activityOrder)
	return o.node()
}

// actual is when an activity takes place: on the day that the record gives, or else in its
// window.
func (p *plan) actual(a *fhir.Node) window {
	if day := doneOn(a); !day.IsZero() {
		return window{day, day}
	}
	return p.d.engine.scheduledWindow(a.Get("detail"))
}

// checkOrder tells of activities that people or the record have put before what they are
// counted from. Nothing is moved for that.
func (p *plan) checkOrder(list []*fhir.Node, windows map[string]window) {
	for _, a := range list {
		s := p.pathway.byID[a.Str("id")]
		if s == nil || finished[a.Str("detail", "status")] || windows[s.id] == (window{}) {
			continue
		}
		for _, r := range s.related {
			if r.target.activity == nil {
				continue
			}
			if allowed, ok := r.apply(windows[r.target.id]); ok && windows[s.id].intersect(allowed).empty() {
				p.d.tell("order-broken", p.key+"#"+s.id, p.operations...)
			}
		}
	}
}

// replaceable reports that nobody has begun an activity.
func replaceable(a *fhir.Node) bool { return a.Str("detail", "status") == "not-started" }

// derived reports that an activity came from a definition that is loaded, not from a
// person or another protocol.
func (e *Engine) derived(a *fhir.Node) bool {
	return a.Str("id") != "" && slices.ContainsFunc(a.Each("detail", "instantiatesCanonical"), func(n *fhir.Node) bool {
		url, _, _ := strings.Cut(n.Text, "|")
		return e.activities[url]
	})
}

// activity writes one CarePlan.activity.
func (p *plan) activity(s *step, was *fhir.Node, performers []raw, assumed []assumption) *fhir.Node {
	def := s.activity
	d := object{}
	d.set("kind", def.kind)
	d.set("instantiatesCanonical", []string{def.canonical})
	d.put("code", def.code)
	var goals []reference
	for _, g := range s.goals {
		if p.removed("Goal", goalSystem, g.id) {
			continue
		}
		goals = append(goals, reference{Reference: "Goal/" + p.goalID(g)})
	}
	d.set("goal", goals)
	d.set("status", "not-started")
	d.set("statusReason", p.reason(s, was))
	if def.doNotPerform {
		d.set("doNotPerform", true)
	}
	p.scheduled(&d, s)
	d.set("performer", performers)
	d.put("productCodeableConcept", def.product)
	texts := []string{p.description(s)}
	for _, a := range assumed {
		texts = append(texts, a.text)
	}
	d.set("description", strings.Join(texts, " "))
	now, kept := keepEdits(&d, was.Get("detail"), p.activityBefore(was), detailParts)
	p.keptByPerson("activity "+s.id, kept)
	if slices.Contains(kept, "scheduled") {
		p.keepBegun(s, was)
	}
	if was != nil {
		mergeExtensions(&d, was.Get("detail"))
		d.keep(was.Get("detail"), "statusReason", "scheduledTiming", "scheduledPeriod", "scheduledString", "doNotPerform", "kind", "goal", "performer", "productCodeableConcept")
	}
	d.arrange(detailOrder)
	a := object{}
	a.set("id", s.id)
	extensions := slices.Clone(s.extensions)
	for _, a := range assumed {
		if a.label != nil {
			extensions = append(extensions, labels(a.label)...)
		}
	}
	extensions = append(extensions, writtenDigests(now))
	a.set("extension", extensions)
	a.put("detail", d.node())
	if was != nil {
		mergeExtensions(&a, was)
		a.keep(was, "reference")
	}
	a.arrange(activityOrder)
	return a.node()
}

// reason is the statusReason of an activity that nobody has begun: that its dates are
// provisional, and what a person wrote.
func (p *plan) reason(s *step, was *fhir.Node) object {
	theirs := reasonOfPeople(was.Get("detail"))
	if !p.schedules[s].provisional {
		return theirs
	}
	o := p.d.engine.terms.outcome("provisional")
	codings := []any{coding{outcomeSystem, o.code, o.display}}
	for _, c := range listIn(theirs, "coding") {
		codings = append(codings, c)
	}
	why := theirs.without("coding")
	why.set("coding", codings)
	why.arrange(conceptOrder)
	return why
}

// description is the activity in plain words, with the block that it belongs to, and what the
// action adds.
func (p *plan) description(s *step) string {
	text := s.activity.description
	if s.describe != nil {
		found, err := s.describe.Nodes(nil, p.variables(s.level).in(""))
		if err != nil {
			p.fail(s.action, s.describe.String(), path.Reason(err))
		}
		if len(found) == 1 && found[0].Kind == fhir.String && found[0].Text != "" {
			text = found[0].Text
		}
	}
	if s.level.label != "" {
		text = s.level.label + ": " + text
	}
	if s.addition != "" {
		text += " " + s.addition
	}
	return text
}

// scheduled writes scheduled[x] in plain local dates.
func (p *plan) scheduled(d *object, s *step) {
	if p.schedules[s].dated {
		s.activity.dated(d, p.schedules[s].window)
	} else {
		d.set("scheduledString", p.undatedText(s))
	}
}

// dated writes scheduled[x] for a window.
func (def *activity) dated(d *object, w window) {
	switch {
	case def.once && w.singleDay():
		d.set("scheduledTiming", struct {
			Event []string `json:"event"`
		}{[]string{formatDate(w.Start)}})
	case def.repeat != nil:
		repeat := object{}
		repeat.set("boundsPeriod", periodOf(w))
		repeat = append(repeat, def.repeat...)
		timing := object{}
		timing.set("repeat", repeat)
		d.set("scheduledTiming", timing)
	default:
		d.set("scheduledPeriod", periodOf(w))
	}
}

// performer is a recorded performer as the plan can name it: what the Patient resource only
// contains is named in words, and without any words the role that it fills is. It is nil
// where nobody is named.
func (p *plan) performer(s *step, n *fhir.Node) *fhir.Node {
	role := ""
	if len(s.activity.participants) > 0 {
		role = s.activity.participants[0].display
	}
	return p.named(n, role)
}

// named is a Reference of the Patient resource as others can use it. Without any words the role
// names it.
func (p *plan) named(n *fhir.Node, role string) *fhir.Node {
	o := members(n)
	display := n.Str("display")
	if ref := n.Str("reference"); strings.HasPrefix(ref, "#") {
		o = o.without("reference", "type")
		if display == "" {
			display = nameOf(contained(p.d.records.Patient.Node, ref))
		}
		if display == "" && role == "" {
			return nil
		}
	} else if ref == "" && n.Get("identifier") == nil && display == "" {
		return nil
	}
	if display == "" {
		display = role
	}
	o.set("display", display)
	return o.node()
}

// performers are who does a step.
type performers struct {
	list []raw
	// owner is the first that is a reference to a record, nil for none.
	owner *fhir.Node
	// missing is the outcome to tell where nobody is recorded, "" for none.
	missing string
}

func (p *plan) performers(s *step) (who performers) {
	if s.performer != nil && p.d.records.Patient != nil {
		found, err := s.performer.expression.Nodes(nil, p.variables(s.level).in(""))
		if err != nil {
			p.fail(s.action, s.performer.expression.String(), path.Reason(err))
		}
		for _, n := range found {
			if n.Kind != fhir.Object {
				p.fail(s.action, s.performer.expression.String(), "gives a value where a Reference is asked for")
				continue
			}
			if n = p.performer(s, n); n == nil {
				continue
			}
			who.list = append(who.list, raw{n})
			if who.owner == nil && n.Str("reference") != "" {
				who.owner = n
			}
		}
		if len(who.list) > 0 {
			return who
		}
		if s.performer.whenEmpty != "" {
			return performers{[]raw{{asNode(reference{Display: s.performer.whenEmpty})}}, nil, s.performer.outcome}
		}
	}
	for _, one := range s.activity.participants {
		ref := reference{Display: one.display}
		if one.patient {
			ref = p.subject()
		}
		who.list = append(who.list, raw{&fhir.Node{Raw: encode(ref)}})
	}
	return who
}
