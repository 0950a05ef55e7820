package service

import (
	"context"
	"net/http"

	"aftercare/fhir"
	"aftercare/service/store"
)

// provide stores the definitions that are of a served type, so that callers can read what
// the plans rest on. One that is stored already and has not changed is left alone.
func (s *Service) provide(ctx context.Context, definitions []*fhir.Node) error {
	s.provided = map[string]bool{}
	var ws []*write
	for _, n := range definitions {
		typ, id := n.Str("resourceType"), n.Str("id")
		if _, ok := fhir.Served(typ); !ok || id == "" {
			continue
		}
		if err := s.check(n, typ, ""); err != nil {
			return at(err, typ+"/"+id)
		}
		s.provided[typ+"/"+id] = true
		ws = append(ws, &write{method: http.MethodPut, typ: typ, id: id, node: n})
	}
	ready := newResolution(ws)
	if err := s.fill(ready); err != nil {
		return err
	}
	return s.store.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		for i, w := range ws {
			if _, err := s.put(ctx, tx, w, w.id, ready.contents[i], s.now()); err != nil {
				return err
			}
		}
		return nil
	})
}
