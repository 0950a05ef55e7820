package careplan

import (
	"slices"
	"strings"

	"aftercare/fhir"
)

// flagDetailExtension is the extension of the standard that says what a Flag is about
// (https://hl7.org/fhir/R4/extension-flag-detail.html).
const flagDetailExtension = "http://hl7.org/fhir/StructureDefinition/flag-detail"

// task asks those whom the conclusions name, by one Task for an interpretation. It reports whether
// there is one that is open. made is the ClinicalImpression.
func (k *keeper) task(i Interpretation, report Source, made object, impression, value string, stands bool) (open bool) {
	var texts []string
	var about []coding
	var roles []concept
	priority := ""
	for _, s := range i.Conclusions {
		if len(s.rule.asked) == 0 {
			continue
		}
		texts = append(texts, s.Text)
		about = append(about, coding{painStatements, s.Code, k.engine.terms.concepts[s.rule.code.key()].Str("display")})
		if slices.Index(priorities, s.Priority) > slices.Index(priorities, priority) {
			priority = s.Priority
		}
		for _, role := range s.rule.asked {
			if len(role.Coding) > 0 && !slices.ContainsFunc(roles, func(r concept) bool { return slices.Equal(r.Coding, role.Coding) }) {
				roles = append(roles, role)
			}
		}
	}
	was, exists := k.records.existing[existingKey{"Task", interpretationSystem, value}]
	if !exists && k.records.deleted("Task", interpretationSystem, value) != nil {
		return false // a person has taken it out
	}
	if !exists && k.answered(made, i.reported, about) {
		return false
	}
	if len(texts) == 0 || !stands {
		if exists {
			o, given := withStatus(was.Node, "status", "cancelled", true)
			k.end(was, o, given, "pain-withdrawn", nil)
		}
		return false
	}
	id, authored := impression, k.records.At.Format(instantLayout)
	if exists {
		id = was.ID
		if on := was.Node.Str("authoredOn"); on != "" {
			authored = on
		}
	}
	o := object{}
	o.set("resourceType", "Task")
	o.set("id", id)
	o.set("language", "en-GB")
	o.set("extension", []any{derivedStatus(opened["Task"])})
	o.set("identifier", []identifier{{interpretationSystem, value}})
	if i.Plan != "" {
		o.set("basedOn", []reference{{Reference: i.Plan}})
	}
	o.set("status", opened["Task"])
	o.set("intent", "proposal")
	o.set("priority", priority)
	o.set("code", concept{Coding: about})
	if listed := k.engine.candidates(i); listed != "" {
		texts = append(texts, listed)
	}
	o.set("description", strings.Join(texts, " "))
	o.set("focus", reference{Reference: report.ref()})
	o.set("for", reference{Reference: k.records.Subject})
	o.set("authoredOn", authored)
	o.set("requester", software)
	o.set("performerType", roles)
	o.put("owner", i.anchor.performer(roles))
	o.set("reasonReference", reference{Reference: impressionType + "/" + impression})
	o, _ = k.records.keepOrUpdate(o, was.Node, "status", taskParts)
	o.arrange(taskOrder)
	k.put("Task", id, o, i, report)
	return openStatus[o.text("status")]
}

// priorities are those of the standard, the least first
// (https://hl7.org/fhir/R4/valueset-request-priority.html).
var priorities = []string{"routine", "urgent", "asap", "stat"}

// performer is who did the operations in one of the roles, nil where that is not one alone.
func (a *anchor) performer(roles []concept) *fhir.Node {
	var found *fhir.Node
	for _, p := range a.performers {
		if !slices.ContainsFunc(roles, func(r concept) bool {
			return anyCoding(p.functions, func(c coding) bool {
				return anyCoding(r.Coding, func(o coding) bool { return o.key() == c.key() })
			})
		}) {
			continue
		}
		if found != nil && found.Str("reference") != p.actor.Str("reference") {
			return nil
		}
		found = p.actor
	}
	return found
}

// flag keeps a Flag for an interpretation while its Task is open.
func (k *keeper) flag(i Interpretation, report Source, impression, value string, open bool) {
	was, exists := k.records.existing[existingKey{"Flag", interpretationSystem, value}]
	if !open || len(i.flags) == 0 {
		if exists {
			k.endFlag(was, "inactive")
		}
		return
	}
	id, since := impression, k.records.At.Format(instantLayout)
	if exists {
		id = was.ID
		if on := was.Node.Str("period", "start"); on != "" {
			since = on
		}
	}
	var codes []coding
	var texts []string
	category := ""
	for _, code := range i.flags {
		out := k.engine.terms.outcome(code)
		codes, texts, category = append(codes, coding{outcomeSystem, out.code, out.display}), append(texts, out.text), out.flag
	}
	o := object{}
	o.set("resourceType", "Flag")
	o.set("id", id)
	o.set("language", "en-GB")
	o.set("extension", []any{derivedStatus(opened["Flag"]), extended(flagDetailExtension, "valueReference", reference{Reference: impressionType + "/" + impression})})
	o.set("identifier", []identifier{{interpretationSystem, value}})
	o.set("status", opened["Flag"])
	o.set("category", []concept{{Coding: []coding{{System: flagCategorySystem, Code: category}}}})
	o.set("code", concept{Coding: codes, Text: strings.Join(texts, " ")})
	o.set("subject", reference{Reference: k.records.Subject})
	o.set("period", period{Start: since})
	o.set("author", software)
	o, _ = k.records.keepOrUpdate(o, withoutExtension(was.Node, flagDetailExtension), "status", nil)
	k.put("Flag", id, o, i, report)
}

// withoutExtension is an element less an extension, nil for nil.
func withoutExtension(n *fhir.Node, url string) *fhir.Node {
	if extensionOf(n, url) == nil {
		return n
	}
	o := members(n).without("extension")
	var kept []raw
	for _, x := range n.Each("extension") {
		if x.Str("url") != url {
			kept = append(kept, raw{x})
		}
	}
	o.set("extension", kept)
	return o.node()
}

func (k *keeper) endFlag(was Source, status string) {
	o, given := withStatus(was.Node, "status", status, true)
	if given {
		ended := was.Node.Str("period", "end")
		if ended == "" || was.Node.Str("status") == opened["Flag"] {
			ended = k.records.At.Format(instantLayout)
		}
		o.set("period", period{was.Node.Str("period", "start"), ended})
		o.arrange(flagOrder)
	}
	k.emit("Flag", was.ID, o, nil, nil)
}

// issues keeps a DetectedIssue (https://hl7.org/fhir/R4/detectedissue.html) for each conflict or
// contradiction in what was reported.
func (k *keeper) issues(i Interpretation, report Source, key string) {
	for _, code := range i.Issues {
		out, value := k.engine.terms.outcome(code), key+"#"+code
		was, exists := k.records.existing[existingKey{"DetectedIssue", interpretationSystem, value}]
		id, identified := was.ID, k.records.At.Format(instantLayout)
		if !exists {
			id = k.records.newID("DetectedIssue", hashID(key, code))
		} else if on := was.Node.Str("identifiedDateTime"); on != "" {
			identified = on
		}
		o := object{}
		o.set("resourceType", "DetectedIssue")
		o.set("id", id)
		o.set("language", "en-GB")
		o.set("extension", []any{derivedStatus(opened["DetectedIssue"])})
		o.set("identifier", []identifier{{interpretationSystem, value}})
		o.set("status", opened["DetectedIssue"])
		o.set("code", concept{Coding: []coding{{outcomeSystem, out.code, out.display}}})
		o.set("severity", out.detected)
		o.set("patient", reference{Reference: k.records.Subject})
		o.set("identifiedDateTime", identified)
		o.set("author", software)
		implicated := []reference{{Reference: report.ref()}}
		for _, s := range i.anchor.records {
			if s.Type == "Procedure" {
				implicated = append(implicated, reference{Reference: s.ref()})
			}
		}
		o.set("implicated", implicated)
		o.set("detail", out.text)
		o, _ = k.records.keepOrUpdate(o, was.Node, "status", nil)
		k.put("DetectedIssue", id, o, i, report)
	}
}

// closeIssues cancels the issues that no longer hold of what is looked at, but for reports that
// could not be interpreted.
func (k *keeper) closeIssues(failed []string) {
	for _, s := range k.records.existingOf("DetectedIssue") {
		of := OfReport(s.Node)
		if identifierIn(s.Node, interpretationSystem) == "" || k.kept["DetectedIssue "+s.ID] || !k.looked(of) ||
			slices.ContainsFunc(of, func(ref string) bool { return slices.Contains(failed, ref) }) {
			continue
		}
		o, _ := withStatus(s.Node, "status", "cancelled", false)
		k.emit("DetectedIssue", s.ID, o, nil, nil)
	}
}
