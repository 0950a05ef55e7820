package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"aftercare/config"
	"aftercare/fhir"
	"aftercare/service/audit"
	"aftercare/service/store"

	"github.com/spf13/cobra"
)

func (p *program) auditEraseCommand() *cobra.Command {
	var patient, reason string
	c := &cobra.Command{
		Use: "erase --patient ID --reason TEXT", Short: "make the records about a patient unreadable for good", Args: cobra.NoArgs,
		Long: `Takes away the keys of all records of the auditor's log about the Patient with an id, so that nobody can read them any
more, not even from a copy of the log without the keys. A record that is about other patients too goes with them. The
records still count: the log is verified as before. The erasure itself is a record of the log, with the reason and a
pseudonym, and without the id. Copies of the database, and exports, have to be dealt with apart.`,
		RunE: p.run(func(ctx context.Context, cfg config.Config, _ []string) error {
			switch reason = strings.TrimSpace(reason); {
			case !fhir.ValidID(patient):
				return misused("--patient: give the id of a Patient")
			case reason == "":
				return misused("--reason: say why")
			}
			return p.withStore(ctx, cfg, func(db *store.Store) error {
				log, err := openLog(ctx, cfg, db)
				if err != nil {
					return err
				}
				if log == nil {
					return errAuditOff
				}
				done, err := log.Erase(ctx, patient, reason, recordOf(audit.LogErased, "audit erase"))
				if err == nil {
					_, err = fmt.Fprintf(p.stdout, "%d records were erased; %d of them were about other patients too\n", done.Records, done.Shared)
				}
				return err
			})
		}),
	}
	c.Flags().StringVar(&patient, "patient", "", "`ID` of the Patient")
	c.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` that names nobody")
	return c
}

var errAuditOff = errors.New("AFTERCARE_AUDIT: is off, so no log is kept")
