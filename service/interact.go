package service

import (
	"context"
	"net/http"
	"slices"

	"aftercare/fhir"
	"aftercare/service/permission"

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
	tracer := trace.SpanFromContext(ctx).TracerProvider().Tracer(tracerName)
	ctx, span := tracer.Start(ctx, "fhir."+i.code, trace.WithAttributes(
		attribute.String("fhir.interaction", i.code),
		attribute.String("fhir.resource_type", i.typ),
	))
	defer span.End()
	trailOf(ctx).about(i)
	err := s.permit(&p, i)
	if err == nil {
		err = do(ctx)
	}
	trailOf(ctx).ended(http.StatusOK, err)
	if err != nil && fhir.KindOf(err) == fhir.Internal {
		span.SetStatus(codes.Error, "internal error")
	}
	return err
}

// tracerName names what the spans of this package are made by.
const tracerName = "aftercare/service"

// writes are the interactions that change something.
var writes = map[string]bool{"create": true, "update": true, "patch": true, "delete": true}

// permit decides whether the caller may do this with any resource. Which resources, the reader
// decides that the interaction runs on (see as), and for what is written, mayWrite.
func (s *Service) permit(p *Principal, i interaction) error {
	if i.typ == "" {
		return s.permitSystem(p, i)
	}
	t, ok := fhir.Served(i.typ)
	if !ok {
		return fhir.Errorf(fhir.NotFound, "not-supported", "", "This server does not serve that resource type; see /metadata for those it does.")
	}
	if writes[i.code] && t.ReadOnly {
		return fhir.Errorf(fhir.NotAllowed, "not-supported", "", "%s resources are written by the service alone; they can be read and searched.", i.typ)
	}
	if i.code != "operation" && !s.may(p, i.typ, actions[i.code]) { // operations say themselves what they read
		return forbidden(i.code, i.typ)
	}
	if !writes[i.code] {
		return nil
	}
	return s.mayChange(&fhir.Resource{Type: i.typ, ID: i.id})
}

// permitSystem is permit for interactions that are about no type: those who may read nothing may
// neither search nor see the history of all.
func (s *Service) permitSystem(p *Principal, i interaction) error {
	if i.code != "search-system" && i.code != "history-system" || s.mayReadAny(p) {
		return nil
	}
	return fhir.Errorf(fhir.Forbidden, "forbidden", "", "The caller may not read resources of any type.")
}

func (s *Service) mayReadAny(p *Principal) bool {
	return slices.ContainsFunc(fhir.StoredTypes(), func(t fhir.ServedType) bool { return s.may(p, t.Name, searching) })
}

// may reports whether the caller may do the actions with some resources of a type; with all, of a type
// that the log is shown as.
func (s *Service) may(p *Principal, typ string, do permission.Actions) bool {
	part := s.part(p, typ, do)
	return do != 0 && !part.None && (part.All() || !ofLog(typ))
}

func forbidden(code, typ string) error {
	return fhir.Errorf(fhir.Forbidden, "forbidden", "", "The caller may not %s %s resources.", verbs[code], typ)
}

// verbs are words for interactions.
var verbs = map[string]string{
	"read": "read", "vread": "read", "history-instance": "read", "search-type": "search", "search-system": "search", "history-type": "search", "history-system": "search",
	"create": "create", "update": "update", "patch": "update", "delete": "delete", "operation": "read",
}

// mayChange refuses to change what the definitions provide.
func (s *Service) mayChange(r *fhir.Resource) error {
	if s.provided[r.Ref()] {
		return fhir.Errorf(fhir.NotAllowed, "business-rule", "", "This %s belongs to the definitions that the service runs on; change it through the definitions folder (AFTERCARE_DEFINITIONS).", r.Type)
	}
	return nil
}
