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
// those of merged patients, one with something begun stays. A course that has none gets the one that
// people have deleted, if there is such a one.
func (d *derivation) claim(p *protocol, courses []*course) map[*course]Source {
	plans := d.plansOf(p, courses, d.records.existingOf("CarePlan"))
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
	unclaimed := plans
	plans = d.plansOf(p, courses, d.records.Deleted)
	take(d.shares)
	take(sameKey)
	moves, taken := map[string]string{}, map[string]bool{}
	for c, s := range claimed {
		moves[identifierIn(s.Node, planSystem)] = d.key(p, c)
	}
	for _, c := range courses {
		taken[d.key(p, c)] = true
	}
	for _, s := range unclaimed { // what nobody claims makes room
		if key := identifierIn(s.Node, planSystem); taken[key] {
			moves[key] = hashID(s.ID, "without a place")
		}
	}
	d.records.move(moves)
	for c, s := range claimed {
		if now := d.records.existingAt(s.Type, s.ID); now != nil {
			claimed[c] = *now
		}
	}
	return claimed
}

// plansOf are those of the given resources that are plans by a protocol, also where a client has
// dropped its name.
func (d *derivation) plansOf(p *protocol, courses []*course, from []Source) (plans []Source) {
	for _, s := range from {
		key := identifierIn(s.Node, planSystem)
		if s.Type != "CarePlan" || key == "" || d.kept["CarePlan "+s.ID] {
			continue
		}
		unnamed := s.Node.Get("instantiatesCanonical") == nil && slices.ContainsFunc(courses, func(c *course) bool { return d.key(p, c) == key })
		if unnamed || d.protocolOf(s.Node) == p {
			plans = append(plans, s)
		}
	}
	return plans
}

// deletedPlan reports that a plan is one that a person has deleted.
func (d *derivation) deletedPlan(id string) bool {
	return slices.ContainsFunc(d.records.Deleted, func(s Source) bool { return s.Type == "CarePlan" && s.ID == id })
}

// asksAnew reports that an operation of a course has come to be known since a plan was deleted: one
// that the plan does not name.
func (d *derivation) asksAnew(c *course, deleted *fhir.Node) bool {
	about := d.about(Source{Node: deleted})
	return slices.ContainsFunc(c.usable(), func(op *procedure) bool { return !slices.Contains(about, op.ref()) })
}

// leaveDeleted ends what belongs to a plan that a person has deleted, and tells about it.
func (d *derivation) leaveDeleted(c *course, key string, deleted Source) {
	const reason = "plan-deleted"
	for _, op := range c.operations {
		if op.usable() {
			d.tell(reason, op.ref(), op)
		} else {
			d.tellStatus(op)
		}
	}
	if !d.records.deceased() {
		d.tellClosed(deleted.ref(), key, deleted.Node.Str("title"), reason)
	}
	d.closeBelongings(key, closureOf("revoked", reason), true)
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
		if s.Type != "CarePlan" {
			continue
		}
		basis, _ := supportOf(s.Node, nil)
		for _, n := range basis {
			if ref := fhir.ParseReference(n.Str("reference"), ""); ref.Type == "Procedure" && own["Procedure/"+ref.ID] {
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
	basis, _ := supportOf(s.Node, d.records.lastWritten(s.Node))
	for _, n := range basis {
		if ref := d.records.localRef(n.Str("reference")); strings.HasPrefix(ref, "Procedure/") {
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
	return digestsCarried(n, r.rewritten(n, was))
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
