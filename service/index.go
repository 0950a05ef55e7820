package service

import (
	"context"
	"fmt"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Registry holds the search parameters of R4 and those among the definitions. An error names the
// parameter.
func Registry(definitions []*fhir.Node) (*search.Registry, error) {
	r, err := search.NewRegistry(definitions...)
	if err != nil {
		return nil, fmt.Errorf("search parameters: %w", err)
	}
	return r, nil
}

// KeepIndexed indexes what is stored for the search parameters that are new or different, until
// ctx ends. Of all services on a database one does it at a time. Queries that need such a
// parameter are refused until it is done, with errors of kind Unavailable.
//
// What derivations ask by comes first, since surgery cannot be stored before.
func (s *Service) KeepIndexed(ctx context.Context) {
	var first []string
	for _, p := range s.ofCases {
		first = append(first, p.Type)
	}
	s.store.KeepIndexed(ctx, s.rows, first...)
}
