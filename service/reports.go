package service

import (
	"context"
	"maps"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/careplan"
	"aftercare/service/store"
)

// maxReports limits how many reports of pain of a patient are interpreted again when an operation
// or another record changes: the latest. What was made of earlier ones stays as it is.
const maxReports = 1000

// look says which reports of pain of a patient are looked at by a derivation. The zero value is none.
type look struct {
	all bool
	// refs are reports that were written, or of which something made of them was, as
	// "Observation/id"; true for one of which nothing can have been made yet.
	refs map[string]bool
}

func (l look) list() []string { return slices.Sorted(maps.Keys(l.refs)) }

func (p *patients) lookAtAll(id string) {
	if p.looks == nil {
		p.looks = map[string]look{}
	}
	l := p.looks[id]
	l.all = true
	p.looks[id] = l
}

// lookAt notes reports of a patient, and the patient with them.
func (p *patients) lookAt(id string, refs []string) {
	if len(refs) == 0 {
		return
	}
	if _, known := p.named[id]; !known {
		p.add(id, true)
		p.planned[id] = false
	}
	if p.looks == nil {
		p.looks = map[string]look{}
	}
	l := p.looks[id]
	if l.refs == nil {
		l.refs = map[string]bool{}
	}
	for _, ref := range refs {
		l.refs[ref] = false
	}
	p.looks[id] = l
}

// isNew notes that a report was stored under an id that was never used.
func (p *patients) isNew(ref string) {
	for _, l := range p.looks {
		if _, looked := l.refs[ref]; looked {
			l.refs[ref] = true
		}
	}
}

// lookOf is what is looked at for a person, and whether its plans may change.
func (p *patients) lookOf(who person) (l look, planned bool) {
	l.refs = map[string]bool{}
	for _, id := range who.records {
		planned = planned || p.planned[id]
		l.all = l.all || p.looks[id].all
		maps.Copy(l.refs, p.looks[id].refs)
	}
	return l, planned
}

// reportParameters are the search parameter that ties reports of pain to their patient, and their
// codes; none where there are no rules for them.
func (k *knowledge) reportParameters() (*search.Parameter, map[careplan.ReportCode]bool) {
	codes := map[careplan.ReportCode]bool{}
	for _, c := range k.protocols.ReportCodes() {
		codes[c] = true
	}
	p, ok := k.registry.Lookup(careplan.ReportType, patientParameter)
	if !ok || len(codes) == 0 {
		return nil, nil
	}
	return p, codes
}

// ofReport are the search parameters by which what is made of a report of pain is found.
var ofReport = map[string]string{"ClinicalImpression": "investigation", "Task": "focus", "DetectedIssue": "implicated"}

// reportsIn are the reports of pain that a resource is, or was made of.
func (s *Service) reportsIn(typ, id string, rows []search.Row, made bool) (refs []string) {
	if s.ofReports == nil {
		return nil
	}
	for _, row := range rows {
		switch {
		case typ == careplan.ReportType && row.Param.Code == "code" && s.reportCodes[careplan.ReportCode{System: row.System, Code: row.Value}]:
			return []string{typ + "/" + id}
		case made && row.Param.Code == ofReport[typ] && row.System == careplan.ReportType:
			refs = append(refs, careplan.ReportType+"/"+row.Value)
		}
	}
	return refs
}

// addReports adds to a case the reports of pain that are looked at, and what was made of them.
func (s *Service) addReports(ctx context.Context, r *store.Reader, c *careplan.Case, who person, look look) (err error) {
	if s.ofReports == nil || !look.all && len(look.refs) == 0 {
		return nil
	}
	if look.all {
		if err := s.addAllReports(ctx, r, c, who); err != nil {
			return err
		}
	}
	have := map[string]bool{}
	for _, report := range c.Reports {
		have[report.Type+"/"+report.ID] = true
	}
	for _, ref := range look.list() {
		if !have[ref] {
			c.Looked = append(c.Looked, ref)
			if err := s.addReport(ctx, r, c, who, ref, look.all || look.refs[ref]); err != nil {
				return err
			}
		}
	}
	return nil
}

// addAllReports adds the latest reports of a person, and all that was made of reports.
func (s *Service) addAllReports(ctx context.Context, r *store.Reader, c *careplan.Case, who person) error {
	c.AllReports = true
	for _, id := range who.records {
		more, err := s.latestReports(ctx, r, c, id)
		if err != nil {
			return err
		}
		c.AllReports = c.AllReports && !more
		for _, o := range s.protocols.Outputs() {
			if !o.OfReport {
				continue
			}
			if c.Existing, err = s.ofPatient(ctx, r, c.Existing, o.Type, id, o.IdentifierSystem); err != nil {
				return err
			}
		}
	}
	for _, report := range c.Reports {
		c.Looked = append(c.Looked, report.Type+"/"+report.ID)
	}
	return nil
}

// latestReports adds reports of a Patient up to the limit, and reports whether there are more.
func (s *Service) latestReports(ctx context.Context, r *store.Reader, c *careplan.Case, patient string) (more bool, err error) {
	q := &search.Query{Type: careplan.ReportType, Count: maxCount, Clauses: []search.Clause{{
		Param: s.ofReports, Values: []search.Value{{System: careplan.SubjectType, Value: patient}},
	}}}
	code, err := s.needed(careplan.ReportType, "code")
	if err != nil {
		return false, err
	}
	of := search.Clause{Param: code}
	for _, c := range s.protocols.ReportCodes() {
		of.Values = append(of.Values, search.Value{System: c.System, Value: c.Code})
	}
	q.Clauses = append(q.Clauses, of)
	date, err := s.needed(careplan.ReportType, "date")
	if err != nil {
		return false, err
	}
	q.Sort = []search.SortKey{{Param: date, Descending: true}}
	for {
		page, err := r.Search(ctx, q, s.rows)
		if err != nil {
			return false, err
		}
		for _, found := range page.Resources {
			if len(c.Reports) == s.maxReports {
				return true, nil
			}
			source, err := asSource(found)
			if err != nil {
				return false, err
			}
			c.Reports = append(c.Reports, source)
		}
		if page.Next == "" {
			return false, nil
		}
		q.Cursor = page.Next
	}
}

// addReport adds one report, if it is there and of the person, and what was made of it unless alone.
func (s *Service) addReport(ctx context.Context, r *store.Reader, c *careplan.Case, who person, ref string, alone bool) error {
	target := fhir.ParseReference(ref, "")
	stored, err := r.Get(ctx, target.Type, target.ID)
	if err != nil && fhir.KindOf(err) != fhir.NotFound {
		return err
	}
	if err == nil && !stored.Deleted {
		source, err := asSource(stored)
		if err != nil {
			return err
		}
		if slices.Contains(who.records, s.patientOf(source.Node)) {
			c.Reports = append(c.Reports, source)
		}
	}
	if alone {
		return nil
	}
	from := len(c.Existing)
	for _, o := range s.protocols.Outputs() {
		by, ok := ofReport[o.Type]
		if !o.OfReport || !ok {
			continue
		}
		if c.Existing, err = s.madeOf(ctx, r, c.Existing, who, o, by, ref); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for _, made := range c.Existing[from:] {
		if made.Type != "ClinicalImpression" && made.Type != "Task" || seen[made.ID] {
			continue
		}
		seen[made.ID] = true
		flag, err := r.Get(ctx, "Flag", made.ID) // all three have one id
		switch {
		case err != nil && fhir.KindOf(err) != fhir.NotFound:
			return err
		case err == nil && !flag.Deleted:
			source, err := asSource(flag)
			if err != nil {
				return err
			}
			c.Existing = append(c.Existing, source)
		}
	}
	return nil
}

// madeOf appends what was made of a report.
func (s *Service) madeOf(ctx context.Context, r *store.Reader, into []careplan.Source, who person, o careplan.Output, by, ref string) ([]careplan.Source, error) {
	param, err := s.needed(o.Type, by)
	if err != nil {
		return into, err
	}
	identifier, err := s.needed(o.Type, "identifier")
	if err != nil {
		return into, err
	}
	patient, err := s.needed(o.Type, patientParameter)
	if err != nil {
		return into, err
	}
	of := search.Clause{Param: patient}
	for _, id := range who.records {
		of.Values = append(of.Values, search.Value{System: careplan.SubjectType, Value: id})
	}
	target := fhir.ParseReference(ref, "")
	page, err := r.Search(ctx, &search.Query{Type: o.Type, Count: maxCount, Clauses: []search.Clause{
		{Param: param, Values: []search.Value{{System: target.Type, Value: target.ID}}},
		{Param: identifier, Values: []search.Value{{System: o.IdentifierSystem}}}, of,
	}}, nil)
	if err != nil {
		return into, err
	}
	for _, found := range page.Resources {
		source, err := asSource(found)
		if err != nil {
			return into, err
		}
		into = append(into, source)
	}
	return into, nil
}
