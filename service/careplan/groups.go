package careplan

import (
	"slices"
	"strings"
)

// group is all operations at one site.
type group struct {
	site site
	// operations are ordered by the first day that they can have been; those without any come
	// last.
	operations []*procedure
}

func (g *group) usable() []*procedure {
	var found []*procedure
	for _, op := range g.operations {
		if op.usable() {
			found = append(found, op)
		}
	}
	return found
}

// operations finds the Procedures that a protocol has an action for and attaches to each the
// components that are part of it.
func (e *Engine) operations(r *records, p *protocol) []*procedure {
	var found []*procedure
	for _, proc := range r.procedures {
		proc.action = nil
		for _, s := range p.selectors {
			if anyTrigger(s.level.triggers, proc.codes) {
				found = append(found, proc)
				break
			}
		}
	}
	found = e.selectActions(r, p, found)
	found = slices.DeleteFunc(found, func(op *procedure) bool { return op.action.pathway == nil && op.action.effect == "" })
	for _, op := range found {
		op.site = e.siteOf(r, op.Node, p.sites)
		op.implants = e.implants(r, p, op)
	}
	siteByDevice(r, found)
	e.assumeParts(r, p, found)
	for _, op := range found {
		op.components, op.waits, op.claimed = nil, "", true
		op.addComponents(op, found)
		op.facts = e.factsOf(op)
	}
	return found
}

// assumeParts links the Procedures that name no operation in partOf but have a code of
// the protocols: a feed may send them beside the operation, in the same message. Such a
// Procedure counts as part of the operation of the same day, if that has only one site,
// and the same, where stated. An operation that never took place counts only where no
// other is.
func (e *Engine) assumeParts(r *records, p *protocol, operations []*procedure) {
	for _, proc := range r.procedures {
		if proc.assumed || proc.day.IsZero() || len(proc.Node.Each("partOf", "reference")) > 0 ||
			slices.Contains(operations, proc) || !e.known(proc.codes) {
			continue
		}
		own := e.siteOf(r, proc.Node, p.sites)
		var same []*procedure
		for _, op := range operations {
			if op.day.Equal(proc.day) && !own.contradicts(op.site) {
				same = append(same, op)
			}
		}
		if !allOf(same, (*procedure).void) {
			same = slices.DeleteFunc(same, (*procedure).void)
		}
		if len(same) == 1 || len(same) > 1 && allOf(same, func(op *procedure) bool { return op.site.equals(same[0].site) }) {
			proc.assumed = true
			proc.parents = append(proc.parents, same[0])
			same[0].parts = append(same[0].parts, proc)
		}
	}
}

func allOf(list []*procedure, holds func(*procedure) bool) bool {
	return !slices.ContainsFunc(list, func(p *procedure) bool { return !holds(p) })
}

// addComponents gathers the completed Procedures that are part of op, and their parts.
func (op *procedure) addComponents(of *procedure, operations []*procedure) {
	for _, part := range of.parts {
		if part.usable() && !slices.Contains(operations, part) && !slices.Contains(op.components, part) {
			op.components = append(op.components, part)
			op.addComponents(part, operations)
		}
	}
}

// groups puts operations together: those that are part of each other, and those with the
// same bone and side. Operations without a usable site are told about and left out.
func (e *Engine) groups(d *derivation, operations []*procedure) []*group {
	for range operations { // as often as a chain of partOf can be long
		for _, op := range operations {
			for _, parent := range op.parents {
				if slices.Contains(operations, parent) {
					d.share(op, parent)
				}
			}
		}
	}
	var all []*group
	at := map[[2]coding]*group{}
	for _, op := range operations {
		if op.site.problem != "" {
			d.unplaced(op)
			continue
		}
		key := [2]coding{op.site.bone, op.site.side}
		g := at[key]
		if g == nil {
			g = &group{site: op.site}
			at[key] = g
			all = append(all, g)
		}
		g.operations = append(g.operations, op)
	}
	for _, g := range all {
		slices.SortStableFunc(g.operations, earlier)
	}
	slices.SortFunc(all, func(a, b *group) int {
		return strings.Compare(a.site.bone.Code+" "+a.site.side.Code, b.site.bone.Code+" "+b.site.side.Code)
	})
	return all
}

// share gives two operations that are part of each other the site that either has.
func (d *derivation) share(op, parent *procedure) {
	a, b := op.site.structures, parent.site.structures
	joined, ok := op.site.join(parent.site)
	if !ok && op.plan != "entered-in-error" && parent.plan != "entered-in-error" {
		d.tell("site-conflict", op.ref(), op)
	}
	if !ok {
		return
	}
	op.site, parent.site = joined, joined
	op.site.structures, parent.site.structures = a, b
}

// earlier orders operations by date. Of one day, what took an anchor out comes before what put
// one in, and that before what was done to it; then the id decides.
func earlier(a, b *procedure) int {
	switch {
	case a.from.IsZero() != b.from.IsZero():
		if a.from.IsZero() {
			return 1
		}
		return -1
	case !a.from.Equal(b.from):
		return a.from.Compare(b.from)
	case a.day.IsZero() != b.day.IsZero():
		if a.day.IsZero() {
			return 1
		}
		return -1
	}
	if order := slices.Index(effects, a.action.effect) - slices.Index(effects, b.action.effect); order != 0 {
		return order
	}
	return strings.Compare(a.ID, b.ID)
}

// effects are in the order in which they take place on one day.
var effects = []string{effectEnds, effectExchanges, "", effectRevises}
