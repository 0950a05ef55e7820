package careplan

import (
	"slices"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

// progress is the rule of a step by which the scheduler marks its activity. A step without
// one is never due, overdue or missed.
type progress struct {
	// condition must hold for a mark, nil for none.
	condition *expression
	// overdue and missed are how long after the last day of the window the activity is
	// late, and too late to be done as meant. nil: never.
	overdue, missed *offset
	// outcome is told while the activity is overdue or missed, "" for none.
	outcome string
}

const (
	// progressExtension is the rule on an action, and the mark on an activity.
	progressExtension = fhir.Canonical + "/StructureDefinition/progress"
	progressSystem    = fhir.Canonical + "/CodeSystem/progress"
)

// marks are the codes of CodeSystem/progress that the engine gives, in the order in which
// they follow each other.
var marks = []string{"", "due", "overdue", "missed"}

func (x *expansion) progress(d *fhir.Node, place string, a *fhir.Node) *progress {
	n := extensionOf(a, progressExtension)
	if n == nil {
		return nil
	}
	r := &progress{}
	for i, e := range n.Each("extension") {
		at := place + ".extension(progress)." + e.Str("url")
		switch e.Str("url") {
		case "overdue":
			r.overdue = x.offset(d, at, e.Get("valueDuration"))
		case "missed":
			r.missed = x.offset(d, at, e.Get("valueDuration"))
		case "outcome":
			r.outcome = e.Str("valueCode")
			x.checkOutcome(r.outcome, d.Str("url"), at)
		case "condition":
			r.condition = x.expression(d, at, e.Get("valueExpression"))
		case policyCodeExtension:
		default:
			x.fail(d, conditionPlace(place+".extension", i), "%q is not understood", e.Str("url"))
		}
	}
	return r
}

// on is the mark of an activity with the given window on a day.
func (r *progress) on(w window, today time.Time) string {
	after := func(o *offset) bool { return o != nil && !w.End.IsZero() && today.After(o.from(w.End, 1)) }
	switch {
	case w.Start.IsZero() && w.End.IsZero():
		return ""
	case after(r.missed):
		return "missed"
	case after(r.overdue):
		return "overdue"
	case !w.Start.IsZero() && !today.Before(w.Start):
		return "due"
	}
	return ""
}

// underWay are the statuses of an activity that can be due.
var underWay = map[string]bool{"not-started": true, "scheduled": true, "in-progress": true}

// marked is a mark and the window that it stands for.
type marked struct {
	code   string
	window window
}

// next is the mark that follows another on a day, which may be zero: nothing is judged
// then. A mark holds as long as its window, and never goes back: a clock may.
func (r *progress) next(was marked, status string, w window, today time.Time) marked {
	if r == nil || !underWay[status] {
		return marked{}
	}
	now := marked{window: w}
	if was.window == w {
		now.code = was.code
	}
	if !today.IsZero() {
		if code := r.on(w, today); slices.Index(marks, code) > slices.Index(marks, now.code) {
			now.code = code
		}
	}
	return now
}

// markOf is the mark that an activity carries.
func (e *Engine) markOf(a *fhir.Node) (m marked) {
	n := extensionOf(a, progressExtension)
	for _, part := range n.Each("extension") {
		switch part.Str("url") {
		case "mark":
			m.code = part.Str("valueCode")
		case "window":
			m.window = e.windowIn(part.Get("valuePeriod"))
		}
	}
	return m
}

// mark gives an activity the mark that it has, or on the day of the scheduler ought to have.
func (p *plan) mark(s *step, a *fhir.Node, was marked) (*fhir.Node, string) {
	detail := a.Get("detail")
	now := s.progress.next(was, detail.Str("status"), p.d.engine.scheduledWindow(detail), p.d.records.Today)
	if p.schedules[s].provisional {
		now.code = ""
	}
	if now.code != "" && s.progress.condition != nil {
		truth, err := s.progress.condition.truth(p.variables(s.level), "")
		if err != nil {
			p.fail(s.action, s.progress.condition.String(), path.Reason(err))
		}
		if truth != path.True {
			now.code = ""
		}
	}
	if now.code == "overdue" || now.code == "missed" {
		if s.progress.outcome != "" {
			p.d.tell(s.progress.outcome, p.key+"#"+s.id, p.operations...)
		}
	}
	var extensions []any
	had := false
	for _, x := range a.Each("extension") {
		if x.Str("url") == progressExtension {
			had = true
		} else {
			extensions = append(extensions, raw{x})
		}
	}
	if !had && now.code == "" {
		return a, ""
	}
	if now.code != "" {
		type part struct {
			URL    string  `json:"url"`
			Code   string  `json:"valueCode,omitempty"`
			Period *period `json:"valuePeriod,omitempty"`
		}
		window := periodOf(now.window)
		extensions = append(extensions, struct {
			URL   string `json:"url"`
			Parts []part `json:"extension"`
		}{progressExtension, []part{{URL: "mark", Code: now.code}, {URL: "window", Period: &window}}})
	}
	o := members(a).without("extension")
	o.set("extension", extensions)
	o.arrange(activityOrder)
	return o.node(), now.code
}

// businessStatus puts a mark into a Task. A business status of somebody else stays.
func (p *plan) businessStatus(o *object, code string) {
	if theirs := memberOf(*o, "businessStatus"); theirs != nil {
		if !anyCoding(codingsAt(theirs, "coding"), func(c coding) bool { return c.System == progressSystem }) {
			return
		}
		*o = o.without("businessStatus")
	}
	if code == "" {
		return
	}
	c := coding{System: progressSystem, Code: code}
	c.Display = p.d.engine.terms.concepts[c].Str("display")
	o.set("businessStatus", concept{Coding: []coding{c}})
	o.arrange(taskOrder)
}

// Day is the local date of an instant, as derivations write it: midnight UTC.
func Day(t time.Time, zone *time.Location) time.Time {
	return localDay(t.In(zone))
}

func (e *Engine) windowIn(period *fhir.Node) window {
	return window{e.day(period.Str("start")), e.day(period.Str("end"))}
}

// scheduledWindow is scheduled[x] of an activity in local dates.
func (e *Engine) scheduledWindow(detail *fhir.Node) (w window) {
	if n := detail.Get("scheduledPeriod"); n != nil {
		return e.windowIn(n)
	}
	for _, event := range detail.Each("scheduledTiming", "event") {
		day := e.day(event.Text)
		if w.Start.IsZero() || day.Before(w.Start) {
			w.Start = day
		}
		if day.After(w.End) {
			w.End = day
		}
	}
	if n := detail.Get("scheduledTiming", "repeat", "boundsPeriod"); n != nil {
		return e.windowIn(n)
	}
	return w
}

// Behind reports that an activity of a plan ought to have another mark on a local date
// (see Day) than it has. It is a quick look: a derivation with Case.Today decides.
func (e *Engine) Behind(plan *fhir.Node, today time.Time) bool {
	w := e.pathwayOf(plan)
	if w == nil || plan.Str("status") != "active" {
		return false
	}
	for _, a := range plan.Each("activity") {
		s := w.byID[a.Str("id")]
		if s == nil || s.progress == nil {
			continue
		}
		detail, was := a.Get("detail"), e.markOf(a)
		if now := s.progress.next(was, detail.Str("status"), e.scheduledWindow(detail), today); now.code != was.code {
			return true
		}
	}
	return false
}

// pathwayOf is the pathway that a plan follows, nil where it is not loaded.
func (e *Engine) pathwayOf(plan *fhir.Node) *pathway {
	for _, n := range plan.Each("instantiatesCanonical") {
		url, _, _ := strings.Cut(n.Text, "|")
		for _, p := range e.protocols {
			for _, w := range p.pathways {
				if own, _, _ := strings.Cut(w.canonical, "|"); own == url {
					return w
				}
			}
		}
	}
	return nil
}
