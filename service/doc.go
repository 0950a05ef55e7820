// Package service holds the interactions of the FHIR API, each once for every resource
// type: read, create, update, patch, delete, history, search, the named operations,
// transaction and batch.
//
// Every interaction passes through one function, interact, where permission and tracing
// live. Every write passes through one function, commit: it validates, resolves
// references, stores, and in the same transaction applies the protocols that the stored
// resources trigger (package careplan), so that a Procedure is never stored without its
// care plan, nor a plan without its Procedure.
//
// A write comes as content, or as a change: a patch, or labels to add or delete. A change is
// a function of the current version, and is applied to the one that it replaces
// (resolution.go).
//
// The way of a write through the code: create.go, commit.go, derive.go, store/put.go. That
// of a Bundle: process.go, request.go, then transaction.go and commit.go, or batch.go, which
// calls an interaction for each entry; response.go answers. What refers by a condition to
// what the same transaction writes comes last (late.go). A large transaction stores what is
// new ahead, unseen, and then takes the same way (stage.go, stage_derive.go).
package service
