package service

import (
	"context"
	"fmt"
	"strings"

	"aftercare/fhir"
	"aftercare/service/careplan"
	"aftercare/service/store"
)

// interpret answers Observation/[id]/$interpret: the candidate causes of a stored report of pain by
// the records of now. Nothing is stored.
func (s *Service) interpret(in *invocation) (answering, error) {
	if err := in.only(); err != nil {
		return nil, err
	}
	for _, typ := range append(s.caseTypes(), in.Type) {
		if !s.mayReadWhole(in.principal, typ) {
			return nil, forbidden("read", typ)
		}
	}
	return func(ctx context.Context, r *store.Reader) (Answer, error) {
		stored, err := read(ctx, r, in.Type, in.ID)
		if err != nil {
			return Answer{}, err
		}
		trailOf(ctx).shows(stored)
		report, err := asSource(stored)
		if err != nil {
			return Answer{}, err
		}
		id := s.patientOf(report.Node)
		if id == "" {
			return Answer{Body: fhir.Outcome(s.protocols.Issue("pain-no-surgery"))}, nil
		}
		who, err := s.wholePerson(ctx, &in.principal, r, id, s.caseTypes())
		if err != nil {
			return Answer{}, err
		}
		c, err := s.patientCase(ctx, r, who, nil, look{}, s.now())
		if err != nil {
			return Answer{}, err
		}
		return s.interpreted(c, report)
	}, nil
}

// patientOf is the id of the Patient here that a report is about, "" for none.
func (s *Service) patientOf(report *fhir.Node) string {
	ref := fhir.ParseReference(report.Str("subject", "reference"), s.baseURL)
	if ref.Type != careplan.SubjectType || !ref.Local() {
		return ""
	}
	return ref.ID
}

// subjectOf is the subject of a resource as Type/id if it is one here, else as it is written.
func (s *Service) subjectOf(n *fhir.Node) string {
	written := n.Str("subject", "reference")
	if ref := fhir.ParseReference(written, s.baseURL); ref.Local() {
		return ref.Type + "/" + ref.ID
	}
	return written
}

// sentParameter is a parameter of $interpret-pain.
type sentParameter struct {
	name, typ string
	needed    bool
	several   bool
}

type sentParameters []sentParameter

var interpretParameters = sentParameters{
	{"observation", "Observation", true, false}, {"procedure", "Procedure", true, true},
	{"device", "Device", false, true}, {"body-structure", "BodyStructure", false, true},
}

func (ps sentParameters) names() (names []string) {
	for _, p := range ps {
		names = append(names, p.name)
	}
	return names
}

// interpretSent answers [base]/$interpret-pain: the candidate causes of a report of pain by the
// records that are sent with it. Nothing is read and nothing is stored.
func (s *Service) interpretSent(in *invocation) (answering, error) {
	if err := in.only(interpretParameters.names()...); err != nil {
		return nil, err
	}
	c := careplan.Case{Base: s.baseURL, At: s.now()}
	var report careplan.Source
	var places []string // of the inputs
	for _, p := range interpretParameters {
		all := in.all(p.name)
		if p.needed && len(all) == 0 {
			return nil, fhir.Errorf(fhir.BadRequest, "required", "Parameters", "Send at least one %s as the parameter %s.", p.typ, p.name)
		}
		if !p.several && len(all) > 1 {
			return nil, all[1].refuse("invalid", "The parameter %s is given more than once.", p.name)
		}
		for i, a := range all {
			if a.typ != resourceType {
				return nil, a.refuse("value", "%s is a %s, sent by POST as a resource.", p.name, p.typ)
			}
			if err := s.check(a.node, p.typ, a.place); err != nil {
				return nil, err
			}
			source := careplan.Source{Type: p.typ, ID: a.node.Str("id"), Node: a.node}
			if source.ID == "" {
				source.ID = fmt.Sprintf("%s-%d", p.name, i+1)
			}
			if p.typ == "Observation" {
				report = source
			} else {
				c.Inputs, places = append(c.Inputs, source), append(places, a.place)
			}
		}
	}
	for i, source := range c.Inputs {
		for _, other := range c.Inputs[:i] {
			if other.Type == source.Type && other.ID == source.ID {
				return nil, fhir.Errorf(fhir.BadRequest, "duplicate", "Parameters", "Two %s resources have the same id.", source.Type)
			}
		}
	}
	c.Subject = s.subjectOf(report.Node)
	for i, source := range c.Inputs {
		of := s.subjectOf(source.Node)
		if c.Subject == "" {
			c.Subject = of
		}
		if of != "" && of != c.Subject {
			issue := s.protocols.Issue("pain-same-subject")
			issue.Expression = []string{places[i]}
			return nil, &fhir.Error{Kind: fhir.Unprocessable, Issues: []fhir.Issue{issue}}
		}
	}
	if !mayBePatient(c.Subject) {
		return nil, fhir.Errorf(fhir.BadRequest, "required", "Parameters", "The subject of the report and of the operations is a reference to a Patient, such as Patient/1.")
	}
	return func(context.Context, *store.Reader) (Answer, error) { return s.interpreted(c, report) }, nil
}

// mayBePatient reports that a reference is to a Patient, here or elsewhere, or that what is sent has
// a name of its own for it, as in a Bundle
// (https://hl7.org/fhir/R4/bundle.html#references, urn:uuid and urn:oid).
func mayBePatient(ref string) bool {
	if strings.HasPrefix(ref, "urn:uuid:") || strings.HasPrefix(ref, "urn:oid:") {
		return true
	}
	elsewhere, there, _ := strings.Cut(ref, "://")
	if i := strings.LastIndex(there, "/"+careplan.SubjectType+"/"); (elsewhere == "https" || elsewhere == "http") && i > 0 {
		ref = there[i+1:]
	}
	return fhir.ParseReference(ref, "").Type == careplan.SubjectType
}

// interpreted is a Bundle with what there is to say, or an OperationOutcome where nothing is
// interpreted. Its entries are stored nowhere, so their fullUrls are of this answer alone
// (https://hl7.org/fhir/R4/bundle.html#bundle-unique).
func (s *Service) interpreted(c careplan.Case, report careplan.Source) (Answer, error) {
	impressions, issues, err := s.protocols.Interpreted(c, report)
	if err != nil {
		return Answer{}, err
	}
	if len(impressions) == 0 {
		return Answer{Body: fhir.Outcome(issues...)}, nil
	}
	if len(issues) > 0 {
		impressions = append(impressions, fhir.Outcome(issues...))
	}
	body := []byte(`{"resourceType":"Bundle","type":"collection","entry":[`)
	for i, one := range impressions {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(append(append(body, `{"fullUrl":"urn:uuid:`+s.newID()+`","resource":`...), one...), '}')
	}
	return Answer{Body: append(body, "]}"...)}, nil
}
