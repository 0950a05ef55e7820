package service

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"

	"aftercare/fhir"
	"aftercare/service/store"
)

// transaction runs the entries together or not at all.
func (s *Service) transaction(ctx context.Context, p Principal, entries []request, prefer Prefer) ([]byte, error) {
	var ws []*write
	var gets []int
	position := make([]int, len(entries)) // of the entry's write in ws
	for i := range entries {
		r := &entries[i]
		if err := s.permit(p, interaction{r.code(), r.target.typ, r.target.id}); err != nil {
			return nil, inEntry(err, r.place)
		}
		if r.reads() {
			gets = append(gets, i)
			continue
		}
		w, err := s.entryWrite(r)
		if err != nil {
			return nil, inEntry(err, r.place)
		}
		position[i] = len(ws)
		ws = append(ws, w)
	}
	if err := distinct(ws); err != nil {
		return nil, err
	}
	results := make([]entry, len(entries))
	written, err := s.commit(ctx, ws, func(ctx context.Context, r *store.Reader) error {
		for _, i := range gets {
			res, err := s.get(ctx, r, &entries[i])
			if err != nil {
				return inEntry(err, entries[i].place)
			}
			results[i] = res
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b := newBundle("transaction-response", -1)
	for i := range entries {
		if !entries[i].reads() {
			results[i] = s.writtenEntry(entries[i].method, written[position[i]], prefer)
		}
		b.entry(results[i])
	}
	return b.bytes(), nil
}

func (s *Service) entryWrite(r *request) (*write, error) {
	w := &write{method: r.method, typ: r.target.typ, id: r.target.id, entry: r.place, fullURL: r.fullURL, when: r.when}
	resource := r.place + ".resource"
	var err error
	switch r.method {
	case http.MethodDelete:
	case http.MethodPatch:
		format, body, err := patchOf(r)
		if err != nil {
			return nil, err
		}
		if w.change, err = s.patching(w.typ, format, body); err != nil {
			return nil, err
		}
	default:
		w.node = r.resource
		if got := r.resource.Str("resourceType"); got != r.target.typ {
			return nil, fhir.Errorf(fhir.BadRequest, "structure", resource+".resourceType", "The resource is not of the type that request.url names.")
		}
		if err := s.checkScale(r.resource, resource); err != nil {
			return nil, err
		}
	}
	switch {
	case r.conditional():
		err = at(s.conditionalTarget(w, r.target.rawQuery), r.place+".request.url")
	case r.method == http.MethodPut:
		err = sameID(r.resource, w.typ, w.id, resource)
	case r.method == http.MethodPost:
		w.id = s.newID()
		w.condition, err = s.condition(w.typ, r.ifNoneExist)
		err = at(err, r.place+".request.ifNoneExist")
	}
	return w, err
}

// patchOf reads the patch of an entry: a FHIRPath Patch, or a Binary that holds a JSON
// Patch (https://hl7.org/fhir/R4/http.html#patch).
func patchOf(r *request) (PatchFormat, []byte, error) {
	switch r.resource.Str("resourceType") {
	case "Parameters":
		return FHIRPathPatch, r.resource.Raw, nil
	case "Binary":
		if r.resource.Str("contentType") == "application/json-patch+json" {
			body, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(r.resource.Str("data")), ""))
			if err == nil {
				return JSONPatch, body, nil
			}
		}
	}
	return 0, nil, fhir.Errorf(fhir.BadRequest, "value", r.place+".resource", "A PATCH entry carries a Parameters resource, or a Binary of contentType application/json-patch+json.")
}

// distinct refuses a transaction in which two entries are about the same resource
// (https://hl7.org/fhir/R4/http.html#trules).
func distinct(ws []*write) error {
	seen := map[string]string{}
	claim := func(key, entry string) error {
		if first := seen[key]; first != "" {
			return fhir.Errorf(fhir.BadRequest, "duplicate", entry, "This entry is about the same resource as %s; a transaction may touch a resource once.", first)
		}
		seen[key] = entry
		return nil
	}
	for _, w := range ws {
		if w.condition == nil || w.method == http.MethodPost {
			if err := claim(w.ref(), w.entry); err != nil {
				return err
			}
		}
		if w.fullURL != "" {
			if err := claim("fullUrl "+w.fullURL, w.entry); err != nil {
				return err
			}
		}
		if w.condition != nil {
			key := w.typ + "?"
			for _, pair := range w.condition.Applied {
				key += "\x00" + pair.Name + "\x00" + pair.Value
			}
			if err := claim(key, w.entry); err != nil {
				return err
			}
		}
	}
	return nil
}
