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

// consents are those that are in force at a position in the order of commits, each for all records of
// its patient.
type consents struct {
	position int64
	given    []permission.Consent
	of       *replacements
	all      []permission.Consent
}

// consentsAtHand keeps the consents that were read last. missed is set when a write had to read them.
type consentsAtHand struct {
	last   atomic.Pointer[consents]
	missed atomic.Bool
}

// consents are the Consents about sharing that there are in a state of the store.
func (s *Service) consents(ctx context.Context, r *store.Reader) ([]permission.Consent, error) {
	position, err := r.LastOf(ctx, "Consent")
	if err != nil || position == 0 {
		return nil, err
	}
	of, err := s.replacements(ctx, r)
	if err != nil {
		return nil, err
	}
	known := s.consentsKept.last.Load()
	if known != nil && known.position == position && known.of == of {
		return known.all, nil
	}
	read := &consents{position: position, of: of}
	if known != nil && known.position == position {
		read.given = known.given
	} else if read.given, err = s.readConsents(ctx, r); err != nil {
		return nil, err
	}
	read.all = of.forAllRecords(read.given)
	// What is not committed may not come to be, and others be stored at the same position.
	switch {
	case !r.Committed():
		s.consentsKept.missed.Store(true)
	case known == nil || known.position <= position:
		s.consentsKept.last.Store(read)
	}
	return read.all, nil
}

// bringConsents reads the consents that a write has missed, so that the next one has them at hand. What
// fails here is left to that one.
func (s *Service) bringConsents(ctx context.Context) {
	if s.consentsKept.missed.CompareAndSwap(true, false) {
		_ = s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
			_, err := s.consents(ctx, r)
			return err
		})
	}
}

// readConsents reads the Consents that are active.
func (s *Service) readConsents(ctx context.Context, r *store.Reader) (given []permission.Consent, err error) {
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
				given = append(given, c)
			}
		}
		q.Cursor = page.Next
	}
	return given, nil
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
		if p, err = s.withPositions(ctx, p, r); err != nil {
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

// withPositions is the caller with what the user is by the PractitionerRoles that are stored, and the
// organizations that the user works for.
func (s *Service) withPositions(ctx context.Context, p *Principal, r *store.Reader) (*Principal, error) {
	user := fhir.ParseReference(p.User, s.baseURL)
	by := map[string]string{"Practitioner": "practitioner", "PractitionerRole": "_id"}[user.Type]
	if by == "" {
		return p, nil
	}
	q := &search.Query{Type: "PractitionerRole", Count: maxCount}
	value := search.Value{System: user.Type, Value: user.ID}
	if by == "_id" {
		value.System = ""
	}
	if err := s.addClause(q, by, value); err != nil {
		return nil, err
	}
	page, err := r.Search(ctx, q, nil)
	if err != nil {
		return nil, err
	}
	with := *p
	with.Organizations, with.Positions = slices.Clone(p.Organizations), slices.Clone(p.Positions)
	for _, res := range page.Resources {
		n, err := fhir.Parse(res.Body)
		if err != nil {
			return nil, err
		}
		if active := n.Get("active"); active != nil && string(active.Raw) == "false" {
			continue
		}
		with.Positions = append(with.Positions, res.Ref())
		if ref := fhir.ParseReference(n.Str("practitioner", "reference"), s.baseURL); ref.Local() {
			with.Positions = append(with.Positions, ref.Type+"/"+ref.ID)
		}
		if ref := fhir.ParseReference(n.Str("organization", "reference"), s.baseURL); ref.Local() {
			with.Organizations = append(with.Organizations, ref.Type+"/"+ref.ID)
		}
	}
	return &with, nil
}
