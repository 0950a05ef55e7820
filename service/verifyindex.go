package service

import (
	"context"
	"hash/maphash"
	"slices"
	"strconv"

	"aftercare/service/audit"
	"aftercare/service/store"
)

// LogTerms are what the records of a log are found by, of the secret of the log. They are the same at each
// public base.
func LogTerms(secret []byte) (*audit.Terms, error) {
	return audit.NewTerms(secret, *logSite(""))
}

// indexSpan is how many records share one sum.
const indexSpan = 64

// indexEntriesAtOnce is how many entries of the index are read from one state of the store.
const indexEntriesAtOnce = 50_000

// indexCheck compares the index that searches of the log go by with what the records say: whoever takes
// entries away hides records from whoever asks. Both are added up, for some records at a time, in an order
// of their own; where the sums differ, which they also do when a record is erased meanwhile, the entries
// themselves are compared.
type indexCheck struct {
	terms *audit.Terms
	// end is the position that the index went to at the start.
	end  int64
	seed maphash.Seed
	sums []uint64
}

func newIndexCheck(terms *audit.Terms, end int64) *indexCheck {
	return &indexCheck{terms, end, maphash.MakeSeed(), make([]uint64, (end+indexSpan-1)/indexSpan)}
}

func (x *indexCheck) sum(e store.LogEntry) uint64 { return maphash.Comparable(x.seed, e) }

// record adds the entries that a record is to have.
func (x *indexCheck) record(position int64, r *audit.Record) {
	if position > x.end {
		return
	}
	for _, term := range x.terms.Of(r) {
		x.sums[(position-1)/indexSpan] += x.sum(store.LogEntry{Term: term, Position: position})
	}
}

// gone adds the entry that a record without a key is to have.
func (x *indexCheck) gone(position int64) {
	if position <= x.end {
		x.sums[(position-1)/indexSpan] += x.sum(store.LogEntry{Term: store.GoneTerm, Position: position})
	}
}

// compare takes the entries that there are off, and looks at what remains. The error is an *audit.Fault
// where a record has other entries than it is to have.
func (x *indexCheck) compare(ctx context.Context, db *store.Store) error {
	var last store.LogEntry
	for n, first := indexEntriesAtOnce, true; n == indexEntriesAtOnce; first = false {
		n = 0
		if err := db.View(ctx, func(ctx context.Context, r *store.Reader) error {
			return r.LogEntries(ctx, last, first, indexEntriesAtOnce, func(e store.LogEntry) {
				if n++; e.Position >= 1 && e.Position <= x.end {
					x.sums[(e.Position-1)/indexSpan] -= x.sum(e)
				}
				last = e
			})
		}); err != nil {
			return err
		}
	}
	for i, sum := range x.sums {
		if sum == 0 {
			continue
		}
		first := int64(i)*indexSpan + 1
		if err := x.look(ctx, db, first, min(first+indexSpan-1, x.end)); err != nil {
			return err
		}
	}
	return nil
}

// look compares the entries of some records, in one state of the store.
func (x *indexCheck) look(ctx context.Context, db *store.Store, first, last int64) error {
	return db.View(ctx, func(ctx context.Context, r *store.Reader) error {
		there := map[int64][]int64{}
		if err := r.LogEntriesOf(ctx, first, last, func(e store.LogEntry) {
			there[e.Position] = append(there[e.Position], e.Term)
		}); err != nil {
			return err
		}
		return r.Logged(ctx, first-1, int(last-first+1), func(l store.Logged) error {
			terms := []int64{store.GoneTerm}
			if l.Leaf != nil && l.Key != nil {
				record, err := audit.Read(l.Position, l.Leaf, l.Key)
				if err != nil {
					return &audit.Fault{Position: l.Position, What: "cannot be opened: its key or its content was changed"}
				}
				terms = x.terms.Of(record)
			}
			if slices.Sort(there[l.Position]); !slices.Equal(there[l.Position], terms) {
				return &audit.Fault{Position: l.Position, What: "is not found by what it says: the index of the log was changed, or another version of the software has made it"}
			}
			return nil
		})
	})
}

// opened is what the check of a log calls with each record that it could open.
func (x *indexCheck) opened(position int64, r *audit.Record) {
	r.ID = strconv.FormatInt(position, 10)
	x.record(position, r)
}
