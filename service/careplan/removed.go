package careplan

import (
	"slices"
	"strings"

	"aftercare/fhir"
)

// What a person takes out of a plan stays out, and the plan remembers it: an activity that is no
// longer among its activities, and a Task or a Goal that was deleted. It comes back when a person
// puts it there again. Flags, DetectedIssues, RiskAssessments and the CareTeam only say what holds;
// they are written again for as long as it does.

// removedExtension names on a plan what a person has taken out of it, as the type (Activity, Task
// or Goal), a slash and the element id of the activity, or the id of the goal.
const removedExtension = fhir.Canonical + "/StructureDefinition/removed"

// activityKind is the type by which removedExtension names activities.
const activityKind = "Activity"

// removals are what people have taken out of the plan, as removedExtension names it, from what the
// plan remembers and what is not there any more.
type removals struct {
	all map[string]bool
	// written are the ids of the activities that the engine wrote last.
	written []string
}

func (p *plan) readRemovals() {
	p.gone = removals{all: map[string]bool{}}
	from := p.existing
	if from != nil && extensionOf(from, writtenExtension) == nil { // a client has dropped it, or it is old
		from = p.d.records.lastWritten(from)
		if extensionOf(from, writtenExtension) == nil {
			for _, a := range from.Each("activity") {
				if p.d.engine.derived(a) {
					p.gone.written = append(p.gone.written, a.Str("id"))
				}
			}
		}
	}
	if _, ids, _ := strings.Cut(extensionValue(from, writtenExtension, "valueString"), " "); ids != "" {
		p.gone.written = strings.Fields(ids)
	}
	for _, x := range from.Each("extension") {
		if x.Str("url") == removedExtension {
			p.gone.all[x.Str("valueString")] = true
		}
	}
}

// removedActivity reports that a person has taken an activity out of the plan, which is there no
// more if was is nil.
func (p *plan) removedActivity(id string, was *fhir.Node) bool {
	name := activityKind + "/" + id
	if was != nil {
		delete(p.gone.all, name)
	} else if slices.Contains(p.gone.written, id) {
		p.gone.all[name] = true
	}
	return p.gone.all[name]
}

// removed reports that a person has deleted what the plan has under an identifier.
func (p *plan) removed(kind, system, id string) bool {
	name, key := kind+"/"+id, p.key+"#"+id
	if _, exists := p.d.records.existing[existingKey{kind, system, key}]; exists {
		delete(p.gone.all, name)
	} else if p.d.records.deleted(kind, system, key) != nil {
		p.gone.all[name] = true
	}
	return p.gone.all[name]
}

// extensions are what the plan says of itself: its status as derived, what was written, and
// what people have taken out. now are the digests of its parts.
func (p *plan) extensions(status, now string, activities []*fhir.Node) []any {
	var ids []string
	for _, a := range activities {
		if p.prescribed[a.Str("id")] {
			ids = append(ids, a.Str("id"))
		}
	}
	list := []any{derivedStatus(status), writtenDigests(strings.Join(append([]string{now}, ids...), " "))}
	var gone []string
	for name := range p.gone.all {
		gone = append(gone, name)
	}
	slices.Sort(gone)
	for _, name := range gone {
		list = append(list, struct {
			URL   string `json:"url"`
			Value string `json:"valueString"`
		}{removedExtension, name})
	}
	return list
}
