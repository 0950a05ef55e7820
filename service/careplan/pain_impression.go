package careplan

import (
	"fmt"
	"slices"
	"strings"

	"aftercare/fhir"
)

const (
	rankExtension    = fhir.Canonical + "/StructureDefinition/finding-rank"
	scoreExtension   = fhir.Canonical + "/StructureDefinition/finding-score"
	patientExtension = fhir.Canonical + "/StructureDefinition/patient-words"
)

var impressionOrder = strings.Fields(`resourceType id meta implicitRules language text contained extension modifierExtension
	identifier status statusReason code description subject encounter effectiveDateTime effectivePeriod date assessor
	previous problem investigation protocol summary finding prognosisCodeableConcept prognosisReference supportingInfo note`)

// Interpreted is what there is to say of a report of pain: a ClinicalImpression
// (https://hl7.org/fhir/R4/clinicalimpression.html) for each anchor that it can be about, and issues:
// why there is none, and what the reader must know. Nothing of it is identified or to be stored.
func (e *Engine) Interpreted(c Case, report Source) (impressions [][]byte, issues []fhir.Issue, err error) {
	anchors, err := e.Anchors(c)
	if err != nil {
		return nil, nil, err
	}
	list, err := e.interpret(anchors, report)
	if err != nil {
		return nil, nil, err
	}
	told := map[string]bool{}
	for _, i := range list {
		codes := slices.Concat(i.Remarks, i.Issues)
		if i.Refused != "" {
			codes = []string{i.Refused}
		}
		for _, code := range codes {
			if !told[code] {
				told[code] = true
				issues = append(issues, e.terms.issue(code))
			}
		}
		if i.Refused == "" {
			o := e.impression(i, report, anchors)
			o.set("date", c.At.Format(instantLayout))
			o.arrange(impressionOrder)
			impressions = append(impressions, encode(o))
		}
	}
	return impressions, issues, nil
}

// Issue is an outcome for whoever sent something.
func (e *Engine) Issue(code string) fhir.Issue { return e.terms.issue(code) }

func (t *terminology) issue(code string) fhir.Issue {
	o := t.outcome(code)
	return fhir.Issue{Severity: o.severity, Code: o.issueType, Text: o.text, Detail: code}
}

// impression is a ClinicalImpression without identity and date. It asserts no diagnosis: it is in
// progress until a clinician completes it.
func (e *Engine) impression(i Interpretation, report Source, anchors *Anchors) object {
	o := object{}
	o.set("resourceType", "ClinicalImpression")
	o.set("language", "en-GB")
	o.set("status", "in-progress")
	o.set("statusReason", e.because("pain-not-reviewed"))
	o.set("code", concept{Text: i.title})
	o.set("subject", reference{Reference: anchors.subject})
	for _, name := range []string{"effectiveDateTime", "effectivePeriod"} {
		o.put(name, report.Node.Get(name))
	}
	if at := report.Node.Get("effectiveInstant"); at != nil {
		o.put("effectiveDateTime", at)
	}
	investigation := object{}
	investigation.put("code", report.Node.Get("code"))
	investigation.set("item", []reference{{Reference: report.ref()}})
	o.set("investigation", []object{investigation})
	o.set("protocol", i.Rules)
	o.set("summary", e.summary(i))
	var words []any
	for _, text := range i.forPatient() {
		words = append(words, extended(patientExtension, "valueString", text))
	}
	o.set("extension", words)
	var findings []object
	for rank, f := range i.Findings {
		findings = append(findings, e.finding(rank+1, f))
	}
	o.set("finding", findings)
	var info []reference
	if i.Plan != "" {
		info = append(info, reference{Reference: i.Plan})
	}
	for _, s := range i.anchor.records {
		info = append(info, reference{Reference: s.ref()})
	}
	o.set("supportingInfo", info)
	return o
}

func (e *Engine) finding(rank int, f Finding) object {
	all := []any{
		extended(rankExtension, "valuePositiveInt", rank), extended(scoreExtension, "valueInteger", f.Score),
	}
	var basis, facts []string
	seen := map[string]bool{}
	ground := func(list []raw) {
		for _, x := range list {
			if !seen[string(x.Raw)] {
				seen[string(x.Raw)] = true
				all = append(all, x)
				if code := x.Str("valueCoding", "code"); code != "" && !slices.Contains(facts, code) {
					facts = append(facts, code)
				}
			}
		}
	}
	ground(f.cause.grounds)
	for _, s := range f.Statements {
		if s.Kind != "action" {
			basis = append(basis, s.Text)
		}
		ground(s.grounds)
	}
	if len(facts) > 0 {
		basis = append(basis, strings.Join(facts, " ")+".")
	}
	basis = append(basis, fmt.Sprintf("T%d W%d F%d", f.Parts[0], f.Parts[1], f.Parts[2]))
	o := object{}
	o.set("extension", all)
	o.set("itemCodeableConcept", concept{Coding: []coding{{f.cause.code.System, f.cause.code.Code, e.causeName(f)}}})
	o.set("basis", strings.Join(basis, " "))
	return o
}

func (e *Engine) causeName(f Finding) string {
	return e.terms.concepts[f.cause.code.key()].Str("display")
}

// summary is for clinicians: the causes, what the report as a whole calls for, what to do where a
// cause is likely enough, and what to bear in mind of the report. What is to be asked before a
// treatment stands before it.
func (e *Engine) summary(i Interpretation) string {
	var all []string
	if text := e.candidates(i); text != "" {
		all = append(all, text)
	}
	for _, s := range i.Conclusions {
		all = append(all, s.Text)
	}
	for _, f := range i.Findings {
		for _, s := range f.Statements {
			if s.Kind == "action" {
				all = append(all, e.causeName(f)+": "+s.Text)
			}
		}
	}
	for _, code := range slices.Concat(i.Issues, i.Remarks) {
		all = append(all, e.terms.outcome(code).text)
	}
	return strings.Join(slices.Compact(all), " ")
}

// candidates lists the causes, "" where there are none.
func (e *Engine) candidates(i Interpretation) string {
	if len(i.Findings) == 0 {
		return ""
	}
	var names []string
	for _, f := range i.Findings {
		names = append(names, e.causeName(f))
	}
	text := e.terms.concepts[coding{System: painStatements, Code: candidates}].Str("definition")
	return strings.ReplaceAll(text, "{causes}", strings.Join(names, "; "))
}

// forPatient is what patients are told, each sentence once: of the report as a whole first.
func (i Interpretation) forPatient() (words []string) {
	add := func(s Statement) {
		if s.Patient != "" && !slices.Contains(words, s.Patient) {
			words = append(words, s.Patient)
		}
	}
	for _, s := range i.Conclusions {
		add(s)
	}
	for _, f := range i.Findings {
		if f.Shown {
			for _, s := range f.Statements {
				add(s)
			}
		}
	}
	return words
}
