package service

import (
	"context"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
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
	// Changes tells that it changes what is stored, so that it takes POST alone; the
	// others take GET too.
	Changes bool

	run func(*Service, context.Context, *invocation) (Answer, error)
}

// OfferedFor reports whether the operation can be asked of a resource type.
func (o *Operation) OfferedFor(typ string) bool {
	return len(o.Types) == 0 || slices.Contains(o.Types, typ)
}

var operations = []Operation{
	{
		Name: "everything", Definition: "http://hl7.org/fhir/OperationDefinition/Patient-everything",
		Types: []string{"Patient"}, OnInstance: true, run: (*Service).everything,
	},
	{
		Name: "lastn", Definition: "http://hl7.org/fhir/OperationDefinition/Observation-lastn",
		Types: []string{"Observation"}, OnType: true, run: (*Service).lastN,
	},
	{
		Name: "stats", Definition: "http://hl7.org/fhir/OperationDefinition/Observation-stats",
		Types: []string{"Observation"}, OnType: true, run: (*Service).stats,
	},
	{
		Name: "document", Definition: "http://hl7.org/fhir/OperationDefinition/Composition-document",
		Types: []string{"Composition"}, OnType: true, OnInstance: true, run: (*Service).document,
	},
	{
		Name: "meta", Definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta",
		OnSystem: true, OnType: true, OnInstance: true, OnVersion: true, run: (*Service).meta,
	},
	{
		Name: "meta-add", Definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta-add",
		OnInstance: true, Changes: true, run: (*Service).metaAdd,
	},
	{
		Name: "meta-delete", Definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta-delete",
		OnInstance: true, Changes: true, run: (*Service).metaDelete,
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
	// Lenient leaves unknown search parameters out of $lastn, with a warning each.
	Lenient bool
}

// Answer is what an operation returns.
type Answer struct {
	// Body is a resource: the one that the operation returns, or Parameters.
	Body []byte
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
		o, err := offered(&q)
		if err != nil {
			return err
		}
		arguments, err := s.arguments(q.Pairs, q.Body)
		if err != nil {
			return err
		}
		out, err = o.run(s, ctx, &invocation{OperationRequest: q, principal: p, arguments: arguments})
		return err
	})
	return out, err
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
func (s *Service) mayRead(p Principal, typ string) bool {
	return s.permit(p, interaction{code: "read", typ: typ}) == nil && s.permit(p, interaction{code: "search-type", typ: typ}) == nil
}

func forbidden(typ string) error {
	return fhir.Errorf(fhir.Forbidden, "forbidden", "", "The caller may not read %s resources.", typ)
}
