package conformance

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
)

// statement is what /metadata says, as far as it can be tried.
type statement struct {
	system     []string // interactions
	patches    []string // media types
	formats    []string
	resources  map[string]resource
	operations []string // at system level
}

// resource is what /metadata says of a type.
type resource struct {
	node         *fhir.Node
	interactions []string
	searchParams map[string]string // name to type, those of all types included
	operations   []string
}

// says is a flag such as "conditionalDelete": "true", "single", "" where it is absent.
func (r resource) says(name string) string {
	if n := r.node.Get(name); n != nil {
		return n.Text
	}
	return ""
}

func (r resource) offers(interaction string) bool {
	return slices.Contains(r.interactions, interaction)
}

func texts(nodes []*fhir.Node) (out []string) {
	for _, n := range nodes {
		out = append(out, n.Text)
	}
	return out
}

func readStatement(t *testing.T, s *server) statement {
	t.Helper()
	n, err := fhir.Parse([]byte(s.must(t, 200, "GET /metadata", "").body))
	if err != nil {
		t.Fatal(err)
	}
	rest := n.Each("rest")
	if len(rest) != 1 {
		t.Fatalf("%d rest", len(rest))
	}
	m := statement{
		system: texts(rest[0].Each("interaction", "code")), patches: texts(n.Each("patchFormat")), formats: texts(n.Each("format")),
		operations: texts(rest[0].Each("operation", "name")), resources: map[string]resource{},
	}
	for _, r := range rest[0].Each("resource") {
		described := resource{node: r, interactions: texts(r.Each("interaction", "code")), searchParams: map[string]string{}, operations: texts(r.Each("operation", "name"))}
		for _, p := range append(rest[0].Each("searchParam"), r.Each("searchParam")...) {
			described.searchParams[p.Str("name")] = p.Str("type")
		}
		m.resources[r.Str("type")] = described
	}
	return m
}

// hasOwn reports whether a search parameter is listed for the type itself.
func (r *resource) hasOwn(name string) bool {
	return slices.Contains(texts(r.node.Each("searchParam", "name")), name)
}

// minimal is the least valid resource of each type, by type; of one that callers cannot
// write there is none.
func minimal(t *testing.T) map[string]string {
	t.Helper()
	lines, err := os.ReadFile("testdata/minimal.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(lines)) {
		n, err := fhir.Parse([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		out[n.Str("resourceType")] = strings.TrimSpace(line)
	}
	return out
}

// with puts members in front of a resource's own.
func with(body, members string) string { return "{" + members + "," + body[1:] }

// written is what somebody may try to write of each type that the service alone writes, by type.
var written = map[string]string{
	"AuditEvent": `{"resourceType":"AuditEvent","type":{"system":"http://dicom.nema.org/resources/ontology/DCM","code":"110100"},"recorded":"2026-03-02T08:00:00Z",
	 "agent":[{"requestor":true}],"source":{"observer":{"display":"conformance"}}}`,
}

// refused are the answers to what is not offered.
func refused(status int) bool { return slices.Contains([]int{400, 404, 405, 412, 415}, status) }

// attempt tries one interaction of R4 on a type and says what went wrong, "" for nothing.
// With offered false nothing may be done, and the answer must be a refusal.
type attempt func(t *testing.T, s *server, typ, body, id string, offered bool) string

func status(a answer, want int, offered bool) string {
	switch {
	case offered && a.status != want:
		return fmt.Sprintf("is listed, but answers %d: %.300s", a.status, a.body)
	case !offered && !refused(a.status):
		return fmt.Sprintf("is not listed, but answers %d", a.status)
	}
	return ""
}

// language is a member that every resource can have, which tells versions apart.
func language(code string) string { return `"language":"` + code + `"` }

func hasID(id string) string { return `"id":"` + id + `"` }

// firstEvent is the id of a resource of a type that callers cannot write: the record of a request.
const firstEvent = "1"

// exists makes the resource. One that callers cannot write, of which there is no body, is there since the
// first request.
func exists(t *testing.T, s *server, typ, body, id string) {
	t.Helper()
	if body != "" {
		s.must(t, 201, "PUT /"+typ+"/"+id, with(body, hasID(id)))
		return
	}
	if id != firstEvent {
		t.Fatalf("%s/%s cannot be made", typ, id)
	}
}

// The interactions that R4 has for a type
// (https://hl7.org/fhir/R4/valueset-type-restful-interaction.html).
var typeInteractions = map[string]attempt{
	"read": func(t *testing.T, s *server, typ, body, id string, offered bool) string {
		exists(t, s, typ, body, id)
		a := s.send(t, "GET /"+typ+"/"+id, "")
		if offered && a.at("id") != id {
			return "does not give the resource: " + a.body
		}
		return status(a, 200, offered)
	},
	"vread": func(t *testing.T, s *server, typ, body, id string, offered bool) string {
		exists(t, s, typ, body, id)
		if body != "" {
			s.must(t, 200, "PUT /"+typ+"/"+id, with(body, hasID(id)+","+language("en")))
		}
		a := s.send(t, "GET /"+typ+"/"+id+"/_history/1", "")
		if offered && (a.at("id") != id || a.at("meta.versionId") != "1") {
			return "does not give the version: " + a.body
		}
		return status(a, 200, offered)
	},
	"create": func(t *testing.T, s *server, typ, body, _ string, offered bool) string {
		if body == "" {
			body = written[typ]
		}
		return status(s.send(t, "POST /"+typ, body), 201, offered)
	},
	"update": func(t *testing.T, s *server, typ, body, id string, offered bool) string {
		exists(t, s, typ, body, id)
		if body == "" {
			return status(s.send(t, "PUT /"+typ+"/"+id, with(written[typ], hasID(id)+","+language("en"))), 200, offered)
		}
		return status(s.send(t, "PUT /"+typ+"/"+id, with(body, hasID(id)+","+language("en"))), 200, offered)
	},
	"patch": func(t *testing.T, s *server, typ, body, id string, offered bool) string {
		exists(t, s, typ, body, id)
		return status(s.send(t, "PATCH /"+typ+"/"+id, `[{"op":"add","path":"/language","value":"en"}]`, jsonPatch), 200, offered)
	},
	"delete": func(t *testing.T, s *server, typ, body, id string, offered bool) string {
		exists(t, s, typ, body, id)
		if why := status(s.send(t, "DELETE /"+typ+"/"+id, ""), 204, offered); why != "" || !offered {
			return why
		}
		return status(s.send(t, "HEAD /"+typ+"/"+id, ""), 410, true)
	},
	"history-instance": func(t *testing.T, s *server, typ, body, id string, offered bool) string {
		exists(t, s, typ, body, id)
		a := s.send(t, "GET /"+typ+"/"+id+"/_history", "")
		if offered && a.at("entry.resource.id") != id {
			return "does not hold the resource: " + a.body
		}
		return status(a, 200, offered)
	},
	"history-type": func(t *testing.T, s *server, typ, body, id string, offered bool) string {
		exists(t, s, typ, body, id)
		a := s.send(t, "GET /"+typ+"/_history?_count=1", "")
		if offered && a.at("entry.resource.id") != id {
			return "does not begin with the resource: " + a.body
		}
		return status(a, 200, offered)
	},
	"search-type": func(t *testing.T, s *server, typ, body, id string, offered bool) string {
		exists(t, s, typ, body, id)
		for _, a := range []answer{
			s.send(t, "GET /"+typ+"?_id="+id, ""),
			s.send(t, "POST /"+typ+"/_search", "_id="+id, "Content-Type: application/x-www-form-urlencoded"),
		} {
			if offered && a.at("entry.resource.id") != id {
				return "does not find the resource: " + a.body
			}
			if why := status(a, 200, offered); why != "" {
				return why
			}
		}
		return ""
	},
}

// The flags of a type; each attempt gets whether the statement says yes.
var typeFlags = map[string]attempt{
	"conditionalCreate": func(t *testing.T, s *server, typ, body, id string, offered bool) string {
		exists(t, s, typ, body, id)
		if body == "" {
			return status(s.send(t, "POST /"+typ, written[typ], "If-None-Exist: _id=nothing"), 201, offered)
		}
		if why := status(s.send(t, "POST /"+typ, body, "If-None-Exist: _id="+id), 200, offered); why != "" {
			return why
		}
		return status(s.send(t, "POST /"+typ, body, "If-None-Exist: _id=nothing"), 201, offered)
	},
	"conditionalUpdate": func(t *testing.T, s *server, typ, body, id string, offered bool) string {
		if body == "" {
			return status(s.send(t, "PUT /"+typ+"?_id="+id, written[typ]), 200, offered)
		}
		exists(t, s, typ, body, id)
		if why := status(s.send(t, "PUT /"+typ+"?_id="+id, with(body, language("en"))), 200, offered); why != "" {
			return why
		}
		return status(s.send(t, "PUT /"+typ+"?_id=nothing", body), 201, offered)
	},
	"updateCreate": func(t *testing.T, s *server, typ, body, id string, offered bool) string {
		if body == "" {
			body = written[typ]
		}
		return status(s.send(t, "PUT /"+typ+"/"+id, with(body, hasID(id))), 201, offered)
	},
	"readHistory": func(t *testing.T, s *server, typ, body, id string, offered bool) string {
		exists(t, s, typ, body, id)
		if body == "" {
			return status(s.send(t, "GET /"+typ+"/"+id+"/_history/1", ""), 200, offered)
		}
		s.must(t, 200, "PUT /"+typ+"/"+id, with(body, hasID(id)+","+language("en")))
		a := s.send(t, "GET /"+typ+"/"+id+"/_history/1", "")
		if offered && strings.Contains(a.body, language("en")) {
			return "the first version is not the first: " + a.body
		}
		return status(a, 200, offered)
	},
}

// Each listed interaction, flag, patch format, search parameter and operation works on each
// type, and what is not listed is refused, so that the statement lies in neither direction.
func TestCapabilityStatementIsTrue(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		m := readStatement(t, s)
		bodies := minimal(t)
		next := 0
		newID := func() string { next++; return fmt.Sprintf("try-%d", next) }
		if len(m.resources) < 10 {
			t.Fatalf("only %d types", len(m.resources))
		}
		for typ := range bodies {
			if _, listed := m.resources[typ]; !listed {
				t.Errorf("testdata/minimal.ndjson has a %s, which is not listed", typ)
			}
		}
		for _, typ := range slices.Sorted(maps.Keys(m.resources)) {
			r := m.resources[typ]
			body := bodies[typ]
			if body == "" && (r.offers("create") || written[typ] == "") {
				t.Errorf("testdata/minimal.ndjson has no %s", typ)
				continue
			}
			newID := newID
			if body == "" {
				newID = func() string { return firstEvent }
			}
			for name, try := range typeInteractions {
				if why := try(t, s, typ, body, newID(), r.offers(name)); why != "" {
					t.Errorf("%s %s %s", typ, name, why)
				}
			}
			for _, name := range r.interactions {
				if typeInteractions[name] == nil {
					t.Errorf("%s lists the interaction %s, which is not tried here", typ, name)
				}
			}
			for name, try := range typeFlags {
				if why := try(t, s, typ, body, newID(), r.says(name) == "true"); why != "" {
					t.Errorf("%s %s=%q %s", typ, name, r.says(name), why)
				}
			}
			tryVersioning(t, s, typ, r, body, newID())
			tryConditionalRead(t, s, typ, r, body, newID())
			tryConditionalDelete(t, s, typ, r, body, newID(), newID())
			tryPatchFormats(t, s, typ, m.patches, r, body, newID)
			trySearchParameters(t, s, typ, r, m)
		}
	})
}

func tryVersioning(t *testing.T, s *server, typ string, r resource, body, id string) {
	t.Helper()
	if body == "" {
		return
	}
	exists(t, s, typ, body, id)
	a := s.send(t, "PUT /"+typ+"/"+id, with(body, hasID(id)+","+language("en")), `If-Match: W/"9"`)
	switch says := r.says("versioning"); {
	case says == "versioned" && a.status != 412, says == "versioned-update" && a.status != 412:
		t.Errorf("%s is %s, but an update of another version is answered with %d", typ, says, a.status)
	case says != "versioned" && says != "versioned-update" && says != "no-version":
		t.Errorf("%s: versioning is %q", typ, says)
	}
	if a := s.send(t, "PUT /"+typ+"/"+id, with(body, hasID(id)+","+language("en"))); (a.status == 200) != (r.says("versioning") == "versioned") {
		t.Errorf("%s is %s, but an update without If-Match is answered with %d", typ, r.says("versioning"), a.status)
	}
}

func tryConditionalRead(t *testing.T, s *server, typ string, r resource, body, id string) {
	t.Helper()
	exists(t, s, typ, body, id)
	read := s.must(t, 200, "GET /"+typ+"/"+id, "")
	says := r.says("conditionalRead")
	if s.send(t, "GET /"+typ+"/"+id, "", "If-None-Match: "+read.header.Get("ETag")).status == 304 != (says == "full-support" || says == "not-match") {
		t.Errorf("%s: conditionalRead is %q, and If-None-Match is not so", typ, says)
	}
	if s.send(t, "GET /"+typ+"/"+id, "", "If-Modified-Since: "+read.header.Get("Last-Modified")).status == 304 != (says == "full-support" || says == "modified-since") {
		t.Errorf("%s: conditionalRead is %q, and If-Modified-Since is not so", typ, says)
	}
}

func tryConditionalDelete(t *testing.T, s *server, typ string, r resource, body, a, b string) {
	t.Helper()
	exists(t, s, typ, body, a)
	exists(t, s, typ, body, b)
	several := s.send(t, "DELETE /"+typ+"?_id="+a+","+b, "")
	switch says := r.says("conditionalDelete"); says {
	case "multiple":
		if several.status != 204 && several.status != 200 || s.send(t, "GET /"+typ+"/"+a, "").status != 410 || s.send(t, "GET /"+typ+"/"+b, "").status != 410 {
			t.Errorf("%s: several are not deleted: %d %s", typ, several.status, several.body)
		}
	case "single":
		if several.status != 412 || s.send(t, "GET /"+typ+"/"+a, "").status != 200 {
			t.Errorf("%s: several to delete are answered with %d", typ, several.status)
		}
		if one := s.send(t, "DELETE /"+typ+"?_id="+a, ""); one.status != 204 || s.send(t, "GET /"+typ+"/"+a, "").status != 410 {
			t.Errorf("%s: one to delete is answered with %d", typ, one.status)
		}
	case "not-supported", "":
		if !refused(several.status) || !refused(s.send(t, "DELETE /"+typ+"?_id="+a, "").status) {
			t.Errorf("%s: conditional deletes are not offered, but answered with %d", typ, several.status)
		}
	default:
		t.Errorf("%s: conditionalDelete is %q", typ, says)
	}
}

func tryPatchFormats(t *testing.T, s *server, typ string, listed []string, r resource, body string, newID func() string) {
	t.Helper()
	bodies := map[string]string{
		"application/json-patch+json": `[{"op":"add","path":"/language","value":"en"}]`,
		"application/fhir+json": `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},
			{"name":"path","valueString":"` + typ + `"},{"name":"name","valueString":"language"},{"name":"value","valueCode":"en"}]}]}`,
		"application/xml-patch+xml":    `<diff xmlns:f="http://hl7.org/fhir"><add sel="f:` + typ + `"><language value="en"/></add></diff>`,
		"application/fhir+xml":         `<Parameters xmlns="http://hl7.org/fhir"/>`,
		"application/merge-patch+json": language("en"),
	}
	for _, format := range listed {
		if bodies[format] == "" {
			t.Errorf("patch format %s is listed, but not tried here", format)
		}
	}
	for format, patch := range bodies {
		id := newID()
		exists(t, s, typ, body, id)
		offered := slices.Contains(listed, format) && r.offers("patch")
		a := s.send(t, "PATCH /"+typ+"/"+id, patch, "Content-Type: "+format)
		if why := status(a, 200, offered); why != "" {
			t.Errorf("%s patch as %s %s", typ, format, why)
		}
		if offered && a.at("language") != "en" {
			t.Errorf("%s patch as %s does nothing: %s", typ, format, a.body)
		}
	}
}

// asked are values that a parameter of a type takes; of a composite one of several must fit,
// as the statement does not tell what it is made of.
var asked = map[string][]string{
	"token": {"urn:conformance|x", "x", "true"}, "reference": {"none"}, "date": {"2026-03-02"}, "string": {"x"}, "uri": {"http://example.org/x"},
	"number": {"5"}, "quantity": {"5"},
	"composite": {"x$x", "x$5", "x$2026", "none$x", "http://example.org/x$x"},
	"special":   {"51.5|-0.1|1|km", "_id%20eq%20none"},
}

func trySearchParameters(t *testing.T, s *server, typ string, r resource, m statement) {
	t.Helper()
	if !r.offers("search-type") {
		return
	}
	served, _ := fhir.Served(typ)
	for name, kind := range r.searchParams {
		if served.Logged && !r.hasOwn(name) {
			// What all others have in common, it has not.
			if a := s.send(t, "GET /"+typ+"?"+name+"=x", ""); a.status != 400 {
				t.Errorf("%s does not list %s, but answers %d", typ, name, a.status)
			}
			continue
		}
		values := asked[kind]
		if values == nil {
			t.Errorf("%s.%s is of type %q", typ, name, kind)
		}
		line := "GET /" + typ + "?_count=1&" + name
		switch name {
		case "_id":
			values = []string{"none"}
		case "_has":
			line += ":List:item:_id"
			values = []string{"none"}
		case "_type":
			line = "GET ?_count=1&" + name
			values = []string{typ}
		}
		var a answer
		for _, value := range values {
			if a = s.send(t, line+"="+value, ""); a.status == 200 {
				break
			}
		}
		if a.status != 200 || a.at("type") != "searchset" {
			t.Errorf("%s.%s is listed, but answers %d: %.300s", typ, name, a.status, a.body)
			continue
		}
		if self := linkOf(a, "self"); !strings.Contains(self, name+"=") && !strings.Contains(self, "_has%3A") {
			t.Errorf("%s.%s is not in the self link %s", typ, name, self)
		}
	}
	for parameter, list := range map[string]string{"_include": "searchInclude", "_revinclude": "searchRevInclude"} {
		listed := texts(r.node.Each(list))
		for _, value := range listed {
			if a := s.send(t, "GET /"+typ+"?_count=1&"+parameter+"="+value, ""); a.status != 200 {
				t.Errorf("%s lists %s=%s, but answers %d: %.300s", typ, parameter, value, a.status, a.body)
			}
		}
		if a := s.send(t, "GET /"+typ+"?"+parameter+"=Spaceship:crew", ""); a.status != 400 {
			t.Errorf("%s?%s=Spaceship:crew is answered with %d", typ, parameter, a.status)
		}
	}
	tryUnlistedParameters(t, s, typ, r, m)
}

// tryUnlistedParameters asks for every parameter that R4 has for the type, or that another
// type lists, in one batch.
func tryUnlistedParameters(t *testing.T, s *server, typ string, r resource, m statement) {
	t.Helper()
	names := map[string]bool{"shoe-size": true, "_content": true, "_text": true, "_filter": true, "_query": true, "_list": true}
	official, err := os.ReadFile("../fhir/search/parameters.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(official)) {
		if field := strings.Split(line, "\t"); field[0] == typ {
			names[field[1]] = true
		}
	}
	for _, other := range m.resources {
		for name := range other.searchParams {
			names[name] = true
		}
	}
	var entries, tried []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if r.searchParams[name] == "" {
			tried = append(tried, name)
			entries = append(entries, entry("GET "+typ+"?"+name+"=2026", ""))
		}
	}
	answers := strings.Split(s.must(t, 200, "POST ", bundle("batch", entries...)).at("entry.response.status"), ",")
	for i, got := range answers {
		if got != "400 Bad Request" {
			t.Errorf("%s.%s is not listed, but answers %s", typ, tried[i], got)
		}
	}
	if len(tried) < 5 || len(answers) != len(tried) {
		t.Errorf("%s: %d parameters tried, %d answers", typ, len(tried), len(answers))
	}
}

// The interactions of the whole system, and what R4 has of them that is not listed.
func TestSystemInteractionsAreTrue(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		m := readStatement(t, s)
		ways := map[string]func() answer{
			"transaction": func() answer {
				return s.send(t, "POST ", bundle("transaction", entry("POST Patient", patient("", ""))))
			},
			"batch": func() answer { return s.send(t, "POST ", bundle("batch", entry("POST Patient", patient("", "")))) },
			"history-system": func() answer {
				s.must(t, 201, "PUT /Patient/a", patient("a", ""))
				return s.send(t, "GET /_history?_count=1", "")
			},
			"search-system": func() answer { return s.send(t, "GET ?_type=Patient&_id=a", "") },
		}
		for _, name := range m.system {
			if ways[name] == nil {
				t.Errorf("the interaction %s is listed, but not tried here", name)
			}
		}
		for name, way := range ways {
			if why := status(way(), 200, slices.Contains(m.system, name)); why != "" {
				t.Errorf("%s %s", name, why)
			}
		}
		for _, format := range m.formats {
			if a := s.send(t, "GET /Patient?_format="+strings.ReplaceAll(format, "+", "%2B"), ""); a.status != 200 {
				t.Errorf("the format %s is listed, but answers %d", format, a.status)
			}
		}
		for _, format := range []string{"xml", "application/fhir+xml", "ttl", "text/turtle"} {
			if a := s.send(t, "GET /Patient?_format="+strings.ReplaceAll(format, "+", "%2B"), ""); a.status != 406 && !slices.Contains(m.formats, format) {
				t.Errorf("the format %s is not listed, but answers %d", format, a.status)
			}
		}
		for _, typ := range []string{"Account", "Claim", "Immunization", "Bundle", "Parameters", "OperationOutcome", "Resource", "DomainResource", "Spaceship"} {
			if _, listed := m.resources[typ]; listed {
				continue
			}
			for _, line := range []string{"GET /" + typ, "GET /" + typ + "/a", "GET /" + typ + "/_history", "DELETE /" + typ + "/a"} {
				if a := s.send(t, line, ""); a.status != 404 {
					t.Errorf("%s: %s is not listed, but answers %d", line, typ, a.status)
				}
			}
			if a := s.send(t, "POST /"+typ, `{"resourceType":"`+typ+`"}`); a.status != 404 {
				t.Errorf("POST %s is not listed, but answers %d", typ, a.status)
			}
		}
	})
}

// The statement is a valid resource of its own kind, and names this server.
func TestCapabilityStatementIsValid(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		a := s.must(t, 200, "GET /metadata", "")
		if got := a.at("implementation.url"); got != s.base {
			t.Errorf("implementation.url is %s", got)
		}
		if got := a.at("fhirVersion"); got != "4.0.1" {
			t.Errorf("fhirVersion is %s", got)
		}
		// What the service says of itself, the service must be able to store.
		if stored := s.send(t, "POST /CapabilityStatement", a.body); stored.status != 201 {
			t.Errorf("it is not valid R4: %d %.600s", stored.status, stored.body)
		}
		for _, mode := range []string{"full", "normative"} {
			s.must(t, 200, "GET /metadata?mode="+mode, "")
		}
		s.must(t, 400, "GET /metadata?mode=terminology", "")
	})
}
