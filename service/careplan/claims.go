package careplan

import (
	"slices"
	"strings"

	"aftercare/fhir"
)

// claim gives every course the existing plan that is about the same operations, or else the
// one under its key, and puts that plan and what belongs to it under the key of the course. So
// a plan follows its operations where their site turns out to be another, or where an earlier
// anchor becomes known, and keeps what people did.
func (d *derivation) claim(p *protocol, courses []*course) map[*course]Source {
	var plans []Source
	for _, s := range d.records.existingOf("CarePlan") {
		if d.protocolOf(s.Node) == p && identifierIn(s.Node, planSystem) != "" && !d.kept["CarePlan "+s.ID] {
			plans = append(plans, s)
		}
	}
	claimed := map[*course]Source{}
	take := func(fits func(c *course, s Source) bool) {
		for _, c := range courses {
			if _, has := claimed[c]; has {
				continue
			}
			best := -1
			for i, s := range plans {
				if fits(c, s) && (best < 0 || len(d.about(s)) < len(d.about(plans[best]))) {
					best = i
				}
			}
			if best >= 0 {
				claimed[c] = plans[best]
				plans = slices.Delete(plans, best, best+1)
			}
		}
	}
	sameKey := func(c *course, s Source) bool { return identifierIn(s.Node, planSystem) == d.key(p, c) }
	take(func(c *course, s Source) bool { return sameKey(c, s) && d.shares(c, s) })
	take(d.shares)
	take(sameKey)
	moves, taken := map[string]string{}, map[string]bool{}
	for c, s := range claimed {
		moves[identifierIn(s.Node, planSystem)] = d.key(p, c)
	}
	for _, c := range courses {
		taken[d.key(p, c)] = true
	}
	for _, s := range plans { // what nobody claims makes room
		if key := identifierIn(s.Node, planSystem); taken[key] {
			moves[key] = hashID(s.ID, "without a place")
		}
	}
	d.records.move(moves)
	for c, s := range claimed {
		claimed[c] = *d.records.existingAt(s.Type, s.ID)
	}
	return claimed
}

// move gives plans other keys, from the old to the new, and all that carries the old ones too.
func (r *records) move(moves map[string]string) {
	for i, s := range r.Existing {
		r.Existing[i].Node = r.moved(s, moves)
	}
	r.index()
}

func (r *records) moved(s Source, moves map[string]string) *fhir.Node {
	var list []raw
	changed := false
	for _, id := range s.Node.Each("identifier") {
		value := id.Str("value")
		key, part, within := strings.Cut(value, "#")
		if to, moves := moves[key]; moves && strings.HasPrefix(id.Str("system"), fhir.Canonical) {
			if value = to; within {
				value += "#" + part
			}
		}
		if id.Str("system") == issueSystem {
			value = movedIssue(s.Node, value, moves)
		}
		if value != id.Str("value") {
			o := members(id)
			o.set("value", value)
			id, changed = o.node(), true
		}
		list = append(list, raw{id})
	}
	if !changed {
		return s.Node
	}
	o := members(s.Node)
	o.set("identifier", list)
	return o.node()
}

// movedIssue is the identifier of an issue about a plan that has another key now.
func movedIssue(n *fhir.Node, value string, moves map[string]string) string {
	subject := n.Str("patient", "reference")
	for from, to := range moves {
		for _, c := range n.Each("code", "coding") {
			if code := c.Str("code"); value == hashID(subject, from, code) {
				return hashID(subject, to, code)
			}
		}
	}
	return value
}

// about are the Procedures that a plan names.
func (d *derivation) about(s Source) []string {
	var refs []string
	for _, n := range s.Node.Each("supportingInfo", "reference") {
		if ref := d.records.localRef(n.Text); strings.HasPrefix(ref, "Procedure/") {
			refs = append(refs, ref)
		}
	}
	return refs
}

// shares reports that a plan names an operation of a course.
func (d *derivation) shares(c *course, s Source) bool {
	about := d.about(s)
	return slices.ContainsFunc(c.operations, func(op *procedure) bool { return slices.Contains(about, op.ref()) })
}

func (d *derivation) key(p *protocol, c *course) string {
	return planID(d.records.Subject, c.site, p.url, c.nth, c.revision)
}
