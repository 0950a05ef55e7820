package careplan

import (
	"time"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

// painReport is an Observation of pain (https://hl7.org/fhir/R4/observation.html) as the rules
// see it.
type painReport struct {
	Source
	codes, sites, triggers []coding
	sides, bones           []coding
	score                  *fhir.Node
	// seen is the local date of the report; begun that of the onset, where it is known to the day,
	// and begunBy the last day that the onset can have been.
	seen, begun, begunBy time.Time
	// unread: a site or trigger is coded that no ValueSet has.
	unread bool
}

// painReport reads an Observation. The code says why it cannot be interpreted, "" where it can.
func (e *Engine) painReport(s Source, g *ranking) (*painReport, string) {
	n := s.Node
	r := &painReport{Source: s, codes: e.terms.expand(codingsAt(n, "code", "coding"))}
	r.score = n.Get("valueQuantity", "value")
	if r.score == nil {
		r.score = n.Get("valueInteger")
	}
	switch status := n.Str("status"); {
	case !anyTrigger(g.reports, r.codes):
		return r, "pain-other-observation"
	case status == "entered-in-error" || status == "cancelled":
		return r, "pain-report-withdrawn"
	case r.score == nil:
		return r, "pain-not-measured"
	}
	at := e.terms.expand(codingsAt(n, "bodySite", "coding"))
	r.sites = pick(at, e.terms.sets[painSitesSet])
	r.sides = pick(at, e.terms.sets[lateralitySet])
	for _, p := range e.protocols {
		r.bones = append(r.bones, pick(at, p.sites)...)
	}
	var triggers []coding
	for _, c := range n.Each("component") {
		codes := codingsAt(c, "valueCodeableConcept", "coding")
		triggers = append(triggers, codes...)
	}
	r.triggers = pick(e.terms.expand(triggers), e.terms.sets[painTriggersSet])
	read := len(r.sites) + len(r.sides) + len(r.bones)
	r.unread = n.Get("bodySite") != nil && read == 0
	return r, e.painDays(r, g)
}

// painDays finds the local dates of a report. It is made at the end of its period, and the start of
// the period is an onset too.
func (e *Engine) painDays(r *painReport, g *ranking) string {
	onset := r.Node.Str("effectivePeriod", "start")
	seen := r.Node.Str("effectivePeriod", "end")
	for _, text := range []string{r.Node.Str("effectiveDateTime"), r.Node.Str("effectiveInstant"), onset} {
		if seen == "" {
			seen = text
		}
	}
	if r.seen = e.day(seen); r.seen.IsZero() {
		return "pain-date-not-exact"
	}
	if g.onset != nil {
		found, err := g.onset.Nodes(r.Node, path.Bind(emptyPainVariables()))
		if err != nil || len(found) > 1 {
			return "pain-onset-unclear"
		}
		if len(found) == 1 {
			onset = found[0].Text
		}
	}
	if onset == "" {
		return ""
	}
	m, err := fhir.ParseMoment(onset, e.zone)
	if err != nil {
		return "pain-onset-unclear"
	}
	first := localDay(m.Low.In(e.zone))
	r.begun, r.begunBy = e.day(onset), localDay(m.High.Add(-1).In(e.zone))
	if !r.begun.IsZero() {
		first, r.begunBy = r.begun, r.begun
	}
	if first.After(r.seen) {
		return "pain-onset-after-report"
	}
	return ""
}
