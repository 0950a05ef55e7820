package service

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store"
)

// everything is Patient/$everything
// (https://hl7.org/fhir/R4/patient-operation-everything.html): the patient, the resources
// of the record, then what these refer to that is no patient's data. Every resource comes
// once over all pages, and nothing that is another patient's. The patient comes however old
// it is, also with _since: the operation's page asks for at least that. _count=0 asks for the
// number of resources in the record alone.
func (s *Service) everything(in *invocation) (answering, error) {
	asked, err := s.readEverything(in)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, r *store.Reader) (Answer, error) {
		e := *asked
		e.trail = trailOf(ctx)
		patient, err := read(ctx, r, "Patient", e.id)
		if err != nil {
			return Answer{}, err
		}
		body, err := e.page(ctx, r, patient)
		return Answer{Body: body}, err
	}, nil
}

// everythingQuery is one $everything on its way.
type everythingQuery struct {
	s         *Service
	principal Principal
	trail     *Trail
	id        string
	types     []string // of _type; none means all
	record    []recordType
	// low and high bound the time of care, in microseconds UTC; since the record's.
	low, high int64
	since     time.Time
	count     int
	cursor    string
	applied   []search.Pair

	bundle   *bundle
	left     int  // how many more resources the page takes
	full     bool // that the page is large enough already
	withheld bool
	// refs are what support wants of the record; nil until the record was read whole.
	refs map[string]bool
}

// segment is one search of the record: one type, one parameter that makes a member, and
// one way for the time of care to fit.
type segment struct {
	typ     *recordType
	member  int
	clauses []search.Clause
}

func (s *Service) readEverything(in *invocation) (*everythingQuery, error) {
	if err := in.only("start", "end", "_since", "_type", "_count", "_cursor"); err != nil {
		return nil, err
	}
	e := &everythingQuery{s: s, principal: in.principal, id: in.ID, low: search.MinTime, high: search.MaxTime}
	if !s.mayRead(in.principal, "Patient") {
		return nil, forbidden("read", "Patient")
	}
	var err error
	if e.record, err = record(); err != nil {
		return nil, err
	}
	if err := e.readTimes(in); err != nil {
		return nil, err
	}
	if err := e.readTypes(in); err != nil {
		return nil, err
	}
	if err := e.readCount(in); err != nil {
		return nil, err
	}
	if e.cursor, _, err = in.text("_cursor"); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *everythingQuery) readCount(in *invocation) error {
	text, a, err := in.text("_count")
	switch {
	case err != nil:
		return err
	case text == "0":
		e.count = 0
	default:
		if e.count, err = in.whole("_count", maxCount); err != nil {
			return err
		}
	}
	e.count = min(e.count, maxCount)
	if a != nil {
		e.apply("_count", strconv.Itoa(e.count))
	}
	return nil
}

func (e *everythingQuery) apply(name, value string) {
	e.applied = append(e.applied, search.Pair{Name: name, Value: value})
}

func (e *everythingQuery) readTimes(in *invocation) error {
	for _, name := range []string{"start", "end", "_since"} {
		text, a, err := in.text(name)
		if err != nil {
			return err
		}
		if a == nil {
			continue
		}
		m, err := fhir.ParseMoment(strings.Replace(text, " ", "+", 1), e.s.zone)
		if err != nil || name == "_since" && m.Precision < fhir.DayPrecision {
			return a.refuse("value", "%s must be a date that exists, such as 2026-03-02%s.", name, map[string]string{"_since": "T09:30:00Z"}[name])
		}
		switch name {
		case "start":
			e.low = search.Micros(m.Low)
		case "end":
			e.high = search.Micros(m.High)
		default:
			e.since = m.Low
		}
		e.apply(name, text)
	}
	if e.low >= e.high {
		end, _ := in.one("end") // given once, or the range would be open
		return end.refuse("value", "end is before start.")
	}
	return nil
}

func (e *everythingQuery) readTypes(in *invocation) error {
	for _, a := range in.all("_type") {
		text, err := a.primitive()
		if err != nil {
			return err
		}
		for typ := range strings.SplitSeq(text, ",") {
			if _, ok := fhir.Served(typ); !ok {
				return a.refuse("not-supported", "_type names a resource type that this server does not serve; names are case-sensitive.")
			}
			if !e.s.mayRead(e.principal, typ) {
				return at(forbidden("read", typ), a.place)
			}
			if !slices.Contains(e.types, typ) {
				e.types = append(e.types, typ)
			}
		}
	}
	if len(e.types) > 0 {
		e.apply("_type", strings.Join(e.types, ","))
	}
	return nil
}

// wants reports whether resources of a type are asked for and allowed.
func (e *everythingQuery) wants(typ string) bool {
	return (len(e.types) == 0 || slices.Contains(e.types, typ)) && e.s.mayRead(e.principal, typ)
}

// question is what the cursors of the page links belong to.
func (e *everythingQuery) question() string {
	return fmt.Sprintf("everything %q %q %d %d %d", e.id, e.types, e.low, e.high, e.since.UnixMicro())
}

// page writes one page. The position of a page link is "number cursor" inside the record,
// with the number of the segment, or "Type/id", the last resource given of those that the
// record refers to.
func (e *everythingQuery) page(ctx context.Context, r *store.Reader, patient *fhir.Resource) ([]byte, error) {
	position := ""
	if e.cursor != "" {
		var err error
		if position, err = e.s.store.Unseal(e.cursor, e.question()); err != nil {
			return nil, at(err, "http._cursor")
		}
	}
	if e.count == 0 {
		total, err := e.total(ctx, r)
		if err != nil {
			return nil, err
		}
		body := newBundle("searchset", total)
		body.link("self", e.s.link("Patient/"+e.id+"/$everything", e.applied, ""))
		return body.bytes(), nil
	}
	// The entries are written before it is known whether there is a next page.
	e.bundle, e.left = &bundle{}, e.count
	next, err := e.fill(ctx, r, patient, position)
	if err != nil {
		return nil, err
	}
	if e.withheld {
		e.bundle.entry(entry{mode: "outcome", resource: fhir.Outcome(fhir.Issue{Severity: "information", Code: "suppressed",
			Text: "Resources that also concern other patients were left out."})})
	}
	body, path := newBundle("searchset", -1), "Patient/"+e.id+"/$everything"
	body.link("self", e.s.link(path, e.applied, ""))
	if next != "" {
		body.link("next", e.s.link(path, e.applied, e.s.store.Seal(next, e.question())))
	}
	return body.append(e.bundle).bytes(), nil
}

// total is the number of resources in the record, without what these refer to.
func (e *everythingQuery) total(ctx context.Context, r *store.Reader) (int64, error) {
	n := int64(0)
	if e.wants("Patient") {
		n++
	}
	err := e.walk(ctx, r, e.since, e.wants, func(*fhir.Resource, *fhir.Node) { n++ })
	return n, err
}

// walk calls visit with each resource of the record, but for the patient, that is of a type
// that takes says yes to and has changed since a time.
func (e *everythingQuery) walk(ctx context.Context, r *store.Reader, since time.Time, takes func(typ string) bool, visit func(*fhir.Resource, *fhir.Node)) error {
	segments, err := e.plan(since)
	if err != nil {
		return err
	}
	for i := range segments {
		g := &segments[i]
		if !takes(g.typ.name) {
			continue
		}
		q := &search.Query{Type: g.typ.name, Clauses: g.clauses, Count: maxCount}
		for more := true; more; more = q.Cursor != "" {
			page, err := r.Search(ctx, q, nil)
			if err != nil {
				return err
			}
			for _, res := range page.Resources {
				m, err := e.member(g, res)
				if err != nil {
					return err
				}
				if m != nil {
					visit(res, m)
				}
			}
			q.Cursor = page.Next
		}
	}
	return nil
}

// append takes over the entries of o, which has no links.
func (b *bundle) append(o *bundle) *bundle {
	if o.entries > 0 {
		b.closeLinks()
		b.buf = append(b.buf, o.buf...)
		b.entries += o.entries
	}
	return b
}

// fill adds entries from a position on until the page is full, and returns the position of
// the next page, "" when there is none.
func (e *everythingQuery) fill(ctx context.Context, r *store.Reader, patient *fhir.Resource, position string) (string, error) {
	number, cursor := 0, ""
	// One page that has the whole record need not read it again for what it refers to.
	inOne := position == "" && e.since.IsZero() && len(e.types) == 0
	refs := map[string]bool{}
	switch {
	case position == "":
		if e.wants("Patient") {
			e.add(patient, "match")
		}
	case strings.Contains(position, "/"):
		return e.support(ctx, r, patient, position)
	default:
		var digits string
		digits, cursor, _ = strings.Cut(position, " ")
		var err error
		if number, err = strconv.Atoi(digits); err != nil {
			return "", err
		}
	}
	segments, err := e.plan(e.since)
	if err != nil {
		return "", err
	}
	for ; number < len(segments); number, cursor = number+1, "" {
		g := &segments[number]
		if !e.wants(g.typ.name) {
			continue
		}
		for more := true; more; more = cursor != "" {
			// With the page full, one more is asked for to see whether there is any.
			count := max(e.left, 1)
			if e.full {
				count = 1
			}
			page, err := r.Search(ctx, &search.Query{Type: g.typ.name, Clauses: g.clauses, Count: count, Cursor: cursor}, nil)
			if err != nil {
				return "", err
			}
			if (e.left == 0 || e.full) && len(page.Resources) > 0 {
				return fmt.Sprintf("%d %s", number, cursor), nil
			}
			for _, res := range page.Resources {
				m, err := e.member(g, res)
				if err != nil {
					return "", err
				}
				if m != nil {
					e.add(res, "match")
					if inOne {
						e.refer(refs, res, m)
					}
				}
			}
			cursor = page.Next
		}
	}
	if inOne {
		e.refs = refs
	}
	return e.support(ctx, r, patient, supportStart)
}

// add adds an entry. A page that has become large takes no more.
func (e *everythingQuery) add(r *fhir.Resource, mode string) {
	e.bundle.entry(entry{fullURL: e.s.url(r), resource: r.Body, mode: mode})
	e.trail.shows(r)
	e.left--
	if len(e.bundle.buf) >= store.PageBytes {
		e.full = true
	}
}

// plan lists the searches that are the record, or what has changed of it since a time.
func (e *everythingQuery) plan(since time.Time) ([]segment, error) {
	var out []segment
	for i := range e.record {
		t := &e.record[i]
		times, err := e.times(t)
		if err != nil {
			return nil, err
		}
		for member, code := range t.members {
			p, err := e.parameter(t.name, code)
			if err != nil {
				return nil, err
			}
			who := search.Clause{Param: p, Values: []search.Value{{System: "Patient", Value: e.id}}}
			for _, when := range times {
				clauses := append([]search.Clause{who}, when...)
				if !since.IsZero() {
					p, err := e.parameter(t.name, "_lastUpdated")
					if err != nil {
						return nil, err
					}
					at := search.Micros(since)
					clauses = append(clauses, search.Clause{Param: p, Values: []search.Value{{Prefix: search.Gt, Low: at, High: at}}})
				}
				out = append(out, segment{t, member, clauses})
			}
		}
	}
	return out, nil
}

func (e *everythingQuery) parameter(typ, code string) (*search.Parameter, error) {
	p, ok := e.s.registry.Lookup(typ, code)
	if !ok {
		return nil, fmt.Errorf("a record needs the search parameter %s.%s, which is not switched on", typ, code)
	}
	return p, nil
}

// times are the ways for a resource's time of care to fit: it began before the end and
// ended after the start, where it is known. Each way is a list of clauses that must hold;
// no resource fits two ways.
func (e *everythingQuery) times(t *recordType) ([][]search.Clause, error) {
	ways := [][]search.Clause{nil}
	both := func(code string, values ...search.Value) error {
		p, err := e.parameter(t.name, code)
		if err != nil {
			return err
		}
		var fits []search.Clause
		for _, v := range values {
			fits = append(fits, search.Clause{Param: p, Values: []search.Value{v}})
		}
		unknown := search.Clause{Param: p, Modifier: "missing", Values: []search.Value{{Missing: true}}}
		var next [][]search.Clause
		for _, way := range ways {
			next = append(next, append(slices.Clone(way), fits...), append(slices.Clone(way), unknown))
		}
		ways = next
		return nil
	}
	var begin, end []search.Value
	if e.high != search.MaxTime {
		begin = append(begin, search.Value{Prefix: search.Lt, Low: e.high, High: e.high})
	}
	if e.low != search.MinTime {
		end = append(end, search.Value{Prefix: search.Gt, Low: e.low, High: e.low})
	}
	if t.begin == t.end {
		begin, end = append(begin, end...), nil
	}
	if t.begin != "" && len(begin) > 0 {
		if err := both(t.begin, begin...); err != nil {
			return nil, err
		}
	}
	if t.end != "" && len(end) > 0 {
		if err := both(t.end, end...); err != nil {
			return nil, err
		}
	}
	return ways, nil
}

// member parses a resource that a segment found. It is nil where an earlier segment gave
// it already, or where it is another patient's too.
func (e *everythingQuery) member(g *segment, r *fhir.Resource) (*fhir.Node, error) {
	n, err := fhir.Parse(r.Body)
	if err != nil {
		return nil, err
	}
	rows, err := e.s.registry.Extract(n, e.s.zone, e.s.baseURL)
	if err != nil {
		return nil, err
	}
	if slices.Contains(named(rows, g.typ.members[:g.member]), e.id) {
		return nil, nil
	}
	for _, id := range named(rows, g.typ.owners) {
		if id != e.id {
			e.withheld = true
			return nil, nil
		}
	}
	return n, nil
}
