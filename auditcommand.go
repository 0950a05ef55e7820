package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aftercare/config"

	"github.com/spf13/cobra"
)

const auditHelp = `Works on the auditor's log: the record of every request, which is also served as AuditEvents. The log is the leaves
of a Merkle tree, whose signed checkpoints show later that nothing was changed, put in or taken out. Keep checkpoints
(AuditEvent/$checkpoint, or any export) and the key audit-key.pub where whoever runs the service cannot change them.`

// auditCommand is the commands about the auditor's log.
func (p *program) auditCommand() *cobra.Command {
	group := &cobra.Command{
		Use: "audit", Short: "verify, export and prove the auditor's log", Long: auditHelp, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("give verify, export, prove, keys, disclosures, erase or retire")
		},
	}
	group.AddCommand(p.auditVerifyCommand(), p.auditExportCommand(), p.auditProveCommand(), p.auditKeysCommand(), p.auditEraseCommand(), p.auditRetireCommand(), p.auditDisclosuresCommand())
	return group
}

func (p *program) auditVerifyCommand() *cobra.Command {
	var v verification
	c := &cobra.Command{
		Use: "verify", Short: "check that the auditor's log is as it was written", Args: cobra.NoArgs,
		Long: `Checks the whole log in the database, beside the running service, or with --file an exported one, for which no
database is needed. It names the first record that is not as it was written, and then ends with exit code 1.

The records are held against the tree, its signed checkpoints, and checkpoints that were kept; against each other,
since each names the one before it about the same patient; and, where the secret of the log is in AFTERCARE_KEYS, it
is checked that the service wrote each. Who can change the database and has the keys too is found out by a checkpoint
that was kept elsewhere, or that a witness has signed.`,
		RunE: p.run(func(ctx context.Context, cfg config.Config, _ []string) error { return p.verifyAudit(ctx, cfg, v) }),
	}
	c.Flags().StringVar(&v.file, "file", "", "exported `FILE` to check in place of the database; - for the standard input")
	c.Flags().StringArrayVar(&v.kept, "checkpoint", nil, "`FILE` with a signed checkpoint that was kept; may be given several times")
	c.Flags().StringVar(&v.key, "key", "", "key of the checkpoints, `VKEY` as in audit-key.pub, or a file that has it; by default that of AFTERCARE_KEYS")
	return c
}

func (p *program) auditExportCommand() *cobra.Command {
	var x auditExport
	c := &cobra.Command{
		Use: "export", Short: "write the auditor's log as lines of JSON, which can be verified offline", Args: cobra.NoArgs,
		Long: `Writes records of the log to the standard output or to a file, one a line: position, time, the bytes that the tree is
built of, the key that opens them, and the AuditEvent. Of a whole log the signed checkpoints stand between them; of a
part, each record has a proof that it is in the log. "aftercare audit verify --file" checks it. The export itself is
put into the log first. It tells of patients.`,
		RunE: p.run(func(ctx context.Context, cfg config.Config, _ []string) error { return p.exportAudit(ctx, cfg, x) }),
	}
	c.Flags().StringVar(&x.out, "out", "", "`FILE` to write, which must not be there yet; the standard output by default")
	c.Flags().StringVar(&x.patient, "patient", "", "only records about the Patient with this `ID`")
	c.Flags().StringVar(&x.agent, "agent", "", "only records of a client, user or subject of a token with this `NAME`")
	c.Flags().StringVar(&x.from, "from", "", "only records from this `TIME` on, such as 2026-11-01 or 2026-11-01T09:00:00Z")
	c.Flags().StringVar(&x.to, "to", "", "only records before this `TIME`")
	return c
}

func (p *program) auditProveCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "prove ID", Short: "prove that an AuditEvent is in the auditor's log", Args: cobra.ExactArgs(1),
		Long: "Prints the proof that the AuditEvent with an id is in the log that the newest signed checkpoint is of.",
		RunE: p.run(func(ctx context.Context, cfg config.Config, args []string) error {
			return p.proveAudit(ctx, cfg, args[0], asJSON)
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (p *program) auditKeysCommand() *cobra.Command {
	return &cobra.Command{
		Use: "keys FOLDER", Short: "make the keys of an auditor's log, such as for a Secret of Kubernetes", Args: cobra.ExactArgs(1),
		Long: `Makes audit-secret, audit-key and audit-key.pub in FOLDER where they are not there yet. The key is named after
AFTERCARE_BASE_URL. Without audit-secret, records can be neither written nor told apart by patient; without audit-key,
no checkpoint can be signed. Keep a copy of both in a safe place, and give audit-key.pub to auditors.`,
		RunE: p.run(func(_ context.Context, cfg config.Config, args []string) error { return p.makeAuditKeys(cfg, args[0]) }),
	}
}

func (p *program) makeAuditKeys(cfg config.Config, folder string) error {
	if _, err := secretIn(folder); err != nil {
		return err
	}
	key, err := keyIn(folder, cfg.BaseURLAt(nil))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s has the keys of the log %s\n%s\n", folder, key.Name(), key.Verifier())
	return err
}

// timeOf reads a day, which begins at the care site, or an instant.
func timeOf(flag, text string, zone *time.Location) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return day, nil
	}
	instant, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return instant, misused("%s: give a day such as 2026-11-01, or an instant such as 2026-11-01T09:00:00Z", flag)
	}
	return instant, nil
}

// verifierOf is the key that checkpoints are to be signed by: the one given, or that in the folder of
// keys, "" where there is none.
func verifierOf(given string, cfg config.Config) (string, error) {
	if given != "" {
		if text, err := os.ReadFile(given); err == nil {
			given = string(text)
		}
		return strings.TrimSpace(given), nil
	}
	text, err := os.ReadFile(filepath.Join(keysFolder(cfg), verifierFile))
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if _, err := os.Stat(filepath.Join(keysFolder(cfg), signingFile)); err != nil {
		return "", nil
	}
	key, err := keyIn(keysFolder(cfg), "")
	if err != nil {
		return "", fmt.Errorf("AFTERCARE_KEYS: %w", err)
	}
	return key.Verifier(), nil
}
