package service

import (
	"context"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/course/chart"
	"aftercare/service/store"
)

// Operation is a named operation (https://hl7.org/fhir/R4/operations.html). The list of
// them is what the routes, the CapabilityStatement and Operate go by.
type Operation struct {
	// Name stands in the URL after "$".
	Name string
	// Definition is the canonical URL of the OperationDefinition.
	Definition string
	// Types are the resource types that it is offered for; none means every served type.
	Types []string
	// OnSystem, OnType, OnInstance and OnVersion are the levels that it is offered at:
	// [base]/$name, [base]/Type/$name, [base]/Type/id/$name and
	// [base]/Type/id/_history/version/$name.
	OnSystem, OnType, OnInstance, OnVersion bool
	// Limits tells what of the operation is not offered; "" where all is. It stands in the
	// CapabilityStatement.
	Limits string
	// Resources are the names of its in-parameters that are resources. Where there is one, a POST
	// may have that resource for its body (https://hl7.org/fhir/R4/operations.html#request).
	Resources []string
	// Formats are the media types that it answers in besides FHIR JSON.
	Formats []string
	// Changes tells that it changes what is stored, so that it takes POST alone; the
	// others take GET too.
	Changes bool
	// Proves tells that it is about the tree over the auditor's log, and not there where none is kept.
	Proves bool

	// One of these is set. read reads the parameters of a call and gives what is left to
	// do on one state of the store; change gives the write that a call comes to, whose
	// answer is the meta that the resource then has; act gives what takes several states of
	// the store, and so cannot be part of a transaction.
	read   func(*Service, *invocation) (answering, error)
	change func(*Service, *invocation) (*write, error)
	act    func(*Service, *invocation) (acting, error)
}

// acting makes an answer by itself.
type acting func(ctx context.Context) (Answer, error)

// answering makes an answer from one state of the store. It may run more than once, since
// a transaction may.
type answering func(ctx context.Context, r *store.Reader) (Answer, error)

// OfferedFor reports whether the operation can be asked of a resource type.
func (o *Operation) OfferedFor(typ string) bool {
	if len(o.Types) == 0 {
		t, _ := fhir.Served(typ)
		return !t.Logged || o.Changes // what changes something is refused as what it is
	}
	return slices.Contains(o.Types, typ)
}

var operations = []Operation{
	{
		Name: "everything", Definition: "http://hl7.org/fhir/OperationDefinition/Patient-everything",
		Types: []string{"Patient"}, OnInstance: true, read: (*Service).everything,
	},
	{
		Name: "pain-course", Definition: fhir.Canonical + "/OperationDefinition/Patient-pain-course",
		Types: []string{"Patient"}, OnInstance: true, read: (*Service).painCourse, Formats: []string{chart.SVG, chart.PNG},
		Limits: "Of at most 1000 reports of pain. It answers in FHIR JSON, and drawn in image/svg+xml or image/png.",
	},
	{
		Name: "lastn", Definition: "http://hl7.org/fhir/OperationDefinition/Observation-lastn",
		Types: []string{"Observation"}, OnType: true, read: (*Service).lastN,
	},
	{
		Name: "stats", Definition: "http://hl7.org/fhir/OperationDefinition/Observation-stats",
		Types: []string{"Observation"}, OnType: true, read: (*Service).stats,
		Limits: "The statistic regression is refused.",
	},
	{
		Name: "explain", Definition: fhir.Canonical + "/OperationDefinition/CarePlan-explain",
		Types: []string{"CarePlan"}, OnInstance: true, OnVersion: true, read: (*Service).explain,
		Limits: "It explains the records and definitions of now, also for an earlier version of a plan.",
	},
	{
		Name: "extract", Definition: "http://hl7.org/fhir/uv/sdc/OperationDefinition/QuestionnaireResponse-extract",
		Types: []string{"QuestionnaireResponse"}, OnType: true, OnInstance: true, Resources: []string{responseParameter}, read: (*Service).extract,
		Limits: "By observation, as the Questionnaire says; the Questionnaire must be stored here. The answer is the Bundle alone, of type transaction.",
	},
	{
		Name: "interpret", Definition: fhir.Canonical + "/OperationDefinition/Observation-interpret",
		Types: []string{"Observation"}, OnInstance: true, read: (*Service).interpret,
	},
	{
		Name: "interpret-pain", Definition: fhir.Canonical + "/OperationDefinition/interpret-pain",
		OnSystem: true, Resources: interpretParameters.names(), read: (*Service).interpretSent,
		Limits: "It looks at what is sent and at nothing that is stored.",
	},
	{
		Name: "document", Definition: "http://hl7.org/fhir/OperationDefinition/Composition-document",
		Types: []string{"Composition"}, OnType: true, OnInstance: true, read: (*Service).document,
		Limits: "Documents are not kept: persist=true is refused. So is graph, and a Composition on another server.",
	},
	{
		Name: "meta", Definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta",
		OnSystem: true, OnType: true, OnInstance: true, OnVersion: true, read: (*Service).meta,
	},
	{
		Name: "meta-add", Definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta-add",
		OnInstance: true, Changes: true, change: (*Service).metaAdd,
	},
	{
		Name: "meta-delete", Definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta-delete",
		OnInstance: true, Changes: true, change: (*Service).metaDelete,
	},
	{
		Name: "proof", Definition: fhir.Canonical + "/OperationDefinition/AuditEvent-proof",
		Types: []string{eventType}, OnInstance: true, Proves: true, act: (*Service).prove,
	},
	{
		Name: "checkpoint", Definition: fhir.Canonical + "/OperationDefinition/AuditEvent-checkpoint",
		Types: []string{eventType}, OnType: true, Proves: true, act: (*Service).newestCheckpoint,
	},
	{
		Name: "consistency", Definition: fhir.Canonical + "/OperationDefinition/AuditEvent-consistency",
		Types: []string{eventType}, OnType: true, Proves: true, act: (*Service).consistency,
	},
	{
		Name: "completeness", Definition: fhir.Canonical + "/OperationDefinition/AuditEvent-completeness",
		Types: []string{eventType}, OnType: true, Proves: true, act: (*Service).completeness,
		Limits: "At most 1000 records; not in a Bundle.",
	},
}

// Operations lists what Operate offers. The caller must not change the list.
func Operations() []Operation { return operations }

// OperationRequest is one call of an operation.
type OperationRequest struct {
	// Name is the operation's, without "$".
	Name string
	// Type, ID and Version are "" at the levels that lack them.
	Type, ID, Version string
	// Pairs are the parameters of the URL.
	Pairs []search.Pair
	// Body is a Parameters resource, or empty.
	Body []byte
	// When are the preconditions of an operation that changes a resource.
	When Preconditions
	// Format is one of the operation's Formats, "" for FHIR JSON.
	Format string
	// Lenient leaves unknown search parameters out of $lastn, with a warning each.
	Lenient bool
}

// Answer is what an operation returns.
type Answer struct {
	// Body is a resource: the one that the operation returns, or Parameters; or what Format says.
	Body []byte
	// Format is the media type of Body, "" for FHIR JSON.
	Format string
	// Resource is the version that the answer tells of, nil where it tells of none.
	Resource *fhir.Resource
}

// Operate runs an operation. The error's kind is NotFound for an operation that is not
// offered there, and BadRequest for a parameter that is unknown, missing, repeated or of
// the wrong form; the place of a parameter is "Parameters.parameter[n]" or, in a URL,
// "http.name".
func (s *Service) Operate(ctx context.Context, p Principal, q OperationRequest) (Answer, error) {
	var out Answer
	err := s.interact(ctx, p, interaction{"operation", q.Type, q.ID}, func(ctx context.Context) error {
		if t := trailOf(ctx); t != nil {
			t.record.Operation = q.Name
		}
		c, err := s.prepare(p, q)
		if err != nil {
			return err
		}
		if c.act != nil {
			return s.orDown(ctx, s.bounded(ctx, func(ctx context.Context) (err error) {
				out, err = c.act(ctx)
				return err
			}))
		}
		if c.write == nil {
			return s.view(ctx, &p, searching, func(ctx context.Context, r *store.Reader) (err error) {
				out, err = c.read(ctx, r)
				return err
			})
		}
		w, err := s.commitOne(ctx, &p, c.write)
		if err != nil {
			return err
		}
		out, err = metaWritten(w)
		return err
	})
	return out, err
}

// prepared is a call whose parameters have been read: a write, something to read, or something to do.
type prepared struct {
	write *write
	read  answering
	act   acting
}

// prepare reads a call as far as that goes without the store.
func (s *Service) prepare(p Principal, q OperationRequest) (c prepared, err error) {
	o, err := offered(&q)
	if err != nil {
		return c, err
	}
	in := &invocation{OperationRequest: q, principal: p}
	if in.arguments, err = s.arguments(q.Pairs, q.Body, o.Resources); err != nil {
		return c, err
	}
	switch {
	case o.act != nil:
		c.act, err = o.act(s, in)
	case o.Changes:
		c.write, err = o.change(s, in)
	default:
		c.read, err = o.read(s, in)
	}
	return c, err
}

func offered(q *OperationRequest) (*Operation, error) {
	for i := range operations {
		o := &operations[i]
		if o.Name != q.Name || q.Type != "" && !o.OfferedFor(q.Type) {
			continue
		}
		switch {
		case q.Type == "" && o.OnSystem,
			q.Type != "" && q.ID == "" && o.OnType,
			q.ID != "" && q.Version == "" && o.OnInstance,
			q.Version != "" && o.OnVersion:
			return o, nil
		}
	}
	return nil, fhir.Errorf(fhir.NotFound, "not-supported", "", "This server does not offer that operation here; [base]/metadata lists where it offers which.")
}

// invocation is a call of an operation with its parameters read.
type invocation struct {
	OperationRequest
	principal Principal
	arguments
}

// mayRead reports whether the caller may have resources of a type in an answer.
func (s *Service) mayRead(p Principal, typ string) bool { return s.may(&p, typ, searching) }

// mayReadWhole reports whether the caller may have all resources of a type that a patient has in an
// answer, and not only those that a scope is narrowed to.
func (s *Service) mayReadWhole(p Principal, typ string) bool {
	return s.may(&p, typ, searching) && s.mayWhole(&p, typ, searching)
}
