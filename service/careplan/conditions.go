package careplan

import (
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

// matching are the operations that a level's triggers, and those around it, leave.
func (l *level) matching(operations []*procedure) []*procedure {
	if l == nil {
		return operations
	}
	found := l.parent.matching(operations)
	if len(l.triggers) == 0 {
		return found
	}
	var kept []*procedure
	for _, op := range found {
		if anyTrigger(l.triggers, op.facts) {
			kept = append(kept, op)
		}
	}
	return kept
}

// occasions are the operations that an anchor of the plan is dated from: of all on the same anchor
// those that its own triggers match, or else those of the level.
func (p *plan) occasions(s *step) []*procedure {
	if len(p.earlier) == 0 || !slices.ContainsFunc(s.level.triggers, func(t trigger) bool { return len(t.filters) > 0 }) {
		return s.level.matching(p.operations)
	}
	var found []*procedure
	for _, op := range slices.Concat(p.earlier, p.operations) {
		if anyTrigger(s.level.triggers, op.facts) {
			found = append(found, op)
		}
	}
	return found
}

// The variables that conditions and dynamic values can read.
const (
	varProcedure  = "procedure"  // the first operation that the nearest trigger matches
	varProcedures = "procedures" // all operations of the plan and their components
	varPatient    = "patient"
	varDevices    = "devices"   // the Devices that the operations name
	varImplanted  = "implanted" // those of them that were put in
	varFacts      = "facts"     // Codings of the operations that the nearest trigger matches
	varHistory    = "history"   // Codings of all operations on the anchor, also of those before the plan's
	// The following are about the operations that the nearest trigger matches too.
	varDay        = "operationDay" // their local date, "YYYY-MM-DD"
	varLater      = "later"        // what was done about their wound afterwards; see plan.later
	varEncounter  = "encounter"    // the Encounters that they name
	varEncounters = "encounters"   // those in whose period they are; both with local dates
)

func emptyVariables() map[string][]*fhir.Node {
	return map[string][]*fhir.Node{
		varProcedure: nil, varProcedures: nil, varPatient: nil, varDevices: nil, varImplanted: nil, varFacts: nil, varHistory: nil,
		varDay: nil, varLater: nil, varEncounter: nil, varEncounters: nil,
	}
}

// variables binds what conditions at a level can read; levels that add no trigger share.
func (p *plan) variables(l *level) *variables {
	for l.parent != nil && len(l.triggers) == 0 {
		l = l.parent
	}
	if v, ok := p.bound[l]; ok {
		return v
	}
	nodes := emptyVariables()
	matching := l.matching(p.operations)
	if len(matching) > 0 {
		nodes[varProcedure] = []*fhir.Node{matching[0].Node}
	}
	for _, op := range slices.Concat(p.earlier, p.operations) {
		nodes[varProcedures] = append(nodes[varProcedures], op.Node)
		for _, c := range op.components {
			nodes[varProcedures] = append(nodes[varProcedures], c.Node)
		}
	}
	for _, s := range p.devices {
		nodes[varDevices] = append(nodes[varDevices], s.Node)
	}
	for _, s := range p.implanted {
		nodes[varImplanted] = append(nodes[varImplanted], s.Node)
	}
	if p.d.records.Patient != nil {
		nodes[varPatient] = []*fhir.Node{p.d.records.Patient.Node}
	}
	nodes[varFacts] = factNodes(matching)
	nodes[varHistory] = factNodes(slices.Concat(p.earlier, p.operations))
	if len(matching) > 0 && !matching[0].day.IsZero() {
		nodes[varDay] = []*fhir.Node{{Kind: fhir.String, Raw: encode(formatDate(matching[0].day))}}
	}
	for _, proc := range p.later(matching) {
		nodes[varLater] = append(nodes[varLater], withAllCodes(proc))
	}
	nodes[varEncounter], nodes[varEncounters] = p.encounters(matching)
	v := &variables{nodes: nodes}
	p.bound[l] = v
	return v
}

// assumption is what an included activity says where nobody knows whether it applies. label, if
// not nil, marks it as a choice of ours.
type assumption struct {
	text  string
	label *fhir.Node
}

// factNodes are all facts of operations, each once.
func factNodes(operations []*procedure) []*fhir.Node {
	var facts []coding
	var nodes []*fhir.Node
	for _, op := range operations {
		for _, f := range op.facts {
			if !slices.Contains(facts, f) {
				facts = append(facts, f)
				nodes = append(nodes, asNode(f))
			}
		}
	}
	return nodes
}

// answer is what the conditions of a level come to.
type answer struct {
	truth path.Truth
	said  []assumption
}

// applies answers whether a level's conditions hold. Unknown comes with what the included
// activity should say about it.
func (p *plan) applies(l *level) (path.Truth, []assumption) {
	if l == nil {
		return path.True, nil
	}
	a, known := p.answers[l]
	if !known {
		a.truth, a.said = p.decide(l)
		if p.answers == nil {
			p.answers = map[*level]answer{}
		}
		p.answers[l] = a
	}
	return a.truth, slices.Clip(a.said)
}

func (p *plan) decide(l *level) (path.Truth, []assumption) {
	truth, said := p.applies(l.parent)
	if truth == path.False {
		return truth, nil
	}
	for _, c := range l.conditions {
		answer, err := c.expression.truth(p.variables(l), "")
		switch {
		case answer == path.False:
			return path.False, nil
		case answer == path.Unknown:
			truth = path.Unknown
			if err != nil {
				p.fail(c.action, c.expression.String(), path.Reason(err))
				continue
			}
			p.tellOnce("assumed")
			a := assumption{p.d.engine.terms.outcome("assumed").text, c.whenUnknown}
			if c.whenUnknown != nil {
				a.text = c.whenUnknown.Str("valueString")
			}
			if !slices.ContainsFunc(said, func(s assumption) bool { return s.text == a.text }) {
				said = append(said, a)
			}
		}
	}
	return truth, said
}
