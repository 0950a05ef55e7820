package service

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/permission"
	"aftercare/service/store"
)

// consents are those that are in force at a position in the order of commits.
type consents struct {
	position int64
	all      []permission.Consent
}

// consentsAtHand keeps the consents that were read last.
type consentsAtHand struct{ last atomic.Pointer[consents] }

// maxRefusing is of how many patients a caller can be refused data: all of them stand in each query.
const maxRefusing = 10_000

// consents are the Consents about sharing that there are in a state of the store.
func (s *Service) consents(ctx context.Context, r *store.Reader) ([]permission.Consent, error) {
	position, err := r.LastOf(ctx, "Consent")
	if err != nil || position == 0 {
		return nil, err
	}
	if known := s.consentsKept.last.Load(); known != nil && known.position == position {
		return known.all, nil
	}
	read := &consents{position: position}
	q := &search.Query{Type: "Consent", Count: maxCount}
	if err := s.addClause(q, "status", search.Value{AnySystem: true, Value: "active"}); err != nil {
		return nil, err
	}
	for more := true; more; more = q.Cursor != "" {
		page, err := r.Search(ctx, q, nil)
		if err != nil {
			return nil, err
		}
		for _, res := range page.Resources {
			n, err := fhir.Parse(res.Body)
			if err != nil {
				return nil, err
			}
			if c, ok := permission.ReadConsent(n, s.baseURL, s.zone); ok {
				read.all = append(read.all, c)
			}
		}
		q.Cursor = page.Next
	}
	if known := s.consentsKept.last.Load(); known == nil || known.position < position {
		s.consentsKept.last.Store(read)
	}
	return read.all, nil
}

func (s *Service) addClause(q *search.Query, code string, values ...search.Value) error {
	p, ok := s.registry.Lookup(q.Type, code)
	if !ok {
		return fmt.Errorf("%s.%s is no search parameter", q.Type, code)
	}
	q.Clauses = append(q.Clauses, search.Clause{Param: p, Values: values})
	return nil
}

// shared is a reader to which only those resources are there that the caller may do all of the
// actions with, and that their patients do not keep from the caller.
func (s *Service) shared(ctx context.Context, p *Principal, r *store.Reader, do permission.Actions) (*store.Reader, error) {
	if p.Unbounded {
		return r, nil
	}
	part, err := s.sharedPart(ctx, p, r)
	if err != nil {
		return nil, err
	}
	return r.Only(func(typ string) store.Part { return part(typ, do) }, s.rows), nil
}

// sharedPart gives, on a state of the store, which resources of a type the caller may do actions
// with, by scopes and consents.
func (s *Service) sharedPart(ctx context.Context, p *Principal, r *store.Reader) (func(typ string, do permission.Actions) store.Part, error) {
	all, err := s.consents(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(all) > 0 {
		if p, err = s.withOrganizations(ctx, p, r); err != nil {
			return nil, err
		}
	}
	return func(typ string, do permission.Actions) store.Part {
		part := s.part(p, typ, do)
		if part.None || len(all) == 0 {
			return part
		}
		refused, err := s.refused(p, typ, all)
		if err != nil {
			s.log.ErrorContext(ctx, "consents cannot be applied, and everything is refused", "type", typ, "error", err)
			return store.Part{None: true}
		}
		part.Clauses = append(part.Clauses, refused...)
		return part
	}, nil
}

// refused are the clauses that hold for what no patient keeps from the caller.
func (s *Service) refused(p *Principal, typ string, all []permission.Consent) (clauses []search.Clause, err error) {
	if kindOf(typ) != permission.OfPatient {
		return nil, nil
	}
	now := s.now()
	var patients []string // who refuse all of the type
	for i := range all {
		r := all[i].Refuses(p, typ, now)
		switch {
		case r.All && len(r.Except) == 0:
			patients = append(patients, all[i].Patient)
		case r.All: // but for some
			inside, err := s.inCompartment(typ, all[i].Patient)
			if err != nil {
				return nil, err
			}
			except, err := s.hasID(typ, r.Except)
			if err != nil {
				return nil, err
			}
			outside := search.Clause{Not: &inside}
			clauses = append(clauses, search.Clause{Any: []search.Clause{outside, except}})
		case !r.None():
			those, err := s.hasID(typ, r.Except)
			if err != nil {
				return nil, err
			}
			clauses = append(clauses, search.Clause{Not: &those})
		}
	}
	slices.Sort(patients)
	patients = slices.Compact(patients)
	if len(patients)+len(clauses) > maxRefusing {
		return nil, fmt.Errorf("more than %d patients keep data from one caller", maxRefusing)
	}
	for some := range slices.Chunk(patients, refusingStep) {
		inside, err := s.inCompartments(typ, some)
		if err != nil {
			return nil, err
		}
		clauses = append(clauses, search.Clause{Not: &inside})
	}
	return clauses, nil
}

// refusingStep is how many patients one clause names at most.
const refusingStep = 400

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

// withOrganizations is the caller with the organizations that the user works for, by the
// PractitionerRoles that are stored.
func (s *Service) withOrganizations(ctx context.Context, p *Principal, r *store.Reader) (*Principal, error) {
	user := fhir.ParseReference(p.User, s.baseURL)
	if user.Type != "Practitioner" || !user.Local() {
		return p, nil
	}
	q := &search.Query{Type: "PractitionerRole", Count: maxCount}
	if err := s.addClause(q, "practitioner", search.Value{System: user.Type, Value: user.ID}); err != nil {
		return nil, err
	}
	page, err := r.Search(ctx, q, nil)
	if err != nil {
		return nil, err
	}
	with := *p
	with.Organizations = slices.Clone(p.Organizations)
	for _, res := range page.Resources {
		n, err := fhir.Parse(res.Body)
		if err != nil {
			return nil, err
		}
		ref := fhir.ParseReference(n.Str("organization", "reference"), s.baseURL)
		active := n.Get("active")
		if ref.Local() && (active == nil || string(active.Raw) != "false") {
			with.Organizations = append(with.Organizations, ref.Type+"/"+ref.ID)
		}
	}
	return &with, nil
}
