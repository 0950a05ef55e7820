package service

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"

	"aftercare/fhir"
	"aftercare/service/audit"
	"aftercare/service/store"
)

// retireStep is how many records are retired in one write.
const retireStep = 2000

// Retired is the last position of the log that was retired.
func (l *Log) Retired(ctx context.Context) (last int64, err error) {
	err = l.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
		last, err = r.Retired(ctx)
		return err
	})
	return last, err
}

// Retire takes away the keys of the records of a segment, which a file has. They stay leaves of the tree and
// links of chains, so that the log is verified as before; records of erasures can be read as before. Each step
// is a record itself, which r begins. What was done when the error comes stays done, and may be done again. The
// error's kind is Conflict where another retirement has ended meanwhile.
func (l *Log) Retire(ctx context.Context, g store.LogSegment, reason string, r audit.Record, progress func(done, all int64)) error {
	terms, err := LogTerms(l.secret)
	if err != nil {
		return err
	}
	for first := g.First; first <= g.Last; first += retireStep {
		last := min(first+retireStep-1, g.Last)
		if err := l.store.WriteLog(ctx, func(ctx context.Context, tx *store.Tx) error {
			if retired, err := tx.Retired(ctx); err != nil {
				return err
			} else if retired != g.First-1 {
				return fhir.Errorf(fhir.Conflict, "conflict", "", "Another retirement has ended meanwhile. Keep this file too, and start again with a new one for what is left.")
			}
			var rows []store.Logged
			if err := tx.Logged(ctx, first-1, int(last-first+1), func(row store.Logged) error {
				if row.Key != nil { // else it was erased
					row.Leaf, row.Key = bytes.Clone(row.Leaf), bytes.Clone(row.Key)
					rows = append(rows, row)
				}
				return nil
			}); err != nil {
				return err
			}
			if _, err := eraseRows(ctx, tx, terms, rows); err != nil {
				return err
			}
			if last == g.Last {
				if err := tx.PutLogSegment(ctx, g); err != nil {
					return err
				}
			}
			step := r
			step.Details = append(slices.Clone(r.Details), audit.Retirement(first, last, g.Name, hex.EncodeToString(g.SHA256), reason)...)
			return l.Append(ctx, tx, step)
		}); err != nil {
			return asDamage(err)
		}
		if progress != nil {
			progress(last-g.First+1, g.Last-g.First+1)
		}
	}
	return nil
}
