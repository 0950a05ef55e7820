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
	prescribed := map[string]bool{}
	for _, s := range p.pathway.steps {
		if s.activity == nil {
			continue
		}
		truth, assumed := p.applies(s.level)
		if truth == path.False {
			continue
		}
		prescribed[s.id] = true
		performers, owner := p.performers(s)
		was := existing[s.id]
		if was != nil && !replaceable(was) {
			p.keepBegun(s, was)
			list = append(list, was)
			p.keepTask(s.id)
			continue
		}
		list = append(list, p.activity(s, was, performers, assumed))
		p.task(s, performers, owner)
	}
	for _, a := range p.existing.Each("activity") {
		a = reopenedActivity(a)
		if id := a.Str("id"); !prescribed[id] && (!replaceable(a) || !p.d.engine.derived(a)) {
			list = append(list, a)
			p.keepTask(id)
		}
	}
	return list
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
		goals = append(goals, reference{Reference: "Goal/" + p.goalID(g)})
	}
	d.set("goal", goals)
	d.set("status", "not-started")
	if def.doNotPerform {
		d.set("doNotPerform", true)
	}
	p.scheduled(&d, s)
	d.set("performer", performers)
	d.put("productCodeableConcept", def.product)
	texts := []string{s.description()}
	for _, a := range assumed {
		texts = append(texts, a.text)
	}
	d.set("description", strings.Join(texts, " "))
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
	a.set("extension", extensions)
	a.set("detail", d)
	if was != nil {
		mergeExtensions(&a, was)
		a.keep(was, "reference")
	}
	a.arrange(activityOrder)
	return a.node()
}

// description is the activity in plain words, with the block that it belongs to, and what the
// action adds.
func (s *step) description() string {
	text := s.activity.description
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
	schedule, def := p.schedules[s], s.activity
	switch {
	case !schedule.dated:
		d.set("scheduledString", p.undatedText(s))
	case def.once && schedule.window.singleDay():
		d.set("scheduledTiming", struct {
			Event []string `json:"event"`
		}{[]string{formatDate(schedule.window.Start)}})
	case def.repeat != nil:
		repeat := object{}
		repeat.set("boundsPeriod", periodOf(schedule.window))
		repeat = append(repeat, def.repeat...)
		timing := object{}
		timing.set("repeat", repeat)
		d.set("scheduledTiming", timing)
	default:
		d.set("scheduledPeriod", periodOf(schedule.window))
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

// performers are who does a step; owner is the first that is a reference to a record.
func (p *plan) performers(s *step) (list []raw, owner *fhir.Node) {
	if s.performer != nil && p.d.records.Patient != nil {
		found, err := s.performer.expression.Nodes(nil, p.variables(s.level))
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
			list = append(list, raw{n})
			if owner == nil && n.Str("reference") != "" {
				owner = n
			}
		}
		if len(list) > 0 {
			return list, owner
		}
		if s.performer.whenEmpty != "" {
			return []raw{{&fhir.Node{Raw: encode(reference{Display: s.performer.whenEmpty})}}}, nil
		}
	}
	for _, who := range s.activity.participants {
		ref := reference{Display: who.display}
		if who.patient {
			ref = p.subject()
		}
		list = append(list, raw{&fhir.Node{Raw: encode(ref)}})
	}
	return list, nil
}
