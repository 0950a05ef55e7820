package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// LogEntry is an entry of the index of the log: a record, by its position, has a term.
type LogEntry struct{ Term, Position int64 }

var intoLogTerm = insertInto("log_term", "term bigint, pos bigint", "")

// insertEntries adds entriesAtOnce of them: one statement for each would take most of the time.
const entriesAtOnce = 100

var insertEntries = "INSERT INTO log_term (term, pos) VALUES " + func() string {
	rows := make([]string, entriesAtOnce)
	for i := range rows {
		rows[i] = fmt.Sprintf("($%d, $%d)", 2*i+1, 2*i+2)
	}
	return strings.Join(rows, ", ")
}()

// IndexedLog is the position up to which the index of the log goes.
func (r *Reader) IndexedLog(ctx context.Context) (position int64, err error) {
	_, err = r.row(ctx, "SELECT pos FROM log_indexed", nil, &position)
	return position, err
}

// IndexLog adds the entries of the records from the one after a position to another one. It does nothing
// if the index does not end at the first position: somebody else has gone on with it. A record that was
// erased, since its entries were made or before, has GoneTerm alone.
func (tx *Tx) IndexLog(ctx context.Context, after, to int64, entries []LogEntry) error {
	if indexed, err := tx.IndexedLog(ctx); err != nil || indexed != after {
		return err
	}
	erased := map[int64]bool{}
	if err := tx.rows(ctx, "SELECT pos FROM log WHERE pos > $1 AND pos <= $2 AND key IS NULL", []any{after, to}, func(scan func(...any) error) error {
		var position int64
		err := scan(&position)
		erased[position] = true
		return err
	}); err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e LogEntry) bool { return erased[e.Position] })
	for position := range erased {
		entries = append(entries, LogEntry{GoneTerm, position})
	}
	// In the order of the table, so that what lies together is written together.
	slices.SortFunc(entries, func(a, b LogEntry) int {
		return cmp.Or(cmp.Compare(a.Term, b.Term), cmp.Compare(a.Position, b.Position))
	})
	for len(entries) >= entriesAtOnce {
		args := make([]any, 0, 2*entriesAtOnce)
		for _, e := range entries[:entriesAtOnce] {
			args = append(args, e.Term, e.Position)
		}
		if err := tx.exec(ctx, insertEntries, args...); err != nil {
			return err
		}
		entries = entries[entriesAtOnce:]
	}
	for _, e := range entries {
		if err := tx.insert(ctx, intoLogTerm, e.Term, e.Position); err != nil {
			return err
		}
	}
	return tx.exec(ctx, "UPDATE log_indexed SET pos = $1", to)
}

// LogEntries calls each with the entries of the index of the log after one, or from the first one on, n of
// them at most, in order.
func (r *Reader) LogEntries(ctx context.Context, after LogEntry, first bool, n int, each func(LogEntry)) error {
	s := &statement{}
	text := "SELECT term, pos FROM log_term"
	if !first {
		text += " WHERE (term, pos) > (" + s.arg(after.Term) + ", " + s.arg(after.Position) + ")"
	}
	return r.logEntries(ctx, text+" ORDER BY term, pos LIMIT "+s.limit(n), s.args, each)
}

// LogEntriesOf calls each with the entries of the records from one position to another. It reads all of the
// index.
func (r *Reader) LogEntriesOf(ctx context.Context, first, last int64, each func(LogEntry)) error {
	return r.logEntries(ctx, "SELECT term, pos FROM log_term WHERE pos BETWEEN $1 AND $2", []any{first, last}, each)
}

func (r *Reader) logEntries(ctx context.Context, text string, args []any, each func(LogEntry)) error {
	return r.rows(ctx, text, args, func(scan func(...any) error) error {
		var e LogEntry
		err := scan(&e.Term, &e.Position)
		each(e)
		return err
	})
}
