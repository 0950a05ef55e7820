package careplan

import (
	"slices"
	"strings"

	"aftercare/fhir"
)

// What a late record of an operation changes makes another interpretation, also where it finds the
// same. Whoever has answered the Task of the one before is not asked the same again.

// reportedIn writes the digest of a report behind the digests of what the engine wrote in its
// ClinicalImpression.
func reportedIn(impression object, reported string) {
	list := listIn(impression, "extension")
	for i, x := range list {
		if x.Str("url") == writtenExtension && !strings.Contains(x.Str("valueString"), " ") {
			list[i] = writtenDigests(x.Str("valueString") + " " + reported)
		}
	}
	impression.set("extension", list)
}

// answered reports that a person has finished a Task that asked the same of an interpretation before
// this one: the report was the same, and so were the causes with their scores.
func (k *keeper) answered(made object, reported string, about []coding) bool {
	before := memberOf(made, "previous").Str("reference")
	if before == "" {
		return false
	}
	found, seen := foundIn(made.node()), map[string]bool{}
	for before != "" {
		s := k.records.existingAt(impressionType, strings.TrimPrefix(before, impressionType+"/"))
		if s == nil || seen[before] {
			return false
		}
		seen[before] = true
		if _, digest, _ := strings.Cut(extensionValue(s.Node, writtenExtension, "valueString"), " "); digest != reported || !slices.Equal(foundIn(s.Node), found) {
			return false
		}
		if task, ok := k.records.existing[existingKey{"Task", interpretationSystem, identifierIn(s.Node, interpretationSystem)}]; ok {
			same := slices.EqualFunc(codingsAt(task.Node, "code", "coding"), about, func(a, b coding) bool { return a.key() == b.key() })
			return same && finishedTask[task.Node.Str("status")] && !ownStatus(task.Node, "status")
		}
		before = s.Node.Str("previous", "reference")
	}
	return false
}

// foundIn are the causes in a ClinicalImpression with their scores.
func foundIn(impression *fhir.Node) (found []string) {
	for _, f := range impression.Each("finding") {
		for _, c := range f.Each("itemCodeableConcept", "coding", "code") {
			score := ""
			for _, x := range f.Each("extension") {
				if x.Str("url") == scoreExtension {
					score = x.Get("valueInteger").Text
				}
			}
			found = append(found, c.Text+" "+score)
		}
	}
	return found
}
