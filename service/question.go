package service

import (
	"context"
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/fhir/subset"
	"aftercare/service/store"
)

// question is a search whose parameters have been read as far as that goes without the store.
// What is left is which codes a ValueSet has and which are above or below another one: those are
// looked up in the state of the store that is searched.
type question struct {
	s       *Service
	by      Principal
	in      scope
	pairs   []search.Pair
	lenient bool
	// part is what is asked of each resource.
	part subset.Subset
	// query is what the parameters come to. Where byTerms is set, its codes are still missing.
	query   *search.Query
	byTerms bool
	issues  []fhir.Issue
}

// question reads the parameters of a search. The error is one of Search or SearchCompartment.
func (s *Service) question(by Principal, in scope, pairs []search.Pair, lenient bool) (*question, error) {
	q := &question{s: s, by: by, in: in, lenient: lenient}
	if err := q.refuseUnreadable(pairs); err != nil {
		return nil, err
	}
	types, err := q.types()
	if err != nil {
		return nil, err
	}
	if q.part, q.pairs, err = subset.Parse(s.validator, types, pairs); err != nil {
		return nil, err
	}
	// Without the store there are no codes, but all else is read, and wrong or right.
	q.query, err = q.read(search.Options{
		Expand:   func(string) ([]search.Value, error) { q.byTerms = true; return nil, nil },
		Subsumed: func(string, string, bool) ([]search.Value, error) { q.byTerms = true; return nil, nil },
	})
	if err != nil {
		return nil, err
	}
	for _, include := range q.query.Include {
		if q.part.Text() {
			name := "_include"
			if include.Reverse {
				name = "_revinclude"
			}
			return nil, fhir.Errorf(fhir.BadRequest, "not-supported", "http."+name, "%s cannot be asked for together with _summary=text.", name)
		}
	}
	q.query.Applied = asGiven(append(q.query.Applied, q.part.Applied...), pairs)
	return q, nil
}

// refuseUnreadable refuses a compartment of a Patient, and a choice of types, that the caller may not
// read.
func (q *question) refuseUnreadable(pairs []search.Pair) error {
	if q.in.patient != "" && !q.s.mayRead(q.by, "Patient") {
		return forbidden("read", "Patient")
	}
	for _, p := range pairs {
		if p.Name != "_type" {
			continue
		}
		for typ := range strings.SplitSeq(p.Value, ",") {
			if _, served := fhir.Served(typ); served && !q.s.mayRead(q.by, typ) {
				return at(forbidden("search-type", typ), "http._type")
			}
		}
	}
	return nil
}

// types are those that are searched.
func (q *question) types() ([]string, error) {
	if q.in.patient != "" {
		all, err := compartmentTypes()
		if err != nil || q.in.typ == "" {
			return q.readable(all), err
		}
		if !slices.Contains(all, q.in.typ) {
			return nil, errNotInCompartment(all)
		}
	}
	if q.in.typ != "" {
		return []string{q.in.typ}, nil
	}
	var all []string
	for _, t := range fhir.StoredTypes() {
		all = append(all, t.Name)
	}
	return q.readable(all), nil
}

// readable are those of types that the caller may read.
func (q *question) readable(types []string) []string {
	return slices.DeleteFunc(slices.Clone(types), func(typ string) bool { return !q.s.mayRead(q.by, typ) })
}

// read reads the parameters with the terminology that o has.
func (q *question) read(o search.Options) (*search.Query, error) {
	q.s.complete(&o, q.lenient)
	types, err := q.types()
	if err != nil {
		return nil, err
	}
	var query *search.Query
	if q.in.typ != "" {
		query, q.issues, err = q.s.registry.Parse(q.in.typ, q.pairs, o)
	} else {
		query, q.issues, err = q.s.registry.ParseTypes(types, q.pairs, o)
	}
	if err != nil || q.in.patient == "" {
		return query, err
	}
	for _, part := range append(slices.Clone(query.Parts), query) {
		if part.Type == "" {
			continue
		}
		c, err := q.s.inCompartment(part.Type, q.in.patient)
		if err != nil {
			return nil, err
		}
		part.Clauses = append(part.Clauses, c)
	}
	return query, nil
}

// complete sets the options that are the same for every query.
func (s *Service) complete(o *search.Options, lenient bool) {
	o.Zone, o.Base, o.Lenient, o.DefaultCount, o.MaxCount = s.zone, s.baseURL, lenient, defaultCount, maxCount
}

// on is the query to run on one state of the store.
func (q *question) on(ctx context.Context, r *store.Reader) (*search.Query, error) {
	if !q.byTerms {
		return q.query, nil
	}
	terms := q.s.terms(ctx, r)
	query, err := q.read(search.Options{Expand: terms.Expand, Subsumed: terms.Subsumed})
	if err != nil {
		return nil, err
	}
	query.Count, query.Applied = q.query.Count, q.query.Applied
	return query, nil
}

// asGiven puts the parameters that count into the order in which they were given.
func asGiven(applied, given []search.Pair) []search.Pair {
	out := make([]search.Pair, 0, len(applied))
	left := slices.Clone(applied)
	for _, g := range given {
		if i := slices.IndexFunc(left, func(a search.Pair) bool { return a.Name == g.Name }); i >= 0 {
			out, left = append(out, left[i]), slices.Delete(left, i, i+1)
		}
	}
	return append(out, left...)
}
