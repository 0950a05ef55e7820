// Package patch changes a resource by one of the two patch formats that FHIR R4 has for
// JSON (https://hl7.org/fhir/R4/http.html#patch):
//
//   - JSON Patch, RFC 6902, media type application/json-patch+json (JSON).
//   - FHIRPath Patch, a Parameters resource with operations
//     (https://hl7.org/fhir/R4/fhirpatch.html) (FHIRPath).
//
// The nouns:
//
//   - A value is JSON under change. It starts as the bytes that were received and is
//     opened, one level at a time, only where a path leads; what is not opened is
//     written back byte for byte. Decimals, member order and white space stay.
//   - A slot is one member or item of an opened value.
//   - An element is a place that a FHIRPath selects. A primitive element has two sides
//     in JSON, "name" and "_name" (https://hl7.org/fhir/R4/json.html#primitive); they
//     change together, so lists stay aligned.
//   - A content is the value that an operation brings.
//   - The Schema says which elements a type has.
//
// A patch is applied whole or not at all: the input is never changed, and an error comes
// without a result. The result has the resourceType and id of the input; that it is a
// valid resource is for the caller to check.
//
// Every error is a *fhir.Error. BadRequest: the patch itself is malformed. Unprocessable:
// it does not fit the resource; so is a JSON Patch whose operation test failed, which R5
// spells out (https://hl7.org/fhir/R5/http.html#patch). TooLarge: a limit of this
// package. The expression names the operation, such as "[2].path" or
// "Parameters.parameter[2]"; texts repeat no values of the resource or the patch.
package patch

// maxOperations is how many operations one patch may have.
const maxOperations = 1000
