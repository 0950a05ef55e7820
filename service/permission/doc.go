// Package permission says what a caller may do with resources of which type and patient. It reads
// scopes and roles and decides; it knows neither tokens nor the store, and does no I/O.
//
// Scopes are those of SMART App Launch 2.2, in the forms of versions 1 and 2
// (https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html).
package permission
