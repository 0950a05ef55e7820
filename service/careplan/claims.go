package careplan

import (
	"slices"
	"strings"

	"aftercare/fhir"
)

// claim gives every course the existing plan that is about the same operations, or else the
// one under its key, and puts that plan and what belongs to it under the key of the course. So
// a plan follows its operations where their site turns out to be another, or where an earlier
// anchor becomes known, and keeps what people did. Of several plans for the same operations, as
// those of merged patients, one with something begun stays.
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
	take(func(c *course, s Source) bool { return sameKey(c, s) && d.shares(c, s) && inUse(s) })
	take(func(c *course, s Source) bool { return d.isOf(c, s) && inUse(s) })
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
		r.change(i, r.rekeyed(s, moves))
	}
	r.index()
}

// rekeyed is a derived resource with the identifiers that it has after moves.
func (r *records) rekeyed(s Source, moves map[string]string) *fhir.Node {
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

// Following are those of the derived resources of one patient that follow operations of another: the
// plans that name one of its Procedures, and what belongs to them. Where records that were
// taken for one person turn out to be of two, plans go back by it.
func Following(existing, inputs []Source) []Source {
	own := map[string]bool{}
	for _, s := range inputs {
		own[s.ref()] = true
	}
	keys := map[string]bool{}
	for _, s := range existing {
		for _, n := range s.Node.Each("supportingInfo", "reference") {
			if ref := fhir.ParseReference(n.Text, ""); s.Type == "CarePlan" && ref.Type == "Procedure" && own["Procedure/"+ref.ID] {
				keys[identifierIn(s.Node, planSystem)] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(existing), func(s Source) bool {
		return !slices.ContainsFunc(s.Node.Each("identifier", "value"), func(n *fhir.Node) bool {
			key, _, _ := strings.Cut(n.Text, "#")
			return keys[key]
		})
	})
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

// isOf reports that a plan names an operation of a course, and none of another.
func (d *derivation) isOf(c *course, s Source) bool {
	return d.shares(c, s) && !slices.ContainsFunc(d.about(s), func(ref string) bool {
		p := d.records.byID[ref]
		return p != nil && p.action != nil && !slices.Contains(c.operations, p)
	})
}

// inUse reports that something of a plan has been done, or is under way.
func inUse(s Source) bool {
	return slices.ContainsFunc(s.Node.Each("activity"), func(a *fhir.Node) bool { return !replaceable(reopenedActivity(a)) })
}

func (d *derivation) key(p *protocol, c *course) string {
	return planID(d.records.Subject, c.site, p.url, c.nth, c.revision)
}

// storeMoved adds to the result what has moved and was left alone otherwise.
func (d *derivation) storeMoved() {
	for _, s := range d.records.Existing {
		if d.records.moved[s.ref()] && !d.kept[s.Type+" "+s.ID] {
			d.emit(s.Type, s.ID, members(s.Node), nil, nil)
		}
	}
}

// SubjectOf is the reference to the patient of a derived resource.
func SubjectOf(n *fhir.Node) string {
	for _, name := range []string{"subject", "for", "patient"} {
		if ref := n.Str(name, "reference"); ref != "" {
			return ref
		}
	}
	return ""
}

// ofSubject rewrites a derived resource of another record of the same person, so that all its
// references to that record are to the one in use.
func (r *records) ofSubject(n *fhir.Node) *fhir.Node {
	was := r.localRef(SubjectOf(n))
	if was == r.Subject || !strings.HasPrefix(was, SubjectType+"/") {
		return n
	}
	return r.rewritten(n, was)
}

func (r *records) rewritten(n *fhir.Node, was string) *fhir.Node {
	switch n.Kind {
	case fhir.Array:
		var list []raw
		for _, item := range n.Items {
			list = append(list, raw{r.rewritten(item, was)})
		}
		parsed, err := fhir.Parse(encode(list))
		if err != nil { // written here: cannot happen
			panic(err)
		}
		return parsed
	case fhir.Object:
		o := members(n)
		for i, m := range o {
			if m.Name == "reference" && m.Value.Kind == fhir.String && r.localRef(m.Value.Text) == was {
				o[i].Value = &fhir.Node{Kind: fhir.String, Raw: encode(r.Subject), Text: r.Subject}
			} else if m.Value.Kind == fhir.Array || m.Value.Kind == fhir.Object {
				o[i].Value = r.rewritten(m.Value, was)
			}
		}
		return o.node()
	}
	return n
}
