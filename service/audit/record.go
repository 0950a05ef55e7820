package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Record is one interaction: who did what, from where and why, what came of it, and which versions
// of which resources were shown or written.
type Record struct {
	// ID is that of the AuditEvent: the record's position in the log, in digits. Recorded is when the log
	// took it, to the microsecond. Neither is sealed with the rest: the leaf has them.
	ID       string    `json:"-"`
	Recorded time.Time `json:"-"`
	// Code is from http://hl7.org/fhir/restful-interaction; Operation is the name of an operation
	// without "$", "" for none.
	Code      string `json:"code"`
	Operation string `json:"op,omitempty"`
	// Type and Target are the resource type and the id that were asked for, "" where there is none.
	Type   string `json:"type,omitempty"`
	Target string `json:"target,omitempty"`
	// Query is the method and URL of a search, a history or an operation, below the base.
	Query string `json:"query,omitempty"`
	// Status is the HTTP status; Reason is the code of the issue that a refusal was given with
	// (http://hl7.org/fhir/issue-type), "" for none.
	Status int    `json:"status"`
	Reason string `json:"reason,omitempty"`

	Agent Agent `json:"agent"`
	// Purposes are codes of v3-PurposeOfUse; Emergency is the reason for breaking the glass.
	Purposes  []string `json:"purposes,omitempty"`
	Emergency string   `json:"emergency,omitempty"`

	// Shown are the versions that the answer carries, or that were written. Patients are the ids of
	// the patients whose data they are.
	Shown    []Version `json:"shown,omitempty"`
	Patients []string  `json:"patients,omitempty"`

	// Details say more of what is no RESTful interaction, such as which client was revoked.
	Details []Detail `json:"details,omitempty"`

	// RequestID is X-Request-Id. Trace and Span are the ids of the span that the interaction ran in,
	// and Caller is the caller's traceparent (https://www.w3.org/TR/trace-context/), "" for none.
	RequestID string `json:"request,omitempty"`
	Trace     string `json:"trace,omitempty"`
	Span      string `json:"span,omitempty"`
	Caller    string `json:"caller,omitempty"`
}

// Agent is who asked.
type Agent struct {
	Client  string   `json:"client,omitempty"`
	Issuer  string   `json:"issuer,omitempty"`
	Subject string   `json:"subject,omitempty"`
	User    string   `json:"user,omitempty"` // fhirUser; relative where it is one of this service
	TokenID string   `json:"jti,omitempty"`
	Roles   []string `json:"roles,omitempty"`
	Address string   `json:"address,omitempty"` // of the connection, without a port
}

// Detail is a name and a value, neither empty.
type Detail struct {
	Name  string `json:"n"`
	Value string `json:"v"`
}

// Version is a version of a resource. Version 0 is one that is not there.
type Version struct {
	Type    string `json:"t"`
	ID      string `json:"i"`
	Version int64  `json:"v,omitempty"`
}

// payload is what is sealed of a Record.
func (r *Record) payload() ([]byte, error) {
	if r.Code == "" || r.Status == 0 || r.Recorded.IsZero() {
		return nil, errors.New("audit: a record needs a time, a code and a status")
	}
	return json.Marshal(r)
}

func readPayload(recorded time.Time, payload []byte) (*Record, error) {
	r := Record{Recorded: recorded}
	if err := json.Unmarshal(payload, &r); err != nil {
		return nil, fmt.Errorf("audit: a record cannot be read: %w", err)
	}
	return &r, nil
}

// Read is the record at a position of the log.
func Read(position int64, leaf, key []byte) (*Record, error) {
	l, err := ParseLeaf(leaf)
	if err != nil {
		return nil, err
	}
	r, err := l.Open(key)
	if err != nil {
		return nil, err
	}
	r.ID = strconv.FormatInt(position, 10)
	return r, nil
}

// Succeeded reports whether the interaction did what was asked. That a resource is as the caller has
// it, 304, is success.
func (r *Record) Succeeded() bool { return r.Status < 400 }

// shown are the versions that were shown or written, or what was asked for where there are none.
func (r *Record) shown() []Version {
	if len(r.Shown) == 0 && r.Target != "" {
		return []Version{{Type: r.Type, ID: r.Target}}
	}
	return r.Shown
}
