package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/store"
)

// LogCheck says what the log of a store is checked against.
type LogCheck struct {
	// Sealer tells which records the service wrote, nil where its secret is not at hand.
	Sealer *audit.Sealer
	// Terms are what the records are found by, nil where the secret is not at hand.
	Terms *audit.Terms
	// Verifier is the key of the log's checkpoints (https://c2sp.org/signed-note#verifier-keys).
	Verifier string
	// Kept are signed checkpoints that somebody kept elsewhere.
	Kept [][]byte
	// Progress is called now and then with how many records were checked, of how many.
	Progress func(done, all int64)
}

// LogState is what was found of a log that is as it was written.
type LogState struct {
	Records, Integrated, Checkpoints int64
	Opened, Erased                   int64
	Subjects                         int
}

// verifyPage is how many records are read from one state of the store: one that is read for long keeps
// the database from tidying up.
const verifyPage = 4096

// VerifyLog checks the log of a store as it is now; what is added meanwhile is not looked at. The error is
// an *audit.Fault or an *audit.CheckpointFault where the log is not as it was written.
func VerifyLog(ctx context.Context, db *store.Store, o LogCheck) (LogState, error) {
	v := &verifying{LogCheck: o, db: db, c: audit.NewChecker(o.Sealer)}
	err := v.start(ctx)
	if err == nil {
		err = v.records(ctx)
	}
	if err == nil {
		err = v.end(ctx)
	}
	found := LogState{
		Records: v.c.Size(), Integrated: v.size, Checkpoints: v.checkpoints, Opened: v.c.Opened, Erased: v.c.Erased, Subjects: v.c.Subjects(),
	}
	return found, faultOf(err)
}

// faultOf takes what is wrong with the log out of what the store made of it.
func faultOf(err error) error {
	var f *audit.Fault
	var c *audit.CheckpointFault
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &c):
		return c
	}
	return err
}

type verifying struct {
	LogCheck
	db *store.Store
	c  *audit.Checker
	// last is the position of the newest record, and size that of the newest checkpoint, at the start.
	last, size int64
	// missing is how many records there are said to be, where that is more.
	missing int64
	tiles   tree.Tiler
	// good is the size of the last checkpoint that was found right; checkpoints counts them.
	good, checkpoints int64
	kept              map[int64][][]byte
	index             *indexCheck // nil where it is not compared
}

func (v *verifying) start(ctx context.Context) error {
	v.kept = map[int64][][]byte{}
	for _, signed := range v.Kept {
		c, err := tree.Open(signed, v.Verifier)
		if err != nil {
			return fmt.Errorf("the checkpoint that was kept: %w", err)
		}
		v.kept[c.Size] = append(v.kept[c.Size], signed)
	}
	return v.db.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
		if v.last, err = r.LastLogged(ctx); err != nil {
			return err
		}
		newest, err := r.NewestCheckpoint(ctx)
		if err != nil {
			return err
		}
		if v.Terms != nil {
			end, err := r.IndexedLog(ctx)
			if err != nil {
				return err
			}
			if end > v.last {
				v.missing = end
			}
			v.index = newIndexCheck(v.Terms, max(min(end, v.last), 0))
			v.c.Each = v.index.opened
		}
		if v.size = newest.Size; v.size > 0 { // it may be thinned out meanwhile
			v.kept[v.size] = append(v.kept[v.size], newest.Note)
		}
		hashes, err := r.LogTiles(ctx, tree.Width)
		switch {
		case err == nil && hashes > v.last:
			v.missing = max(v.missing, hashes)
		case err == nil && hashes > v.size:
			err = &audit.CheckpointFault{Size: hashes, What: "is missing: the tree has the hashes of as many"}
		}
		return err
	})
}

// records checks all records. One whose key was gone when it was read, and that no record up to the last
// accounts for, may have been erased meanwhile: the record that says so was there by then, so those up to
// the one that is the last now are checked too.
func (v *verifying) records(ctx context.Context) error {
	for known := int64(0); ; {
		for v.c.Size() < v.last {
			if err := v.page(ctx); err != nil {
				return err
			}
			if v.Progress != nil {
				v.Progress(v.c.Size(), v.last)
			}
		}
		var f *audit.Fault
		if err := v.c.End(); !errors.As(err, &f) || f.Position <= known {
			return err
		}
		known = v.last
		if err := v.db.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
			v.last, err = r.LastLogged(ctx)
			return err
		}); err != nil {
			return err
		}
		v.last = max(v.last, known)
	}
}

// page checks the next records, with what the tree says of them.
func (v *verifying) page(ctx context.Context) error {
	return v.db.View(ctx, func(ctx context.Context, r *store.Reader) error {
		from := v.c.Size()
		until := min(from+verifyPage, v.last)
		checkpoints, err := v.checkpointsOf(ctx, r, from, until)
		if err != nil {
			return err
		}
		var rows []audit.Row
		after := from
		if from == 0 {
			after = math.MinInt64 // none is ahead of the first
		}
		if err := r.Logged(ctx, after, int(until-from), func(l store.Logged) error {
			rows = append(rows, audit.Row{Position: l.Position, Recorded: l.Recorded, Leaf: bytes.Clone(l.Leaf), Key: bytes.Clone(l.Key)})
			return nil
		}); err != nil {
			return err
		}
		for _, row := range rows {
			if row.Position > v.last {
				break
			}
			if err := v.row(ctx, r, row, checkpoints); err != nil {
				return err
			}
		}
		if v.c.Size() < until {
			return &audit.Fault{Position: v.c.Size() + 1, What: "is missing"}
		}
		return nil
	})
}

// checkpointsOf are the notes of the sizes after one, up to another, and those that were kept.
func (v *verifying) checkpointsOf(ctx context.Context, r *store.Reader, after, until int64) (map[int64][][]byte, error) {
	found := map[int64][][]byte{}
	for size, signed := range v.kept {
		found[size] = slices.Clone(signed)
	}
	for {
		some, err := r.Checkpoints(ctx, after, 1000)
		if err != nil {
			return nil, err
		}
		for _, c := range some {
			if c.Size > until {
				return found, nil
			}
			found[c.Size], after = append(found[c.Size], c.Note), c.Size
		}
		if len(some) == 0 {
			return found, nil
		}
	}
}

func (v *verifying) row(ctx context.Context, r *store.Reader, row audit.Row, checkpoints map[int64][][]byte) error {
	hash, err := v.c.Add(row)
	if err != nil {
		return err
	}
	if v.index != nil && row.Key == nil {
		v.index.gone(row.Position)
	}
	whole := v.tiles.Add(hash)
	for _, signed := range checkpoints[row.Position] {
		if err := v.c.At(signed, v.Verifier, row.Position, v.good); err != nil {
			return errors.Join(v.compare(ctx, r, append(whole, v.tiles.Rest()...)), err)
		}
		if v.good < row.Position {
			v.good = row.Position
			v.checkpoints++
		}
	}
	return v.compare(ctx, r, whole)
}

// compare compares tiles with those that are stored, as far as those are to go.
func (v *verifying) compare(ctx context.Context, r *store.Reader, tiles []tree.Tile) error {
	const size = len(tree.Hash{})
	for _, t := range tiles {
		below := int64(1) << (tree.Height * t.Level) // records that a hash of this level is over
		width := min(max(v.size/below-t.N*tree.Width, 0), int64(len(t.Data)/size))
		data, err := r.LogTile(ctx, t.Level, t.N)
		if err != nil {
			return err
		}
		for i := range int(width) {
			if len(data) < (i+1)*size || !bytes.Equal(data[i*size:(i+1)*size], t.Data[i*size:(i+1)*size]) {
				first := (t.N*tree.Width+int64(i))*below + 1
				return &audit.Fault{Position: first, Last: first + below - 1, What: "is not the one that the tree was built over, or the tree was changed there"}
			}
		}
	}
	return nil
}

// end checks what is known once all records are: the tiles that are not whole, the newest checkpoints,
// and the ends of the chains.
func (v *verifying) end(ctx context.Context) error {
	for size := range v.kept {
		v.missing = max(v.missing, size)
	}
	if v.missing > v.last {
		return &audit.Fault{Position: v.last + 1, What: fmt.Sprintf("is missing: there was a log of %d records", v.missing)}
	}
	if v.index != nil {
		if err := v.index.compare(ctx, v.db); err != nil {
			return err
		}
	}
	return v.db.View(ctx, func(ctx context.Context, r *store.Reader) error {
		if err := v.compare(ctx, r, v.tiles.Rest()); err != nil {
			return err
		}
		return v.chains(ctx, r)
	})
}

// chains compares the ends of the chains with those from which the service goes on.
func (v *verifying) chains(ctx context.Context, r *store.Reader) error {
	last, err := r.LastLogged(ctx)
	if err != nil {
		return err
	}
	seen := 0
	after := []byte{}
	for more := true; more; {
		more = false
		if err := r.LogSubjects(ctx, after, verifyPage, func(subject []byte, n, position int64) error {
			more, after = true, bytes.Clone(subject)
			if len(subject) != len(audit.Subject{}) {
				return &audit.Fault{Position: position, What: "is said to be the last about a patient that no record is about"}
			}
			head := v.c.Head(audit.Subject(subject))
			switch {
			case position > last:
				return &audit.Fault{Position: last + 1, What: fmt.Sprintf("is missing: the last record about a patient was record %d", position)}
			case position > v.last: // added since
			case head.N != n || head.Before != position:
				return &audit.Fault{Position: max(head.Before, 1), What: fmt.Sprintf("is not the last record about its patient, as the service has it: that is number %d, record %d", n, position)}
			}
			if head.N > 0 {
				seen++
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if seen < v.c.Subjects() {
		return v.c.Heads(func(l audit.Link) error {
			_, position, err := r.LogSubject(ctx, l.Subject[:])
			if err == nil && position == 0 {
				err = &audit.Fault{Position: l.Before, What: "is the last about a patient whom the service does not know any more"}
			}
			return err
		})
	}
	return nil
}
