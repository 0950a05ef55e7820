package service

import (
	"context"
	"net/http"

	"aftercare/service/audit"
	"aftercare/service/store"
)

// provide stores the definitions that are of a served type, so that callers can read what
// the plans rest on. One that is stored already and has not changed is left alone.
func (s *Service) provide(ctx context.Context) error {
	var ws []*write
	for _, n := range s.definitions {
		typ, id := n.Str("resourceType"), n.Str("id")
		if err := s.check(n, typ, ""); err != nil {
			return at(err, typ+"/"+id)
		}
		ws = append(ws, &write{method: http.MethodPut, typ: typ, id: id, node: n})
	}
	ready := newResolution(&itself, ws)
	if err := s.fill(ready); err != nil {
		return err
	}
	return s.store.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		r := audit.Record{Code: audit.Imported, Status: http.StatusOK, Agent: audit.Agent{Client: "aftercare"}}
		for i, w := range ws {
			put, err := s.put(ctx, tx, &itself, w, w.id, ready.contents[i], s.now())
			if err != nil {
				return err
			}
			if put.Changed {
				r.Shown = append(r.Shown, audit.Version{Type: w.typ, ID: w.id, Version: put.Resource.Version})
			}
		}
		if len(r.Shown) == 0 {
			return nil
		}
		return s.auditLog.Append(ctx, tx, r)
	})
}
