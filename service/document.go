package service

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/validate"
	"aftercare/service/store"
)

// documentLimit is the most entries of a document.
const documentLimit = 5000

// document is Composition/$document
// (https://hl7.org/fhir/R4/composition-operation-document.html): a Bundle of type document
// that holds the Composition and all that it refers to, directly or through others
// (https://hl7.org/fhir/R4/documents.html). A reference that leads to nothing here is an
// error of kind Unprocessable with its place in the document.
func (s *Service) document(in *invocation) (answering, error) {
	id, err := s.documentArguments(in)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, r *store.Reader) (Answer, error) {
		d := document{s: s, principal: in.principal, known: map[string]bool{}, patients: map[string]bool{}}
		if err := d.collect(ctx, r, id); err != nil {
			return Answer{}, err
		}
		for _, res := range d.entries {
			if err := s.showPast(ctx, res); err != nil {
				return Answer{}, err
			}
		}
		return Answer{Body: d.bytes()}, nil
	}, nil
}

// documentArguments gives the id of the Composition.
func (s *Service) documentArguments(in *invocation) (string, error) {
	if err := in.only("id", "persist", "graph"); err != nil {
		return "", err
	}
	persist, a, err := in.flag("persist")
	if err != nil {
		return "", err
	}
	if persist {
		return "", a.refuse("not-supported", "Documents are not kept: this server does not serve Bundle resources. Leave persist out, or say false.")
	}
	if graph, err := in.one("graph"); err != nil {
		return "", err
	} else if graph != nil {
		return "", graph.refuse("not-supported", "A document holds what its Composition refers to; GraphDefinitions are not followed.")
	}
	text, a, err := in.text("id")
	switch {
	case err != nil:
		return "", err
	case a == nil && in.ID == "":
		return "", fhir.Errorf(fhir.BadRequest, "required", "http.id", "The parameter id is needed: the id of a Composition.")
	case a == nil:
		return in.ID, nil
	case in.ID != "":
		return "", a.refuse("invalid", "The URL names the Composition; the parameter id must be left out.")
	case fhir.ValidID(text):
		return text, nil
	}
	if ref := fhir.ParseReference(text, s.baseURL); ref.Type == "Composition" && ref.Version == "" {
		return ref.ID, nil
	}
	return "", a.refuse("value", "id is the id of a Composition on this server, or its URL.")
}

// document is a document in the making.
type document struct {
	s         *Service
	principal Principal
	// known are the references that have been followed and the versions that are there.
	known   map[string]bool
	entries []*fhir.Resource
	size    room
	// patients are those that the document is about: whose data the Composition itself is
	// or names.
	patients map[string]bool
}

// collect follows references from the Composition on, those of one resource after those
// of the one before it.
func (d *document) collect(ctx context.Context, r *store.Reader, id string) error {
	if !d.s.mayRead(d.principal, "Composition") {
		return forbidden("read", "Composition")
	}
	composition, err := read(ctx, r, "Composition", id)
	if err != nil {
		return err
	}
	if err := d.include(ctx, composition, true); err != nil {
		return err
	}
	for i := 0; i < len(d.entries); i++ {
		n, err := fhir.Parse(d.entries[i].Body)
		if err != nil {
			return err
		}
		for _, l := range d.s.validator.Links(n) {
			if err := d.follow(ctx, r, i, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// include adds a resource that is not there yet. One that the Composition does not name
// itself is left out where it is the data of a patient whom the Composition is not about:
// a link from one patient to the next must not pull in a second record.
func (d *document) include(ctx context.Context, res *fhir.Resource, direct bool) error {
	version := res.Ref() + "/_history/" + strconv.FormatInt(res.Version, 10)
	if d.known[version] {
		return nil
	}
	patients, err := d.s.patientsOf(res)
	if err != nil {
		return err
	}
	for _, id := range patients {
		switch {
		case direct:
			d.patients[id] = true
		case !d.patients[id]:
			return nil
		}
	}
	if len(d.entries) == documentLimit {
		return fhir.Errorf(fhir.Unprocessable, "too-costly", "", "The document would have more than %d entries.", documentLimit)
	}
	if err := d.size.take(ctx, len(res.Body)+entryBytes); err != nil {
		return err
	}
	d.known[version] = true
	d.entries = append(d.entries, res)
	return nil
}

// follow includes what a link of the entry with this index leads to.
func (d *document) follow(ctx context.Context, r *store.Reader, index int, l validate.Link) error {
	ref, local := d.s.localTarget(l)
	place := l.Expression
	if index > 0 {
		_, rest, _ := strings.Cut(place, ".")
		place = fmt.Sprintf("Bundle.entry[%d].resource.%s", index, rest)
	}
	switch {
	case !local && index == 0 && l.Kind == validate.LinkReference && !strings.HasPrefix(ref.URL, "#"):
		return fhir.Errorf(fhir.Unprocessable, "not-supported", place, "This leads to another server, whose resources cannot be put into the document.")
	case !local:
		return nil
	}
	if _, served := fhir.Served(ref.Type); !served {
		return fhir.Errorf(fhir.Unprocessable, "not-found", place, "This leads to a %s, and this server serves none; the document would lack it.", ref.Type)
	}
	key := ref.Type + "/" + ref.ID + "|" + ref.Version
	if d.known[key] {
		return nil
	}
	d.known[key] = true
	if !d.s.mayRead(d.principal, ref.Type) {
		return at(forbidden("read", ref.Type), place)
	}
	res, err := d.read(ctx, r, ref)
	switch kind := fhir.KindOf(err); {
	case err != nil && (kind == fhir.NotFound || kind == fhir.Gone):
		return fhir.Errorf(fhir.Unprocessable, "not-found", place, "The %s that this leads to is not on this server, or was deleted; the document would lack it.", ref.Type)
	case err != nil:
		return err
	}
	return at(d.include(ctx, res, index == 0), place)
}

func (d *document) read(ctx context.Context, r *store.Reader, ref fhir.Reference) (*fhir.Resource, error) {
	if ref.Version != "" {
		return vread(ctx, r, ref.Type, ref.ID, ref.Version)
	}
	return read(ctx, r, ref.Type, ref.ID)
}

// bytes is the Bundle. Its identifier and its time are new each time: what was assembled
// now is not the document that was assembled before. It has no id, as nothing has that is
// not kept (https://hl7.org/fhir/R4/operations.html#response).
func (d *document) bytes() []byte {
	w := members{buf: []byte{'{'}}
	w.text("resourceType", "Bundle")
	w.open("identifier")
	w.text("system", "urn:ietf:rfc:3986")
	w.text("value", "urn:uuid:"+d.s.newID())
	w.close()
	w.text("type", "document")
	w.text("timestamp", d.s.now().UTC().Format(fhir.InstantLayout))
	b := &bundle{buf: w.buf}
	b.grow(int(d.size.used))
	for _, res := range d.entries {
		b.entry(entry{fullURL: d.s.url(res), resource: res.Body})
	}
	return b.bytes()
}
