package careplan

import (
	"slices"
	"strings"

	"aftercare/fhir"
)

// An activity waits while an interpretation asks for it. The mark status-followed names the
// interpretations. Where a person gives the activity another status, that stands, until there is an
// interpretation that the mark does not name.

// holdActivities puts activities of the plans that were derived on hold, as interpretations ask, or
// leaves them so. What was made of reports that are not looked at goes on holding.
func (d *derivation) holdActivities(k *keeper) {
	for i, r := range d.result.Resources {
		at := slices.IndexFunc(d.plans, func(p *plan) bool { return r.Type == "CarePlan" && p.id == r.ID && p.failed == nil })
		if at < 0 {
			continue
		}
		p := d.plans[at]
		holds := k.of(p)
		if len(holds) == 0 {
			continue
		}
		n := r.Node
		if status := n.Str("status"); status != "active" && status != "draft" && status != "on-hold" {
			continue
		}
		var list []*fhir.Node
		for _, a := range n.Each("activity") {
			list = append(list, d.held(a, holds))
		}
		o := members(n)
		d.setActivities(&o, n, n.Str("status"), list)
		d.result.Resources[i].set(o)
	}
}

// waiting is an activity that interpretations ask to wait.
type waiting struct {
	status, outcome string
	because         []string // references of ClinicalImpressions
	// overruled: a person has given it another status, and knew of all of them.
	overruled bool
}

// of are the activities of a plan that wait, by the url of their definition.
func (k *keeper) of(p *plan) map[string]waiting {
	holds := map[string]waiting{}
	named := map[string][]string{}
	for _, a := range p.existing.Each("activity") {
		detail := a.Get("detail")
		mark := extensionOf(detail, followedExtension)
		var because, left []string
		for _, x := range mark.Each("extension") {
			if ref := x.Str("valueReference", "reference"); x.Str("url") == "because" && ref != "" {
				because = append(because, ref)
				if !slices.Contains(k.back, ref) {
					left = append(left, ref)
				}
			}
		}
		if len(because) == 0 {
			continue
		}
		url := definitionOf(detail)
		named[url] = because
		given := followedStatus(detail)
		w := waiting{status: given, because: left, overruled: detail.Str("status") != given}
		for _, c := range codingsAt(detail, "statusReason", "coding") {
			if c.System == outcomeSystem {
				w.outcome = c.Code
			}
		}
		if w.outcome == "" {
			w.outcome = k.derivation.engine.holdOutcome(url)
		}
		if len(left) > 0 {
			holds[url] = w
		}
	}
	for _, h := range k.holds {
		if h.planRef != p.ref() {
			continue
		}
		w, waits := holds[h.rule.holds]
		if !waits {
			w = waiting{overruled: true}
			for _, a := range p.existing.Each("activity") {
				if detail := a.Get("detail"); definitionOf(detail) == h.rule.holds {
					w.overruled = extensionOf(detail, followedExtension) != nil && detail.Str("status") != followedStatus(detail)
				}
			}
		}
		w.status, w.outcome = h.rule.given, h.rule.outcome
		if !slices.Contains(w.because, h.because) {
			w.because = append(w.because, h.because)
		}
		w.overruled = w.overruled && slices.Contains(named[h.rule.holds], h.because)
		holds[h.rule.holds] = w
	}
	for url, w := range holds {
		slices.Sort(w.because)
		holds[url] = w
	}
	return holds
}

// holdOutcome is the outcome of the rule that holds an activity.
func (e *Engine) holdOutcome(url string) string {
	for _, r := range e.pain {
		for _, c := range r.conclusions {
			if c.holds == url {
				return c.outcome
			}
		}
	}
	return ""
}

// definitionOf is the url of the definition that an activity follows.
func definitionOf(detail *fhir.Node) string {
	for _, n := range detail.Each("instantiatesCanonical") {
		url, _, _ := strings.Cut(n.Text, "|")
		return url
	}
	return ""
}

// held is an activity with what it waits for. Only one that nobody has begun gets another status: what
// a person did is not undone.
func (d *derivation) held(a *fhir.Node, holds map[string]waiting) *fhir.Node {
	detail := a.Get("detail")
	w, waits := holds[definitionOf(detail)]
	if !waits || extensionOf(detail, followedExtension) != nil || closedByEngine(detail) || detail.Str("status") == w.status {
		return a // it follows something else, or a person has it wait
	}
	f := following{status: w.status, outcome: w.outcome, because: w.because}
	o := members(detail)
	if w.overruled || detail.Str("status") != "not-started" {
		o.set("extension", append(listIn(o, "extension"), f.mark(nil)))
	} else {
		d.give(&o, f)
	}
	o.arrange(detailOrder)
	out := members(a)
	out.set("detail", o)
	return out.node()
}
