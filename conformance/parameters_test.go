package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/definitions"
	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/fhir/validate"
	"aftercare/service/store"
)

// sample is a resource that is made for one search parameter: it has one value there, and nothing
// else but an id. hit finds it, miss asks for another value.
type sample struct {
	param     *search.Parameter
	id        string
	members   map[string]any
	hit, miss string
	// target is the type that a reference leads to, "" for none that is served.
	target string
}

// maker makes samples from the expression of a parameter, and what R4 has at each element.
type maker struct {
	elements *validate.Validator
	n        int // makes values differ
}

// samples are one for each place that the parameter's expression names, and each type of value
// that can be there.
func (m *maker) samples(p *search.Parameter) (out []sample) {
	add := func(s sample) {
		s.param, s.id = p, fmt.Sprintf("%s-%d", strings.Replace(p.Code, "_", "all.", 1), len(out))
		out = append(out, s)
	}
	m.n++
	switch {
	case p.Code == "_id":
		add(sample{hit: "all.id-0", miss: "all.id-1"})
	case p.Code == "_lastUpdated":
		add(sample{hit: "gt2000", miss: "lt2000"})
	case p.Kind == search.Text:
		add(sample{members: map[string]any{"text": map[string]any{"status": "generated", "div": "<div>one found two</div>"}}, hit: "found", miss: "lost"})
	case p.Key() == "Patient.deceased":
		add(sample{members: map[string]any{"deceasedBoolean": true}, hit: "true", miss: "false"})
		add(sample{members: map[string]any{"deceasedDateTime": "2020"}, hit: "true", miss: "false"})
	case p.Kind == search.Special:
		add(sample{members: map[string]any{"position": map[string]any{"latitude": 51.5, "longitude": -0.1}}, hit: "51.5|-0.1|1|km", miss: "-0.1|51.5|1|km"})
	case p.Kind == search.Composite:
		for _, place := range places(p.Expression) {
			m.composites(p, place, add)
		}
	default:
		for _, place := range places(p.Expression) {
			for _, v := range m.at(p.Type, place, p, true) {
				add(sample{members: v.members, hit: v.query, miss: v.other, target: v.target})
			}
		}
	}
	return out
}

// composites makes a sample with two parts, of which each has values of its own, and asks for those
// of one part, and for one value of each.
func (m *maker) composites(p *search.Parameter, context []step, add func(sample)) {
	structure := p.Type
	for _, s := range context {
		types, _, _ := m.elements.Element(structure, s.name)
		structure = types[0]
	}
	part := func(hit bool) (members map[string]any, queries, others []string) {
		members = map[string]any{}
		for _, c := range p.Components {
			v := m.at(structure, places(c.Expression)[0], c, hit)[0]
			merge(members, v.members)
			queries, others = append(queries, v.query), append(others, v.other)
		}
		return members, queries, others
	}
	members, queries, others := part(true)
	s := sample{hit: strings.Join(queries, "$"), miss: queries[0] + "$" + others[1]}
	if len(context) == 0 {
		s.members = members
		add(s)
		return
	}
	second, _, _ := part(false)
	var value any = []any{members, second}
	for _, step := range slices.Backward(context) {
		value = map[string]any{step.name: value}
	}
	s.members = value.(map[string]any)
	add(s)
}

// merge adds members, and those inside of members that are there already.
func merge(to, from map[string]any) {
	for name, value := range from {
		inner, isObject := value.(map[string]any)
		if there, ok := to[name].(map[string]any); ok && isObject {
			merge(there, inner)
			continue
		}
		to[name] = value
	}
}

// step is one element of a path.
type step struct {
	name, as   string
	key, value string // a member that where() asks for
	resolves   string // the type that a reference must lead to
}

var (
	castPattern    = regexp.MustCompile(`^\((.*) as (\w+)\)$`)
	wherePattern   = regexp.MustCompile(`^where\((\w+)='(.*)'\)$`)
	resolvePattern = regexp.MustCompile(`^where\(resolve\(\) is (\w+)\)$`)
)

// places are the paths of an expression, without the type at their start.
func places(expression string) (out [][]step) {
	for alternative := range strings.SplitSeq(expression, " | ") {
		var path []step
		as := ""
		if m := castPattern.FindStringSubmatch(alternative); m != nil {
			alternative, as = m[1], m[2]
		}
		depth, start := 0, 0
		var words []string
		for i, c := range alternative + "." {
			switch {
			case c == '(':
				depth++
			case c == ')':
				depth--
			case c == '.' && depth == 0:
				words, start = append(words, alternative[start:i]), i+1
			}
		}
		for i, word := range words {
			var last *step
			if len(path) > 0 {
				last = &path[len(path)-1]
			}
			if m := wherePattern.FindStringSubmatch(word); m != nil {
				last.key, last.value = m[1], m[2]
			} else if m := resolvePattern.FindStringSubmatch(word); m != nil {
				last.resolves = m[1]
			} else if strings.HasPrefix(word, "as(") {
				last.as = strings.Trim(word[2:], "()")
			} else if i > 0 || word[0] >= 'a' {
				path = append(path, step{name: word})
			}
		}
		if as != "" {
			path[len(path)-1].as = as
		}
		out = append(out, path)
	}
	return out
}

// made is a value at its place. query asks for it, other for another one.
type made struct {
	members      map[string]any
	query, other string
	target       string
}

// at makes a value for each type that the end of a path can have. Of the two values that there
// are for each, hit picks one.
func (m *maker) at(structure string, path []step, p *search.Parameter, hit bool) (out []made) {
	s := path[0]
	types, choice, _ := m.elements.Element(structure, s.name)
	if s.as != "" {
		types = []string{s.as}
	}
	for _, typ := range types {
		name := s.name
		if choice {
			name += strings.ToUpper(typ[:1]) + typ[1:]
		}
		var inner []made
		if len(path) > 1 {
			inner = m.at(typ, path[1:], p, hit)
		} else if v, ok := m.value(typ, s, p, hit); ok {
			inner = []made{v}
		}
		for _, v := range inner {
			var value any = v.members
			if only, ok := v.members["value of a primitive"]; ok {
				value = only
			} else if s.key != "" {
				v.members[s.key] = s.value
			}
			v.members = map[string]any{name: value}
			out = append(out, v)
		}
	}
	return out
}

const ucum = "http://unitsofmeasure.org"

// value makes a value of one type as a parameter of one kind looks for it.
func (m *maker) value(typ string, s step, p *search.Parameter, hit bool) (made, bool) {
	number := float64(m.n)
	word, other := fmt.Sprintf("wort%da", m.n), fmt.Sprintf("wort%db", m.n)
	day, otherDay := time.Date(2001, 1, m.n, 0, 0, 0, 0, time.UTC), time.Date(1990, 1, 1-m.n, 0, 0, 0, 0, time.UTC)
	if !hit {
		number, word, other, day, otherDay = number+0.5, other, word, otherDay, day
	}
	date := day.Format(time.DateOnly)
	object := func(query, other string, pairs ...any) (made, bool) {
		members := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			members[pairs[i].(string)] = pairs[i+1]
		}
		return made{members: members, query: query, other: other}, true
	}
	primitive := func(query, other string, value any) (made, bool) {
		return object(query, other, "value of a primitive", value)
	}
	const system = "http://x.example/system"
	quantity := map[string]any{"value": number, "unit": "mg", "system": ucum, "code": "mg"}
	asked := func(n float64) string { return fmt.Sprintf("%.1f|%s|mg", n, ucum) }
	switch kind := p.Kind.Name() + " " + typ; kind {
	case "token Coding":
		return object(system+"|"+word, system+"|"+other, "system", system, "code", word)
	case "token CodeableConcept":
		return object(system+"|"+word, system+"|"+other, "coding", []any{map[string]any{"system": system, "code": word}})
	case "token Identifier":
		return object(system+"|"+word, system+"|"+other, "system", system, "value", word)
	case "token ContactPoint":
		return object(word, other, "value", word)
	case "token code", "token id", "token string", "token uri", "string string", "string markdown":
		return primitive(word, other, word)
	case "token boolean":
		return primitive(fmt.Sprint(hit), fmt.Sprint(!hit), hit)
	case "string HumanName":
		return object(word, other, "family", word)
	case "string Address":
		return object(word, other, "city", word)
	case "uri uri", "uri url", "uri canonical":
		return primitive("http://x.example/"+word, "http://x.example/"+other, "http://x.example/"+word)
	case "number decimal":
		return primitive(fmt.Sprintf("%.1f", number), "0.7", number)
	case "number Range":
		return object(fmt.Sprintf("%.1f", number), "0.7", "low", map[string]any{"value": number}, "high", map[string]any{"value": number})
	case "quantity Quantity", "quantity Age", "quantity Duration":
		v, ok := object(asked(number), asked(0.7))
		v.members = quantity
		return v, ok
	case "quantity Range":
		return object(asked(number), asked(0.7), "low", quantity, "high", quantity)
	case "quantity SampledData":
		return object(asked(number), asked(0.7), "origin", map[string]any{"value": 0, "unit": "mg", "system": ucum, "code": "mg"}, "period", 1, "dimensions", 1, "data", fmt.Sprintf("%.1f %.1f", number, number))
	case "quantity integer":
		return primitive(fmt.Sprint(m.n), "0", m.n)
	case "date date", "date dateTime":
		return primitive(date, otherDay.Format(time.DateOnly), date)
	case "date instant":
		return primitive(date, otherDay.Format(time.DateOnly), date+"T10:00:00Z")
	case "date Period":
		return object(date, otherDay.Format(time.DateOnly), "start", date, "end", date)
	case "date Timing":
		return object(date, otherDay.Format(time.DateOnly), "event", []any{date})
	case "reference Reference", "reference canonical", "reference uri":
		target := s.resolves
		for _, t := range p.Targets {
			if _, served := fhir.Served(t); served && target == "" {
				target = t
			}
		}
		if target == "" {
			target = append(p.Targets, "Patient")[0]
		}
		id, otherID := "hit", "miss"
		if !hit {
			id, otherID = otherID, id
		}
		v, ok := object(target+"/"+id, target+"/"+otherID, "reference", target+"/"+id)
		if typ != "Reference" {
			v, ok = primitive(canonicalOf(target, id), canonicalOf(target, otherID), canonicalOf(target, id))
		}
		if _, served := fhir.Served(target); served && (typ == "Reference" || len(p.Targets) > 0) {
			v.target = target
		}
		return v, ok
	}
	return made{}, false
}

func canonicalOf(typ, id string) string { return "http://x.example/" + typ + "/of/" + id }

// put stores resources as they are, valid or not, with the rows that they are found by.
func (s *server) put(t testing.TB, registry *search.Registry, bodies ...string) {
	t.Helper()
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, body := range bodies {
			n, err := fhir.Parse([]byte(body))
			if err != nil {
				return err
			}
			rows, err := registry.Extract(n, london, s.base)
			if err != nil {
				return fmt.Errorf("%s: %w", body, err)
			}
			if _, err := tx.Put(ctx, fhir.NewDraft(n), n.Str("id"), time.Now(), http.MethodPut, rows); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func jsonOf(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// query is a query string of names and values.
func query(pairs ...string) string {
	var list []string
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return strings.Join(list, "&")
}

// entries are the references of a searchset's entries with a mode, such as "Patient/a".
func (a answer) entries(mode string) (refs []string) {
	n, err := fhir.Parse([]byte(a.body))
	if err != nil {
		return nil
	}
	for _, e := range n.Each("entry") {
		if e.Str("search", "mode") == mode && mode != "outcome" {
			refs = append(refs, e.Str("resource", "resourceType")+"/"+e.Str("resource", "id"))
		}
	}
	return refs
}

// Each parameter that /metadata lists finds a resource that is made for it, and does not find it by
// another value. Each reference is followed, in both directions.
func TestEachParameterIsLive(t *testing.T) {
	known, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	registry, err := search.NewRegistry(known...)
	if err != nil {
		t.Fatal(err)
	}
	elements, err := validate.New()
	if err != nil {
		t.Fatal(err)
	}
	onEachEngine(t, func(t *testing.T, s *server) {
		m := &maker{elements: elements}
		var bodies []string
		samples := map[string][]sample{} // by key of the parameter
		for _, typ := range fhir.StoredTypes() {
			bodies = append(bodies, jsonOf(t, map[string]any{"resourceType": typ.Name, "id": "hit", "url": canonicalOf(typ.Name, "hit")}))
			for _, p := range registry.Parameters(typ.Name) {
				for _, made := range m.samples(p) {
					body := map[string]any{}
					maps.Copy(body, made.members)
					body["resourceType"], body["id"] = typ.Name, made.id
					bodies = append(bodies, jsonOf(t, body))
					samples[p.Key()] = append(samples[p.Key()], made)
				}
			}
		}
		s.put(t, registry, bodies...)
		tried, followed := 0, 0
		for typ, r := range readStatement(t, s).resources {
			if served, _ := fhir.Served(typ); served.Logged {
				continue // see TestEachParameterOfTheLogIsLive
			}
			for _, listed := range r.node.Each("searchParam") {
				key := typ + "." + listed.Str("name")
				if len(samples[key]) == 0 {
					t.Errorf("%s is listed, and nothing is made for it", key)
				}
				for _, made := range samples[key] {
					tried++
					if listed.Str("definition") == "" || listed.Str("type") != made.param.Kind.Name() {
						t.Errorf("%s is listed as %s", key, listed.Raw)
					}
					s.tryParameter(t, made)
				}
			}
			for _, listed := range texts(r.node.Each("searchInclude")) {
				for _, made := range samples[strings.Replace(listed, ":", ".", 1)] {
					if made.target != "" {
						s.tryInclude(t, made)
						followed++
					}
				}
			}
		}
		if tried < 1300 || followed < 245 {
			t.Errorf("only %d parameters were tried and %d references followed", tried, followed)
		}
		t.Logf("%d parameters were tried and %d references followed", tried, followed)
	})
}

func (s *server) tryParameter(t *testing.T, made sample) {
	t.Helper()
	ref := made.param.Type + "/" + made.id
	for value, found := range map[string]bool{made.hit: true, made.miss: false} {
		line := "GET /" + made.param.Type + "?_count=1000&" + query(made.param.Code, value)
		a := s.send(t, line, "")
		if a.status != 200 || slices.Contains(a.entries("match"), ref) != found {
			t.Errorf("%s: %d, found must be %v: %s\n%.300s", line, a.status, found, jsonOf(t, made.members), a.body)
		}
	}
}

func (s *server) tryInclude(t *testing.T, made sample) {
	t.Helper()
	typ, value := made.param.Type, made.param.Type+":"+made.param.Code
	ref, target := typ+"/"+made.id, made.target+"/hit"
	for line, wanted := range map[string]string{
		"GET /" + typ + "?_id=" + made.id + "&_include=" + value:                                 target,
		"GET /" + typ + "?_id=" + made.id + "&_include=" + value + ":" + made.target:             target,
		"GET /" + made.target + "?_id=hit&_elements=id&_revinclude=" + value:                     ref,
		"GET /" + made.target + "?_id=hit&_elements=id&_revinclude=" + value + ":" + made.target: ref,
	} {
		a := s.send(t, line, "")
		if a.status != 200 || !slices.Contains(a.entries("include"), wanted) || len(a.entries("match")) != 1 {
			t.Errorf("%s: %d, %s is not included: %v", line, a.status, wanted, a.entries("include"))
		}
	}
	if a := s.send(t, "GET /"+typ+"?_id=all.id-0&_include="+value, ""); len(a.entries("include")) != 0 || len(a.entries("match")) != 1 {
		t.Errorf("%s includes what is not referred to: %v", value, a.entries("include"))
	}
}
