package service

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/service/careplan"
)

// provenance collects what one derivation changed and on what grounds
// (https://hl7.org/fhir/R4/provenance.html).
type provenance struct {
	targets           []changedTarget
	sources, policies []string
	earlier           []string // the versions that were replaced
	reasons           []careplan.Reason
}

// changedTarget is a stored version with what became of the activities in it.
type changedTarget struct {
	reference string
	changes   []careplan.Change
}

func (p *provenance) add(stored *fhir.Resource, o outcome, e *careplan.Engine) {
	t := changedTarget{reference: versioned(stored.Type, stored.ID, stored.Version)}
	if o.was != nil {
		t.changes = append(careplan.Changes(o.was.Node, o.Node), o.Kept...)
		p.earlier = append(p.earlier, versioned(o.was.Type, o.was.ID, o.was.Version))
	}
	p.targets = append(p.targets, t)
	for _, b := range o.Basis {
		if ref := versioned(b.Type, b.ID, b.Version); !slices.Contains(p.sources, ref) {
			p.sources = append(p.sources, ref)
		}
	}
	for _, d := range o.Definitions {
		if !slices.Contains(p.policies, d) {
			p.policies = append(p.policies, d)
		}
	}
	if r := e.Reason(o.Node); !slices.Contains(p.reasons, r) {
		p.reasons = append(p.reasons, r)
	}
}

func versioned(typ, id string, version int64) string {
	return typ + "/" + id + "/_history/" + strconv.FormatInt(version, 10)
}

// changeExtension says on Provenance.target what became of one activity of that plan.
const changeExtension = fhir.Canonical + "/StructureDefinition/plan-change"

type provenanceExtension struct {
	URL       string                `json:"url"`
	Code      string                `json:"valueCode,omitempty"`
	Text      string                `json:"valueString,omitempty"`
	Extension []provenanceExtension `json:"extension,omitempty"`
}

func extensionOf(c careplan.Change) provenanceExtension {
	x := provenanceExtension{URL: changeExtension, Extension: []provenanceExtension{
		{URL: "activity", Text: c.Activity}, {URL: "change", Code: c.Kind},
	}}
	if c.From != "" {
		x.Extension = append(x.Extension, provenanceExtension{URL: "from", Text: c.From})
	}
	if c.To != "" {
		x.Extension = append(x.Extension, provenanceExtension{URL: "to", Text: c.To})
	}
	return x
}

// body renders the Provenance resource, without an id. What was replaced is an entity with the
// role revision, what the derivation rests on has the role source. software is the version that derived.
func (p *provenance) body(at time.Time, software string) []byte {
	type reference struct {
		Extension []provenanceExtension `json:"extension,omitempty"`
		Reference string                `json:"reference"`
		Display   string                `json:"display,omitempty"`
	}
	type coding struct {
		System  string `json:"system"`
		Code    string `json:"code"`
		Display string `json:"display,omitempty"`
	}
	type concept struct {
		Coding []coding `json:"coding"`
	}
	type agent struct {
		Type concept   `json:"type"`
		Who  reference `json:"who"`
	}
	type entity struct {
		Role string    `json:"role"`
		What reference `json:"what"`
	}
	operation := "UPDATE"
	if len(p.earlier) == 0 {
		operation = "CREATE"
	}
	out := struct {
		ResourceType string      `json:"resourceType"`
		Target       []reference `json:"target"`
		Recorded     string      `json:"recorded"`
		Policy       []string    `json:"policy,omitempty"`
		Reason       []concept   `json:"reason,omitempty"`
		Activity     concept     `json:"activity"`
		Agent        []agent     `json:"agent"`
		Entity       []entity    `json:"entity,omitempty"`
	}{
		ResourceType: "Provenance",
		Recorded:     at.UTC().Format(fhir.InstantLayout),
		Policy:       p.policies,
		Activity:     concept{[]coding{{System: "http://terminology.hl7.org/CodeSystem/v3-DataOperation", Code: operation}}},
		Agent: []agent{{
			Type: concept{[]coding{{System: "http://terminology.hl7.org/CodeSystem/provenance-participant-type", Code: "assembler"}}},
			Who:  reference{Reference: careplan.Software, Display: strings.TrimSpace("Aftercare " + software)},
		}},
	}
	for _, t := range p.targets {
		var extensions []provenanceExtension
		for _, c := range t.changes {
			extensions = append(extensions, extensionOf(c))
		}
		out.Target = append(out.Target, reference{Extension: extensions, Reference: t.reference})
	}
	for _, r := range p.reasons {
		out.Reason = append(out.Reason, concept{[]coding{{r.System, r.Code, r.Display}}})
	}
	for _, s := range p.sources {
		out.Entity = append(out.Entity, entity{"source", reference{Reference: s}})
	}
	for _, e := range p.earlier {
		out.Entity = append(out.Entity, entity{"revision", reference{Reference: e}})
	}
	body, err := json.Marshal(out)
	if err != nil { // strings only: cannot happen
		panic(err)
	}
	return body
}

// noteWritten notes the versions that the Provenance of a derivation tells of, of the resources that are
// asked for, by "Type/id", where they are later than what is known.
func noteWritten(last map[string]int64, provenance *fhir.Node) {
	if !slices.ContainsFunc(provenance.Each("agent", "who", "reference"), func(n *fhir.Node) bool { return n.Text == careplan.Software }) {
		return
	}
	for _, n := range provenance.Each("target", "reference") {
		ref, version, _ := strings.Cut(n.Text, "/_history/")
		if known, asked := last[ref]; asked {
			if v, err := strconv.ParseInt(version, 10, 64); err == nil {
				last[ref] = max(known, v)
			}
		}
	}
}
