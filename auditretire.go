package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aftercare/config"
	"aftercare/service"
	"aftercare/service/audit"
	"aftercare/service/store"

	"github.com/spf13/cobra"
)

// retirement is what "audit retire" was asked for.
type retirement struct{ before, out, reason string }

func (p *program) auditRetireCommand() *cobra.Command {
	var x retirement
	c := &cobra.Command{
		Use: "retire --before TIME --out FILE --reason TEXT", Short: "move the records of an earlier time to a file", Args: cobra.NoArgs,
		Long: `Writes the records before a time that were not retired yet to a file, as "aftercare audit export" does, checks the file,
and then takes the keys of these records away, so that nobody can read them in the database any more. They still
count: the log is verified as before, and "aftercare audit verify --file" checks the file against it. That it was done,
with the SHA-256 of the file and the reason, is in the log. Started again after an interruption, it goes on with a
new file; keep the first one too.`,
		RunE: p.run(func(ctx context.Context, cfg config.Config, _ []string) error { return p.retireAudit(ctx, cfg, x) }),
	}
	c.Flags().StringVar(&x.before, "before", "", "`TIME` before which records are retired, such as 2024-01-01")
	c.Flags().StringVar(&x.out, "out", "", "`FILE` to write, which must not be there yet")
	c.Flags().StringVar(&x.reason, "reason", "", "why, as `TEXT` that names nobody")
	return c
}

func (p *program) retireAudit(ctx context.Context, cfg config.Config, x retirement) error {
	x.reason = strings.TrimSpace(x.reason)
	before, err := timeOf("--before", x.before, cfg.Zone)
	switch {
	case err != nil:
		return err
	case before.IsZero():
		return misused("--before: say which records")
	case before.After(time.Now()):
		return misused("--before: is yet to come")
	case x.out == "":
		return misused("--out: give the file to write")
	case x.reason == "":
		return misused("--reason: say why")
	}
	return p.withStore(ctx, cfg, func(db *store.Store) error {
		log, err := p.usedLog(ctx, cfg, db, "audit retire", "", "before", x.before)
		if err != nil {
			return err
		}
		g, err := p.writeSegment(ctx, cfg, log, x.out, before)
		if err != nil || g.Last == 0 {
			return err
		}
		own := cfg
		own.Keys = keysFolder(cfg) // the file is of this service
		if err := p.verifyFile(ctx, own, verification{file: x.out, key: log.Verifier()}, nil); err != nil {
			return err
		}
		told := newProgress(p.stderr, "retired", 0, 0)
		told.noun = "records"
		if err := log.Retire(ctx, g, x.reason, recordOf(audit.LogErased, "audit retire"), told.reach); err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "records %d to %d were retired to %s\nsha256 %s\n", g.First, g.Last, x.out, hex.EncodeToString(g.SHA256))
		return err
	})
}

// writeSegment writes the records before a time that were not retired yet. Last is 0 where there are none.
func (p *program) writeSegment(ctx context.Context, cfg config.Config, log *service.Log, name string, before time.Time) (g store.LogSegment, err error) {
	retired, err := log.Retired(ctx)
	if err != nil {
		return g, err
	}
	g = store.LogSegment{First: retired + 1, Sealed: time.Now(), Name: filepath.Base(name)}
	out, done, err := p.output(name)
	if err != nil {
		return g, err
	}
	none := errors.New("no record of before " + before.Format(time.RFC3339) + " is left to retire")
	err = func() error {
		w := &auditWriter{out: json.NewEncoder(out), filter: fmt.Sprintf("after record %d, before %s", retired, before.Format(time.RFC3339)), site: log.Site(cfg.BaseURLAt(nil)), verifier: log.Verifier()}
		w.out.SetEscapeHTML(false)
		told := newProgress(p.stderr, "exported", 0, 0)
		told.noun = "records"
		record := func(proof service.LogProof, r *audit.Record) error {
			g.Last = proof.Row.Position
			return w.record(proof, r)
		}
		if err := log.Export(ctx, service.LogExport{After: retired, To: before, Start: w.start, Record: record, Progress: told.reach}); err != nil {
			return err
		}
		if g.Last == 0 {
			return none
		}
		if n := g.Last - retired; n != w.records {
			return fmt.Errorf("of %d records, %d are there; see aftercare audit verify", n, w.records)
		}
		return w.out.Encode(audit.Line{End: &w.records})
	}()
	if err := errors.Join(err, done(err)); err != nil {
		return g, err
	}
	file, err := os.Open(name)
	if err != nil {
		return g, err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return g, err
	}
	g.SHA256 = hash.Sum(nil)
	return g, nil
}
