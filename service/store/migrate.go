package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// migrate brings the tables up to date. It refuses a database that a newer program has changed,
// for what that one stores may not be understood.
//
// Where two processes do it at once, each file has an effect once: it is one transaction, which
// ends by adding its number to a list that has each number once. The one who comes too late looks
// again, as long as somebody gets further.
func migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect, files fs.FS, folder string, o Options) error {
	sub, err := fs.Sub(files, folder)
	if err != nil {
		return err
	}
	for before := int64(-1); ; {
		provider, err := goose.NewProvider(dialect, db, sub, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
		if err != nil {
			return fmt.Errorf("read the migrations: %w", err)
		}
		has, knows, err := provider.GetVersions(ctx)
		if err != nil {
			return fmt.Errorf("read the version of the tables: %w", err)
		}
		switch {
		case has > knows:
			return fmt.Errorf("the database has tables of version %d, and this program knows them up to version %d; use a newer program", has, knows)
		case has == knows:
			return nil // a role that may not change tables can go on
		}
		if _, err := db.ExecContext(ctx, `CREATE UNIQUE INDEX IF NOT EXISTS goose_db_version_once ON goose_db_version (version_id)`); err != nil {
			return fmt.Errorf("prepare a change of the tables: %w", err)
		}
		done, err := provider.Up(ctx)
		for _, m := range done {
			o.Logger.InfoContext(ctx, "migration applied", "file", m.Source.Path, "duration", m.Duration)
		}
		if err == nil {
			return nil
		}
		if has <= before {
			return fmt.Errorf("bring the tables up to date: %w", err)
		}
		before = has
	}
}
