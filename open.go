package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"aftercare/config"
	"aftercare/definitions"
	"aftercare/fhir"
	"aftercare/service"
	"aftercare/service/store"
)

// open opens the database and makes the service on it. The caller closes the store once
// the service is no longer used.
//
// sameIndex refuses a database that is indexed for other search parameters or settings, beside
// whose service this process is to work.
func open(ctx context.Context, cfg config.Config, base string, sameIndex bool, o store.Options) (*service.Service, *store.Store, error) {
	known, err := loadDefinitions(cfg)
	if err != nil {
		return nil, nil, err
	}
	db, err := openStore(ctx, cfg, o)
	if err != nil {
		return nil, nil, err
	}
	s, err := newService(ctx, cfg, base, sameIndex, known, db, o)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return s, db, nil
}

// newService makes the service on an open database, which it takes over where its search parameters or
// settings are others. So what else a process could fail at comes before.
func newService(ctx context.Context, cfg config.Config, base string, sameIndex bool, known []*fhir.Node, db *store.Store, o store.Options) (*service.Service, error) {
	secret, err := logSecret(cfg)
	if err != nil {
		return nil, err
	}
	key, err := logKey(cfg, base)
	if err != nil {
		return nil, err
	}
	var witnesses []service.Witness
	for _, w := range cfg.AuditWitnesses {
		witnesses = append(witnesses, service.Witness{Key: w.Key, URL: w.URL})
	}
	return service.New(ctx, service.Options{
		Store: db, Definitions: known, BaseURL: base, Zone: cfg.Zone, PoliciesOff: cfg.PoliciesOff, References: cfg.References,
		Logger: o.Logger, Software: versionName(), MaxResource: cfg.MaxBody, QueryLimit: cfg.QueryLimit, SameIndex: sameIndex,
		LogSecret: secret, LogKey: key, Witnesses: witnesses, MeterProvider: o.MeterProvider,
		OAuth: endpoints(cfg, base),
	})
}

// loadDefinitions reads the built-in definitions, those of the hospital and the care site.
func loadDefinitions(cfg config.Config) ([]*fhir.Node, error) {
	sources := []fs.FS{definitions.Files()}
	if cfg.Definitions != "" {
		sources = append(sources, os.DirFS(cfg.Definitions))
	}
	known, err := definitions.Load(sources...)
	if err != nil {
		return nil, fmt.Errorf("definitions: %w", err)
	}
	if cfg.Site == "" {
		return known, nil
	}
	file, err := os.Open(cfg.Site)
	if err != nil {
		return nil, fmt.Errorf("AFTERCARE_SITE: %w", err)
	}
	defer file.Close()
	site, err := definitions.Site(file)
	if err != nil {
		return nil, fmt.Errorf("AFTERCARE_SITE: %s: %w", cfg.Site, err)
	}
	return append(known, site...), nil
}

// openStore opens the database and brings its schema up to date.
func openStore(ctx context.Context, cfg config.Config, o store.Options) (*store.Store, error) {
	db, err := store.Open(ctx, cfg.Database, o)
	if err != nil {
		return nil, fmt.Errorf("AFTERCARE_DATABASE: %w", err)
	}
	return db, nil
}
