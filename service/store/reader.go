package store

import (
	"cmp"
	"context"
	"errors"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Reader reads from one state of the database.
type Reader struct {
	store *Store
	conn  *conn
	// index is what was known of the index before this state was, and generation the one that it
	// has in this state, or unasked.
	index      *indexState
	generation int64
	writes     bool        // whether it is that of a Tx
	used       [][2]string // the parameters that were asked by, by type and code
	only       *restriction
}

// View runs fn on one state of the database: what others write meanwhile is not seen. fn's
// error comes back as it is. r is good only until fn returns.
func (s *Store) View(ctx context.Context, fn func(ctx context.Context, r *Reader) error) error {
	c, err := s.borrow(ctx)
	if err != nil {
		return err
	}
	defer s.giveBack(ctx, c)
	r := &Reader{store: s, conn: c, index: s.index.Load(), generation: unasked}
	if _, err := c.begin(ctx); err != nil {
		return r.fail(ctx, err)
	}
	return fn(ctx, r)
}

// Committed reports whether all that it reads is stored for good. What a write reads may not be.
func (r *Reader) Committed() bool { return !r.writes }

func (s *Store) borrow(ctx context.Context) (*conn, error) {
	select {
	case <-s.closed:
		return nil, errClosed()
	default:
	}
	select {
	case c := <-s.idle:
		if c.open() {
			return c, nil
		}
		session, err := s.engine.connect(ctx, false)
		if err != nil {
			s.idle <- c
			return nil, s.failed(ctx, err)
		}
		return &conn{session: session}, nil
	case <-s.closed:
		return nil, errClosed()
	case <-ctx.Done():
		return nil, gaveUp(ctx)
	}
}

// giveBack ends the view's transaction. A connection that cannot do that is closed, and made
// anew when it is next needed.
func (s *Store) giveBack(ctx context.Context, c *conn) {
	ctx = context.WithoutCancel(ctx)
	end := func() {
		if err := c.rollback(ctx); err != nil {
			s.log.WarnContext(ctx, "a reading connection is replaced", "error", errors.Join(err, c.close(ctx)))
		}
		s.idle <- c
	}
	if s.engine.distant() {
		go end() // nobody needs to wait for it
	} else {
		end()
	}
}

func (r *Reader) exec(ctx context.Context, text string, args ...any) error {
	return r.fail(ctx, r.conn.exec(ctx, text, args...))
}

func (r *Reader) row(ctx context.Context, text string, args []any, dest ...any) (bool, error) {
	found, err := r.conn.row(ctx, text, args, dest...)
	return found, r.fail(ctx, err)
}

// rows calls each for every row, or until it says errEnough.
func (r *Reader) rows(ctx context.Context, text string, args []any, each func(scan func(...any) error) error) error {
	err := r.conn.rows(ctx, text, args, each)
	if errors.Is(err, errEnough) {
		return nil
	}
	return r.fail(ctx, err)
}

// errEnough ends the reading of rows without an error.
var errEnough = errors.New("no more rows are needed")

// PageBytes is how large the resources of a page of a search or a history are together, in
// bytes, when no further one is added: a page may have fewer than was asked for
// (https://hl7.org/fhir/R4/search.html#count). One resource it has at least.
const PageBytes = 4 << 20

// pageSize counts towards the end of a page.
type pageSize struct{ count, bytes int }

// full reports whether a page of at most count has all that it gets.
func (p *pageSize) full(count int) bool { return p.count == count || p.bytes >= PageBytes }

func (p *pageSize) add(r *fhir.Resource) {
	p.count++
	p.bytes += len(r.Body)
}

func (r *Reader) fail(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	r.conn.broken = r.store.failed(ctx, err)
	return r.conn.broken
}

// failed turns what the engine says into the vocabulary of fhir.Error.
func (s *Store) failed(ctx context.Context, err error) error {
	var known *fhir.Error
	if errors.As(err, &known) {
		return err
	}
	if ctx.Err() != nil {
		return fhir.Errorf(fhir.Unavailable, "timeout", "", "The request ended before the database answered.").Because(err)
	}
	if known = s.engine.failure(err); known != nil {
		return known
	}
	return fhir.Errorf(fhir.Internal, "exception", "", "The database failed.").Because(err)
}

// Get returns the newest version of a resource; Deleted is set where that is a deletion. The
// error is NotFound if the id was never used.
func (r *Reader) Get(ctx context.Context, typ, id string) (*fhir.Resource, error) {
	res, err := r.get(ctx, typ, `SELECT v.version, v.updated, v.body, r.rid
		FROM resource r CROSS JOIN version v
		WHERE r.type = $1 AND r.id = $2 AND v.seq = r.seq`, id)
	if err == nil && res == nil {
		err = errNotFound(typ)
	}
	return res, err
}

// get returns a version of a resource, nil if there is none that is to be seen. text reads it
// from the tables resource r and version v; its arguments are the type's symbol, the id and more.
func (r *Reader) get(ctx context.Context, typ, text, id string, more ...any) (*fhir.Resource, error) {
	symbol, found, err := r.symbol(ctx, typ)
	if err != nil || !found {
		return nil, err
	}
	s := &statement{args: append([]any{symbol, []byte(id)}, more...)}
	part := r.partOf(typ)
	few, many := split(part)
	if !part.All() {
		if err := r.expectIndex(ctx); err != nil {
			return nil, err
		}
		clauses, err := r.made(ctx, few)
		if err != nil || part.None {
			return nil, err
		}
		text += " AND r.deleted = 0"
		if len(clauses) > 0 {
			text += " AND " + allHold(s, clauses, "r.rid")
		}
	}
	res := &fhir.Resource{Type: typ, ID: id}
	var rid, updated int64
	if found, err = r.row(ctx, text, s.args, &res.Version, &updated, &res.Body, &rid); err != nil {
		return nil, err
	}
	if found && len(many) > 0 {
		if found, err = r.holdMany(ctx, many, rid, id); err != nil {
			return nil, err
		}
	}
	if !part.All() {
		if err := r.currentIndex(ctx); err != nil {
			return nil, err
		}
	}
	if !found {
		return nil, nil
	}
	res.LastUpdated = fromMicros(updated)
	res.Deleted = res.Body == nil
	return res, nil
}

// Known reports whether the id was ever used for a resource of the type.
func (r *Reader) Known(ctx context.Context, typ, id string) (bool, error) {
	symbol, found, err := r.symbol(ctx, typ)
	if err != nil || !found {
		return false, err
	}
	var rid int64
	return r.row(ctx, `SELECT rid FROM resource WHERE type = $1 AND id = $2`, []any{symbol, []byte(id)}, &rid)
}

// Named reports whether a resource that exists refers to typ/id under one of the parameters,
// which are of kind Reference.
func (r *Reader) Named(ctx context.Context, params []*search.Parameter, typ, id string) (bool, error) {
	if err := r.expectIndex(ctx); err != nil {
		return false, err
	}
	s := &statement{}
	symbol, err := r.symbolOrNone(ctx, typ)
	if err != nil {
		return false, err
	}
	where := "x.target = " + s.arg(key(id)) + " AND x.type = " + s.arg(symbol) + " AND x.param IN (0"
	for _, p := range params {
		param, known, err := r.param(ctx, p.Type, p.Code)
		if err != nil {
			return false, err
		}
		if known {
			where += ", " + s.arg(param)
		}
	}
	var rid int64
	found, err := r.row(ctx, "SELECT x.rid FROM index_reference x WHERE "+where+") AND +x.rid"+beforeHorizon+" LIMIT 1", s.args, &rid)
	return found, cmp.Or(err, r.currentIndex(ctx))
}

// Version returns one version of a resource (https://hl7.org/fhir/R4/http.html#vread); Deleted
// is set where that is a deletion. The error is NotFound if there is no such version.
func (r *Reader) Version(ctx context.Context, typ, id string, version int64) (*fhir.Resource, error) {
	const text = `SELECT v.version, v.updated, v.body, r.rid
		FROM resource r CROSS JOIN version v
		WHERE r.type = $1 AND r.id = $2 AND v.rid = r.rid AND v.version = $3`
	res, err := r.get(ctx, typ, text, id, version)
	if err != nil {
		return nil, err
	}
	if res != nil {
		was := res
		if res.Deleted && r.only != nil {
			before, err := r.get(ctx, typ, text, id, version-1)
			if err != nil {
				return nil, err
			}
			if before != nil {
				was = whatWas(res, before.Body)
			}
		}
		seen, err := r.sees(was)
		switch {
		case err != nil:
			return nil, err
		case seen:
			return res, nil
		}
	}
	return nil, fhir.Errorf(fhir.NotFound, "not-found", "", "There is no such version of this %s.", typ)
}

func fromMicros(t int64) time.Time { return time.UnixMicro(t).UTC() }

func errNotFound(typ string) error {
	return fhir.Errorf(fhir.NotFound, "not-found", "", "There is no %s with this id.", typ)
}
