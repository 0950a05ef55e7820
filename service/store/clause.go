package store

import (
	"context"
	"math"
	"strconv"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// statement is a piece of SQL in the making. Only placeholders stand for what came from
// outside.
type statement struct {
	args  []any
	names int
}

// arg adds a value and returns its placeholder.
func (s *statement) arg(v any) string {
	s.args = append(s.args, v)
	return "$" + strconv.Itoa(len(s.args))
}

// limit adds a number of rows. SQLite plans a statement anew for each value of a placeholder
// that is a limit by itself; one that is part of a sum it leaves alone.
func (s *statement) limit(n int) string { return s.arg(n) + " + 0" }

// alias makes a name for a table.
func (s *statement) alias() string {
	s.names++
	return "t" + strconv.Itoa(s.names)
}

// The limits of a query.
const (
	valueLimit = 500
	chainLimit = 8
)

// The conditions that always and never hold.
const (
	always = "1 = 1"
	never  = "1 = 0"
)

// fence ends a subquery of EXISTS. It changes nothing, but PostgreSQL does not make a join of a
// subquery with an offset, and so looks into it once for each candidate.
const fence = " LIMIT 1 OFFSET 0"

// clause is a clause with its texts turned into symbols.
type clause struct {
	search.Clause
	param      int64
	known      bool // whether any row of this parameter was ever stored
	paramType  int64
	systems    []int64 // by value; -1 where nothing stored has it
	chainTypes []int64 // by chain; -1 where nothing stored has it
	chain      []*clause
}

func (r *Reader) clause(ctx context.Context, c search.Clause, depth int) (*clause, error) {
	if err := acceptable(&c, depth); err != nil {
		return nil, err
	}
	out := &clause{Clause: c}
	var err error
	if out.param, out.known, err = r.symbol(ctx, c.Param.Key()); err != nil {
		return nil, err
	}
	if out.paramType, err = r.symbolOrNone(ctx, c.Param.Type); err != nil {
		return nil, err
	}
	for _, v := range c.Values {
		id := int64(0)
		if c.Param.Kind == search.Token || c.Param.Kind == search.Reference {
			if id, err = r.symbolOrNone(ctx, v.System); err != nil {
				return nil, err
			}
		}
		out.systems = append(out.systems, id)
	}
	for _, ch := range c.Chain {
		typ, err := r.symbolOrNone(ctx, ch.Type)
		if err != nil {
			return nil, err
		}
		inner, err := r.clause(ctx, ch.Clause, depth+1)
		if err != nil {
			return nil, err
		}
		out.chainTypes, out.chain = append(out.chainTypes, typ), append(out.chain, inner)
	}
	return out, nil
}

func (r *Reader) symbolOrNone(ctx context.Context, text string) (int64, error) {
	id, found, err := r.symbol(ctx, text)
	if !found {
		id = -1
	}
	return id, err
}

// acceptable refuses what the index cannot answer.
func acceptable(c *search.Clause, depth int) error {
	refuse := func(code, format string, args ...any) error {
		return fhir.Errorf(fhir.BadRequest, code, "", "Parameter %s: "+format, append([]any{c.Param.Code}, args...)...)
	}
	switch {
	case len(c.Values) > valueLimit:
		return refuse("too-costly", "at most %d values can be asked for at once.", valueLimit)
	case depth > chainLimit:
		return refuse("too-costly", "a chain can have at most %d links.", chainLimit)
	case len(c.Chain) > 0 && (c.Param.Kind != search.Reference || len(c.Values) > 0 || c.Modifier != ""):
		return refuse("not-supported", "only a reference can be chained, without a modifier.")
	case len(c.Values) == 0 && len(c.Chain) == 0:
		return refuse("required", "there is no value.")
	case c.Modifier == "missing":
		if len(c.Values) != 1 || tables[c.Param.Kind] == "" {
			return refuse("not-supported", "the modifier missing needs one value, and a parameter that can be missing.")
		}
		return nil
	}
	switch allowed := modifiers[c.Param.Kind]; {
	case c.Param.Kind == search.Number || c.Param.Kind == search.Quantity:
		return refuse("not-supported", "values of this kind cannot be compared yet.")
	case c.Modifier != "" && c.Modifier != allowed:
		return refuse("not-supported", "the modifier %s cannot be used here.", c.Modifier)
	}
	if c.Param.Kind == search.String || c.Param.Kind == search.URI && c.Modifier != "" {
		for _, v := range c.Values {
			if len(v.Value) > prefixLimit {
				return refuse("too-long", "a text can have at most %d bytes.", prefixLimit)
			}
		}
	}
	return nil
}

// modifiers are those that the index can answer, besides missing.
var modifiers = map[search.Kind]string{search.Token: "not", search.String: "contains", search.URI: "below"}

// holds is the condition that the resource with this rid satisfies the clause.
func (c *clause) holds(s *statement, rid string) string {
	if len(c.Chain) > 0 {
		return c.anyChain(s, rid)
	}
	if c.Param.Kind == search.ID || c.Param.Kind == search.LastUpdated {
		t := s.alias()
		return "EXISTS (SELECT 1 FROM resource " + t + " WHERE " + t + ".rid = " + rid + " AND " + c.match(s, t) + fence + ")"
	}
	wanted := c.Modifier != "not"
	if c.Modifier == "missing" {
		wanted = !c.Values[0].Missing
	}
	if !c.known {
		if wanted {
			return never
		}
		return always
	}
	t := s.alias()
	found := "EXISTS (SELECT 1 FROM " + tables[c.Param.Kind] + " " + t +
		" WHERE " + t + ".rid = " + rid + " AND " + t + ".param = " + s.arg(c.param)
	if c.Modifier != "missing" {
		found += " AND " + c.match(s, t)
	}
	found += fence + ")"
	if wanted {
		return found
	}
	return "NOT " + found
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
	return anyOf(any)
}

// match is the condition that the row t has one of the values.
func (c *clause) match(s *statement, t string) string {
	var any []string
	for i := range c.Values {
		if cond := c.matchOne(s, t, &c.Values[i], c.systems[i]); cond != never {
			any = append(any, cond)
		}
	}
	return anyOf(any)
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

func (c *clause) matchOne(s *statement, t string, v *search.Value, system int64) string {
	switch c.Param.Kind {
	case search.ID:
		return t + ".id = " + s.arg([]byte(v.Value))
	case search.LastUpdated:
		return compare(s, v, t+".updated", "("+t+".updated + 1)")
	case search.Date:
		return compare(s, v, t+".low", t+".high")
	case search.String:
		if c.Modifier == "contains" {
			return "instr(" + t + ".value, " + s.arg([]byte(v.Value)) + ") > 0"
		}
		return prefix(s, t+".value", v.Value)
	case search.URI:
		if c.Modifier == "below" {
			return prefix(s, t+".value", v.Value)
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

// prefix is the condition that column begins with text, as a range that an index can serve.
func prefix(s *statement, column, text string) string {
	cond := column + " >= " + s.arg([]byte(text))
	end := []byte(text)
	for len(end) > 0 && end[len(end)-1] == math.MaxUint8 {
		end = end[:len(end)-1]
	}
	if len(end) == 0 {
		return cond
	}
	end[len(end)-1]++
	return "(" + cond + " AND " + column + " < " + s.arg(end) + ")"
}

// compare is the condition that the half-open range [low, high) of a row compares to the
// value's as R4 says (https://hl7.org/fhir/R4/search.html#prefix).
func compare(s *statement, v *search.Value, low, high string) string {
	switch v.Prefix {
	case search.Ne:
		return "(" + low + " < " + s.arg(v.Low) + " OR " + high + " > " + s.arg(v.High) + ")"
	case search.Gt:
		return high + " > " + s.arg(v.High)
	case search.Lt:
		return low + " < " + s.arg(v.Low)
	case search.Ge:
		return "(" + high + " > " + s.arg(v.High) + " OR " + within(s, v, low, high) + ")"
	case search.Le:
		return "(" + low + " < " + s.arg(v.Low) + " OR " + within(s, v, low, high) + ")"
	case search.Sa:
		return low + " >= " + s.arg(v.High)
	case search.Eb:
		return high + " <= " + s.arg(v.Low)
	case search.Ap:
		return "(" + low + " < " + s.arg(v.High) + " AND " + high + " > " + s.arg(v.Low) + ")"
	}
	return within(s, v, low, high)
}

// within says that a row lies in the value's range. That low is below the end follows from it,
// and bounds what an index by low has to look at.
func within(s *statement, v *search.Value, low, high string) string {
	end := s.arg(v.High)
	return "(" + low + " >= " + s.arg(v.Low) + " AND " + low + " < " + end + " AND " + high + " <= " + end + ")"
}

// widen is the range of an ap value: a tenth of its distance to now wider at each side, as R4
// recommends.
func widen(v search.Value, now int64) search.Value {
	middle := v.Low/2 + v.High/2
	tenth := max(now-middle, middle-now) / 10
	v.Low, v.High = v.Low-tenth, v.High+tenth
	return v
}
