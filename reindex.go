package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"aftercare/config"
	"aftercare/fhir"
	"aftercare/service"
	"aftercare/service/store"
)

const reindexHelp = `Waits until all search parameters are indexed, and tells how far it is. With types, or --all, their rows in the
index are made again first, as after a change of the time zone tables; searches go on meanwhile.

It may run beside the service, with the same settings, and while none runs. It goes on where it was after an
interruption. With other search parameters, another time zone or another base URL than those of a running service it
takes the database over: that service then refuses searches and writes until it is started again.`

// reindexPoll is the time between two looks at how far it is.
const reindexPoll = 100 * time.Millisecond

// reindex brings the index up to date, that of the types wholly anew.
func (p *program) reindex(ctx context.Context, cfg config.Config, types []string, all bool) (err error) {
	for _, typ := range types {
		if _, served := fhir.Served(typ); !served {
			return fmt.Errorf("%s is no resource type that is served", typ)
		}
	}
	limitMemory(cfg, p.environ)
	svc, db, err := open(ctx, cfg, cfg.BaseURLAt(nil), false, store.Options{Logger: p.logger(cfg)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if all || len(types) > 0 {
		if err := db.Reindex(ctx, types...); err != nil {
			return err
		}
	}
	switch err := buildIndex(ctx, svc, db, p.stderr); {
	case ctx.Err() != nil:
		return errors.New("stopped; a service goes on, and so does the same command without --all and types")
	case err != nil:
		return err
	}
	_, err = fmt.Fprintln(p.stdout, "all search parameters are indexed")
	return err
}

// buildIndex has all indexed that is to be, here or in the service that runs beside.
func buildIndex(ctx context.Context, svc *service.Service, db *store.Store, out io.Writer) error {
	work, end := context.WithCancel(ctx)
	var worker sync.WaitGroup
	worker.Go(func() { svc.KeepIndexed(work) })
	defer worker.Wait()
	defer end()
	return awaitReindex(ctx, db, out)
}

// awaitReindex waits until nothing is left to index, and tells how far it is now and then.
func awaitReindex(ctx context.Context, db *store.Store, out io.Writer) error {
	for told := time.Now(); ; {
		b, err := db.Backlog(ctx)
		if err != nil {
			return err
		}
		if len(b.Types) == 0 && !b.Leftovers {
			return nil
		}
		if time.Since(told) >= progressEvery {
			told = time.Now()
			for _, t := range b.Types {
				if t.Part > 0 {
					fmt.Fprintf(out, "%s: %d resources, about %d%%\n", t.Type, t.Done, int(100*t.Part))
				}
			}
			fmt.Fprintf(out, "%d types are left, and %d parameters cannot be used yet\n", len(b.Types), b.Parameters)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(reindexPoll):
		}
	}
}
