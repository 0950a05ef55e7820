package careplan

import (
	"aftercare/fhir"
	"aftercare/fhir/path"
)

const (
	statementSystem = fhir.Canonical + "/identifier/statement"
	windowExtension = fhir.Canonical + "/StructureDefinition/action-window"
)

// A statement is a resource that says something about the patient and asks for nothing, such as
// a RiskAssessment (https://hl7.org/fhir/R4/riskassessment.html). An action gives a pattern of it,
// contained in its PlanDefinition, by definitionUri. It is written where the conditions of the
// action hold for sure and its window is known.

// statementKinds are the types that patterns may have.
var statementKinds = map[string]bool{"RiskAssessment": true}

// pattern finds the contained resource that an action's definitionUri names, nil where there is
// no definitionUri.
func (c *compiler) pattern(d *fhir.Node, place string, a *fhir.Node) *fhir.Node {
	uri := a.Str("definitionUri")
	if uri == "" {
		return nil
	}
	n := contained(d, uri)
	if n == nil || !statementKinds[n.Str("resourceType")] {
		c.fail(d, place+".definitionUri", "%q does not name a contained RiskAssessment", uri)
	}
	return n
}

func (p *plan) statements() {
	for _, s := range p.pathway.steps {
		if s.pattern == nil {
			continue
		}
		if truth, _ := p.applies(s.level); truth == path.True && p.schedules[s].dated && !p.schedules[s].provisional {
			p.statement(s)
		}
	}
}

func (p *plan) statement(s *step) {
	kind, key := s.pattern.Str("resourceType"), p.key+"#"+s.id
	was, exists := p.d.records.existing[existingKey{kind, statementSystem, key}]
	id := p.d.records.newID(kind, hashID(p.key, "statement", s.id))
	if exists {
		id = was.ID
	}
	o := members(withWindow(s.pattern, p.schedules[s].window))
	o.set("id", id)
	o.set("language", "en-GB")
	extensions := []any{derivedStatus(s.pattern.Str("status"))}
	for _, x := range s.extensions {
		extensions = append(extensions, x)
	}
	o.set("extension", extensions)
	o.set("identifier", []identifier{{statementSystem, key}})
	o.set("subject", p.subject())
	o.set("basedOn", reference{Reference: p.ref()})
	o.arrange(riskOrder)
	if exists {
		o, _ = p.d.records.keepOrUpdate(o, was.Node, "status", nil)
	}
	p.d.emit(kind, id, o, p.basis(), p.definitions())
}

// withWindow is a pattern with the window in place of each element that asks for it.
func withWindow(n *fhir.Node, w window) *fhir.Node {
	switch n.Kind {
	case fhir.Object:
		if extensionOf(n, windowExtension) != nil {
			return asNode(periodOf(w))
		}
		o := members(n)
		for i := range o {
			o[i].Value = withWindow(o[i].Value, w)
		}
		return o.node()
	case fhir.Array:
		var list []raw
		for _, item := range n.Items {
			list = append(list, raw{withWindow(item, w)})
		}
		return asNode(list)
	}
	return n
}
