// Package subset gives parts of resources: what _summary and _elements ask for
// (https://hl7.org/fhir/R4/search.html#summary, #elements).
//
// A subset has the id and the meta of the resource, and a tag in meta that says that it is
// one, so that nobody takes it for the whole. It has also the elements that are mandatory,
// and those that can change the meaning of others. Members that are kept are copied byte
// for byte.
package subset
