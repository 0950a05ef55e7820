package careplan

import (
	"slices"
	"strings"

	"aftercare/fhir"
)

// instantLayout is how dateTimes are written.
const instantLayout = "2006-01-02T15:04:05Z07:00"

// software is the author of what is derived, a Device among the definitions.
var software = reference{Reference: Software}

// statusExtension holds the status that the engine last gave a resource. Where the status
// differs, a person has changed it, and their choice stands.
const statusExtension = fhir.Canonical + "/StructureDefinition/derived-status"

// beforeExtension holds the status that something open had before the engine closed it, so
// that reopening gives back what people had done.
const beforeExtension = fhir.Canonical + "/StructureDefinition/status-before"

// opened is the status that the engine gives what is in force.
var opened = map[string]string{"CarePlan": "active", "Task": "requested", "Goal": "active", "DetectedIssue": "final", "CareTeam": "active", "RiskAssessment": "final", "Flag": "active", "CommunicationRequest": "active", impressionType: "in-progress"}

// openStatus are the statuses, of any type, under which there is still something to do.
var openStatus = map[string]bool{
	"draft": true, "active": true, "on-hold": true, "unknown": true, "requested": true, "received": true,
	"accepted": true, "ready": true, "in-progress": true, "proposed": true, "planned": true,
	"not-started": true, "scheduled": true,
}

func statusBefore(status string) raw { return raw{texts("url", beforeExtension, "valueCode", status)} }

func derivedStatus(status string) raw { return raw{texts("url", statusExtension, "valueCode", status)} }

// ownStatus reports that an existing resource has the status that the engine gave it.
func ownStatus(existing *fhir.Node, member string) bool {
	status, derived := existing.Str(member), extensionValue(existing, statusExtension, "valueCode")
	return status == derived || derived == "" && (status == "active" || status == "draft" || status == "requested" || status == "final")
}

// written are members that the engine writes or leaves out as the records say.
var written = []string{
	"statusReason", "_status", "_lifecycleStatus", "startDate", "target", "category", "priority",
	"performerType", "owner", "reasonReference", "implicated",
	"managingOrganization", "telecom",
}

// keepOrUpdate merges what should be with what exists. Where a person has changed the
// status, all that exists stays as it is; else members that the engine does not write
// are kept beside those that it does, and so are the parts that a person has changed, whose
// names it returns.
func (r *records) keepOrUpdate(o object, existing *fhir.Node, status string, parts []string) (object, []string) {
	existing = reopened(existing, status)
	if existing != nil && !ownStatus(existing, status) {
		return members(existing), nil
	}
	now, kept := keepEdits(&o, existing, r.writtenBefore(existing, parts), parts)
	if len(parts) > 0 {
		o.set("extension", append(listIn(o, "extension"), writtenDigests(now)))
	}
	if existing != nil {
		mergeExtensions(&o, existing)
		o.set("statusReason", reasonOfPeople(existing))
		o.keep(existing, written...)
		o.put("meta", existing.Get("meta"))
	}
	o.arrange(orders[o.text("resourceType")])
	return o, kept
}

// withStatus is an existing resource with another status, and whether it was given that. A
// status that a person chose stands, but for two cases: entered-in-error overrules it, and
// force closes what is open, unless the person overruled just that.
func withStatus(existing *fhir.Node, member, status string, force bool) (o object, given bool) {
	existing = reopened(existing, member)
	was, own := existing.Str(member), ownStatus(existing, member)
	overruled := extensionValue(existing, statusExtension, "valueCode") == status
	switch {
	case own || status == "entered-in-error" && was != status:
	case force && openStatus[was] && was != status && !overruled:
	default:
		return members(existing), false
	}
	kind := existing.Str("resourceType")
	extensions := []any{derivedStatus(status)}
	if force && (!own || was == opened[kind]) {
		extensions = append(extensions, statusBefore(was))
	}
	return restated(existing, member, status, extensions), true
}

// reopened is an existing resource as it was before the engine closed it.
func reopened(existing *fhir.Node, member string) *fhir.Node {
	before := extensionValue(existing, beforeExtension, "valueCode")
	if before == "" || !ownStatus(existing, member) {
		return existing
	}
	return restated(existing, member, before, []any{derivedStatus(opened[existing.Str("resourceType")])}).node()
}

// restated is an existing resource with another status and our extensions about it.
func restated(existing *fhir.Node, member, status string, extensions []any) object {
	o := members(existing)
	o.set(member, status)
	for _, x := range existing.Each("extension") {
		if url := x.Str("url"); url != statusExtension && url != beforeExtension {
			extensions = append(extensions, raw{x})
		}
	}
	o.set("extension", extensions)
	o.arrange(orders[existing.Str("resourceType")])
	return o
}

// ownExtensions are those that the engine writes or leaves out as it sees fit.
var ownExtensions = []string{
	factExtension, policyExtension, policyCodeExtension, statusExtension, beforeExtension, writtenExtension, followedExtension, progressExtension, removedExtension, patientExtension,
}

// mergeExtensions adds the extensions of an existing element whose urls are not ours.
func mergeExtensions(o *object, existing *fhir.Node) {
	var foreign []raw
	for _, x := range existing.Each("extension") {
		if !slices.Contains(ownExtensions, x.Str("url")) {
			foreign = append(foreign, raw{x})
		}
	}
	if len(foreign) == 0 {
		return
	}
	var all []raw
	for _, m := range *o {
		if m.Name == "extension" {
			own, err := fhir.Parse(m.Value.Raw)
			if err != nil { // written here: cannot happen
				panic(err)
			}
			all = raws(own.Items)
		}
	}
	o.set("extension", append(all, foreign...))
}

func members(n *fhir.Node) object { return slices.Clone(object(n.Members)) }

func identifierIn(n *fhir.Node, system string) string {
	for _, id := range n.Each("identifier") {
		if id.Str("system") == system {
			return id.Str("value")
		}
	}
	return ""
}

// existingOf are the existing resources of a type, by id.
func (r *records) existingOf(kind string) []Source {
	var found []Source
	for _, s := range r.Existing {
		if s.Type == kind {
			found = append(found, s)
		}
	}
	return found
}

// emit adds a resource to the result, without the members of meta that storing sets.
func (d *derivation) emit(kind, id string, o object, basis []Source, definitions []string) {
	for i, m := range o {
		if m.Name != "meta" {
			continue
		}
		meta := object{}
		for _, mm := range m.Value.Members {
			if mm.Name != "versionId" && mm.Name != "lastUpdated" {
				meta = append(meta, mm)
			}
		}
		if len(meta) == 0 {
			o = slices.Delete(slices.Clone(o), i, i+1)
		} else {
			o = slices.Clone(o)
			o[i].Value = meta.node()
		}
		break
	}
	d.kept[kind+" "+id] = true
	r := Prescribed{Type: kind, ID: id, Basis: basis, Definitions: definitions}
	r.set(o)
	d.result.Resources = append(d.result.Resources, r)
}

// The order of members in the specification.
var (
	carePlanOrder = strings.Fields(`resourceType id meta implicitRules language text contained extension modifierExtension
		identifier instantiatesCanonical instantiatesUri basedOn replaces partOf status intent category title description
		subject encounter period created author contributor careTeam addresses supportingInfo goal activity note`)
	detailOrder = strings.Fields(`id extension modifierExtension kind instantiatesCanonical instantiatesUri code reasonCode
		reasonReference goal status statusReason doNotPerform scheduledTiming scheduledPeriod scheduledString location
		performer productCodeableConcept productReference dailyAmount quantity description`)
	conceptOrder  = []string{"id", "extension", "coding", "text"}
	activityOrder = strings.Fields(`id extension modifierExtension outcomeCodeableConcept outcomeReference progress
		reference detail`)
	goalOrder = strings.Fields(`resourceType id meta implicitRules language text contained extension modifierExtension
		identifier lifecycleStatus achievementStatus category priority description subject startDate startCodeableConcept
		target statusDate statusReason expressedBy addresses note outcomeCode outcomeReference`)
	taskOrder = strings.Fields(`resourceType id meta implicitRules language text contained extension modifierExtension
		identifier instantiatesCanonical instantiatesUri basedOn groupIdentifier partOf status statusReason businessStatus
		intent priority code description focus for encounter executionPeriod authoredOn lastModified requester
		performerType owner location reasonCode reasonReference insurance note relevantHistory restriction input output`)
	detectedIssueOrder = strings.Fields(`resourceType id meta implicitRules language text contained extension
		modifierExtension identifier status code severity patient identifiedDateTime identifiedPeriod author implicated
		evidence detail reference mitigation`)
	careTeamOrder = strings.Fields(`resourceType id meta implicitRules language text contained extension modifierExtension
		identifier status category name subject encounter period participant reasonCode reasonReference managingOrganization
		telecom note`)
	riskOrder = strings.Fields(`resourceType id meta implicitRules language text contained extension modifierExtension
		identifier basedOn parent status method code subject encounter occurrenceDateTime occurrencePeriod condition performer
		reasonCode reasonReference basis prediction mitigation note`)
	messageOrder = strings.Fields(`resourceType id meta implicitRules language text contained extension modifierExtension
		identifier basedOn replaces groupIdentifier status statusReason category priority doNotPerform medium subject about
		encounter payload occurrenceDateTime occurrencePeriod authoredOn requester recipient sender reasonCode reasonReference
		note`)
	flagOrder = strings.Fields(`resourceType id meta implicitRules language text contained extension modifierExtension
		identifier status category code subject period encounter author`)
	orders = map[string][]string{"CarePlan": carePlanOrder, "Goal": goalOrder, "Task": taskOrder, "DetectedIssue": detectedIssueOrder, "CareTeam": careTeamOrder, "RiskAssessment": riskOrder, "Flag": flagOrder, impressionType: impressionOrder, "CommunicationRequest": messageOrder}
)
