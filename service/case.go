package service

import (
	"context"
	"slices"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/careplan"
	"aftercare/service/store"
)

// patientCase gathers all that a derivation reads: what is about any of the records of a person, and
// of what exists of Patients that one of them was linked with, what follows its operations. Of
// reports of pain it has those that are looked at.
func (s *Service) patientCase(ctx context.Context, r *store.Reader, who person, links map[string][]string, look look, at time.Time) (careplan.Case, error) {
	c := careplan.Case{Base: s.baseURL, Subject: careplan.SubjectType + "/" + who.record, At: at}
	patient, err := r.Get(ctx, careplan.SubjectType, who.record)
	switch {
	case err == nil && !patient.Deleted:
		source, err := asSource(patient)
		if err != nil {
			return c, err
		}
		c.Patient = &source
	case err != nil && fhir.KindOf(err) != fhir.NotFound:
		return c, err
	}
	some := false
	for _, id := range who.records {
		if involved, err := s.involved(ctx, r, id); err != nil || !involved {
			if err != nil {
				return c, err
			}
			continue
		}
		some = true
		for _, typ := range s.protocols.Inputs() {
			if c.Inputs, err = s.ofPatient(ctx, r, c.Inputs, typ, id, ""); err != nil {
				return c, err
			}
		}
		if c.Existing, err = s.existingOf(ctx, r, c.Existing, id); err != nil {
			return c, err
		}
	}
	for _, id := range who.records {
		for _, other := range links[id] {
			if slices.Contains(who.records, other) {
				continue
			}
			theirs, err := s.existingOf(ctx, r, nil, other)
			if err != nil {
				return c, err
			}
			c.Existing = append(c.Existing, careplan.Following(theirs, c.Inputs)...)
		}
	}
	if some {
		if err := s.addReports(ctx, r, &c, who, look); err != nil {
			return c, err
		}
	}
	c.Written, err = s.lastWritten(ctx, r, c.Existing)
	return c, err
}

// existingOf appends the derived resources of a patient, but for what is made of reports of pain.
func (s *Service) existingOf(ctx context.Context, r *store.Reader, into []careplan.Source, id string) ([]careplan.Source, error) {
	var err error
	for _, o := range s.protocols.Outputs() {
		if o.OfReport {
			continue
		}
		if into, err = s.ofPatient(ctx, r, into, o.Type, id, o.IdentifierSystem); err != nil {
			return into, err
		}
	}
	return into, nil
}

// ofPatient appends the patient's resources of a type; with a system, only those that
// carry an identifier of it.
func (s *Service) ofPatient(ctx context.Context, r *store.Reader, into []careplan.Source, typ, id, system string) ([]careplan.Source, error) {
	param, ok := s.registry.Lookup(typ, patientParameter)
	if !ok {
		return into, nil
	}
	q := &search.Query{Type: typ, Count: maxCount, Clauses: []search.Clause{{
		Param: param, Values: []search.Value{{System: careplan.SubjectType, Value: id}},
	}}}
	if system != "" {
		identifier, ok := s.registry.Lookup(typ, "identifier")
		if !ok {
			return into, nil
		}
		q.Clauses = append(q.Clauses, search.Clause{Param: identifier, Values: []search.Value{{System: system}}})
	}
	for {
		page, err := r.Search(ctx, q, nil)
		if err != nil {
			return into, err
		}
		for _, found := range page.Resources {
			source, err := asSource(found)
			if err != nil {
				return into, err
			}
			into = append(into, source)
		}
		if page.Next == "" {
			return into, nil
		}
		q.Cursor = page.Next
	}
}

func asSource(r *fhir.Resource) (careplan.Source, error) {
	n, err := fhir.Parse(r.Body)
	return careplan.Source{Type: r.Type, ID: r.ID, Version: r.Version, Node: n}, err
}
