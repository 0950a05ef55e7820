package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"aftercare/fhir"
)

// Index rows rest on more than the resource: on the definition of the parameter, and on settings
// of the site. A fingerprint per parameter stands for all of that (search.Registry.Fingerprints),
// and the database keeps those that its rows were made with. A set of fingerprints is a generation.
//
// A process declares its own at its start. Where they are others, it begins a generation. From
// then on no process of an earlier one writes, for its resources would lack rows, and it searches
// by what has not changed alone. What is new or different is built in the background (KeepIndexed),
// and cannot be asked for until then.

// ErrOutdated says that another process has declared other search parameters, or other settings
// that the index rests on. This one has to be started again.
var ErrOutdated = errors.New("the index is of another generation")

// errOtherIndex is what Declare says where it may not begin a generation.
var errOtherIndex = errors.New("the database is indexed for other search parameters, another time zone or another base URL than those of this program and its settings (AFTERCARE_DEFINITIONS, AFTERCARE_TIMEZONE, AFTERCARE_BASE_URL); give it the settings of the service, or run aftercare reindex first")

// indexState is what a process knows of the index. It is never changed.
type indexState struct {
	generation   int64
	fingerprints map[string]map[string]string // by type and code
	// pending are the parameters, by type and code, that lacked rows. A process learns later
	// than it happens that one is built, never earlier.
	pending map[[2]string]bool
}

// The states of a parameter.
const (
	stateMissing int64 = iota // rows are missing, or old
	stateBuilt
	stateAgain // built, and to be built again
)

// unasked is the generation of a state that was not asked for it.
const unasked = -1

// selectGeneration is the query for the generation.
const selectGeneration = `SELECT generation FROM indexing`

// Declare says what the rows rest on that this process writes: a fingerprint by the type and code
// of each parameter, facets and components of composites too. Rows are to be written after it
// alone. If the database has other fingerprints it begins a generation, or fails if begin is not
// set, unless the database has none at all.
func (s *Store) Declare(ctx context.Context, fingerprints map[string]map[string]string, begin bool) error {
	var declared *indexState
	if err := s.write(ctx, &write{any: true, fn: func(ctx context.Context, tx *Tx) error {
		d := declaration{Tx: tx, types: map[string]bool{}}
		if err := d.compare(ctx, fingerprints); err != nil {
			return err
		}
		generation := tx.next.generation
		if len(d.changed)+len(d.gone) > 0 {
			if !begin && generation > 0 {
				return errOtherIndex
			}
			generation++
			if err := d.begin(ctx, fingerprints); err != nil {
				return err
			}
		}
		pending, err := tx.pending(ctx)
		declared = &indexState{generation, fingerprints, pending}
		return err
	}}); err != nil {
		return err
	}
	s.index.Store(declared)
	if n := len(declared.pending); n > 0 {
		s.log.InfoContext(ctx, "search parameters are to be indexed; queries that need them are answered with 503 until then", "parameters", n)
	}
	return nil
}

// declaration compares fingerprints with those in the database.
type declaration struct {
	*Tx
	none          bool        // whether nothing was declared before
	changed, gone [][2]string // those that are new or different, and those that are left over
	types         map[string]bool
}

func (d *declaration) compare(ctx context.Context, fingerprints map[string]map[string]string) error {
	same := map[[2]string]bool{}
	d.none = true
	if err := d.rows(ctx, `SELECT type, code, fingerprint FROM indexed ORDER BY type, code`, nil, func(scan func(...any) error) error {
		var typ, code, stored []byte
		err := scan(&typ, &code, &stored)
		name := [2]string{string(typ), string(code)}
		d.none = false
		switch now, declared := fingerprints[name[0]][name[1]]; {
		case !declared:
			d.gone = append(d.gone, name)
		case now == string(stored):
			same[name] = true
		}
		return err
	}); err != nil {
		return err
	}
	for typ, codes := range fingerprints {
		for code := range codes {
			if name := [2]string{typ, code}; !same[name] {
				d.changed = append(d.changed, name)
			}
		}
	}
	slices.SortFunc(d.changed, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	return nil
}

var intoIndexed = insertInto("indexed", "type bytea, code bytea, fingerprint bytea, state bigint",
	"ON CONFLICT (type, code) DO UPDATE SET fingerprint = excluded.fingerprint, state = excluded.state")

// begin writes the new fingerprints down, and what is to be built for them.
func (d *declaration) begin(ctx context.Context, fingerprints map[string]map[string]string) error {
	filled, err := d.filled(ctx)
	if err != nil {
		return err
	}
	for _, name := range d.changed {
		state := stateBuilt
		if filled[name[0]] {
			state = stateMissing
			d.types[name[0]] = true
		}
		if err := d.insert(ctx, intoIndexed, []byte(name[0]), []byte(name[1]), []byte(fingerprints[name[0]][name[1]]), state); err != nil {
			return err
		}
	}
	for _, name := range d.gone {
		if err := d.exec(ctx, `DELETE FROM indexed WHERE type = $1 AND code = $2`, []byte(name[0]), []byte(name[1])); err != nil {
			return err
		}
		// Words of a resource stand in one place. So where a parameter for them is gone, the
		// resource is indexed as a whole.
		if isWords(name[1]) && filled[name[0]] && fingerprints[name[0]] != nil {
			if err := d.again(ctx, name[0]); err != nil {
				return err
			}
			d.types[name[0]] = true
		}
	}
	for typ := range d.types {
		if err := d.reindex(ctx, typ); err != nil {
			return err
		}
	}
	swept := `swept`
	if d.none && len(filled) == 0 {
		swept = `generation + 1` // there are no rows at all
	}
	return d.exec(ctx, `UPDATE indexing SET generation = generation + 1, swept = `+swept)
}

// filled are the types with parameters to look after that have resources.
func (d *declaration) filled(ctx context.Context) (map[string]bool, error) {
	var types []string
	for _, name := range append(d.changed[:len(d.changed):len(d.changed)], d.gone...) {
		types = append(types, name[0])
	}
	slices.Sort(types)
	filled := map[string]bool{}
	s := &statement{}
	err := d.rows(ctx, "SELECT t.text FROM symbol t WHERE "+inList(s, "t.text", slices.Compact(types))+
		" AND EXISTS (SELECT 1 FROM resource r WHERE r.type = t.id AND r.deleted = 0"+fence+")", s.args, func(scan func(...any) error) error {
		var typ []byte
		err := scan(&typ)
		filled[string(typ)] = true
		return err
	})
	return filled, err
}

// isWords tells the parameters whose rows are words (see fullText).
func isWords(code string) bool { return code == "_text" || code == "_content" }

// again asks for all rows of a type to be made once more.
func (tx *Tx) again(ctx context.Context, typ string) error {
	return tx.exec(ctx, `UPDATE indexed SET state = $1 WHERE type = $2 AND state = $3`, stateAgain, []byte(typ), stateBuilt)
}

// reindex has the resources of a type indexed from the first one on.
func (tx *Tx) reindex(ctx context.Context, typ string) error {
	return tx.exec(ctx, `INSERT INTO reindexing (type, asked, after, upto, done) VALUES ($1, 1, 0, $2, 0)
		ON CONFLICT (type) DO UPDATE SET asked = reindexing.asked + 1, after = 0, upto = excluded.upto, done = 0`, []byte(typ), tx.next.rid)
}

// Reindex asks for all rows of the types, or of all types if none is named, to be made again.
// Searches go on meanwhile. KeepIndexed does it, here or in another process. The error is
// BadRequest for a type that no parameter was declared of.
func (s *Store) Reindex(ctx context.Context, types ...string) error {
	return s.Write(ctx, func(ctx context.Context, tx *Tx) error {
		known := map[string]bool{}
		if err := tx.rows(ctx, `SELECT DISTINCT type FROM indexed`, nil, func(scan func(...any) error) error {
			var typ []byte
			err := scan(&typ)
			known[string(typ)] = true
			return err
		}); err != nil {
			return err
		}
		if len(types) == 0 {
			for typ := range known {
				types = append(types, typ)
			}
			slices.Sort(types)
		}
		for _, typ := range types {
			if !known[typ] {
				return fhir.Errorf(fhir.BadRequest, "value", "", "%s is no type that has search parameters.", typ)
			}
			if err := errors.Join(tx.again(ctx, typ), tx.reindex(ctx, typ)); err != nil {
				return err
			}
		}
		return nil
	})
}

// pending are the parameters that lack rows.
func (r *Reader) pending(ctx context.Context) (map[[2]string]bool, error) {
	pending := map[[2]string]bool{}
	err := r.rows(ctx, `SELECT type, code FROM indexed WHERE state = $1`, []any{stateMissing}, func(scan func(...any) error) error {
		var typ, code []byte
		err := scan(&typ, &code)
		pending[[2]string{string(typ), string(code)}] = true
		return err
	})
	return pending, err
}

// refresh learns what is built by now.
func (r *Reader) refresh(ctx context.Context) error {
	pending, err := r.pending(ctx)
	if err != nil {
		return err
	}
	now := &indexState{r.index.generation, r.index.fingerprints, pending}
	if !r.writes { // what a write sees may not get stored
		r.store.index.CompareAndSwap(r.index, now)
	}
	r.index = now
	return nil
}

// param is symbol for a parameter. The error is Unavailable if it lacks rows.
func (r *Reader) param(ctx context.Context, typ, code string) (id int64, found bool, err error) {
	if err := r.hasRows(ctx, typ, code); err != nil {
		return 0, false, err
	}
	return r.symbol(ctx, typ+"."+code)
}

// hasRows is Unavailable for a parameter that lacks rows.
func (r *Reader) hasRows(ctx context.Context, typ, code string) error {
	name := [2]string{typ, code}
	if r.index != nil && !r.writes {
		r.used = append(r.used, name)
	}
	if r.index != nil && r.index.pending[name] {
		if err := r.refresh(ctx); err != nil {
			return err
		}
		if r.index.pending[name] {
			return fhir.Errorf(fhir.Unavailable, "transient", "", "The search parameter %s of %s is being indexed, and cannot be used yet; try again later.", code, typ)
		}
	}
	return nil
}

// expectIndex asks for the generation of the index, without waiting for it. currentIndex tells at
// the end whether the parameters that were used mean the rows that this process knows.
func (r *Reader) expectIndex(ctx context.Context) error {
	if r.index == nil || r.generation != unasked {
		return nil
	}
	return r.fail(ctx, r.conn.later(ctx, selectGeneration, r.scanGeneration))
}

func (r *Reader) scanGeneration(scan func(...any) error) error { return scan(&r.generation) }

func (r *Reader) currentIndex(ctx context.Context) error {
	outdated := r.sameGeneration(ctx)
	if !errors.Is(outdated, ErrOutdated) {
		return outdated
	}
	for _, name := range r.used {
		print, declared := r.index.fingerprints[name[0]][name[1]]
		if !declared {
			continue // it has no rows, as _id
		}
		var now []byte
		var state int64
		found, err := r.row(ctx, `SELECT fingerprint, state FROM indexed WHERE type = $1 AND code = $2`, []any{[]byte(name[0]), []byte(name[1])}, &now, &state)
		if err != nil {
			return err
		}
		if !found || string(now) != print || state == stateMissing {
			return outdated
		}
	}
	return nil
}

// sameGeneration is ErrOutdated if the index is not of the generation of this process.
func (r *Reader) sameGeneration(ctx context.Context) error {
	if r.index == nil {
		return nil
	}
	if r.generation == unasked { // nothing else had to be asked
		if err := r.rows(ctx, selectGeneration, nil, r.scanGeneration); err != nil {
			return err
		}
	}
	return r.store.outdated(r.index, r.generation)
}

// outdated is ErrOutdated, Unavailable, if the database has another generation of the index.
func (s *Store) outdated(known *indexState, generation int64) error {
	if known == nil || known.generation == generation {
		return nil
	}
	return fhir.Errorf(fhir.Unavailable, "transient", "", "Another version of the service, or one with other settings, has taken over the database; this one is being replaced. Try again later.").
		Because(fmt.Errorf("%w: %d here, %d in the database", ErrOutdated, known.generation, generation))
}
