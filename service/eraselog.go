package service

import (
	"context"
	"slices"

	"aftercare/fhir"
	"aftercare/service/audit"
	"aftercare/service/store"
)

// LogErasure is what an erasure came to: how many records about the patient were erased now, and how many
// of these were about others too.
type LogErasure struct{ Records, Shared int }

// Erase takes away the keys of all records about a patient, so that nobody can open them any more. They
// stay leaves of the tree, and links of chains. That this was done, and why, is a record itself, which r
// begins and which does not name the patient.
func (l *Log) Erase(ctx context.Context, patient, reason string, r audit.Record) (done LogErasure, err error) {
	subject := l.sealer.Subject(patient)
	terms, err := LogTerms(l.secret)
	if err != nil {
		return done, err
	}
	err = l.store.WriteLog(ctx, func(ctx context.Context, tx *store.Tx) error {
		done = LogErasure{} // this may run again
		var rows []store.Logged
		_, position, err := tx.LogSubject(ctx, subject[:])
		for err == nil && position > 0 {
			row, failed := tx.LoggedAt(ctx, position)
			if failed != nil {
				return failed
			}
			leaf, failed := audit.ParseLeaf(row.Leaf)
			if failed != nil || leaf.LinkOf(subject) == nil || leaf.LinkOf(subject).Before >= position {
				return &damage{position, "is not in the chain of its patient"}
			}
			if row.Key != nil {
				rows = append(rows, row)
				if len(leaf.Links) > 1 {
					done.Shared++
				}
			}
			position = leaf.LinkOf(subject).Before
		}
		if err != nil {
			return err
		}
		if done.Records = len(rows); done.Records == 0 {
			return fhir.Errorf(fhir.NotFound, "not-found", "", "No record in the log about this patient has a key.")
		}
		slices.Reverse(rows)
		positions, err := eraseRows(ctx, tx, terms, rows)
		if err != nil {
			return err
		}
		erased := r
		erased.Details = append(slices.Clone(r.Details), audit.Erasure(subject, positions, reason)...)
		return l.Append(ctx, tx, erased)
	})
	return done, asDamage(err)
}

// eraseRows takes away the keys of records, with what they are found by, and gives their positions. Records
// of erasures keep theirs: they say which keys are gone rightly, and name nobody.
func eraseRows(ctx context.Context, tx *store.Tx, terms *audit.Terms, rows []store.Logged) (positions []int64, err error) {
	var entries []store.LogEntry
	for _, row := range rows {
		record, err := audit.Read(row.Position, row.Leaf, row.Key)
		if err != nil {
			return nil, &damage{row.Position, "cannot be opened"}
		}
		if record.Code == audit.LogErased {
			continue
		}
		positions = append(positions, row.Position)
		for _, term := range terms.Of(record) {
			entries = append(entries, store.LogEntry{Term: term, Position: row.Position})
		}
	}
	return positions, tx.EraseLogged(ctx, positions, entries)
}
