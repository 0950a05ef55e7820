package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"

	"aftercare/config"
	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service"
	"aftercare/service/audit"
	"aftercare/service/store"
)

const restoreHelp = `A FOLDER that "aftercare export" made is restored as a whole: all versions with their ids, times, order and bytes,
and nothing is derived anew. Every file is checked before anything is written. At the end the database is read back
and compared with the export by count and SHA-256; the exit code is 1 if they differ. The database must be empty, or
hold exactly the beginning of the export; so an interrupted load goes on when it is started again, and a folder that
was exported to again adds what is new. A service that has started on the database has put its own definitions there;
so load first, then start it.`

// A transaction of a restore has this many versions, or bytes, at most; one version may have
// more.
const (
	batchVersions = 500
	batchBytes    = 4 << 20
)

// restore puts an export into the database and verifies that it is there.
func (p *program) restore(ctx context.Context, cfg config.Config, folder string) (err error) {
	m, err := readManifest(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is a folder without %s; give a folder that aftercare export made, or files", folder, manifestName)
	case err != nil:
		return err
	case !m.Complete:
		return fmt.Errorf("%s holds an export that was interrupted; finish it with: aftercare export %s", folder, folder)
	}
	if base := cfg.BaseURLAt(nil); m.BaseURL != base {
		fmt.Fprintf(p.stderr, "the export was made with the FHIR base %s, and now it is %s: absolute links to the old one stay as they are\n", m.BaseURL, base)
	}
	fmt.Fprintf(p.stderr, "checking %d files\n", len(m.Parts))
	if _, err := m.check(ctx, folder); ctx.Err() != nil {
		return errors.New("stopped before anything was loaded; the same command starts again")
	} else if err != nil {
		return err
	}
	known, err := loadDefinitions(cfg)
	if err != nil {
		return err
	}
	registry, err := service.Registry(known)
	if err != nil {
		return err
	}
	db, err := openStore(ctx, cfg, store.Options{Logger: p.logger(cfg)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Declare(ctx, registry.Fingerprints(cfg.Zone, cfg.BaseURLAt(nil)), false); err != nil {
		return err
	}

	log, err := openLog(ctx, cfg, db)
	if err == nil {
		err = log.Note(ctx, recordOf(audit.Imported, "load", "versions", strconv.FormatInt(m.Versions, 10), "sha256", m.SHA256))
	}
	if err := p.unlogged(cfg, err); err != nil {
		return err
	}

	lines := &archiveLines{folder: folder, parts: m.Parts}
	defer lines.close()
	r := &restorer{db: db, manifest: m, lines: lines, registry: registry, cfg: cfg}
	there, err := r.skip(ctx)
	if err == nil {
		r.progress = newProgress(p.stderr, "loaded", min(there.Versions, m.Versions), m.Versions)
		err = r.all(ctx)
	}
	if ctx.Err() != nil {
		return errors.New("stopped; what was loaded is kept, and the same command goes on from there")
	}
	if err != nil {
		return err
	}
	if more := there.Versions - m.Versions; more > 0 {
		fmt.Fprintf(p.stdout, "the database holds all of the export, and %d versions that came later\n", more)
	}
	return p.verify(ctx, db, m)
}

// restorer puts the lines of an archive into a database.
type restorer struct {
	db       *store.Store
	manifest *manifest
	lines    *archiveLines
	registry *search.Registry
	cfg      config.Config
	last     int64 // position of the newest version in the database
	progress *progress
}

// skip passes over the lines that are in the database already. The error says if it holds
// anything else.
func (r *restorer) skip(ctx context.Context) (there store.Extent, err error) {
	if there, err = extent(ctx, r.db, math.MaxInt64); err != nil {
		return there, err
	}
	r.last = there.Last
	n := int64(0)
	err = readBack(ctx, r.db, r.manifest, func(line []byte) error {
		want, err := r.lines.next()
		if err != nil {
			return err
		}
		if n++; !bytes.Equal(line[:len(line)-1], want) {
			return fmt.Errorf("the database holds %d versions of %d resources, and they are not the beginning of the export (the first difference is at %s); load into a new database, before the service has started on it",
				there.Versions, there.Resources, r.lines.place())
		}
		return nil
	})
	return there, err
}

// readBack renders the versions of a database, as many as the manifest counts, as lines of the
// export.
func readBack(ctx context.Context, db *store.Store, m *manifest, each func(line []byte) error) error {
	var line []byte
	var after int64
	for left := m.Versions; left > 0; {
		n := 0
		if err := db.View(ctx, func(ctx context.Context, r *store.Reader) error {
			return r.Versions(ctx, after, int(min(left, page)), func(position int64, e store.HistoryEntry) (err error) {
				if line, err = appendVersion(line[:0], m.BaseURL, e); err != nil {
					return err
				}
				after = position
				n++
				return each(line)
			})
		}); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		left -= int64(n)
	}
	return nil
}

// batch is what one transaction restores.
type batch struct {
	entries []store.HistoryEntry
	rows    [][]search.Row
}

// all restores the lines that are left.
func (r *restorer) all(ctx context.Context) error {
	for {
		b, err := r.batch()
		if err := errors.Join(err, ctx.Err()); err != nil || len(b.entries) == 0 {
			return err
		}
		if err := r.write(ctx, b); err != nil {
			return fmt.Errorf("up to %s: %w", r.lines.place(), err)
		}
	}
}

func (r *restorer) write(ctx context.Context, b batch) error {
	last := r.last
	if err := r.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		now, err := tx.Last(ctx)
		if err == nil && now != r.last {
			err = errors.New("something else writes into the database; stop it, and load into a new database")
		}
		if err != nil {
			return err
		}
		for i, e := range b.entries {
			if last, err = tx.Restore(ctx, e, b.rows[i]); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	r.last = last
	r.progress.add(len(b.entries))
	return nil
}

// batch reads lines for one transaction; there are none at the end. Only the newest version
// that it has of a resource is indexed.
func (r *restorer) batch() (b batch, err error) {
	var nodes []*fhir.Node
	var places []string
	for size := 0; len(b.entries) < batchVersions && size < batchBytes; {
		line, err := r.lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return b, err
		}
		e, n, err := parseVersion(line, r.manifest.BaseURL)
		if err != nil {
			return b, fmt.Errorf("%s: %w", r.lines.place(), err)
		}
		size += len(line)
		b.entries, nodes, places = append(b.entries, e), append(nodes, n), append(places, r.lines.place())
	}
	b.rows = make([][]search.Row, len(b.entries))
	done := map[string]bool{}
	for i, e := range slices.Backward(b.entries) {
		ref := e.Resource.Ref()
		if done[ref] || nodes[i] == nil {
			done[ref] = true
			continue
		}
		done[ref] = true
		if b.rows[i], err = r.registry.Extract(nodes[i], r.cfg.Zone, r.cfg.BaseURLAt(nil)); err != nil {
			return b, fmt.Errorf("%s: %w", places[i], err)
		}
	}
	return b, nil
}

// verify reads the database back and compares it with the export.
func (p *program) verify(ctx context.Context, db *store.Store, m *manifest) error {
	hash, versions := sha256.New(), int64(0)
	progress := newProgress(p.stderr, "verified", 0, m.Versions)
	if err := readBack(ctx, db, m, func(line []byte) error {
		hash.Write(line)
		versions++
		progress.add(1)
		return ctx.Err()
	}); err != nil {
		if ctx.Err() != nil {
			err = errors.New("stopped before all was verified; the same command verifies it")
		}
		return err
	}
	got := hex.EncodeToString(hash.Sum(nil))
	fmt.Fprintf(p.stdout, "in the export:   %d versions, sha256 %s\nin the database: %d versions, sha256 %s\n", m.Versions, m.SHA256, versions, got)
	if versions != m.Versions || got != m.SHA256 {
		return errors.New("the database does not hold what the export holds; load into a new database")
	}
	fmt.Fprintln(p.stdout, "verified: the database holds all of the export, byte for byte")
	return nil
}
