package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"aftercare/config"
	"aftercare/service"
	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/store"
)

// verification is what "audit verify" was asked for.
type verification struct {
	file, key string
	kept      []string
}

// verifyAudit checks a log, and prints what was found.
func (p *program) verifyAudit(ctx context.Context, cfg config.Config, v verification) error {
	var kept [][]byte
	for _, name := range v.kept {
		signed, err := readNote(name)
		if err != nil {
			return err
		}
		kept = append(kept, signed)
	}
	if v.file != "" {
		return p.verifyFile(ctx, cfg, v, kept)
	}
	verifier, err := verifierOf(v.key, cfg)
	if err != nil {
		return err
	}
	if verifier == "" {
		return errors.New("the key of the checkpoints is not known: give --key, or AFTERCARE_KEYS")
	}
	sealer, err := sealerOf(cfg)
	if err != nil {
		return err
	}
	var terms *audit.Terms
	if sealer != nil {
		secret, err := secretIn(keysFolder(cfg))
		if err != nil {
			return fmt.Errorf("AFTERCARE_KEYS: %w", err)
		}
		if terms, err = service.LogTerms(secret); err != nil {
			return err
		}
	}
	told := newProgress(p.stderr, "verified", 0, 0)
	told.noun = "records"
	return p.withStore(ctx, cfg, func(db *store.Store) error {
		found, err := service.VerifyLog(ctx, db, service.LogCheck{Sealer: sealer, Terms: terms, Verifier: verifier, Kept: kept, Progress: told.reach})
		if err != nil {
			return broken(err)
		}
		if found.Records == 0 {
			return errors.New("there is no record in this database: no service has kept a log in it, or all of it was removed")
		}
		fmt.Fprintf(p.stdout, "the log is as it was written: %d records, %d of them in the tree, about %d patients\n", found.Records, found.Integrated, found.Subjects)
		fmt.Fprintf(p.stdout, "%d records were opened, %d were erased as the log says; %d signed checkpoints hold\n", found.Opened, found.Erased, found.Checkpoints)
		if found.Integrated < found.Records {
			fmt.Fprintf(p.stdout, "not signed yet: records %d to %d, which are not in the tree; that none was cut off behind them, no checkpoint shows\n", found.Integrated+1, found.Records)
		}
		if sealer == nil {
			fmt.Fprintln(p.stdout, "not checked: that the service wrote each record, and that searches find each, since its secret is not in AFTERCARE_KEYS")
		}
		if len(kept) == 0 {
			fmt.Fprintln(p.stdout, "not checked: that the log is older than its own checkpoints say; give one that was kept elsewhere with --checkpoint")
		}
		return nil
	})
}

// broken is the error of a log that is not as it was written.
func broken(err error) error {
	if errors.As(err, new(*audit.Fault)) || errors.As(err, new(*audit.CheckpointFault)) {
		return fmt.Errorf("the log is NOT as it was written: %w", err)
	}
	return err
}

// readNote is a signed checkpoint in a file, which may be an exported log too.
func readNote(name string) ([]byte, error) {
	signed, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if _, err := tree.Read(signed); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return signed, nil
}

// sealerOf tells which records the service wrote, nil where the secret is not there.
func sealerOf(cfg config.Config) (*audit.Sealer, error) {
	folder := keysFolder(cfg)
	if _, err := os.Stat(filepath.Join(folder, secretFile)); err != nil {
		return nil, nil
	}
	secret, err := secretIn(folder)
	if err != nil {
		return nil, fmt.Errorf("AFTERCARE_KEYS: %w", err)
	}
	return audit.NewSealer(secret)
}

// maxAuditLine is the longest line of an exported log that is read.
const maxAuditLine = 256 << 20

func (p *program) verifyFile(ctx context.Context, cfg config.Config, v verification, kept [][]byte) (err error) {
	var sealer *audit.Sealer
	verifier := ""
	if cfg.Keys != "" || v.key != "" { // the file may be of another site than the folder beside a database
		if verifier, err = verifierOf(v.key, cfg); err != nil {
			return err
		}
	}
	if cfg.Keys != "" {
		if sealer, err = sealerOf(cfg); err != nil {
			return err
		}
	}
	var in io.Reader = os.Stdin
	if v.file != "-" {
		file, err := os.Open(v.file)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	f, err := audit.NewFileChecker(sealer, verifier, kept)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<20), maxAuditLine)
	told := newProgress(p.stderr, "verified", 0, 0)
	told.noun = "records"
	n := 0
	for lines.Scan() {
		if n++; ctx.Err() != nil {
			return ctx.Err()
		}
		if err := f.Line(lines.Bytes()); err != nil {
			return fmt.Errorf("%s: line %d: %w", v.file, n, broken(err))
		}
		told.reach(f.Records, f.Records)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", v.file, err)
	}
	if f.Header == nil {
		return fmt.Errorf("%s is empty", v.file)
	}
	if err := f.Finish(); err != nil {
		return fmt.Errorf("%s: %w", v.file, err)
	}
	if f.Whole() {
		fmt.Fprintf(p.stdout, "the log is as it was written: %d records about %d patients; %d were opened, %d were erased as the log says\n", f.Records, f.Subjects(), f.Opened, f.Erased)
	} else {
		fmt.Fprintf(p.stdout, "%d records (%s), each of them in the log; %d were opened, %d were erased\n", f.Records, f.Header.Filter, f.Opened, f.Erased)
	}
	if verifier == "" {
		fmt.Fprintf(p.stdout, "the checkpoints were verified by the key that the file itself names; compare it, or give it with --key:\n%s\n", f.Verifier)
	}
	if sealer == nil {
		fmt.Fprintln(p.stdout, "not checked: that the service wrote each record, since its secret is not in AFTERCARE_KEYS")
	}
	return nil
}
