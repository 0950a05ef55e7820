package careplan

import (
	"slices"

	"aftercare/fhir"
)

// supporting are the types of the records that a plan names in supportingInfo.
var supporting = map[string]bool{"Procedure": true, "ServiceRequest": true, "Device": true, "BodyStructure": true, "DeviceUseStatement": true}

// basisOutcome marks the entries of supportingInfo that the engine wrote: the records that the plan
// rests on. An entry without it is a person's, and has no say in what the plan is about.
const basisOutcome = "basis"

// supportOf parts the supportingInfo of a plan into what the engine wrote and what people added.
// last is the last version that derivations wrote, nil where that is not known or not needed. In a
// plan without marks, what that version had is the engine's, and without it all records of the types
// that plans rested on before there were marks.
func supportOf(plan, last *fhir.Node) (basis, theirs []*fhir.Node) {
	entries := plan.Each("supportingInfo")
	ours := func(n *fhir.Node) bool { return extensionValue(n, outcomeExtension, "valueCode") == basisOutcome }
	if !slices.ContainsFunc(entries, ours) {
		was := map[string]bool{}
		if last != nil {
			before, _ := supportOf(last, nil)
			for _, n := range before {
				was[n.Str("reference")] = true
			}
		}
		ours = func(n *fhir.Node) bool {
			ref := n.Str("reference")
			if last != nil {
				return was[ref]
			}
			kind := fhir.ParseReference(ref, "").Type
			return supporting[kind] && kind != "ServiceRequest"
		}
	}
	for _, n := range entries {
		if ours(n) {
			basis = append(basis, n)
		} else {
			theirs = append(theirs, n)
		}
	}
	return basis, theirs
}

// supportingInfo names the records that the plan rests on, and what others have added.
func (p *plan) supportingInfo() []raw {
	var list []raw
	for _, s := range p.basis() {
		if supporting[s.Type] {
			list = append(list, raw{asNode(struct {
				Extension []outcomeMark `json:"extension"`
				Reference string        `json:"reference"`
			}{[]outcomeMark{{outcomeExtension, basisOutcome}}, s.ref()})})
		}
	}
	_, theirs := supportOf(p.existing, p.d.records.lastWritten(p.existing))
	return append(list, raws(theirs)...)
}
