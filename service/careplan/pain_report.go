package careplan

import (
	"strings"
	"time"

	"aftercare/fhir"
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
	// unread are outcomes that say that a site or a trigger was reported that no ValueSet has.
	unread []string
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
	case r.score == nil || r.score.Kind != fhir.Number:
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
		if e.isComponent(c, g.trigger) && c.Get("valueCodeableConcept") != nil && len(pick(e.terms.expand(codes), e.terms.sets[painTriggersSet])) == 0 {
			r.unread = append(r.unread, "pain-trigger-not-read")
		}
	}
	r.triggers = pick(e.terms.expand(triggers), e.terms.sets[painTriggersSet])
	if e.unreadSite(n) {
		r.unread = append(r.unread, "pain-site-not-read")
	}
	return r, e.painDays(r, g)
}

// isComponent reports that a component has one of the codes.
func (e *Engine) isComponent(c *fhir.Node, codes map[coding]bool) bool {
	return anyCoding(e.terms.expand(codingsAt(c, "code", "coding")), func(c coding) bool { return codes[c.key()] })
}

// unreadSite reports that the site is told in words alone, or by a code that is none of a site, a
// side or a bone here and is translated to none.
func (e *Engine) unreadSite(n *fhir.Node) bool {
	codes := codingsAt(n, "bodySite", "coding")
	for _, c := range codes {
		known := false
		for _, to := range e.terms.expand([]coding{c}) {
			known = known || e.terms.sets[painSitesSet].has(to) || e.terms.sets[lateralitySet].has(to)
			for _, p := range e.protocols {
				known = known || p.sites.has(to)
			}
		}
		if !known {
			return true
		}
	}
	return n.Get("bodySite") != nil && len(codes) == 0
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
	told := map[string]bool{}
	for _, c := range r.Node.Each("component") {
		if !e.isComponent(c, g.onset) {
			continue
		}
		for _, m := range c.Members {
			if strings.HasPrefix(m.Name, "value") {
				onset = m.Value.Text + m.Value.Str("start")
				told[onset] = true
			}
		}
	}
	if len(told) > 1 || told[""] {
		return "pain-onset-unclear"
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
