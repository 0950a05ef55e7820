package store

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"

	"pgregory.net/rapid"
)

// model is the slow and obvious store: all resources with their rows, and every clause is looked
// up in all of them. The types of each model are its own, so that models share a database.
type model struct {
	types  []string // the last letter is the kind of resource
	params map[string]*search.Parameter
	all    []*modelled // in order of creation
	past   map[string][]search.Row
}

type modelled struct {
	typ, id string
	rows    []search.Row // of now
	alive   bool
	updated int64
}

func newModel(n int) *model {
	m := &model{params: map[string]*search.Parameter{}, past: map[string][]search.Row{}}
	for _, kind := range []string{"A", "B"} {
		m.types = append(m.types, fmt.Sprintf("Model%d%s", n, kind))
	}
	for _, typ := range m.types {
		for code, kind := range map[string]search.Kind{
			"token": search.Token, "reference": search.Reference, "date": search.Date, "string": search.String, "uri": search.URI,
			"number": search.Number, "quantity": search.Quantity, "composite$1": search.Token, "composite$2": search.Quantity,
			"_id": search.ID, "_lastUpdated": search.LastUpdated, "_text": search.Text, "_content": search.Text, "never": search.Token,
		} {
			m.params[typ+"."+code] = param(typ, code, kind)
		}
	}
	return m
}

func (m *model) param(typ, code string) *search.Parameter { return m.params[typ+"."+code] }

// find is the resource of a type and an id that is alive, or nil.
func (m *model) find(typ, id string) *modelled {
	for _, r := range m.all {
		if r.typ == typ && r.id == id && r.alive {
			return r
		}
	}
	return nil
}

func (m *model) rows(r *modelled, p *search.Parameter) (out []search.Row) {
	for _, row := range r.rows {
		if row.Param == p {
			out = append(out, row)
		}
	}
	return out
}

func (m *model) allMatch(r *modelled, clauses []search.Clause) bool {
	for i := range clauses {
		if !m.matches(r, &clauses[i]) {
			return false
		}
	}
	return true
}

func (m *model) matches(r *modelled, c *search.Clause) bool {
	switch {
	case c.Not != nil:
		return !m.matches(r, c.Not)
	case len(c.All) > 0:
		return m.allMatch(r, c.All)
	case len(c.Any) > 0:
		return slices.ContainsFunc(c.Any, func(one search.Clause) bool { return m.matches(r, &one) })
	case c.Has != nil:
		return slices.ContainsFunc(m.all, func(from *modelled) bool {
			return from.alive && from.typ == c.Has.Param.Type && slices.ContainsFunc(m.rows(from, c.Has.Param), func(row search.Row) bool {
				return row.System == r.typ && row.Value == r.id
			}) && m.matches(from, &c.Has.Clause)
		})
	case len(c.Together) > 0:
		for part := int64(1); part < 4; part++ {
			if !slices.ContainsFunc(c.Together, func(one search.Clause) bool {
				return !slices.ContainsFunc(m.rows(r, one.Param), func(row search.Row) bool { return row.Part == part && rowHasAny(&one, &row) })
			}) {
				return true
			}
		}
		return false
	case len(c.Chain) > 0:
		return slices.ContainsFunc(c.Chain, func(ch search.Chain) bool {
			return slices.ContainsFunc(m.rows(r, c.Param), func(row search.Row) bool {
				to := m.find(row.System, row.Value)
				return row.System == ch.Type && to != nil && m.matches(to, &ch.Clause)
			})
		})
	}
	switch c.Param.Kind {
	case search.ID:
		return slices.ContainsFunc(c.Values, func(v search.Value) bool { return v.Value == r.id })
	case search.LastUpdated:
		return slices.ContainsFunc(c.Values, func(v search.Value) bool { return rangeIs(&v, r.updated, r.updated+1) })
	case search.Text:
		text := ""
		for _, row := range m.rows(r, c.Param) {
			text = " " + row.Value + " "
		}
		return !slices.ContainsFunc(c.Values[0].Phrases, func(p string) bool { return !strings.Contains(text, " "+p+" ") })
	}
	rows := m.rows(r, c.Param)
	if c.Modifier == "missing" {
		return c.Values[0].Missing == (len(rows) == 0)
	}
	found := slices.ContainsFunc(rows, func(row search.Row) bool { return rowHasAny(c, &row) })
	return found != (c.Modifier == "not")
}

func rowHasAny(c *search.Clause, row *search.Row) bool {
	return slices.ContainsFunc(c.Values, func(v search.Value) bool { return rowHas(c, row, &v) })
}

func rowHas(c *search.Clause, row *search.Row, v *search.Value) bool {
	switch c.Param.Kind {
	case search.Token:
		return (v.AnySystem || v.System == row.System) && (v.Value == row.Value || v.Value == "" && !v.AnySystem)
	case search.Reference:
		if v.URL != "" {
			return row.System == "" && row.Value == v.URL
		}
		return row.Value == v.Value && row.System != "" && (v.System == "" || v.System == row.System)
	case search.Date:
		return rangeIs(v, row.Low, row.High)
	case search.String:
		written := cmp.Or(row.Exact, row.Value)
		switch c.Modifier {
		case "contains":
			return strings.Contains(row.Value, v.Value)
		case "ends":
			return strings.HasSuffix(row.Value, v.Value)
		case "equals":
			return row.Value == v.Value
		case "exact":
			return written == v.Value
		}
		return strings.HasPrefix(row.Value, v.Value)
	case search.URI:
		switch c.Modifier {
		case "below":
			return isBelow(v.Value, row.Value)
		case "above":
			return isBelow(row.Value, v.Value)
		}
		return row.Value == v.Value
	}
	if !v.AnyUnit && (row.Value != v.Value || !v.AnySystem && row.System != v.System) {
		return false
	}
	switch low, high := row.NumberLow, row.NumberHigh; v.Prefix {
	case search.Ne:
		return !(v.NumberLow <= low && high < v.NumberHigh)
	case search.Gt:
		return high > v.Number
	case search.Ge:
		return high >= v.Number
	case search.Lt:
		return low < v.Number
	case search.Le:
		return low <= v.Number
	case search.Sa:
		return low > v.Number
	case search.Eb:
		return high < v.Number
	case search.Ap:
		return low <= v.NumberHigh && high >= v.NumberLow
	default:
		return v.NumberLow <= low && high < v.NumberHigh
	}
}

func isBelow(base, uri string) bool {
	rest, begins := strings.CutPrefix(uri, base)
	return begins && (rest == "" || strings.ContainsAny(rest[:1], "/?#") || base != "" && strings.ContainsAny(base[len(base)-1:], "/?#"))
}

// rangeIs compares [low, high) to the value as the table of prefixes has it.
func rangeIs(v *search.Value, low, high int64) bool {
	within := v.Low <= low && high <= v.High
	switch v.Prefix {
	case search.Ne:
		return !within
	case search.Gt:
		return high > v.High
	case search.Lt:
		return low < v.Low
	case search.Ge:
		return high > v.High || within
	case search.Le:
		return low < v.Low || within
	case search.Sa:
		return low >= v.High
	case search.Eb:
		return high <= v.Low
	}
	return within
}

// placedModel is a resource and the keys that it is sorted by, at one moment.
type placedModel struct {
	r    *modelled
	at   int // in order of creation
	keys []any
}

// snapshot are all resources that are alive, with their places.
func (m *model) snapshot(q *search.Query) (out []placedModel) {
	parts := q.Parts
	if len(parts) == 0 {
		parts = []*search.Query{q}
	}
	for at, r := range m.all {
		for _, part := range parts {
			if r.typ == part.Type && r.alive {
				out = append(out, placedModel{r, at, m.keys(r, part)})
			}
		}
	}
	slices.SortFunc(out, func(a, b placedModel) int { return comparePlaced(a, b, parts[0].Sort) })
	return out
}

func comparePlaced(a, b placedModel, sort []search.SortKey) int {
	for i, k := range sort {
		x, y := a.keys[i], b.keys[i]
		if x == nil || y == nil {
			if x != y {
				return map[bool]int{true: 1, false: -1}[x == nil]
			}
			continue
		}
		if c := compareAny(x, y); c != 0 {
			if k.Descending {
				c = -c
			}
			return c
		}
	}
	return a.at - b.at
}

func compareAny(x, y any) int {
	switch x := x.(type) {
	case string:
		return bytes.Compare([]byte(x), []byte(y.(string)))
	case int64:
		return cmp.Compare(x, y.(int64))
	default:
		return cmp.Compare(x.(float64), y.(float64))
	}
}

func (m *model) keys(r *modelled, q *search.Query) (out []any) {
	for _, k := range q.Sort {
		var key any
		switch k.Param.Kind {
		case search.ID:
			key = r.id
		case search.LastUpdated:
			key = r.updated
		}
		for _, row := range m.rows(r, k.Param) {
			var one any = row.Value
			switch k.Param.Kind {
			case search.Date:
				one = row.Low
			case search.Number, search.Quantity:
				one = row.NumberLow
			}
			if key == nil || (compareAny(one, key) > 0) == k.Descending {
				key = one
			}
		}
		out = append(out, key)
	}
	return out
}

// partOf is the query for the type of a resource.
func partOf(q *search.Query, typ string) *search.Query {
	for _, part := range q.Parts {
		if part.Type == typ {
			return part
		}
	}
	return q
}

// put stores a resource in the model and gives what does so in the store.
func (m *model) put(r *modelled, rows []search.Row, at time.Time) func(ctx context.Context, t testing.TB, tx *Tx) error {
	return func(ctx context.Context, t testing.TB, tx *Tx) error {
		res, err := tx.Put(ctx, draft(t, r.typ, ""), r.id, at, "PUT", rows)
		if err != nil {
			return err
		}
		r.rows, r.alive, r.updated = rows, true, res.LastUpdated.UnixMicro()
		m.past[fmt.Sprint(res.Ref(), res.Version)] = rows
		return nil
	}
}

// rowsAt is what Search asks for.
func (m *model) rowsAt(res *fhir.Resource) ([]search.Row, error) {
	return m.past[fmt.Sprint(res.Ref(), res.Version)], nil
}

// gen draws what a model is made of, from few values, so that they meet.
type gen struct {
	*rapid.T
	*model
}

func (g gen) small() int { return rapid.IntRange(0, 3).Draw(g.T, "value") }

func (g gen) text() string {
	return rapid.SampledFrom([]string{"a", "ab", "abc", "b", "Ab", "é", "e"}).Draw(g.T, "text")
}

var modelURIs = []string{"http://x", "http://x/", "http://x/a", "http://x/a/b", "http://x/ab", "http://x/a?b", "urn:x"}

func (g gen) uri() string { return rapid.SampledFrom(modelURIs).Draw(g.T, "uri") }

func (g gen) phrase() string {
	return rapid.StringMatching(`[ab](( [ab]){0,3})`).Draw(g.T, "phrase")
}

func (g gen) id() string { return fmt.Sprint("r", rapid.IntRange(0, 12).Draw(g.T, "id")) }

func (g gen) typ() string { return rapid.SampledFrom(g.types).Draw(g.T, "type") }

func (g gen) system() string { return rapid.SampledFrom([]string{"", "s", "t"}).Draw(g.T, "system") }

const modelDay = 86400e6

func (g gen) newRows(typ string) (rows []search.Row) {
	add := func(code string, most int, row func() search.Row) {
		for range rapid.IntRange(0, most).Draw(g.T, code) {
			one := row()
			one.Param = g.param(typ, code)
			rows = append(rows, one)
		}
	}
	quantity := func() search.Row {
		low := float64(g.small())
		return search.Row{System: g.system(), Value: g.system(), NumberLow: low, NumberHigh: low + rapid.SampledFrom([]float64{0, 0, 2, math.Inf(1)}).Draw(g.T, "width")}
	}
	add("token", 2, func() search.Row { return search.Row{System: g.system(), Value: g.text()} })
	add("reference", 2, func() search.Row {
		if g.small() == 0 {
			return search.Row{Value: g.uri()}
		}
		return search.Row{System: g.typ(), Value: g.id()}
	})
	add("date", 2, func() search.Row {
		low := int64(g.small()) * modelDay
		return search.Row{Low: low, High: low + rapid.SampledFrom([]int64{1, modelDay, 2 * modelDay, 2*modelDay + 1, 40 * modelDay}).Draw(g.T, "length")}
	})
	add("string", 2, func() search.Row {
		exact := g.text()
		row := search.Row{Value: search.Fold(exact)}
		if row.Value != exact {
			row.Exact = exact
		}
		return row
	})
	add("uri", 1, func() search.Row { return search.Row{Value: g.uri()} })
	add("number", 1, quantity)
	add("quantity", 2, quantity)
	for _, code := range []string{"composite$1", "composite$2"} {
		add(code, 2, func() search.Row {
			row := quantity()
			row.Part = int64(rapid.IntRange(1, 2).Draw(g.T, "part"))
			if code == "composite$1" {
				row = search.Row{Part: row.Part, System: g.system(), Value: g.text()}
			}
			return row
		})
	}
	add("_text", 1, func() search.Row { return search.Row{Value: g.phrase()} })
	add("_content", 1, func() search.Row { return search.Row{Value: g.phrase() + " " + g.phrase()} })
	return rows
}

var prefixes = []search.Prefix{"", search.Eq, search.Ne, search.Gt, search.Lt, search.Ge, search.Le, search.Sa, search.Eb}

func (g gen) value(p *search.Parameter) (v search.Value) {
	switch p.Kind {
	case search.Token:
		v = search.Value{AnySystem: rapid.Bool().Draw(g.T, "any system"), Value: g.text()}
		if !v.AnySystem {
			v.System = g.system()
			if v.System != "" && g.small() == 0 {
				v.Value = ""
			}
		}
	case search.Reference:
		switch g.small() {
		case 0:
			v.URL = g.uri()
		case 1:
			v.Value = g.id()
		default:
			v.System, v.Value = g.typ(), g.id()
		}
	case search.Date:
		low := int64(g.small()) * modelDay
		v = search.Value{Prefix: rapid.SampledFrom(prefixes).Draw(g.T, "prefix"), Low: low, High: low + rapid.SampledFrom([]int64{1, modelDay, 3 * modelDay}).Draw(g.T, "length")}
	case search.LastUpdated:
		low := t0.UnixMicro() + int64(g.small())
		v = search.Value{Prefix: rapid.SampledFrom(prefixes).Draw(g.T, "prefix"), Low: low, High: low + rapid.SampledFrom([]int64{1, 2}).Draw(g.T, "length")}
	case search.String:
		v.Value = search.Fold(g.text())
	case search.URI:
		v.Value = g.uri()
	case search.ID:
		v.Value = g.id()
	case search.Text:
		v.Phrases = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return gen{t, g.model}.phrase() }), 1, 2).Draw(g.T, "phrases")
	default:
		n := float64(g.small())
		v = search.Value{Prefix: rapid.SampledFrom(append(prefixes, search.Ap)).Draw(g.T, "prefix"), Number: n, NumberLow: n - 0.5, NumberHigh: n + rapid.SampledFrom([]float64{0.5, 1, 2}).Draw(g.T, "above")}
		if v.AnyUnit = rapid.Bool().Draw(g.T, "any unit"); !v.AnyUnit {
			v.Value = g.system()
			if v.AnySystem = rapid.Bool().Draw(g.T, "any unit system"); !v.AnySystem {
				v.System = g.system()
			}
		}
	}
	return v
}

func (g gen) leaf(typ, code string) search.Clause {
	p := g.param(typ, code)
	c := search.Clause{Param: p}
	if p.Kind != search.ID && p.Kind != search.LastUpdated && p.Kind != search.Text && p.Code != "composite$1" && p.Code != "composite$2" {
		c.Modifier = rapid.SampledFrom([]string{"", "", "", "missing", "other"}).Draw(g.T, "modifier")
		if c.Modifier == "other" {
			c.Modifier = rapid.SampledFrom(append(strings.Fields(modifiers[p.Kind]), "")).Draw(g.T, "modifier of its kind")
		}
		if c.Modifier == "missing" {
			c.Values = []search.Value{{Missing: rapid.Bool().Draw(g.T, "missing")}}
			return c
		}
	}
	most := 2
	if p.Kind == search.Text {
		most = 1
	}
	for range rapid.IntRange(1, most).Draw(g.T, "values") {
		v := g.value(p)
		if c.Modifier == "exact" {
			v.Value = g.text()
		}
		c.Values = append(c.Values, v)
	}
	return c
}

func (g gen) clause(typ string, depth int) search.Clause {
	form := "leaf"
	if depth > 0 {
		form = rapid.SampledFrom([]string{"leaf", "leaf", "leaf", "not", "all", "any", "has", "together", "chain"}).Draw(g.T, "form")
	}
	several := func() (out []search.Clause) {
		for range rapid.IntRange(1, 3).Draw(g.T, "clauses") {
			out = append(out, g.clause(typ, depth-1))
		}
		return out
	}
	switch form {
	case "not":
		c := g.clause(typ, depth-1)
		return search.Clause{Not: &c}
	case "all":
		return search.Clause{All: several()}
	case "any":
		return search.Clause{Any: several()}
	case "has":
		from := g.typ()
		return search.Clause{Has: &search.Has{Param: g.param(from, "reference"), Clause: g.clause(from, depth-1)}}
	case "together":
		return search.Clause{Together: []search.Clause{g.leaf(typ, "composite$1"), g.leaf(typ, "composite$2")}}
	case "chain":
		c := search.Clause{Param: g.param(typ, "reference")}
		for range rapid.IntRange(1, 2).Draw(g.T, "chains") {
			to := g.typ()
			c.Chain = append(c.Chain, search.Chain{Type: to, Clause: g.clause(to, depth-1)})
		}
		return c
	}
	return g.leaf(typ, rapid.SampledFrom([]string{"token", "reference", "date", "string", "uri", "number", "quantity", "_id", "_lastUpdated", "_text", "_content", "never"}).Draw(g.T, "parameter"))
}

func (g gen) query() *search.Query {
	q := &search.Query{Type: g.typ(), Count: rapid.IntRange(1, 7).Draw(g.T, "count"), Total: true}
	parts := []*search.Query{q}
	if g.small() == 0 {
		q.Type = ""
		q.Parts = []*search.Query{{Type: g.types[0]}, {Type: g.types[1]}}
		parts = q.Parts
	}
	for _, part := range parts {
		for range rapid.SampledFrom([]int{0, 0, 1, 1, 2, 3}).Draw(g.T, "number of clauses") {
			part.Clauses = append(part.Clauses, g.clause(part.Type, 2))
		}
	}
	for range rapid.SampledFrom([]int{0, 1, 1, 2, 3}).Draw(g.T, "number of keys") {
		code := rapid.SampledFrom([]string{"token", "reference", "date", "string", "uri", "number", "quantity", "_id", "_lastUpdated", "never"}).Draw(g.T, "key")
		descending := rapid.Bool().Draw(g.T, "descending")
		for _, part := range parts {
			part.Sort = append(part.Sort, search.SortKey{Param: g.param(part.Type, code), Descending: descending})
		}
	}
	return q
}

// fill makes resources, in one write.
func (g gen) fill(tb testing.TB, s *Store) {
	n := rapid.IntRange(0, 25).Draw(g.T, "resources")
	var writes []func(ctx context.Context, t testing.TB, tx *Tx) error
	for i := range n {
		r := &modelled{typ: g.typ(), id: fmt.Sprint("r", i)}
		g.all = append(g.all, r)
		writes = append(writes, g.put(r, g.newRows(r.typ), t0.Add(time.Duration(g.small())*time.Microsecond)))
	}
	g.write(tb, s, writes...)
}

func (g gen) write(tb testing.TB, s *Store, writes ...func(ctx context.Context, t testing.TB, tx *Tx) error) {
	if err := s.Write(context.Background(), func(ctx context.Context, tx *Tx) error {
		for _, w := range writes {
			if err := w(ctx, tb, tx); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		g.Fatal(err)
	}
}

// effort is the usual one, or one that even a few resources are too many for.
func (g gen) effort() effort {
	if rapid.Bool().Draw(g.T, "usual effort") {
		return usualEffort
	}
	return effort{probe: rapid.IntRange(1, 12).Draw(g.T, "probe"), steps: []int{1, 2, rapid.IntRange(1, 20).Draw(g.T, "step")}, changed: 1000}
}

func (m *model) page(s *Store, q *search.Query) (page Page, err error) {
	err = s.View(context.Background(), func(ctx context.Context, r *Reader) (err error) {
		page, err = r.Search(ctx, q, m.rowsAt)
		return err
	})
	return page, err
}

// searchIsAsTheModel compares random queries with the model, page by page.
func searchIsAsTheModel(t *testing.T, open func() *Store) {
	s := open()
	made := 0
	rapid.Check(t, func(rt *rapid.T) {
		made++
		g := gen{rt, newModel(made)}
		g.fill(t, s)
		for range rapid.IntRange(0, 6).Draw(rt, "changes") {
			g.change(t, s)
		}
		s.effort = g.effort()
		for range 6 {
			q := g.query()
			var want, got []string
			for _, p := range g.snapshot(q) {
				if g.allMatch(p.r, partOf(q, p.r.typ).Clauses) {
					want = append(want, p.r.typ+"/"+p.r.id)
				}
			}
			length := 0
			for {
				page, err := g.page(s, q)
				if err != nil {
					rt.Fatal(err)
				}
				if page.Total != int64(len(want)) {
					rt.Fatalf("the total is %d, want %d", page.Total, len(want))
				}
				for _, r := range page.Resources {
					got = append(got, r.Ref())
				}
				if page.Next == "" {
					break
				}
				if len(page.Resources) != q.Count || length != 0 && len(page.Next) != length {
					rt.Fatalf("a page of %d, and a cursor of %d characters after one of %d", len(page.Resources), len(page.Next), length)
				}
				length, q.Cursor = len(page.Next), page.Next
				if len(got) > len(want) {
					rt.Fatal("it does not end")
				}
			}
			if !slices.Equal(got, want) {
				rt.Fatalf("found %v, want %v", got, want)
			}
		}
	})
}

// sortedPagesAreStable reads pages while resources are made, changed and deleted.
func sortedPagesAreStable(t *testing.T, open func() *Store) {
	s := open()
	made := 1 << 20
	rapid.Check(t, func(rt *rapid.T) {
		made++
		g := gen{rt, newModel(made)}
		g.fill(t, s)
		s.effort = g.effort()
		q := g.query()
		q.Total = false
		q.Count = rapid.IntRange(1, 4).Draw(rt, "small count")
		if len(partOf(q, g.types[0]).Sort) == 0 {
			return
		}
		order := g.snapshot(q)
		for {
			page, err := g.page(s, q)
			if err != nil {
				rt.Fatal(err)
			}
			var got, want []string
			for _, r := range page.Resources {
				got = append(got, r.Ref())
			}
			// What was there when the first page was read, at the places of then, as far as it
			// matches now.
			more := false
			for _, p := range order {
				if !p.r.alive || !g.allMatch(p.r, partOf(q, p.r.typ).Clauses) {
					continue
				}
				if len(want) == q.Count {
					more = true
					break
				}
				want = append(want, p.r.typ+"/"+p.r.id)
			}
			if !slices.Equal(got, want) || more != (page.Next != "") {
				rt.Fatalf("found %v and then %v, want %v and %v", got, page.Next != "", want, more)
			}
			if page.Next == "" {
				return
			}
			last := want[len(want)-1]
			order = order[1+slices.IndexFunc(order, func(p placedModel) bool { return p.r.typ+"/"+p.r.id == last }):]
			q.Cursor = page.Next
			for range rapid.IntRange(0, 5).Draw(rt, "changes") {
				g.change(t, s)
			}
		}
	})
}

// change makes, changes or deletes a resource.
func (g gen) change(tb testing.TB, s *Store) {
	at := t0.Add(time.Duration(g.small()) * time.Microsecond)
	if len(g.all) == 0 || g.small() == 0 {
		r := &modelled{typ: g.typ(), id: fmt.Sprint("r", len(g.all))}
		g.all = append(g.all, r)
		g.write(tb, s, g.put(r, g.newRows(r.typ), at))
		return
	}
	r := rapid.SampledFrom(g.all).Draw(g.T, "resource")
	if g.small() == 0 {
		g.write(tb, s, func(ctx context.Context, _ testing.TB, tx *Tx) error {
			_, err := tx.Delete(ctx, r.typ, r.id, at, "DELETE")
			r.alive, r.rows = false, nil
			return err
		})
		return
	}
	g.write(tb, s, g.put(r, g.newRows(r.typ), at))
}
