package store

import (
	"context"
	"strconv"
	"strings"

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

// The limits of a query: values of one clause; clauses in each other that look at further
// resources; clauses in each other at all; and clauses.
const (
	valueLimit  = 500
	chainLimit  = 8
	nestLimit   = 40
	clauseLimit = 1000
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
	has        *clause
	// parts are those of All, Any or Together, or the one of Not.
	parts   []*clause
	phrases [][]string // of kind Text
	text    fullText
	among   func(s *statement, column string, texts []string, known bool) string // of the engine
}

// depth is where a clause stands in others.
type depth struct{ links, forms int }

// clause makes the clause that the store runs. count is the number of clauses so far.
func (r *Reader) clause(ctx context.Context, c search.Clause, at depth, count *int) (*clause, error) {
	*count++
	if at.links > chainLimit || at.forms > nestLimit || *count > clauseLimit {
		return nil, refuseClause(&c, "too-costly", "at most %d clauses, %d of them in each other and %d links of chains can be asked for.", clauseLimit, nestLimit, chainLimit)
	}
	if err := acceptable(&c); err != nil {
		return nil, err
	}
	out := &clause{Clause: c}
	var err error
	switch {
	case c.Has != nil:
		out.param, out.known, err = r.param(ctx, c.Has.Param.Type, c.Has.Param.Code)
		if err == nil {
			out.paramType, err = r.symbolOrNone(ctx, c.Has.Param.Type)
		}
		inner := c.Has.Clause
		if err == nil {
			inner, err = r.within(c.Has.Param.Type, inner)
		}
		if err == nil {
			out.has, err = r.clause(ctx, inner, depth{at.links + 1, at.forms + 1}, count)
		}
		return out, err
	case c.Param == nil:
		for _, part := range parts(&c) {
			p, err := r.clause(ctx, part, depth{at.links, at.forms + 1}, count)
			if err != nil {
				return nil, err
			}
			out.parts = append(out.parts, p)
		}
		return out, nil
	}
	if out.param, out.known, err = r.param(ctx, c.Param.Type, c.Param.Code); err != nil {
		return nil, err
	}
	if out.paramType, err = r.symbolOrNone(ctx, c.Param.Type); err != nil {
		return nil, err
	}
	if err := r.values(ctx, out); err != nil {
		return nil, err
	}
	var refused error
	for _, ch := range c.Chain {
		inner, err := r.within(ch.Type, ch.Clause)
		if err != nil {
			refused = err
			continue // the reference may also lead to what can be seen
		}
		typ, err := r.symbolOrNone(ctx, ch.Type)
		if err != nil {
			return nil, err
		}
		made, err := r.clause(ctx, inner, depth{at.links + 1, at.forms + 1}, count)
		if err != nil {
			return nil, err
		}
		out.chainTypes, out.chain = append(out.chainTypes, typ), append(out.chain, made)
	}
	if len(out.chain) == 0 && refused != nil {
		return nil, refused
	}
	return out, nil
}

// parts are the clauses that a form joins.
func parts(c *search.Clause) []search.Clause {
	switch {
	case c.Not != nil:
		return []search.Clause{*c.Not}
	case len(c.Together) > 0:
		return c.Together
	case len(c.All) > 0:
		return c.All
	}
	return c.Any
}

// values turns the systems of values into symbols, widens dates that are to be met about, and
// cuts phrases into words.
func (r *Reader) values(ctx context.Context, c *clause) error {
	given := c.Values
	c.Values = append([]search.Value(nil), given...)
	c.among = r.store.engine.among
	for i := range c.Values {
		v := &c.Values[i]
		id := int64(0)
		switch c.Param.Kind {
		case search.Token, search.Reference, search.Number, search.Quantity:
			var err error
			if id, err = r.symbolOrNone(ctx, v.System); err != nil {
				return err
			}
		case search.Date, search.LastUpdated:
			if v.Prefix == search.Ap {
				*v = widen(*v, r.store.now().UnixMicro())
			}
		case search.Text:
			c.text = r.store.engine.text()
			for _, p := range v.Phrases {
				c.phrases = append(c.phrases, words(p))
			}
		}
		c.systems = append(c.systems, id)
	}
	return nil
}

func (r *Reader) symbolOrNone(ctx context.Context, text string) (int64, error) {
	id, found, err := r.symbol(ctx, text)
	if !found {
		id = -1
	}
	return id, err
}

func refuseClause(c *search.Clause, code, format string, args ...any) error {
	name := "A clause: "
	switch {
	case c.Param != nil:
		name = "Parameter " + c.Param.Code + ": "
	case c.Has != nil:
		name = "Parameter _has of " + c.Has.Param.Code + ": "
	}
	return fhir.Errorf(fhir.BadRequest, code, "", "%s"+format, append([]any{name}, args...)...)
}

// acceptable refuses what the index cannot answer. What a clause is made of is checked by
// itself.
func acceptable(c *search.Clause) error {
	refuse := func(code, format string, args ...any) error { return refuseClause(c, code, format, args...) }
	forms := 0
	for _, is := range []bool{c.Param != nil, c.Has != nil, len(c.Together) > 0, len(c.All) > 0, len(c.Any) > 0, c.Not != nil} {
		if is {
			forms++
		}
	}
	switch {
	case forms != 1:
		return refuse("structure", "it must be of one form.")
	case c.Has != nil && c.Has.Param.Kind != search.Reference:
		return refuse("not-supported", "only a reference can be followed backwards.")
	case len(c.Together) > 0:
		for i := range c.Together {
			if p := &c.Together[i]; p.Param == nil || tables[p.Param.Kind] == "" || p.Modifier != "" || len(p.Chain) > 0 {
				return refuse("not-supported", "the components of a composite have values and no modifier.")
			}
		}
	}
	if c.Param == nil {
		return nil
	}
	switch {
	case len(c.Values) > valueLimit:
		return refuse("too-costly", "at most %d values can be asked for at once.", valueLimit)
	case len(c.Chain) > 0 && (c.Param.Kind != search.Reference || len(c.Values) > 0 || c.Modifier != ""):
		return refuse("not-supported", "only a reference can be chained, without a modifier.")
	case len(c.Values) == 0 && len(c.Chain) == 0:
		return refuse("required", "there is no value.")
	case c.Modifier == "missing":
		if len(c.Values) != 1 || tables[c.Param.Kind] == "" {
			return refuse("not-supported", "the modifier missing needs one value, and a parameter that can be missing.")
		}
		return nil
	case c.Param.Kind == search.Composite:
		return refuse("not-supported", "a composite is asked for by its components.")
	case c.Modifier != "" && !strings.Contains(modifiers[c.Param.Kind], " "+c.Modifier+" "):
		return refuse("not-supported", "the modifier %s cannot be used here.", c.Modifier)
	}
	for i := range c.Values {
		if err := acceptableValue(c, &c.Values[i]); err != nil {
			return err
		}
	}
	return nil
}

func acceptableValue(c *search.Clause, v *search.Value) error {
	long := c.Param.Kind == search.String && c.Modifier != "exact" && c.Modifier != "equals" || c.Param.Kind == search.Pieces || c.Param.Kind == search.URI && c.Modifier == "below"
	switch {
	case long && len(v.Value) > prefixLimit:
		return refuseClause(c, "too-long", "a text can have at most %d bytes.", prefixLimit)
	case c.Param.Kind == search.URI && c.Modifier == "above" && len(above(v.Value)) > valueLimit:
		return refuseClause(c, "too-costly", "a path can have at most %d parts.", valueLimit)
	case c.Param.Kind != search.Text:
		return nil
	case len(v.Phrases) == 0 || len(c.Values) != 1:
		return refuseClause(c, "required", "there is no word to look for.")
	}
	for _, p := range v.Phrases {
		if n := len(words(p)); n == 0 || n > phraseLimit {
			return refuseClause(c, "value", "what stands together has 1 to %d words.", phraseLimit)
		}
	}
	return nil
}

// modifiers are those that the index can answer, besides missing.
var modifiers = map[search.Kind]string{search.Token: " not ", search.String: " contains ends equals exact ", search.Pieces: " contains ends ", search.URI: " below above "}
