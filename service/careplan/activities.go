package careplan

import (
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
			existing[id] = a
		}
	}
	var list []*fhir.Node
	prescribed := map[string]bool{}
	for _, s := range p.pathway.steps {
		if s.activity == nil {
			continue
		}
		truth, texts := p.applies(s.level)
		if truth == path.False {
			continue
		}
		prescribed[s.id] = true
		performers, owner := p.performers(s)
		was := existing[s.id]
		if was != nil && !replaceable(was) {
			list = append(list, was)
			p.keepTask(s.id)
			continue
		}
		list = append(list, p.activity(s, was, performers, texts))
		p.task(s, performers, owner)
	}
	for _, a := range p.existing.Each("activity") {
		if id := a.Str("id"); !prescribed[id] && (!replaceable(a) || !derived(a)) {
			list = append(list, a)
			p.keepTask(id)
		}
	}
	return list
}

// replaceable reports that nobody has begun an activity: it has not started, or the
// engine itself closed it.
func replaceable(a *fhir.Node) bool {
	return a.Str("detail", "status") == "not-started" || closedByEngine(a.Get("detail"))
}

func closedByEngine(n *fhir.Node) bool {
	return anyCoding(codingsAt(n, "statusReason", "coding"), func(c coding) bool { return c.System == outcomeSystem })
}

// derived reports that an activity came from a protocol, not from a person.
func derived(a *fhir.Node) bool {
	return a.Str("id") != "" && a.Get("detail", "instantiatesCanonical") != nil
}

// activity writes one CarePlan.activity.
func (p *plan) activity(s *step, was *fhir.Node, performers []raw, texts []string) *fhir.Node {
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
	d.set("description", strings.Join(append([]string{s.description()}, texts...), " "))
	if was != nil {
		mergeExtensions(&d, was.Get("detail"))
		d.keep(was.Get("detail"), "statusReason", "scheduledTiming", "scheduledPeriod", "scheduledString", "doNotPerform", "kind", "goal", "performer", "productCodeableConcept")
	}
	d.arrange(detailOrder)
	a := object{}
	a.set("id", s.id)
	extensions := raws(s.extensions)
	for _, text := range texts {
		extensions = append(extensions, raw{&fhir.Node{Raw: encode(struct {
			URL  string `json:"url"`
			Text string `json:"valueString"`
		}{policyExtension, text})}})
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

// description is the activity in plain words, with the block that it belongs to.
func (s *step) description() string {
	if s.level.label == "" {
		return s.activity.description
	}
	return s.level.label + ": " + s.activity.description
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

// named gives a reference without a display that of the role that it fills.
func (s *step) named(n *fhir.Node) *fhir.Node {
	if n.Str("display") != "" || len(s.activity.participants) == 0 {
		return n
	}
	o := members(n)
	o.set("display", s.activity.participants[0].display)
	return o.node()
}

// performers are who does a step; owner is the first that is a reference to a record.
func (p *plan) performers(s *step) (list []raw, owner *fhir.Node) {
	if s.performer != nil && p.d.records.Patient != nil {
		found, err := s.performer.expression.Nodes(nil, p.variables(s.level))
		switch {
		case err != nil:
			p.tellOnce("condition-failed")
		case len(found) > 0:
			for _, n := range found {
				if n.Kind != fhir.Object {
					p.tellOnce("condition-failed")
					continue
				}
				n = s.named(n)
				list = append(list, raw{n})
				if owner == nil && n.Str("reference") != "" {
					owner = n
				}
			}
			if len(list) > 0 {
				return list, owner
			}
		case s.performer.whenEmpty != "":
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
