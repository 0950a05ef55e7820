// Package audit says what the auditor's log holds: a compact Record of each interaction, and the
// AuditEvent that it is shown as. It does no I/O.
//
// AuditEvents follow IHE Basic Audit Log Patterns
// (https://profiles.ihe.net/ITI/BALP/), which are profiles of
// https://hl7.org/fhir/R4/auditevent.html.
package audit
