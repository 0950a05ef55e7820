package service

import (
	"context"
	"net/http"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/careplan"
	"aftercare/service/store"
)

// patients are the ids of the patients that a transaction concerns, in order of first
// mention.
type patients []string

func (p *patients) add(id string) {
	for _, known := range *p {
		if known == id {
			return
		}
	}
	*p = append(*p, id)
}

// touch notes the patients of a resource, if derivations read resources of its type.
func (s *Service) touch(p *patients, typ, id string, rows []search.Row) {
	if typ == careplan.SubjectType {
		p.add(id)
		return
	}
	if !s.protocols.Reads(typ) {
		return
	}
	for _, row := range rows {
		if row.Param.Code == patientParameter && row.System == careplan.SubjectType {
			p.add(row.Value)
		}
	}
}

// patientParameter is the search parameter that ties a resource to its patient; R4 has it
// for every type in the Patient compartment that derivations read, and for Device.
const patientParameter = "patient"

// touchCurrent notes the patients of the version that is about to be replaced: a resource
// may move from one patient to another.
func (s *Service) touchCurrent(ctx context.Context, tx *store.Tx, p *patients, typ, id string) error {
	if typ != careplan.SubjectType && !s.protocols.Reads(typ) {
		return nil
	}
	current, err := tx.Get(ctx, typ, id)
	if err != nil {
		if fhir.KindOf(err) == fhir.NotFound {
			return nil
		}
		return err
	}
	if current.Deleted {
		return nil
	}
	n, err := fhir.Parse(current.Body)
	if err != nil {
		return err
	}
	rows, err := s.registry.Extract(n, s.zone, s.baseURL)
	if err != nil {
		return err
	}
	s.touch(p, typ, id, rows)
	return nil
}

// derive applies the protocols to each patient and stores what has changed. A derivation
// is a function of everything stored for the patient, so it does not matter in which order
// resources arrive, or how often. The notices go to the writes that they concern.
func (s *Service) derive(ctx context.Context, tx *store.Tx, touched patients, out []Written, at time.Time) error {
	for _, id := range touched {
		c, err := s.patientCase(ctx, tx, id, at)
		if err != nil {
			return err
		}
		if len(c.Inputs) == 0 && len(c.Existing) == 0 {
			continue
		}
		result, err := s.protocols.Derive(c)
		if err != nil {
			return err
		}
		if err := s.storePrescribed(ctx, tx, c, result.Resources, at); err != nil {
			return err
		}
		for _, notice := range result.Notices {
			for i := range out {
				if r := out[i].Resource; r != nil && r.Ref() == notice.Procedure {
					out[i].Issues = append(out[i].Issues, notice.Issue)
				}
			}
		}
	}
	return nil
}

// patientCase gathers all that a derivation reads.
func (s *Service) patientCase(ctx context.Context, tx *store.Tx, id string, at time.Time) (careplan.Case, error) {
	c := careplan.Case{Base: s.baseURL, Subject: careplan.SubjectType + "/" + id, At: at}
	patient, err := tx.Get(ctx, careplan.SubjectType, id)
	switch {
	case err == nil && !patient.Deleted:
		source, err := asSource(patient)
		if err != nil {
			return c, err
		}
		c.Patient = &source
	case err != nil && fhir.KindOf(err) != fhir.NotFound:
		return c, err
	}
	for _, typ := range s.protocols.Inputs() {
		if c.Inputs, err = s.ofPatient(ctx, tx, c.Inputs, typ, id, ""); err != nil {
			return c, err
		}
	}
	for _, o := range s.protocols.Outputs() {
		if c.Existing, err = s.ofPatient(ctx, tx, c.Existing, o.Type, id, o.IdentifierSystem); err != nil {
			return c, err
		}
	}
	return c, nil
}

// ofPatient appends the patient's resources of a type; with a system, only those that
// carry an identifier of it.
func (s *Service) ofPatient(ctx context.Context, tx *store.Tx, into []careplan.Source, typ, id, system string) ([]careplan.Source, error) {
	param, ok := s.registry.Lookup(typ, patientParameter)
	if !ok {
		return into, nil
	}
	q := &search.Query{Type: typ, Count: maxCount, Clauses: []search.Clause{{
		Param: param, Values: []search.Value{{System: careplan.SubjectType, Value: id}},
	}}}
	if system != "" {
		identifier, ok := s.registry.Lookup(typ, "identifier")
		if !ok {
			return into, nil
		}
		q.Clauses = append(q.Clauses, search.Clause{Param: identifier, Values: []search.Value{{System: system}}})
	}
	for {
		page, err := tx.Search(ctx, q)
		if err != nil {
			return into, err
		}
		for _, r := range page.Resources {
			source, err := asSource(r)
			if err != nil {
				return into, err
			}
			into = append(into, source)
		}
		if page.Next == "" {
			return into, nil
		}
		q.Cursor = page.Next
	}
}

func asSource(r *fhir.Resource) (careplan.Source, error) {
	n, err := fhir.Parse(r.Body)
	return careplan.Source{Type: r.Type, ID: r.ID, Version: r.Version, Node: n}, err
}

// storePrescribed stores what differs from what is there, and one Provenance for it.
func (s *Service) storePrescribed(ctx context.Context, tx *store.Tx, c careplan.Case, prescribed []careplan.Prescribed, at time.Time) error {
	existing := make(map[string]*fhir.Draft, len(c.Existing))
	for _, e := range c.Existing {
		existing[e.Type+"/"+e.ID] = fhir.NewDraft(e.Node)
	}
	var record provenance
	for _, p := range prescribed {
		n, err := fhir.Parse(p.Body)
		if err != nil {
			return err
		}
		draft := fhir.NewDraft(n)
		if was := existing[p.Type+"/"+p.ID]; was != nil && was.Same(draft) {
			continue
		}
		stored, err := s.putDerived(ctx, tx, n, draft, p.ID, at)
		if err != nil {
			return err
		}
		record.add(stored, p)
	}
	if len(record.targets) == 0 {
		return nil
	}
	n, err := fhir.Parse(record.body(at))
	if err != nil {
		return err
	}
	_, err = s.putDerived(ctx, tx, n, fhir.NewDraft(n), s.newID(), at)
	return err
}

func (s *Service) putDerived(ctx context.Context, tx *store.Tx, n *fhir.Node, d *fhir.Draft, id string, at time.Time) (*fhir.Resource, error) {
	rows, err := s.registry.Extract(n, s.zone, s.baseURL)
	if err != nil {
		return nil, err
	}
	return tx.Put(ctx, d, id, at, http.MethodPut, rows)
}
