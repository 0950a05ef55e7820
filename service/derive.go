package service

import (
	"context"
	"net/http"
	"slices"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/careplan"
	"aftercare/service/store"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// patients are those that a transaction concerns.
type patients struct {
	ids []string // in order of first mention
	// named tells of each whether it is concerned through a resource that derivations
	// read, and not only through the Patient resource.
	named map[string]bool
	// links are the Patients that a Patient resource was or is linked with.
	links map[string][]string
	// deleted are the derived resources that it deletes.
	deleted []fhir.Reference
	// planned tells of each whether plans may change, and looks are at the reports of pain.
	planned map[string]bool
	looks   map[string]look
	// atHand takes the anchors that are good once the transaction is committed, by patient; it may be nil.
	atHand map[string]knownAnchors
}

// link notes that two Patients are linked, or were: what is derived may move between them.
func (p *patients) link(a, b string) {
	if p.links == nil {
		p.links = map[string][]string{}
	}
	p.add(a, true)
	p.add(b, true)
	p.links[a], p.links[b] = append(p.links[a], b), append(p.links[b], a)
}

func (p *patients) add(id string, named bool) {
	was, known := p.named[id]
	if !known {
		p.ids = append(p.ids, id)
	}
	if p.named == nil {
		p.named, p.planned = map[string]bool{}, map[string]bool{}
	}
	p.named[id], p.planned[id] = was || named, true
}

// touch notes the patients of a resource, if derivations read resources of its type or have
// written this one: what a person does with a plan or a Task has to be followed.
func (s *Service) touch(p *patients, typ, id string, rows []search.Row) {
	if typ == careplan.SubjectType {
		p.add(id, false)
		p.lookAtAll(id)
		for _, row := range rows {
			if row.Param.Code == linkParameter && row.System == careplan.SubjectType {
				p.link(id, row.Value)
				p.lookAtAll(row.Value)
			}
		}
		return
	}
	reads, wrote := s.protocols.Reads(typ), s.wrote(typ, rows)
	reports := s.reportsIn(typ, id, rows, wrote)
	for _, row := range rows {
		if row.Param.Code != patientParameter || row.System != careplan.SubjectType {
			continue
		}
		if reads || wrote {
			p.add(row.Value, true)
		}
		if reads {
			p.lookAtAll(row.Value)
		}
		p.lookAt(row.Value, reports)
	}
}

// wrote reports whether a resource is one that derivations write, by its identifier.
func (s *Service) wrote(typ string, rows []search.Row) bool {
	for _, o := range s.protocols.Outputs() {
		if o.Type == typ && slices.ContainsFunc(rows, func(row search.Row) bool {
			return row.Param.Code == "identifier" && row.System == o.IdentifierSystem
		}) {
			return true
		}
	}
	return false
}

// patientParameter is the search parameter that ties a resource to its patient; R4 has it
// for every type in the Patient compartment that derivations read, and for Device.
const patientParameter = "patient"

// touchCurrent notes the patients of the version that is about to be replaced: a resource
// may move from one patient to another.
func (s *Service) touchCurrent(ctx context.Context, r *store.Reader, p *patients, typ, id string) error {
	if !s.concernsCases(typ) {
		return nil
	}
	current, err := r.Get(ctx, typ, id)
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
func (s *Service) derive(ctx context.Context, tx *store.Tx, touched patients, out []Written, at time.Time, sure sure) error {
	answers, done := answers{out: out}, map[string]bool{}
	for _, id := range touched.ids {
		if ahead, ok := sure.derived(id); ok {
			answers.tell(ahead.notices)
			continue
		}
		if !touched.named[id] && sure.quiet(id) {
			continue
		}
		if look, planned := touched.lookOf(person{records: []string{id}}); !planned && !look.all {
			stored, notices, ok, err := s.deriveReports(ctx, tx, touched, id, look, at)
			if err != nil {
				return err
			}
			if ok {
				answers.replace(stored)
				answers.tell(notices)
				continue
			}
		}
		who, err := s.person(ctx, &tx.Reader, id)
		if err != nil {
			return err
		}
		if done[who.record] {
			continue
		}
		done[who.record] = true
		look, _ := touched.lookOf(who)
		c, err := s.patientCase(ctx, &tx.Reader, who, touched.links, look, at)
		if err != nil {
			return err
		}
		if c.Deleted, err = s.justDeleted(ctx, &tx.Reader, who, touched.deleted); err != nil {
			return err
		}
		stored, notices, err := s.deriveCase(ctx, tx, who, c)
		if err != nil {
			return err
		}
		answers.replace(stored)
		answers.tell(notices)
	}
	return nil
}

// deriveCase derives for one patient, and stores and returns what has changed.
func (s *Service) deriveCase(ctx context.Context, tx *store.Tx, who person, c careplan.Case) ([]*fhir.Resource, []careplan.Notice, error) {
	if len(c.Inputs) == 0 && len(c.Existing) == 0 {
		return nil, nil, nil
	}
	c, result, err := s.settled(ctx, &tx.Reader, who, c)
	if err != nil {
		return nil, nil, err
	}
	stored, err := s.storePrescribed(ctx, tx, c, result.Resources)
	return stored, result.Notices, err
}

// prescribed is what the protocols prescribe in a case. Faults of the engine go to the log.
func (s *Service) prescribed(ctx context.Context, c *careplan.Case) (careplan.Result, error) {
	if within := trace.SpanFromContext(ctx); within.IsRecording() {
		_, span := within.TracerProvider().Tracer(tracerName).Start(ctx, "careplan.derive", trace.WithAttributes(attribute.Int("careplan.inputs", len(c.Inputs))))
		defer span.End()
	}
	result, err := s.protocols.Derive(*c)
	s.logFaults(ctx, result)
	return result, err
}

func (s *Service) logFaults(ctx context.Context, result careplan.Result) {
	for _, fault := range result.Faults {
		s.log.ErrorContext(ctx, "a care plan could not be derived", "error", fault)
	}
}

// answers are what the writes of a transaction are answered with.
type answers struct {
	out []Written
	// places are the positions of the writes by resource, filled in when they are needed first.
	places map[string]int
}

func (a *answers) to(ref string) *Written {
	if a.places == nil {
		a.places = map[string]int{}
		for i := range a.out {
			if r := a.out[i].Resource; r != nil {
				a.places[r.Ref()] = i
			}
		}
	}
	if i, ok := a.places[ref]; ok {
		return &a.out[i]
	}
	return nil
}

// tell gives notices to the writes that they concern.
func (a *answers) tell(notices []careplan.Notice) {
	for _, notice := range notices {
		if w := a.to(notice.Procedure); w != nil {
			w.Issues = append(w.Issues, notice.Issue)
		}
	}
}

// replace gives the writes of what a derivation has changed again the version that is current
// now, for the sender to go on from.
func (a *answers) replace(stored []*fhir.Resource) {
	for _, r := range stored {
		if w := a.to(r.Ref()); w != nil {
			w.Resource = r
		}
	}
}

// involved reports whether anything that derivations read or write names the patient.
func (s *Service) involved(ctx context.Context, r *store.Reader, id string) (bool, error) {
	return r.Named(ctx, s.ofCases, careplan.SubjectType, id)
}

// caseParameters are the search parameters that tie what derivations read and write to its
// patient.
func (k *knowledge) caseParameters() []*search.Parameter {
	types := slices.Clone(k.protocols.Inputs())
	for _, o := range k.protocols.Outputs() {
		types = append(types, o.Type)
	}
	slices.Sort(types)
	var out []*search.Parameter
	if p, ok := k.registry.Lookup(careplan.SubjectType, linkParameter); ok {
		out = append(out, p)
	}
	for _, typ := range slices.Compact(types) {
		if p, ok := k.registry.Lookup(typ, patientParameter); ok {
			out = append(out, p)
		}
	}
	return out
}

// outcome is a prescribed resource that differs from what is there.
type outcome struct {
	careplan.Prescribed
	draft *fhir.Draft
	was   *careplan.Source // what exists with its id, nil for nothing
}

func outcomes(c careplan.Case, prescribed []careplan.Prescribed) []outcome {
	existing := make(map[string]*careplan.Source, len(c.Existing))
	for i, e := range c.Existing {
		existing[e.Type+"/"+e.ID] = &c.Existing[i]
	}
	var out []outcome
	for _, p := range prescribed {
		draft, was := fhir.NewDraft(p.Node), existing[p.Type+"/"+p.ID]
		if was == nil || !fhir.NewDraft(was.Node).Same(draft) {
			out = append(out, outcome{p, draft, was})
		}
	}
	return out
}

// storePrescribed stores what differs from what is there, and one Provenance for it. It returns
// what differs.
func (s *Service) storePrescribed(ctx context.Context, tx *store.Tx, c careplan.Case, prescribed []careplan.Prescribed) ([]*fhir.Resource, error) {
	differ := outcomes(c, prescribed)
	if len(differ) == 0 {
		return nil, nil
	}
	var record provenance
	var all []*fhir.Resource
	for _, o := range differ {
		put := tx.Put
		if o.was == nil && !slices.ContainsFunc(c.Deleted, func(d careplan.Source) bool { return d.Type == o.Type && d.ID == o.ID }) {
			put = tx.Create // settled has looked for it
		}
		stored, err := s.putDerived(ctx, put, o.Node, o.draft, o.ID, c.At)
		if err != nil {
			return nil, err
		}
		all = append(all, stored)
		record.add(stored, o, s.protocols)
	}
	n, err := fhir.Parse(record.body(c.At, s.software))
	if err != nil {
		return nil, err
	}
	_, err = s.putDerived(ctx, tx.Create, n, fhir.NewDraft(n), s.newID(), c.At)
	return all, err
}

// putDerived stores a resource by Tx.Put, or by Tx.Create where there is none with that id.
func (s *Service) putDerived(ctx context.Context, put putting, n *fhir.Node, d *fhir.Draft, id string, at time.Time) (*fhir.Resource, error) {
	rows, err := s.registry.Extract(n, s.zone, s.baseURL)
	if err != nil {
		return nil, err
	}
	return put(ctx, d, id, at, http.MethodPut, rows)
}

type putting func(ctx context.Context, d *fhir.Draft, id string, at time.Time, method string, rows []search.Row) (*fhir.Resource, error)
