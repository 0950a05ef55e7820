package store

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// eraseAtOnce is how many records one statement erases.
	eraseAtOnce = 500
	// termsAtOnce is how many terms one statement removes entries of.
	termsAtOnce = 50
)

// GoneTerm is the one term of a record whose key was taken away.
const GoneTerm = 0

// EraseLogged takes away the keys of the records at some positions of the log, and the entries that they
// are found by.
func (tx *Tx) EraseLogged(ctx context.Context, positions []int64, entries []LogEntry) error {
	indexed, err := tx.IndexedLog(ctx)
	if err != nil {
		return err
	}
	for _, position := range positions {
		if position > indexed {
			continue // the index gets to it
		}
		if err := tx.insert(ctx, intoLogTerm, int64(GoneTerm), position); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(positions, eraseAtOnce) {
		if err := tx.exec(ctx, "UPDATE log SET key = NULL WHERE pos IN ("+numberList(some)+")"); err != nil {
			return err
		}
	}
	byTerm := map[int64][]int64{}
	for _, e := range entries {
		byTerm[e.Term] = append(byTerm[e.Term], e.Position)
	}
	var conditions []string
	for term, positions := range byTerm { // each is looked up by the key: nothing leads from a position to its terms
		for some := range slices.Chunk(positions, eraseAtOnce) {
			conditions = append(conditions, "term = "+strconv.FormatInt(term, 10)+" AND pos IN ("+numberList(some)+")")
		}
	}
	for some := range slices.Chunk(conditions, termsAtOnce) {
		if err := tx.exec(ctx, "DELETE FROM log_term WHERE "+strings.Join(some, " OR ")); err != nil {
			return err
		}
	}
	return nil
}

func numberList(numbers []int64) string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(texts, ",")
}

// LogSegment is what was retired from the log: the positions, when, and the file that has them, with its
// SHA-256.
type LogSegment struct {
	First, Last int64
	Sealed      time.Time
	SHA256      []byte
	Name        string
}

// PutLogSegment notes what was retired.
func (tx *Tx) PutLogSegment(ctx context.Context, g LogSegment) error {
	return tx.exec(ctx, "INSERT INTO log_segment (first, last, sealed, sha256, name) VALUES ($1, $2, $3, $4, $5)", g.First, g.Last, g.Sealed.UnixMicro(), g.SHA256, g.Name)
}

// Retired is the last position that was retired, 0 where there is none.
func (r *Reader) Retired(ctx context.Context) (last int64, err error) {
	_, err = r.row(ctx, "SELECT coalesce(max(last), 0) FROM log_segment", nil, &last)
	return last, err
}
