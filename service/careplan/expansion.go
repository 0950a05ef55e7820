package careplan

import (
	"fmt"
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

// expansion lays a pathway and all that it nests out flat.
type expansion struct {
	*compiler
	pathway *pathway
	ids     map[string]bool
	pending []pendingRelation
	starts  []pendingStart
}

// scope is what the action ids of one PlanDefinition mean; ids that it lacks are looked
// up in the definition that nests it.
type scope struct {
	parent *scope
	plan   *fhir.Node
	steps  map[string]*step
	order  []*step
	goals  map[string]*goal
}

func (s *scope) step(id string) *step {
	for ; s != nil; s = s.parent {
		if found := s.steps[id]; found != nil {
			return found
		}
	}
	return nil
}

func (s *scope) event(c coding) *step {
	for ; s != nil; s = s.parent {
		for _, found := range s.order {
			if slices.Contains(found.events, c) {
				return found
			}
		}
	}
	return nil
}

type pendingRelation struct {
	scope *scope
	step  *step
	place string
	node  *fhir.Node
}

type pendingStart struct {
	scope *scope
	goal  *goal
	place string
}

func (x *expansion) plan(d *fhir.Node, l *level, prefix string, parent *scope, above []string) {
	url := d.Str("url")
	if slices.Contains(above, url) {
		x.fail(d, "action.definitionCanonical", "the definitions nest each other: %s -> %s", strings.Join(above, " -> "), url)
		return
	}
	x.pathway.definitions = append(x.pathway.definitions, canonical(d))
	s := &scope{parent: parent, plan: d, steps: map[string]*step{}, goals: map[string]*goal{}}
	for i, g := range d.Each("goal") {
		x.goal(s, fmt.Sprintf("goal[%d]", i), g, l, prefix)
	}
	x.actions(d, "", d, l, prefix, s, append(above[:len(above):len(above)], url))
}

func (x *expansion) actions(parent *fhir.Node, under string, d *fhir.Node, l *level, prefix string, s *scope, above []string) {
	for i, a := range parent.Each("action") {
		place := fmt.Sprintf("%saction[%d]", under, i)
		x.members(d, place, a)
		x.action(a, place, d, x.level(d, place, a, l), prefix, s, above)
	}
}

func (x *expansion) action(a *fhir.Node, place string, d *fhir.Node, l *level, prefix string, s *scope, above []string) {
	id, reference := a.Str("id"), a.Str("definitionCanonical")
	inner := prefix
	if id != "" {
		inner = prefix + id + "."
	}
	url, version, pinned := strings.Cut(reference, "|")
	act, pattern := x.activities[url], x.pattern(d, place, a)
	switch {
	case a.Get("action") != nil && reference != "":
		x.fail(d, place, "has both a definition and actions of its own")
	case a.Get("action") != nil:
		x.actions(a, place+".", d, l, inner, s, above)
	case reference != "" && act == nil:
		for _, c := range a.Each("condition", "kind") {
			if c.Text == "stop" {
				x.fail(d, place+".condition", "stop is supported where an action has an ActivityDefinition")
			}
		}
		if nested, ok := x.compiler.plan(d, place, reference); ok {
			if id != "" {
				l.label = a.Str("title")
			}
			x.plan(nested, l, inner, s, above)
		}
	case act == nil && pattern == nil && a.Get("trigger") == nil:
		x.fail(d, place, "has no definition, no actions and no trigger: it does nothing")
	case id == "":
		x.fail(d, place, "has no id: activities and anchors need one that never changes")
	case x.ids[prefix+id]:
		x.fail(d, place, "the id %q is used twice in this pathway", prefix+id)
	case act != nil && pinned && act.canonical != url+"|"+version:
		x.fail(d, place+".definitionCanonical", "asks for version %s of %s; %s is loaded", version, url, act.canonical)
	default:
		x.ids[prefix+id] = true
		x.step(a, place, d, l, prefix+id, act, s).pattern = pattern
	}
}

func (x *expansion) step(a *fhir.Node, place string, d *fhir.Node, l *level, id string, act *activity, s *scope) *step {
	st := &step{id: id, action: nameOfAction(d, place, a), level: l, activity: act, rule: a.Str("textEquivalent"), addition: a.Str("description")}
	for _, o := range a.Each("output", "type") {
		st.task = st.task || o.Text == "Task"
		st.message = st.message || o.Text == "CommunicationRequest"
	}
	for _, code := range a.Each("code", "coding") {
		st.events = append(st.events, codingOf(code).key())
	}
	if st.outcome = extensionValue(a, outcomeExtension, "valueCode"); st.outcome != "" {
		x.checkOutcome(st.outcome, d.Str("url"), place)
	}
	st.extensions = grounds(a)
	for _, goalID := range a.Each("goalId") {
		if g := s.goals[goalID.Text]; g != nil {
			st.goals = append(st.goals, g)
		} else {
			x.fail(d, place+".goalId", "no goal has the id %q", goalID.Text)
		}
	}
	for i, v := range a.Each("dynamicValue") {
		x.dynamicValue(st, d, fmt.Sprintf("%s.dynamicValue[%d]", place, i), v)
	}
	for i, o := range a.Each("output") {
		if when := extensionOf(o, taskWhenExtension); when != nil {
			st.taskWhen = x.expression(d, fmt.Sprintf("%s.output[%d].extension", place, i), when.Get("valueExpression"))
		}
	}
	if act != nil {
		st.stops, st.progress = x.stops(d, place, a), x.progress(d, place, a)
		if st.progress != nil && act.doNotPerform {
			x.fail(d, place, "what must not be done is never due")
		}
	}
	for i, r := range a.Each("relatedAction") {
		x.pending = append(x.pending, pendingRelation{s, st, fmt.Sprintf("%s.relatedAction[%d]", place, i), r})
	}
	if act != nil && a.Get("relatedAction") == nil && act.waits == "" && st.rule == "" {
		x.fail(d, place, "can never be dated: it has no relatedAction and no textEquivalent, and its ActivityDefinition no timingTiming.code.text")
	}
	s.steps[a.Str("id")] = st
	s.order = append(s.order, st)
	x.pathway.steps = append(x.pathway.steps, st)
	return st
}

func (x *expansion) goal(s *scope, place string, n *fhir.Node, l *level, prefix string) {
	id := n.Str("id")
	if id == "" || s.goals[id] != nil {
		x.fail(s.plan, place, "needs an id that no other goal here has")
		return
	}
	if n.Str("description", "text") == "" {
		x.fail(s.plan, place, "needs description.text")
	}
	g := &goal{id: prefix + id, level: l, node: n}
	g.extensions = grounds(n)
	for i, t := range n.Each("target") {
		var due *offset
		if t.Get("due") != nil {
			due = x.offset(s.plan, fmt.Sprintf("%s.target[%d].due", place, i), t.Get("due"))
		}
		g.targets = append(g.targets, target{t, due})
	}
	s.goals[id] = g
	x.starts = append(x.starts, pendingStart{s, g, place})
	x.pathway.goals = append(x.pathway.goals, g)
}

func (x *expansion) dynamicValue(st *step, d *fhir.Node, place string, v *fhir.Node) {
	e := x.expression(d, place+".expression", v.Get("expression"))
	switch p := v.Str("path"); p {
	case "performer":
		st.performer = &dynamicPerformer{
			expression: e, whenEmpty: extensionValue(v, whenEmptyExtension, "valueString"), outcome: extensionValue(v, outcomeExtension, "valueCode"),
		}
		if st.performer.outcome != "" {
			x.checkOutcome(st.performer.outcome, d.Str("url"), place)
		}
	case "description":
		st.describe = e
	default:
		x.fail(d, place+".path", "%q is not supported; performer and description are", p)
	}
}

// link resolves names to steps once all steps are known, and orders them.
func (x *expansion) link() {
	for _, p := range x.pending {
		if r, ok := x.relation(p.scope, p.place, p.node); ok {
			p.step.related = append(p.step.related, r)
		}
	}
	for _, p := range x.starts {
		for _, c := range p.goal.node.Each("start", "coding") {
			if p.goal.start = p.scope.event(codingOf(c).key()); p.goal.start == nil {
				x.fail(p.scope.plan, p.place+".start", "no anchor has the code %q", c.Str("code"))
			}
		}
		for _, t := range p.goal.targets {
			if t.due != nil && p.goal.start == nil {
				x.fail(p.scope.plan, p.place+".target.due", "needs start, the anchor that it is counted from")
			}
		}
	}
	x.sort()
}

// sort puts every step after those it is dated from and refuses cycles.
func (x *expansion) sort() {
	state := map[*step]int{} // 1 on the way, 2 done
	var trail []string
	var visit func(s *step)
	visit = func(s *step) {
		switch state[s] {
		case 1:
			from := slices.Index(trail, s.id)
			x.failAt(x.pathway.canonical, "action.relatedAction", "cycle: %s", strings.Join(append(trail[from:len(trail):len(trail)], s.id), " -> "))
			return
		case 2:
			return
		}
		state[s] = 1
		trail = append(trail, s.id)
		for _, r := range s.related {
			visit(r.target)
		}
		trail = trail[:len(trail)-1]
		state[s] = 2
		x.pathway.order = append(x.pathway.order, s)
	}
	x.pathway.byID = map[string]*step{}
	for _, s := range x.pathway.steps {
		visit(s)
		x.pathway.byID[s.id] = s
	}
}

func (c *compiler) expression(d *fhir.Node, place string, n *fhir.Node) *expression {
	if e := c.expressionOver(emptyVariables(), d, place, n); e != nil {
		return remembering(e)
	}
	return nil
}

// expressionOver compiles an expression that may read the given variables.
func (c *compiler) expressionOver(known map[string][]*fhir.Node, d *fhir.Node, place string, n *fhir.Node) *path.Expression {
	if lang := n.Str("language"); lang != "text/fhirpath" {
		c.fail(d, place+".language", "%q is not supported; only text/fhirpath is", lang)
		return nil
	}
	e, err := path.Compile(n.Str("expression"))
	if err != nil {
		c.fail(d, place+".expression", "%v", err)
		return nil
	}
	// A trial run finds unknown functions and variables.
	if _, err := e.Nodes(nil, path.Bind(known)); err != nil {
		c.fail(d, place+".expression", "%v", err)
		return nil
	}
	return e
}
