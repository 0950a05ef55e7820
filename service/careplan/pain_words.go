package careplan

import (
	"strings"
	"time"

	"aftercare/fhir"
)

const (
	painStatements = fhir.Canonical + "/CodeSystem/pain-statement"
	audienceSystem = fhir.Canonical + "/CodeSystem/audience"
	candidates     = "candidates" // the statement that lists the causes
)

// painStatement finds the words of a statement: the definition of the concept is for clinicians,
// a designation with the use "patient" for patients. {day}, {from} and {to} are dates of the rule.
func (e *Engine) painStatement(c coding, day time.Time, w window) Statement {
	concept := e.terms.concepts[c.key()]
	dates := strings.NewReplacer("{day}", formatDate(day), "{from}", formatDate(w.Start), "{to}", formatDate(w.End))
	s := Statement{Code: c.Code, Text: dates.Replace(concept.Str("definition"))}
	for _, p := range concept.Each("property") {
		if p.Str("code") == "kind" {
			s.Kind = p.Str("valueCode")
		}
	}
	for _, d := range concept.Each("designation") {
		if d.Str("use", "system") == audienceSystem && d.Str("use", "code") == "patient" {
			s.Patient = dates.Replace(d.Str("value"))
			break
		}
	}
	return s
}
