package store

import (
	"bytes"
	"cmp"
	"context"
	"strconv"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// sortKeyLimit is the most keys of a sort.
const sortKeyLimit = 10

// sortKey is a key of a sort (https://hl7.org/fhir/R4/search.html#sort) with its parameter turned
// into a symbol. Of an index table it goes by the first column: where a date or a number begins,
// and the code of a token.
type sortKey struct {
	search.SortKey
	param int64
	known bool // whether any row of this parameter was ever stored
}

func (r *Reader) sortKeys(ctx context.Context, q *search.Query) ([]sortKey, error) {
	if len(q.Sort) > sortKeyLimit {
		return nil, fhir.Errorf(fhir.BadRequest, "too-costly", "http._sort", "At most %d parameters can be sorted by.", sortKeyLimit)
	}
	var keys []sortKey
	for _, k := range q.Sort {
		out := sortKey{SortKey: k}
		switch {
		case k.Param.Kind == search.ID, k.Param.Kind == search.LastUpdated:
			out.known = true
		case tables[k.Param.Kind] == "":
			return nil, fhir.Errorf(fhir.BadRequest, "not-supported", "http._sort", "The parameter %s cannot be sorted by.", k.Param.Code)
		default:
			var err error
			if out.param, out.known, err = r.param(ctx, k.Param.Type, k.Param.Code); err != nil {
				return nil, err
			}
		}
		keys = append(keys, out)
	}
	return keys, nil
}

// direction is how SQL calls the order of the key.
func (k *sortKey) direction() string {
	if k.Descending {
		return " DESC"
	}
	return ""
}

// of is the value of the key of a resource, whose row is r; NULL where there is none.
func (k *sortKey) of(s *statement, r string) string {
	switch k.Param.Kind {
	case search.ID:
		return r + ".id"
	case search.LastUpdated:
		return r + ".updated"
	}
	t := s.alias()
	column := t + "." + columns[k.Param.Kind][0]
	return "(SELECT " + column + " FROM " + tables[k.Param.Kind] + " " + t + " WHERE " + t + ".rid = " + r + ".rid AND " + t + ".param = " +
		s.arg(k.param) + " AND " + t + ".part = 0 ORDER BY " + column + k.direction() + " LIMIT 1)"
}

// place is where a resource stands in the order of a search.
type place struct {
	rid int64
	// keys are int64, float64 or []byte, as the kind of the key has it, and nil where the
	// resource has no value.
	keys []any
	// resource is what is there now, if it was read already.
	resource *fhir.Resource
}

// compare is negative if a comes before b.
func (a *place) compare(b *place, keys []sortKey) int {
	for i := range keys {
		if c := compareKeys(a.keys[i], b.keys[i], keys[i].Descending); c != 0 {
			return c
		}
	}
	return cmp.Compare(a.rid, b.rid)
}

func compareKeys(a, b any, descending bool) (c int) {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	switch a := a.(type) {
	case int64:
		c = cmp.Compare(a, b.(int64))
	case float64:
		c = cmp.Compare(a, b.(float64))
	case []byte:
		c = bytes.Compare(a, b.([]byte))
	}
	if descending {
		return -c
	}
	return c
}

// keysOf are the keys of a version of a resource, from its rows.
func keysOf(keys []sortKey, res *fhir.Resource, rows []search.Row) ([]any, error) {
	out := make([]any, len(keys))
	for i := range keys {
		k := &keys[i]
		switch k.Param.Kind {
		case search.ID:
			out[i] = []byte(res.ID)
			continue
		case search.LastUpdated:
			out[i] = res.LastUpdated.UnixMicro()
			continue
		}
		for n := range rows {
			if rows[n].Param.Key() != k.Param.Key() || rows[n].Part != 0 {
				continue
			}
			stored, err := values(&rows[n], 0, 0, 0, 0)
			if err != nil {
				return nil, err
			}
			const first = 3 // behind rid, param and part
			if out[i] == nil || compareKeys(stored[first], out[i], k.Descending) < 0 {
				out[i] = stored[first]
			}
		}
	}
	return out, nil
}

// keyColumns are the keys of a resource whose row is r, as columns k0, k1 and so on, each after a
// comma. What no resource has is left out.
func (p *plan) keyColumns(s *statement, r string) string {
	var b strings.Builder
	for i := range p.keys {
		if k := &p.keys[i]; k.known {
			b.WriteString(", " + k.of(s, r) + " AS " + keyColumn(i))
		}
	}
	return b.String()
}

func keyColumn(i int) string { return "k" + strconv.Itoa(i) }

// keyNames are these columns of the table t, each after a comma.
func (p *plan) keyNames(t string) string {
	var b strings.Builder
	for i := range p.keys {
		if p.keys[i].known {
			b.WriteString(", " + t + keyColumn(i))
		}
	}
	return b.String()
}

// order is ORDER BY of these columns of the table t, from the first-th on.
func (p *plan) order(t string, first int) string {
	var by []string
	for i := first; i < len(p.keys); i++ {
		if k := &p.keys[i]; k.known {
			by = append(by, t+keyColumn(i)+k.direction()+" NULLS LAST")
		}
	}
	return " ORDER BY " + strings.Join(append(by, t+"rid"), ", ")
}

// behind is the condition that the place in the columns of the table t comes after another one.
func (p *plan) behind(s *statement, t string, after *place) string {
	cond, last := "", len(p.keys)-1
	for i := range p.keys {
		if !p.keys[i].known && after.keys[i] != nil { // what has no value is behind
			cond, last = always, i-1
			break
		}
	}
	if cond == "" {
		cond = t + "rid > " + s.arg(after.rid)
	}
	for i := last; i >= 0; i-- {
		k, column := &p.keys[i], t+keyColumn(i)
		switch {
		case !k.known:
		case after.keys[i] == nil:
			cond = "(" + column + " IS NULL AND " + cond + ")"
		default:
			further := " > "
			if k.Descending {
				further = " < "
			}
			at := s.arg(after.keys[i])
			cond = "(" + column + further + at + " OR " + column + " IS NULL OR (" + column + " = " + at + " AND " + cond + "))"
		}
	}
	return cond
}

// gather is the query for the next n places of all candidates, sorted. A resource counts if it is
// unchanged since asOf, where that is not 0.
func (p *plan) gather(s *statement, after *place, asOf int64, n int, where ...func(s *statement, rid string) string) string {
	inner := "SELECT r.rid AS rid" + p.keyColumns(s, "r") + " FROM (" + p.rids(s, 0, "", where...) + ") c CROSS JOIN resource r WHERE r.rid = c.rid"
	if asOf > 0 {
		inner += " AND r.seq <= " + s.arg(asOf)
	}
	if after != nil {
		inner = "SELECT g.rid AS rid" + p.keyNames("g.") + " FROM (" + inner + " LIMIT " + s.arg(int64(sourceLimit)) + " OFFSET 0) g WHERE " + p.behind(s, "g.", after)
	}
	return "SELECT o.rid AS rid" + p.keyNames("o.") + " FROM (" + inner + ") o" + p.order("o.", 0) + " LIMIT " + s.limit(n)
}

// places runs a query for at most n rids and keys in order. Where the plan asks for contents,
// they come too, until there is more than a page holds.
func (r *Reader) places(ctx context.Context, p *plan, s *statement, text string, n int) (out []place, err error) {
	if p.contents {
		text = p.withContents(text)
	}
	var size pageSize
	err = r.rows(ctx, text, s.args, func(scan func(...any) error) error {
		at := place{keys: make([]any, len(p.keys))}
		dest := []any{&at.rid}
		for i := range p.keys {
			if p.keys[i].known {
				dest = append(dest, &at.keys[i])
			}
		}
		if !p.contents {
			err := scan(dest...)
			out = append(out, at)
			return err
		}
		var id []byte
		var updated int64
		at.resource = &fhir.Resource{Type: p.name}
		if err := scan(append(dest, &id, &at.resource.Version, &updated, &at.resource.Body)...); err != nil {
			return err
		}
		at.resource.ID, at.resource.LastUpdated = string(id), fromMicros(updated)
		out = append(out, at)
		if size.full(n) {
			return errEnough
		}
		size.add(at.resource)
		return nil
	})
	return out, err
}

// sorted gives the next n places of what is unchanged since asOf, or of all where that is 0.
func (r *Reader) sorted(ctx context.Context, p *plan, after *place, asOf int64, n int) ([]place, error) {
	if p.typ < 0 {
		return nil, nil
	}
	if !p.small {
		found, ok, err := r.walk(ctx, p, after, asOf, n)
		if err != nil || ok {
			return found, err
		}
	}
	s := &statement{}
	return r.places(ctx, p, s, p.gather(s, after, asOf, n), n)
}
