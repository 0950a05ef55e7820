package service

import (
	"context"
	"fmt"
	"slices"

	"aftercare/fhir"
)

// Prefer is the return preference of a request
// (https://hl7.org/fhir/R4/http.html#ops): "minimal", "representation",
// "OperationOutcome", or "" for none stated.
type Prefer string

// Process runs a transaction, whose entries succeed or fail together, or a batch, whose
// entries stand alone (https://hl7.org/fhir/R4/http.html#transaction). The response's
// entries are in the order of the request's.
func (s *Service) Process(ctx context.Context, p Principal, body []byte, prefer Prefer) ([]byte, error) {
	n, err := fhir.Parse(body)
	if err != nil {
		return nil, err
	}
	if n.Kind != fhir.Object || n.Str("resourceType") != "Bundle" {
		return nil, fhir.Errorf(fhir.BadRequest, "structure", "", "The base URL takes a Bundle of type transaction or batch.")
	}
	kind := n.Str("type")
	if kind != "transaction" && kind != "batch" {
		return nil, fhir.Errorf(fhir.BadRequest, "value", "Bundle.type", "The base URL takes a Bundle of type transaction or batch.")
	}
	var out []byte
	err = s.interact(ctx, p, interaction{code: kind}, func(ctx context.Context) error {
		if len(n.Each("entry")) > s.maxEntries {
			return fhir.Errorf(fhir.TooLarge, "too-long", "Bundle.entry", "A Bundle may have %d entries at most.", s.maxEntries)
		}
		// First the Bundle, then what is asked, then the resources.
		outline, entries := withoutResources(n), s.entries(n)
		s.limitResources(entries)
		if kind == "batch" { // an entry's failure is its own affair
			if err := s.failAlone(outline, entries); err != nil {
				return err
			}
			s.failDependent(entries)
			out = s.batch(ctx, p, entries, prefer)
			return nil
		}
		issues := slices.DeleteFunc(s.validator.Resource(outline, ""), func(i fhir.Issue) bool {
			return onlyResource(n, i) // the entry itself is asked for its request below
		})
		if len(issues) > 0 {
			return &fhir.Error{Kind: fhir.BadRequest, Issues: issues}
		}
		for i := range entries {
			if entries[i].err != nil {
				return inEntry(entries[i].err, entries[i].place)
			}
		}
		if issues := s.validator.Resource(n, ""); len(issues) > 0 {
			return &fhir.Error{Kind: fhir.BadRequest, Issues: issues}
		}
		var err error
		out, err = s.transaction(ctx, p, entries, prefer)
		return err
	})
	return out, err
}

// limitResources fails the entries whose resource is larger than one that comes alone may be.
func (s *Service) limitResources(entries []request) {
	for i := range entries {
		r := &entries[i]
		if r.err == nil && r.resource != nil && s.maxResource > 0 && int64(len(r.resource.Raw)) > s.maxResource {
			r.err = fhir.Errorf(fhir.TooLarge, "too-long", r.place+".resource", "The resource is larger than the %d bytes that one may have.", s.maxResource)
		}
	}
}

// onlyResource reports whether an issue is that of an entry which has a resource and
// nothing else, and so is empty without it.
func onlyResource(bundle *fhir.Node, issue fhir.Issue) bool {
	for i, item := range bundle.Each("entry") {
		if len(item.Members) == 1 && item.Members[0].Name == "resource" &&
			slices.Contains(issue.Expression, fmt.Sprintf("Bundle.entry[%d]", i)) {
			return true
		}
	}
	return false
}

// withoutResources is a Bundle as it is, but for the resources in its entries.
func withoutResources(bundle *fhir.Node) *fhir.Node {
	return withMembers(bundle, func(m fhir.Member) (fhir.Member, bool) {
		if m.Name == "entry" && m.Value.Kind == fhir.Array {
			array := *m.Value
			array.Items = slices.Clone(array.Items)
			for i, item := range array.Items {
				array.Items[i] = withMembers(item, func(m fhir.Member) (fhir.Member, bool) { return m, m.Name != "resource" })
			}
			m.Value = &array
		}
		return m, true
	})
}

// withMembers is a node with the members that change gives and wants kept.
func withMembers(n *fhir.Node, change func(fhir.Member) (m fhir.Member, keep bool)) *fhir.Node {
	out := *n
	out.Members = nil
	for _, m := range n.Members {
		if m, keep := change(m); keep {
			out.Members = append(out.Members, m)
		}
	}
	return &out
}
