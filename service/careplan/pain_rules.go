package careplan

import (
	"fmt"
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

// The code systems and value sets of the rules for pain.
const (
	painSitesSet    = fhir.Canonical + "/ValueSet/pain-sites"
	painTriggersSet = fhir.Canonical + "/ValueSet/pain-triggers"
	definitionType  = "http://terminology.hl7.org/CodeSystem/plan-definition-type"
)

// painRules are a PlanDefinition of type eca-rule. Its actions are of three kinds:
//
//   - with a trigger on Procedure: an event, whose date windows are counted from. Where no
//     operation matches, a relatedAction of its own says which event stands in for it;
//   - with a trigger on Observation: the ranking. Its conditions say what is not interpreted
//     (extension outcome: why), its dynamicValues the weights, and its actions are the causes;
//   - without a trigger: conclusions, which may look at the causes that were found.
//
// Specification: https://hl7.org/fhir/R4/plandefinition.html
type painRules struct {
	canonical   string
	title       string
	events      []*painEvent
	ranking     *ranking
	conclusions []*painRule
}

// painEvent is an operation, or part of one, that windows are counted from.
type painEvent struct {
	step     *step
	triggers []trigger
	instead  *relation
}

// ranking says which causes are candidates for which reports.
type ranking struct {
	reports  []trigger
	refusals []refusal
	window   *relation // a report outside of it is not interpreted
	outside  string    // the outcome that says so
	// onset and trigger are the codes of the components that tell of them.
	onset, trigger map[coding]bool
	weights        map[string]int
	causes         []*painCause
}

// refusal is a condition without which there is no interpretation.
type refusal struct {
	expression *expression
	outcome    string
}

// painRule is something that is said where its conditions hold.
type painRule struct {
	id         string
	conditions []*expression
	window     *relation // nil where the source states no time
	code       coding    // of a statement; zero for none
	outcome    string    // what a DetectedIssue or a Flag is kept for, or the reason of what is held; "" for none
	priority   string    // of RequestPriority, "" for none
	grounds    []raw
	// asked are those who are asked by a Task, with their roles; nil for nobody.
	asked []concept
	// holds is the url of the ActivityDefinition whose activity gets the status given; "" for none.
	holds, given string
}

// painCause is a candidate cause. Its parts are whole numbers.
type painCause struct {
	painRule
	parts      map[string]*expression
	statements []*painRule
}

// The dynamicValues of a ranking: three weights, and the least score at which the actions of a
// cause are shown. A cause has the parts of the first three names; the score is the weighted sum,
// and a cause whose site is 0 is no candidate.
const (
	partSite   = "site"
	partWindow = "window"
	partFacts  = "facts"
	threshold  = "threshold"
)

var parts = []string{partSite, partWindow, partFacts}

// The variables that these rules can read, all of one report and one anchor.
const (
	varSites       = "sites"       // Codings of ValueSet pain-sites
	varTriggers    = "triggers"    // Codings of ValueSet pain-triggers
	varScore       = "score"       // the number that was reported
	varScale       = "scale"       // Codings of Observation.code
	varWindow      = "window"      // of the rule: inside, before, after, none (not stated) or unknown
	varEvents      = "events"      // the ids of events that had taken place
	varPreExisting = "preExisting" // the pain began before the anchor was there
	varListed      = "listed"      // for conclusions: Codings of all candidate causes
	varShown       = "shown"       // for conclusions: those that reach the threshold
)

func emptyPainVariables() map[string][]*fhir.Node {
	return map[string][]*fhir.Node{
		varSites: nil, varTriggers: nil, varScore: nil, varScale: nil, varWindow: nil, varEvents: nil, varPreExisting: nil,
		varFacts: nil, varDevices: nil, varListed: nil, varShown: nil,
	}
}

// painOutcomes are the codes that the interpretation itself can give.
var painOutcomes = []string{
	"pain-other-observation", "pain-report-withdrawn", "pain-not-measured", "pain-date-not-exact", "pain-onset-unclear",
	"pain-onset-after-report", "pain-no-surgery", "pain-no-anchor-there", "pain-surgery-in-error", "pain-surgery-not-dated", "pain-pre-existing",
	"pain-onset-not-exact", "pain-onset-not-known", "pain-site-not-read", "pain-trigger-not-read", "pain-side-missing", "pain-not-reviewed", "pain-interpreted", "pain-superseded", "pain-withdrawn", "pain-failed", "pain-same-subject", "pain-patient-deceased", "pain-event-assumed", "pain-no-rules",
}

// isRules reports that a PlanDefinition holds rules and no protocol.
func isRules(d *fhir.Node) bool {
	return slices.Contains(codingsKeys(d, "type", "coding"), coding{System: definitionType, Code: "eca-rule"})
}

func codingsKeys(n *fhir.Node, names ...string) (keys []coding) {
	for _, c := range codingsAt(n, names...) {
		keys = append(keys, c.key())
	}
	return keys
}

// painRules compiles a PlanDefinition of type eca-rule.
func (c *compiler) painRules(d *fhir.Node) *painRules {
	r := &painRules{canonical: canonical(d), title: d.Str("title")}
	x := &expansion{compiler: c}
	s := &scope{plan: d, steps: map[string]*step{}}
	actions := d.Each("action")
	for i, a := range actions { // events first: windows name them
		if firstOf(a, "trigger", "data", "type") == "Procedure" {
			e := &painEvent{step: &step{id: a.Str("id")}, triggers: c.triggersOf(d, fmt.Sprintf("action[%d]", i), a, "Procedure")}
			if e.step.id == "" || s.steps[e.step.id] != nil {
				c.fail(d, fmt.Sprintf("action[%d].id", i), "an event needs an id that no other has")
			}
			s.steps[e.step.id] = e.step
			r.events = append(r.events, e)
		}
	}
	event := 0
	for i, a := range actions {
		place := fmt.Sprintf("action[%d]", i)
		switch firstOf(a, "trigger", "data", "type") {
		case "Procedure":
			r.events[event].instead = x.painWindow(s, place, a)
			event++
		case "Observation":
			if r.ranking != nil {
				c.fail(d, place, "there is another ranking in this definition")
			}
			r.ranking = x.ranking(s, place, a)
		case "":
			rule := x.painRule(s, place, a)
			if rule.code == (coding{}) && rule.outcome == "" {
				c.fail(d, place, "says nothing: it has no code of %s and no outcome", painStatements)
			}
			r.conclusions = append(r.conclusions, rule)
		default:
			c.fail(d, place+".trigger.data.type", "only Procedure and Observation are supported")
		}
	}
	return r
}

func firstOf(n *fhir.Node, names ...string) string {
	for _, v := range n.Each(names...) {
		return v.Text
	}
	return ""
}

// triggersOf reads the triggers of an action on one type.
func (c *compiler) triggersOf(d *fhir.Node, place string, a *fhir.Node, kind string) (all []trigger) {
	for i, t := range a.Each("trigger") {
		if t.Str("type") != "data-added" {
			c.fail(d, fmt.Sprintf("%s.trigger[%d].type", place, i), "only data-added is supported")
		}
		for j, data := range t.Each("data") {
			at := fmt.Sprintf("%s.trigger[%d].data[%d]", place, i, j)
			if data.Str("type") != kind {
				c.fail(d, at+".type", "must be %s, as in the first", kind)
			}
			var one trigger
			for k, f := range data.Each("codeFilter") {
				one.filters = append(one.filters, c.filter(d, fmt.Sprintf("%s.codeFilter[%d]", at, k), f))
			}
			if len(one.filters) == 0 {
				c.fail(d, at+".codeFilter", "is missing: every %s would match", kind)
			}
			all = append(all, one)
		}
	}
	return all
}

func (x *expansion) ranking(s *scope, place string, a *fhir.Node) *ranking {
	d := s.plan
	g := &ranking{reports: x.triggersOf(d, place, a, "Observation"), weights: map[string]int{}, outside: extensionValue(a, outcomeExtension, "valueCode"), window: x.painWindow(s, place, a)}
	if g.window != nil {
		x.checkOutcome(g.outside, d.Str("url"), place)
	}
	for i, n := range a.Each("condition") {
		at := conditionPlace(place, i)
		code := extensionValue(n, outcomeExtension, "valueCode")
		x.checkOutcome(code, d.Str("url"), at)
		g.refusals = append(g.refusals, refusal{x.painExpression(d, at, n), code})
	}
	for i, v := range a.Each("dynamicValue") {
		at := fmt.Sprintf("%s.dynamicValue[%d]", place, i)
		name := v.Str("path")
		e := x.painExpression(d, at, v)
		if e == nil {
			continue
		}
		n, err := whole(e.Expression, path.Bind(nil))
		if err != nil {
			x.fail(d, at, "must be a whole number: %v", err)
		}
		g.weights[name] = n
	}
	for _, name := range append(slices.Clone(parts), threshold) {
		if _, ok := g.weights[name]; !ok {
			x.fail(d, place+".dynamicValue", "%q is missing", name)
		}
	}
	g.onset, g.trigger = x.component(d, place, a, "onset"), x.component(d, place, a, "trigger")
	for i, n := range a.Each("action") {
		g.causes = append(g.causes, x.cause(s, fmt.Sprintf("%s.action[%d]", place, i), n))
	}
	return g
}

// component are the codes of the components of a report that an input of the ranking, by its id, is
// about.
func (x *expansion) component(d *fhir.Node, place string, a *fhir.Node, id string) map[coding]bool {
	codes := map[coding]bool{}
	for _, n := range a.Each("input") {
		if n.Str("id") != id {
			continue
		}
		for _, f := range n.Each("codeFilter") {
			if f.Str("path") == "component.code" {
				for _, c := range codingsAt(f, "code") {
					codes[c.key()] = true
				}
			}
		}
	}
	if len(codes) == 0 {
		x.fail(d, place+".input", "%q with a codeFilter on component.code is missing", id)
	}
	return codes
}

func (x *expansion) cause(s *scope, place string, a *fhir.Node) *painCause {
	d := s.plan
	k := &painCause{painRule: *x.painRule(s, place, a), parts: map[string]*expression{}}
	if x.terms.concepts[k.code.key()] == nil {
		x.fail(d, place+".code", "a cause needs one code of a CodeSystem that is here")
	}
	for i, v := range a.Each("dynamicValue") {
		k.parts[v.Str("path")] = x.painExpression(d, fmt.Sprintf("%s.dynamicValue[%d]", place, i), v)
	}
	for _, name := range parts {
		if k.parts[name] == nil {
			x.fail(d, place+".dynamicValue", "%q is missing", name)
		}
	}
	if len(k.parts) != len(parts) {
		x.fail(d, place+".dynamicValue", "only %v are supported", parts)
	}
	for i, n := range a.Each("action") {
		at := fmt.Sprintf("%s.action[%d]", place, i)
		st := x.painRule(s, at, n)
		if n.Get("relatedAction") == nil {
			st.window = k.window
		}
		k.statements = append(k.statements, st)
	}
	return k
}

// painRule reads what all these actions have.
func (x *expansion) painRule(s *scope, place string, a *fhir.Node) *painRule {
	d := s.plan
	for _, m := range a.Members {
		if m.Name != "priority" && m.Name != "participant" && !slices.Contains(understood, m.Name) {
			x.fail(d, place+"."+m.Name, "is not supported")
		}
	}
	r := &painRule{id: a.Str("id"), window: x.painWindow(s, place, a), priority: a.Str("priority"), outcome: extensionValue(a, outcomeExtension, "valueCode"), grounds: grounds(a)}
	for _, c := range codingsAt(a, "code", "coding") {
		r.code = c
		if x.terms.concepts[c.key()] == nil {
			x.fail(d, place+".code", "there is no text for %q in %s", c.Code, c.System)
		}
	}
	if r.outcome != "" {
		x.checkOutcome(r.outcome, d.Str("url"), place)
	}
	for i, n := range a.Each("participant") {
		if n.Str("type") != "practitioner" || r.code == (coding{}) {
			x.fail(d, fmt.Sprintf("%s.participant[%d]", place, i), "only practitioners can be asked, and the code says what")
		}
		r.asked = append(r.asked, concept{Coding: codingsAt(n, "role", "coding")})
	}
	r.holds, _, _ = strings.Cut(a.Str("definitionCanonical"), "|")
	if r.given = extensionValue(a, resultingExtension, "valueCode"); r.holds != "" || r.given != "" {
		switch {
		case x.activities[r.holds] == nil:
			x.fail(d, place+".definitionCanonical", "no active ActivityDefinition %s", r.holds)
		case r.given != "on-hold" || r.outcome == "":
			x.fail(d, place, "an activity can be put on-hold (resulting-status), and outcome says why")
		}
	}
	for i, n := range a.Each("condition") {
		if at := conditionPlace(place, i); n.Str("kind") != "applicability" {
			x.fail(d, at+".kind", "only applicability is supported here")
		} else {
			r.conditions = append(r.conditions, x.painExpression(d, at, n))
		}
	}
	return r
}

func (x *expansion) painExpression(d *fhir.Node, place string, n *fhir.Node) *expression {
	if e := x.expressionOver(emptyPainVariables(), d, place+".expression", n.Get("expression")); e != nil {
		return remembering(e)
	}
	return nil
}

func (x *expansion) painWindow(s *scope, place string, a *fhir.Node) *relation {
	related := a.Each("relatedAction")
	if len(related) == 0 {
		return nil
	}
	if len(related) > 1 {
		x.fail(s.plan, place+".relatedAction", "one is supported here")
	}
	r, ok := x.relation(s, place+".relatedAction[0]", related[0])
	if !ok {
		return nil
	}
	return &r
}

// checkPain refuses rules that could not be used together.
func (c *compiler) checkPain(all []*painRules) {
	if len(all) > 0 {
		for _, code := range painOutcomes {
			c.checkOutcome(code, outcomeSystem, "concept")
		}
	}
	rankings := 0
	for _, r := range all {
		if r.ranking != nil {
			rankings++
		}
	}
	switch {
	case len(all) > 0 && c.terms.concepts[coding{System: painStatements, Code: candidates}] == nil:
		c.failAt(painStatements, "concept", "%q is missing", candidates)
	case len(all) > 0 && rankings != 1:
		c.failAt(all[0].canonical, "action", "%d rankings of causes of pain are loaded, and one is needed", rankings)
	case rankings == 1 && (c.terms.sets[painSitesSet] == nil || c.terms.sets[painTriggersSet] == nil):
		c.failAt(all[0].canonical, "ValueSet", "%s and %s are needed", painSitesSet, painTriggersSet)
	}
}
