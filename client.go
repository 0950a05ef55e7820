package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"aftercare/api/auth"
	"aftercare/config"
	"aftercare/fhir"
	"aftercare/service/audit"
	"aftercare/service/store"

	"github.com/spf13/cobra"
)

const clientHelp = `Registers programs that get tokens from this service, as SMART Backend Services ask: a program signs with a private
key of its own, and gets a token for five minutes. This works on the database, beside the running service, which takes
up what has changed within seconds. Clients of the file AFTERCARE_AUTH_CLIENTS count too.`

// clientCommand is the commands about clients.
func (p *program) clientCommand() *cobra.Command {
	group := &cobra.Command{
		Use: "client", Short: "register, list and revoke programs that get tokens from this service", Long: clientHelp,
		RunE: func(*cobra.Command, []string) error { return errors.New("give add, list or revoke") },
		Args: cobra.NoArgs,
	}
	var c auth.Client
	var file string
	add := &cobra.Command{
		Use:   "add ID --scope SCOPES (--jwks FILE | --jwks-uri URL)",
		Short: "register a program by its public keys",
		Long:  "Registers a program. An id is used once: after it was revoked, choose another one.\nSCOPES are the most that it may ask for, such as 'system/CarePlan.rs system/Observation.cruds'.",
		Args:  cobra.ExactArgs(1),
		RunE: p.run(func(ctx context.Context, cfg config.Config, args []string) error {
			c.ID = args[0]
			if file != "" {
				data, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				c.JWKS = data
			}
			return p.addClient(ctx, cfg, c)
		}),
	}
	add.Flags().StringVar(&c.Name, "name", "", "`name` for people")
	add.Flags().StringVar(&c.Scope, "scope", "", "the most that it may ask for, `SCOPES` with spaces between them")
	add.Flags().StringVar(&file, "jwks", "", "`FILE` with its public keys, a JWK Set")
	add.Flags().StringVar(&c.JWKSURI, "jwks-uri", "", "https `URL` of its public keys, a JWK Set")
	add.Flags().BoolVar(&c.BreakGlass, "break-glass", false, "let it break the glass, with a reason")
	list := &cobra.Command{
		Use: "list", Short: "list the programs, also those that were revoked", Args: cobra.NoArgs,
		RunE: p.run(func(ctx context.Context, cfg config.Config, _ []string) error { return p.listClients(ctx, cfg) }),
	}
	revoke := &cobra.Command{
		Use: "revoke ID", Short: "give a program no more tokens, and take those that it has, within seconds", Args: cobra.ExactArgs(1),
		RunE: p.run(func(ctx context.Context, cfg config.Config, args []string) error {
			return p.revokeClient(ctx, cfg, args[0])
		}),
	}
	group.AddCommand(add, list, revoke)
	return group
}

// withStore runs do on the database.
func (p *program) withStore(ctx context.Context, cfg config.Config, do func(db *store.Store) error) (err error) {
	db, err := openStore(ctx, cfg, store.Options{Logger: p.logger(cfg)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return do(db)
}

// fileClients are those of AFTERCARE_AUTH_CLIENTS.
func fileClients(cfg config.Config) ([]auth.Client, error) {
	if cfg.AuthClients == "" {
		return nil, nil
	}
	return auth.ReadClients(cfg.AuthClients)
}

func (p *program) addClient(ctx context.Context, cfg config.Config, c auth.Client) error {
	if err := c.Check(); err != nil {
		return misuse{err}
	}
	of, err := fileClients(cfg)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(of, func(o auth.Client) bool { return o.ID == c.ID }) {
		return fmt.Errorf("%s has a client with this id already", cfg.AuthClients)
	}
	return p.withStore(ctx, cfg, func(db *store.Store) error {
		row := store.Client{ID: c.ID, Name: c.Name, JWKS: c.JWKS, JWKSURI: c.JWKSURI, Scope: strings.Join(strings.Fields(c.Scope), " "), BreakGlass: c.BreakGlass, Created: time.Now()}
		log, err := openLog(ctx, cfg, db)
		if err != nil {
			return err
		}
		if err := db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.AddClient(ctx, row); err != nil {
				return err
			}
			return log.Append(ctx, tx, recordOf(audit.ClientAdded, "client add", "client", row.ID, "scope", row.Scope))
		}); err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "%s is registered\n", c.ID)
		return err
	})
}

func (p *program) listClients(ctx context.Context, cfg config.Config) error {
	of, err := fileClients(cfg)
	if err != nil {
		return err
	}
	return p.withStore(ctx, cfg, func(db *store.Store) error {
		var rows []store.Client
		if err := db.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
			rows, err = r.Clients(ctx)
			return err
		}); err != nil {
			return err
		}
		w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "CLIENT\tNAME\tREGISTERED\tREVOKED\tKEYS\tSCOPE")
		revoked := map[string]string{}
		for _, row := range rows {
			if !row.Revoked.IsZero() {
				revoked[row.ID] = row.Revoked.Format(time.RFC3339)
			}
			if row.Scope == "" { // only revoked here: it is one of the file
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", row.ID, row.Name, row.Created.Format(time.RFC3339), revoked[row.ID], keysOf(auth.ClientOf(row)), row.Scope)
		}
		for _, c := range of {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.Name, "in the file", revoked[c.ID], keysOf(c), c.Scope)
		}
		return w.Flush()
	})
}

func keysOf(c auth.Client) string {
	if c.JWKSURI != "" {
		return c.JWKSURI
	}
	return "given"
}

func (p *program) revokeClient(ctx context.Context, cfg config.Config, id string) error {
	of, err := fileClients(cfg)
	if err != nil {
		return err
	}
	inFile := slices.ContainsFunc(of, func(o auth.Client) bool { return o.ID == id })
	return p.withStore(ctx, cfg, func(db *store.Store) error {
		now := time.Now()
		log, err := openLog(ctx, cfg, db)
		if err != nil {
			return err
		}
		if err := db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			err := tx.RevokeClient(ctx, id, now)
			if inFile && fhir.KindOf(err) == fhir.NotFound {
				err = tx.AddClient(ctx, store.Client{ID: id, Created: now, Revoked: now})
			}
			if err != nil {
				return err
			}
			return log.Append(ctx, tx, recordOf(audit.ClientRevoked, "client revoke", "client", id))
		}); err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "%s is revoked; its tokens are refused within seconds\n", id)
		return err
	})
}
