package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Part says which resources of a type there are to see: those that satisfy all clauses. Those are
// such as search.Clause.Holds knows.
type Part struct {
	// None is set where there is no resource of the type to see.
	None    bool
	Clauses []search.Clause
}

// All reports whether it is every resource of the type.
func (p Part) All() bool { return !p.None && len(p.Clauses) == 0 }

// Holds reports whether a version of a resource, with these rows, is in the part.
func (p Part) Holds(id string, rows []search.Row) bool {
	return !p.None && !slices.ContainsFunc(p.Clauses, func(c search.Clause) bool {
		holds, known := c.Holds(id, rows)
		return !holds || !known
	})
}

// restriction is what a Reader is restricted to.
type restriction struct {
	part  func(typ string) Part
	parts map[string]Part
	rows  Rows
}

// Only gives a reader of the same state of the database to which other resources than those of
// part are not there: not to read, not to search, in no page, count, include, chain or history. A
// search through resources of a type of which it sees none is refused, with an error of kind
// Forbidden. Of a resource that it sees, it sees the versions that were in the part then; of one
// that is deleted, none.
//
// rows gives what versions can be found by, as for Search. What Only returns is good as long as r.
func (r *Reader) Only(part func(typ string) Part, rows Rows) *Reader {
	only := *r
	only.used = nil
	only.only = &restriction{part: part, parts: map[string]Part{}, rows: rows}
	return &only
}

// All gives the reader that a restricted one was made from: one to which everything is there. What
// it reads must not be shown.
func (r *Reader) All() *Reader {
	all := *r
	all.used, all.only = nil, nil
	return &all
}

// partOf is what there is to see of a type.
func (r *Reader) partOf(typ string) Part {
	if r.only == nil {
		return Part{}
	}
	part, ok := r.only.parts[typ]
	if !ok {
		part = r.only.part(typ)
		r.only.parts[typ] = part
	}
	return part
}

// bounds are the clauses of what there is to see of a type, made for the store. none is set where
// that is nothing.
func (r *Reader) bounds(ctx context.Context, typ string) (clauses []*clause, none bool, err error) {
	part := r.partOf(typ)
	if part.None {
		return nil, true, nil
	}
	clauses, err = r.made(ctx, part.Clauses)
	return clauses, false, err
}

// made are clauses made for the store. Those of a Part lead to no other resource, so they have no
// bounds themselves.
func (r *Reader) made(ctx context.Context, given []search.Clause) (clauses []*clause, err error) {
	count := 0
	for _, c := range given {
		made, err := r.clause(ctx, c, depth{}, &count)
		if err != nil {
			return nil, err
		}
		clauses = append(clauses, made)
	}
	return clauses, nil
}

// split parts the clauses of what there is to see of a type into those that a statement checks, and
// those that name so many resources that it is faster to look at what one resource refers to.
func split(part Part) (few, many []search.Clause) {
	for _, c := range part.Clauses {
		if namesMany(&c) {
			many = append(many, c)
		} else {
			few = append(few, c)
		}
	}
	return few, many
}

func namesMany(c *search.Clause) bool {
	any := func(list []search.Clause) bool {
		return slices.ContainsFunc(list, func(c search.Clause) bool { return namesMany(&c) })
	}
	return len(c.Values) >= manyValues && (c.Param.Kind == search.Reference || c.Param.Kind == search.ID) || c.Not != nil && namesMany(c.Not) || any(c.All) || any(c.Any)
}

// holdMany reports whether clauses on ids and references hold for the current version of a resource.
func (r *Reader) holdMany(ctx context.Context, clauses []search.Clause, rid int64, id string) (bool, error) {
	params := map[int64]*search.Parameter{}
	for i := range clauses {
		if err := r.referenceParams(ctx, &clauses[i], params); err != nil {
			return false, err
		}
	}
	var rows []search.Row
	err := r.rows(ctx, "SELECT x.param, t.text, x.target FROM index_reference x CROSS JOIN symbol t WHERE x.rid = $1 AND t.id = x.type", []any{rid}, func(scan func(...any) error) error {
		var param int64
		var typ, target []byte
		if err := scan(&param, &typ, &target); err != nil {
			return err
		}
		if p := params[param]; p != nil {
			rows = append(rows, search.Row{Param: p, System: string(typ), Value: string(target)})
		}
		return nil
	})
	return err == nil && Part{Clauses: clauses}.Holds(id, rows), err
}

// referenceParams adds the parameters of a clause by their symbols.
func (r *Reader) referenceParams(ctx context.Context, c *search.Clause, into map[int64]*search.Parameter) error {
	if c.Param != nil {
		symbol, known, err := r.param(ctx, c.Param.Type, c.Param.Code)
		if known {
			into[symbol] = c.Param
		}
		return err
	}
	list := slices.Concat(c.All, c.Any)
	if c.Not != nil {
		list = append(list, *c.Not)
	}
	for i := range list {
		if err := r.referenceParams(ctx, &list[i], into); err != nil {
			return err
		}
	}
	return nil
}

// visible is the condition that the resource with this rid, of this type, is to be seen; "" for
// all.
func (r *Reader) visible(ctx context.Context, s *statement, typ, rid string) (string, error) {
	if r.only == nil {
		return "", nil
	}
	clauses, none, err := r.bounds(ctx, typ)
	switch {
	case err != nil:
		return "", err
	case none:
		return never, nil
	}
	return allHold(s, clauses, rid), nil
}

// visibleOf is the condition that the resource with this rid and type, which is one of types or
// any if there are none, is to be seen; "" for all.
func (r *Reader) visibleOf(ctx context.Context, s *statement, types []string, typ, rid string) (string, error) {
	if r.only == nil {
		return "", nil
	}
	if len(types) == 0 {
		for _, t := range fhir.StoredTypes() {
			types = append(types, t.Name)
		}
	}
	var any, whole []string
	for _, name := range types {
		symbol, found, err := r.symbol(ctx, name)
		if err != nil {
			return "", err
		}
		if !found {
			continue
		}
		cond, err := r.visible(ctx, s, name, rid)
		switch {
		case err != nil:
			return "", err
		case cond == "":
			whole = append(whole, s.arg(symbol))
		case cond != never:
			any = append(any, "("+typ+" = "+s.arg(symbol)+" AND "+cond+")")
		}
	}
	if len(whole) > 0 {
		any = append(any, typ+" IN ("+strings.Join(whole, ", ")+")")
	}
	return anyOf(any), nil
}

// known reports whether the resource with this rid, of this type, is to be seen.
func (r *Reader) known(ctx context.Context, typ string, rid int64) (bool, error) {
	s := &statement{}
	cond, err := r.visible(ctx, s, typ, "r.rid")
	if err != nil || cond == "" {
		return err == nil, err
	}
	var found int64
	return r.row(ctx, "SELECT r.rid FROM resource r WHERE r.rid = "+s.arg(rid)+" AND r.deleted = 0 AND "+cond, s.args, &found)
}

// sees reports whether a version of a resource that is seen now was to be seen then; of a deletion, see
// whatWas.
func (r *Reader) sees(res *fhir.Resource) (bool, error) {
	if r.only == nil || res.Deleted {
		return true, nil
	}
	part := r.partOf(res.Type)
	if part.All() {
		return true, nil
	}
	if r.only.rows == nil {
		return false, fmt.Errorf("a restricted reader does not know the rows of versions")
	}
	rows, err := r.only.rows(res)
	return err == nil && part.Holds(res.ID, rows), err
}

// within is a clause on resources of a type, together with what there is to see of it. The error is
// of kind Forbidden where that is nothing.
func (r *Reader) within(typ string, c search.Clause) (search.Clause, error) {
	part := r.partOf(typ)
	switch {
	case part.None:
		return c, fhir.Errorf(fhir.Forbidden, "forbidden", "", "The caller may not read %s resources, and so may not search by what they have.", typ)
	case len(part.Clauses) == 0:
		return c, nil
	}
	return search.Clause{All: append(slices.Clone(part.Clauses), c)}, nil
}
