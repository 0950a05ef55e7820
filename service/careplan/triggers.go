package careplan

import (
	"fmt"

	"aftercare/fhir"
)

// The extensions that definitions use; the first two are copied to what is derived.
const (
	factExtension        = fhir.Canonical + "/StructureDefinition/source-fact"
	policyExtension      = fhir.Canonical + "/StructureDefinition/policy"
	outcomeExtension     = fhir.Canonical + "/StructureDefinition/outcome"
	whenUnknownExtension = fhir.Canonical + "/StructureDefinition/when-unknown"
	sameDayExtension     = fhir.Canonical + "/StructureDefinition/same-day-action"
	effectExtension      = fhir.Canonical + "/StructureDefinition/anchor-effect"
	whenEmptyExtension   = fhir.Canonical + "/StructureDefinition/when-empty"
	// taskWhenExtension says on action.output when there is a Task.
	taskWhenExtension = fhir.Canonical + "/StructureDefinition/task-when"
)

// extensionOf is the first extension with a url, nil for none.
func extensionOf(n *fhir.Node, url string) *fhir.Node {
	for _, e := range n.Each("extension") {
		if e.Str("url") == url {
			return e
		}
	}
	return nil
}

func extensionValue(n *fhir.Node, url, member string) string {
	return extensionOf(n, url).Str(member)
}

// level reads what an action demands on top of the actions around it.
func (c *compiler) level(d *fhir.Node, place string, a *fhir.Node, parent *level) *level {
	l := &level{parent: parent, waits: a.Str("textEquivalent")}
	for i, t := range a.Each("trigger") {
		l.triggers = append(l.triggers, c.trigger(d, fmt.Sprintf("%s.trigger[%d]", place, i), t)...)
	}
	if parent != nil && (l.waits == "" || a.Get("trigger") == nil) {
		l.waits = parent.waits
	}
	if parent != nil {
		l.label = parent.label
	}
	for i, n := range a.Each("condition") {
		at := conditionPlace(place, i)
		switch kind := n.Str("kind"); {
		case kind == "stop" && a.Get("definitionCanonical") != nil && a.Get("trigger") == nil && a.Get("action") == nil:
			continue // the step reads it
		case kind != "applicability":
			c.fail(d, at+".kind", "%q is not supported here; applicability is, and stop where an action has an ActivityDefinition", kind)
			continue
		}
		e := c.expression(d, at+".expression", n.Get("expression"))
		l.conditions = append(l.conditions, condition{nameOfAction(d, place, a), e, extensionOf(n, whenUnknownExtension)})
	}
	return l
}

// nameOfAction names an action of a definition for people: by its id, or else its place.
func nameOfAction(d *fhir.Node, place string, a *fhir.Node) string {
	if id := a.Str("id"); id != "" {
		place = "action " + id
	}
	return place + " of " + canonical(d)
}

func conditionPlace(place string, i int) string { return fmt.Sprintf("%s.condition[%d]", place, i) }

// trigger reads a TriggerDefinition: each data requirement is one way to match.
func (c *compiler) trigger(d *fhir.Node, place string, t *fhir.Node) []trigger {
	for _, m := range t.Members {
		if m.Name != "id" && m.Name != "extension" && m.Name != "type" && m.Name != "data" {
			c.fail(d, place+"."+m.Name, "is not supported")
		}
	}
	if kind := t.Str("type"); kind != "data-added" {
		c.fail(d, place+".type", "%q is not supported; only data-added is", kind)
	}
	var all []trigger
	for i, data := range t.Each("data") {
		at := fmt.Sprintf("%s.data[%d]", place, i)
		if kind := data.Str("type"); kind != "Procedure" {
			c.fail(d, at+".type", "%q is not supported; only Procedure is", kind)
		}
		c.inputs["Procedure"] = true
		for _, m := range data.Members {
			switch m.Name {
			case "id", "extension", "type", "codeFilter", "mustSupport":
			default:
				c.fail(d, at+"."+m.Name, "is not supported")
			}
		}
		var one trigger
		for j, f := range data.Each("codeFilter") {
			one.filters = append(one.filters, c.filter(d, fmt.Sprintf("%s.codeFilter[%d]", at, j), f))
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		c.fail(d, place+".data", "is missing")
	}
	return all
}

func (c *compiler) filter(d *fhir.Node, place string, n *fhir.Node) filter {
	f := filter{path: n.Str("path"), codes: map[coding]bool{}}
	if f.path != "code" && f.path != "bodySite" {
		c.fail(d, place+".path", "%q is not supported; code and bodySite are", f.path)
	}
	for _, code := range n.Each("code") {
		f.codes[codingOf(code).key()] = true
		c.systems[code.Str("system")] = true
	}
	if url := n.Str("valueSet"); url != "" {
		if f.set = c.terms.sets[url]; f.set == nil {
			c.fail(d, place+".valueSet", "no ValueSet %s", url)
		}
	}
	if f.path == "bodySite" && f.set == nil {
		c.fail(d, place, "a filter on bodySite needs a ValueSet")
	}
	if len(f.codes) == 0 && f.set == nil {
		c.fail(d, place, "names no code and no ValueSet")
	}
	return f
}

// activityKinds is the required binding of CarePlan.activity.detail.kind.
var activityKinds = map[string]bool{
	"": true, "Appointment": true, "CommunicationRequest": true, "DeviceRequest": true, "MedicationRequest": true,
	"NutritionOrder": true, "Task": true, "ServiceRequest": true, "VisionPrescription": true,
}

// activity reads an ActivityDefinition.
func (c *compiler) activity(d *fhir.Node) *activity {
	a := &activity{
		canonical: canonical(d), kind: d.Str("kind"), description: d.Str("description"),
		code: d.Get("code"), product: d.Get("productCodeableConcept"), topic: d.Get("topic"),
	}
	if !activityKinds[a.kind] {
		c.fail(d, "kind", "%q cannot be the kind of a care plan activity", a.kind)
	}
	if a.code == nil || a.description == "" {
		c.fail(d, "code, description", "both are needed")
	}
	if flag := d.Get("doNotPerform"); flag != nil {
		a.doNotPerform = flag.Text == "true"
	}
	for _, m := range d.Members {
		switch m.Name {
		case "timingDateTime", "timingAge", "timingPeriod", "timingRange", "timingDuration", "dynamicValue", "quantity", "dosage", "bodySite", "location", "productReference":
			c.fail(d, m.Name, "is not supported")
		}
	}
	for i, p := range d.Each("participant") {
		who := participant{patient: p.Str("type") == "patient", display: p.Str("role", "text")}
		for _, code := range p.Each("role", "coding") {
			who.coding = append(who.coding, codingOf(code))
		}
		if !who.patient && who.display == "" {
			c.fail(d, fmt.Sprintf("participant[%d].role.text", i), "is needed to name the performer")
		}
		a.participants = append(a.participants, who)
	}
	timing := d.Get("timingTiming")
	if a.waits = timing.Str("code", "text"); a.waits == "" {
		for _, c := range timing.Each("code", "coding", "display") {
			a.waits = c.Text
			break
		}
	}
	if repeat := timing.Get("repeat"); repeat != nil {
		count := repeat.Get("count")
		a.once = len(repeat.Members) == 1 && count != nil && count.Text == "1"
		if !a.once {
			a.repeat = repeat.Members
		}
		if repeat.Get("boundsPeriod") != nil || repeat.Get("boundsDuration") != nil || repeat.Get("boundsRange") != nil {
			c.fail(d, "timingTiming.repeat.bounds[x]", "is not supported: the bounds come from relatedAction")
		}
	}
	return a
}
