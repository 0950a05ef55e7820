package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aftercare/fhir"
	"aftercare/service/store"
)

var errTooLong = errors.New("a query took longer than one may")

// bounded runs a query for as long as one may take. The error is of kind Unprocessable, too-costly,
// and errTooLong, where it takes longer: to ask the same again would not help.
func (s *Service) bounded(ctx context.Context, query func(ctx context.Context) error) error {
	if s.queryLimit == 0 {
		return query(ctx)
	}
	within, cancel := context.WithTimeout(ctx, s.queryLimit)
	defer cancel()
	err := query(within)
	if err == nil || within.Err() == nil || ctx.Err() != nil {
		return err
	}
	return fhir.Errorf(fhir.Unprocessable, "too-costly", "", "This takes longer than the %s that a query may look. Ask for less: narrow the search, or take smaller pages.", s.queryLimit).
		Because(fmt.Errorf("%w: %w", errTooLong, err))
}

// orDown is the error of a query that took too long because the database does not do anything at
// all, and err otherwise.
func (s *Service) orDown(ctx context.Context, err error) error {
	if !errors.Is(err, errTooLong) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	down := s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
		_, err := r.Position(ctx)
		return err
	})
	if down != nil {
		return down
	}
	return err
}
