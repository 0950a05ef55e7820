// Package search knows what of a resource can be searched for, and what a query string
// asks for. It runs no query: the store does, with the types of query.go.
//
// A Parameter is one search parameter of one resource type. The R4 ones, of every served type,
// are facts in parameters.txt, which scripts/generate-search writes; a site adds its own as
// SearchParameter resources. All of them live in a Registry. A facet is what a modifier asks of a
// parameter, with rows of its own (facet.go); a composite has rows by part (composite.go).
//
// Extract takes the Rows of a resource: one per value under each parameter. Parse takes
// the Clauses of a query string. The two halves of each kind of parameter stand side by
// side in one file (token.go, reference.go, date.go, string.go, uri.go, number.go,
// quantity.go), so that what is stored and what is asked for have the same form.
//
// Of R4's search, not offered, and refused by name: _query, contained resources, functional
// lists ($current-…), :above and :below of references, and what filter.go says of _filter.
//
// Specification: https://hl7.org/fhir/R4/search.html.
package search

//go:generate go run aftercare/scripts/generate-search -out parameters.txt
