package service

import (
	"net/url"
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// target is a URL below the base: Type, Type/id, Type/id/_history/version, Type?query or ?query;
// Patient/id/Type or Patient/id/*, which are inside of a compartment; or a history or an operation,
// at any level that has it; or the CapabilityStatement.
type target struct {
	typ, id, version string
	// inside is the type of the resources in the compartment of typ and id, "*" for all.
	inside    string
	history   bool
	metadata  bool
	operation string // without "$"
	pairs     []search.Pair
	query     bool
	rawQuery  string
}

// parseTarget reads the request.url of an entry: relative to the base, or under it.
func (s *Service) parseTarget(raw string) (target, error) {
	bad := func() (target, error) {
		return target{}, fhir.Errorf(fhir.BadRequest, "value", "", "request.url must be a URL below the base, such as Patient, Patient/123 or Observation?patient=123.")
	}
	if below, absolute := strings.CutPrefix(raw, s.baseURL); absolute && strings.IndexAny(below, "/?") == 0 {
		raw = below
	}
	raw = strings.TrimPrefix(raw, "/")
	path, query, hasQuery := strings.Cut(raw, "?")
	var t target
	if hasQuery {
		var err error
		if t.pairs, err = search.ParsePairs(query); err != nil {
			return t, err
		}
		t.query, t.rawQuery = true, query
	}
	part := strings.Split(path, "/")
	for i := range part {
		decoded, err := url.PathUnescape(part[i])
		if err != nil {
			return bad()
		}
		part[i] = decoded
	}
	switch last := part[len(part)-1]; {
	case last == "_history":
		t.history, part = true, part[:len(part)-1]
	case len(last) > 1 && last[0] == '$':
		t.operation, part = last[1:], part[:len(part)-1]
	}
	if len(part) == 0 { // of the system
		return t, nil
	}
	if len(part) == 1 && part[0] == "metadata" && !t.history && t.operation == "" {
		t.metadata = true
		return t, nil
	}
	if len(part) == 1 && part[0] == "" && hasQuery && !t.history && t.operation == "" { // of the system
		return t, nil
	}
	t.typ = part[0]
	if _, ok := fhir.Served(t.typ); !ok {
		return target{}, fhir.Errorf(fhir.NotFound, "not-supported", "", "request.url does not start with a resource type that this server serves.")
	}
	switch {
	case slices.Contains(part, ""):
		return bad()
	case len(part) == 1:
	case len(part) == 2:
		t.id = part[1]
	case len(part) == 3 && !t.history && t.operation == "":
		t.id, t.inside = part[1], part[2]
		if !HasCompartment(t.typ, t.inside) {
			return bad()
		}
	case len(part) == 4 && part[2] == "_history" && !t.history:
		t.id, t.version = part[1], part[3]
	default:
		return bad()
	}
	return t, nil
}

// scope is where a search at this URL looks.
func (t target) scope() scope {
	switch t.inside {
	case "":
		return scope{typ: t.typ}
	case AllTypes:
		return scope{patient: t.id}
	default:
		return scope{typ: t.inside, patient: t.id}
	}
}
