package fhir

import (
	"encoding/json"
)

// Issue is one OperationOutcome.issue (https://hl7.org/fhir/R4/operationoutcome.html).
type Issue struct {
	// Severity is fatal, error, warning or information.
	Severity string
	// Code is from http://hl7.org/fhir/issue-type, such as "required" or "value".
	Code string
	// Text is a sentence that a person can act on. It carries no patient data.
	Text string
	// Expression are the FHIRPath places that the issue is about, such as
	// "Procedure.status" or "Bundle.entry[3].resource.code".
	Expression []string
	// Detail is an optional machine-readable code of ours for Text, from the code
	// system Canonical + "/CodeSystem/outcome".
	Detail string
}

// Outcome renders issues as an OperationOutcome. With none it says that all is well.
func Outcome(issues ...Issue) []byte {
	type coding struct {
		System string `json:"system"`
		Code   string `json:"code"`
	}
	type details struct {
		Coding []coding `json:"coding,omitempty"`
		Text   string   `json:"text,omitempty"`
	}
	type issue struct {
		Severity   string   `json:"severity"`
		Code       string   `json:"code"`
		Details    *details `json:"details,omitempty"`
		Expression []string `json:"expression,omitempty"`
	}
	out := struct {
		ResourceType string  `json:"resourceType"`
		Issue        []issue `json:"issue"`
	}{ResourceType: "OperationOutcome"}
	if len(issues) == 0 {
		issues = []Issue{{Severity: "information", Code: "informational", Text: "All OK"}}
	}
	for _, i := range issues {
		o := issue{Severity: i.Severity, Code: i.Code, Expression: i.Expression}
		if i.Text != "" || i.Detail != "" {
			o.Details = &details{Text: i.Text}
			if i.Detail != "" {
				o.Details.Coding = []coding{{System: Canonical + "/CodeSystem/outcome", Code: i.Detail}}
			}
		}
		out.Issue = append(out.Issue, o)
	}
	body, err := json.Marshal(out)
	if err != nil { // strings only: cannot happen
		panic(err)
	}
	return body
}
