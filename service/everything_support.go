package service

import (
	"context"
	"slices"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/validate"
	"aftercare/service/store"
)

// supportStart is before every "Type/id".
const supportStart = "/"

// support adds what the record refers to and is no patient's data: practitioners,
// organizations, medications, and so on. after is the last one that was given,
// supportStart at first. The record is read whole to find them; only references are kept of it, so that
// each is given once however many pages there are.
func (e *everythingQuery) support(ctx context.Context, r *store.Reader, patient *fhir.Resource, after string) (string, error) {
	if !e.wantsSupport() {
		return "", nil
	}
	refs, err := e.references(ctx, r, patient)
	if err != nil {
		return "", err
	}
	ordered := make([]string, 0, len(refs))
	for ref := range refs {
		if ref > after {
			ordered = append(ordered, ref)
		}
	}
	slices.Sort(ordered)
	for _, ref := range ordered {
		typ, id, _ := strings.Cut(ref, "/")
		res, err := read(ctx, r, typ, id)
		switch kind := fhir.KindOf(err); {
		case err != nil && (kind == fhir.NotFound || kind == fhir.Gone):
			continue // a reference may lead to nothing that is here
		case err != nil:
			return "", err
		}
		if !refs[ref] && res.LastUpdated.Before(e.since) {
			continue
		}
		if ours, err := e.nobodys(ctx, r, res); err != nil {
			return "", err
		} else if !ours {
			continue
		}
		if e.left == 0 || e.full {
			return after, nil
		}
		e.add(res, "include")
		after = ref
	}
	return "", nil
}

func (e *everythingQuery) wantsSupport() bool {
	return slices.ContainsFunc(fhir.StoredTypes(), func(t fhir.ServedType) bool { return e.supports(t.Name) && e.wants(t.Name) })
}

// supports reports whether resources of a type can be no patient's data.
func (e *everythingQuery) supports(typ string) bool {
	if typ == "Patient" {
		return false
	}
	for i := range e.record {
		if e.record[i].name == typ {
			return e.record[i].shared
		}
	}
	t, served := fhir.Served(typ)
	return served && !t.Logged
}

// references are those that the record holds to resources that may be support. The value
// is true where a resource that has changed since _since holds it: what it refers to is
// given then, however old.
func (e *everythingQuery) references(ctx context.Context, r *store.Reader, patient *fhir.Resource) (map[string]bool, error) {
	refs := e.refs
	if refs == nil {
		var err error
		if refs, err = e.scan(ctx, r); err != nil {
			return nil, err
		}
	}
	n, err := fhir.Parse(patient.Body)
	if err != nil {
		return nil, err
	}
	e.refer(refs, patient, n)
	return refs, nil
}

// refer adds the references of one resource.
func (e *everythingQuery) refer(refs map[string]bool, res *fhir.Resource, n *fhir.Node) {
	for _, l := range e.s.validator.Links(n) {
		if ref, ok := e.s.localTarget(l); ok && e.supports(ref.Type) && e.wants(ref.Type) {
			key := ref.Type + "/" + ref.ID
			refs[key] = refs[key] || !res.LastUpdated.Before(e.since)
		}
	}
}

// scan reads the record, of all types and of any age, for its references.
func (e *everythingQuery) scan(ctx context.Context, r *store.Reader) (map[string]bool, error) {
	withheld := e.withheld // it is told on the page that leaves something out
	defer func() { e.withheld = withheld }()
	refs := map[string]bool{}
	mayRead := func(typ string) bool { return e.s.mayRead(e.principal, typ) }
	err := e.walk(ctx, r, time.Time{}, mayRead, func(res *fhir.Resource, n *fhir.Node) { e.refer(refs, res, n) })
	return refs, err
}

// localTarget is the resource of this server that a link leads to. Of the URLs that are
// not references those of attachments count, which lead to Binary resources.
func (s *Service) localTarget(l validate.Link) (fhir.Reference, bool) {
	if l.Kind != validate.LinkReference && l.Kind != validate.LinkURL {
		return fhir.Reference{}, false
	}
	ref := fhir.ParseReference(l.Node.Text, s.baseURL)
	return ref, ref.Local() && (l.Kind == validate.LinkReference || ref.Type == "Binary")
}

// nobodys reports whether a resource is no patient's data, or, being data that has no
// owner of its own, is this patient's by what it names as its security context.
func (e *everythingQuery) nobodys(ctx context.Context, r *store.Reader, res *fhir.Resource) (bool, error) {
	n, err := fhir.Parse(res.Body)
	if err != nil {
		return false, err
	}
	security := fhir.ParseReference(n.Str("securityContext", "reference"), e.s.baseURL)
	if res.Type == "Binary" && security.Local() {
		owner, err := read(ctx, r, security.Type, security.ID)
		switch kind := fhir.KindOf(err); {
		case err != nil && (kind == fhir.NotFound || kind == fhir.Gone):
			return false, nil
		case err != nil:
			return false, err
		}
		owners, err := e.s.patientsOf(owner)
		return err == nil && slices.Equal(owners, []string{e.id}), err
	}
	owners, err := e.s.patientsOf(res)
	return err == nil && len(owners) == 0, err
}

// patientsOf are the ids of the patients whose record a resource is a part of.
func (s *Service) patientsOf(res *fhir.Resource) ([]string, error) {
	if res.Type == "Patient" {
		return []string{res.ID}, nil
	}
	types, err := record()
	if err != nil {
		return nil, err
	}
	for i := range types {
		if types[i].name != res.Type {
			continue
		}
		n, err := fhir.Parse(res.Body)
		if err != nil {
			return nil, err
		}
		rows, err := s.registry.Extract(n, s.zone, s.baseURL)
		if err != nil {
			return nil, err
		}
		return named(rows, types[i].members), nil
	}
	return nil, nil
}
