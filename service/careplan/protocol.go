package careplan

import (
	"aftercare/fhir"
)

// protocol is a PlanDefinition that no other nests: it selects a pathway for each site.
type protocol struct {
	url, canonical, usage string
	// topics become the categories of the plan.
	topics   []*fhir.Node
	pathways []*pathway
	// selectors are its actions, in order.
	selectors []*selector
	// endings are the inputs of actions that end an anchor: which Devices and
	// DeviceUseStatements say the same as the operation.
	endings []ending
	// sites is the ValueSet of the trigger's filter on bodySite.
	sites *valueSet
}

// selector is an action of a protocol: what operations it is for, and what follows.
type selector struct {
	level *level
	// pathway is nil where no plan follows.
	pathway *pathway
	// effect is what the operation does to the anchor, see courses.go.
	effect string
	// together is the action for operations that are different parts of one, where they take
	// place on one day; nil for none.
	together *selector
	// codes are those of the action, which count as facts of the operation.
	codes []coding
	// outcome is what the sender is told where no plan follows.
	outcome string
}

// ending is a DataRequirement: every filter must match.
type ending struct {
	kind    string
	filters []inputFilter
}

type inputFilter struct {
	path  string
	codes map[coding]bool
}

func (in ending) matches(n *fhir.Node) bool {
	for _, f := range in.filters {
		if !f.matches(n) {
			return false
		}
	}
	return true
}

// matches compares a coded element, or a code, which has no system of its own.
func (f inputFilter) matches(n *fhir.Node) bool {
	if plain := n.Str(f.path); plain != "" {
		for c := range f.codes {
			if c.Code == plain {
				return true
			}
		}
		return false
	}
	return anyCoding(codingsAt(n, f.path, "coding"), func(c coding) bool { return f.codes[c.key()] })
}

// pathway is one course of aftercare, laid out flat.
type pathway struct {
	canonical, title string
	level            *level
	// steps are in the order of the definitions.
	steps []*step
	// order has every step after those that it is dated from.
	order []*step
	byID  map[string]*step
	goals []*goal
	// definitions are all PlanDefinitions that went into it, as url|version.
	definitions []string
}

// level is what an action and the actions around it demand: each level narrows the
// operations by trigger and the applicability by condition.
type level struct {
	parent     *level
	triggers   []trigger
	conditions []condition
	// waits says what is waited for while no operation matches.
	waits string
	// label tells activities of a block that is used more than once apart, "" for none.
	label string
}

// trigger is a TriggerDefinition on Procedure: every filter must match.
type trigger struct{ filters []filter }

type filter struct {
	path  string // "code" or "bodySite"
	codes map[coding]bool
	set   *valueSet
}

func (f filter) matches(c coding) bool {
	if f.codes[c] {
		return true
	}
	if f.set == nil {
		return false
	}
	_, in := f.set.rank[c]
	return in
}

func (t trigger) matchesCode(codes []coding) bool {
	for _, f := range t.filters {
		if f.path == "code" && !anyCoding(codes, f.matches) {
			return false
		}
	}
	return true
}

func anyCoding(codes []coding, match func(coding) bool) bool {
	for _, c := range codes {
		if match(c) {
			return true
		}
	}
	return false
}

func anyTrigger(triggers []trigger, codes []coding) bool {
	for _, t := range triggers {
		if t.matchesCode(codes) {
			return true
		}
	}
	return len(triggers) == 0
}

// condition is an applicability condition.
type condition struct {
	// action is where it stands, for people.
	action     string
	expression *expression
	// whenUnknown is the extension with what an activity says that was included although the
	// answer is not known, nil for none.
	whenUnknown *fhir.Node
}

// isAnchor reports that the date of a step is that of an operation.
func (s *step) isAnchor() bool { return s.activity == nil && s.pattern == nil }

// step is one action of a pathway that is an anchor, an activity or a statement.
type step struct {
	id string
	// action is where the definitions have it, for people.
	action string
	level  *level
	// activity is nil for an anchor, and for a statement.
	activity *activity
	// pattern is the resource that a statement is made like, else nil.
	pattern *fhir.Node
	// events are the codes of an anchor, by which goals name it.
	events []coding
	// outcome is given while an anchor has no operation.
	outcome string
	// rule says in words when the activity is due.
	rule string
	// addition is a sentence of the action that follows the description of the activity.
	addition   string
	related    []relation
	extensions []raw
	goals      []*goal
	// task: somebody else has to do it, so that it has a Task; where taskWhen is given, only
	// while that holds.
	task     bool
	taskWhen *expression
	// message: the action asks for something to be said.
	message bool
	// performer and describe replace what the ActivityDefinition says, nil for neither.
	performer *dynamicPerformer
	describe  *expression
	stops     []stop
	progress  *progress
}

// dynamicPerformer replaces the default performers.
type dynamicPerformer struct {
	expression *expression
	// whenEmpty is the display of the performer where the expression finds nobody, outcome
	// what is told then, "" for nothing.
	whenEmpty, outcome string
}

// activity is an ActivityDefinition.
type activity struct {
	canonical, kind, description string
	code, product, topic         *fhir.Node
	doNotPerform                 bool
	participants                 []participant
	// once: the timing is a single event.
	once bool
	// repeat are the members of a repeating timing.
	repeat []fhir.Member
	// waits says what an activity without a date waits for, in the words of timingTiming.code.
	waits string
}

type participant struct {
	patient bool
	display string
	coding  []coding
}

// goal is a PlanDefinition.goal.
type goal struct {
	id         string
	level      *level
	extensions []raw
	node       *fhir.Node
	start      *step
	targets    []target
}

type target struct {
	node *fhir.Node
	due  *offset
}
