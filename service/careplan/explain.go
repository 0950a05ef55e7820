package careplan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

// Explain says why a care plan is as it is: what goes into it, and of each activity the rule, the
// conditions with their answers, what its dates are counted from, and what it rests on. The
// result is a Parameters resource (https://hl7.org/fhir/R4/parameters.html) as OperationDefinition
// CarePlan-explain describes it. stored is the version of the plan that is asked about; what is
// explained are the records of the case, and where they give another plan, it says so.
func (e *Engine) Explain(c Case, stored Source) ([]byte, error) {
	d, err := e.run(c)
	if err != nil {
		return nil, err
	}
	x := &explanation{stored: stored.Node}
	x.add("plan", "valueReference", reference{Reference: versionOf(stored)})
	i := slices.IndexFunc(d.plans, func(p *plan) bool { return p.id == stored.ID })
	if i < 0 {
		x.without(d, stored)
	} else {
		x.of(d.plans[i], stored)
	}
	return x.body(), nil
}

// NotDerived is the explanation of a plan that no protocol here has made.
func NotDerived(stored Source) []byte {
	x := &explanation{stored: stored.Node}
	x.add("plan", "valueReference", reference{Reference: versionOf(stored)})
	x.add("state", "valueCode", "not-derived")
	x.add("sentence", "valueString", "This plan was not derived from a protocol of this server, so there is nothing to explain.")
	return x.body()
}

func (x *explanation) body() []byte {
	o := object{}
	o.set("resourceType", "Parameters")
	o.set("parameter", x.parameters)
	return encode(o)
}

// explanation collects parameters.
type explanation struct {
	stored     *fhir.Node
	parameters []object
}

func (x *explanation) add(name, kind string, value any) {
	x.parameters = append(x.parameters, parameter(name, kind, value))
}

func (x *explanation) part(name string, parts ...object) {
	o := object{}
	o.set("name", name)
	o.set("part", parts)
	x.parameters = append(x.parameters, o)
}

func parameter(name, kind string, value any) object {
	o := object{}
	o.set("name", name)
	o.set(kind, value)
	return o
}

func versionOf(s Source) string {
	return s.ref() + "/_history/" + strconv.FormatInt(s.Version, 10)
}

// without explains a plan that no operation stands for now.
func (x *explanation) without(d *derivation, stored Source) {
	x.add("state", "valueCode", "closed")
	text := "No operation on record asks for this plan now. Its status is " + stored.Node.Str("status") + "."
	if why := closedBecause(stored.Node); why != "" {
		text += " Why: " + why + "."
	}
	var others []string
	for _, ref := range d.about(stored) {
		if op := d.records.byID[ref]; op != nil && op.planRef != "" && op.planRef != stored.ref() && !slices.Contains(others, op.planRef) {
			others = append(others, op.planRef)
		}
	}
	if len(others) > 0 {
		text += " The plan for it is " + strings.Join(others, ", ") + "."
	}
	x.add("sentence", "valueString", text)
	basis, _ := supportOf(stored.Node, d.records.lastWritten(stored.Node))
	for _, n := range basis {
		if s, ok := d.records.byRef[d.records.localRef(n.Str("reference"))]; ok {
			x.part("input", parameter("record", "valueReference", reference{Reference: versionOf(s)}))
		}
	}
}

// closedBecause says why the engine has closed a plan, "" where it has not.
func closedBecause(stored *fhir.Node) string {
	switch extensionValue(stored, statusExtension, "valueCode") {
	case "active", "draft":
		return ""
	}
	var why []string
	for _, n := range stored.Each("note") {
		if ownNote(n) {
			why = append(why, n.Str("text"))
		}
	}
	return strings.Join(why, "; ")
}

func (x *explanation) of(p *plan, stored Source) {
	state, text := x.state(p, stored)
	x.add("state", "valueCode", state)
	x.add("sentence", "valueString", text)
	if p.failed != nil {
		x.add("failure", "valueString", p.failed.String())
	}
	for _, url := range p.definitions() {
		x.add("definition", "valueCanonical", url)
	}
	for _, code := range p.d.engine.off {
		x.add("policy-off", "valueCode", code)
	}
	x.inputs(p)
	if p.schedules == nil {
		return
	}
	for _, s := range p.pathway.steps {
		if s.activity != nil {
			x.activity(p, s)
		}
	}
	for _, a := range x.stored.Each("activity") {
		if id := a.Str("id"); !slices.ContainsFunc(p.pathway.steps, func(s *step) bool { return s.id == id && s.activity != nil }) {
			x.part("activity", parameter("id", "valueString", id), parameter("included", "valueBoolean", true),
				parameter("sentence", "valueString", name(a.Get("detail"))+": no rule of the protocol asks for it. Somebody has added it, or begun it before the rules changed."))
		}
	}
}

// state compares the stored plan with what the records give.
func (x *explanation) state(p *plan, stored Source) (code, text string) {
	title := p.title()
	switch {
	case p.failed != nil:
		return "failed", title + ". The protocol cannot be applied to the records as they are, so the plan stays as it was: " + p.failed.String() + "."
	case p.closedByPerson():
		return "closed", title + ". Somebody has ended this plan, so it stays as it is."
	}
	for _, r := range p.d.result.Resources {
		if r.Type == "CarePlan" && r.ID == p.id {
			if !fhir.NewDraft(r.Node).Same(fhir.NewDraft(stored.Node)) {
				return "differs", title + ". The records and definitions of now give a plan that differs from this version; what follows explains the plan of now."
			}
		}
	}
	if p.ownStatus() == "draft" {
		var waits []string
		for _, op := range p.operations {
			if op.waits != "" && !slices.Contains(waits, op.waits) {
				waits = append(waits, op.waits)
			}
		}
		return "waits", title + ". Nothing in it is dated: " + strings.Join(waits, "; ") + "."
	}
	if why := closedBecause(stored.Node); why != "" {
		text := title + ". It is " + stored.Node.Str("status") + ": " + why
		for _, next := range p.d.plans {
			if next.replaces == p.ref() {
				text += ", " + next.ref()
			}
		}
		return "closed", text + ". What follows explains it as it would be otherwise."
	}
	text = title + ". The plan is what the records and definitions of now give."
	if p.replaces != "" {
		text += " It takes the place of " + p.replaces + "."
	}
	return "current", text
}

// inputs are the records that the plan rests on, with the dates and codes that were read in them.
func (x *explanation) inputs(p *plan) {
	for _, s := range p.basis() {
		parts := []object{parameter("record", "valueReference", reference{Reference: versionOf(s)})}
		for _, op := range slices.Concat(p.earlier, p.operations, p.planned) {
			if op.ref() != s.ref() {
				continue
			}
			if !op.day.IsZero() {
				parts = append(parts, parameter("date", "valueDate", formatDate(op.day)))
			}
			for _, f := range op.facts {
				parts = append(parts, parameter("fact", "valueCoding", f))
			}
			if op.waits != "" {
				parts = append(parts, parameter("waits", "valueString", op.waits))
			}
		}
		x.part("input", parts...)
	}
}

func (x *explanation) activity(p *plan, s *step) {
	truth, assumed := p.applies(s.level)
	schedule := p.schedules[s]
	parts := []object{
		parameter("id", "valueString", s.id),
		parameter("rule", "valueString", s.action),
		parameter("definition", "valueCanonical", s.activity.canonical),
		parameter("included", "valueBoolean", truth != path.False),
	}
	sentences := []string{name(&fhir.Node{Kind: fhir.Object, Members: []fhir.Member{{Name: "code", Value: s.activity.code}}}) + ":"}
	for l := s.level; l != nil; l = l.parent {
		for _, c := range l.conditions {
			answer, _ := c.expression.truth(p.variables(l), "")
			o := object{}
			o.set("name", "condition")
			o.set("part", []object{
				parameter("expression", "valueString", c.expression.String()), parameter("answer", "valueCode", answers[answer]),
			})
			parts = append(parts, o)
		}
	}
	if truth == path.False {
		sentences = append(sentences, "it is not in the plan, since a condition does not hold.")
	} else {
		for _, r := range s.related {
			parts = append(parts, p.relationPart(r))
		}
		switch {
		case schedule.dated:
			parts = append(parts, parameter("window", "valuePeriod", periodOf(schedule.window)))
			sentences = append(sentences, span(&fhir.Node{Kind: fhir.Object, Members: periodMembers(schedule.window)})+", "+p.because(s)+".")
		default:
			text := p.undatedText(s)
			parts = append(parts, parameter("waits", "valueString", text))
			sentences = append(sentences, text+".")
		}
		if schedule.provisional {
			text := p.d.engine.terms.outcome("provisional").display
			parts = append(parts, parameter("provisional", "valueString", text))
			sentences = append(sentences, "This is "+text+".")
		}
	}
	for _, a := range assumed {
		parts = append(parts, parameter("assumed", "valueString", a.text))
		sentences = append(sentences, a.text)
	}
	var facts, choices []string
	for _, g := range s.extensions {
		switch g.Str("url") {
		case factExtension:
			parts = append(parts, parameter("source-fact", "valueCoding", raw{g.Get("valueCoding")}))
			facts = append(facts, g.Str("valueCoding", "code"))
		case policyExtension:
			parts = append(parts, parameter("policy", "valueString", g.Str("valueString")))
			choices = append(choices, g.Str("valueString"))
		case policyCodeExtension:
			parts = append(parts, parameter("policy-code", "valueCode", g.Str("valueCode")))
		}
	}
	if len(facts) > 0 {
		sentences = append(sentences, "It rests on "+strings.Join(facts, ", ")+" of the source.")
	}
	if len(choices) > 0 {
		sentences = append(sentences, "Our choice: "+strings.Join(choices, " "))
	}
	if text := x.standing(p, s, truth); text != "" {
		parts = append(parts, parameter("standing", "valueString", text))
		sentences = append(sentences, text)
	}
	parts = append(parts, parameter("sentence", "valueString", strings.Join(sentences, " ")))
	x.part("activity", parts...)
}

var answers = map[path.Truth]string{path.True: "true", path.False: "false", path.Unknown: "unknown"}

// name is the everyday name of an activity.
func name(detail *fhir.Node) string {
	if text := detail.Str("code", "text"); text != "" {
		return text
	}
	for _, display := range detail.Each("code", "coding", "display") {
		return display.Text
	}
	return "An activity"
}

func periodMembers(w window) []fhir.Member {
	o := object{}
	for name, date := range map[string]string{"start": formatDate(w.Start), "end": formatDate(w.End)} {
		if date != "" {
			o = append(o, fhir.Member{Name: name, Value: &fhir.Node{Kind: fhir.String, Text: date}})
		}
	}
	return o
}

// because says in words what the dates of a step are counted from.
func (p *plan) because(s *step) string {
	var list []string
	for _, r := range s.related {
		text := r.words()
		if base := p.schedules[r.target]; base.dated {
			text += " (" + span(&fhir.Node{Kind: fhir.Object, Members: periodMembers(base.window)}) + ")"
		}
		list = append(list, text)
	}
	return strings.Join(list, " and ")
}

func (p *plan) relationPart(r relation) object {
	parts := []object{parameter("from", "valueString", r.target.id), parameter("offset", "valueString", r.words())}
	if base := p.schedules[r.target]; base.dated {
		parts = append(parts, parameter("base", "valuePeriod", periodOf(base.window)))
	}
	o := object{}
	o.set("name", "relation")
	o.set("part", parts)
	return o
}

var unitWords = map[string]string{"d": "days", "wk": "weeks", "mo": "months", "a": "years"}

func (o *offset) words() string {
	if o.n == 1 {
		return "1 " + strings.TrimSuffix(unitWords[o.unit], "s")
	}
	return fmt.Sprintf("%d %s", o.n, unitWords[o.unit])
}

// words are the relation in words, such as "3 weeks after wound".
func (r relation) words() string {
	direction, edge := "after", "the start of "
	if r.sign < 0 {
		direction = "before"
	}
	if r.end {
		edge = "the end of "
	}
	if r.target.isAnchor() { // a single day
		edge = ""
	}
	place := direction + " " + edge + r.target.id
	switch {
	case r.open:
		return "at any time " + place
	case r.low != nil && r.high != nil && *r.low == *r.high && r.low.n == 0:
		return "with " + edge + r.target.id
	case r.low != nil && r.high != nil && *r.low == *r.high:
		return r.low.words() + " " + place
	case r.low == nil:
		return "at most " + r.high.words() + " " + place
	case r.high == nil:
		return "at least " + r.low.words() + " " + place
	}
	return r.low.words() + " to " + r.high.words() + " " + place
}
