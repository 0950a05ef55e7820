package service

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store"

	"github.com/go-json-experiment/json/jsontext"
)

// meta is $meta (https://hl7.org/fhir/R4/resource-operation-meta.html): the meta of a
// resource or of one of its versions, or all profiles, tags and security labels that are
// in use for a type or in the whole store.
func (s *Service) meta(in *invocation) (answering, error) {
	if err := in.only(); err != nil {
		return nil, err
	}
	if in.Type != "" && !s.mayRead(in.principal, in.Type) {
		return nil, forbidden("read", in.Type)
	}
	return func(ctx context.Context, r *store.Reader) (Answer, error) {
		var res *fhir.Resource
		var err error
		switch {
		case in.ID == "":
			return s.labelsInUse(ctx, r, in)
		case in.Version != "":
			res, err = vread(ctx, r, in.Type, in.ID, in.Version)
		default:
			res, err = read(ctx, r, in.Type, in.ID)
		}
		if err != nil {
			return Answer{}, err
		}
		if err := s.showPast(ctx, res); err != nil {
			return Answer{}, err
		}
		return metaAnswer(res)
	}, nil
}

// metaWritten is the answer of an operation that has changed a resource's meta: what the meta is now,
// as far as the caller may read it.
func metaWritten(w Written) (Answer, error) {
	if w.Hidden {
		return Answer{Body: newParameters().bytes(), Resource: w.Resource}, nil
	}
	return metaAnswer(w.Resource)
}

func metaAnswer(res *fhir.Resource) (Answer, error) {
	meta, err := metaOf(res.Body)
	if err != nil {
		return Answer{}, err
	}
	p := newParameters()
	p.add("return", "valueMeta", meta)
	return Answer{Body: p.bytes(), Resource: res}, nil
}

// metaOf cuts the meta out of a stored resource, where it comes third: what follows it is
// not read.
func metaOf(body []byte) ([]byte, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(body))
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		isMeta := name.String() == "meta"
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		if isMeta {
			return value.Clone(), nil
		}
	}
	return nil, errors.New("a stored resource has no meta")
}

// labelScan is how many resources a summary of labels reads at most: there is no index of
// all labels.
const labelScan = 200_000

// labelsInUse is $meta of a type or of the system.
func (s *Service) labelsInUse(ctx context.Context, r *store.Reader, in *invocation) (Answer, error) {
	found := labels{}
	scanned := 0
	for _, t := range fhir.StoredTypes() {
		if in.Type != "" && in.Type != t.Name || !s.mayRead(in.principal, t.Name) {
			continue
		}
		q := &search.Query{Type: t.Name, Count: maxCount}
		for more := true; more; more = q.Cursor != "" {
			page, err := r.Search(ctx, q, nil)
			if err != nil {
				return Answer{}, err
			}
			if scanned += len(page.Resources); scanned > labelScan {
				return Answer{}, fhir.Errorf(fhir.Unprocessable, "too-costly", "", "There are more than %d resources to look at; ask for a type that has fewer.", labelScan)
			}
			for _, res := range page.Resources {
				meta, err := metaOf(res.Body)
				if err != nil {
					return Answer{}, err
				}
				n, err := fhir.Parse(meta)
				if err != nil {
					return Answer{}, err
				}
				found.add(n)
			}
			q.Cursor = page.Next
		}
	}
	p := newParameters()
	p.add("return", "valueMeta", found.bytes())
	return Answer{Body: p.bytes()}, nil
}

// labelLists are the elements of Meta that $meta-add and $meta-delete are about.
var labelLists = []string{"profile", "security", "tag"}

// labels are sets of profiles, security labels and tags, by element, in the order in which
// they were found.
type labels map[string]*labelSet

type labelSet struct {
	seen map[string]bool
	raw  [][]byte
}

// labelKey is what makes a label the same as another: its system and code, or the whole
// URL of a profile. Version and display do not count.
func labelKey(n *fhir.Node) string {
	if n.Kind == fhir.Object {
		return n.Str("system") + "\x00" + n.Str("code")
	}
	return n.Text
}

func (l labels) add(meta *fhir.Node) {
	for _, name := range labelLists {
		for _, n := range meta.Each(name) {
			set := l[name]
			if set == nil {
				set = &labelSet{seen: map[string]bool{}}
				l[name] = set
			}
			if key := labelKey(n); !set.seen[key] {
				set.seen[key] = true
				set.raw = append(set.raw, n.Raw)
			}
		}
	}
}

// noLabels is the Meta for no labels: an empty object is not valid JSON of FHIR.
const noLabels = `{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"not-applicable"}]}`

func (l labels) bytes() []byte {
	if len(l) == 0 {
		return []byte(noLabels)
	}
	w := members{buf: []byte{'{'}}
	for _, name := range labelLists {
		if set := l[name]; set != nil {
			w.raw(name, list(set.raw))
		}
	}
	w.close()
	return w.buf
}

// list is a JSON array of values.
func list(values [][]byte) []byte {
	return append(append([]byte{'['}, bytes.Join(values, []byte{','})...), ']')
}

// metaAdd is $meta-add (https://hl7.org/fhir/R4/resource-operation-meta-add.html).
func (s *Service) metaAdd(in *invocation) (*write, error) {
	return s.changeMeta(in, func(current, given []*fhir.Node) []*fhir.Node {
		seen := map[string]bool{}
		for _, n := range current {
			seen[labelKey(n)] = true
		}
		for _, n := range given {
			if key := labelKey(n); !seen[key] {
				seen[key] = true
				current = append(current, n)
			}
		}
		return current
	})
}

// metaDelete is $meta-delete (https://hl7.org/fhir/R4/resource-operation-meta-delete.html).
func (s *Service) metaDelete(in *invocation) (*write, error) {
	return s.changeMeta(in, func(current, given []*fhir.Node) []*fhir.Node {
		gone := map[string]bool{}
		for _, n := range given {
			gone[labelKey(n)] = true
		}
		var kept []*fhir.Node
		for _, n := range current {
			if !gone[labelKey(n)] {
				kept = append(kept, n)
			}
		}
		return kept
	})
}

// changeMeta is the write of a version in which change has been applied to each list of
// labels, and nothing else is different. Where that changes nothing there is no new version.
func (s *Service) changeMeta(in *invocation, change func(current, given []*fhir.Node) []*fhir.Node) (*write, error) {
	if err := s.permit(&in.principal, interaction{"update", in.Type, in.ID}); err != nil {
		return nil, err
	}
	given, err := in.labels()
	if err != nil {
		return nil, err
	}
	return &write{method: http.MethodPatch, typ: in.Type, id: in.ID, when: in.When, change: func(current *fhir.Resource) (*fhir.Node, error) {
		n, err := relabel(current.Body, given, change)
		if err != nil {
			return nil, err
		}
		return n, s.check(n, in.Type, "")
	}}, nil
}

// labels is the parameter meta, which has to name labels and nothing else.
func (in *invocation) labels() (*fhir.Node, error) {
	if err := in.only("meta"); err != nil {
		return nil, err
	}
	a, err := in.one("meta")
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, fhir.Errorf(fhir.BadRequest, "required", "Parameters.parameter", "The parameter meta is needed, with a valueMeta.")
	}
	meta, err := a.object("Meta")
	if err != nil {
		return nil, err
	}
	for _, m := range meta.Members { // one at least: the body is valid
		if !slices.Contains(labelLists, m.Name) {
			return nil, fhir.Errorf(fhir.BadRequest, "not-supported", a.place+".value", "Of meta only profile, security and tag can be added and deleted.")
		}
		for _, n := range m.Value.Each() {
			if n.Kind == fhir.Null || n.Kind == fhir.Object && n.Get("code") == nil {
				return nil, fhir.Errorf(fhir.BadRequest, "required", a.place+".value."+m.Name, "A tag or security label is told by its system and code; one has no code.")
			}
		}
	}
	return meta, nil
}

// relabel writes a resource anew with its lists of labels changed.
func relabel(body []byte, given *fhir.Node, change func(current, given []*fhir.Node) []*fhir.Node) (*fhir.Node, error) {
	n, err := fhir.Parse(body)
	if err != nil {
		return nil, err
	}
	meta := n.Get("meta")
	w := members{buf: []byte{'{'}}
	for _, m := range meta.Members {
		if !slices.Contains(labelLists, m.Name) {
			w.raw(m.Name, m.Value.Raw)
		}
	}
	for _, name := range labelLists {
		var raw [][]byte
		for _, label := range change(meta.Each(name), given.Each(name)) {
			raw = append(raw, label.Raw)
		}
		if raw != nil {
			w.raw(name, list(raw))
		}
	}
	w.close()
	start := meta.Start - n.Start
	out := append([]byte{}, n.Raw[:start]...)
	out = append(append(out, w.buf...), n.Raw[start+len(meta.Raw):]...)
	return fhir.Parse(out)
}
