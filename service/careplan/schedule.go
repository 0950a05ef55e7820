package careplan

import (
	"slices"
	"strings"

	"aftercare/fhir/path"
)

// schedule is what is known of when a step takes place.
type schedule struct {
	dated  bool
	window window
	// provisional: it is counted from an operation that is planned.
	provisional bool
	// waits are the reasons for having no date, or for having a provisional one.
	waits []string
}

// scheduleSteps dates every step of the pathway.
func (p *plan) scheduleSteps() {
	p.schedules = make(map[*step]schedule, len(p.pathway.order))
	for _, s := range p.pathway.order { // anchors first: they can rule an operation's date out
		if s.isAnchor() {
			p.checkAnchor(s)
		}
	}
	for _, s := range p.pathway.order {
		if s.isAnchor() {
			p.schedules[s] = p.anchor(s)
		} else {
			p.schedules[s] = p.resolve(s)
		}
	}
}

// anchor dates an anchor: the date of the operation that its triggers leave.
func (p *plan) anchor(s *step) schedule {
	matching, provisional := p.dating(s)
	if len(matching) == 0 || provisional && matching[0].day.IsZero() {
		if s.outcome != "" {
			p.tellOnce(s.outcome)
		}
		return schedule{waits: []string{s.level.waits}}
	}
	for _, op := range matching {
		if op.waits != "" {
			return schedule{waits: []string{op.waits}}
		}
	}
	if !sameDay(matching) {
		p.tellOnce("operations-conflict")
		return schedule{waits: []string{p.d.engine.terms.outcome("operations-conflict").display}}
	}
	if provisional {
		for _, op := range matching {
			p.d.tellPlan("planned-provisional", op.ref(), op.ref(), p.ref())
		}
	}
	dated := schedule{dated: true, provisional: provisional, window: window{matching[0].day, matching[0].day}}
	if provisional { // what has no date by the rules waits for it all the same
		dated.waits = []string{s.level.waits}
	}
	return dated
}

// dating are the operations that an anchor is dated from, or else those planned that it would be
// dated from.
func (p *plan) dating(s *step) (operations []*procedure, provisional bool) {
	if found := p.occasions(s); len(found) > 0 {
		return found, false
	}
	return s.level.matching(p.planned), true
}

// sameDay reports that all operations with an exact date have the same.
func sameDay(operations []*procedure) bool {
	for _, op := range operations {
		if !op.day.IsZero() && !op.day.Equal(operations[0].day) {
			return false
		}
	}
	return true
}

// checkAnchor holds the operations of an anchor that names an event of the plan against
// each other, since the event happened once, and against the anchors that it must follow.
// Operations that contradict each other or break the order date nothing.
func (p *plan) checkAnchor(s *step) {
	if matching, _ := p.dating(s); len(s.events) > 0 && !sameDay(matching) {
		p.tellOnce("operations-conflict")
		for _, op := range matching {
			op.waits = p.d.engine.terms.outcome("operations-conflict").display
		}
	}
	for _, r := range s.related {
		if !r.target.isAnchor() {
			continue
		}
		own, other := p.anchor(s), p.anchor(r.target)
		if !own.dated || !other.dated {
			continue
		}
		if allowed, ok := r.apply(other.window); ok && own.window.intersect(allowed).empty() {
			o := p.d.engine.terms.outcome("stage-order")
			matching, _ := p.dating(s)
			for _, op := range matching {
				op.waits = o.display
			}
			p.tellOnce(o.code)
		}
	}
}

// resolve intersects what a step's relations allow.
func (p *plan) resolve(s *step) schedule {
	result := schedule{dated: true}
	for _, r := range s.related {
		base := p.schedules[r.target]
		allowed, ok := window{}, false
		if base.dated {
			allowed, ok = r.apply(base.window)
		}
		for _, w := range base.waits {
			if w != "" && !slices.Contains(result.waits, w) {
				result.waits = append(result.waits, w)
			}
		}
		result.provisional = result.provisional || base.provisional
		if !ok {
			result.dated = false
			continue
		}
		result.window = result.window.intersect(allowed)
	}
	switch {
	case !result.dated:
		result.window = window{}
	case !result.window.writable():
		p.failDates(s, "date-impossible")
	case result.window.empty():
		p.failDates(s, "window-empty")
	case s.activity != nil && (s.activity.waits != "" || len(s.related) == 0):
		return schedule{provisional: result.provisional, waits: result.waits}
	}
	return result
}

// failDates says that the dates of a step cannot be worked out; nobody needs them where it does
// not apply.
func (p *plan) failDates(s *step, code string) {
	if truth, _ := p.applies(s.level); truth != path.False {
		p.fail(s.action, "", p.d.engine.terms.outcome(code).display)
	}
}

// undatedText says what a step without a date waits for.
func (p *plan) undatedText(s *step) string {
	parts := slices.Clone(p.schedules[s].waits)
	if rule := s.activity.waits; rule != "" {
		parts = append(parts, rule)
	} else if s.rule != "" {
		parts = append(parts, s.rule)
	}
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return p.d.engine.terms.outcome("undated").display + ": " + strings.Join(parts, "; ")
}
