package service

import (
	"context"
	"errors"

	"aftercare/fhir"
	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/store"

	"golang.org/x/mod/sumdb/tlog"
)

// LogProof proves that a record is in the log.
type LogProof struct {
	// Row is the record. Its leaf and key are nil where they were taken away.
	Row store.Logged
	// Leaf is the hash of its leaf, and Path the proof that this is in the tree of Checkpoint.
	Leaf tree.Hash
	Path []tree.Hash
	// Checkpoint is the signed one, or, where no note is kept of that size, what it would be.
	Checkpoint tree.Checkpoint
	Note       []byte
}

// errDamaged is the answer where a proof would not hold.
func errDamaged(cause error) error {
	return fhir.Errorf(fhir.Internal, "exception", "", "The auditor's log is not as it was written, so nothing can be proven of it. \"aftercare audit verify\" tells more.").Because(cause)
}

// Prove proves that the record at a position is in the tree, first bringing it there if need be. size is
// that of the checkpoint to prove it at, 0 for the newest. The error is NotFound where there is no such
// record.
func (l *Log) Prove(ctx context.Context, position, size int64) (p LogProof, err error) {
	if err := l.reach(ctx, position); err != nil {
		return p, err
	}
	err = l.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
		t, err := l.tree(ctx, r)
		if err == nil {
			p, err = t.prove(ctx, position, size)
		}
		return err
	})
	return p, err
}

// reach sees to it that the tree has the record at a position.
func (l *Log) reach(ctx context.Context, position int64) error {
	var newest store.LogCheckpoint
	if err := l.store.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
		newest, err = r.NewestCheckpoint(ctx)
		return err
	}); err != nil || newest.Size >= position {
		return err
	}
	size, err := l.integrate(ctx, position)
	switch {
	case errors.As(err, new(*damage)):
		return errDamaged(err)
	case err == nil && size < position:
		return fhir.Errorf(fhir.NotFound, "not-found", "", "There is no AuditEvent with this id.")
	}
	return err
}

// logTree is the tree of the log at its newest checkpoint, in one state of the store.
type logTree struct {
	r      *store.Reader
	newest tree.Checkpoint
	note   []byte
	hashes tlog.HashReader
}

func (l *Log) tree(ctx context.Context, r *store.Reader) (*logTree, error) {
	c, err := l.newest(ctx, r)
	if err != nil {
		return nil, ofTree(err)
	}
	stored, err := r.NewestCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	return &logTree{r, c, stored.Note, tree.Hashes(c.Size, c.Root, tileSource(ctx, r))}, nil
}

// ofTree makes an answer of an error about the tree.
func ofTree(err error) error {
	if err = readingTree(err); errors.As(err, new(*damage)) {
		return errDamaged(err)
	}
	return err
}

// prove proves that the tree of a size, 0 for the newest, has the record at a position.
func (t *logTree) prove(ctx context.Context, position, size int64) (p LogProof, err error) {
	if p.Checkpoint, p.Note, err = t.at(ctx, size); err != nil {
		return p, err
	}
	if position > p.Checkpoint.Size {
		return p, fhir.Errorf(fhir.Unprocessable, "value", "http.size", "The log had %d records then, and not this one yet.", p.Checkpoint.Size)
	}
	if p.Row, err = t.r.LoggedAt(ctx, position); err != nil {
		return p, err
	}
	if p.Row.Position == 0 {
		return p, errDamaged(&damage{position, "is missing"})
	}
	if p.Path, err = tree.Inclusion(p.Checkpoint.Size, position-1, t.hashes); err != nil {
		return p, ofTree(err)
	}
	if p.Row.Leaf != nil {
		p.Leaf = tree.LeafHash(p.Row.Leaf)
	} else {
		leaf, err := t.hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, position-1)})
		if err != nil {
			return p, ofTree(err)
		}
		p.Leaf = leaf[0]
	}
	if err := tree.VerifyInclusion(p.Checkpoint, position-1, p.Leaf, p.Path); err != nil {
		return p, errDamaged(&damage{position, "is not as it was when it was brought into the tree"})
	}
	return p, nil
}

// at is the checkpoint of a size, 0 for the newest. The note is nil where none is kept.
func (t *logTree) at(ctx context.Context, size int64) (c tree.Checkpoint, note []byte, err error) {
	if size == 0 || size == t.newest.Size {
		return t.newest, t.note, nil
	}
	if size > t.newest.Size {
		return c, nil, fhir.Errorf(fhir.Unprocessable, "value", "http.size", "The newest checkpoint is of %d records.", t.newest.Size)
	}
	c = tree.Checkpoint{Origin: t.newest.Origin, Size: size}
	if c.Root, err = tlog.TreeHash(size, t.hashes); err != nil {
		return c, nil, ofTree(err)
	}
	kept, err := t.r.Checkpoints(ctx, size-1, 1)
	if err != nil || len(kept) == 0 || kept[0].Size != size {
		return c, nil, err
	}
	return c, kept[0].Note, nil
}

// shows says that an answer carries a record of the log.
func (t *Trail) showsRecord(r *audit.Record) {
	if t != nil {
		t.record.Shown = append(t.record.Shown, audit.Version{Type: "AuditEvent", ID: r.ID, Version: 1})
		t.record.Patients = append(t.record.Patients, r.Patients...)
	}
}
