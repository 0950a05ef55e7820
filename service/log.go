package service

import (
	"context"
	"fmt"
	"strconv"

	"aftercare/service/audit"
	"aftercare/service/store"
)

// append adds a record about some patients to the log, in a write, and notes in it where it is.
func (s *Service) append(ctx context.Context, tx *store.Tx, r *audit.Record, patients []string) error {
	subjects, named := make([]audit.Subject, len(patients)), make([][]byte, len(patients))
	for i, id := range patients {
		subjects[i] = s.sealer.Subject(id)
		named[i] = subjects[i][:]
	}
	place, err := tx.Place(ctx, s.now(), named)
	if err != nil {
		return err
	}
	links := make([]audit.Link, len(subjects))
	for i, l := range place.Links {
		links[i] = audit.Link{Subject: subjects[i], N: l.N, Before: l.Before}
	}
	r.ID, r.Recorded = strconv.FormatInt(place.Position, 10), place.Recorded
	sealed := *r
	sealed.Patients = patients
	leaf, key, err := s.sealer.Seal(place.Position, &sealed, links)
	if err != nil {
		return err
	}
	return tx.Log(ctx, place, leaf, key)
}

// openLog makes ready what writes to the log. The error says that the secret is not that of the log in
// the store.
func (s *Service) openLog(ctx context.Context, secret []byte) (err error) {
	if s.sealer, err = audit.NewSealer(secret); err != nil {
		return err
	}
	return s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
		last, err := r.LastLogged(ctx)
		if err != nil {
			return err
		}
		return r.Logged(ctx, last-1, 1, func(l store.Logged) error {
			if l.Leaf != nil && !s.sealer.Genuine(l.Position, l.Leaf) {
				return fmt.Errorf("service: record %d of the auditor's log was not written with this secret; the folder of keys must be that of the database", l.Position)
			}
			return nil
		})
	})
}
