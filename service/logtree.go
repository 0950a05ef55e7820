package service

import (
	"context"
	"errors"
	"fmt"

	"aftercare/fhir"
	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/careplan"
	"aftercare/service/store"
)

// treeBatch is how many records are added to the tree at once.
const treeBatch = 4096

// damage says that the log or its tree is not as the service wrote it, so that the tree does not grow.
type damage struct {
	position int64 // of the first record that is not as it was, 0 where that is not known
	what     string
}

func (d *damage) Error() string {
	if d.position == 0 {
		return "service: the auditor's log was changed: " + d.what
	}
	return fmt.Sprintf("service: the auditor's log was changed: record %d %s", d.position, d.what)
}

// growth is what the tree becomes with the records that are not in it yet.
type growth struct {
	from, size int64
	tiles      []tree.Tile
	note       []byte
}

// integrate brings records into the tree until it has the one at a position, or all that there are now,
// if that is none. It gives the size of the tree. The error is a *damage where the log is not as the
// service wrote it. Several may do it at once, in this process and in others.
func (l *Log) integrate(ctx context.Context, until int64) (size int64, err error) {
	for {
		size, more, err := l.integrateSome(ctx)
		if err != nil || !more || until > 0 && size >= until {
			return size, err
		}
	}
}

func (l *Log) integrateSome(ctx context.Context) (size int64, more bool, err error) {
	var g *growth
	err = l.store.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
		g, more, err = l.grow(ctx, r)
		return err
	})
	if err != nil || g.size == g.from {
		return g.at(), false, err
	}
	err = l.store.WriteLog(ctx, func(ctx context.Context, tx *store.Tx) error {
		newest, err := tx.NewestCheckpoint(ctx)
		if err != nil || newest.Size != g.from {
			return err // another was first; it has done the same
		}
		for _, t := range g.tiles {
			if err := tx.PutLogTile(ctx, t.Level, t.N, len(t.Data)/len(tree.Hash{}), t.Data); err != nil {
				return err
			}
		}
		return tx.PutCheckpoint(ctx, store.LogCheckpoint{Size: g.size, Made: l.now(), Note: g.note})
	})
	return g.size, more, err
}

func (g *growth) at() int64 {
	if g == nil {
		return 0
	}
	return g.size
}

// grow works out what the next records make of the tree, and reports whether there are still more.
func (l *Log) grow(ctx context.Context, r *store.Reader) (g *growth, more bool, err error) {
	c, err := l.newest(ctx, r)
	if err != nil {
		return nil, false, err
	}
	g = &growth{from: c.Size, size: c.Size}
	var leaves []tree.Hash
	position := c.Size
	if err := r.Logged(ctx, c.Size, treeBatch, func(row store.Logged) error {
		position++
		switch {
		case row.Position != position:
			return &damage{position, "is missing"}
		case row.Leaf == nil:
			return &damage{position, "has no content"}
		case !l.sealer.Genuine(position, row.Leaf):
			return &damage{position, "was not written by this service, or not at this place"}
		}
		leaves = append(leaves, tree.LeafHash(row.Leaf))
		return nil
	}); err != nil || len(leaves) == 0 {
		return g, false, asDamage(err)
	}
	root, tiles, err := tree.Grow(c.Size, c.Root, tileSource(ctx, r), leaves)
	if err != nil {
		return nil, false, readingTree(err)
	}
	g.size, g.tiles = position, tiles
	g.note, err = l.key.Sign(g.size, root)
	return g, len(leaves) == treeBatch, err
}

// newest is the newest checkpoint, once it is known to be the log's own; that of an empty tree where there
// is none.
func (l *Log) newest(ctx context.Context, r *store.Reader) (tree.Checkpoint, error) {
	stored, err := r.NewestCheckpoint(ctx)
	if err != nil || stored.Size == 0 {
		return tree.Checkpoint{Origin: l.key.Name()}, err
	}
	c, err := tree.Open(stored.Note, l.key.Verifier())
	if err == nil && c.Size != stored.Size {
		err = errors.New("it is of another size")
	}
	if err != nil {
		return c, &damage{0, fmt.Sprintf("the checkpoint of %d records: %v", stored.Size, err)}
	}
	return c, nil
}

// errNoTile is in the error of a tile that is not there.
var errNoTile = errors.New("a tile is missing")

// tileSource reads tiles from the store.
func tileSource(ctx context.Context, r *store.Reader) tree.Source {
	return func(level int, n int64) ([]byte, error) {
		data, err := r.LogTile(ctx, level, n)
		if err == nil && data == nil {
			err = fmt.Errorf("%w: %d of level %d", errNoTile, n, level)
		}
		return data, err
	}
}

// readingTree is the error of reading hashes: of the store, or else because they are not those of the
// checkpoint.
func readingTree(err error) error {
	var known *fhir.Error
	if errors.As(err, &known) {
		return err
	}
	return &damage{0, err.Error()}
}

// asDamage takes a *damage out of what the store made of it.
func asDamage(err error) error {
	var d *damage
	if errors.As(err, &d) {
		return d
	}
	return err
}

// Verifier is the key by which the log's checkpoints can be verified, "" where it has no tree.
func (l *Log) Verifier() string {
	if l.key == nil {
		return ""
	}
	return l.key.Verifier()
}

// LogPosition is the position in the log of the AuditEvent with an id. The error is NotFound where there
// can be none.
func LogPosition(id string) (int64, error) { return positionOf(id) }

// Site is what all AuditEvents of a service with a public base say of it.
func (l *Log) Site(base string) *audit.Site { return logSite(base) }

// logSite is what all AuditEvents of a service with a public base say of it.
func logSite(base string) *audit.Site {
	return &audit.Site{Base: base, Name: "aftercare", Observer: careplan.Software}
}
