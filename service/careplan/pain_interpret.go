package careplan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

// Interpretation is what the rules say of a report of pain for one anchor.
type Interpretation struct {
	// Plan is the reference to the care plan of the anchor, "" where there is none.
	Plan string
	// Refused is the code of CodeSystem/outcome that says why there are no findings, "" where
	// the report was interpreted.
	Refused string
	// Day is the local date that was looked at, YYYY-MM-DD.
	Day string
	// Remarks are codes of CodeSystem/outcome: what the reader must know of the report.
	Remarks []string
	// Issues are those for which a DetectedIssue is to be kept, flags those for which a Flag is.
	Issues []string
	flags  []string
	// Findings are the candidate causes, the best first.
	Findings []Finding
	// Conclusions are what the report as a whole calls for.
	Conclusions []Statement
	// Rules are the definitions that were followed, as url|version.
	Rules []string

	title  string // of the ranking's definition
	anchor *anchor
	// inputs is a digest of what it was made from. Where that differs, it is another interpretation.
	// reported is that of the report alone.
	inputs, reported string
	// holds are the rules that put an activity on hold.
	holds []*painRule
}

// Finding is a candidate cause. It is no diagnosis.
type Finding struct {
	// Cause is a code of CodeSystem/osseointegration.
	Cause string
	Score int
	// Parts are the points for site, window and facts before they are weighed.
	Parts [3]int
	// Shown: the score reaches the threshold.
	Shown      bool
	Statements []Statement
	cause      *painCause
	window     window
}

// Statement is a code of CodeSystem/pain-statement in the words for clinicians, and in those for
// patients, which may be "" where there is nothing to say to them.
type Statement struct {
	Code, Kind, Text, Patient, Priority string
	grounds                             []raw
	rule                                *painRule
}

// interpret ranks the causes that the rules name for a report of pain, for every anchor that it can be
// about. An error means that a rule could not be evaluated.
func (e *Engine) interpret(anchors *Anchors, report Source) ([]Interpretation, error) {
	i := slices.IndexFunc(e.pain, func(r *painRules) bool { return r.ranking != nil })
	if i < 0 {
		return []Interpretation{{Refused: "pain-no-rules"}}, nil
	}
	r, refused := e.painReport(report, e.pain[i].ranking)
	if refused != "" {
		return []Interpretation{{Refused: refused}}, nil
	}
	if anchors.closed {
		return []Interpretation{{Refused: "pain-patient-deceased"}}, nil
	}
	found, flagged := anchors.of(r)
	if len(found) == 0 {
		return []Interpretation{{Refused: anchors.without}}, nil
	}
	var list []Interpretation
	for _, a := range found {
		one := &painRun{engine: e, anchor: a, report: r, rules: e.pain[i]}
		if flagged {
			one.remark("pain-side-missing")
		}
		if err := one.interpret(); err != nil {
			return nil, err
		}
		list = append(list, one.result)
	}
	return list, nil
}

// painRun is one interpretation on its way.
type painRun struct {
	engine  *Engine
	anchor  *anchor
	report  *painReport
	rules   *painRules
	result  Interpretation
	day     time.Time
	days    map[*step]time.Time
	assumed map[*step]bool
	values  variables
}

func (x *painRun) remark(code string) { x.result.Remarks = append(x.result.Remarks, code) }

func (x *painRun) interpret() error {
	x.result.Plan, x.result.anchor, x.result.title = x.anchor.planRef, x.anchor, x.rules.title
	g := x.rules.ranking
	x.day = x.report.seen
	if g.window == nil {
		return fmt.Errorf("careplan: the ranking of causes has no window")
	}
	happened := x.eventDays()
	start := x.days[g.window.target]
	preExisting := !start.IsZero() && !x.report.begunBy.IsZero() && x.report.begunBy.Before(start)
	switch {
	case preExisting:
		x.remark("pain-pre-existing")
	case !x.report.begun.IsZero():
		x.day = x.report.begun
		happened = x.eventDays()
	case !x.report.begunBy.IsZero():
		x.remark("pain-onset-not-exact")
	default:
		x.remark("pain-onset-not-known")
	}
	for _, code := range x.report.unread {
		x.remark(code)
	}
	x.result.Day = formatDate(x.day)
	x.bind(happened, preExisting)
	x.result.inputs, x.result.reported = x.inputs(), x.reported()
	switch state, _ := x.state(g.window); state {
	case "inside":
	case "unknown":
		x.result.Refused = "pain-surgery-not-dated"
		return nil
	default:
		x.result.Refused = g.outside
		return nil
	}
	for _, f := range g.refusals {
		truth, err := f.expression.truth(&x.values, "none")
		if err != nil {
			return err
		}
		if truth == path.False {
			x.result.Refused = f.outcome
			return nil
		}
	}
	if err := x.rank(); err != nil {
		return err
	}
	return x.conclude()
}

// eventDays dates the events for the day, and gives the ids of those that had taken place.
func (x *painRun) eventDays() (happened []*fhir.Node) {
	x.days, x.assumed = map[*step]time.Time{}, map[*step]bool{}
	for _, ev := range x.engine.painEvents() {
		day, was := ev.eventDay(x.anchor.occasions, x.day)
		switch {
		case was:
			happened = append(happened, stringNode(ev.step.id))
		case ev.step != x.rules.ranking.window.target: // nobody could know of it
			day = time.Time{}
		}
		if day.IsZero() && ev.instead != nil {
			if day = x.days[ev.instead.target]; !day.IsZero() {
				x.assumed[ev.step] = true
			}
		}
		x.days[ev.step] = day
	}
	return happened
}

func (e *Engine) painEvents() (all []*painEvent) {
	for _, r := range e.pain {
		all = append(all, r.events...)
	}
	return all
}

func stringNode(s string) *fhir.Node {
	return &fhir.Node{Kind: fhir.String, Text: s, Raw: encode(s)}
}

func codingNodes(codes []coding) (nodes []*fhir.Node) {
	for _, c := range codes {
		nodes = append(nodes, &fhir.Node{Kind: fhir.Object, Raw: encode(c)})
	}
	return nodes
}

func (x *painRun) bind(happened []*fhir.Node, preExisting bool) {
	v := emptyPainVariables()
	v[varSites] = codingNodes(x.report.sites)
	v[varTriggers] = codingNodes(x.report.triggers)
	v[varScale] = codingNodes(x.report.codes)
	v[varScore] = []*fhir.Node{x.report.score}
	v[varEvents] = happened
	v[varPreExisting] = []*fhir.Node{{Kind: fhir.Bool, Raw: []byte(strconv.FormatBool(preExisting))}}
	v[varFacts] = codingNodes(x.anchor.factsUntil(x.day))
	v[varDevices] = x.anchor.devices
	x.values = variables{nodes: v}
}

// inputs is a digest of the report and of the dated facts that it was held against.
func (x *painRun) inputs() string {
	parts := []string{x.result.Day, formatDate(x.report.seen), string(x.report.score.Raw), strings.Join(x.result.Remarks, " ")}
	for _, name := range []string{varSites, varTriggers, varScale, varEvents, varPreExisting, varFacts} {
		for _, n := range x.values.nodes[name] {
			parts = append(parts, string(n.Raw))
		}
		parts = append(parts, "")
	}
	for _, ev := range x.engine.painEvents() {
		parts = append(parts, formatDate(x.days[ev.step]))
	}
	return hashID(parts...)
}

// reported is a digest of what was reported.
func (x *painRun) reported() string {
	parts := []string{formatDate(x.report.seen), formatDate(x.report.begun), formatDate(x.report.begunBy), string(x.report.score.Raw)}
	for _, list := range [][]coding{x.report.sites, x.report.triggers, x.report.codes, x.report.sides, x.report.bones} {
		for _, c := range list {
			parts = append(parts, c.System, c.Code)
		}
		parts = append(parts, "")
	}
	digest, _, _ := strings.Cut(hashID(parts...), "-")
	return digest
}

// state says how the day lies to a window.
func (x *painRun) state(r *relation) (string, window) {
	if r == nil {
		return "none", window{}
	}
	day := x.days[r.target]
	w, ok := r.apply(window{day, day})
	switch {
	case !ok:
		return "unknown", window{}
	case x.day.Before(w.Start):
		return "before", w
	case !w.End.IsZero() && x.day.After(w.End):
		return "after", w
	}
	return "inside", w
}

// holds evaluates the conditions of a rule. What is not known does not hold.
func (x *painRun) holds(r *painRule) (bool, string, window, error) {
	state, w := x.state(r.window)
	for _, c := range r.conditions {
		truth, err := c.truth(&x.values, state)
		if err != nil || truth != path.True {
			return false, state, w, err
		}
	}
	return true, state, w, nil
}

// rank scores the causes: the weighted sum of their parts, equal ones in the order of the
// definition.
func (x *painRun) rank() error {
	g := x.rules.ranking
	for _, k := range g.causes {
		f, err := x.find(g, k)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		f.Shown = f.Score >= g.weights[threshold]
		if k.window != nil && x.assumed[k.window.target] && !slices.Contains(x.result.Remarks, "pain-event-assumed") {
			x.remark("pain-event-assumed")
		}
		x.result.Findings = append(x.result.Findings, *f)
	}
	slices.SortStableFunc(x.result.Findings, func(a, b Finding) int { return cmp.Compare(b.Score, a.Score) })
	for i := range x.result.Findings {
		f := &x.result.Findings[i]
		for _, r := range f.cause.statements {
			s, err := x.say(r)
			if err != nil {
				return err
			}
			if s != nil && (f.Shown || s.Kind != "action") {
				f.Statements = append(f.Statements, *s)
			}
		}
	}
	return nil
}

// find scores one cause, nil where it is no candidate. The site comes first: it rules most out.
func (x *painRun) find(g *ranking, k *painCause) (*Finding, error) {
	state, w := x.state(k.window)
	f := &Finding{Cause: k.code.Code, cause: k, window: w}
	for i, name := range parts {
		n, err := k.parts[name].whole(&x.values, state)
		if err != nil {
			return nil, fmt.Errorf("careplan: cause %s, %s: %w", k.id, name, err)
		}
		if i == 0 {
			if n == 0 {
				return nil, nil
			}
			if ok, _, _, err := x.holds(&k.painRule); err != nil || !ok {
				return nil, err
			}
		}
		f.Parts[i] = n
		f.Score += g.weights[name] * n
	}
	return f, nil
}

// conclude says what the report as a whole calls for. All definitions of rules have their say.
func (x *painRun) conclude() error {
	var listed, shown []coding
	for _, f := range x.result.Findings {
		listed = append(listed, f.cause.code.key())
		if f.Shown {
			shown = append(shown, f.cause.code.key())
		}
	}
	x.values.nodes[varListed], x.values.nodes[varShown] = codingNodes(listed), codingNodes(shown)
	x.values.bound = nil
	for _, rules := range x.engine.pain {
		x.result.Rules = append(x.result.Rules, rules.canonical)
		for _, r := range rules.conclusions {
			if r.outcome != "" {
				ok, _, _, err := x.holds(r)
				if err != nil {
					return err
				}
				if ok {
					x.conclude1(r)
				}
			}
			if r.code == (coding{}) {
				continue
			}
			s, err := x.say(r)
			if err != nil {
				return err
			}
			if s != nil && !slices.ContainsFunc(x.result.Conclusions, func(o Statement) bool { return o.Code == s.Code }) {
				x.result.Conclusions = append(x.result.Conclusions, *s)
			}
		}
	}
	return nil
}

func (x *painRun) conclude1(r *painRule) {
	o := x.engine.terms.outcome(r.outcome)
	if o.detected != "" {
		x.result.Issues = append(x.result.Issues, r.outcome)
	}
	if o.flag != "" && !slices.Contains(x.result.flags, r.outcome) {
		x.result.flags = append(x.result.flags, r.outcome)
	}
	if r.holds != "" {
		x.result.holds = append(x.result.holds, r)
	}
}

// say gives the statement of a rule, nil where its conditions do not hold.
func (x *painRun) say(r *painRule) (*Statement, error) {
	ok, _, w, err := x.holds(r)
	if err != nil || !ok {
		return nil, err
	}
	s := x.engine.painStatement(r.code, x.day, w)
	s.Priority, s.grounds, s.rule = r.priority, r.grounds, r
	return &s, nil
}
