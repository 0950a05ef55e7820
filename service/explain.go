package service

import (
	"context"
	"strings"

	"aftercare/service/careplan"
	"aftercare/service/store"
)

// explain answers CarePlan/[id]/$explain: why a derived plan is as it is. At a version, that
// version is held against what the records give now. A plan that was not derived here has nothing to
// explain, and the answer says so.
func (s *Service) explain(in *invocation) (answering, error) {
	if err := in.only(); err != nil {
		return nil, err
	}
	for _, typ := range append(s.caseTypes(), in.Type) {
		if !s.mayReadWhole(in.principal, typ) {
			return nil, forbidden("read", typ)
		}
	}
	return func(ctx context.Context, r *store.Reader) (Answer, error) {
		plan, err := read(ctx, r, in.Type, in.ID)
		if err == nil && in.Version != "" {
			plan, err = vread(ctx, r, in.Type, in.ID, in.Version)
		}
		if err != nil {
			return Answer{}, err
		}
		if err := s.showPast(ctx, plan); err != nil {
			return Answer{}, err
		}
		stored, err := asSource(plan)
		if err != nil {
			return Answer{}, err
		}
		id, local := strings.CutPrefix(stored.Node.Str("subject", "reference"), careplan.SubjectType+"/")
		if !local || !s.protocols.Made(stored) {
			return Answer{Body: careplan.NotDerived(stored)}, nil
		}
		who, err := s.wholePerson(ctx, &in.principal, r, id, s.caseTypes())
		if err != nil {
			return Answer{}, err
		}
		c, err := s.patientCase(ctx, r, who, nil, look{}, s.now())
		if err != nil {
			return Answer{}, err
		}
		if c, _, err = s.settled(ctx, r, who, c); err != nil {
			return Answer{}, err
		}
		body, err := s.protocols.Explain(c, stored)
		return Answer{Body: body}, err
	}, nil
}
