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
	count := 0
	for _, c := range part.Clauses {
		// Bounds lead to no other resource, so they have no bounds themselves.
		made, err := r.clause(ctx, c, depth{}, &count)
		if err != nil {
			return nil, false, err
		}
		clauses = append(clauses, made)
	}
	return clauses, false, nil
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
		for _, t := range fhir.ServedTypes() {
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

// sees reports whether a version of a resource that is seen now was to be seen then. Those that
// are deletions were.
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
