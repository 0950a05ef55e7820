// Package path evaluates FHIRPath on parsed JSON: an Expression is compiled once and
// evaluated on many resources, with named variables (%name).
//
// It is the only package that knows the FHIRPath library. The library passes most but
// not all of the official R4 suite. What an expression must not rest on: equality of
// whole collections made by a union, combine(), subsetOf(), comparison of dates of
// different precision, and equivalence of units. Such results are empty or wrong, not
// refused, so the tests of this package hold the constructs that definitions do use:
// exists(criteria), where, not(), and/or, iif, empty().
//
// Specification: http://hl7.org/fhirpath/N1/ and https://hl7.org/fhir/R4/fhirpath.html.
package path
