package careplan

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"aftercare/fhir"
)

// writtenExtension holds a short digest of each part that the engine last wrote: 4
// characters a part, in the order of the parts. A part that differs from its digest was
// changed by a person, and stays as that person left it. Where the digests are missing, as in
// what was written before there were any, those of the last version that derivations wrote take
// their place (Case.Written). Without that, all that differs counts as a person's. On a plan, the
// ids of the activities that the engine wrote follow, each behind a space: one that is missing
// later was taken out by a person.
const writtenExtension = fhir.Canonical + "/StructureDefinition/written"

// The parts whose digests are kept. A new one goes to the end of its list.
var (
	detailParts = []string{"kind", "code", "goal", "doNotPerform", "scheduled", "performer", "productCodeableConcept", "description"}
	planParts   = []string{"title", "period", "author"}
	taskParts   = []string{"code", "description", "performerType", "owner", "reasonReference", "restriction", "priority"}
	goalParts   = []string{"category", "priority", "description", "startDate", "target"}
)

// digestLength is the number of characters of one digest: 24 bits in base64.
const digestLength = 4

// inPart reports that a member belongs to a part: scheduled[x] is one part.
func inPart(member, part string) bool {
	member = strings.TrimPrefix(member, "_")
	return member == part || part == "scheduled" && strings.HasPrefix(member, part)
}

// digests are the digests of the parts of an object, one behind the other. They depend on
// what the values mean in JSON, not on white space, escapes or the order of members.
func digests(n *fhir.Node, parts []string) string {
	var b strings.Builder
	var text []byte
	var members []fhir.Member
	for _, part := range parts {
		text, members = text[:0], members[:0]
		for _, m := range n.Members {
			if inPart(m.Name, part) {
				members = append(members, m)
			}
		}
		text = appendMeaning(text, &fhir.Node{Kind: fhir.Object, Members: members})
		sum := sha256.Sum256(text)
		b.WriteString(base64.RawURLEncoding.EncodeToString(sum[:digestLength*3/4]))
	}
	return b.String()
}

// appendMeaning writes a value in a form that is the same for equal values, and for no others.
func appendMeaning(b []byte, n *fhir.Node) []byte {
	b = append(b, byte(n.Kind))
	b = strconv.AppendInt(b, int64(len(n.Text)+len(n.Members)+len(n.Items)), 10)
	b = append(append(b, ':'), n.Text...)
	list := n.Members
	byName := func(a, b fhir.Member) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(list, byName) {
		list = slices.SortedFunc(slices.Values(list), byName)
	}
	for _, m := range list {
		b = appendMeaning(append(append(b, m.Name...), ':'), m.Value)
	}
	for _, item := range n.Items {
		b = appendMeaning(b, item)
	}
	return b
}

// keepEdits puts into o, which holds what the engine would write, the parts that a person
// has changed in what exists, and returns their names with the digests of what the engine
// would write. before are the digests of what it wrote last.
func keepEdits(o *object, existing *fhir.Node, before string, parts []string) (now string, kept []string) {
	for _, m := range *o {
		if slices.ContainsFunc(parts, func(part string) bool { return inPart(m.Name, part) }) {
			parsed(m.Value)
		}
	}
	now = digests(&fhir.Node{Kind: fhir.Object, Members: *o}, parts)
	for _, part := range editedParts(existing, before, parts) {
		i := slices.Index(parts, part) * digestLength
		if digests(existing, []string{part}) == now[i:i+digestLength] {
			continue // by now the plan says the same
		}
		kept = append(kept, part)
		*o = slices.DeleteFunc(*o, func(m fhir.Member) bool { return inPart(m.Name, part) })
		for _, m := range existing.Members {
			if inPart(m.Name, part) {
				*o = append(*o, m)
			}
		}
	}
	return now, kept
}

// editedParts are the parts of what exists that differ from what the engine wrote. A part whose
// digest is missing differs.
func editedParts(existing *fhir.Node, before string, parts []string) (found []string) {
	if existing == nil {
		return nil
	}
	was := digests(existing, parts)
	for i, part := range parts {
		from, to := i*digestLength, (i+1)*digestLength
		if to > len(before) || before[from:to] != was[from:to] {
			found = append(found, part)
		}
	}
	return found
}

func writtenDigests(digests string) raw {
	return raw{texts("url", writtenExtension, "valueString", digests)}
}

// writtenIn are the digests that an element carries, "" for none.
func writtenIn(n *fhir.Node) string {
	digests, _, _ := strings.Cut(extensionValue(n, writtenExtension, "valueString"), " ")
	return digests
}

// writtenBefore are the digests of the parts of a resource as the engine last wrote them, "" where
// nobody knows.
func (r *records) writtenBefore(existing *fhir.Node, parts []string) string {
	if before := writtenIn(existing); before != "" || existing == nil {
		return before
	}
	last := r.lastWritten(existing)
	if before := writtenIn(last); before != "" || last == nil {
		return before
	}
	return digests(last, parts)
}

// activityBefore is writtenBefore for an activity of the plan.
func (p *plan) activityBefore(a *fhir.Node) string {
	if before := writtenIn(a); before != "" {
		return before
	}
	for _, last := range p.d.records.lastWritten(p.existing).Each("activity") {
		if last.Str("id") != a.Str("id") {
			continue
		}
		if before := writtenIn(last); before != "" {
			return before
		}
		return digests(last.Get("detail"), detailParts)
	}
	return ""
}

// partsOf are the parts of resources whose digests are kept, by type.
func partsOf(typ string) []string {
	switch typ {
	case "CarePlan":
		return planParts
	case "Task":
		return taskParts
	case "Goal":
		return goalParts
	case impressionType:
		return impressionParts
	}
	return nil
}

// digestsCarried is a resource that the engine has rewritten from another, with the digests of the
// parts that nobody has changed made those of what they are now.
func digestsCarried(was, now *fhir.Node) *fhir.Node {
	o := members(digestCarried(was, now, was, now, partsOf(was.Str("resourceType"))))
	if was.Str("resourceType") != "CarePlan" {
		return o.node()
	}
	before := was.Each("activity")
	var list []raw
	for i, a := range now.Each("activity") {
		list = append(list, raw{digestCarried(before[i], a, before[i].Get("detail"), a.Get("detail"), detailParts)})
	}
	o.set("activity", list)
	return o.node()
}

// digestCarried is an element with its digests, where the parts are those of an object was, which
// is now another.
func digestCarried(wasElement, element, was, now *fhir.Node, parts []string) *fhir.Node {
	before := writtenIn(wasElement)
	if before == "" || now == nil || len(before) > len(parts)*digestLength {
		return element
	}
	old, carried := digests(was, parts), ""
	for i, digest := range splitDigests(digests(now, parts)) {
		if from := i * digestLength; from+digestLength > len(before) {
			break
		} else if written := before[from : from+digestLength]; written == old[from:from+digestLength] {
			carried += digest
		} else {
			carried += written
		}
	}
	if carried == before {
		return element
	}
	var extensions []raw
	for _, x := range element.Each("extension") {
		if x.Str("url") == writtenExtension {
			x = writtenDigests(carried + strings.TrimPrefix(x.Str("valueString"), before)).Node
		}
		extensions = append(extensions, raw{x})
	}
	o := members(element)
	o.set("extension", extensions)
	return o.node()
}

func splitDigests(digests string) (list []string) {
	for ; len(digests) >= digestLength; digests = digests[digestLength:] {
		list = append(list, digests[:digestLength])
	}
	return list
}

// lastWritten is the last version of a resource that derivations wrote, nil where that is not
// known.
func (r *records) lastWritten(existing *fhir.Node) *fhir.Node {
	return r.Written[existing.Str("resourceType")+"/"+existing.Str("id")]
}

// LacksDigests reports that a derived resource does not say what the engine wrote last, although
// that may matter: its last version that derivations wrote belongs into Case.Written.
func (e *Engine) LacksDigests(s Source) bool {
	switch s.Type {
	case "Task", "Goal", impressionType:
		member := "status"
		if s.Type == "Goal" {
			member = "lifecycleStatus"
		}
		return writtenIn(s.Node) == "" && ownStatus(unfollowed(reopened(s.Node, member), opened[s.Type]), member)
	case "CarePlan":
		if endedByPerson(reopened(s.Node, "status")) {
			return false
		}
		return writtenIn(s.Node) == "" || slices.ContainsFunc(s.Node.Each("activity"), func(a *fhir.Node) bool {
			return writtenIn(a) == "" && e.derived(a)
		})
	}
	return false
}
