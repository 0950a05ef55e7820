package service

import (
	"context"
	"net/url"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store"
)

// The page sizes of searches and histories.
const (
	defaultCount = 50
	maxCount     = 1000
)

// Search runs a query at type level, or, where typ is "", in the whole system, and returns a
// searchset Bundle (https://hl7.org/fhir/R4/search.html). An unknown parameter is refused, or,
// when lenient, left out and named in an outcome entry. The self link is made from the query
// that was run.
//
// The error's kind is BadRequest for a query that is not understood, NotFound for a type that is
// not served, and Gone for the page link of a sorted search of which too much has changed.
func (s *Service) Search(ctx context.Context, p Principal, typ string, pairs []search.Pair, lenient bool) ([]byte, error) {
	return s.search(ctx, p, scope{typ: typ}, pairs, lenient)
}

// SearchCompartment is Search among what belongs to a patient
// (https://hl7.org/fhir/R4/http.html#vsearch): the resources of one type, or, where typ is "", of
// all types that the compartment has. The error's kind is also NotFound for a patient or a type
// that is not there, and Gone for a patient that was deleted.
func (s *Service) SearchCompartment(ctx context.Context, p Principal, patient, typ string, pairs []search.Pair, lenient bool) ([]byte, error) {
	return s.search(ctx, p, scope{typ: typ, patient: patient}, pairs, lenient)
}

func (s *Service) search(ctx context.Context, p Principal, in scope, pairs []search.Pair, lenient bool) ([]byte, error) {
	var out []byte
	err := s.interact(ctx, p, interaction{code: in.code(), typ: in.typ}, func(ctx context.Context) error {
		q, err := s.question(p, in, pairs, lenient)
		if err != nil {
			return err
		}
		if err := s.prepareLog(ctx, in.typ); err != nil {
			return err
		}
		return s.view(ctx, &p, searching, func(ctx context.Context, r *store.Reader) (err error) {
			out, err = q.searchset(ctx, r)
			return err
		})
	})
	return out, err
}

// scope is where a search looks.
type scope struct {
	// typ is the one type that is searched, "" for several.
	typ string
	// patient is the id of the one whose compartment is searched, "" for none.
	patient string
}

// code is the restful-interaction of a search.
func (in scope) code() string {
	if in.typ == "" {
		return "search-system"
	}
	return "search-type"
}

// path is the scope in a URL below the base.
func (in scope) path() string {
	switch {
	case in.patient == "":
		return in.typ
	case in.typ == "":
		return "Patient/" + in.patient + "/*"
	default:
		return "Patient/" + in.patient + "/" + in.typ
	}
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
