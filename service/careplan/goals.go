package careplan

import (
	"aftercare/fhir"
	"aftercare/fhir/path"
)

func (p *plan) goalID(g *goal) string {
	key := p.key + "#" + g.id
	if s, ok := p.d.records.existing[existingKey{"Goal", goalSystem, key}]; ok {
		return s.ID
	}
	return p.d.records.newID("Goal", hashID(p.key, "goal", g.id))
}

// goals writes the Goals of the plan and returns the references to them, with those that
// others have added.
func (p *plan) goals() []raw {
	var list []raw
	ours := map[string]bool{}
	for _, g := range p.pathway.goals {
		id := p.goalID(g)
		ours["Goal/"+id] = true
		if truth, _ := p.applies(g.level); truth == path.False || p.removed("Goal", goalSystem, g.id) {
			continue
		}
		p.goal(g, id)
		list = append(list, raw{asNode(reference{Reference: "Goal/" + id})})
	}
	for _, n := range p.existing.Each("goal") {
		ref := fhir.ParseReference(n.Str("reference"), "")
		_, known := p.d.records.goalKey(ref.ID)
		if !ours[n.Str("reference")] && !known {
			list = append(list, raw{n})
		}
	}
	return list
}

// goalKey is the identifier by which an existing Goal is ours.
func (r *records) goalKey(id string) (string, bool) {
	for key, s := range r.existing {
		if key.kind == "Goal" && key.system == goalSystem && s.ID == id {
			return key.value, true
		}
	}
	return "", false
}

func (p *plan) goal(g *goal, id string) {
	o := object{}
	o.set("resourceType", "Goal")
	o.set("id", id)
	o.set("language", "en-GB")
	extensions := []any{derivedStatus("active")}
	for _, x := range g.extensions {
		extensions = append(extensions, x)
	}
	o.set("extension", extensions)
	o.set("identifier", []identifier{{goalSystem, p.key + "#" + g.id}})
	o.set("lifecycleStatus", "active")
	o.put("category", listOf(g.node.Get("category")))
	o.put("priority", g.node.Get("priority"))
	o.put("description", g.node.Get("description"))
	o.set("subject", p.subject())
	var start schedule
	if g.start != nil {
		start = p.schedules[g.start]
	}
	if start.provisional {
		start.dated = false
	}
	if start.dated {
		o.set("startDate", formatDate(start.window.Start))
	}
	var targets []object
	for _, t := range g.targets {
		target := object{}
		for _, m := range t.node.Members {
			if m.Name != "due" && m.Name != "id" {
				target = append(target, m)
			}
		}
		if t.due != nil && start.dated {
			due := t.due.from(start.window.Start, 1)
			if !(window{due, due}).writable() {
				p.fail("goal "+g.id, "", p.d.engine.terms.outcome("date-impossible").display)
			}
			target.set("dueDate", formatDate(due))
		}
		target.arrange([]string{"extension", "measure"})
		if len(target) > 0 {
			targets = append(targets, target)
		}
	}
	o.set("target", targets)
	o.arrange(goalOrder)
	existing := p.d.records.existing[existingKey{"Goal", goalSystem, p.key + "#" + g.id}]
	o, kept := p.d.records.keepOrUpdate(o, existing.Node, "lifecycleStatus", goalParts)
	p.keptByPerson("goal "+g.id, kept)
	p.d.emit("Goal", id, o, p.basis(), p.definitions())
}

// listOf makes a list of one from a single value, since PlanDefinition.goal.category is
// single and Goal.category is a list.
func listOf(n *fhir.Node) *fhir.Node {
	if n == nil || n.Kind == fhir.Array {
		return n
	}
	return &fhir.Node{Kind: fhir.Array, Raw: encode([]raw{{n}}), Items: []*fhir.Node{n}}
}
