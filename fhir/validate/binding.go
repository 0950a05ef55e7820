package validate

import (
	"slices"
	"strings"

	"aftercare/fhir"
)

// concept checks a CodeableConcept with a required binding: one of its codings must be
// from the value set (https://hl7.org/fhir/R4/terminologies.html#required). One that
// has no coding but an extension says why the concept is absent, and passes.
func (w *walk) concept(n *fhir.Node, e *element) {
	codings := n.Each("coding")
	for _, c := range codings {
		if e.codes.systems[c.Str("system")+"|"+c.Str("code")] {
			return
		}
	}
	if len(codings) > 0 || n.Get("extension") == nil {
		w.add("code-invalid", "", w.name(), " needs a coding, with its system, that is ", e.codes.describe(), ".")
	}
}

// describe ends a sentence: which codes there are.
func (v *valueSet) describe() string {
	if len(v.codes) > 20 {
		return "a code of the FHIR value set " + v.name
	}
	codes := make([]string, 0, len(v.codes))
	for c := range v.codes {
		codes = append(codes, c)
	}
	slices.Sort(codes)
	return "one of the codes " + strings.Join(codes, ", ")
}
