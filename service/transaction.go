package service

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"

	"aftercare/fhir"
	"aftercare/service/store"
)

// transaction runs the entries together or not at all. What reads sees what is written.
func (s *Service) transaction(ctx context.Context, p Principal, entries []request, prefer Prefer) ([]byte, error) {
	var ws []*write
	position := make([]int, len(entries))     // of the entry's write in ws
	readings := make([]reading, len(entries)) // nil for a write
	for i := range entries {
		r := &entries[i]
		r.leaveTrail(ctx)
		err := s.permit(&p, interaction{r.code(), r.target.typ, r.target.id})
		if err == nil && r.code() == "search-type" {
			err = s.prepareLog(ctx, r.target.typ)
		}
		if err == nil && r.reads() {
			readings[i], err = s.reading(p, r)
		} else if err == nil {
			var w *write
			w, err = s.entryWrite(p, r)
			position[i] = len(ws)
			ws = append(ws, w)
		}
		if err != nil {
			return nil, inEntry(err, r.place)
		}
		if !r.reads() {
			ws[position[i]].trail = r.trail
		}
	}
	if err := distinct(ws); err != nil {
		return nil, err
	}
	results := make([]entry, len(entries))
	var left room
	answer := func(ctx context.Context, r *store.Reader) (err error) {
		left = room{} // it may run again
		for i, read := range readings {
			if read == nil {
				continue
			}
			ctx := ctx
			if trail := entries[i].trail; trail != nil {
				trail.forget() // this may run again
				ctx = WithTrail(ctx, trail)
			}
			shared, err := s.shared(ctx, &p, r, actions[entries[i].code()])
			if err == nil {
				err = s.bounded(ctx, func(ctx context.Context) (err error) {
					results[i], err = read(ctx, shared)
					return err
				})
			}
			if err == nil {
				entries[i].trail.answered(results[i].status)
				err = left.takeEntry(ctx, results[i])
			}
			if err != nil {
				return inEntry(err, entries[i].place)
			}
		}
		return nil
	}
	var written []Written
	var err error
	if len(ws) == 0 { // nobody who writes has to wait for it
		err = s.store.View(ctx, answer)
	} else {
		written, err = s.commit(ctx, &p, ws, answer)
	}
	if err != nil {
		return nil, err
	}
	b := newBundle("transaction-response", -1)
	b.grow(int(left.used))
	for i := range entries {
		if r := &entries[i]; !r.reads() {
			if results[i], err = s.writtenEntry(r, written[position[i]], prefer); err != nil {
				return nil, err
			}
			results[i] = left.written(ctx, results[i])
		}
		b.entry(results[i])
	}
	return b.bytes(), nil
}

// entryWrite is the write that an entry asks for.
func (s *Service) entryWrite(p Principal, r *request) (*write, error) {
	if r.operation != nil {
		c, err := s.prepare(p, r.call())
		if err != nil {
			return nil, at(err, r.place+".request.url")
		}
		c.write.entry = r.place
		return c.write, nil
	}
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
		if err := isWhole(r.resource, resource); err != nil {
			return nil, err
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
