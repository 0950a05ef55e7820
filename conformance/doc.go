// Package conformance holds the service against the R4 REST pages
// (https://hl7.org/fhir/R4/http.html) from outside: real HTTP, the whole program, a real
// database. It has tests alone.
//
// server_test.go starts a service, once for each engine in its table. The tables in
// interactions_test.go, transactions_test.go and negotiation_test.go have one test for each
// sentence that the service promises; exchange_test.go says how to read them.
// races_test.go has many clients at once; its tests are named for the fault of other servers
// that they guard against, by its row in races_test.go's own list. capabilities_test.go reads
// /metadata and tries everything that it lists, and much that it does not; parameters_test.go
// tries each search parameter with a resource made for it, and examples_test.go with the official
// examples, where AFTERCARE_SHARED says that they are. search_test.go has the faults of other
// servers in searches, by row too: pages, includes, compartments, and what a parameter means
// wherever it stands. fuzz_test.go
// throws Bundles at the service. client_test.go runs a FHIR client library of somebody
// else's, which lives in the folder client. patchsuite_test.go runs the official suite of
// FHIRPath Patch, where AFTERCARE_SHARED says that it is.
package conformance
