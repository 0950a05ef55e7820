package careplan

import (
	"strings"

	"aftercare/fhir"
)

const flagCategorySystem = "http://terminology.hl7.org/CodeSystem/flag-category"

// flags keeps a Flag (https://hl7.org/fhir/R4/flag.html) for every outcome that asks for one
// while it holds, and ends those that no longer hold.
func (d *derivation) flags() {
	holding := map[string]bool{}
	for _, x := range d.detected {
		key := d.ownerKey(x.owner) + "#" + x.outcome.code
		if x.outcome.flag == "" || holding[key] || d.records.deceased() {
			continue
		}
		if was, ok := d.records.existing[existingKey{"Flag", flagSystem, key}]; ok && d.kept["Flag "+was.ID] {
			continue // closed with its plan, or left as it is
		}
		holding[key] = true
		existing, exists := d.records.existing[existingKey{"Flag", flagSystem, key}]
		id, since := existing.ID, d.records.At.Format(instantLayout)
		var was *fhir.Node
		if !exists {
			id = d.records.newID("Flag", hashID(d.records.Subject, key, "flag"))
		} else {
			was = existing.Node
			if on := was.Str("period", "start"); on != "" {
				since = on
			}
		}
		o := object{}
		o.set("resourceType", "Flag")
		o.set("id", id)
		o.set("language", "en-GB")
		o.set("extension", []any{derivedStatus("active")})
		o.set("identifier", []identifier{{flagSystem, key}})
		o.set("status", "active")
		o.set("category", []concept{{Coding: []coding{{System: flagCategorySystem, Code: x.outcome.flag}}}})
		o.set("code", concept{Coding: []coding{{outcomeSystem, x.outcome.code, x.outcome.display}}, Text: x.outcome.text})
		o.set("subject", reference{Reference: d.records.Subject})
		o.set("period", period{Start: since})
		o.set("author", software)
		if exists && ownStatus(was, "status") && was.Str("status") == "inactive" {
			was = restated(was, "status", "active", []any{derivedStatus("active")}).node()
		}
		o, _ = d.records.keepOrUpdate(o, was, "status", nil)
		var basis []Source
		for _, p := range x.procedures {
			basis = append(basis, p.Source)
		}
		d.emit("Flag", id, o, basis, nil)
	}
	for _, s := range d.records.existingOf("Flag") {
		key := identifierIn(s.Node, flagSystem)
		if key == "" || holding[key] || d.kept["Flag "+s.ID] || d.incomplete {
			continue
		}
		o, given := withStatus(s.Node, "status", "inactive", false)
		if given && s.Node.Str("status") != "inactive" {
			o.set("period", period{s.Node.Str("period", "start"), d.records.At.Format(instantLayout)})
		}
		d.emit("Flag", s.ID, o, nil, nil)
	}
}

// ownerKey begins the identifier of a Flag. What a plan owns begins with the key of the
// plan, so that it is closed with it.
func (d *derivation) ownerKey(owner string) string {
	if strings.Contains(owner, "/") {
		return hashID(d.records.Subject, owner)
	}
	return owner
}
