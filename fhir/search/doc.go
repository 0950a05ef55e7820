// Package search knows what of a resource can be searched for, and what a query string
// asks for. It runs no query: the store does, with the types of query.go.
//
// A Parameter is one search parameter of one resource type. The R4 ones are facts in
// parameters.txt, which scripts/generate-search writes; declared.txt says which of them
// are switched on; a site adds its own as SearchParameter resources. All of them live in
// a Registry.
//
// Extract takes the Rows of a resource: one per value under each parameter. Parse takes
// the Clauses of a query string. The two halves of each kind of parameter stand side by
// side in one file (token.go, reference.go, date.go, string.go, uri.go, number.go,
// quantity.go), so that what is stored and what is asked for have the same form.
//
// Specification: https://hl7.org/fhir/R4/search.html.
package search

//go:generate go run aftercare/scripts/generate-search -out parameters.txt
