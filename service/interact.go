package service

import (
	"context"

	"aftercare/fhir"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// interaction says what is asked of which resource. Code is from
// http://hl7.org/fhir/restful-interaction.
type interaction struct {
	code string
	// typ is the resource type, "" at system level; id is "" above instance level.
	typ, id string
}

// interact is what every interaction passes through: the span, the decision whether the
// caller may, and the record of what happened. Spans carry types and codes, never ids or
// content.
func (s *Service) interact(ctx context.Context, p Principal, i interaction, do func(ctx context.Context) error) error {
	tracer := trace.SpanFromContext(ctx).TracerProvider().Tracer("aftercare/service")
	ctx, span := tracer.Start(ctx, "fhir."+i.code, trace.WithAttributes(
		attribute.String("fhir.interaction", i.code),
		attribute.String("fhir.resource_type", i.typ),
	))
	defer span.End()
	err := s.permit(p, i)
	if err == nil {
		err = do(ctx)
	}
	if err != nil && fhir.KindOf(err) == fhir.Internal {
		span.SetStatus(codes.Error, "internal error")
	}
	return err
}

// writes are the interactions that change something.
var writes = map[string]bool{"create": true, "update": true, "patch": true, "delete": true}

// permit decides whether the caller may do this. It is the one place for that decision.
func (s *Service) permit(_ Principal, i interaction) error {
	if i.typ == "" {
		return nil
	}
	t, ok := fhir.Served(i.typ)
	if !ok {
		return fhir.Errorf(fhir.NotFound, "not-supported", "", "This server does not serve that resource type; see /metadata for those it does.")
	}
	if !writes[i.code] {
		return nil
	}
	if t.ReadOnly {
		return fhir.Errorf(fhir.NotAllowed, "not-supported", "", "%s resources are written by the service alone; they can be read and searched.", i.typ)
	}
	return s.mayChange(&fhir.Resource{Type: i.typ, ID: i.id})
}

// mayChange refuses to change what the definitions provide.
func (s *Service) mayChange(r *fhir.Resource) error {
	if s.provided[r.Ref()] {
		return fhir.Errorf(fhir.NotAllowed, "business-rule", "", "This %s belongs to the definitions that the service runs on; change it through the definitions folder (AFTERCARE_DEFINITIONS).", r.Type)
	}
	return nil
}
