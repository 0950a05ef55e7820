package service

import (
	"context"
	"net/http"

	"aftercare/fhir"
	"aftercare/service/careplan"
	"aftercare/service/store"
)

// derivedAhead is a derivation that is done, its new resources staged.
type derivedAhead struct {
	notices []careplan.Notice
	// rests are the resources, as "Type/id", that it has read.
	rests []string
}

// deriveAhead derives for the patients that the staged resources concern, from what is stored
// and what is staged, and stages what is new. It leaves to the transaction the patients of
// whom something else is written too, and those of whom derived resources change.
func (s *Service) deriveAhead(ctx context.Context, a *ahead) error {
	var touched, unsettled patients
	staged := map[string][]careplan.Source{} // by patient, in the order of staging
	reports := map[string][]careplan.Source{}
	bySubject := map[string]*fhir.Resource{}
	var news []store.New
	if err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
		touched, unsettled, news = patients{}, patients{}, nil
		for i, w := range a.found.ws {
			if _, done := a.done[i]; done || a.found.finds(i) || !s.concernsCases(w.typ) {
				continue
			}
			if a.found.late[i] {
				return nil // nobody knows yet whom it is about
			}
			if err := s.touchCurrent(ctx, r, &unsettled, w.typ, a.found.id(i)); err != nil {
				return err
			}
			if c := a.found.contents[i]; c != nil {
				s.touch(&unsettled, w.typ, a.found.id(i), c.rows)
			}
		}
		if err := s.eachPut(a.found.ws, func(i int, w *write) error {
			done, ok := a.done[i]
			if !ok {
				if !a.found.finds(i) {
					return nil
				}
				return s.touchCurrent(ctx, r, &touched, w.typ, a.found.id(i))
			}
			rows := a.found.contents[i].rows
			s.touch(&touched, w.typ, w.id, rows)
			if !done.Created {
				return nil
			}
			if w.typ == careplan.SubjectType {
				bySubject[w.id] = done.Resource
			}
			for _, row := range rows {
				if row.Param.Code != patientParameter || row.System != careplan.SubjectType {
					continue
				}
				if s.prescribes(w.typ) {
					unsettled.add(row.Value, true)
				}
				report := len(s.reportsIn(w.typ, w.id, rows, false)) > 0
				if !report && !s.protocols.Reads(w.typ) {
					continue
				}
				source, err := asSource(done.Resource)
				if err != nil {
					return err
				}
				if report {
					reports[row.Value] = append(reports[row.Value], source)
				} else {
					staged[row.Value] = append(staged[row.Value], source)
				}
			}
			return nil
		}); err != nil {
			return err
		}
		for _, id := range touched.ids {
			if _, other := unsettled.named[id]; other || !touched.named[id] && a.quiet[id] {
				continue
			}
			who, err := s.person(ctx, r, id)
			if err != nil {
				return err
			}
			if len(who.records) > 1 || len(touched.links[id]) > 0 {
				continue // what there is may move from one to another
			}
			look, _ := touched.lookOf(who)
			more, err := s.deriveOne(ctx, r, a, who, look, staged[id], reports[id], bySubject[id])
			if err != nil {
				return err
			}
			news = append(news, more...)
		}
		return nil
	}); err != nil {
		return err
	}
	stored, err := s.stageMore(ctx, a, news)
	for _, r := range stored {
		a.refs = append(a.refs, r.Ref())
	}
	return err
}

// concernsCases reports whether resources of a type may change what is derived.
func (s *Service) concernsCases(typ string) bool {
	return typ == careplan.SubjectType || s.protocols.Reads(typ) || s.prescribes(typ) || typ == careplan.ReportType
}

// prescribes reports whether derivations write resources of a type.
func (s *Service) prescribes(typ string) bool {
	for _, o := range s.protocols.Outputs() {
		if o.Type == typ {
			return true
		}
	}
	return false
}

// deriveOne derives for one patient. subject is the Patient resource if that is staged.
func (s *Service) deriveOne(ctx context.Context, r *store.Reader, a *ahead, who person, look look, staged, reports []careplan.Source, subject *fhir.Resource) ([]store.New, error) {
	c, err := s.patientCase(ctx, r, who, nil, look, a.at)
	if err != nil {
		return nil, err
	}
	c.Reports = append(c.Reports, reports...)
	c.Looked = append(c.Looked, look.list()...)
	d := derivedAhead{rests: []string{c.Subject}}
	for _, source := range c.Inputs {
		d.rests = append(d.rests, source.Type+"/"+source.ID)
	}
	for _, source := range c.Reports {
		d.rests = append(d.rests, source.Type+"/"+source.ID)
	}
	for _, source := range c.Existing {
		d.rests = append(d.rests, source.Type+"/"+source.ID)
	}
	if subject != nil {
		source, err := asSource(subject)
		if err != nil {
			return nil, err
		}
		c.Patient = &source
	}
	c.Inputs = inOrder(s.protocols.Inputs(), c.Inputs, staged)
	if len(c.Inputs) == 0 && len(c.Existing) == 0 {
		return nil, nil
	}
	result, err := s.prescribed(ctx, &c)
	if err != nil {
		return nil, err
	}
	differ := outcomes(c, result.Resources)
	var news []store.New
	add := func(n *fhir.Node, id string) error {
		rows, err := s.registry.Extract(n, s.zone, s.baseURL)
		news = append(news, store.New{Draft: fhir.NewDraft(n), ID: id, Method: http.MethodPut, Rows: rows})
		return err
	}
	var record provenance
	for _, o := range differ {
		known, err := r.Known(ctx, o.Type, o.ID)
		if err != nil || known || o.was != nil {
			return nil, err // an update, which is for the transaction
		}
		if err := add(o.Node, o.ID); err != nil {
			return nil, err
		}
		record.add(&fhir.Resource{Type: o.Type, ID: o.ID, Version: 1}, o, s.protocols)
	}
	if len(differ) > 0 {
		n, err := fhir.Parse(record.body(a.at, s.software))
		if err != nil {
			return nil, err
		}
		if err := add(n, s.newID()); err != nil {
			return nil, err
		}
	}
	d.notices = result.Notices
	a.cases[who.record] = d
	return news, nil
}

// inOrder puts the staged resources of each type behind the stored ones, as they will be.
func inOrder(types []string, stored, staged []careplan.Source) []careplan.Source {
	var out []careplan.Source
	for _, typ := range types {
		for _, list := range [][]careplan.Source{stored, staged} {
			for _, source := range list {
				if source.Type == typ {
					out = append(out, source)
				}
			}
		}
	}
	return out
}
