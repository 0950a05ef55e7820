package careplan

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

// stop is a PlanDefinition.action.condition of kind stop
// (https://hl7.org/fhir/R4/codesystem-action-condition-kind.html): what completes or
// cancels an activity.
type stop struct {
	condition *expression
	// records gives the resource that tells of it, the first if there are several; nil
	// where no date and no record are to be named.
	records *expression
	// status is that of the activity then, outcome the reason.
	status, outcome string
	// late is the outcome where the record's date is after the activity's window, "" for
	// none.
	late string
}

const (
	resultingExtension = fhir.Canonical + "/StructureDefinition/resulting-status"
	recordExtension    = fhir.Canonical + "/StructureDefinition/record"
	lateExtension      = fhir.Canonical + "/StructureDefinition/when-late"
)

func (x *expansion) stops(d *fhir.Node, place string, a *fhir.Node) (all []stop) {
	for i, n := range a.Each("condition") {
		if n.Str("kind") != "stop" {
			continue
		}
		at := conditionPlace(place, i)
		st := stop{
			condition: x.expression(d, at+".expression", n.Get("expression")),
			status:    extensionValue(n, resultingExtension, "valueCode"),
			outcome:   extensionValue(n, outcomeExtension, "valueCode"),
			late:      extensionValue(n, lateExtension, "valueCode"),
		}
		if !finished[st.status] || st.status == "entered-in-error" {
			x.fail(d, at, "needs the extension resulting-status with completed, cancelled or stopped")
		}
		x.checkOutcome(st.outcome, d.Str("url"), at)
		if st.late != "" {
			x.checkOutcome(st.late, d.Str("url"), at)
		}
		if record := extensionOf(n, recordExtension); record != nil {
			st.records = x.expression(d, at+".extension", record.Get("valueExpression"))
		}
		all = append(all, st)
	}
	return all
}

// evidence is what is recorded about a step: the first stop condition that holds.
func (p *plan) evidence(s *step) following {
	for _, st := range s.stops {
		truth, err := st.condition.truth(p.variables(s.level), "")
		if err != nil {
			p.fail(s.action, st.condition.String(), path.Reason(err))
		}
		if truth != path.True {
			continue
		}
		f := following{status: st.status, outcome: st.outcome}
		if st.records != nil {
			f.record = p.recordOf(s, st)
		}
		if f.record != nil {
			f.done = p.d.engine.dayOf(f.record.Node)
			if proc := p.d.records.byID[f.record.ref()]; proc != nil && !proc.claimed {
				proc.claimed = true
				p.d.tellPlan("record-counts", proc.ref(), proc.ref(), p.ref())
			}
			p.evident = appendSource(p.evident, *f.record)
		}
		if end := p.schedules[s].window.End; st.late != "" && !end.IsZero() && f.done.After(end) {
			p.d.tell(st.late, p.key+"#"+s.id, p.operations...)
		}
		return f
	}
	return following{}
}

func (p *plan) recordOf(s *step, st stop) *Source {
	found, err := st.records.Nodes(nil, p.variables(s.level).in(""))
	if err != nil {
		p.fail(s.action, st.records.String(), path.Reason(err))
	}
	for _, n := range found {
		if source, ok := p.d.records.byRef[n.Str("resourceType")+"/"+n.Str("id")]; ok {
			return &source
		}
	}
	return nil
}

// dayOf is the local date on which what a resource records was done, zero where it is not
// known to the day.
func (e *Engine) dayOf(n *fhir.Node) time.Time {
	if day, _, _ := e.performed(n); !day.IsZero() {
		return day
	}
	return e.day(n.Str("period", "end"))
}

// later are the completed Procedures of the patient that are not operations and belong to
// the wound of the given operations: those that name one of them or the plan, or else those
// that come after it, and not after a later operation, at no other site. Earliest first.
func (p *plan) later(of []*procedure) (found []*procedure) {
	if p.protocol == nil { // which operations there are is still to be found out
		return nil
	}
	for _, proc := range p.d.records.procedures {
		if !proc.usable() || proc.day.IsZero() || len(proc.facts) > 0 || len(of) == 0 || of[0].day.IsZero() || proc.day.Before(of[0].day) {
			continue
		}
		if op := p.operationOf(proc); op != nil && slices.Contains(of, op) {
			found = append(found, proc)
		}
	}
	slices.SortStableFunc(found, func(a, b *procedure) int { return cmp.Or(a.day.Compare(b.day), strings.Compare(a.ID, b.ID)) })
	return found
}

// operationOf is the operation whose wound a Procedure is about, nil where that is not
// known.
func (p *plan) operationOf(proc *procedure) *procedure {
	if named := proc.operations(nil); len(named) > 0 && !proc.assumed {
		return named[0]
	}
	inPlan := false
	for _, ref := range proc.Node.Each("basedOn", "reference") {
		inPlan = inPlan || p.d.records.localRef(ref.Text) == p.ref()
	}
	own := p.d.engine.siteOf(p.d.records, proc.Node, p.protocol.sites)
	var last *procedure
	for _, op := range p.d.records.procedures {
		if len(op.facts) == 0 || !op.usable() || op.day.IsZero() || op.day.After(proc.day) {
			continue
		}
		if inPlan && !slices.Contains(p.operations, op) || !inPlan && own.contradicts(op.site) {
			continue
		}
		switch {
		case last == nil:
			last = op
		case !last.site.equals(op.site):
			p.d.tell("record-unclear", proc.ref(), proc)
			return nil
		case op.day.After(last.day):
			last = op
		}
	}
	return last
}

// encounters are those that operations name, or else those whose period has an operation's
// day. They are given with a period of local dates, the earliest first.
func (p *plan) encounters(of []*procedure) (named, around []*fhir.Node) {
	for _, op := range of {
		if s, ok := p.d.records.byRef[p.d.records.localRef(op.Node.Str("encounter", "reference"))]; ok && s.Type == encounterType {
			named = append(named, p.inLocalDates(s))
		}
	}
	for _, s := range p.d.records.Inputs {
		if s.Type != encounterType || len(of) == 0 || of[0].day.IsZero() {
			continue
		}
		start, end := p.d.engine.day(s.Node.Str("period", "start")), p.d.engine.day(s.Node.Str("period", "end"))
		if !start.IsZero() && !start.After(of[0].day) && (s.Node.Str("period", "end") == "" || !end.Before(of[0].day)) {
			around = append(around, p.inLocalDates(s))
		}
	}
	slices.SortStableFunc(around, func(a, b *fhir.Node) int {
		if d := strings.Compare(a.Str("period", "start"), b.Str("period", "start")); d != 0 {
			return d
		}
		return strings.Compare(a.Str("id"), b.Str("id"))
	})
	return named, around
}

const encounterType = "Encounter"

func (p *plan) inLocalDates(s Source) *fhir.Node {
	o := members(s.Node).without("period")
	o.set("period", period{
		formatDate(p.d.engine.day(s.Node.Str("period", "start"))), formatDate(p.d.engine.day(s.Node.Str("period", "end"))),
	})
	return o.node()
}

// withAllCodes is a Procedure with all codes that its own are translated to.
func withAllCodes(proc *procedure) *fhir.Node {
	o := members(proc.Node)
	o.set("code", concept{Coding: proc.codes, Text: proc.Node.Str("code", "text")})
	return o.node()
}
