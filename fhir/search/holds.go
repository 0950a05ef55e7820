package search

import "slices"

// Holds reports whether a version of a resource satisfies a clause, by its id and the rows that
// Extract gives for it. It knows clauses on ids, tokens and references without a modifier, and
// those made of them by Any, All and Not: what restricts access is of these. known is false for
// any other clause.
func (c *Clause) Holds(id string, rows []Row) (holds, known bool) {
	switch {
	case c.Not != nil:
		holds, known = c.Not.Holds(id, rows)
		return !holds && known, known
	case len(c.All) > 0:
		return together(c.All, id, rows, true)
	case len(c.Any) > 0:
		return together(c.Any, id, rows, false)
	case c.Param == nil || c.Modifier != "" || len(c.Chain) > 0:
		return false, false
	}
	switch c.Param.Kind {
	case ID:
		return slices.ContainsFunc(c.Values, func(v Value) bool { return v.Value == id }), true
	case Token:
		return c.anyRow(rows, Value.isToken), true
	case Reference:
		return c.anyRow(rows, Value.isReference), true
	}
	return false, false
}

// together reports whether all clauses hold, or any.
func together(clauses []Clause, id string, rows []Row, all bool) (holds, known bool) {
	holds = all
	for i := range clauses {
		one, ok := clauses[i].Holds(id, rows)
		if !ok {
			return false, false
		}
		if one != all {
			holds = !all
		}
	}
	return holds, true
}

func (c *Clause) anyRow(rows []Row, is func(Value, *Row) bool) bool {
	for i := range rows {
		if p := rows[i].Param; p.Code != c.Param.Code || p.Type != c.Param.Type {
			continue
		}
		for _, v := range c.Values {
			if is(v, &rows[i]) {
				return true
			}
		}
	}
	return false
}

func (v Value) isToken(r *Row) bool {
	switch {
	case v.AnySystem:
		return r.Value == v.Value
	case v.Value == "":
		return r.System == v.System
	}
	return r.Value == v.Value && r.System == v.System
}

func (v Value) isReference(r *Row) bool {
	switch {
	case v.URL != "":
		return r.System == "" && r.Value == v.URL
	case v.System == "":
		return r.System != "" && r.Value == v.Value
	}
	return r.System == v.System && r.Value == v.Value
}
