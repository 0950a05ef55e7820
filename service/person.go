package service

import (
	"context"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/careplan"
	"aftercare/service/store"
)

// linkParameter is the search parameter on Patient.link.other.
const linkParameter = "link"

// maxRecords is how many Patient resources may be linked as one person. A write that would make more
// is refused, since each derivation looks at all of them.
const maxRecords = 500

// person is one that has several Patient resources, where some are replaced by others
// (https://hl7.org/fhir/R4/patient.html#links).
type person struct {
	// record is the id of the Patient that is used.
	record string
	// records are the ids of all that it stands for, itself among them, sorted.
	records []string
}

// person finds out which Patient is used in place of another: the one that the links replaced-by
// and replaces lead to. A Patient from which they lead to several, or in a circle, stands for
// itself, since nobody can say who takes its place. The error is of kind Unprocessable where there
// are more than maxRecords.
func (s *Service) person(ctx context.Context, r *store.Reader, id string) (person, error) {
	to := map[string][]string{} // who takes the place of whom
	add := func(from, by string) {
		if from != by && !slices.Contains(to[from], by) {
			to[from] = append(to[from], by)
		}
	}
	seen := map[string]bool{id: true}
	for queue := []string{id}; len(queue) > 0; queue = queue[1:] {
		if len(seen) > maxRecords {
			return person{}, fhir.Errorf(fhir.Unprocessable, "too-costly", "Patient.link", "More than %d Patients are linked as one person. Take out links that are not meant.", maxRecords)
		}
		nodes, err := s.linked(ctx, r, queue[0])
		if err != nil {
			return person{}, err
		}
		for _, n := range nodes {
			own := n.Str("id")
			for _, link := range n.Each("link") {
				ref := fhir.ParseReference(link.Str("other", "reference"), s.baseURL)
				if ref.Type != careplan.SubjectType || !ref.Local() {
					continue
				}
				switch link.Str("type") {
				case "replaced-by":
					add(own, ref.ID)
				case "replaces":
					add(ref.ID, own)
				default:
					continue
				}
				for _, other := range []string{own, ref.ID} {
					if !seen[other] {
						seen[other] = true
						queue = append(queue, other)
					}
				}
			}
		}
	}
	used := func(from string) string {
		at := from
		for range len(seen) + 1 {
			switch len(to[at]) {
			case 0:
				return at
			case 1:
				at = to[at][0]
			default:
				return from
			}
		}
		return from
	}
	p := person{record: used(id)}
	for other := range seen {
		if used(other) == p.record {
			p.records = append(p.records, other)
		}
	}
	slices.Sort(p.records)
	return p, nil
}

// linked are a Patient and those that have a link to it.
func (s *Service) linked(ctx context.Context, r *store.Reader, id string) ([]*fhir.Node, error) {
	var nodes []*fhir.Node
	own, err := r.Get(ctx, careplan.SubjectType, id)
	switch {
	case err == nil && !own.Deleted:
		n, err := fhir.Parse(own.Body)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	case err != nil && fhir.KindOf(err) != fhir.NotFound:
		return nil, err
	}
	param, ok := s.registry.Lookup(careplan.SubjectType, linkParameter)
	if !ok {
		return nodes, nil
	}
	q := &search.Query{Type: careplan.SubjectType, Count: maxCount, Clauses: []search.Clause{{
		Param: param, Values: []search.Value{{System: careplan.SubjectType, Value: id}},
	}}}
	for {
		page, err := r.Search(ctx, q, nil)
		if err != nil {
			return nil, err
		}
		for _, found := range page.Resources {
			n, err := fhir.Parse(found.Body)
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, n)
		}
		if page.Next == "" {
			return nodes, nil
		}
		q.Cursor = page.Next
	}
}
