package service

import (
	"context"
	"net/url"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/fhir/subset"
	"aftercare/service/store"
)

// The page sizes of searches and histories.
const (
	defaultCount = 50
	maxCount     = 1000
)

// Search runs a query at type level and returns a searchset Bundle
// (https://hl7.org/fhir/R4/search.html). An unknown parameter is refused, or, when
// lenient, left out and named in an outcome entry. The self link is made from the query
// that was run.
func (s *Service) Search(ctx context.Context, p Principal, typ string, pairs []search.Pair, lenient bool) ([]byte, error) {
	var out []byte
	err := s.interact(ctx, p, interaction{code: "search-type", typ: typ}, func(ctx context.Context) error {
		q, part, issues, err := s.query(typ, pairs, lenient)
		if err != nil {
			return err
		}
		return s.store.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
			out, err = s.searchset(ctx, r, q, part, issues)
			return err
		})
	})
	return out, err
}

// query reads a search together with what is asked of each match, which conditions do not
// take.
func (s *Service) query(typ string, pairs []search.Pair, lenient bool) (*search.Query, subset.Subset, []fhir.Issue, error) {
	part, others, err := subset.Parse(s.validator, typ, pairs)
	if err != nil {
		return nil, part, nil, err
	}
	q, issues, err := s.parse(typ, others, lenient)
	if err == nil {
		q.Applied = append(q.Applied, part.Applied...)
	}
	return q, part, issues, err
}

func (s *Service) parse(typ string, pairs []search.Pair, lenient bool) (*search.Query, []fhir.Issue, error) {
	return s.registry.Parse(typ, pairs, search.Options{
		Zone: s.zone, Base: s.baseURL, Lenient: lenient, DefaultCount: defaultCount, MaxCount: maxCount,
	})
}

// rows are what a stored version of a resource is found by.
func (s *Service) rows(r *fhir.Resource) ([]search.Row, error) {
	n, err := fhir.Parse(r.Body)
	if err != nil {
		return nil, err
	}
	return s.registry.ExtractStored(n, s.zone, s.baseURL, func(p *search.Parameter) {
		if _, told := s.unindexed.LoadOrStore(p.Key(), true); !told {
			s.log.Warn("this search parameter cannot index all that is stored, and does not find what it cannot index", "parameter", p.Key())
		}
	})
}

func (s *Service) searchset(ctx context.Context, r *store.Reader, q *search.Query, part subset.Subset, issues []fhir.Issue) ([]byte, error) {
	page, err := r.Search(ctx, q, s.rows)
	if err != nil {
		return nil, err
	}
	b := newBundle("searchset", page.Total)
	size := 0
	for _, res := range page.Resources {
		size += len(res.Body) + entryBytes/2
	}
	b.grow(size)
	b.link("self", s.link(q.Type, q.Applied, ""))
	if page.Next != "" {
		b.link("next", s.link(q.Type, q.Applied, page.Next))
	}
	for _, res := range page.Resources {
		body, err := part.Of(res.Body)
		if err != nil {
			return nil, err
		}
		b.entry(entry{fullURL: s.url(res), resource: body, mode: "match"})
	}
	if len(issues) > 0 {
		b.entry(entry{resource: fhir.Outcome(issues...), mode: "outcome"})
	}
	return b.bytes(), nil
}

// url is the absolute URL of a resource.
func (s *Service) url(r *fhir.Resource) string { return s.baseURL + "/" + r.Ref() }

// link is the URL of a search or history page.
func (s *Service) link(path string, pairs []search.Pair, cursor string) string {
	var query []string
	for _, p := range pairs {
		query = append(query, url.QueryEscape(p.Name)+"="+url.QueryEscape(p.Value))
	}
	if cursor != "" {
		query = append(query, "_cursor="+url.QueryEscape(cursor))
	}
	link := s.baseURL
	if path != "" {
		link += "/" + path
	}
	if len(query) == 0 {
		return link
	}
	return link + "?" + strings.Join(query, "&")
}
