package audit

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"aftercare/fhir"
)

// The profiles of AuditEvents that BALP has none for.
const (
	refusalProfile   = fhir.Canonical + "/StructureDefinition/audit-refusal"
	activityProfile  = fhir.Canonical + "/StructureDefinition/audit-activity"
	operationProfile = fhir.Canonical + "/StructureDefinition/audit-operation"
)

// Site is what all AuditEvents of a service say of it.
type Site struct {
	// Base is the public FHIR base; its host is the service's address.
	Base string
	// Name and Observer are source.site and source.observer: a name, and a reference such as
	// "Device/aftercare-software".
	Name, Observer string
}

type reference struct {
	Reference  string      `json:"reference,omitempty"`
	Identifier *identifier `json:"identifier,omitempty"`
}

type identifier struct {
	System string `json:"system,omitempty"`
	Value  string `json:"value"`
}

type network struct {
	Address string `json:"address"`
	Type    string `json:"type"` // http://hl7.org/fhir/network-type
}

type agent struct {
	Type         concept    `json:"type"`
	Role         []text     `json:"role,omitempty"`
	Who          *reference `json:"who,omitempty"`
	Requestor    bool       `json:"requestor"`
	Policy       []string   `json:"policy,omitempty"`
	Network      *network   `json:"network,omitempty"`
	PurposeOfUse []concept  `json:"purposeOfUse,omitempty"`
}

type text struct {
	Text string `json:"text"`
}

type entity struct {
	What   *reference `json:"what,omitempty"`
	Type   coding     `json:"type"`
	Role   *coding    `json:"role,omitempty"`
	Name   string     `json:"name,omitempty"`
	Query  []byte     `json:"query,omitempty"`
	Detail []detail   `json:"detail,omitempty"`
}

type detail struct {
	Type        string `json:"type"`
	ValueString string `json:"valueString"`
}

type source struct {
	Site     string    `json:"site,omitempty"`
	Observer reference `json:"observer"`
	Type     []coding  `json:"type"`
}

type event struct {
	ResourceType string    `json:"resourceType"`
	ID           string    `json:"id"`
	Meta         meta      `json:"meta"`
	Type         coding    `json:"type"`
	Subtype      []coding  `json:"subtype,omitempty"`
	Action       string    `json:"action"`
	Recorded     string    `json:"recorded"`
	Outcome      string    `json:"outcome"`
	OutcomeDesc  string    `json:"outcomeDesc,omitempty"`
	PurposeEvent []concept `json:"purposeOfEvent,omitempty"`
	Agent        []agent   `json:"agent"`
	Source       source    `json:"source"`
	Entity       []entity  `json:"entity,omitempty"`
}

type meta struct {
	VersionID   string   `json:"versionId"`
	LastUpdated string   `json:"lastUpdated"`
	Profile     []string `json:"profile,omitempty"`
}

// Event is the AuditEvent that a Record is shown as, in JSON.
func (s *Site) Event(r *Record) ([]byte, error) { return json.Marshal(s.event(r)) }

func (s *Site) event(r *Record) *event {
	k, rest := kindOf(r.Code)
	of, subtype := coding{eventType, "rest", "Restful Operation"}, []coding(nil)
	switch doing := activities[r.Code]; {
	case !rest:
		if of = doing.of; doing.subtype.Code != "" {
			subtype = []coding{doing.subtype}
		}
	case k.profile != "" || others[r.Code]:
		subtype = []coding{{interactions, r.Code, r.Code}}
	}
	recorded := r.Recorded.UTC().Format(fhir.InstantLayout)
	return &event{
		ResourceType: "AuditEvent", ID: r.ID, Meta: meta{"1", recorded, profiles(r, k, rest)},
		Type: of, Subtype: subtype,
		Action: k.action, Recorded: recorded, Outcome: outcome(r.Status), OutcomeDesc: outcomeText(r), PurposeEvent: purposes(r),
		Agent: s.agents(r, k), Entity: entities(r, k),
		Source: source{s.Name, reference{Reference: s.Observer}, []coding{{sourceType, "4", "Application Server"}}},
	}
}

// profiles are what an AuditEvent claims to be: a profile of BALP for an interaction that succeeded, that
// about a patient where it is about exactly one. Where nothing was found to be deleted there is none.
func profiles(r *Record, k kind, rest bool) []string {
	switch {
	case !r.Succeeded():
		return []string{refusalProfile}
	case !rest:
		return []string{activityProfile}
	case k.profile == "":
		return []string{operationProfile}
	case k.ofOne() && len(r.shown()) == 0:
		return nil
	case len(r.Patients) == 1:
		return []string{balp + "Patient" + k.profile}
	default:
		return []string{balp + k.profile}
	}
}

// outcome is a code of http://hl7.org/fhir/audit-event-outcome: success, a refusal that the caller can
// do something about, or a failure of the service.
func outcome(status int) string {
	switch {
	case status < 400:
		return "0"
	case status < 500:
		return "4"
	default:
		return "8"
	}
}

func outcomeText(r *Record) string {
	if r.Status == http.StatusOK {
		return ""
	}
	out := strconv.Itoa(r.Status) + " " + http.StatusText(r.Status)
	if r.Reason != "" {
		out += ": " + r.Reason
	}
	return out
}

func purposes(r *Record) (out []concept) {
	for _, code := range r.Purposes {
		out = append(out, concept{[]coding{{System: purposeOfUse, Code: code}}})
	}
	return out
}

// agents are the service, the client, and the user where the token names one.
func (s *Site) agents(r *Record, k kind) []agent {
	server := agent{Type: concept{[]coding{k.server}}, Who: &reference{Reference: s.Observer}, Network: &network{host(s.Base), "1"}}
	client := agent{Type: concept{[]coding{k.client}}, Who: &reference{Identifier: &identifier{Value: "unknown"}}, Requestor: r.Agent.Subject == "" || r.Agent.Subject == r.Agent.Client}
	if r.Agent.Client != "" {
		client.Who.Identifier = &identifier{r.Agent.Issuer, r.Agent.Client}
	}
	client.Network = &network{"unknown", "5"}
	if r.Agent.Address != "" {
		client.Network = &network{r.Agent.Address, "2"}
	}
	policy := []string(nil)
	if r.Agent.TokenID != "" {
		policy = []string{"urn:jti:" + r.Agent.TokenID}
	}
	var roles []text
	for _, role := range r.Agent.Roles {
		roles = append(roles, text{role})
	}
	if client.Requestor {
		client.Policy, client.Role, client.PurposeOfUse = policy, roles, purposes(r)
		return []agent{server, client}
	}
	user := agent{Type: concept{[]coding{k.user}}, Who: &reference{Reference: r.Agent.User, Identifier: &identifier{r.Agent.Issuer, r.Agent.Subject}}, Requestor: true, Policy: policy, Role: roles, PurposeOfUse: purposes(r)}
	return []agent{server, client, user}
}

// host is that of a URL, without a port.
func host(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return "unknown"
	}
	return u.Hostname()
}

// entities are the versions that were shown or written, the query, the patients and the ids of the
// request.
//
// BALP tells entities apart by their type alone, and wants one System Object: the resource of a read or a
// write (https://profiles.ihe.net/ITI/BALP/StructureDefinition-IHE.BasicAudit.Read.html), the query of a
// search (https://profiles.ihe.net/ITI/BALP/StructureDefinition-IHE.BasicAudit.Query.html). Every other
// version has its own type (https://hl7.org/fhir/R4/valueset-audit-entity-type.html).
func entities(r *Record, k kind) (out []entity) {
	if r.Query != "" {
		q := entity{Type: systemObject, Role: &queryRole, Query: []byte(r.Query)}
		if k.ofOne() {
			q.Type = otherEntity // the condition of a write
		}
		out = append(out, q)
	}
	for i, v := range r.shown() {
		ref := v.Type + "/" + v.ID
		if v.Version > 0 {
			ref += "/_history/" + strconv.FormatInt(v.Version, 10)
		}
		e := entity{What: &reference{Reference: ref}, Type: coding{resourceType, v.Type, ""}, Role: &resourceRole}
		if k.ofOne() && i == 0 {
			e.Type = systemObject
		}
		out = append(out, e)
	}
	for _, id := range r.Patients {
		out = append(out, entity{What: &reference{Reference: "Patient/" + id}, Type: person, Role: &patientRole})
	}
	if r.RequestID != "" {
		out = append(out, entity{What: &reference{Identifier: &identifier{Value: r.RequestID}}, Type: transactionID})
	}
	process := func(name, value string) {
		if value != "" {
			out = append(out, entity{What: &reference{Identifier: &identifier{Value: value}}, Type: otherEntity, Role: &processRole, Name: name})
		}
	}
	process("traceparent", r.Caller)
	process("trace", traceOf(r))
	if r.Operation != "" {
		out = append(out, entity{Type: otherEntity, Role: &processRole, Name: "$" + r.Operation})
	}
	for _, d := range r.Details {
		out = append(out, entity{Type: systemObject, Role: &resourceRole, Name: d.Name, Detail: []detail{{d.Name, d.Value}}})
	}
	if r.Emergency != "" {
		out = append(out, entity{Type: otherEntity, Role: &processRole, Name: "emergency", Detail: []detail{{"reason", r.Emergency}}})
	}
	return out
}

func traceOf(r *Record) string {
	if r.Trace == "" {
		return ""
	}
	return r.Trace + "-" + r.Span
}
