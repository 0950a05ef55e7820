package service

import (
	"context"
	"slices"

	"aftercare/fhir"
	"aftercare/service/careplan"
	"aftercare/service/store"
)

// wholePerson is person for an answer that is made from all records of some types: from a part of
// them it would be wrong. The error is of kind Forbidden where a Patient of that person is one that
// the caller may not read, or keeps resources of one of the types from the caller.
func (s *Service) wholePerson(ctx context.Context, p *Principal, r *store.Reader, id string, types []string) (person, error) {
	who, err := s.person(ctx, r.All(), id)
	if err != nil || p.Unbounded {
		return who, err
	}
	if len(who.records) > 1 && slices.ContainsFunc(types, func(typ string) bool { return !s.part(p, typ, searching).All() }) {
		return who, fhir.Errorf(fhir.Forbidden, "forbidden", "", "The records of this patient are spread over several Patient resources, and the caller may not read all of them.")
	}
	all, err := s.consents(ctx, r.All())
	if err != nil || len(all) == 0 {
		return who, err
	}
	with, err := s.withPositions(ctx, p, r.All())
	if err != nil {
		return who, err
	}
	for i := range all {
		c := &all[i]
		if slices.Contains(who.records, c.Patient) && slices.ContainsFunc(types, func(typ string) bool { return !c.Refuses(with, typ, s.now()).None() }) {
			return who, fhir.Errorf(fhir.Forbidden, "suppressed", "", "The patient keeps some of what the answer would be made from from the caller.")
		}
	}
	return who, nil
}

// caseTypes are the types of resources that plans and findings are derived from.
func (s *Service) caseTypes() []string {
	return append([]string{careplan.SubjectType}, s.protocols.Inputs()...)
}
