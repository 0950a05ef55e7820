// Package fhir holds the nouns of the FHIR R4 standard that every other package
// shares: a JSON value as it was written (Node), a stored resource (Resource), a
// reference, a date with its precision (Moment), an OperationOutcome and the
// service's one error vocabulary (Error).
//
// A resource here is JSON with an envelope: type, id, version, last updated. The
// package knows no HTTP, no SQL and nothing clinical, and does no I/O. Sub-packages:
// validate (what is wrong with a resource), search (what of it can be found), path
// (FHIRPath).
//
// Specification: https://hl7.org/fhir/R4/ (version 4.0.1).
package fhir

// Version is the FHIR release served, as written in CapabilityStatement.fhirVersion.
const Version = "4.0.1"

// Canonical is the base of every canonical URL that the project defines.
const Canonical = "https://aftercare.example/fhir"
