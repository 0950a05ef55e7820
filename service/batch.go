package service

import (
	"context"
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/validate"
)

// batch runs each entry as if it had come alone; a failure stays in its own response.
// The order is that of a transaction, so that the result does not depend on the order of
// the entries.
func (s *Service) batch(ctx context.Context, p Principal, entries []request, prefer Prefer) []byte {
	results := make([]entry, len(entries))
	var answer room
	for i := range entries {
		if entries[i].err != nil {
			entries[i].leaveTrail(ctx)
			results[i] = answer.written(ctx, s.refusedEntry(ctx, &entries[i], entries[i].err))
		}
	}
	for turn := range len(writing) + 1 {
		for i := range entries {
			switch run := func() entry { return s.batchEntry(ctx, p, &entries[i], prefer) }; {
			case entries[i].err != nil || entries[i].turn() != turn:
			case entries[i].reads():
				results[i] = s.batchRead(ctx, &answer, &entries[i], run)
			default:
				results[i] = answer.written(ctx, run())
			}
		}
	}
	b := newBundle("batch-response", -1)
	b.grow(int(answer.used))
	for _, e := range results {
		b.entry(e)
	}
	return b.bytes()
}

// failAlone puts what is wrong with the entries of a batch, but for their resources, into
// the entries, which fail alone then. What is wrong with the Bundle itself is the error, of
// kind BadRequest. The resources in bundle have been left out.
func (s *Service) failAlone(bundle *fhir.Node, entries []request) error {
	issues := s.validator.Resource(bundle, "")
	list := bundle.Get("entry")
	if len(issues) == 0 || list == nil || list.Kind != fhir.Array || slices.ContainsFunc(list.Items, func(item *fhir.Node) bool { return item.Kind == fhir.Array }) {
		return invalid(issues)
	}
	var good []*fhir.Node
	for i, item := range list.Items {
		alone := s.validator.Resource(withEntries(bundle, []*fhir.Node{item}, "resourceType", "type"), "")
		if len(alone) == 0 {
			good = append(good, item)
			continue
		}
		for k := range alone {
			for j, place := range alone[k].Expression {
				alone[k].Expression[j] = strings.Replace(place, "Bundle.entry[0]", entries[i].place, 1)
			}
		}
		if entries[i].err == nil {
			entries[i].err = invalid(alone)
		}
	}
	return invalid(s.validator.Resource(withEntries(bundle, good), ""))
}

func invalid(issues []fhir.Issue) error {
	if len(issues) == 0 {
		return nil
	}
	return &fhir.Error{Kind: fhir.BadRequest, Issues: issues}
}

// withEntries is a Bundle with other entries; of the other members those that are named are
// kept, or all.
func withEntries(bundle *fhir.Node, entries []*fhir.Node, members ...string) *fhir.Node {
	return withMembers(bundle, func(m fhir.Member) (fhir.Member, bool) {
		if m.Name != "entry" {
			return m, len(members) == 0 || slices.Contains(members, m.Name)
		}
		list := *m.Value
		list.Items = entries
		m.Value = &list
		return m, len(entries) > 0
	})
}

// failDependent fails the entries of a batch that refer to an entry by the urn that is its
// fullUrl: they are independent (https://hl7.org/fhir/R4/http.html#brules), so that would
// lead nowhere.
func (s *Service) failDependent(entries []request) {
	urns := map[string]bool{}
	for i := range entries {
		if strings.HasPrefix(entries[i].fullURL, "urn:") {
			urns[entries[i].fullURL] = true
		}
	}
	if len(urns) == 0 {
		return
	}
	for i := range entries {
		r := &entries[i]
		if r.err != nil || r.resource == nil {
			continue
		}
		for _, l := range s.validator.Links(r.resource) {
			targets := []string{l.Node.Text}
			switch l.Kind {
			case validate.LinkUUID, validate.LinkOID:
				continue
			case validate.LinkNarrative:
				targets = narrativeTargets(l.Node.Text)
			}
			if slices.ContainsFunc(targets, func(target string) bool {
				urn, _, _ := strings.Cut(target, "/_history/")
				return urns[urn]
			}) {
				r.err = fhir.Errorf(fhir.BadRequest, "value", l.Expression, "This refers to an entry of the same Bundle, and the entries of a batch are independent; send a transaction.")
				break
			}
		}
	}
}

func (s *Service) batchEntry(ctx context.Context, p Principal, r *request, prefer Prefer) entry {
	r.leaveTrail(ctx)
	if r.trail != nil {
		ctx = WithTrail(ctx, r.trail)
	}
	e, err := s.runEntry(ctx, p, r, prefer)
	if err != nil {
		place := r.place + ".request.url"
		if r.code() == "create" {
			place = r.place + ".request.ifNoneExist"
		}
		e = s.failedEntry(ctx, inURL(err, place))
	}
	r.trail.answered(e.status)
	return e
}

// runEntry runs an entry through the interaction that it asks for.
func (s *Service) runEntry(ctx context.Context, p Principal, r *request, prefer Prefer) (entry, error) {
	t := r.target
	var w Written
	var err error
	switch r.code() {
	case "operation":
		a, err := s.Operate(ctx, p, r.call())
		return r.answerEntry(a), err
	case "capabilities":
		return r.bundleEntry(s.Capabilities()), nil
	case "read", "vread":
		var res *fhir.Resource
		if t.version == "" {
			res, err = s.Read(ctx, p, t.typ, t.id)
		} else {
			res, err = s.VRead(ctx, p, t.typ, t.id, t.version)
		}
		if err != nil {
			return entry{}, err
		}
		return s.readEntry(r, res)
	case "history-instance", "history-type", "history-system":
		body, err := s.History(ctx, p, t.typ, t.id, t.pairs)
		return r.bundleEntry(body), err
	case "search-type", "search-system":
		body, err := s.search(ctx, p, t.scope(), t.pairs, false)
		return r.bundleEntry(body), err
	case "create":
		w, err = s.Create(ctx, p, t.typ, r.resource.Raw, r.ifNoneExist)
	case "update":
		if r.conditional() {
			w, err = s.UpdateWhere(ctx, p, t.typ, t.rawQuery, r.resource.Raw, r.when)
		} else {
			w, err = s.Update(ctx, p, t.typ, t.id, r.resource.Raw, r.when)
		}
	case "patch":
		w, err = s.batchPatch(ctx, p, r)
	case "delete":
		if r.conditional() {
			w, err = s.DeleteWhere(ctx, p, t.typ, t.rawQuery, r.when)
		} else {
			w, err = s.Delete(ctx, p, t.typ, t.id, r.when)
		}
	}
	if err != nil {
		return entry{}, err
	}
	return s.writtenEntry(r, w, prefer)
}

func (s *Service) batchPatch(ctx context.Context, p Principal, r *request) (Written, error) {
	format, body, err := patchOf(r)
	switch {
	case err != nil:
		return Written{}, err
	case r.conditional():
		return s.PatchWhere(ctx, p, r.target.typ, r.target.rawQuery, format, body, r.when)
	default:
		return s.Patch(ctx, p, r.target.typ, r.target.id, format, body, r.when)
	}
}
