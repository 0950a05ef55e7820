package audit

import (
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// eventParameter is a search parameter of AuditEvent, as far as its rows need one
// (https://hl7.org/fhir/R4/auditevent.html#search).
func eventParameter(code string, kind search.Kind, targets ...string) *search.Parameter {
	return &search.Parameter{Type: "AuditEvent", Code: code, Kind: kind, Targets: targets}
}

var agentTargets = []string{"Device", "Organization", "Patient", "Practitioner", "PractitionerRole", "RelatedPerson"}

var (
	byAction           = eventParameter("action", search.Token)
	byOutcome          = eventParameter("outcome", search.Token)
	byType             = eventParameter("type", search.Token)
	bySubtype          = eventParameter("subtype", search.Token)
	byEntityType       = eventParameter("entity-type", search.Token)
	byEntityRole       = eventParameter("entity-role", search.Token)
	byPolicy           = eventParameter("policy", search.URI)
	byPatient          = eventParameter("patient", search.Reference, "Patient")
	bySource           = eventParameter("source", search.Reference, agentTargets...)
	byAgent            = eventParameter("agent", search.Reference, agentTargets...)
	byAgentIdentifier  = eventParameter("agent:identifier", search.Token)
	byEntity           = eventParameter("entity", search.Reference)
	byEntityIdentifier = eventParameter("entity:identifier", search.Token)
)

// Rows are what the AuditEvent of a record is found by, some of them twice: what search.Registry.Extract gives for
// it under the parameters that the log has an index of, without the making of JSON. They are the same at
// each base: what a record says of a resource of this service is relative, and a URL is one of elsewhere.
func (s *Site) Rows(r *Record) []search.Row {
	e := s.event(r)
	x := eventRows{rows: make([]search.Row, 0, 24)}
	x.add(byAction, "", e.Action)
	x.add(byOutcome, "", e.Outcome)
	x.add(byType, e.Type.System, e.Type.Code)
	for _, c := range e.Subtype {
		x.add(bySubtype, c.System, c.Code)
	}
	for i := range e.Agent {
		x.reference(byAgent, e.Agent[i].Who)
		x.identifier(byAgentIdentifier, e.Agent[i].Who)
		x.patient(e.Agent[i].Who)
		for _, policy := range e.Agent[i].Policy {
			x.add(byPolicy, "", policy)
		}
	}
	x.reference(bySource, &e.Source.Observer)
	for i := range e.Entity {
		x.add(byEntityType, e.Entity[i].Type.System, e.Entity[i].Type.Code)
		if role := e.Entity[i].Role; role != nil {
			x.add(byEntityRole, role.System, role.Code)
		}
		x.reference(byEntity, e.Entity[i].What)
		x.identifier(byEntityIdentifier, e.Entity[i].What)
		x.patient(e.Entity[i].What)
	}
	return x.rows
}

// eventRows gathers the rows of one event.
type eventRows struct{ rows []search.Row }

func (x *eventRows) add(p *search.Parameter, system, value string) {
	if value != "" {
		x.rows = append(x.rows, search.Row{Param: p, System: system, Value: value})
	}
}

// reference adds what a reference names: of a version, the resource that it is of.
func (x *eventRows) reference(p *search.Parameter, to *reference) {
	if to == nil || to.Reference == "" {
		return
	}
	ref := fhir.ParseReference(to.Reference, "")
	if !ref.Local() {
		if current, _, found := strings.Cut(ref.URL, "/_history/"); found && strings.Contains(current, ":") {
			x.add(p, "", current)
		}
		x.add(p, "", ref.URL)
	} else if len(p.Targets) == 0 || slices.Contains(p.Targets, ref.Type) {
		x.add(p, ref.Type, ref.ID)
	}
}

func (x *eventRows) identifier(p *search.Parameter, to *reference) {
	if to != nil && to.Identifier != nil {
		x.add(p, to.Identifier.System, to.Identifier.Value)
	}
}

// patient adds a reference to a patient, of this server or another one.
func (x *eventRows) patient(to *reference) {
	if to == nil {
		return
	}
	ref := fhir.ParseReference(to.Reference, "")
	if ref.Local() && ref.Type == "Patient" || !ref.Local() && patientElsewhere(ref.URL) {
		x.reference(byPatient, to)
	}
}

// patientElsewhere reports whether a URL is that of a Patient of another server.
func patientElsewhere(url string) bool {
	url, _, _ = strings.Cut(url, "/_history/")
	part := strings.Split(url, "/")
	return len(part) >= 5 && fhir.ParseReference(strings.Join(part[len(part)-2:], "/"), "").Type == "Patient"
}
