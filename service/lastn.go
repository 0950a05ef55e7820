package service

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store"
)

// lastN is Observation/$lastn
// (https://hl7.org/fhir/R4/observation-operation-lastn.html): of the observations that
// meet the search parameters the newest max of each code, the newest first. Observations
// that tie with the last of them come too. One that tells of no measurement is not given,
// nor does it hide an older one, unless the query itself asks by status.
func (s *Service) lastN(in *invocation) (answering, error) {
	most, err := in.whole("max", 1)
	if err != nil {
		return nil, err
	}
	if !s.mayRead(in.principal, "Observation") {
		return nil, forbidden("read", "Observation")
	}
	asked, err := s.lastNQuery(in)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, r *store.Reader) (Answer, error) {
		query, err := asked.on(ctx, r)
		if err != nil {
			return Answer{}, err
		}
		newest, size, err := s.newestOf(ctx, r, *query, most)
		if err != nil {
			return Answer{}, err
		}
		b := newBundle("searchset", int64(len(newest)))
		b.grow(size)
		b.link("self", s.link("Observation/$lastn", append([]search.Pair{{Name: "max", Value: strconv.Itoa(most)}}, query.Applied...), ""))
		for _, d := range newest {
			b.entry(entry{fullURL: s.url(d.resource), resource: d.resource.Body, mode: "match"})
			trailOf(ctx).shows(d.resource)
		}
		if len(asked.issues) > 0 {
			b.entry(s.remark(asked.issues))
		}
		return Answer{Body: b.bytes()}, nil
	}, nil
}

// newestOf are the newest observations of each code among those that a query finds, and what
// they take in an answer, in bytes.
func (s *Service) newestOf(ctx context.Context, r *store.Reader, q search.Query, most int) ([]dated, int, error) {
	groups := newCodeGroups(most)
	byStatus := slices.ContainsFunc(q.Applied, func(p search.Pair) bool { return parameterOf(p) == "status" })
	for more := true; more; more = q.Cursor != "" {
		page, err := r.Search(ctx, &q, nil)
		if err != nil {
			return nil, 0, err
		}
		for _, res := range page.Resources {
			n, err := fhir.Parse(res.Body)
			if err != nil {
				return nil, 0, err
			}
			if byStatus || measures(n) {
				groups.add(codeKeys(n, res.ID), dated{res, s.effective(n)})
			}
		}
		size := room{}
		if err := size.take(ctx, groups.bytes); err != nil {
			return nil, 0, err
		}
		q.Cursor = page.Next
	}
	return groups.all(), groups.bytes, nil
}

// measures reports whether an observation tells of a measurement: one that was entered in
// error does not, and a cancelled one was not completed
// (https://hl7.org/fhir/R4/valueset-observation-status.html). $lastn and $stats go by it.
func measures(n *fhir.Node) bool {
	status := n.Str("status")
	return status != "entered-in-error" && status != "cancelled"
}

// ofPages are the parameters of a search that say how it comes in pages and what comes with it.
var ofPages = []string{"_count", "_total", "_summary", "_elements", "_cursor", "_sort", "_include", "_revinclude"}

// lastNQuery makes a search of all parameters but max.
func (s *Service) lastNQuery(in *invocation) (*question, error) {
	var pairs []search.Pair
	for i := range in.arguments {
		a := &in.arguments[i]
		switch name, _, _ := strings.Cut(a.name, ":"); {
		case a.name == "max":
			continue
		case slices.Contains(ofPages, name):
			return nil, a.refuse("not-supported", "$lastn gives all that it finds at once, whole and by itself, the newest first; use max to have more or fewer of each code.")
		}
		text, err := a.primitive()
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, search.Pair{Name: a.name, Value: text})
	}
	q, err := s.question(in.principal, scope{typ: "Observation"}, pairs, in.Lenient)
	if err != nil {
		return nil, err
	}
	q.query.Count = maxCount
	who, what := false, false
	for _, pair := range q.query.Applied {
		if strings.HasSuffix(pair.Name, ":missing") {
			continue
		}
		code := parameterOf(pair)
		who = who || code == "patient" || code == "subject"
		what = what || code == "category" || s.asksForCode(code)
	}
	switch {
	case !who:
		return nil, fhir.Errorf(fhir.BadRequest, "required", "http.patient", "$lastn needs the parameter patient or subject.")
	case !what:
		return nil, fhir.Errorf(fhir.BadRequest, "required", "http.code", "$lastn needs the parameter category or code.")
	}
	return q, nil
}

// parameterOf is the code of the parameter that a pair names, without modifiers and chains.
func parameterOf(pair search.Pair) string {
	if end := strings.IndexAny(pair.Name, ":."); end >= 0 {
		return pair.Name[:end]
	}
	return pair.Name
}

// asksForCode reports whether a search parameter of Observation looks at what was measured.
func (s *Service) asksForCode(code string) bool {
	p, ok := s.registry.Lookup("Observation", code)
	if !ok {
		return false
	}
	isCode := func(p *search.Parameter) bool {
		return strings.Contains(p.Expression, "Observation.code") || strings.Contains(p.Expression, "component.code")
	}
	return isCode(p) || len(p.Components) > 0 && p.Components[0].Kind == search.Token && strings.HasSuffix(p.Components[0].Expression, "code")
}

// dated is an observation and its time.
type dated struct {
	resource *fhir.Resource
	// time is what it is sorted by, in microseconds UTC; search.MinTime where it has none.
	time int64
}

// newer orders from the newest to the oldest. Those without a time come last, by when they
// were stored.
func newer(a, b dated) int {
	switch {
	case a.time > b.time:
		return -1
	case a.time < b.time:
		return 1
	}
	if c := b.resource.LastUpdated.Compare(a.resource.LastUpdated); c != 0 {
		return c
	}
	return strings.Compare(a.resource.ID, b.resource.ID)
}

// effective is the time that an observation is sorted by: a point in time from its first
// instant, so that a day without a time of day is before every hour of it; a period by its
// end, or by its start if it has not ended; a timing by the last of its events.
func (s *Service) effective(n *fhir.Node) int64 {
	var texts []*fhir.Node
	for _, name := range []string{"effectiveDateTime", "effectiveInstant"} {
		texts = append(texts, n.Get(name))
	}
	if end := n.Get("effectivePeriod", "end"); end != nil {
		texts = append(texts, end)
	} else {
		texts = append(texts, n.Get("effectivePeriod", "start"))
	}
	texts = append(texts, n.Each("effectiveTiming", "event")...)
	latest := int64(search.MinTime)
	for _, text := range texts {
		if text == nil || text.Kind != fhir.String {
			continue
		}
		if m, err := fhir.ParseMoment(text.Text, s.zone); err == nil {
			latest = max(latest, search.Micros(m.Low))
		}
	}
	return latest
}

// codeKeys are the names of an observation's code: each coding by system and code, else
// the text as it is written, else the observation itself.
func codeKeys(n *fhir.Node, id string) []string {
	var keys []string
	for _, c := range n.Each("code", "coding") {
		if code := c.Str("code"); code != "" {
			keys = append(keys, fmt.Sprintf("%q|%q", c.Str("system"), code))
		}
	}
	switch text := n.Str("code", "text"); {
	case keys != nil:
		return keys
	case text != "":
		return []string{"text " + text}
	default:
		return []string{"id " + id}
	}
}

// codeGroups keeps the newest observations of each code. Codes that stand in one
// CodeableConcept mean the same, over any number of observations: their groups are one.
// Only what may be in the answer is kept.
type codeGroups struct {
	most   int
	parent map[string]string // union-find over keys
	newest map[string][]dated
	bytes  int // of what is kept
}

func newCodeGroups(most int) *codeGroups {
	return &codeGroups{most: most, parent: map[string]string{}, newest: map[string][]dated{}}
}

func (g *codeGroups) root(key string) string {
	p, known := g.parent[key]
	switch {
	case !known:
		g.parent[key] = key
		return key
	case p == key:
		return key
	}
	root := g.root(p)
	g.parent[key] = root
	return root
}

func (g *codeGroups) add(keys []string, d dated) {
	g.bytes += len(d.resource.Body) + entryBytes
	root := g.root(keys[0])
	group := append(g.newest[root], d)
	for _, key := range keys[1:] {
		if other := g.root(key); other != root {
			g.parent[other] = root
			group = append(group, g.newest[other]...)
			delete(g.newest, other)
		}
	}
	g.newest[root] = g.cut(group)
}

// cut sorts a group and leaves out what is older than the last one that counts.
func (g *codeGroups) cut(group []dated) []dated {
	slices.SortFunc(group, newer)
	n := g.most
	for n < len(group) && group[n].time == group[n-1].time && group[n].time != search.MinTime {
		n++
	}
	n = min(n, len(group))
	for _, d := range group[n:] {
		g.bytes -= len(d.resource.Body) + entryBytes
	}
	clear(group[n:])
	return group[:n]
}

func (g *codeGroups) all() []dated {
	var out []dated
	for _, group := range g.newest {
		out = append(out, group...)
	}
	slices.SortFunc(out, newer)
	return out
}
