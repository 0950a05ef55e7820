// Package careplan works out what a protocol prescribes after an operation. It is a pure
// function: Compile reads the definitions once, Engine.Derive turns the whole recorded
// state of one patient into the resources that should exist. It does no I/O and reads no
// clock, so the same records give the same bytes in whatever order they arrived. Nothing
// clinical is written in Go: rules, texts, codes and dates' offsets come from the
// definitions.
//
// The nouns:
//
//   - A protocol is a PlanDefinition that no other nests; its actions select a pathway
//     by trigger (codes and body site of a Procedure) and condition.
//   - A pathway is the nested PlanDefinition with all that it nests, laid out flat as steps.
//     The element id of a step is the ids of the actions above it, joined by dots.
//   - An operation is a Procedure that a trigger matches; a component is a Procedure
//     that is partOf an operation. Facts are all codes recorded for an operation.
//   - A site is a bone and a side; a group is all operations at one site. Each group has
//     one care plan.
//   - An anchor is a step with a trigger and nothing to do: its operation's local date is
//     what other steps are dated from by relatedAction.
//   - A window is an inclusive span of local dates, open where the rule gives no end.
//   - Closing a plan keeps how each open part of it was (extension status-before) and why
//     (a note); reopening it gives back what people had done.
//   - A part is a member of an activity, a Task or a Goal whose digest is kept, so that a
//     person's change is told from what the engine wrote.
//   - An activity follows its Task, its Task follows it, and both follow the record: such a
//     status is marked, and goes when its reason goes.
//   - A mark says that an activity is due, overdue or missed. Only a Case with the day of
//     the scheduler makes new ones.
//   - Rules are a PlanDefinition of type eca-rule: the events that windows count from, the
//     causes of pain with the parts of their scores, and conclusions. An interpretation is what
//     they say of one report of pain for one anchor.
//   - An outcome is a code of CodeSystem/outcome with its text and severity; it becomes
//     a Notice and, where the code system says so, a DetectedIssue.
//
// Specification: https://hl7.org/fhir/R4/plandefinition.html and
// https://hl7.org/fhir/R4/careplan.html.
package careplan
