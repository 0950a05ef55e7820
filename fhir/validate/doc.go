// Package validate says what is wrong with a resource: the structure, the values and
// the invariants that FHIR R4 gives every resource and datatype
// (https://hl7.org/fhir/R4/validation.html). Profiles and terminology servers are not
// its business.
//
// The nouns:
//
//   - The table (r4.txt, table.go) is what R4 says of each type: its elements, their
//     cardinality, types, reference targets and the codes of required bindings. It is
//     generated from the official definitions; see scripts/generate-schema.
//   - A structure is one type of the table, or an inner element with children.
//   - A member is one JSON name in a structure: "valueQuantity" is a member of the
//     element "value[x]".
//   - A rule (rules.txt, rules.go) is an invariant as data: one of several literals
//     must hold.
//   - A link is a place whose value may be the address of a resource.
//   - A scale is what an ObservationDefinition allows as the result of an Observation.
//
// Nothing here does I/O, and no issue repeats a value of the resource: issues name
// elements, types and codes of the standard only.
package validate

//go:generate go run ../../scripts/generate-schema -out .
