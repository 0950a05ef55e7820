package validate

import (
	"fmt"

	"aftercare/fhir"
)

// Validator checks resources against R4. It is read-only after New and safe for
// concurrent use.
type Validator struct {
	types          map[string]*structure
	referenceTypes bool
}

// Option changes what New makes.
type Option func(*Validator)

// WithReferenceTypes says whether a reference to a type that its element does not allow
// is an error; it is unless switched off
// (https://hl7.org/fhir/R4/references.html).
func WithReferenceTypes(on bool) Option {
	return func(v *Validator) { v.referenceTypes = on }
}

// New loads the tables of R4 that are embedded in the program. An error means that they
// are damaged.
func New(options ...Option) (*Validator, error) {
	types, err := readTable(r4)
	if err != nil {
		return nil, fmt.Errorf("read the table of R4 types: %w", err)
	}
	if err := addRules(types, invariants); err != nil {
		return nil, fmt.Errorf("read the table of R4 invariants: %w", err)
	}
	v := &Validator{types: types, referenceTypes: true}
	for _, o := range options {
		o(v)
	}
	return v, nil
}

// Resource lists what is wrong with a resource of any R4 type, and with the resources
// inside it; none means that it is valid. All issues have severity error. at is the
// place of n, such as "Bundle.entry[3].resource"; "" means the type of the resource. At
// most 50 issues are listed; one more then says how many were left out.
//
// Codes of issues (https://hl7.org/fhir/R4/valueset-issue-type.html): structure for
// unknown names, wrong JSON kinds and cardinality, required for what is missing, value
// for a wrong format or reference, code-invalid for a code outside a required binding,
// invariant for a rule of R4.
func (v *Validator) Resource(n *fhir.Node, at string) []fhir.Issue {
	w := walk{v: v, at: at}
	w.steps = w.room[:0]
	if at == "" {
		w.at = "Resource"
		if t := v.types[n.Str("resourceType")]; t != nil && t.kind == "resource" {
			w.at = t.name
		}
	}
	w.resource(n, false)
	if w.left > 0 {
		w.issues = append(w.issues, fhir.Issue{
			Severity: "error", Code: "processing", Expression: []string{w.at},
			Text: fmt.Sprintf("Only the first %d problems are listed; %d more were found.", maxIssues, w.left),
		})
	}
	return w.issues
}
