package service

import (
	"context"
	"fmt"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store"

	"github.com/cockroachdb/apd/v3"
)

// query finds the observations for a code, in the observation or in a component.
func (q *statsQuery) query(r *search.Registry, code statsCode) (*search.Query, error) {
	out := &search.Query{Type: "Observation", Count: maxCount}
	add := func(name string, v search.Value) error {
		p, ok := r.Lookup("Observation", name)
		if !ok {
			return fmt.Errorf("$stats needs the search parameter Observation.%s, which is not switched on", name)
		}
		out.Clauses = append(out.Clauses, search.Clause{Param: p, Values: []search.Value{v}})
		return nil
	}
	if err := add("subject", search.Value{System: q.subject.Type, Value: q.subject.ID}); err != nil {
		return nil, err
	}
	if err := add("combo-code", search.Value{System: code.system, Value: code.code}); err != nil {
		return nil, err
	}
	if !q.start.IsZero() {
		at := search.Micros(q.start)
		if err := add("date", search.Value{Prefix: search.Gt, Low: at, High: at}); err != nil {
			return nil, err
		}
	}
	if !q.end.IsZero() {
		at := search.Micros(q.end)
		if err := add("date", search.Value{Prefix: search.Lt, Low: at, High: at}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// valuesLimit bounds the values of one code, in bytes; valueBytes is what each takes beside its
// digits.
const (
	valuesLimit = 64 << 20
	valueBytes  = 96
)

// measurements are the values for one requested code.
type measurements struct {
	s       *Service
	q       *statsQuery
	code    statsCode
	groups  []*measured
	sources []*fhir.Resource
	seen    map[string]bool // the ids of observations that have been counted
	room    *room           // of the sources of all codes
	size    int             // of the values, in bytes
}

// measured are the values of one code in one unit.
type measured struct {
	code statsCode
	// unit is the UCUM code, "" until there is a value; label is how it was written.
	unit, label string
	values      []*apd.Decimal
	total       int
}

func (m *measurements) collect(ctx context.Context, r *store.Reader) error {
	q, err := m.q.query(m.s.registry, m.code)
	if err != nil {
		return err
	}
	totals := map[statsCode]int{}
	for more := true; more; more = q.Cursor != "" {
		page, err := r.Search(ctx, q, nil)
		if err != nil {
			return err
		}
		for _, res := range page.Resources {
			trailOf(ctx).shows(res)
			if err := m.observe(ctx, r, res, totals); err != nil {
				return err
			}
		}
		if m.size > valuesLimit {
			return fhir.Errorf(fhir.Unprocessable, "too-costly", "", "The observations hold too many values to be measured at once; ask for a shorter time.")
		}
		if len(m.seen) > statsLimit {
			return fhir.Errorf(fhir.Unprocessable, "too-costly", "", "There are more than %d observations; ask for a shorter time.", statsLimit)
		}
		q.Cursor = page.Next
	}
	if len(m.groups) == 0 {
		m.groups = append(m.groups, &measured{code: m.code})
	}
	for _, g := range m.groups {
		g.total = totals[g.code]
	}
	return nil
}

// observe takes the measurements of an observation that has the code, or a component with
// it.
func (m *measurements) observe(ctx context.Context, r *store.Reader, res *fhir.Resource, totals map[statsCode]int) error {
	n, err := fhir.Parse(res.Body)
	if err != nil {
		return err
	}
	if m.seen[res.ID] || !measures(n) {
		return nil
	}
	m.seen[res.ID] = true
	if err := m.include(ctx, res); err != nil {
		return err
	}
	blocked := n.Get("modifierExtension") != nil
	if !hasCode(n, m.code) {
		for _, c := range n.Each("component") {
			if hasCode(c, m.code) {
				m.take(c, m.code, blocked, totals)
			}
		}
		return nil
	}
	components, panel := n.Each("component"), n.Each("hasMember")
	if n.Get("valueQuantity") != nil || len(components) == 0 && len(panel) == 0 {
		m.take(n, m.code, blocked, totals)
		return nil
	}
	for _, c := range components {
		if code, ok := codeOf(c); ok {
			m.take(c, code, blocked, totals)
		}
	}
	for _, link := range panel {
		if err := m.member(ctx, r, link, totals); err != nil {
			return err
		}
	}
	return nil
}

// member takes the measurement of an observation that a panel names. One about somebody
// else is no part of the subject's panel.
func (m *measurements) member(ctx context.Context, r *store.Reader, link *fhir.Node, totals map[statsCode]int) error {
	ref := fhir.ParseReference(link.Str("reference"), m.s.baseURL)
	if ref.Type != "Observation" {
		return nil
	}
	res, err := read(ctx, r, ref.Type, ref.ID)
	switch kind := fhir.KindOf(err); {
	case err != nil && (kind == fhir.NotFound || kind == fhir.Gone):
		return nil
	case err != nil:
		return err
	}
	n, err := fhir.Parse(res.Body)
	if err != nil {
		return err
	}
	subject := fhir.ParseReference(n.Str("subject", "reference"), m.s.baseURL)
	if m.seen[res.ID] || subject.Type != m.q.subject.Type || subject.ID != m.q.subject.ID || !measures(n) {
		return nil
	}
	m.seen[res.ID] = true
	if err := m.include(ctx, res); err != nil {
		return err
	}
	if code, ok := codeOf(n); ok {
		m.take(n, code, n.Get("modifierExtension") != nil, totals)
	}
	return nil
}

// include keeps an observation for the answer, where it asks for that.
func (m *measurements) include(ctx context.Context, res *fhir.Resource) error {
	if m.q.limit <= len(m.sources) {
		return nil
	}
	m.sources = append(m.sources, res)
	return m.room.take(ctx, len(res.Body)+entryBytes)
}

// hasCode reports whether one of the codings of n.code is c.
func hasCode(n *fhir.Node, c statsCode) bool {
	return slices.ContainsFunc(n.Each("code", "coding"), func(coding *fhir.Node) bool {
		return coding.Str("system") == c.system && coding.Str("code") == c.code
	})
}

// codeOf is the first coding of n.code.
func codeOf(n *fhir.Node) (statsCode, bool) {
	for _, c := range n.Each("code", "coding") {
		if c.Str("code") != "" {
			return statsCode{c.Str("system"), c.Str("code"), c.Str("display")}, true
		}
	}
	return statsCode{}, false
}

// take counts an observation or a component, and keeps its value if it is a measurement.
func (m *measurements) take(n *fhir.Node, code statsCode, blocked bool, totals map[statsCode]int) {
	for _, g := range m.groups { // the display may differ from one to the next
		if g.code.system == code.system && g.code.code == code.code {
			code = g.code
		}
	}
	totals[code]++
	q := n.Get("valueQuantity")
	value := q.Get("value")
	usable := !blocked && n.Get("modifierExtension") == nil && q != nil && value != nil && value.Kind == fhir.Number &&
		q.Get("comparator") == nil && q.Str("system") == ucum && q.Str("code") != ""
	var d *apd.Decimal
	if usable {
		var err error
		d, _, err = apd.NewFromString(value.Text)
		usable = err == nil
	}
	g := m.group(code, q, usable)
	if usable {
		g.values = append(g.values, d)
		m.size += valueBytes + len(value.Text)
	}
}

// group is the one for a code and the unit of a usable quantity. A group that has no unit
// yet takes that of its first value.
func (m *measurements) group(code statsCode, q *fhir.Node, usable bool) *measured {
	for _, g := range m.groups {
		if g.code != code {
			continue
		}
		if !usable || g.unit == "" || g.unit == q.Str("code") {
			if usable && g.unit == "" {
				g.unit, g.label = q.Str("code"), q.Str("unit")
			}
			return g
		}
	}
	g := &measured{code: code}
	if usable {
		g.unit, g.label = q.Str("code"), q.Str("unit")
	}
	m.groups = append(m.groups, g)
	return g
}
