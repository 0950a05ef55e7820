package service

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"aftercare/fhir"
	"aftercare/service/careplan"
)

// provenance collects what one derivation changed and on what grounds
// (https://hl7.org/fhir/R4/provenance.html).
type provenance struct {
	targets, sources, policies []string
}

func (p *provenance) add(stored *fhir.Resource, from careplan.Prescribed) {
	p.targets = append(p.targets, versioned(stored.Type, stored.ID, stored.Version))
	for _, b := range from.Basis {
		if ref := versioned(b.Type, b.ID, b.Version); !slices.Contains(p.sources, ref) {
			p.sources = append(p.sources, ref)
		}
	}
	for _, d := range from.Definitions {
		if !slices.Contains(p.policies, d) {
			p.policies = append(p.policies, d)
		}
	}
}

func versioned(typ, id string, version int64) string {
	return typ + "/" + id + "/_history/" + strconv.FormatInt(version, 10)
}

// body renders the Provenance resource, without an id.
func (p *provenance) body(at time.Time) []byte {
	type reference struct {
		Reference string `json:"reference"`
	}
	type coding struct {
		System string `json:"system"`
		Code   string `json:"code"`
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
	out := struct {
		ResourceType string      `json:"resourceType"`
		Target       []reference `json:"target"`
		Recorded     string      `json:"recorded"`
		Policy       []string    `json:"policy,omitempty"`
		Activity     concept     `json:"activity"`
		Agent        []agent     `json:"agent"`
		Entity       []entity    `json:"entity,omitempty"`
	}{
		ResourceType: "Provenance",
		Recorded:     at.UTC().Format(fhir.InstantLayout),
		Policy:       p.policies,
		Activity:     concept{[]coding{{"http://terminology.hl7.org/CodeSystem/v3-DataOperation", "UPDATE"}}},
		Agent: []agent{{
			Type: concept{[]coding{{"http://terminology.hl7.org/CodeSystem/provenance-participant-type", "assembler"}}},
			Who:  reference{careplan.Software},
		}},
	}
	for _, t := range p.targets {
		out.Target = append(out.Target, reference{t})
	}
	for _, s := range p.sources {
		out.Entity = append(out.Entity, entity{"source", reference{s}})
	}
	body, err := json.Marshal(out)
	if err != nil { // strings only: cannot happen
		panic(err)
	}
	return body
}
