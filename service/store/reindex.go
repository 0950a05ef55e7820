package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// indexLease is the name of the lease of who builds the index.
const indexLease = "index"

// What one step of a build reads, and what it writes at once: so many resources, and rows or KiB,
// that other writes wait a few milliseconds.
const (
	indexRead  = 200
	indexBytes = 4 << 20
	indexStep  = 256
)

// KeepIndexed builds what Declare and Reindex ask for, in small steps, until ctx ends. Of all
// processes one does so at a time; another goes on where it was when that one dies. rows are
// those of this process's parameters, as far as a stored resource can have them; the types in
// first come before others.
func (s *Store) KeepIndexed(ctx context.Context, rows Rows, first ...string) {
	for ; ctx.Err() == nil; _ = pause(ctx, s.beat) {
		b, err := s.Backlog(ctx)
		if errors.Is(err, ErrOutdated) {
			return
		}
		if err != nil || !b.any() {
			continue
		}
		turn, done := context.WithCancel(ctx)
		s.Hold(turn, indexLease, func(ctx context.Context, l *Lease) {
			err := (&builder{Lease: l, extract: rows, first: first}).all(ctx)
			if err == nil || errors.Is(err, ErrOutdated) {
				done()
			} else if ctx.Err() == nil {
				s.log.WarnContext(ctx, "indexing stopped, and goes on soon", "error", err)
			}
		})
		done()
	}
}

// Backlog is what of the index is still to be built.
type Backlog struct {
	// Parameters is how many parameters cannot be used in queries yet; facets and components of
	// composites count too.
	Parameters int
	// Types are those whose resources are indexed again, in order of their names.
	Types []TypeBacklog
	// Leftovers tells that rows of former parameters may be left to be removed.
	Leftovers bool
}

// TypeBacklog is how far the resources of one type are indexed again: Done of them are, and the
// share Part of them, 0 to 1, about.
type TypeBacklog struct {
	Type string
	Done int64
	Part float64
}

func (b *Backlog) any() bool { return len(b.Types) > 0 || b.Leftovers }

// Backlog tells what is still to be built. The error is ErrOutdated if another process has begun
// another generation of the index since this one declared its own.
func (s *Store) Backlog(ctx context.Context) (b Backlog, err error) {
	err = s.View(ctx, func(ctx context.Context, r *Reader) error {
		if err := r.sameGeneration(ctx); err != nil {
			return err
		}
		if r.index != nil && len(r.index.pending) > 0 {
			if err := r.refresh(ctx); err != nil {
				return err
			}
			b.Parameters = len(r.index.pending)
		}
		if _, err := r.row(ctx, `SELECT swept < generation FROM indexing`, nil, &b.Leftovers); err != nil {
			return err
		}
		return r.rows(ctx, `SELECT type, after, upto, done FROM reindexing ORDER BY type`, nil, func(scan func(...any) error) error {
			var typ []byte
			var after, upto int64
			var t TypeBacklog
			err := scan(&typ, &after, &upto, &t.Done)
			t.Type, t.Part = string(typ), float64(after)/float64(max(upto, 1))
			b.Types = append(b.Types, t)
			return err
		})
	})
	return b, err
}

// builder builds what is asked for, while it holds the lease.
type builder struct {
	*Lease
	extract Rows
	first   []string
}

// all builds until nothing is left.
func (b *builder) all(ctx context.Context) error {
	for {
		t, err := b.next(ctx)
		if err != nil {
			return err
		}
		if t == nil {
			return b.sweep(ctx)
		}
		began := time.Now()
		n, err := b.walk(ctx, t)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		b.store.log.InfoContext(ctx, "indexed again", "type", t.name, "parameters", len(t.codes), "resources", n, "duration", time.Since(began).Round(time.Millisecond))
	}
}

// typeBuild is what is to be built of a type.
type typeBuild struct {
	name               string
	symbol             int64
	asked, after, upto int64
	// codes are the parameters to build; whole is set where they are all.
	codes map[string]bool
	whole bool
	// old are the symbols of the parameters that may have rows, and words whether one of them has words.
	old   []int64
	words bool
}

// next is the type to go on with, nil if there is none.
func (b *builder) next(ctx context.Context) (t *typeBuild, err error) {
	err = b.store.View(ctx, func(ctx context.Context, r *Reader) error {
		if err := r.sameGeneration(ctx); err != nil {
			return err
		}
		var all []*typeBuild
		if err := r.rows(ctx, `SELECT type, asked, after, upto FROM reindexing`, nil, func(scan func(...any) error) error {
			one := &typeBuild{codes: map[string]bool{}, whole: true}
			var name []byte
			err := scan(&name, &one.asked, &one.after, &one.upto)
			one.name = string(name)
			all = append(all, one)
			return err
		}); err != nil || len(all) == 0 {
			return err
		}
		t = slices.MinFunc(all, b.compare)
		if t.symbol, err = r.symbolOrNone(ctx, t.name); err != nil {
			return err
		}
		if err := r.rows(ctx, `SELECT code, state FROM indexed WHERE type = $1`, []any{[]byte(t.name)}, func(scan func(...any) error) error {
			var code []byte
			var state int64
			err := scan(&code, &state)
			if state == stateBuilt {
				t.whole = false
			} else {
				t.codes[string(code)] = true
			}
			return err
		}); err != nil {
			return err
		}
		for code := range t.codes {
			t.words = t.words || isWords(code)
			symbol, found, err := r.symbol(ctx, t.name+"."+code)
			if err != nil {
				return err
			}
			if found {
				t.old = append(t.old, symbol)
			}
		}
		slices.Sort(t.old)
		return nil
	})
	return t, err
}

// compare orders types: those that come first, then those that were begun, then by name.
func (b *builder) compare(one, other *typeBuild) int {
	rank := func(t *typeBuild) int {
		switch place := slices.Index(b.first, t.name); {
		case place >= 0:
			return place
		case t.after > 0:
			return len(b.first)
		}
		return len(b.first) + 1
	}
	return cmp.Or(cmp.Compare(rank(one), rank(other)), cmp.Compare(one.name, other.name))
}

// found is a resource to be indexed.
type found struct {
	rid, seq int64
	rows     []search.Row
}

// errElsewhere says that a build was asked for anew, and begins again.
var errElsewhere = errors.New("the build begins again")

// walk indexes the resources of a type from where it stopped, and returns how many.
func (b *builder) walk(ctx context.Context, t *typeBuild) (n int64, err error) {
	for {
		batch, last, err := b.read(ctx, t)
		if err != nil {
			return n, err
		}
		for first := 0; ; {
			end := indexEnd(batch, first)
			after := last
			if end < len(batch) {
				after = batch[end-1].rid
			}
			err := b.Write(ctx, func(ctx context.Context, tx *Tx) error { return tx.build(ctx, t, after, batch[first:end]) })
			if errors.Is(err, errElsewhere) {
				return n, nil
			}
			if err != nil {
				return n, err
			}
			b.store.metrics.add(ctx, end-first)
			n, t.after, first = n+int64(end-first), after, end
			if first == len(batch) {
				break
			}
		}
		if last == t.upto {
			return n, nil
		}
	}
}

// indexEnd is where the step that begins at first ends, one resource further at least.
func indexEnd(batch []found, first int) int {
	size, end := 0, first
	for ; end < len(batch); end++ {
		if size += 4 + len(batch[end].rows); size > indexStep && end > first {
			break
		}
	}
	return end
}

// read takes the next resources of a type with the rows that they are to have; last is the rid up
// to which there are no others.
func (b *builder) read(ctx context.Context, t *typeBuild) (batch []found, last int64, err error) {
	var failed error
	last = t.upto
	err = b.store.View(ctx, func(ctx context.Context, r *Reader) error {
		size := 0
		return r.rows(ctx, `SELECT r.rid, r.seq, r.id, r.version, r.updated, v.body FROM resource r CROSS JOIN version v
			WHERE r.type = $1 AND r.deleted = 0 AND r.rid > $2 AND r.rid <= $3 AND v.seq = r.seq ORDER BY r.rid LIMIT $4 + 0`,
			[]any{t.symbol, t.after, t.upto, indexRead}, func(scan func(...any) error) error {
				res := &fhir.Resource{Type: t.name}
				var f found
				var id []byte
				var updated int64
				if err := scan(&f.rid, &f.seq, &id, &res.Version, &updated, &res.Body); err != nil {
					return err
				}
				res.ID, res.LastUpdated = string(id), fromMicros(updated)
				if f.rows, failed = b.extract(res); failed != nil {
					return errEnough
				}
				if !t.whole {
					f.rows = slices.DeleteFunc(f.rows, func(row search.Row) bool { return !t.has(row.Param) })
				}
				batch = append(batch, f)
				if size += len(res.Body); len(batch) == indexRead || size > indexBytes {
					last = f.rid
					return errEnough
				}
				return nil
			})
	})
	return batch, last, errors.Join(err, failed)
}

// has reports whether rows of a parameter are built. Words stand in one place, so all of them are
// where any is.
func (t *typeBuild) has(p *search.Parameter) bool {
	return t.codes[p.Code] || t.words && p.Kind == search.Text
}

// build writes the rows of resources, of those that have not changed since they were read: who
// has changed one has indexed it too. after is the rid up to which all are done then.
func (tx *Tx) build(ctx context.Context, t *typeBuild, after int64, batch []found) error {
	var asked, before int64
	there, err := tx.row(ctx, `SELECT asked, after FROM reindexing WHERE type = $1`, []any{[]byte(t.name)}, &asked, &before)
	if err != nil {
		return err
	}
	if !there || asked != t.asked || before != t.after {
		return errElsewhere
	}
	now := map[int64]int64{}
	if len(batch) > 0 {
		if err := tx.rows(ctx, `SELECT rid, seq FROM resource WHERE type = $1 AND deleted = 0 AND rid >= $2 AND rid <= $3`,
			[]any{t.symbol, batch[0].rid, batch[len(batch)-1].rid}, func(scan func(...any) error) error {
				var rid, seq int64
				err := scan(&rid, &seq)
				now[rid] = seq
				return err
			}); err != nil {
			return err
		}
	}
	for i := range batch {
		f := &batch[i]
		if now[f.rid] != f.seq {
			continue
		}
		if err := tx.unbuild(ctx, t, f.rid); err != nil {
			return err
		}
		if err := tx.index(ctx, f.rid, t.name, f.rows); err != nil {
			return err
		}
	}
	if after < t.upto {
		return tx.exec(ctx, `UPDATE reindexing SET after = $1, done = done + $2 WHERE type = $3`, after, int64(len(batch)), []byte(t.name))
	}
	if err := tx.exec(ctx, `UPDATE indexed SET state = $1 WHERE type = $2`, stateBuilt, []byte(t.name)); err != nil {
		return err
	}
	return tx.exec(ctx, `DELETE FROM reindexing WHERE type = $1`, []byte(t.name))
}

// unbuild removes the rows of a resource that are to be built.
func (tx *Tx) unbuild(ctx context.Context, t *typeBuild, rid int64) error {
	if t.whole {
		return tx.unindex(ctx, rid)
	}
	if len(t.old) > 0 {
		s := &statement{}
		where := " WHERE rid = " + s.arg(rid) + " AND +param IN ("
		for i, param := range t.old {
			if i > 0 {
				where += ", "
			}
			where += s.arg(param)
		}
		for _, table := range tableNames {
			if err := tx.exec(ctx, "DELETE FROM "+table+where+")", s.args...); err != nil {
				return err
			}
		}
	}
	if t.words {
		return tx.exec(ctx, "DELETE FROM index_text WHERE rowid = $1", rid)
	}
	return nil
}
