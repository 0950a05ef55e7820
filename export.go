package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"aftercare/config"
	"aftercare/service/audit"
	"aftercare/service/store"
)

const exportHelp = `Writes everything that the database holds into FOLDER: every version of every resource, deletions too, in the
order of commits. "aftercare load FOLDER" puts it into another database, byte for byte, and verifies it.

The service may go on running. What is written is the state at the start of the export; start it again with the
same FOLDER to add what was written since, or to go on after an interruption of any kind.

FOLDER is made, or is empty, or holds an export of the same database. It gets files of lines, each line an entry as
a FHIR history Bundle has it, and manifest.json with the number of versions and the SHA-256 of each file and of all.
The links in it begin with AFTERCARE_BASE_URL, which should be set as for the service.
It holds patients' records and is made for its owner alone.`

// page is how many versions are read from one state of the database. A state that is read for
// long keeps the database from tidying up.
const page = 1000

// export writes the database's versions into a folder, in parts of at most partSize bytes.
func (p *program) export(ctx context.Context, cfg config.Config, folder string, partSize int64) (err error) {
	if path, ok := strings.CutPrefix(cfg.Database, "sqlite:"); ok {
		if _, err := os.Stat(path); err != nil { // opening it would make it
			return fmt.Errorf("AFTERCARE_DATABASE: %w", err)
		}
	}
	db, err := openStore(ctx, cfg, store.Options{Logger: p.logger(cfg)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	there, err := extent(ctx, db, math.MaxInt64)
	if err != nil {
		return err
	}
	if there.Versions == 0 {
		return errors.New("the database is empty; nothing was written")
	}

	x, err := openArchive(ctx, folder, cfg.BaseURLAt(nil))
	if err == nil {
		err = x.sameDatabase(ctx, db)
	}
	if ctx.Err() != nil {
		return errors.New("stopped before anything was added; the same command starts again")
	}
	if err != nil {
		return err
	}
	// The log has it before the first byte leaves.
	log, err := openLog(ctx, cfg, db)
	if err == nil {
		err = log.Note(ctx, recordOf(audit.Exported, "export", "versions", strconv.FormatInt(there.Versions, 10), "from", strconv.FormatInt(x.manifest.Versions, 10)))
	}
	if err := p.unlogged(cfg, err); err != nil {
		return err
	}
	x.partSize = partSize
	before := x.manifest.Versions
	x.progress = newProgress(p.stderr, "exported", before, there.Versions)
	err = x.copy(ctx, db, there.Last)
	if ctx.Err() != nil {
		return fmt.Errorf("stopped; %s has %d of %d versions, and the same command goes on from there", folder, x.manifest.Versions, there.Versions)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s: %d versions of %d resources, %d of them new, in %d files\nsha256 %s\n",
		folder, x.manifest.Versions, there.Resources, x.manifest.Versions-before, len(x.manifest.Parts), x.manifest.SHA256)
	return nil
}

func extent(ctx context.Context, db *store.Store, upTo int64) (e store.Extent, err error) {
	err = db.View(ctx, func(ctx context.Context, r *store.Reader) error {
		e, err = r.Extent(ctx, upTo)
		return err
	})
	return e, err
}

// sameDatabase refuses to add to the export of another database, or of the same one if it was
// replaced by an older copy.
func (x *archiveWriter) sameDatabase(ctx context.Context, db *store.Store) error {
	if len(x.manifest.Parts) == 0 {
		return nil
	}
	newest := x.manifest.Parts[len(x.manifest.Parts)-1]
	lines := &archiveLines{folder: x.folder, parts: []part{newest}}
	var want []byte
	for range newest.Versions {
		var err error
		if want, err = lines.next(); err != nil {
			return errors.Join(err, lines.close())
		}
	}
	if err := lines.close(); err != nil {
		return err
	}
	var got []byte
	err := db.View(ctx, func(ctx context.Context, r *store.Reader) error {
		return r.Versions(ctx, newest.Last-1, 1, func(_ int64, e store.HistoryEntry) (err error) {
			got, err = appendVersion(nil, x.manifest.BaseURL, e)
			return err
		})
	})
	if err != nil {
		return err
	}
	if !bytes.Equal(got, append(want, '\n')) {
		return fmt.Errorf("%s holds the export of another database, or of this one before it was replaced; use a new folder", x.folder)
	}
	return nil
}

// copy adds the versions up to a position. However it ends, the archive holds what was written
// whole.
func (x *archiveWriter) copy(ctx context.Context, db *store.Store, until int64) (err error) {
	defer func() { err = errors.Join(err, x.discard()) }()
	var line []byte
	errReached := errors.New("all is copied")
	for after := x.manifest.last(); after < until && err == nil; {
		read := 0
		err = db.View(ctx, func(ctx context.Context, r *store.Reader) error {
			return r.Versions(ctx, after, page, func(position int64, e store.HistoryEntry) (err error) {
				if position > until {
					return errReached
				}
				if line, err = appendVersion(line[:0], x.manifest.BaseURL, e); err != nil {
					return err
				}
				read++
				after = position
				return x.add(position, line)
			})
		})
		if err == nil && read == 0 {
			err = errReached
		}
	}
	interrupted := ctx.Err() != nil
	if err != nil && !errors.Is(err, errReached) && !interrupted {
		return err
	}
	if x.open != nil {
		if err := x.finish(); err != nil {
			return err
		}
	}
	if interrupted {
		return ctx.Err()
	}
	there, err := extent(ctx, db, until)
	if err != nil {
		return err
	}
	if there.Versions != x.manifest.Versions {
		return fmt.Errorf("the database holds %d versions and %s has %d; export into a new folder", there.Versions, x.folder, x.manifest.Versions)
	}
	if x.manifest.Complete {
		return nil
	}
	return x.save(true)
}
