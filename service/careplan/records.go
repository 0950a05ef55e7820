package careplan

import (
	"slices"
	"strings"
	"time"

	"aftercare/fhir"
)

// records is a Case in the form that derivations work on.
type records struct {
	Case
	byRef      map[string]Source
	procedures []*procedure
	byID       map[string]*procedure
	existing   map[existingKey]Source
	// moved are the derived resources, by reference, that have another patient or key now.
	moved map[string]bool
}

type existingKey struct{ kind, system, value string }

// procedure is one recorded Procedure, or a ServiceRequest for one.
type procedure struct {
	Source
	status string
	// plan is what the status means for a care plan, "" for none yet.
	plan string
	// codes are its own codes with their translations.
	codes []coding
	// parts are the Procedures of the patient that name this one in partOf.
	parents, parts []*procedure
	day            time.Time // local date, zero when it is not exact
	// from and until are the first and the last day that it can have been, zero when nothing is
	// known.
	from, until time.Time
	// facts, for an operation: everything coded for it and its completed components.
	facts []coding
	site  site
	// waits says why nothing may be dated from this operation, "" when it may.
	waits string
	// components are the completed Procedures that are part of this operation.
	components []*procedure
	// planRef is the care plan of an operation, "" when it has none.
	planRef string
	// assumed: it is taken for a part of an operation that it does not name.
	assumed bool
	// claimed: a notice tells about it.
	claimed bool
	// action is what the protocol has for an operation; implants are the anchors, by reference,
	// that it put in; ends is the course that it ended.
	action   *selector
	implants []string
	ends     *course
}

func (p *procedure) usable() bool { return p.plan == "active" }

// planned reports that the operation is still to come.
func (p *procedure) planned() bool { return p.status == "preparation" }

// void reports that the operation never took place.
func (p *procedure) void() bool { return p.plan == "revoked" || p.plan == "entered-in-error" }

func (e *Engine) read(c Case) *records {
	r := &records{Case: c, byRef: map[string]Source{}, byID: map[string]*procedure{}, existing: map[existingKey]Source{}, moved: map[string]bool{}}
	inputs := slices.Clone(c.Inputs)
	slices.SortFunc(inputs, func(a, b Source) int { return strings.Compare(a.ref(), b.ref()) })
	for _, s := range inputs {
		r.byRef[s.ref()] = s
		p := e.procedure(s)
		if s.Type == "Procedure" || s.Type == "ServiceRequest" && p.planned() && e.selects(p.codes) {
			r.procedures = append(r.procedures, p)
			r.byID[s.ref()] = p
		}
	}
	for _, p := range r.procedures {
		for _, parent := range p.Node.Each("partOf", "reference") {
			if q := r.byID[r.localRef(parent.Text)]; q != nil && q != p {
				p.parents = append(p.parents, q)
				q.parts = append(q.parts, p)
			}
		}
	}
	r.Existing = inOrder(c.Existing)
	for i, s := range r.Existing {
		r.change(i, r.ofSubject(e.named(s, c.Unnamed[s.ref()])))
	}
	r.Written = map[string]*fhir.Node{}
	for ref, n := range c.Written {
		if n != nil {
			n = r.ofSubject(n)
		}
		r.Written[ref] = n
	}
	r.Deleted = slices.DeleteFunc(inOrder(c.Deleted), func(s Source) bool {
		return r.existingAt(s.Type, s.ID) != nil // made again
	})
	for i, s := range r.Deleted {
		r.Deleted[i].Node = r.ofSubject(s.Node)
	}
	r.index()
	return r
}

// inOrder are sources by reference.
func inOrder(all []Source) []Source {
	return slices.SortedFunc(slices.Values(all), func(a, b Source) int { return strings.Compare(a.ref(), b.ref()) })
}

// change gives the i-th derived resource the content that it has for this derivation.
func (r *records) change(i int, n *fhir.Node) {
	if s := &r.Existing[i]; s.Node != n {
		s.Node = n
		r.moved[s.ref()] = true
	}
}

// index finds what exists by identifier.
func (r *records) index() {
	clear(r.existing)
	for _, s := range r.Existing {
		for _, id := range s.Node.Each("identifier") {
			r.existing[existingKey{s.Type, id.Str("system"), id.Str("value")}] = s
		}
	}
}

// named is a derived resource with the identifier that it had, where a person has taken that off.
func (e *Engine) named(s Source, value string) *fhir.Node {
	if value == "" {
		return s.Node
	}
	system, value, _ := strings.Cut(value, "|")
	o := members(s.Node)
	o.set("identifier", append([]raw{{asNode(identifier{system, value})}}, raws(s.Node.Each("identifier"))...))
	o.arrange(orders[s.Type])
	return o.node()
}

// IdentifierOf is the identifier by which derivations know a resource of theirs, as system|value, ""
// for none.
func (e *Engine) IdentifierOf(typ string, n *fhir.Node) string {
	for _, out := range e.Outputs() {
		if out.Type != typ {
			continue
		}
		if value := identifierIn(n, out.IdentifierSystem); value != "" {
			return out.IdentifierSystem + "|" + value
		}
	}
	return ""
}

// deleted is the derived resource with an identifier that a person has deleted, nil for none.
func (r *records) deleted(kind, system, value string) *Source {
	for i, s := range r.Deleted {
		if s.Type == kind && identifierIn(s.Node, system) == value {
			return &r.Deleted[i]
		}
	}
	return nil
}

// existingAt is the derived resource of a type and id, nil if there is none.
func (r *records) existingAt(kind, id string) *Source {
	for i := range r.Existing {
		if s := &r.Existing[i]; s.Type == kind && s.ID == id {
			return s
		}
	}
	return nil
}

// byType are the inputs of a type, by id.
func (r *records) byType(kind string) []Source {
	var found []Source
	for _, s := range r.byRef {
		if s.Type == kind {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b Source) int { return strings.Compare(a.ID, b.ID) })
	return found
}

// localRef is a reference without the version it may name.
func (r *records) localRef(s string) string { return localRef(r.Base, s) }

func localRef(base, s string) string {
	if ref := fhir.ParseReference(s, base); ref.Local() {
		return ref.Type + "/" + ref.ID
	}
	return s
}

func (e *Engine) procedure(s Source) *procedure {
	p := &procedure{Source: s, status: s.Node.Str("status")}
	p.plan = e.terms.planStatus(p.status)
	p.codes = e.terms.expand(codingsAt(s.Node, "code", "coding"))
	p.day, p.from, p.until = e.performed(s.Node)
	if s.Type == "ServiceRequest" {
		p.status = e.terms.eventStatus(p.status)
		p.plan = ""
		p.day = e.day(s.Node.Str("occurrenceDateTime"))
		if start := e.day(s.Node.Str("occurrencePeriod", "start")); start.Equal(e.day(s.Node.Str("occurrencePeriod", "end"))) && !start.IsZero() {
			p.day = start
		}
		p.from, p.until = p.day, p.day
	}
	return p
}

// selects reports that an action of a protocol is for operations with one of the codes.
func (e *Engine) selects(codes []coding) bool {
	return slices.ContainsFunc(e.protocols, func(p *protocol) bool {
		return slices.ContainsFunc(p.selectors, func(s *selector) bool { return anyTrigger(s.level.triggers, codes) })
	})
}

func codingsAt(n *fhir.Node, names ...string) []coding {
	var found []coding
	for _, c := range n.Each(names...) {
		found = append(found, codingOf(c))
	}
	return found
}

// performed is what is known of the local date of an operation: of the end of its period, else
// of its dateTime, else of the start of its period. day is zero unless it is known.
func (e *Engine) performed(n *fhir.Node) (day, from, until time.Time) {
	text := n.Str("performedPeriod", "end")
	if text == "" {
		text = n.Str("performedDateTime")
	}
	if text == "" {
		text = n.Str("performedPeriod", "start")
	}
	if day = e.day(text); !day.IsZero() {
		return day, day, day
	}
	m, err := fhir.ParseMoment(text, e.zone)
	if err != nil {
		return day, from, until
	}
	return day, localDay(m.Low.In(e.zone)), localDay(m.High.Add(-1).In(e.zone))
}

// day is the local date of a dateTime, zero unless that is exact.
func (e *Engine) day(text string) time.Time {
	m, err := fhir.ParseMoment(text, e.zone)
	if err != nil || m.Precision < fhir.DayPrecision {
		return time.Time{}
	}
	if m.Precision == fhir.DayPrecision { // a day is that day in every zone, also where it has no midnight
		day, err := time.Parse(dateLayout, text)
		if err != nil {
			return time.Time{}
		}
		return day
	}
	return localDay(m.Low.In(e.zone))
}

func localDay(t time.Time) time.Time {
	y, month, d := t.Date()
	return time.Date(y, month, d, 0, 0, 0, 0, time.UTC)
}

// factsOf gathers all that is coded for an operation and for its completed components.
func (e *Engine) factsOf(op *procedure) []coding {
	found := slices.Clone(op.codes)
	for _, p := range append([]*procedure{op}, op.components...) {
		found = append(found, codingsAt(p.Node, "code", "coding")...)
		found = append(found, codingsAt(p.Node, "complication", "coding")...)
		found = append(found, codingsAt(p.Node, "usedCode", "coding")...)
	}
	if op.action != nil {
		found = append(found, op.action.codes...)
	}
	return e.terms.expand(found)
}
