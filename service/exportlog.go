package service

import (
	"bytes"
	"context"
	"errors"
	"time"

	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/store"

	"golang.org/x/mod/sumdb/tlog"
)

// LogExport says which records of the log are wanted, and who takes them.
type LogExport struct {
	// From and To bound the time of records, To not included; zero for no bound.
	From, To time.Time
	// After is the position after which records are wanted.
	After int64
	// Patient is the id of the patient whom records are about, "" for all.
	Patient string
	// Keep chooses among the records that can be opened, nil for all. Others are left out, if it is set.
	Keep func(*audit.Record) bool

	// Start takes the signed checkpoint up to which records are given, Record a record, with a proof
	// where not all are wanted, and nil in place of what cannot be opened, and Checkpoint the signed
	// checkpoints between them, where all are wanted.
	Start      func(c tree.Checkpoint, note []byte) error
	Record     func(LogProof, *audit.Record) error
	Checkpoint func(note []byte) error
	Progress   func(done, all int64)
}

func (x *LogExport) whole() bool {
	return x.After == 0 && x.From.IsZero() && x.To.IsZero() && x.Patient == "" && x.Keep == nil
}

// exportPage is how many records are read from one state of the store.
const exportPage = 1000

// Export gives records in their order, up to the newest checkpoint, which has all that there are at the
// start. Of a log that was changed, it gives what is there up to the last checkpoint that is good.
func (l *Log) Export(ctx context.Context, x LogExport) error {
	if _, err := l.integrate(ctx, 0); err != nil && !errors.As(err, new(*damage)) {
		return err
	}
	var end tree.Checkpoint
	keyless := false
	for after, begun := x.After, false; !begun || after < end.Size; {
		if err := l.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
			t, err := l.tree(ctx, r)
			if err != nil {
				return err
			}
			if !begun {
				begun, end = true, t.newest
				if err := x.Start(end, t.note); err != nil || end.Size == 0 {
					return err
				}
			}
			after, err = l.exportPage(ctx, t, &x, end, after, &keyless)
			return err
		}); err != nil {
			return err
		}
		if x.Progress != nil {
			x.Progress(after, end.Size)
		}
	}
	if keyless && x.whole() {
		return l.erasedSince(ctx, end.Size)
	}
	return nil
}

// erasedSince is an error where the log says, after a position, that records were erased: an export up to
// there that met one without a key does not have the record that accounts for it.
func (l *Log) erasedSince(ctx context.Context, position int64) error {
	for {
		n := 0
		if err := l.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
			return r.Logged(ctx, position, exportPage, func(row store.Logged) error {
				n++
				position = row.Position
				if row.Leaf == nil || row.Key == nil {
					return nil
				}
				if record, err := audit.Read(row.Position, row.Leaf, row.Key); err == nil && record.Code == audit.LogErased {
					return errErasedMeanwhile
				}
				return nil
			})
		}); err != nil || n < exportPage {
			if errors.Is(err, errErasedMeanwhile) {
				return errErasedMeanwhile
			}
			return err
		}
	}
}

var errErasedMeanwhile = errors.New("service: records were erased while the log was exported, so the export does not say why; export it again")

func (l *Log) exportPage(ctx context.Context, t *logTree, x *LogExport, end tree.Checkpoint, after int64, keyless *bool) (int64, error) {
	var rows []store.Logged
	if err := t.r.Logged(ctx, after, int(min(exportPage, end.Size-after)), func(row store.Logged) error {
		row.Leaf, row.Key = bytes.Clone(row.Leaf), bytes.Clone(row.Key)
		rows = append(rows, row)
		return nil
	}); err != nil {
		return after, err
	}
	var notes []store.LogCheckpoint
	if x.whole() {
		var err error
		if notes, err = t.r.Checkpoints(ctx, after, exportPage); err != nil {
			return after, err
		}
	}
	subject := l.sealer.Subject(x.Patient)
	for _, row := range rows {
		*keyless = *keyless || row.Key == nil
		p := LogProof{Row: row}
		record, keep := x.wants(row, subject)
		if keep {
			if err := t.complete(&p, !x.whole(), end.Size); err != nil {
				return after, err
			}
			if err := x.Record(p, record); err != nil {
				return after, err
			}
		}
		for ; len(notes) > 0 && notes[0].Size <= row.Position; notes = notes[1:] {
			if notes[0].Size == row.Position {
				if err := x.Checkpoint(notes[0].Note); err != nil {
					return after, err
				}
			}
		}
	}
	if len(rows) == 0 {
		return end.Size, nil
	}
	return min(rows[len(rows)-1].Position, end.Size), nil
}

// complete adds the hash of a leaf that is not there, and a proof.
func (t *logTree) complete(p *LogProof, prove bool, size int64) (err error) {
	index := p.Row.Position - 1
	if p.Row.Leaf == nil {
		leaf, err := t.hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil {
			return ofTree(err)
		}
		p.Leaf = leaf[0]
	} else {
		p.Leaf = tree.LeafHash(p.Row.Leaf)
	}
	if prove {
		if p.Path, err = tree.Inclusion(size, index, t.hashes); err != nil {
			return ofTree(err)
		}
	}
	return nil
}

// wants opens a record, nil if that cannot be done, and decides whether it is wanted.
func (x *LogExport) wants(row store.Logged, subject audit.Subject) (r *audit.Record, keep bool) {
	if !x.From.IsZero() && row.Recorded.Before(x.From) || !x.To.IsZero() && !row.Recorded.Before(x.To) {
		return nil, false
	}
	if row.Leaf != nil && row.Key != nil {
		if opened, err := audit.Read(row.Position, row.Leaf, row.Key); err == nil {
			r = opened
		}
	}
	if x.Patient != "" && !isAbout(row.Leaf, subject) {
		return r, false
	}
	return r, x.Keep == nil || r != nil && x.Keep(r)
}

// isAbout reports whether a leaf is about a subject.
func isAbout(leaf []byte, subject audit.Subject) bool {
	l, err := audit.ParseLeaf(leaf)
	return err == nil && l.LinkOf(subject) != nil
}
