package main

import (
	"context"
	"fmt"

	"aftercare/config"
	"aftercare/service/store"
)

// migrate brings the database to this version's schema, which opening it does. A service may be
// running on it.
func (p *program) migrate(ctx context.Context, cfg config.Config, _ []string) error {
	db, err := openStore(ctx, cfg, store.Options{Logger: p.logger(cfg)})
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, "the database has the schema of this version")
	return err
}
