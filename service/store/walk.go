package store

import (
	"context"
	"strings"

	"aftercare/fhir/search"
)

// walk gives what sorted does, from the index of the first key, read in its order. It says no
// after some steps without enough matches: then they are rare, or stand at the other end, and
// gathering all candidates is at most as much again.
//
// An index gives the resources with one value by their rids, but only forwards. So a step is
// either over entries that stand before those of a value, few enough to be sorted; or over all
// those of one value that is so frequent that it fills a step, where there is no further key.
func (r *Reader) walk(ctx context.Context, p *plan, after *place, asOf int64, n int) (found []place, ok bool, err error) {
	k := &p.keys[0]
	valued := true // whether resources with a value are still to come
	var from any
	if after != nil && k.known {
		from, valued = after.keys[0], after.keys[0] != nil
	}
	if !k.known {
		valued = false
	}
	for _, most := range r.store.effort.steps {
		if !valued {
			break
		}
		first, last, err := r.ends(ctx, p, from, most)
		if err != nil {
			return nil, false, err
		}
		var next []place
		switch {
		case last == nil: // the last step
			valued = false
			if first == nil {
				continue
			}
			next, err = r.step(ctx, p, after, asOf, first, nil, false, n-len(found))
		case compareKeys(first, last, false) != 0:
			next, err = r.step(ctx, p, after, asOf, first, last, false, n-len(found))
		case len(p.keys) > 1:
			return nil, false, nil
		default:
			if next, err = r.step(ctx, p, after, asOf, first, last, true, n-len(found)); err == nil && len(found)+len(next) < n {
				last, err = r.beyond(ctx, p, first)
				valued = last != nil
			}
		}
		if err != nil {
			return nil, false, err
		}
		found, from = append(found, next...), last
		if len(found) == n {
			return found, true, nil
		}
	}
	if valued {
		return nil, false, nil
	}
	rest, err := r.valueless(ctx, p, after, asOf, n-len(found))
	return append(found, rest...), true, err
}

// walked is the index that a walk reads: its table, condition, column of the key, and what makes
// an entry the one of its resource, whose row is r, that counts.
func (k *sortKey) walked(s *statement, typ int64) (table, where, column, counts string) {
	switch k.Param.Kind {
	case search.ID:
		return "resource x", "x.type = " + s.arg(typ), "x.id", always
	case search.LastUpdated:
		return "version x", "x.type = " + s.arg(typ), "x.updated", "r.seq = x.seq"
	}
	table, names := tables[k.Param.Kind], columns[k.Param.Kind]
	param := s.arg(k.param)
	further := " < "
	if k.Descending {
		further = " > "
	}
	t := s.alias()
	better := t + "." + names[0] + further + "x." + names[0]
	if rest := names[1:]; len(rest) > 0 {
		better = "(" + better + " OR " + t + "." + names[0] + " = x." + names[0] +
			" AND (" + t + "." + strings.Join(rest, ", "+t+".") + ") < (x." + strings.Join(rest, ", x.") + "))"
	}
	return table + " x", "x.param = " + param, "x." + names[0],
		"NOT EXISTS (SELECT 1 FROM " + table + " " + t + " WHERE " + t + ".rid = x.rid AND +" + t + ".param = " + param + " AND " + better + fence + ")"
}

func (k *sortKey) notBefore() string {
	if k.Descending {
		return " <= "
	}
	return " >= "
}

// ends gives the keys of the next entry of a walk, from is the first that it may have, and of the
// one most entries further, nil where there is none.
func (r *Reader) ends(ctx context.Context, p *plan, from any, most int) (first, last any, err error) {
	k := &p.keys[0]
	s := &statement{}
	table, where, column, _ := k.walked(s, p.typ)
	if from != nil {
		where += " AND " + column + k.notBefore() + s.arg(from)
	}
	one := "SELECT " + column + " FROM " + table + " WHERE " + where + " ORDER BY " + column + k.direction() + " LIMIT 1 OFFSET "
	_, err = r.row(ctx, "SELECT ("+one+"0), ("+one+s.limit(most)+")", s.args, &first, &last)
	return first, last, err
}

// beyond is the next key of a walk after those that are equal to at, nil where there is none.
func (r *Reader) beyond(ctx context.Context, p *plan, at any) (next any, err error) {
	k := &p.keys[0]
	s := &statement{}
	table, where, column, _ := k.walked(s, p.typ)
	further := strings.TrimSuffix(k.notBefore(), "= ") + " "
	_, err = r.row(ctx, "SELECT "+column+" FROM "+table+" WHERE "+where+" AND "+column+further+s.arg(at)+
		" ORDER BY "+column+k.direction()+" LIMIT 1", s.args, &next)
	return next, err
}

// step gives the places of a step: of the keys from first on, before last if there is one, or only
// of first.
func (r *Reader) step(ctx context.Context, p *plan, after *place, asOf int64, first, last any, only bool, n int) ([]place, error) {
	s := &statement{}
	return r.places(ctx, p, s, p.stepText(s, after, asOf, first, last, only, n), n)
}

func (p *plan) stepText(s *statement, after *place, asOf int64, first, last any, only bool, n int) string {
	k := &p.keys[0]
	table, where, column, counts := k.walked(s, p.typ)
	order := " ORDER BY " + column + k.direction()
	switch {
	case only:
		where += " AND " + column + " = " + s.arg(first)
		order = " ORDER BY x.rid"
		if after != nil && compareKeys(after.keys[0], first, false) == 0 {
			where += " AND x.rid > " + s.arg(after.rid)
		}
	case last != nil:
		before := " < "
		if k.Descending {
			before = " > "
		}
		where += " AND " + column + k.notBefore() + s.arg(first) + " AND " + column + before + s.arg(last)
	default:
		where += " AND " + column + k.notBefore() + s.arg(first)
	}
	where += " AND r.rid = x.rid AND +r.deleted = 0 AND " + counts
	if asOf > 0 {
		where += " AND +r.seq <= " + s.arg(asOf)
	}
	for _, c := range p.clauses {
		where += " AND " + c.holds(s, "r.rid")
	}
	if len(p.keys) == 1 {
		if !only {
			order += ", x.rid"
			if after != nil {
				where += " AND " + p.behindFirst(s, column, after)
			}
		}
		return "SELECT x.rid AS rid, " + column + " AS k0 FROM " + table + " CROSS JOIN resource r WHERE " + where + order + " LIMIT " + s.limit(n)
	}
	text := "SELECT r.rid AS rid, " + column + " AS k0" + p.otherColumns(s) + " FROM " + table + " CROSS JOIN resource r WHERE " + where
	if after != nil {
		text = "SELECT g.rid AS rid" + p.keyNames("g.") + " FROM (" + text + " LIMIT " + s.arg(int64(sourceLimit)) + " OFFSET 0) g WHERE " + p.behind(s, "g.", after)
	}
	return "SELECT o.rid AS rid" + p.keyNames("o.") + " FROM (" + text + ") o" + p.order("o.", 0) + " LIMIT " + s.limit(n)
}

// behindFirst is behind for a single key in a column.
func (p *plan) behindFirst(s *statement, column string, after *place) string {
	further := strings.TrimSuffix(p.keys[0].notBefore(), "= ") + " "
	at := s.arg(after.keys[0])
	return "(" + column + further + at + " OR x.rid > " + s.arg(after.rid) + " AND " + column + " = " + at + ")"
}

func (p *plan) otherColumns(s *statement) string {
	others := *p
	others.keys = append([]sortKey(nil), p.keys...)
	others.keys[0].known = false
	return others.keyColumns(s, "r")
}

// valueless gives the places of what has no value of the first key.
func (r *Reader) valueless(ctx context.Context, p *plan, after *place, asOf int64, n int) ([]place, error) {
	k := &p.keys[0]
	if n <= 0 || k.Param.Kind == search.ID || k.Param.Kind == search.LastUpdated {
		return nil, nil
	}
	if after != nil && after.keys[0] != nil {
		after = nil // all of them come after it
	}
	without := func(s *statement, rid string) string {
		if !k.known {
			return always
		}
		t := s.alias()
		return "NOT EXISTS (SELECT 1 FROM " + tables[k.Param.Kind] + " " + t + " WHERE " + t + ".rid = " + rid + " AND " + t + ".param = " + s.arg(k.param) + fence + ")"
	}
	rest := *p
	rest.keys = append([]sortKey(nil), p.keys...)
	rest.keys[0].known = false
	s := &statement{}
	if len(p.keys) > 1 {
		return r.places(ctx, &rest, s, rest.gather(s, after, asOf, n, without), n)
	}
	since := int64(0)
	if after != nil {
		since = after.rid
	}
	unchanged := func(s *statement, rid string) string {
		if asOf == 0 {
			return always
		}
		t := s.alias()
		return "EXISTS (SELECT 1 FROM resource " + t + " WHERE " + t + ".rid = " + rid + " AND " + t + ".seq <= " + s.arg(asOf) + fence + ")"
	}
	limit := s.limit(n)
	return r.places(ctx, &rest, s, rest.rids(s, since, limit, without, unchanged), n)
}
