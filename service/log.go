package service

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"aftercare/fhir"
	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/store"

	"github.com/go-jose/go-jose/v4"
)

// Log is the auditor's log of a store. It is safe for concurrent use.
type Log struct {
	store  *store.Store
	sealer *audit.Sealer
	secret []byte
	now    func() time.Time
	key    *tree.Key // nil where it has no tree
	// receipts signs receipts by the same key.
	receipts jose.Signer
}

// SignWith gives the log the key that signs its checkpoints. Without one, no tree is built over it.
func (l *Log) SignWith(key *tree.Key) (err error) {
	l.key = key
	l.receipts, err = newReceipts(key)
	return err
}

// OpenLog opens the log of a store, which a secret of audit.SecretSize bytes belongs to. The error says
// if it is not that of the records that are there.
func OpenLog(ctx context.Context, db *store.Store, secret []byte, now func() time.Time) (*Log, error) {
	sealer, err := audit.NewSealer(secret)
	if err != nil {
		return nil, err
	}
	l := &Log{store: db, sealer: sealer, secret: secret, now: now}
	return l, db.View(ctx, func(ctx context.Context, r *store.Reader) error {
		last, err := r.LastLogged(ctx)
		if err != nil {
			return err
		}
		return r.Logged(ctx, last-1, 1, func(row store.Logged) error {
			if row.Leaf != nil && !sealer.Genuine(row.Position, row.Leaf) {
				return fmt.Errorf("service: record %d of the auditor's log was not written with this secret; the folder of keys must be that of the database", row.Position)
			}
			return nil
		})
	})
}

// Note adds a record of something that is no request, such as the start of the service. When it returns,
// the record is on disk. A nil Log keeps none.
func (l *Log) Note(ctx context.Context, r audit.Record) error {
	if l == nil {
		return nil
	}
	return l.store.WriteLog(ctx, func(ctx context.Context, tx *store.Tx) error { return l.Append(ctx, tx, r) })
}

// Append adds a record in a write, to be there once what else the write does is. A nil Log keeps none.
func (l *Log) Append(ctx context.Context, tx *store.Tx, r audit.Record) error {
	if l == nil {
		return nil
	}
	_, err := l.append(ctx, tx, &r, r.Patients)
	return err
}

// logDerived adds a record of what the service derived for a patient by itself, when nobody asked.
func (s *Service) logDerived(ctx context.Context, tx *store.Tx, patient string, stored []*fhir.Resource) error {
	if len(stored) == 0 {
		return nil
	}
	r := audit.Record{Code: audit.Derived, Status: http.StatusOK, Agent: audit.Agent{Client: "aftercare"}, Patients: []string{patient}}
	for _, res := range stored {
		r.Shown = append(r.Shown, audit.Version{Type: res.Type, ID: res.ID, Version: res.Version})
	}
	return s.auditLog.Append(ctx, tx, r)
}

// append adds a record about some patients, each named once, and notes in it where it is. It gives the
// hash of the leaf.
func (l *Log) append(ctx context.Context, tx *store.Tx, r *audit.Record, patients []string) (hash tree.Hash, err error) {
	subjects, named := make([]audit.Subject, len(patients)), make([][]byte, len(patients))
	for i, id := range patients {
		subjects[i] = l.sealer.Subject(id)
		named[i] = subjects[i][:]
	}
	place, err := tx.Place(ctx, l.now(), named)
	if err != nil {
		return hash, err
	}
	links := make([]audit.Link, len(subjects))
	for i, link := range place.Links {
		links[i] = audit.Link{Subject: subjects[i], N: link.N, Before: link.Before}
	}
	r.ID, r.Recorded = strconv.FormatInt(place.Position, 10), place.Recorded
	sealed := *r
	sealed.Patients = patients
	leaf, key, err := l.sealer.Seal(place.Position, &sealed, links)
	if err != nil {
		return hash, err
	}
	return tree.LeafHash(leaf), tx.Log(ctx, place, leaf, key)
}
