// Package form turns the answers to a questionnaire into observations. It is a pure function of
// a Questionnaire and a QuestionnaireResponse: no I/O, no clock.
//
// The Questionnaire says what becomes of each answer, by the observation-based extraction of
// SDC (https://hl7.org/fhir/uv/sdc/extraction.html), with two additions that this page leaves
// open or names as possible:
//
//   - A question under another one whose extension observationExtract has the code "component"
//     becomes a component of the observation of that answer
//     (https://hl7.org/fhir/uv/sdc/StructureDefinition-sdc-questionnaire-observationExtract.html).
//   - A question whose definition is Observation.bodySite gives codings of the site of the
//     observation around it, as in definition-based extraction.
//
// The nouns:
//
//   - A question is an item of a Questionnaire; an answer is one value of a response to it.
//   - The path of an answer is the linkIds above it with their positions. With the identity of
//     the response it makes the identifier of the observation, so that a response that is sent
//     again makes no second one.
package form
