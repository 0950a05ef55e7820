package store

import (
	"context"
	"strings"

	"aftercare/fhir/search"
)

// plan is how a query is run: one source gives candidates in order of rid, and every clause
// that the source does not answer whole is checked for each.
//
// The engine's planner is not asked to choose: its statistics would be missing or old. What
// is known to select best leads (an id, an identifier, a reference). Where that is not known,
// the sources are probed: how many rows do they have, counted up to probeLimit.
//
// Three things hold an engine to that: tables are joined by CROSS JOIN in the order in which they
// are to be read, a plus sign before a column keeps an index over it from being used, and a
// condition on a candidate is fenced.
type plan struct {
	typ     int64 // -1 if no resource of this type was ever stored
	clauses []*clause
	source  int // the clause that leads, -1 for all resources of the type
}

// probeLimit is how many rows of a source are counted, about a millisecond's worth.
const probeLimit = 10_000

// The order in which clauses are asked to lead. From unsure on, it is worth a probe.
const (
	byID = iota
	byIdentifier
	byReference
	byChain
	unsure
	byNothing
)

func (r *Reader) plan(ctx context.Context, q *search.Query) (*plan, error) {
	p := &plan{source: -1}
	var err error
	if p.typ, err = r.symbolOrNone(ctx, q.Type); err != nil {
		return nil, err
	}
	now := r.store.now().UnixMicro()
	for _, c := range q.Clauses {
		out, err := r.clause(ctx, approximate(c, now), 0)
		if err != nil {
			return nil, err
		}
		p.clauses = append(p.clauses, out)
	}
	return p, r.choose(ctx, p)
}

// approximate widens the values of a clause, or of the end of its chains, that have the prefix ap.
func approximate(c search.Clause, now int64) search.Clause {
	values := append([]search.Value(nil), c.Values...)
	for i, v := range values {
		if v.Prefix == search.Ap {
			values[i] = widen(v, now)
		}
	}
	chains := append([]search.Chain(nil), c.Chain...)
	for i := range chains {
		chains[i].Clause = approximate(chains[i].Clause, now)
	}
	c.Values, c.Chain = values, chains
	return c
}

// choose sets p.source.
func (r *Reader) choose(ctx context.Context, p *plan) error {
	best, alone := byNothing, true
	for i, c := range p.clauses {
		switch rank := c.rank(); {
		case rank < best:
			best, alone, p.source = rank, true, i
		case rank == best:
			alone = false
		}
	}
	switch {
	case p.typ < 0, best == byNothing, alone && best < byChain, alone && best == unsure && p.clauses[p.source].ordered():
		return nil
	}
	fewest := int64(probeLimit)
	small := -1
	for i, c := range p.clauses {
		if c.rank() == byNothing {
			continue
		}
		s := &statement{}
		from, where, _ := c.from(s, p.typ)
		var n int64
		if _, err := r.row(ctx, "SELECT count(*) FROM (SELECT 1 AS one FROM "+from+" WHERE "+where+" LIMIT "+s.limit(probeLimit)+") probe", s.args, &n); err != nil {
			return err
		}
		if n < fewest {
			fewest, small = n, i
		}
	}
	switch {
	case small >= 0:
		p.source = small
	default:
		// Everything is large. A source in order of rid can stop after a page.
		p.source = -1
		for i, c := range p.clauses {
			if c.ordered() {
				p.source = i
				break
			}
		}
	}
	return nil
}

// rank is how well the clause can be expected to lead.
func (c *clause) rank() int {
	if c.Modifier == "missing" || c.Modifier == "not" || c.Modifier == "contains" {
		return byNothing
	}
	switch c.Param.Kind {
	case search.ID:
		return byID
	case search.Reference:
		if len(c.Chain) == 0 {
			return byReference
		}
		rank := byChain
		for _, inner := range c.chain {
			if inner.rank() >= unsure {
				rank = max(rank, inner.rank())
			}
		}
		return rank
	case search.Token:
		for _, v := range c.Values {
			if v.Value == "" {
				return byNothing // a whole system
			}
		}
		if c.Param.Code == "identifier" {
			return byIdentifier
		}
	case search.LastUpdated:
		for _, v := range c.Values {
			switch v.Prefix {
			case search.Ne, search.Lt, search.Le, search.Eb:
				return byNothing
			}
		}
	}
	return unsure
}

// ordered reports whether the clause, leading, gives its rows in order of rid without sorting.
func (c *clause) ordered() bool {
	if len(c.Values) != 1 || c.rank() == byNothing {
		return false
	}
	switch c.Param.Kind {
	case search.Token, search.Reference:
		return true
	case search.URI:
		return c.Modifier == ""
	}
	return false
}

// from gives the tables and the condition of the clause as a source, and the column of the rid.
func (c *clause) from(s *statement, typ int64) (from, where, rid string) {
	t := s.alias()
	switch {
	case c.Param.Kind == search.ID:
		return "resource " + t, t + ".type = " + s.arg(typ) + " AND +" + t + ".deleted = 0 AND " + c.oneOf(s, t+".id"), t + ".rid"
	case c.Param.Kind == search.LastUpdated:
		// Whatever is newer now has a version that is newer, and is the newest.
		low := int64(search.MaxTime)
		for _, v := range c.Values {
			low = min(low, v.Low)
		}
		r := s.alias()
		return "version " + t, t + ".updated >= " + s.arg(low) + " AND +" + t + ".type = " + s.arg(typ) + " AND " + c.match(s, t) +
			" AND EXISTS (SELECT 1 FROM resource " + r + " WHERE " + r + ".rid = " + t + ".rid AND " + r + ".seq = " + t + ".seq AND +" + r + ".deleted = 0" + fence + ")", t + ".rid"
	case len(c.chain) > 0:
		var any []string
		for i := range c.chain {
			if one := c.chainFrom(s, i); one != "" {
				any = append(any, one)
			}
		}
		if len(any) == 0 {
			return "resource " + t, never, t + ".rid"
		}
		return "(" + strings.Join(any, " UNION ALL ") + ") " + t, always, t + ".rid"
	}
	if !c.known {
		return "resource " + t, never, t + ".rid"
	}
	where = t + ".param = " + s.arg(c.param)
	if len(c.Values) > 1 {
		switch {
		case c.Param.Kind == search.Token || c.Param.Kind == search.URI && c.Modifier == "":
			where += " AND " + c.oneOf(s, t+".value")
		case c.Param.Kind == search.Reference:
			where += " AND " + c.oneOf(s, t+".target")
		}
	}
	return tables[c.Param.Kind] + " " + t, where + " AND " + c.match(s, t), t + ".rid"
}

// chainFrom is the query for the resources that the i-th chain of the clause finds, from its
// far end; "" if there are none.
func (c *clause) chainFrom(s *statement, i int) string {
	if !c.known || c.chainTypes[i] < 0 {
		return ""
	}
	inner, where, innerID := c.chain[i].from(s, c.chainTypes[i])
	to, ref := s.alias(), s.alias()
	return "SELECT " + ref + ".rid AS rid FROM " + inner + " CROSS JOIN resource " + to + " CROSS JOIN index_reference " + ref +
		" WHERE " + where + " AND " + to + ".rid = " + innerID + " AND +" + to + ".deleted = 0" +
		" AND " + ref + ".param = " + s.arg(c.param) + " AND " + ref + ".target = " + to + ".id AND " + ref + ".type = " + s.arg(c.chainTypes[i])
}

// oneOf is the condition that the column is one of the values, for an index to look each up.
func (c *clause) oneOf(s *statement, column string) string {
	var b strings.Builder
	b.WriteString(column + " IN (")
	for i, v := range c.Values {
		if i > 0 {
			b.WriteString(", ")
		}
		text := v.Value
		if v.URL != "" {
			text = v.URL
		}
		b.WriteString(s.arg(key(text)))
	}
	b.WriteString(")")
	return b.String()
}

// rids is the query for what matches after the rid given; limit is "" or a LIMIT.
func (p *plan) rids(s *statement, after int64, limit string) string {
	var from, where, rid string
	if p.source < 0 {
		t := s.alias()
		from, rid = "resource "+t, t+".rid"
		where = t + ".type = " + s.arg(p.typ) + " AND " + t + ".deleted = 0"
	} else {
		from, where, rid = p.clauses[p.source].from(s, p.typ)
	}
	column := rid
	if p.source >= 0 && !p.clauses[p.source].ordered() {
		column = "+" + rid // no reason to walk an index by rid: the source knows better
	}
	if after > 0 {
		where += " AND " + column + " > " + s.arg(after)
	}
	if p.source >= 0 {
		where += " AND " + column + beforeHorizon
	}
	for i, c := range p.clauses {
		if i != p.source {
			where += " AND " + c.holds(s, rid)
		}
	}
	text := "SELECT DISTINCT " + column + " AS rid FROM " + from + " WHERE " + where
	if limit != "" {
		text += " ORDER BY " + column + " LIMIT " + limit
	}
	return text
}

func (p *plan) count() (string, []any) {
	s := &statement{}
	return "SELECT count(*) FROM (" + p.rids(s, 0, "") + ") matches", s.args
}

// page gives rid, id, version, updated and body of the next n matches.
func (p *plan) page(after int64, n int) (string, []any) {
	s := &statement{}
	limit := s.limit(n)
	return "SELECT m.rid, r.id, r.version, r.updated, v.body FROM (" + p.rids(s, after, limit) + ") m" +
		" CROSS JOIN resource r CROSS JOIN version v WHERE r.rid = m.rid AND v.seq = r.seq ORDER BY m.rid", s.args
}
