package service

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// keep stores resources under the ids that they have.
func (s *Service) keep(t testing.TB, resources ...string) {
	t.Helper()
	for _, body := range resources {
		n, err := fhir.Parse([]byte(body))
		if err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		if _, err := s.Update(ctx, Anonymous, n.Str("resourceType"), n.Str("id"), []byte(body), Preconditions{}); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
	}
}

// called makes a call of "Type/id/$name?query"; a body makes it a POST.
func called(t testing.TB, url, body string) OperationRequest {
	t.Helper()
	path, query, _ := strings.Cut(url, "?")
	path, name, ok := strings.Cut(path, "$")
	if !ok {
		t.Fatalf("%s names no operation", url)
	}
	q := OperationRequest{Name: name, Body: []byte(body)}
	part := strings.Split(strings.TrimSuffix(path, "/"), "/")
	q.Type = part[0]
	if len(part) > 1 {
		q.ID = part[1]
	}
	if len(part) > 3 {
		q.Version = part[3]
	}
	var err error
	if q.Pairs, err = search.ParsePairs(query); err != nil {
		t.Fatal(err)
	}
	return q
}

// ask calls an operation that must succeed and gives its answer, which must be valid R4.
func (s *Service) ask(t testing.TB, url, body string) *fhir.Node {
	t.Helper()
	a, err := s.Operate(ctx, Anonymous, called(t, url, body))
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	n, err := fhir.Parse(a.Body)
	if err != nil {
		t.Fatalf("%v in %s", err, a.Body)
	}
	if issues := s.validator.Resource(n, ""); len(issues) > 0 {
		t.Fatalf("%s gives no valid resource: %+v\n%s", url, issues, a.Body)
	}
	return n
}

// refs are the resources of a Bundle's entries, "Type/id", in order.
func refs(bundle *fhir.Node) []string {
	var out []string
	for _, e := range bundle.Each("entry", "resource") {
		if e.Str("resourceType") == "OperationOutcome" {
			out = append(out, "OperationOutcome")
			continue
		}
		out = append(out, e.Str("resourceType")+"/"+e.Str("id"))
	}
	return out
}

func nextLink(bundle *fhir.Node) string {
	for _, l := range bundle.Each("link") {
		if l.Str("relation") == "next" {
			return strings.TrimPrefix(l.Str("url"), base+"/")
		}
	}
	return ""
}

// pages follows the next links.
func (s *Service) pages(t testing.TB, url string) [][]string {
	t.Helper()
	var out [][]string
	for url != "" {
		bundle := s.ask(t, url, "")
		out = append(out, refs(bundle))
		if len(out) > 1000 {
			t.Fatal("the pages do not end")
		}
		url = nextLink(bundle)
	}
	return out
}

func TestOperationsAreRefused(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, `{"resourceType":"Patient","id":"gone"}`,
		`{"resourceType":"Composition","id":"c","status":"final","type":{"text":"x"},"date":"2026-01-01","author":[{"display":"A"}],"title":"x"}`)
	if _, err := s.Delete(ctx, Anonymous, "Patient", "gone", Preconditions{}); err != nil {
		t.Fatal(err)
	}
	const meta = `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":%s}]}`
	tag := fmt.Sprintf(meta, `{"tag":[{"system":"http://x.example","code":"a"}]}`)
	for _, c := range []struct {
		name, url, body string
		kind            fhir.ErrorKind
		code, place     string
	}{
		{"operation that is not", "Patient/p/$nothing", "", fhir.NotFound, "not-supported", ""},
		{"operation of another type", "Observation/p/$everything", "", fhir.NotFound, "not-supported", ""},
		{"operation at another level", "Patient/$everything", "", fhir.NotFound, "not-supported", ""},
		{"type that is not served", "Claim/p/$meta", "", fhir.NotFound, "not-supported", ""},
		{"body that is no Parameters", "Patient/p/$everything", `{"resourceType":"Patient"}`, fhir.BadRequest, "structure", ""},
		{"body that is not valid", "Patient/p/$everything", `{"resourceType":"Parameters","parameter":[{"valueDate":"2026-01-01"}]}`, fhir.BadRequest, "required", "Parameters.parameter[0].name"},
		{"parameter without a value", "Patient/p/$everything", `{"resourceType":"Parameters","parameter":[{"name":"start","extension":[{"url":"http://x.example","valueCode":"a"}]}]}`, fhir.BadRequest, "", ""},
		{"parameter that is a resource", "Patient/p/$everything", `{"resourceType":"Parameters","parameter":[{"name":"start","resource":{"resourceType":"Patient"}}]}`, fhir.BadRequest, "not-supported", "Parameters.parameter[0].resource"},

		{"everything: unknown patient", "Patient/nobody/$everything", "", fhir.NotFound, "not-found", ""},
		{"everything: deleted patient", "Patient/gone/$everything", "", fhir.Gone, "deleted", ""},
		{"everything: unknown parameter", "Patient/p/$everything?colour=red", "", fhir.BadRequest, "not-supported", "http.colour"},
		{"everything: bad start", "Patient/p/$everything?start=2026-02-30", "", fhir.BadRequest, "value", "http.start"},
		{"everything: end before start", "Patient/p/$everything?start=2026-02-02&end=2026-02-01", "", fhir.BadRequest, "value", "http.end"},
		{"everything: start twice", "Patient/p/$everything?start=2026&start=2025", "", fhir.BadRequest, "invalid", "http.start"},
		{"everything: bad _since", "Patient/p/$everything?_since=yesterday", "", fhir.BadRequest, "value", "http._since"},
		{"everything: _count below 0", "Patient/p/$everything?_count=-1", "", fhir.BadRequest, "value", "http._count"},
		{"everything: _count with a sign", "Patient/p/$everything?_count=%2B1", "", fhir.BadRequest, "value", "http._count"},
		{"everything: type that is not served", "Patient/p/$everything?_type=Observation,Claim", "", fhir.BadRequest, "not-supported", "http._type"},
		{"everything: type that is empty", "Patient/p/$everything?_type=Observation,", "", fhir.BadRequest, "not-supported", "http._type"},
		{"everything: made-up cursor", "Patient/p/$everything?_cursor=MCA", "", fhir.BadRequest, "value", ""},
		{"everything: complex value", "Patient/p/$everything", `{"resourceType":"Parameters","parameter":[{"name":"start","valuePeriod":{"start":"2026"}}]}`, fhir.BadRequest, "value", "Parameters.parameter[0]"},

		{"meta: unknown resource", "Patient/nobody/$meta", "", fhir.NotFound, "not-found", ""},
		{"meta: unknown version", "Patient/p/_history/7/$meta", "", fhir.NotFound, "not-found", ""},
		{"meta: version that is a deletion", "Patient/gone/_history/2/$meta", "", fhir.Gone, "deleted", ""},
		{"meta: parameter", "Patient/p/$meta?meta=x", "", fhir.BadRequest, "not-supported", "http.meta"},
		{"meta-add: without meta", "Patient/p/$meta-add", `{"resourceType":"Parameters"}`, fhir.BadRequest, "required", "Parameters.parameter"},
		{"meta-add: in the URL", "Patient/p/$meta-add?meta=x", "", fhir.BadRequest, "value", "http.meta"},
		{"meta-add: no label", "Patient/p/$meta-add", fmt.Sprintf(meta, `{"source":"http://x.example"}`), fhir.BadRequest, "not-supported", "Parameters.parameter[0].value"},
		{"meta-add: versionId", "Patient/p/$meta-add", fmt.Sprintf(meta, `{"versionId":"7","tag":[{"code":"a"}]}`), fhir.BadRequest, "not-supported", "Parameters.parameter[0].value"},
		{"meta-add: tag without code", "Patient/p/$meta-add", fmt.Sprintf(meta, `{"tag":[{"system":"http://x.example"}]}`), fhir.BadRequest, "required", "Parameters.parameter[0].value.tag"},
		{"meta-add: unknown resource", "Patient/nobody/$meta-add", tag, fhir.NotFound, "not-found", ""},
		{"meta-add: deleted resource", "Patient/gone/$meta-add", tag, fhir.Gone, "deleted", ""},
		{"meta-add: read-only type", "AuditEvent/x/$meta-add", tag, fhir.NotAllowed, "not-supported", ""},

		{"lastn: without a patient", "Observation/$lastn?code=1", "", fhir.BadRequest, "required", "http.patient"},
		{"lastn: without a code", "Observation/$lastn?patient=p&status=final", "", fhir.BadRequest, "required", "http.code"},
		{"lastn: only the lack of a code", "Observation/$lastn?patient=p&code:missing=true", "", fhir.BadRequest, "required", "http.code"},
		{"lastn: max of 0", "Observation/$lastn?patient=p&code=1&max=0", "", fhir.BadRequest, "value", "http.max"},
		{"lastn: max twice", "Observation/$lastn?patient=p&code=1&max=1&max=2", "", fhir.BadRequest, "invalid", "http.max"},
		{"lastn: _count", "Observation/$lastn?patient=p&code=1&_count=5", "", fhir.BadRequest, "not-supported", "http._count"},
		{"lastn: unknown parameter", "Observation/$lastn?patient=p&code=1&colour=red", "", fhir.BadRequest, "not-supported", "http.colour"},

		{"stats: without a subject", "Observation/$stats?code=1&system=s&statistic=count", "", fhir.BadRequest, "required", "http.subject"},
		{"stats: subject elsewhere", "Observation/$stats?subject=https://y.example/Patient/p&code=1&system=s&statistic=count", "", fhir.BadRequest, "value", "http.subject"},
		{"stats: without a code", "Observation/$stats?subject=Patient/p&statistic=count", "", fhir.BadRequest, "required", "http.code"},
		{"stats: code without a system", "Observation/$stats?subject=Patient/p&code=1&statistic=count", "", fhir.BadRequest, "required", "http.code"},
		{"stats: without a statistic", "Observation/$stats?subject=Patient/p&code=1&system=s", "", fhir.BadRequest, "required", "http.statistic"},
		{"stats: unknown statistic", "Observation/$stats?subject=Patient/p&code=1&system=s&statistic=mode", "", fhir.BadRequest, "code-invalid", "http.statistic"},
		{"stats: regression", "Observation/$stats?subject=Patient/p&code=1&system=s&statistic=regression", "", fhir.BadRequest, "not-supported", "http.statistic"},
		{"stats: duration of 0", "Observation/$stats?subject=Patient/p&code=1&system=s&statistic=count&duration=0", "", fhir.BadRequest, "value", "http.duration"},
		{"stats: duration that is no number", "Observation/$stats?subject=Patient/p&code=1&system=s&statistic=count&duration=NaN", "", fhir.BadRequest, "value", "http.duration"},
		{"stats: duration beyond time", "Observation/$stats?subject=Patient/p&code=1&system=s&statistic=count&duration=1e99", "", fhir.BadRequest, "value", "http.duration"},
		{"stats: coding without a system", "Observation/$stats?subject=Patient/p&coding=1&statistic=count", "", fhir.BadRequest, "required", "http.coding"},
		{"stats: period that ends before it starts", "Observation/$stats?subject=Patient/p&coding=s|1&statistic=count&period=2026-02/2026-01", "", fhir.BadRequest, "value", "http.period"},
		{"stats: period that is no Period", "Observation/$stats", `{"resourceType":"Parameters","parameter":[{"name":"subject","valueUri":"Patient/p"},{"name":"coding","valueCoding":{"system":"s:x","code":"1"}},{"name":"statistic","valueCode":"count"},{"name":"period","valueRange":{"low":{"value":1}}}]}`, fhir.BadRequest, "value", "Parameters.parameter[3]"},
		{"stats: period that cannot be", "Observation/$stats?subject=Patient/p&code=1&system=s&statistic=count&period=2026-13", "", fhir.BadRequest, "value", "http.period"},
		{"stats: limit of -1", "Observation/$stats?subject=Patient/p&code=1&system=s&statistic=count&include=true&limit=-1", "", fhir.BadRequest, "value", "http.limit"},
		{"stats: include that is no boolean", "Observation/$stats?subject=Patient/p&code=1&system=s&statistic=count&include=yes", "", fhir.BadRequest, "value", "http.include"},
		{"stats: period and duration", "Observation/$stats?duration=1", `{"resourceType":"Parameters","parameter":[{"name":"subject","valueUri":"Patient/p"},{"name":"coding","valueCoding":{"system":"s:x","code":"1"}},{"name":"statistic","valueCode":"count"},{"name":"period","valuePeriod":{"start":"2026"}}]}`, fhir.BadRequest, "invalid", "Parameters.parameter[3]"},

		{"document: without an id", "Composition/$document", "", fhir.BadRequest, "required", "http.id"},
		{"document: id at an instance", "Composition/c/$document?id=c", "", fhir.BadRequest, "invalid", "http.id"},
		{"document: id elsewhere", "Composition/$document?id=https://y.example/Composition/c", "", fhir.BadRequest, "value", "http.id"},
		{"document: unknown", "Composition/nothing/$document", "", fhir.NotFound, "not-found", ""},
		{"document: persist", "Composition/c/$document?persist=true", "", fhir.BadRequest, "not-supported", "http.persist"},
		{"document: graph", "Composition/c/$document?graph=http://x.example/g", "", fhir.BadRequest, "not-supported", "http.graph"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := s.Operate(ctx, Anonymous, called(t, c.url, c.body))
			if err == nil {
				t.Fatalf("accepted: %s", a.Body)
			}
			e, ok := err.(*fhir.Error)
			if !ok || e.Kind != c.kind || len(e.Issues) == 0 {
				t.Fatalf("%#v", err)
			}
			place := strings.Join(e.Issues[0].Expression, ",")
			if c.code != "" && e.Issues[0].Code != c.code || c.place != "" && place != c.place {
				t.Errorf("issue %q at %q, want %q at %q: %v", e.Issues[0].Code, place, c.code, c.place, err)
			}
		})
	}
}

// What the CapabilityStatement lists is offered, at a level that exists, with a definition
// of HL7, or of ours that is stored.
func TestCapabilityStatementListsOperations(t *testing.T) {
	s := open(t, withTree(t))
	var c struct {
		Rest []struct {
			Operation []struct{ Name, Definition string }
			Resource  []struct {
				Type      string
				Operation []struct{ Name, Definition string }
			}
		}
	}
	if err := json.Unmarshal(s.Capabilities(), &c); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.Rest[0].Operation); got != "[{interpret-pain https://aftercare.example/fhir/OperationDefinition/interpret-pain} {meta http://hl7.org/fhir/OperationDefinition/Resource-meta}]" {
		t.Errorf("at the system: %s", got)
	}
	listed := map[string][]string{}
	for _, r := range c.Rest[0].Resource {
		for _, o := range r.Operation {
			listed[r.Type] = append(listed[r.Type], o.Name)
			for _, q := range []OperationRequest{{Name: o.Name, Type: r.Type}, {Name: o.Name, Type: r.Type, ID: "x"}} {
				if _, err := offered(&q); err == nil {
					o.Name = "" // found
				}
			}
			if o.Name != "" {
				t.Errorf("%s: %+v is listed and not offered", r.Type, o)
			}
			own, isOwn := strings.CutPrefix(o.Definition, fhir.Canonical+"/")
			if isOwn && !s.provided[own] || !isOwn && !strings.HasPrefix(o.Definition, "http://hl7.org/fhir/") {
				t.Errorf("%s: %+v has no definition", r.Type, o)
			}
		}
	}
	for typ, want := range map[string][]string{
		"Patient":     {"everything", "pain-course", "meta", "meta-add", "meta-delete"},
		"Observation": {"lastn", "stats", "interpret", "meta", "meta-add", "meta-delete"},
		"Composition": {"document", "meta", "meta-add", "meta-delete"},
		"Goal":        {"meta", "meta-add", "meta-delete"},
		"AuditEvent":  {"proof", "checkpoint", "consistency", "completeness"},
	} {
		if !slices.Equal(listed[typ], want) {
			t.Errorf("%s: %v, want %v", typ, listed[typ], want)
		}
	}
}

func FuzzOperate(f *testing.F) {
	s := open(f)
	s.keep(f, `{"resourceType":"Patient","id":"p"}`)
	f.Add("everything", "Patient", "p", "start=2026-01-01&_count=1&_type=Observation", "")
	f.Add("lastn", "Observation", "", "patient=p&code=a|b&max=3", "")
	f.Add("stats", "Observation", "", "", `{"resourceType":"Parameters","parameter":[{"name":"subject","valueUri":"Patient/p"},{"name":"coding","valueCoding":{"system":"http://x.example","code":"1"}},{"name":"statistic","valueCode":"skew"},{"name":"period","valuePeriod":{"start":"2026"}}]}`)
	f.Add("document", "Composition", "", "id=c&persist=false", "")
	f.Add("meta", "", "", "", "")
	f.Add("meta-add", "Patient", "p", "", `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"profile":["http://x.example"],"tag":[{"code":"a"}]}}]}`)
	f.Fuzz(func(t *testing.T, name, typ, id, query, body string) {
		pairs, err := search.ParsePairs(query)
		if err != nil {
			return
		}
		a, err := s.Operate(ctx, Anonymous, OperationRequest{Name: name, Type: typ, ID: id, Pairs: pairs, Body: []byte(body)})
		if err != nil {
			if fhir.KindOf(err) == fhir.Internal {
				t.Fatalf("internal: %v", err)
			}
			return
		}
		if _, err := fhir.Parse(a.Body); err != nil {
			t.Fatalf("%v in %s", err, a.Body)
		}
	})
}
