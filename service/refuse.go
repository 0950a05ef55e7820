package service

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"aftercare/fhir/search"
	"aftercare/service/permission"
)

// What all patients together can keep from one caller of a type stands in each query, and so has an
// end: so many patients who keep all, and single resources; and so many patients who let single ones
// through. Beyond the first nothing is shown of the type; beyond the second nothing of those patients.
const (
	maxRefusing  = 10_000
	maxExcepting = 40
)

// refusingStep is how many patients, or resources, one clause names at most.
const refusingStep = 400

// refusal is what one patient keeps from a caller of a type: all but some, or some.
type refusal struct {
	patient string
	all     bool
	singled []string // ids: those that are let through, or else those that are kept
}

// and is what two Consents of a patient keep together: all of the type where they single out too many.
func (r refusal) and(o permission.Refusal) refusal {
	except := func(list, without []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(id string) bool {
			_, found := slices.BinarySearch(without, id)
			return found
		})
	}
	switch {
	case r.all && o.All:
		r.singled = except(r.singled, except(r.singled, o.Except))
	case r.all:
		r.singled = except(r.singled, o.Except)
	case o.All:
		r.all, r.singled = true, except(o.Except, r.singled)
	default:
		r.singled = slices.Compact(slices.Sorted(slices.Values(slices.Concat(r.singled, o.Except))))
		if len(r.singled) > permission.MaxSingled {
			r.all, r.singled = true, nil
		}
	}
	return r
}

// refusals are what patients keep from a caller of a type, by patient.
func (s *Service) refusals(p *Principal, typ string, all []permission.Consent) []refusal {
	now := s.now()
	by := map[string]refusal{}
	for i := range all {
		if r := all[i].Refuses(p, typ, now); !r.None() {
			patient := all[i].Patient
			by[patient] = by[patient].and(r)
		}
	}
	out := make([]refusal, 0, len(by))
	for _, patient := range slices.Sorted(maps.Keys(by)) {
		r := by[patient]
		r.patient = patient
		out = append(out, r)
	}
	return out
}

// refused are the clauses that hold for what no patient keeps from the caller. A patient keeps what is
// in the compartment, and what tells of that, alone.
func (s *Service) refused(p *Principal, typ string, all []permission.Consent) (clauses []search.Clause, err error) {
	if kindOf(typ) != permission.OfPatient {
		return nil, nil
	}
	var whole []string // patients who keep all
	var some []refusal // and some
	excepting, singled := 0, 0
	for _, r := range s.refusals(p, typ, all) {
		if r.all && len(r.singled) > 0 {
			excepting++
		}
		switch {
		case r.all && (len(r.singled) == 0 || excepting > maxExcepting):
			whole = append(whole, r.patient)
		case r.all:
			c, err := s.allBut(typ, r)
			if err != nil {
				return nil, err
			}
			clauses = append(clauses, c)
		default:
			some = append(some, r)
			singled += len(r.singled)
		}
	}
	if len(whole)+singled > maxRefusing {
		return nil, fmt.Errorf("more than %d patients and resources are kept from one caller", maxRefusing)
	}
	for step := range slices.Chunk(whole, refusingStep) {
		inside, err := s.tellsOf(typ, step...)
		if err != nil {
			return nil, err
		}
		clauses = append(clauses, search.Clause{Not: &inside})
	}
	kept, err := s.butSome(typ, some)
	return append(clauses, kept...), err
}

func (s *Service) hasID(typ string, ids []string) (search.Clause, error) {
	param, ok := s.registry.Lookup(typ, "_id")
	if !ok {
		return search.Clause{}, fmt.Errorf("%s has no search parameter _id", typ)
	}
	var values []search.Value
	for _, id := range ids {
		values = append(values, search.Value{Value: id})
	}
	return search.Clause{Param: param, Values: values}, nil
}

// allBut is the clause that something is not in a patient's compartment, or let through.
func (s *Service) allBut(typ string, r refusal) (search.Clause, error) {
	inside, err := s.tellsOf(typ, r.patient)
	if err != nil {
		return inside, err
	}
	any := []search.Clause{{Not: &inside}}
	for step := range slices.Chunk(r.singled, refusingStep) {
		through, err := s.hasID(typ, step)
		if err != nil {
			return through, err
		}
		any = append(any, through)
	}
	return search.Clause{Any: any}, nil
}

// butSome are the clauses that something is none of those that patients single out of their
// compartments; each names some patients, and some of the resources.
func (s *Service) butSome(typ string, some []refusal) (clauses []search.Clause, err error) {
	var patients, ids []string
	flush := func() error {
		if len(ids) == 0 {
			return nil
		}
		inside, err := s.tellsOf(typ, patients...)
		those, err2 := s.hasID(typ, ids)
		clauses = append(clauses, search.Clause{Not: &search.Clause{All: []search.Clause{those, inside}}})
		patients, ids = nil, nil
		return cmp.Or(err, err2)
	}
	for _, r := range some {
		for step := range slices.Chunk(r.singled, refusingStep) {
			if len(ids)+len(step) > refusingStep {
				if err := flush(); err != nil {
					return nil, err
				}
			}
			patients, ids = append(patients, r.patient), append(ids, step...)
		}
	}
	return clauses, flush()
}
