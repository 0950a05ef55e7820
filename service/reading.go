package service

import (
	"context"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/fhir/subset"
	"aftercare/service/store"
)

// readReading reads what is particular to a GET or HEAD entry of a Bundle.
func (s *Service) readReading(r *request, item *fhir.Node) error {
	if since := item.Str("request", "ifModifiedSince"); since != "" {
		m, err := fhir.ParseMoment(since, s.zone)
		if err != nil { // the Bundle is valid: cannot happen
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

// get answers a GET or HEAD entry inside a transaction.
func (s *Service) get(ctx context.Context, r *store.Reader, q *request) (entry, error) {
	t := q.target
	var res *fhir.Resource
	var err error
	switch q.code() {
	case "read":
		res, err = read(ctx, r, t.typ, t.id)
	case "vread":
		res, err = vread(ctx, r, t.typ, t.id, t.version)
	case "search-type":
		parsed, part, issues, err := s.query(t.typ, t.pairs, false)
		if err != nil {
			return entry{}, at(err, q.place+".request.url")
		}
		body, err := s.searchset(ctx, r, parsed, part, issues)
		return q.bundleEntry(body), err
	default:
		return entry{}, fhir.Errorf(fhir.BadRequest, "not-supported", q.place+".request.url", "A GET entry of a transaction may read or search.")
	}
	if err != nil {
		return entry{}, err
	}
	return s.readEntry(q, res)
}

// Subset reads what a read asks of the resource: _summary and _elements; other parameters
// are passed over. _summary=count, which is for searches, is refused.
func (s *Service) Subset(typ string, pairs []search.Pair) (subset.Subset, error) {
	part, _, err := s.readSubset(typ, pairs)
	return part, err
}

func (s *Service) readSubset(typ string, pairs []search.Pair) (part subset.Subset, others []search.Pair, err error) {
	part, left, err := subset.Parse(s.validator, typ, pairs)
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
