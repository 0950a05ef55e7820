package tree

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Inclusion is the proof that a leaf, by its index, is in the tree of a size
// (https://www.rfc-editor.org/rfc/rfc6962#section-2.1.1). That tree may be older than the one that hashes
// are read from.
func Inclusion(size, index int64, hashes tlog.HashReader) ([]Hash, error) {
	if index < 0 || index >= size {
		return nil, fmt.Errorf("tree: a tree of %d leaves has none with index %d", size, index)
	}
	return tlog.ProveRecord(size, index, hashes)
}

// Consistency is the proof that the tree of a size has all leaves of an older one, in the same places
// (https://www.rfc-editor.org/rfc/rfc6962#section-2.1.2).
func Consistency(older, size int64, hashes tlog.HashReader) ([]Hash, error) {
	switch {
	case older < 0 || older > size:
		return nil, fmt.Errorf("tree: a tree of %d leaves does not come before one of %d", older, size)
	case older == 0 || older == size:
		return nil, nil
	}
	return tlog.ProveTree(size, older, hashes)
}

var errNotProven = errors.New("the proof does not hold")

// VerifyInclusion checks the proof that a leaf is at an index of the log that the checkpoint is of.
func VerifyInclusion(c Checkpoint, index int64, leaf Hash, proof []Hash) error {
	if index < 0 || index >= c.Size {
		return fmt.Errorf("a checkpoint of %d records says nothing of record %d", c.Size, index+1)
	}
	if tlog.CheckRecord(proof, c.Size, c.Root, index, leaf) != nil {
		return errNotProven
	}
	return nil
}

// VerifyConsistency checks the proof that the log at one checkpoint has all that it had at an older one,
// in the same order.
func VerifyConsistency(older, newer Checkpoint, proof []Hash) error {
	switch {
	case older.Origin != newer.Origin:
		return errors.New("the checkpoints are those of two logs")
	case older.Size > newer.Size:
		return fmt.Errorf("a checkpoint of %d records does not come before one of %d", older.Size, newer.Size)
	case older.Size == newer.Size && older.Root != newer.Root:
		return fmt.Errorf("two checkpoints of %d records have different roots", older.Size)
	case older.Size == 0 || older.Size == newer.Size:
		if len(proof) > 0 {
			return errNotProven
		}
		return nil
	}
	if tlog.CheckTree(proof, newer.Size, newer.Root, older.Size, older.Root) != nil {
		return errNotProven
	}
	return nil
}
