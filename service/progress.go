package service

import (
	"context"
	"errors"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/careplan"
	"aftercare/service/store"
)

// progressLease is the name of the lease of who marks progress.
const progressLease = "progress"

const (
	// progressPause is the time between two looks at the clock and at what has changed.
	progressPause = 20 * time.Second
	// progressPage is how many plans are read at once.
	progressPage = 50
)

// KeepProgress marks the activities of plans as due, overdue or missed, until ctx ends: those of
// all plans at first and when a day begins at the care site, and soon those of plans that have
// changed. Of all services on a database one does it at a time; another begins again when that
// one dies, which changes nothing that is marked already.
//
// A mark is made by a derivation that is told the day, with all that follows from it, in a small
// transaction for each patient. No other derivation asks for the day.
func (s *Service) KeepProgress(ctx context.Context) {
	s.store.Hold(ctx, progressLease, func(ctx context.Context, l *store.Lease) {
		m := &marker{Service: s, lease: l}
		for ; ctx.Err() == nil; pauseFor(ctx, s.progressPause) {
			err := m.look(ctx)
			if errors.Is(err, store.ErrLost) || errors.Is(err, ErrOutdated) {
				return
			}
			if err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "marking progress stopped, and goes on soon", "error", err)
			}
		}
	})
}

func pauseFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// marker marks progress while it holds the lease.
type marker struct {
	*Service
	lease *store.Lease
	// marked is the last day for which all plans were looked at, zero at first; until is the
	// position in the order of commits up to which changed plans were.
	marked time.Time
	until  int64
}

// count is what a look came to; it goes to the log.
type count struct{ plans, patients, failed int }

// look looks at all plans if the day is another, whichever way a clock has gone, and else at those
// that have changed.
func (m *marker) look(ctx context.Context) error {
	today := careplan.Day(m.now(), m.zone)
	if today.Equal(m.marked) {
		return m.changed(ctx, today)
	}
	var position int64
	if err := m.store.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
		position, err = r.Position(ctx)
		return err
	}); err != nil {
		return err
	}
	began := time.Now()
	n, err := m.all(ctx, today)
	if err != nil {
		return err
	}
	m.marked, m.until = today, position
	m.log.InfoContext(ctx, "progress was marked", "plans", n.plans, "patients", n.patients, "failed", n.failed, "took", time.Since(began))
	return nil
}

// all looks at all plans in force, page by page.
func (m *marker) all(ctx context.Context, today time.Time) (n count, err error) {
	status, ok := m.registry.Lookup("CarePlan", "status")
	if !ok {
		return n, nil
	}
	q := &search.Query{Type: "CarePlan", Count: progressPage, Clauses: []search.Clause{{Param: status, Values: []search.Value{{Value: "active"}}}}}
	for {
		var page store.Page
		if err := m.store.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
			page, err = r.Search(ctx, q, nil)
			return err
		}); err != nil {
			return n, err
		}
		if err := m.mark(ctx, page.Resources, today, &n); err != nil || page.Next == "" {
			return n, err
		}
		q.Cursor = page.Next
	}
}

// changed looks at the plans that have changed since the last look.
func (m *marker) changed(ctx context.Context, today time.Time) error {
	var n count
	for {
		var plans []*fhir.Resource
		until := m.until
		if err := m.store.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
			plans, until, err = r.Newest(ctx, "CarePlan", m.until, progressPage)
			return err
		}); err != nil {
			return err
		}
		if err := m.mark(ctx, plans, today, &n); err != nil {
			return err
		}
		m.until = until
		if len(plans) < progressPage {
			return nil
		}
	}
}

// mark derives for the patients of plans with marks that are behind the day. What fails for one
// patient does not keep it from the others.
func (m *marker) mark(ctx context.Context, plans []*fhir.Resource, today time.Time, n *count) error {
	for _, r := range plans {
		plan, err := fhir.Parse(r.Body)
		if err != nil {
			return err
		}
		n.plans++
		subject := fhir.ParseReference(plan.Str("subject", "reference"), m.baseURL)
		if subject.Type != careplan.SubjectType || !m.protocols.Behind(plan, today) {
			continue
		}
		switch done, err := m.markPatient(ctx, subject.ID, today); {
		case errors.Is(err, store.ErrLost) || errors.Is(err, ErrOutdated) || ctx.Err() != nil:
			return err
		case fhir.KindOf(err) == fhir.Unavailable && err != nil:
			return err
		case err != nil:
			n.failed++
			m.log.ErrorContext(ctx, "the progress of a patient's plans could not be marked", "error", err)
		case done:
			n.patients++
		}
	}
	return nil
}

// markPatient derives for one patient on a day, and reports whether anything was stored. The
// derivation is tried outside of a write first, since most have nothing to store.
func (m *marker) markPatient(ctx context.Context, id string, today time.Time) (done bool, err error) {
	differs := false
	if err := m.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
		who, c, err := m.caseOn(ctx, r, id, today)
		if err != nil {
			return err
		}
		c, result, err := m.settled(ctx, r, who, c)
		if err != nil {
			return err
		}
		differs = len(outcomes(c, result.Resources)) > 0
		return nil
	}); err != nil || !differs {
		return false, err
	}
	err = m.lease.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		who, c, err := m.caseOn(ctx, &tx.Reader, id, today)
		if err != nil {
			return err
		}
		stored, _, err := m.deriveCase(ctx, tx, who, c)
		if err != nil {
			return err
		}
		done = len(stored) > 0
		return m.logDerived(ctx, tx, id, stored)
	})
	return done, err
}

// caseOn is the case of a patient on a day.
func (m *marker) caseOn(ctx context.Context, r *store.Reader, id string, today time.Time) (person, careplan.Case, error) {
	who, err := m.person(ctx, r, id)
	if err != nil {
		return who, careplan.Case{}, err
	}
	c, err := m.patientCase(ctx, r, who, nil, look{}, m.now())
	c.Today = today
	return who, c, err
}
