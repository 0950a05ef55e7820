// Package service holds the interactions of the FHIR API, each once for every resource
// type: read, create, update, delete, history, search, transaction and batch.
//
// Every interaction passes through one function, interact, where permission and tracing
// live. Every write passes through one function, commit: it validates, resolves
// references, stores, and in the same transaction applies the protocols that the stored
// resources trigger (package careplan), so that a Procedure is never stored without its
// care plan, nor a plan without its Procedure.
//
// The way of a write through the code: create.go, commit.go, derive.go, store/write.go.
package service
