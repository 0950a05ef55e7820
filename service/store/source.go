package store

import (
	"context"
	"strings"

	"aftercare/fhir/search"
)

// How well a clause can be expected to lead. From unsure on, it is worth a probe.
const (
	byID = iota
	byIdentifier
	byReference
	byChain
	unsure
	byNothing
)

func (c *clause) rank() int {
	switch {
	case c.Has != nil:
		return throughLink(c.has)
	case c.Not != nil:
		return byNothing
	case len(c.Together) > 0:
		if _, best := best(c.parts); best == byNothing {
			return byNothing
		}
		return unsure
	case len(c.All) > 0:
		_, best := best(c.parts)
		return best
	case len(c.Any) > 0:
		worst := byID
		for _, p := range c.parts {
			worst = max(worst, p.rank())
		}
		if worst != byNothing {
			worst = unsure
		}
		return worst
	case len(c.Chain) > 0:
		worst := byChain
		for _, inner := range c.chain {
			worst = max(worst, throughLink(inner))
		}
		return worst
	case c.Modifier == "missing", c.Modifier == "not", c.Modifier == "contains", c.Modifier == "ends":
		return byNothing
	}
	switch c.Param.Kind {
	case search.ID:
		return byID
	case search.Reference:
		return byReference
	case search.Token:
		for _, v := range c.Values {
			if v.Value == "" {
				return byNothing // a whole system
			}
		}
		if c.Param.Code == "identifier" {
			return byIdentifier
		}
	case search.Date, search.Number, search.Quantity, search.LastUpdated:
		for _, v := range c.Values {
			if v.Prefix == search.Ne || c.Param.Kind == search.LastUpdated && (v.Prefix == search.Lt || v.Prefix == search.Le || v.Prefix == search.Eb) {
				return byNothing
			}
		}
	}
	return unsure
}

func throughLink(c *clause) int {
	if rank := c.rank(); rank >= unsure {
		return rank
	}
	return byChain
}

// best is the clause that can be expected to lead best, -1 if none can.
func best(clauses []*clause) (at, rank int) {
	at, rank = -1, byNothing
	for i, c := range clauses {
		if r := c.rank(); r < rank {
			at, rank = i, r
		}
	}
	return at, rank
}

// ordered reports whether the clause, leading, gives its rows in order of rid without sorting.
func (c *clause) ordered() bool {
	if c.Param == nil || len(c.Values) != 1 || c.rank() == byNothing {
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

// source is where candidates come from.
type source struct{ from, where, rid string }

func nothing(s *statement) source {
	t := s.alias()
	return source{"resource " + t, never, t + ".rid"}
}

// rids is the source as a query.
func (f source) rids() string {
	return "SELECT " + f.rid + " AS rid FROM " + f.from + " WHERE " + f.where
}

// union joins sources.
func union(s *statement, all []source) source {
	switch len(all) {
	case 0:
		return nothing(s)
	case 1:
		return all[0]
	}
	var queries []string
	for _, f := range all {
		queries = append(queries, f.rids())
	}
	t := s.alias()
	return source{"(" + strings.Join(queries, " UNION ALL ") + ") " + t, always, t + ".rid"}
}

// source is what the clause finds among the resources of the type, and maybe what is staged; a
// rid may come more than once.
func (c *clause) source(s *statement, typ int64) source {
	switch {
	case c.Has != nil:
		return c.referrers(s, typ)
	case len(c.Together) > 0, len(c.All) > 0:
		at, _ := best(c.parts)
		f := c.parts[at].source(s, typ)
		if len(c.Together) > 0 {
			f.where += " AND " + c.holds(s, f.rid)
			return f
		}
		for i, p := range c.parts {
			if i != at {
				f.where += " AND " + p.holds(s, f.rid)
			}
		}
		return f
	case len(c.Any) > 0:
		var all []source
		for _, p := range c.parts {
			all = append(all, p.source(s, typ))
		}
		return union(s, all)
	case len(c.chain) > 0:
		var all []source
		for i := range c.chain {
			if c.known && c.chainTypes[i] >= 0 {
				all = append(all, c.chained(s, i))
			}
		}
		return union(s, all)
	}
	switch c.Param.Kind {
	case search.ID:
		t := s.alias()
		return source{"resource " + t, t + ".type = " + s.arg(typ) + " AND +" + t + ".deleted = 0 AND " + inList(s, t+".id", c.texts()), t + ".rid"}
	case search.LastUpdated:
		return c.updated(s, typ)
	case search.Text:
		from, where, rid, rest := c.text.from(s, inNarrative(c.Param), c.phrases)
		r := s.alias()
		where += " AND " + r + ".rid = " + rid + " AND +" + r + ".type = " + s.arg(typ) + " AND +" + r + ".deleted = 0"
		if len(rest) > 0 {
			where += " AND " + c.text.has(s, inNarrative(c.Param), rest, r+".rid")
		}
		return source{from + " CROSS JOIN resource " + r, where, r + ".rid"}
	}
	return c.rows(s)
}

// updated finds what was updated in a time: whatever is newer now has a version that is newer,
// and is the newest.
func (c *clause) updated(s *statement, typ int64) source {
	low := int64(search.MaxTime)
	for _, v := range c.Values {
		low = min(low, v.Low)
	}
	t, r := s.alias(), s.alias()
	return source{"version " + t, t + ".type = " + s.arg(typ) + " AND " + t + ".updated >= " + s.arg(low) + " AND " + c.match(s, t) +
		" AND EXISTS (SELECT 1 FROM resource " + r + " WHERE " + r + ".rid = " + t + ".rid AND " + r + ".seq = " + t + ".seq AND +" + r + ".deleted = 0" + fence + ")", t + ".rid"}
}

// rows finds the resources by an index table.
func (c *clause) rows(s *statement) source {
	if !c.known {
		return nothing(s)
	}
	t := s.alias()
	all := source{tables[c.Param.Kind] + " " + t, t + ".param = " + s.arg(c.param), t + ".rid"}
	if len(c.Values) > 1 {
		switch {
		case c.Param.Kind == search.Token, c.Param.Kind == search.URI && c.Modifier == "":
			all.where += " AND " + inList(s, t+".value", c.texts())
		case c.Param.Kind == search.Reference:
			all.where += " AND " + inList(s, t+".target", c.texts())
		}
	} else if late, end := c.reach(); late {
		// An index goes by where ranges begin. Of those that end late enough the short ones
		// begin late, and the long ones have an index of their own.
		all.where += " AND " + shortFrom(s, t, end) + " AND " + c.match(s, t)
		l := s.alias()
		return union(s, []source{all, {tables[c.Param.Kind] + " " + l, l + ".param = " + s.arg(c.param) + " AND " + longFrom(s, l, end) + " AND " + c.match(s, l), l + ".rid"}})
	}
	all.where += " AND " + c.match(s, t)
	return all
}

// shortest is the length in microseconds beyond which a range of time is in the index of long
// ones, as the migrations have it.
const shortest = 172800000000

// reach tells whether the only value asks for ranges that end at a place or later.
func (c *clause) reach() (late bool, end any) {
	v := &c.Values[0]
	switch {
	case c.Param.Kind == search.Date && v.Prefix == search.Gt:
		return true, v.High
	case c.Param.Kind == search.Date && (v.Prefix == search.Ge || v.Prefix == search.Ap):
		return true, v.Low
	case c.Param.Kind != search.Number && c.Param.Kind != search.Quantity:
		return false, nil
	case v.Prefix == search.Gt || v.Prefix == search.Ge:
		return true, v.Number
	case v.Prefix == search.Ap:
		return true, v.NumberLow
	}
	return false, nil
}

// shortFrom is what holds for a row t that is short and ends at a place or later.
func shortFrom(s *statement, t string, end any) string {
	if at, ok := end.(int64); ok {
		end = max(at, search.MinTime+shortest) - shortest
	}
	return t + ".low >= " + s.arg(end)
}

// longFrom is what holds for a row t that is long and ends at a place or later.
func longFrom(s *statement, t string, end any) string {
	if _, ok := end.(int64); ok {
		return t + ".high > " + t + ".low + 172800000000 AND " + t + ".high > " + s.arg(end)
	}
	return t + ".high > " + t + ".low AND " + t + ".high >= " + s.arg(end)
}

// texts are the values as an index is asked for them.
func (c *clause) texts() []string {
	var out []string
	for _, v := range c.Values {
		if v.URL != "" {
			out = append(out, v.URL)
		} else {
			out = append(out, v.Value)
		}
	}
	return out
}

// chained finds what the i-th chain of the clause finds, from its far end.
func (c *clause) chained(s *statement, i int) source {
	inner := c.chain[i].leading(s, c.chainTypes[i])
	to, ref := s.alias(), s.alias()
	return source{inner.from + " CROSS JOIN resource " + to + " CROSS JOIN index_reference " + ref,
		inner.where + " AND " + to + ".rid = " + inner.rid + " AND +" + to + ".deleted = 0" +
			" AND " + ref + ".param = " + s.arg(c.param) + " AND " + ref + ".target = " + to + ".id AND " + ref + ".type = " + s.arg(c.chainTypes[i]),
		ref + ".rid"}
}

// leading is the source of a clause, or all of the type where the clause cannot lead.
func (c *clause) leading(s *statement, typ int64) source {
	if c.rank() != byNothing {
		return c.source(s, typ)
	}
	f := everything(s, typ)
	f.where += " AND " + c.holds(s, f.rid)
	return f
}

// everything finds all resources of a type.
func everything(s *statement, typ int64) source {
	t := s.alias()
	return source{"resource " + t, t + ".type = " + s.arg(typ) + " AND " + t + ".deleted = 0", t + ".rid"}
}

// referrers finds what others that satisfy a clause refer to.
func (c *clause) referrers(s *statement, typ int64) source {
	if !c.known || typ < 0 {
		return nothing(s)
	}
	inner := c.has.leading(s, c.paramType)
	ref, to := s.alias(), s.alias()
	return source{inner.from + " CROSS JOIN index_reference " + ref + " CROSS JOIN resource " + to,
		inner.where + " AND +" + inner.rid + beforeHorizon + " AND " + ref + ".rid = " + inner.rid + " AND " + ref + ".param = " + s.arg(c.param) +
			" AND " + ref + ".type = " + s.arg(typ) + " AND " + to + ".type = " + s.arg(typ) + " AND " + to + ".id = " + ref + ".target AND +" + to + ".deleted = 0",
		to + ".rid"}
}

// size is how many rows the clause has as a source, counted up to limit. Where a row costs more
// than a step in an index, the limit is lower.
func (r *Reader) size(ctx context.Context, c *clause, typ int64, limit int) (int, error) {
	switch {
	case c.rank() == byNothing:
		return limit, nil
	case c.Has != nil:
		n, err := r.size(ctx, c.has, c.paramType, limit/linkCost)
		return scaled(n, limit), err
	case len(c.Together) > 0, len(c.All) > 0:
		at, _ := best(c.parts)
		return r.size(ctx, c.parts[at], typ, limit)
	case len(c.chain) > 0:
		for i, inner := range c.chain {
			if n, err := r.size(ctx, inner, c.chainTypes[i], limit/linkCost); err != nil || n >= limit/linkCost {
				return limit, err
			}
		}
		limit /= linkCost
		n, err := r.count(ctx, c, typ, limit)
		return scaled(n, limit*linkCost), err
	}
	return r.count(ctx, c, typ, limit)
}

// linkCost is how many steps in an index a link of a chain costs, about.
const linkCost = 4

func scaled(n, limit int) int { return min(n*linkCost, limit) }

func (r *Reader) count(ctx context.Context, c *clause, typ int64, limit int) (n int, err error) {
	s := &statement{}
	f := c.source(s, typ)
	_, err = r.row(ctx, "SELECT count(*) FROM (SELECT 1 AS one FROM "+f.from+" WHERE "+f.where+" LIMIT "+s.limit(limit)+") probe", s.args, &n)
	return n, err
}
