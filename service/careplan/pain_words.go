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

// painWords are the words of each statement, by its code: the definition of the concept is for
// clinicians, a designation with the use "patient" for patients.
func (t *terminology) painWords() map[coding]Statement {
	all := map[coding]Statement{}
	for c, concept := range t.concepts {
		if c.System != painStatements {
			continue
		}
		s := Statement{Code: c.Code, Text: concept.Str("definition")}
		for _, p := range concept.Each("property") {
			if p.Str("code") == "kind" {
				s.Kind = p.Str("valueCode")
			}
		}
		for _, d := range concept.Each("designation") {
			if d.Str("use", "system") == audienceSystem && d.Str("use", "code") == "patient" {
				s.Patient = d.Str("value")
				break
			}
		}
		all[c] = s
	}
	return all
}

// painStatement gives a statement with its words. {day}, {from} and {to} are dates of the rule.
func (e *Engine) painStatement(c coding, day time.Time, w window) Statement {
	s := e.words[c.key()]
	for _, text := range []*string{&s.Text, &s.Patient} {
		if strings.Contains(*text, "{") {
			*text = strings.NewReplacer("{day}", formatDate(day), "{from}", formatDate(w.Start), "{to}", formatDate(w.End)).Replace(*text)
		}
	}
	return s
}
