package service

import (
	"context"
	"slices"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/careplan"
	"aftercare/service/course"
	"aftercare/service/course/chart"
	"aftercare/service/store"
)

// courseLimit is how many reports of pain one answer of $pain-course is made from at most: a trend
// compares each with each.
const courseLimit = 1000

// courseTypes are the types of resources that a course is made from.
var courseTypes = []string{careplan.SubjectType, "Observation", "CarePlan", "Procedure", "BodyStructure"}

// painCourse is Patient/[id]/$pain-course: the reports of pain of a patient as series, as
// definitions/OperationDefinition-Patient-pain-course.json says, or drawn.
func (s *Service) painCourse(in *invocation) (answering, error) {
	filter, err := s.courseFilter(in)
	if err != nil {
		return nil, err
	}
	for _, typ := range courseTypes {
		if !s.mayReadWhole(in.principal, typ) {
			return nil, forbidden("read", typ)
		}
	}
	return func(ctx context.Context, r *store.Reader) (Answer, error) {
		patient, err := read(ctx, r, in.Type, in.ID)
		if err != nil {
			return Answer{}, err
		}
		trailOf(ctx).shows(patient)
		c, err := s.courseCase(ctx, &in.principal, r, in.ID, filter)
		if err != nil {
			return Answer{}, err
		}
		found := s.pain.Of(c, filter)
		if in.Format != "" {
			body, err := chart.Draw(found, s.pain.Words(), in.Format)
			return Answer{Body: body, Format: in.Format}, err
		}
		body, err := found.Parameters()
		return Answer{Body: body}, err
	}, nil
}

func (s *Service) courseFilter(in *invocation) (f course.Filter, err error) {
	if err = in.only("start", "end", "code", "site"); err != nil {
		return f, err
	}
	for name, into := range map[string]*time.Time{"start": &f.Start, "end": &f.End} {
		text, a, err := in.text(name)
		if err != nil {
			return f, err
		}
		if a == nil {
			continue
		}
		if *into, err = time.Parse(time.DateOnly, text); err != nil {
			return f, a.refuse("value", "%s is a date, such as 2026-03-02.", name)
		}
	}
	if !f.Start.IsZero() && !f.End.IsZero() && f.End.Before(f.Start) {
		return f, fhir.Errorf(fhir.BadRequest, "value", "http.end", "The end is before the start.")
	}
	for name, into := range map[string]*[]course.Coding{"code": &f.Codes, "site": &f.Sites} {
		for _, a := range in.all(name) {
			c, err := codingOf(a)
			if err != nil {
				return f, err
			}
			*into = append(*into, course.Coding{System: c.system, Code: c.code})
		}
	}
	for i, c := range f.Codes {
		if !slices.ContainsFunc(s.pain.Scales(), func(o course.Coding) bool { return o.System == c.System && o.Code == c.Code }) {
			return f, in.all("code")[i].refuse("code-invalid", "This code is no scale of pain here; the ValueSet pain-scales has those that are.")
		}
	}
	return f, nil
}

// courseCase gathers what a course is made from, of all records of the person.
func (s *Service) courseCase(ctx context.Context, p *Principal, r *store.Reader, id string, f course.Filter) (course.Case, error) {
	c := course.Case{Base: s.baseURL, Records: map[string]*fhir.Node{}}
	who, err := s.wholePerson(ctx, p, r, id, courseTypes)
	if err != nil {
		return c, err
	}
	for _, record := range who.records {
		plans, err := s.ofPatient(ctx, r, nil, "CarePlan", record, "")
		if err != nil {
			return c, err
		}
		for _, p := range plans {
			if s.protocols.Made(p) {
				c.Plans = append(c.Plans, course.Record{Ref: p.Type + "/" + p.ID, Version: p.Version, Node: p.Node})
			}
		}
		for _, typ := range []string{"Procedure", "BodyStructure"} {
			found, err := s.ofPatient(ctx, r, nil, typ, record, "")
			if err != nil {
				return c, err
			}
			for _, one := range found {
				c.Records[one.Type+"/"+one.ID] = one.Node
			}
		}
		if err := s.painOf(ctx, r, &c, record, f); err != nil {
			return c, err
		}
	}
	return c, nil
}

// painOf adds the reports of pain of one Patient. The time is that of the search parameter date,
// a day wider, since the filter goes by local dates.
func (s *Service) painOf(ctx context.Context, r *store.Reader, c *course.Case, patient string, f course.Filter) error {
	q := &search.Query{Type: "Observation", Count: maxCount}
	add := func(name string, values ...search.Value) error {
		p, err := s.needed("Observation", name)
		if err == nil {
			q.Clauses = append(q.Clauses, search.Clause{Param: p, Values: values})
		}
		return err
	}
	var codes []search.Value
	scales := f.Codes
	if len(scales) == 0 {
		scales = s.pain.Scales()
	}
	for _, scale := range scales {
		codes = append(codes, search.Value{System: scale.System, Value: scale.Code})
	}
	if err := add(patientParameter, search.Value{System: careplan.SubjectType, Value: patient}); err != nil {
		return err
	}
	if err := add("code", codes...); err != nil {
		return err
	}
	const day = 24 * time.Hour
	if !f.Start.IsZero() {
		at := search.Micros(f.Start.Add(-day))
		if err := add("date", search.Value{Prefix: search.Gt, Low: at, High: at}); err != nil {
			return err
		}
	}
	if !f.End.IsZero() {
		at := search.Micros(f.End.Add(2 * day))
		if err := add("date", search.Value{Prefix: search.Lt, Low: at, High: at}); err != nil {
			return err
		}
	}
	for more := true; more; more = q.Cursor != "" {
		page, err := r.Search(ctx, q, s.rows)
		if err != nil {
			return err
		}
		for _, res := range page.Resources {
			n, err := fhir.Parse(res.Body)
			if err != nil {
				return err
			}
			trailOf(ctx).shows(res)
			c.Observations = append(c.Observations, course.Record{Ref: res.Ref(), Version: res.Version, Node: n})
		}
		if len(c.Observations) > courseLimit {
			return fhir.Errorf(fhir.Unprocessable, "too-costly", "", "There are more than %d reports of pain; ask for a shorter time or one code.", courseLimit)
		}
		q.Cursor = page.Next
	}
	return nil
}

// needed is a search parameter that an operation cannot do without.
func (s *Service) needed(typ, name string) (*search.Parameter, error) {
	p, ok := s.registry.Lookup(typ, name)
	if !ok {
		return nil, fhir.Errorf(fhir.Unprocessable, "not-supported", "", "This operation needs the search parameter %s.%s, which is not switched on.", typ, name)
	}
	return p, nil
}
