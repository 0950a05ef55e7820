package careplan

import (
	"fmt"

	"aftercare/fhir"
)

type coding struct {
	System  string `json:"system,omitempty"`
	Code    string `json:"code,omitempty"`
	Display string `json:"display,omitempty"`
}

// key drops the display, which is no part of a coding's identity.
func (c coding) key() coding { return coding{System: c.System, Code: c.Code} }

func codingOf(n *fhir.Node) coding {
	return coding{System: n.Str("system"), Code: n.Str("code"), Display: n.Str("display")}
}

// terminology answers questions about codes from the CodeSystems, ValueSets and
// ConceptMaps among the definitions.
type terminology struct {
	concepts map[coding]*fhir.Node
	sets     map[string]*valueSet
	targets  map[coding][]coding
}

// valueSet is the enumerated content of a ValueSet. A member of an earlier include is
// more exact than one of a later.
type valueSet struct {
	rank map[coding]int
	word map[coding]string
}

func readTerminology(definitions []*fhir.Node, fail func(n *fhir.Node, place, format string, args ...any)) *terminology {
	t := &terminology{concepts: map[coding]*fhir.Node{}, sets: map[string]*valueSet{}, targets: map[coding][]coding{}}
	for _, d := range definitions {
		if d.Str("resourceType") == "CodeSystem" {
			t.addConcepts(d.Str("url"), d)
		}
	}
	for _, d := range definitions {
		switch d.Str("resourceType") {
		case "ValueSet":
			t.addSet(d, fail)
		case "ConceptMap":
			t.addMap(d, fail)
		}
	}
	return t
}

func (t *terminology) addConcepts(system string, parent *fhir.Node) {
	for _, c := range parent.Each("concept") {
		t.concepts[coding{System: system, Code: c.Str("code")}] = c
		t.addConcepts(system, c)
	}
}

func (t *terminology) addSet(d *fhir.Node, fail func(*fhir.Node, string, string, ...any)) {
	set := &valueSet{rank: map[coding]int{}, word: map[coding]string{}}
	for i, inc := range d.Each("compose", "include") {
		if inc.Get("filter") != nil || inc.Get("valueSet") != nil || inc.Get("concept") == nil {
			fail(d, fmt.Sprintf("compose.include[%d]", i), "only listed concepts are supported")
			continue
		}
		for _, c := range inc.Each("concept") {
			key := coding{System: inc.Str("system"), Code: c.Str("code")}
			if _, twice := set.rank[key]; !twice {
				set.rank[key] = i
				set.word[key] = wordOf(c)
			}
		}
	}
	if d.Get("compose", "exclude") != nil {
		fail(d, "compose.exclude", "only listed concepts are supported")
	}
	t.sets[d.Str("url")] = set
}

// has reports that a coding is in the set; nil has none.
func (s *valueSet) has(c coding) bool {
	if s == nil {
		return false
	}
	_, in := s.rank[c.key()]
	return in
}

// wordOf is the everyday word of a concept: its designation, or else its display.
func wordOf(concept *fhir.Node) string {
	for _, designation := range concept.Each("designation", "value") {
		return designation.Text
	}
	return concept.Str("display")
}

func (t *terminology) addMap(d *fhir.Node, fail func(*fhir.Node, string, string, ...any)) {
	for i, g := range d.Each("group") {
		source, target := g.Str("source"), g.Str("target")
		if source == "" || target == "" {
			fail(d, fmt.Sprintf("group[%d]", i), "source and target must both name a code system")
			continue
		}
		for _, el := range g.Each("element") {
			from := coding{System: source, Code: el.Str("code")}
			for _, to := range el.Each("target") {
				if eq := to.Str("equivalence"); eq == "unmatched" || eq == "disjoint" {
					continue
				}
				t.targets[from] = append(t.targets[from], coding{System: target, Code: to.Str("code")})
			}
		}
	}
}

// expand returns the codings and everything that the ConceptMaps translate them to, each
// once, originals first.
func (t *terminology) expand(found []coding) []coding {
	var all []coding
	seen := map[coding]bool{}
	for queue := found; len(queue) > 0; queue = queue[1:] {
		c := queue[0].key()
		if c.Code == "" || seen[c] {
			continue
		}
		seen[c] = true
		all = append(all, c)
		queue = append(queue[:len(queue):len(queue)], t.targets[c]...)
	}
	return all
}

// translate is the code of a system that the ConceptMaps translate a code to, "" for none.
func (t *terminology) translate(system, code, to string) string {
	for _, c := range t.targets[coding{System: system, Code: code}] {
		if c.System == to {
			return c.Code
		}
	}
	return ""
}

// planStatus is what the status of a Procedure means for its plan, "" for "no plan yet".
func (t *terminology) planStatus(procedureStatus string) string {
	return t.translate("http://hl7.org/fhir/event-status", procedureStatus, "http://hl7.org/fhir/request-status")
}

// eventStatus is what the status of a request means for the operation that it asks for, "" for
// nothing.
func (t *terminology) eventStatus(requestStatus string) string {
	return t.translate("http://hl7.org/fhir/request-status", requestStatus, "http://hl7.org/fhir/event-status")
}

// outcome is a concept of CodeSystem/outcome.
type outcome struct {
	code, display, text, severity, issueType string
	// detected is the severity of the DetectedIssue to keep, flag the category of the Flag;
	// "" for none.
	detected, flag string
	// told: those who have open Tasks of a plan are told when it is closed by this.
	told bool
}

const outcomeSystem = fhir.Canonical + "/CodeSystem/outcome"

func (t *terminology) outcome(code string) outcome {
	c := t.concepts[coding{System: outcomeSystem, Code: code}]
	o := outcome{code: code, display: c.Str("display"), text: c.Str("definition")}
	for _, p := range c.Each("property") {
		switch p.Str("code") {
		case "severity":
			o.severity = p.Str("valueCode")
		case "issue-type":
			o.issueType = p.Str("valueCode")
		case "detected-issue":
			o.detected = p.Str("valueCode")
		case "flag":
			o.flag = p.Str("valueCode")
		case "told":
			o.told = p.Get("valueBoolean").Text == "true"
		}
	}
	return o
}

// outcomes are the codes that the engine itself can give. Compile refuses a CodeSystem
// that lacks one.
var outcomes = []string{
	"plan", "component", "component-not-completed", "component-waiting", "component-not-linked", "component-assumed", "not-triggered", "planned",
	"not-completed", "not-done", "entered-in-error", "on-hold", "date-not-exact", "no-body-site",
	"site-not-eligible", "site-ambiguous", "site-conflict", "side-not-recorded", "side-conflict",
	"operations-conflict", "stage-order", "window-empty", "date-impossible", "fault", "protocol-failed", "assumed",
	"patient-deceased", "anchor-gone", "planned-provisional", "provisional", togetherOutcome, "anchor-removed", "anchor-unknown", "anchor-already-out", "plan-replaced", "plan-elsewhere", "plan-deleted", basisOutcome, "no-longer-prescribed", "undated", "follows-records",
	"by-task", "by-activity", "task-conflict", "kept-by-person", "order-broken", "record-counts", "record-unclear", "task-moved",
}
