package service

import (
	"context"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/careplan"
	"aftercare/service/store"
)

// rederiveLease is the name of the lease of who derives again.
const rederiveLease = "rederive"

// Rederive derives again for the patients to whom a protocol could not be applied, since the
// definitions may be other ones by now, and returns when that is done or ctx has ended. Of all
// services on a database one does it at a time, and each does it once. Where nothing has been
// mended, nothing is written.
func (s *Service) Rederive(ctx context.Context) {
	turn, done := context.WithCancel(ctx)
	defer done()
	s.store.Hold(turn, rederiveLease, func(ctx context.Context, l *store.Lease) {
		patients, err := s.unapplied(ctx)
		for id := range patients {
			if err != nil {
				break
			}
			err = l.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
				return s.deriveAgain(ctx, tx, id)
			})
		}
		switch {
		case err == nil:
			if len(patients) > 0 {
				s.log.InfoContext(ctx, "patients without an applied protocol were derived again", "patients", len(patients))
			}
			done()
		case ctx.Err() == nil:
			s.log.WarnContext(ctx, "deriving again stopped, and goes on soon", "error", err)
		}
	})
}

// deriveAgain derives for a patient of whom nothing has changed.
func (s *Service) deriveAgain(ctx context.Context, tx *store.Tx, id string) error {
	who, err := s.person(ctx, &tx.Reader, id)
	if err != nil {
		return err
	}
	touched := patientsOf(id)
	look, _ := touched.lookOf(who)
	c, err := s.patientCase(ctx, &tx.Reader, who, nil, look, s.now())
	if err != nil {
		return err
	}
	stored, _, err := s.deriveCase(ctx, tx, who, c)
	if err != nil {
		return err
	}
	return s.logDerived(ctx, tx, id, stored)
}

func patientsOf(id string) (p patients) {
	p.add(id, true)
	p.lookAtAll(id)
	return p
}

// unapplied are the patients with an open issue that says that a protocol could not be applied.
func (s *Service) unapplied(ctx context.Context) (map[string]bool, error) {
	found := map[string]bool{}
	unapplied := careplan.Unapplied()
	code, ok := s.registry.Lookup(unapplied.Type, "code")
	if !ok {
		return found, nil
	}
	q := &search.Query{Type: unapplied.Type, Count: maxCount, Clauses: []search.Clause{{
		Param: code, Values: []search.Value{{System: unapplied.System, Value: unapplied.Code}},
	}}}
	for {
		next := ""
		if err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
			page, err := r.Search(ctx, q, nil)
			if err != nil {
				return err
			}
			for _, stored := range page.Resources {
				n, err := fhir.Parse(stored.Body)
				if err != nil {
					return err
				}
				id, of := strings.CutPrefix(n.Str("patient", "reference"), careplan.SubjectType+"/")
				if of && n.Str("status") == unapplied.Status {
					found[id] = true
				}
			}
			next = page.Next
			return nil
		}); err != nil || next == "" {
			return found, err
		}
		q.Cursor = next
	}
}
