package careplan

import (
	"strconv"
	"strings"

	"github.com/google/uuid"

	"aftercare/fhir"
)

// The identifier systems of derived resources.
const (
	planSystem     = fhir.Canonical + "/identifier/care-plan"
	goalSystem     = fhir.Canonical + "/identifier/goal"
	activitySystem = fhir.Canonical + "/identifier/activity"
	issueSystem    = fhir.Canonical + "/identifier/detected-issue"
	flagSystem     = fhir.Canonical + "/identifier/flag"
)

var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte(fhir.Canonical))

// planID is the identity of the care plan for the nth anchor (from 1) at a site, and of the
// plan that replaces it after each revision (from 1; 0 for none). It is a hash: neither patient
// nor site can be read from it.
func planID(subject string, s site, protocol string, nth, revision int) string {
	parts := []string{subject, s.bone.System, s.bone.Code, s.side.System, s.side.Code, protocol, strconv.Itoa(nth)}
	if revision > 0 {
		parts = append(parts, "revision", strconv.Itoa(revision))
	}
	return hashID(parts...)
}

// newID is the id of a new resource: the one wanted, or, where a resource that has moved has that,
// one made from it.
func (r *records) newID(kind, wanted string) string {
	for r.existingAt(kind, wanted) != nil || r.Taken[kind+"/"+wanted] {
		wanted = hashID(wanted, "another")
	}
	return wanted
}

// hashID is a version 5 UUID over the parts, which may hold any text.
func hashID(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)))
		b.WriteByte(':')
		b.WriteString(p)
	}
	return uuid.NewSHA1(namespace, []byte(b.String())).String()
}
