package careplan

import (
	"fmt"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

const (
	teamSystem      = fhir.Canonical + "/identifier/care-team"
	memberExtension = fhir.Canonical + "/StructureDefinition/member-expression"
)

// team is the CareTeam among the definitions, which the team of each patient is made like. All
// plans of a patient share that one (https://hl7.org/fhir/R4/careteam.html).
type team struct {
	node    *fhir.Node
	members []teamMember
}

// teamMember is a participant of the team.
type teamMember struct {
	node *fhir.Node
	// expression finds the members of this kind for a patient; nil for one that is named.
	expression *path.Expression
	whenEmpty  string
}

// subjectVariable is a Reference to the patient, for expressions of team members.
const subjectVariable = "subject"

func (c *compiler) team(d *fhir.Node) *team {
	t := &team{node: d}
	for i, n := range d.Each("participant") {
		m := teamMember{node: n, whenEmpty: extensionValue(n, whenEmptyExtension, "valueString")}
		if x := extensionOf(n, memberExtension); x != nil {
			e, err := path.Compile(x.Get("valueExpression").Str("expression"))
			if err == nil {
				_, err = e.Nodes(nil, path.Bind(map[string][]*fhir.Node{varPatient: nil, subjectVariable: nil}))
			}
			if err != nil {
				c.failAt("CareTeam/"+d.Str("id"), fmt.Sprintf("participant[%d]", i), "%v", err)
			}
			m.expression = e
		}
		t.members = append(t.members, m)
	}
	return t
}

func (d *derivation) teamKey() string { return hashID(d.records.Subject, "care-team") }

// careTeams are the teams of the plan: that of the patient, which it writes, and those that
// others have added.
func (p *plan) careTeams() []raw {
	if p.d.engine.team == nil {
		return raws(p.existing.Each("careTeam"))
	}
	key := p.d.teamKey()
	id := key
	if was, exists := p.d.records.existing[existingKey{"CareTeam", teamSystem, key}]; exists {
		id = was.ID
	}
	if !p.d.kept["CareTeam "+id] {
		p.team(key, id)
	}
	own := "CareTeam/" + id
	return ownFirst(reference{Reference: own}, p.existing.Each("careTeam"), func(n *fhir.Node) bool { return n.Str("reference") == own })
}

func (p *plan) team(key, id string) {
	t := p.d.engine.team
	o := object{}
	o.set("resourceType", "CareTeam")
	o.set("id", id)
	for _, m := range t.node.Members {
		switch m.Name {
		case "resourceType", "id", "meta", "text", "extension", "identifier", "status", "subject", "participant":
		default:
			o.put(m.Name, m.Value)
		}
	}
	o.set("extension", []any{derivedStatus("active")})
	o.set("identifier", []identifier{{teamSystem, key}})
	o.set("status", "active")
	o.set("subject", p.subject())
	was, exists := p.d.records.existing[existingKey{"CareTeam", teamSystem, key}]
	o.set("participant", p.teamMembers(t, was.Node))
	o.arrange(careTeamOrder)
	if exists {
		o, _ = p.d.records.keepOrUpdate(o, was.Node, "status", nil)
	}
	p.d.emit("CareTeam", id, o, p.basis(), nil)
}

// teamMembers are the participants of a patient's team: ours, known by the id of the element,
// and those that others have added.
func (p *plan) teamMembers(t *team, existing *fhir.Node) (list []object) {
	add := func(n *fhir.Node, who any) {
		o := members(n).without("extension")
		o.set("id", fmt.Sprintf("%s%d", derivedMember, len(list)+1))
		o.set("member", who)
		o.arrange([]string{"id"})
		list = append(list, o)
	}
	nodes := map[string][]*fhir.Node{varPatient: nil, subjectVariable: {{Kind: fhir.Object, Raw: encode(p.subject())}}}
	if p.d.records.Patient != nil {
		nodes[varPatient] = []*fhir.Node{p.d.records.Patient.Node}
	}
	variables := path.Bind(nodes)
	for _, m := range t.members {
		if m.expression == nil {
			add(m.node, raw{m.node.Get("member")})
			continue
		}
		found, err := m.expression.Nodes(nil, variables)
		if err != nil {
			p.fail("CareTeam/"+t.node.Str("id"), m.expression.String(), path.Reason(err))
		}
		any := false
		for _, n := range found {
			if n.Kind == fhir.Object {
				if n = p.named(n, ""); n != nil {
					add(m.node, raw{n})
					any = true
				}
			}
		}
		if !any && m.whenEmpty != "" {
			add(m.node, reference{Display: m.whenEmpty})
		}
	}
	for _, n := range existing.Each("participant") {
		if !strings.HasPrefix(n.Str("id"), derivedMember) {
			list = append(list, members(n))
		}
	}
	return list
}

// derivedMember begins the id of each participant that the engine writes.
const derivedMember = "derived-"

// closeTeam makes the team of a patient inactive who has no plan in force any more.
func (d *derivation) closeTeam() {
	if d.engine.team == nil {
		return
	}
	s, exists := d.records.existing[existingKey{"CareTeam", teamSystem, d.teamKey()}]
	if exists && !d.kept["CareTeam "+s.ID] {
		o, _ := withStatus(s.Node, "status", "inactive", true)
		d.emit("CareTeam", s.ID, o, nil, nil)
	}
}
