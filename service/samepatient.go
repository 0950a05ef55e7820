package service

import (
	"context"
	"maps"
	"sync/atomic"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/careplan"
	"aftercare/service/permission"
	"aftercare/service/store"
)

// replacements are the Patients that are replaced by others, or replace them
// (https://hl7.org/fhir/R4/patient.html#links), at a position in the order of commits. They are not
// changed once they are made.
type replacements struct {
	position int64
	// links has, for a Patient with such links, the ids of the others.
	links map[string][]string
}

// replacementsAtHand keeps those that were read last.
type replacementsAtHand struct {
	last atomic.Pointer[replacements]
}

// fewPatients is how many changed Patients are looked at one by one; after more, all that have links
// are read anew.
const fewPatients = 1000

// replacements are those in a state of the store, or a later one.
func (s *Service) replacements(ctx context.Context, r *store.Reader) (*replacements, error) {
	position, err := r.LastOf(ctx, careplan.SubjectType)
	if err != nil {
		return nil, err
	}
	known := s.replacementsKept.last.Load()
	if known != nil && known.position >= position {
		return known, nil
	}
	next := &replacements{position: position}
	if known != nil {
		next.links = maps.Clone(known.links)
		for since := known.position; since < position; {
			changed, until, err := r.Newest(ctx, careplan.SubjectType, since, fewPatients)
			if err != nil {
				return nil, err
			}
			if len(changed) == fewPatients {
				next.links = nil
			}
			if next.links == nil || len(changed) == 0 {
				break
			}
			if err := s.addLinks(next.links, changed); err != nil {
				return nil, err
			}
			since = until
		}
	}
	if next.links == nil {
		if next.links, err = s.allLinks(ctx, r); err != nil {
			return nil, err
		}
	}
	if r.Committed() {
		s.replacementsKept.last.Store(next)
	}
	return next, nil
}

// allLinks are the links of all Patients.
func (s *Service) allLinks(ctx context.Context, r *store.Reader) (map[string][]string, error) {
	links := map[string][]string{}
	q := &search.Query{Type: careplan.SubjectType, Count: maxCount}
	if err := s.addClause(q, linkParameter, search.Value{Value: "false"}); err != nil {
		return nil, err
	}
	q.Clauses[0].Modifier = "missing"
	for more := true; more; more = q.Cursor != "" {
		page, err := r.Search(ctx, q, nil)
		if err != nil {
			return nil, err
		}
		if err := s.addLinks(links, page.Resources); err != nil {
			return nil, err
		}
		q.Cursor = page.Next
	}
	return links, nil
}

func (s *Service) addLinks(links map[string][]string, patients []*fhir.Resource) error {
	for _, res := range patients {
		n, err := fhir.Parse(res.Body)
		if err != nil {
			return err
		}
		delete(links, res.ID)
		for _, link := range n.Each("link") {
			ref := fhir.ParseReference(link.Str("other", "reference"), s.baseURL)
			if kind := link.Str("type"); ref.Type == careplan.SubjectType && (kind == "replaced-by" || kind == "replaces") {
				links[res.ID] = append(links[res.ID], ref.ID)
			}
		}
	}
	return nil
}

// forAllRecords gives Consents, each for all Patient resources of the one who has given it.
func (p *replacements) forAllRecords(given []permission.Consent) []permission.Consent {
	if len(p.links) == 0 {
		return given
	}
	both := map[string][]string{}
	for id, others := range p.links {
		for _, other := range others {
			both[id] = append(both[id], other)
			both[other] = append(both[other], id)
		}
	}
	out := make([]permission.Consent, 0, len(given))
	for _, c := range given {
		seen := map[string]bool{c.Patient: true}
		for queue := []string{c.Patient}; len(queue) > 0; queue = queue[1:] {
			c.Patient = queue[0]
			out = append(out, c)
			for _, other := range both[queue[0]] {
				if !seen[other] {
					seen[other] = true
					queue = append(queue, other)
				}
			}
		}
	}
	return out
}
