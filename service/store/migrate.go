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
func migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect, files fs.FS, folder string, o Options) error {
	sub, err := fs.Sub(files, folder)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(dialect, db, sub, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	has, knows, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the tables: %w", err)
	}
	if has > knows {
		return fmt.Errorf("the database has tables of version %d, and this program knows them up to version %d; use a newer program", has, knows)
	}
	done, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("bring the tables up to date: %w", err)
	}
	for _, m := range done {
		o.Logger.InfoContext(ctx, "migration applied", "file", m.Source.Path, "duration", m.Duration)
	}
	return nil
}
