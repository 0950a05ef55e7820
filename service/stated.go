package service

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/service/store"
)

// statedKey is the key of the Provenance that a caller states of what he writes.
type statedKey struct{}

// WithProvenance is a context in which whatever is written has a Provenance that its writer states, as
// the header X-Provenance has it (https://hl7.org/fhir/R4/provenance.html#header): a resource in JSON,
// whose target the service fills in with the versions that were written. It is stored with them or not at
// all, and only where something has changed. The error is about the Provenance, or says that the caller
// may not write one.
func (s *Service) WithProvenance(ctx context.Context, p Principal, stated []byte) (context.Context, error) {
	const place = "http.X-Provenance"
	n, err := fhir.Parse(stated)
	if err != nil {
		return ctx, at(err, place)
	}
	if n.Get("target") != nil || n.Get("id") != nil {
		return ctx, fhir.Errorf(fhir.BadRequest, "invalid", place, "The Provenance of a request has neither a target nor an id: the server fills them in.")
	}
	if n.Kind == fhir.Object && len(n.Members) > 0 {
		if n, err = fhir.Parse(withTargets(stated, []string{"Patient/x"})); err != nil {
			return ctx, at(err, place)
		}
	}
	if err := s.check(n, "Provenance", ""); err != nil {
		return ctx, err
	}
	if err := s.permit(&p, interaction{code: "create", typ: "Provenance"}); err != nil {
		return ctx, err
	}
	return context.WithValue(ctx, statedKey{}, stated), nil
}

// withTargets puts references to targets into a Provenance that has none.
func withTargets(stated []byte, references []string) []byte {
	_, rest, _ := bytes.Cut(stated, []byte("{"))
	var out bytes.Buffer
	out.WriteString(`{"target":[{"reference":"` + strings.Join(references, `"},{"reference":"`) + `"}],`)
	out.Write(rest)
	return out.Bytes()
}

// putStated stores the Provenance that the caller states of what was written, if any.
func (s *Service) putStated(ctx context.Context, tx *store.Tx, by *Principal, out []Written, at time.Time) error {
	if t := trailOf(ctx); t != nil {
		t.stated = nil // this may run again
	}
	stated, _ := ctx.Value(statedKey{}).([]byte)
	var written []string
	for _, w := range out {
		if w.Changed && w.Resource != nil {
			written = append(written, versioned(w.Resource.Type, w.Resource.ID, w.Resource.Version))
		}
	}
	if stated == nil || len(written) == 0 {
		return nil
	}
	n, err := fhir.Parse(withTargets(stated, written))
	if err != nil {
		return err
	}
	ready := newResolution(by, []*write{{method: http.MethodPost, typ: "Provenance", id: s.newID(), node: n}})
	if err := s.fill(ready); err != nil {
		return err
	}
	w := ready.ws[0]
	if err := s.target(ctx, tx, by, w, nil); err != nil {
		return err
	}
	put, err := s.put(ctx, tx, by, w, w.id, ready.contents[0], at)
	if err == nil {
		if t := trailOf(ctx); t != nil {
			t.stated = put.Resource
		}
	}
	return err
}
