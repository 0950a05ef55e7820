package service

import (
	"context"
	"slices"
	"sync"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/careplan"
	"aftercare/service/store"
)

// maxAnchors is of how many patients the anchors are kept at hand.
const maxAnchors = 2000

// anchorsAtHand keeps what reports of pain are held against, by the id of the Patient, so that a
// report does not bring about a whole derivation. Each is good for one footprint of the patient's
// records, and comes from what was committed: places in the order of commits are never given twice
// there.
type anchorsAtHand struct {
	mu   sync.Mutex
	byID map[string]knownAnchors
}

type knownAnchors struct {
	footprint store.Footprint
	who       person
	anchors   *careplan.Anchors // nil for a patient with several records
	nothing   bool              // there is nothing that plans are made from
	settled   bool              // a derivation would change nothing
}

func (a *anchorsAtHand) get(id string) (knownAnchors, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k, ok := a.byID[id]
	return k, ok
}

func (a *anchorsAtHand) keep(id string, k knownAnchors) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byID == nil {
		a.byID = map[string]knownAnchors{}
	}
	for other := range a.byID { // any one makes room
		if len(a.byID) < maxAnchors {
			break
		}
		delete(a.byID, other)
	}
	a.byID[id] = k
}

func (a *anchorsAtHand) forget(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.byID, id)
}

// anchorParameters are the search parameters that tie what anchors are made from to the patient.
func (k *knowledge) anchorParameters() (out []*search.Parameter) {
	for _, p := range k.ofCases {
		if p.Type == careplan.SubjectType || p.Type == "CarePlan" || k.protocols.Reads(p.Type) {
			out = append(out, p)
		}
	}
	return out
}

// bringAnchors sees to it that the anchors are at hand for the reports of pain among writes, before
// the transaction, where nobody has to wait for it. What fails here is left to the transaction.
func (s *Service) bringAnchors(ctx context.Context, found *resolution) {
	for i, c := range found.contents {
		if c == nil || s.ofReports == nil || len(found.ws) >= s.stageFrom {
			continue
		}
		if w := found.ws[i]; len(s.reportsIn(w.typ, w.id, c.rows, false)) == 0 {
			continue
		}
		for _, row := range c.rows {
			if row.Param.Code != patientParameter || row.System != careplan.SubjectType {
				continue
			}
			if _, ok := s.atHand.get(row.Value); ok {
				continue // the transaction finds out whether it is still good
			}
			_ = s.store.View(ctx, func(ctx context.Context, r *store.Reader) error { return s.bring(ctx, r, row.Value) })
		}
	}
}

func (s *Service) bring(ctx context.Context, r *store.Reader, id string) error {
	footprint, err := r.Footprint(ctx, s.ofAnchors, careplan.SubjectType, id)
	if err != nil {
		return err
	}
	who, err := s.person(ctx, r, id)
	if err != nil {
		return err
	}
	known := knownAnchors{footprint: footprint, who: who}
	if len(who.records) == 1 {
		c, err := s.patientCase(ctx, r, who, nil, look{}, s.now())
		if err != nil {
			return err
		}
		c, result, err := s.settled(ctx, r, who, c)
		if err != nil {
			return err
		}
		known.nothing = len(c.Inputs) == 0 && len(c.Existing) == 0
		known.settled = len(result.Faults) == 0 && len(outcomes(c, result.Resources)) == 0
		if len(result.Faults) == 0 {
			known.anchors = result.Anchors
		}
	}
	s.atHand.keep(id, known)
	return nil
}

// deriveReports is derive for a patient of whom reports of pain are looked at and nothing else,
// where the anchors are at hand. done is false where a whole derivation is needed.
func (s *Service) deriveReports(ctx context.Context, tx *store.Tx, touched patients, id string, look look, at time.Time) (stored []*fhir.Resource, notices []careplan.Notice, done bool, err error) {
	known, ok := s.atHand.get(id)
	if !ok || known.anchors == nil {
		return nil, nil, false, nil
	}
	footprint, err := tx.Footprint(ctx, s.ofAnchors, careplan.SubjectType, id)
	if err != nil || footprint != known.footprint {
		s.atHand.forget(id) // the next report brings another
		return nil, nil, false, err
	}
	c := careplan.Case{Base: s.baseURL, Subject: careplan.SubjectType + "/" + id, At: at}
	if err := s.addReports(ctx, &tx.Reader, &c, known.who, look); err != nil {
		return nil, nil, false, err
	}
	if known.nothing && len(c.Existing) == 0 {
		return nil, nil, true, nil
	}
	if slices.ContainsFunc(c.Existing, s.protocols.LacksDigests) {
		return nil, nil, false, nil
	}
	whole := false
	c, result, err := s.settledBy(ctx, &tx.Reader, known.who, c, func(ctx context.Context, c *careplan.Case) (result careplan.Result, err error) {
		result, whole = s.protocols.Interpret(*c, known.anchors, func(ref string) (plan *careplan.Source) {
			if known.settled && err == nil {
				plan, err = s.planIn(ctx, &tx.Reader, c, ref)
			}
			return plan
		})
		s.logFaults(ctx, result)
		return result, err
	})
	if err != nil || whole {
		return nil, nil, false, err
	}
	stored, err = s.storePrescribed(ctx, tx, c, result.Resources)
	if err == nil && touched.atHand != nil && slices.ContainsFunc(stored, func(r *fhir.Resource) bool { return r.Type == "CarePlan" }) {
		known.footprint, err = tx.Footprint(ctx, s.ofAnchors, careplan.SubjectType, id)
		touched.atHand[id] = known
	}
	return stored, result.Notices, true, err
}

// planIn is a plan of a case, which is added where it is not there; nil where derivations need more
// than the plan, or it is not stored.
func (s *Service) planIn(ctx context.Context, r *store.Reader, c *careplan.Case, ref string) (*careplan.Source, error) {
	plan := fhir.ParseReference(ref, "")
	if i := slices.IndexFunc(c.Existing, func(e careplan.Source) bool { return e.Type == plan.Type && e.ID == plan.ID }); i >= 0 {
		return &c.Existing[i], nil
	}
	stored, err := r.Get(ctx, plan.Type, plan.ID)
	if err != nil || stored.Deleted {
		return nil, err
	}
	source, err := asSource(stored)
	if err != nil || s.protocols.LacksDigests(source) {
		return nil, err
	}
	c.Existing = append(c.Existing, source)
	return &source, nil
}
