package store

import (
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// holds is the condition that the resource with this rid satisfies the clause.
func (c *clause) holds(s *statement, rid string) string {
	switch {
	case c.Has != nil:
		return c.isReferredTo(s, rid)
	case c.Not != nil:
		return "NOT " + c.parts[0].holds(s, rid)
	case len(c.All) > 0:
		return "(" + allHold(s, c.parts, rid) + ")"
	case len(c.Any) > 0:
		var any []string
		for _, p := range c.parts {
			any = append(any, p.holds(s, rid))
		}
		return anyOf(any)
	case len(c.Together) > 0:
		return c.standTogether(s, rid)
	case len(c.Chain) > 0:
		return c.anyChain(s, rid)
	case c.Param.Kind == search.Text:
		return "(" + c.text.has(s, inNarrative(c.Param), c.phrases, rid) + ")"
	case c.Param.Kind == search.ID || c.Param.Kind == search.LastUpdated:
		t := s.alias()
		return "EXISTS (SELECT 1 FROM resource " + t + " WHERE " + t + ".rid = " + rid + " AND " + c.check(s, t) + fence + ")"
	}
	wanted := c.Modifier != "not"
	if c.Modifier == "missing" {
		wanted = !c.Values[0].Missing
	}
	if !c.known {
		if wanted {
			return "(" + never + ")"
		}
		return "(" + always + ")"
	}
	t := s.alias()
	found := "EXISTS (SELECT 1 FROM " + tables[c.Param.Kind] + " " + t +
		" WHERE " + t + ".rid = " + rid + " AND " + t + ".param = " + s.arg(c.param)
	if c.Modifier != "missing" {
		found += " AND " + c.check(s, t)
	}
	found += fence + ")"
	if wanted {
		return found
	}
	return "(NOT " + found + ")"
}

func allHold(s *statement, clauses []*clause, rid string) string {
	var all []string
	for _, c := range clauses {
		all = append(all, c.holds(s, rid))
	}
	return strings.Join(all, " AND ")
}

// anyChain is the condition that a reference of the resource leads to one that satisfies the
// rest of the chain.
func (c *clause) anyChain(s *statement, rid string) string {
	var any []string
	for i := range c.chain {
		if !c.known || c.chainTypes[i] < 0 {
			continue
		}
		from, to := s.alias(), s.alias()
		any = append(any, "EXISTS (SELECT 1 FROM index_reference "+from+" CROSS JOIN resource "+to+
			" WHERE "+from+".rid = "+rid+" AND "+from+".param = "+s.arg(c.param)+
			" AND "+from+".type = "+s.arg(c.chainTypes[i])+
			" AND "+to+".type = "+from+".type AND "+to+".id = "+from+".target AND +"+to+".deleted = 0"+
			" AND "+c.chain[i].holds(s, to+".rid")+fence+")")
	}
	return "(" + anyOf(any) + ")"
}

// isReferredTo is the condition that a resource refers to this one and satisfies the clause.
func (c *clause) isReferredTo(s *statement, rid string) string {
	if !c.known {
		return "(" + never + ")"
	}
	to, from := s.alias(), s.alias()
	return "EXISTS (SELECT 1 FROM resource " + to + " CROSS JOIN index_reference " + from +
		" WHERE " + to + ".rid = " + rid + " AND " + from + ".param = " + s.arg(c.param) +
		" AND " + from + ".target = " + to + ".id AND " + from + ".type = " + to + ".type AND +" + from + ".rid" + beforeHorizon +
		" AND " + c.has.holds(s, from+".rid") + fence + ")"
}

// standTogether is the condition that one part of the resource has a row for each component.
func (c *clause) standTogether(s *statement, rid string) string {
	if slices.ContainsFunc(c.parts, func(p *clause) bool { return !p.known }) {
		return "(" + never + ")"
	}
	var from, where []string
	first := ""
	for _, p := range c.parts {
		t := s.alias()
		from = append(from, tables[p.Param.Kind]+" "+t)
		cond := t + ".rid = " + rid + " AND " + t + ".param = " + s.arg(p.param)
		if first != "" {
			cond += " AND " + t + ".part = " + first + ".part"
		} else {
			first = t
		}
		where = append(where, cond+" AND "+p.check(s, t))
	}
	return "EXISTS (SELECT 1 FROM " + strings.Join(from, " CROSS JOIN ") + " WHERE " + strings.Join(where, " AND ") + fence + ")"
}

// match is the condition that the row t, which it is to find, has one of the values.
func (c *clause) match(s *statement, t string) string { return c.matches(s, t, false) }

// check is match for a row of a resource that is known already. Without statistics, SQLite would
// rather walk through an index of all values in a range than look at those of the resource.
func (c *clause) check(s *statement, t string) string { return c.matches(s, t, true) }

func (c *clause) matches(s *statement, t string, known bool) string {
	if cond, ok := c.amongMany(s, t, known); ok {
		return cond
	}
	var any []string
	for i := range c.Values {
		if cond := c.matchOne(s, t, &c.Values[i], c.systems[i], known); cond != never {
			any = append(any, cond)
		}
	}
	return anyOf(any)
}

// manyValues is from how many values on they are one argument of a statement: engines take long over
// many.
const manyValues = 16

// amongMany is matches for many ids, or references to resources of one type. ok is false for other
// values.
func (c *clause) amongMany(s *statement, t string, known bool) (cond string, ok bool) {
	if len(c.Values) < manyValues || c.Param.Kind != search.ID && c.Param.Kind != search.Reference {
		return "", false
	}
	texts := make([]string, len(c.Values))
	for i := range c.Values {
		v := &c.Values[i]
		if !fhir.ValidID(v.Value) || v.URL != "" || c.systems[i] != c.systems[0] {
			return "", false
		}
		texts[i] = v.Value
	}
	if c.Param.Kind == search.ID {
		return c.among(s, t+".id", texts, false), true
	}
	system := c.systems[0]
	switch {
	case system < 0:
		return never, true
	case c.Values[0].System == "":
		return "", false
	}
	return "(" + c.among(s, t+".target", texts, known) + " AND +" + t + ".type = " + s.arg(system) + ")", true
}

// anyOf joins conditions by or, as a balanced tree: engines bound how deep a condition nests.
func anyOf(conditions []string) string {
	switch n := len(conditions); n {
	case 0:
		return never
	case 1:
		return conditions[0]
	default:
		return "(" + anyOf(conditions[:n/2]) + " OR " + anyOf(conditions[n/2:]) + ")"
	}
}

func (c *clause) matchOne(s *statement, t string, v *search.Value, system int64, known bool) string {
	low, high, prefix := t+".low", t+".high", prefix
	if known {
		low, high, prefix = "+"+low, "+"+high, begins
	}
	switch c.Param.Kind {
	case search.ID:
		return t + ".id = " + s.arg([]byte(v.Value))
	case search.LastUpdated:
		return compare(s, v, t+".updated", "("+t+".updated + 1)")
	case search.Date:
		return compare(s, v, low, high)
	case search.Number, search.Quantity:
		return compareNumber(s, v, t, low, high, system)
	case search.Pieces:
		if c.Modifier == "ends" {
			return ends(s, t+".value", v.Value)
		}
		return contains(s, t+".value", v.Value)
	case search.String:
		switch c.Modifier {
		case "contains":
			return whole(s, t+".value", contains(s, t+".value", v.Value))
		case "ends":
			return whole(s, t+".value", ends(s, t+".value", v.Value))
		case "equals":
			return t + ".value = " + s.arg(key(v.Value))
		case "exact":
			return exactly(s, t, v.Value)
		}
		return prefix(s, t+".value", v.Value)
	case search.URI:
		switch c.Modifier {
		case "below":
			return below(s, prefix, t+".value", v.Value)
		case "above":
			return inList(s, t+".value", above(v.Value))
		}
		return t + ".value = " + s.arg(key(v.Value))
	case search.Token:
		switch {
		case v.AnySystem:
			return t + ".value = " + s.arg(key(v.Value))
		case system < 0:
			return never
		case v.Value == "":
			return "+" + t + ".system = " + s.arg(system)
		}
		return "(" + t + ".value = " + s.arg(key(v.Value)) + " AND +" + t + ".system = " + s.arg(system) + ")"
	case search.Reference:
		switch {
		case v.URL != "":
			return "(" + t + ".target = " + s.arg(key(v.URL)) + " AND +" + t + ".type = 0)"
		case system < 0:
			return never
		case v.System == "":
			return "(" + t + ".target = " + s.arg(key(v.Value)) + " AND +" + t + ".type <> 0)"
		}
		return "(" + t + ".target = " + s.arg(key(v.Value)) + " AND +" + t + ".type = " + s.arg(system) + ")"
	}
	return never
}
