package service

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/fhir/validate"
	"aftercare/service/permission"
	"aftercare/service/store"
)

// write is one create, update or delete on its way into the store.
type write struct {
	method  string // POST, PUT, PATCH or DELETE
	typ, id string // the id that the resource has, or gets if it is new
	// entry is the place of a Bundle entry, "Bundle.entry[3]", or "".
	entry   string
	fullURL string
	// trail is that of the entry, nil for a write that came alone.
	trail *Trail
	// node is the resource as received, checked; nil for DELETE, and for a PATCH whose
	// change has not been applied.
	node  *fhir.Node
	links []validate.Link
	// change is what a PATCH does; nil for the other methods. base is the version that
	// node was made from.
	change change
	base   int64
	// kept are the links that were there before the change. They mean what they meant when they
	// were stored, whatever the entries of the Bundle are called.
	kept map[string]bool
	// condition is the query of a conditional interaction, nil without one: for POST
	// If-None-Exist, else the query of the URL, whose match stands in for id.
	condition *search.Query
	when      Preconditions
}

// change makes the next version of a resource from the current one: it applies a patch, and
// refuses a result that is not valid. It may run more than once, and must not depend on
// anything else.
type change func(current *fhir.Resource) (*fhir.Node, error)

// changed is w with the content that its change makes of the current version; w itself
// where its content was made of that version. w stays as it is.
func (s *Service) changed(w *write, current *fhir.Resource) (*write, error) {
	if w.node != nil && w.base == current.Version && w.node.Str("id") == current.ID {
		return w, nil
	}
	if err := w.when.hold(current); err != nil {
		return nil, err
	}
	if err := s.mayChange(current); err != nil {
		return nil, err
	}
	n, err := w.change(current)
	if err != nil {
		return nil, err
	}
	out := *w
	out.node, out.links, out.base = n, s.validator.Links(n), current.Version
	if out.kept = nil; w.entry != "" {
		out.kept, err = s.linksOf(current)
	}
	return &out, err
}

// linksOf are the links of a stored resource, as they are written.
func (s *Service) linksOf(r *fhir.Resource) (map[string]bool, error) {
	n, err := fhir.Parse(r.Body)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, l := range s.validator.Links(n) {
		if l.Kind != validate.LinkNarrative {
			out[l.Node.Text] = true
			continue
		}
		for _, target := range narrativeTargets(l.Node.Text) {
			out[target] = true
		}
	}
	return out, nil
}

// ref is "Type/id".
func (w *write) ref() string { return w.typ + "/" + w.id }

// content is a write's resource with its references resolved, ready to be stored.
type content struct {
	draft *fhir.Draft
	rows  []search.Row
	// local are the references to resources of this server, with their places.
	local []localReference
}

type localReference struct {
	typ, id, place string
}

// check refuses a resource that is not valid R4 (kind BadRequest), that is only a part, or
// whose measured value is outside its scale (both of kind Unprocessable); at is the place in
// a Bundle or "".
func (s *Service) check(n *fhir.Node, typ, at string) error {
	place := at
	if place == "" {
		place = typ
	}
	if n.Kind != fhir.Object {
		return fhir.Errorf(fhir.BadRequest, "structure", place, "A resource is a JSON object.")
	}
	switch got := n.Str("resourceType"); {
	case got == "":
		return fhir.Errorf(fhir.BadRequest, "structure", place+".resourceType", "The resource has no resourceType.")
	case got != typ:
		return fhir.Errorf(fhir.BadRequest, "structure", place+".resourceType", "The resourceType is not %s, which the URL asks for.", typ)
	}
	if issues := s.validator.Resource(n, at); len(issues) > 0 {
		return &fhir.Error{Kind: fhir.BadRequest, Issues: issues}
	}
	if err := isWhole(n, place); err != nil {
		return err
	}
	return s.checkScale(n, at)
}

func (s *Service) checkScale(n *fhir.Node, at string) error {
	if issues := s.scales.Check(n, at); len(issues) > 0 {
		return &fhir.Error{Kind: fhir.Unprocessable, Issues: issues}
	}
	return nil
}

// ofAnswers are the parameters that say which part of the matches an answer gives, and how. In a
// condition they would hide matches, or say nothing.
var ofAnswers = []string{"_count", "_cursor", "_total", "_summary", "_elements", "_sort", "_include", "_revinclude", "_contained", "_containedType", "_score"}

// condition parses the query of a conditional interaction
// (https://hl7.org/fhir/R4/http.html#ccreate), nil for "". The error is of kind BadRequest.
func (s *Service) condition(typ, query string) (*search.Query, error) {
	if query == "" {
		return nil, nil
	}
	pairs, err := search.ParsePairs(strings.TrimPrefix(query, "?"))
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		if name, _, _ := strings.Cut(p.Name, ":"); slices.Contains(ofAnswers, name) {
			return nil, fhir.Errorf(fhir.BadRequest, "not-supported", "http."+name, "A condition looks at all matches, so %s cannot be a part of it; leave it out.", name)
		}
	}
	o := search.Options{
		Expand:   func(string) ([]search.Value, error) { return nil, errTermsInCondition() },
		Subsumed: func(string, string, bool) ([]search.Value, error) { return nil, errTermsInCondition() },
	}
	s.complete(&o, false)
	q, _, err := s.registry.Parse(typ, pairs, o)
	if err != nil {
		return nil, err
	}
	if len(q.Clauses) == 0 {
		return nil, fhir.Errorf(fhir.BadRequest, "required", "", "A condition needs at least one search parameter, such as identifier.")
	}
	q.Count = 2
	return q, nil
}

func errTermsInCondition() error {
	return fhir.Errorf(fhir.BadRequest, "not-supported", "", "Which codes a ValueSet or CodeSystem has may change while the condition is looked at; list the codes in it")
}

// match runs a condition among what the caller may see: nil for no match, an error of kind
// PreconditionFailed for several.
func (s *Service) match(ctx context.Context, by *Principal, r *store.Reader, q *search.Query) (*fhir.Resource, error) {
	page, err := s.as(by, r, searching).Search(ctx, q, nil)
	switch {
	case err != nil:
		return nil, err
	case len(page.Resources) > 1 || page.Next != "": // a page of two may end after one large resource
		return nil, fhir.Errorf(fhir.PreconditionFailed, "multiple-matches", "", "More than one %s meets the condition; make it more exact.", q.Type)
	case len(page.Resources) == 0:
		return nil, nil
	}
	return page.Resources[0], nil
}

// put stores the content of a create, an update or a patch under id. That of a create was made
// for it.
func (s *Service) put(ctx context.Context, tx *store.Tx, by *Principal, w *write, id string, c *content, at time.Time) (Written, error) {
	if w.method == http.MethodPost {
		if err := w.when.hold(nil); err != nil {
			return Written{}, err
		}
		stored, err := tx.Create(ctx, c.draft, id, at, w.method, c.rows)
		if err != nil {
			return Written{}, err
		}
		return Written{Resource: stored, Created: true, Changed: true}, nil
	}
	if err := s.mayReplace(ctx, &tx.Reader, by, w.typ, id); err != nil {
		return Written{}, err
	}
	current, err := tx.Get(ctx, w.typ, id)
	switch kind := fhir.KindOf(err); {
	case err != nil && kind != fhir.NotFound:
		return Written{}, err
	case err != nil:
		current = nil
	}
	exists := current != nil && !current.Deleted
	if err := w.when.hold(current); err != nil {
		return Written{}, err
	}
	if exists {
		same, err := sameContent(current, c.draft.WithID(id))
		if err != nil {
			return Written{}, err
		}
		if same {
			return Written{Resource: current}, nil
		}
	}
	stored, err := tx.Put(ctx, c.draft, id, at, w.method, c.rows)
	if err != nil {
		return Written{}, err
	}
	return Written{Resource: stored, Created: !exists, Changed: true}, nil
}

func sameContent(current *fhir.Resource, d *fhir.Draft) (bool, error) {
	n, err := fhir.Parse(current.Body)
	if err != nil {
		return false, err
	}
	return fhir.NewDraft(n).Same(d), nil
}

// remove stores a deletion. Deleting what is not there succeeds and changes nothing
// (https://hl7.org/fhir/R4/http.html#delete).
func (s *Service) remove(ctx context.Context, tx *store.Tx, by *Principal, w *write, id string, at time.Time) (Written, error) {
	current, err := s.as(by, &tx.Reader, permission.Delete).Get(ctx, w.typ, id)
	switch kind := fhir.KindOf(err); {
	case err != nil && kind != fhir.NotFound:
		return Written{}, err
	case err != nil:
		return Written{}, w.when.hold(nil)
	}
	if err := w.when.hold(current); err != nil {
		return Written{}, err
	}
	if current.Deleted {
		return Written{Resource: current}, nil
	}
	gone, err := tx.Delete(ctx, w.typ, id, at, http.MethodDelete)
	if err != nil {
		return Written{}, err
	}
	return Written{Resource: gone, Changed: true}, nil
}
