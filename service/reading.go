package service

import (
	"context"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/fhir/subset"
	"aftercare/service/store"
)

// readReading reads what is particular to a GET or HEAD entry of a Bundle.
func (s *Service) readReading(r *request) error {
	if r.ifModifiedSince != "" {
		m, err := fhir.ParseMoment(r.ifModifiedSince, s.zone)
		if err != nil {
			return fhir.Errorf(fhir.BadRequest, "value", r.place+".request.ifModifiedSince", "ifModifiedSince must be an instant.")
		}
		r.since = m.Low
	}
	if code := r.code(); code != "read" && code != "vread" {
		return nil
	}
	part, others, err := s.readSubset(r.target.typ, r.target.pairs)
	if err != nil {
		return at(err, r.place+".request.url")
	}
	for _, p := range others {
		if p.Name != "_format" && p.Name != "_pretty" {
			return fhir.Errorf(fhir.BadRequest, "not-supported", r.place+".request.url", "A read takes the parameters _summary and _elements, and no other.")
		}
	}
	r.subset = part
	return nil
}

// reading is what is left to do of an entry that changes nothing, on one state of the store.
// It may run more than once, since a transaction may.
type reading func(ctx context.Context, r *store.Reader) (entry, error)

// reading reads an entry of a transaction that changes nothing as far as that goes without
// the store.
func (s *Service) reading(p Principal, q *request) (reading, error) {
	t := q.target
	switch code := q.code(); code {
	case "read", "vread":
		return func(ctx context.Context, r *store.Reader) (entry, error) {
			res, err := s.current(ctx, r, t.typ, t.id)
			if code == "vread" {
				res, err = s.past(ctx, r, t.typ, t.id, t.version)
			}
			if err != nil {
				return entry{}, err
			}
			if err := s.showPast(ctx, res); err != nil {
				return entry{}, err
			}
			return s.readEntry(q, res)
		}, nil
	case "capabilities":
		return func(context.Context, *store.Reader) (entry, error) { return q.bundleEntry(s.Capabilities()), nil }, nil
	case "search-type", "search-system":
		asked, err := s.question(p, t.scope(), t.pairs, false)
		if err != nil {
			return nil, at(err, q.place+".request.url")
		}
		return func(ctx context.Context, r *store.Reader) (entry, error) {
			body, err := asked.searchset(ctx, r)
			return q.bundleEntry(body), err
		}, nil
	case "operation":
		c, err := s.prepare(p, q.call())
		if err != nil {
			return nil, at(err, q.place+".request.url")
		}
		if c.act != nil {
			return nil, fhir.Errorf(fhir.BadRequest, "not-supported", q.place+".request.url", "This operation cannot be part of a transaction; call it by itself, or in a batch.")
		}
		return func(ctx context.Context, r *store.Reader) (entry, error) {
			a, err := c.read(ctx, r)
			return q.answerEntry(a), ofAnswer(err, q.place+".request.url")
		}, nil
	default:
		history, err := s.readHistory(t.typ, t.id, t.pairs)
		if err != nil {
			return nil, at(err, q.place+".request.url")
		}
		return func(ctx context.Context, r *store.Reader) (entry, error) {
			body, err := history(ctx, r)
			return q.bundleEntry(body), err
		}, nil
	}
}

// Subset reads what a read asks of the resource: _summary and _elements; other parameters
// are passed over. _summary=count, which is for searches, is refused.
func (s *Service) Subset(typ string, pairs []search.Pair) (subset.Subset, error) {
	part, _, err := s.readSubset(typ, pairs)
	return part, err
}

func (s *Service) readSubset(typ string, pairs []search.Pair) (part subset.Subset, others []search.Pair, err error) {
	part, left, err := subset.Parse(s.validator, []string{typ}, pairs)
	if err != nil {
		return part, nil, err
	}
	for _, p := range left {
		switch {
		case p.Name != "_summary":
			others = append(others, p)
		case p.Value == "count":
			return part, nil, fhir.Errorf(fhir.BadRequest, "not-supported", "http._summary", "_summary=count is for searches; a read takes true, text, data or false.")
		}
	}
	return part, others, nil
}
