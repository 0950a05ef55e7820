package store

import (
	"context"

	"aftercare/fhir/search"
)

// plan is how a query for one type is run: one source gives candidates in order of rid, and every
// clause that the source does not answer whole is checked for each.
//
// The engine's planner is not asked to choose: its statistics would be missing or old. What
// is known to select best leads (an id, an identifier, a reference). Where that is not known,
// the sources are probed: how many rows do they have, counted up to probeLimit.
//
// Where there is a sort, a small source is gathered and sorted. Otherwise the index of the first
// key is walked, as far as it pays (see walk).
//
// Three things hold an engine to that: tables are joined by CROSS JOIN in the order in which they
// are to be read, a plus sign before a column keeps an index over it from being used, and a
// condition on a candidate is fenced.
type plan struct {
	name    string // of the type
	typ     int64  // -1 if no resource of this type was ever stored
	clauses []*clause
	keys    []sortKey
	source  int // the clause that leads, -1 for all resources of the type
	// contents asks for resources with the places of a sort.
	contents bool
	small    bool // whether the source is known to have fewer rows than probeLimit
}

// probeLimit is how many rows of a source are counted, about a millisecond's worth.
const probeLimit = 10_000

// effort is what is spent on a search before something else is tried.
type effort struct {
	probe   int   // rows of a source that are counted
	steps   []int // entries of an index in each step of a walk
	changed int   // resources of a type that may change while the pages of a sort are read
}

// A search whose matches are frequent has its page after the first step.
var usualEffort = effort{probe: probeLimit, steps: []int{512, 2048, 8192}, changed: 10_000}

// plans are those of a query's parts, or of the query itself.
func (r *Reader) plans(ctx context.Context, q *search.Query) ([]*plan, error) {
	if len(q.Parts) == 0 {
		p, err := r.plan(ctx, q)
		return []*plan{p}, err
	}
	var plans []*plan
	for _, part := range q.Parts {
		p, err := r.plan(ctx, part)
		if err != nil {
			return nil, err
		}
		plans = append(plans, p)
	}
	return plans, nil
}

func (r *Reader) plan(ctx context.Context, q *search.Query) (*plan, error) {
	p := &plan{name: q.Type, source: -1}
	var err error
	if p.typ, err = r.symbolOrNone(ctx, q.Type); err != nil {
		return nil, err
	}
	count := 0
	for _, c := range q.Clauses {
		out, err := r.clause(ctx, c, depth{}, &count)
		if err != nil {
			return nil, err
		}
		p.clauses = append(p.clauses, out)
	}
	bounds, none, err := r.bounds(ctx, q.Type)
	switch {
	case err != nil:
		return nil, err
	case none:
		p.typ = -1
	}
	p.clauses = append(p.clauses, bounds...)
	if p.keys, err = r.sortKeys(ctx, q); err != nil {
		return nil, err
	}
	return p, r.choose(ctx, p)
}

// choose sets p.source and p.small.
func (r *Reader) choose(ctx context.Context, p *plan) error {
	rank, alone := byNothing, true
	for i, c := range p.clauses {
		switch n := c.rank(); {
		case n < rank:
			rank, alone, p.source = n, true, i
		case n == rank:
			alone = false
		}
	}
	switch {
	case p.typ < 0, rank == byNothing:
		return nil
	case alone && rank == byID:
		p.small = true
		return nil
	case len(p.keys) == 0 && alone && (rank < byChain || rank == unsure && p.clauses[p.source].ordered()):
		return nil
	case len(p.keys) > 0 && alone && rank < byChain:
		n, err := r.size(ctx, p.clauses[p.source], p.typ, r.store.effort.probe)
		if p.small = n < r.store.effort.probe; err != nil || p.small {
			return err
		}
	}
	fewest := r.store.effort.probe
	for i, c := range p.clauses {
		if c.rank() == byNothing {
			continue
		}
		n, err := r.size(ctx, c, p.typ, fewest)
		if err != nil {
			return err
		}
		if n < fewest {
			fewest, p.source, p.small = n, i, true
		}
	}
	if p.small {
		return nil
	}
	// Everything is large. A source in order of rid can stop after a page.
	p.source = -1
	for i, c := range p.clauses {
		if c.ordered() {
			p.source = i
			break
		}
	}
	return nil
}

// rids is the query for what matches after the rid given; limit is "" or a LIMIT, and where further
// conditions on the column of the rid.
func (p *plan) rids(s *statement, after int64, limit string, where ...func(s *statement, rid string) string) string {
	var f source
	column := ""
	if p.source < 0 {
		f = everything(s, p.typ)
		column = f.rid
	} else {
		f = p.clauses[p.source].source(s, p.typ)
		column = f.rid
		if !p.clauses[p.source].ordered() {
			column = "+" + column // no reason to walk an index by rid: the source knows better
		}
		f.where += " AND " + column + beforeHorizon
	}
	if after > 0 {
		f.where += " AND " + column + " > " + s.arg(after)
	}
	for i, c := range p.clauses {
		if i != p.source {
			f.where += " AND " + c.holds(s, f.rid)
		}
	}
	for _, further := range where {
		f.where += " AND " + further(s, f.rid)
	}
	text := "SELECT DISTINCT " + column + " AS rid FROM " + f.from + " WHERE " + f.where
	if limit != "" {
		text += " ORDER BY " + column + " LIMIT " + limit
	}
	return text
}

func (p *plan) count() (string, []any) {
	s := &statement{}
	return "SELECT count(*) FROM (" + p.rids(s, 0, "") + ") matches", s.args
}

// withContents is a query for places with id, version, updated and body besides.
func (p *plan) withContents(text string) string {
	return "SELECT m.rid" + p.keyNames("m.") + ", r.id, r.version, r.updated, v.body FROM (" + text + ") m" +
		" CROSS JOIN resource r CROSS JOIN version v WHERE r.rid = m.rid AND v.seq = r.seq" + p.order("m.", 0)
}
