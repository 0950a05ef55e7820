package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"

	"github.com/gin-gonic/gin"
)

func TestAddresses(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	for _, c := range []struct {
		name, method, path string
		status             int
		code               string
	}{
		{"metadata", "GET", "/fhir/metadata", 200, ""},
		{"metadata, mode=full", "GET", "/fhir/metadata?mode=full", 200, ""},
		{"no TerminologyCapabilities", "GET", "/fhir/metadata?mode=terminology", 400, "not-supported"},
		{"read", "GET", "/fhir/Patient/p1", 200, ""},
		{"vread", "GET", "/fhir/Patient/p1/_history/1", 200, ""},
		{"instance history", "GET", "/fhir/Patient/p1/_history", 200, ""},
		{"type history", "GET", "/fhir/Patient/_history", 200, ""},
		{"system history", "GET", "/fhir/_history", 200, ""},
		{"search", "GET", "/fhir/Patient", 200, ""},
		{"search of a read-only type", "GET", "/fhir/AuditEvent", 200, ""},
		{"search by form without a form", "POST", "/fhir/Patient/_search", 200, ""},
		{"search by form of a read-only type", "POST", "/fhir/AuditEvent/_search", 200, ""},
		{"search of the system", "GET", "/fhir?_type=Patient", 200, ""},
		{"search of the system with a slash", "GET", "/fhir/?_type=Patient", 200, ""},
		{"search of the system by form", "POST", "/fhir/_search", 200, ""},
		{"search of a compartment", "GET", "/fhir/Patient/p1/Observation", 200, ""},
		{"search of all of a compartment", "GET", "/fhir/Patient/p1/*", 200, ""},
		{"search of all of a compartment, escaped", "GET", "/fhir/Patient/p1/%2A", 200, ""},
		{"search of a compartment by form", "POST", "/fhir/Patient/p1/*/_search", 200, ""},
		{"search of a compartment for what the log holds", "POST", "/fhir/Patient/p1/AuditEvent/_search", 404, "not-found"},
		{"health", "GET", "/healthz", 200, ""},
		{"ready", "GET", "/readyz", 200, ""},
		{"metrics", "GET", "/metrics", 200, ""},

		{"unknown id", "GET", "/fhir/Patient/nobody", 404, "not-found"},
		{"unknown version", "GET", "/fhir/Patient/p1/_history/9", 404, "not-found"},
		{"id with letters that ids lack", "GET", "/fhir/Patient/a_b", 404, "not-found"},
		{"id that is too long", "GET", "/fhir/Patient/" + strings.Repeat("a", 65), 404, "not-found"},
		{"unknown type", "GET", "/fhir/Prescription", 404, "not-supported"},
		{"unknown type, read", "GET", "/fhir/Prescription/1", 404, "not-supported"},
		{"unknown type, history", "GET", "/fhir/Prescription/_history", 404, "not-supported"},
		{"unknown type, create", "POST", "/fhir/Prescription", 404, "not-supported"},
		{"unknown type, search by form", "POST", "/fhir/Prescription/_search", 404, "not-supported"},
		{"type in lower case", "GET", "/fhir/patient/p1", 404, "not-supported"},
		{"metadata is no type", "GET", "/fhir/metadata/1", 404, "not-supported"},
		{"_history is no type", "GET", "/fhir/_history/1", 404, "not-supported"},
		{"unknown operation", "GET", "/fhir/Patient/$everything", 404, "not-supported"},
		{"unknown operation, escaped", "GET", "/fhir/Patient/%24everything", 404, "not-supported"},
		{"escaped slash is no segment", "GET", "/fhir/Patient/p1%2F_history", 404, "not-found"},
		{"escaped slash before an id", "GET", "/fhir/Patient%2fp1", 404, ""},
		{"slash at the end", "GET", "/fhir/Patient/p1/", 404, "not-found"},
		{"two slashes", "GET", "/fhir//Patient", 404, ""},
		{"climbing out", "GET", "/fhir/../healthz", 404, ""},
		{"outside of the base", "GET", "/", 404, "not-found"},
		{"the base's parent", "GET", "/favicon.ico", 404, "not-found"},

		{"compartment of nobody", "GET", "/fhir/Patient/nobody/Observation", 404, "not-found"},
		{"compartment of another type", "GET", "/fhir/Observation/p1/Patient", 404, "not-found"},
		{"compartment without the type", "GET", "/fhir/Patient/p1/Practitioner", 404, "not-found"},
		{"compartment with a type in lower case", "GET", "/fhir/Patient/p1/observation", 404, "not-found"},
		{"compartment under an id that cannot be", "GET", "/fhir/Patient/a_b/Observation", 404, "not-found"},
		{"type that is not served, of the system", "GET", "/fhir?_type=Prescription", 400, "value"},

		{"_search by GET", "GET", "/fhir/Patient/_search", 405, "not-supported"},
		{"PUT to the base", "PUT", "/fhir", 405, "not-supported"},
		{"_search of the system by GET", "GET", "/fhir/_search", 405, "not-supported"},
		{"_search of a compartment by GET", "GET", "/fhir/Patient/p1/Observation/_search", 405, "not-supported"},
		{"POST to an instance", "POST", "/fhir/Patient/p1", 405, "not-supported"},
		{"method that HTTP lacks", "BREW", "/fhir/Patient/p1", 405, "not-supported"},
		{"TRACE", "TRACE", "/fhir/Patient/p1", 405, "not-supported"},
		{"POST of health", "POST", "/healthz", 405, "not-supported"},
		{"create of a read-only type", "POST", "/fhir/AuditEvent", 405, "not-supported"},
		{"update of a read-only type", "PUT", "/fhir/AuditEvent/1", 405, "not-supported"},
		{"patch of a read-only type", "PATCH", "/fhir/AuditEvent/1", 405, "not-supported"},
		{"conditional delete of a read-only type", "DELETE", "/fhir/AuditEvent?date=2026", 405, "not-supported"},
		{"delete of a read-only type", "DELETE", "/fhir/AuditEvent/1", 405, "not-supported"},

		{"conditional delete that selects nothing", "DELETE", "/fhir/Patient?identifier=none", 204, ""},
		{"delete without a condition", "DELETE", "/fhir/Patient", 400, "required"},
		{"delete by a parameter that is not known", "DELETE", "/fhir/Patient?colour=red", 400, "not-supported"},
		{"patch without a body", "PATCH", "/fhir/Patient/p1", 400, "required"},
		{"conditional update without a body", "PUT", "/fhir/Patient?identifier=1", 400, "required"},
		{"update under an id that cannot be", "PUT", "/fhir/Patient/a_b", 400, "value"},
		{"parameter that read does not take", "GET", "/fhir/Patient/p1?_include=Patient:link", 400, "not-supported"},
		{"parameter that delete does not take", "DELETE", "/fhir/Patient/p1?_cascade=true", 400, "not-supported"},
		{"parameter that cannot be named", "GET", "/fhir/Patient/p1?A+B=1", 400, "not-supported"},
		{"parameter that search does not know", "GET", "/fhir/Patient?colour=red", 400, "not-supported"},
		{"parameter value that a history cannot read", "GET", "/fhir/Patient/p1/_history?_count=some", 400, "value"},
		{"bad escape", "GET", "/fhir/Patient?name=%zz", 400, "invalid"},
		{"text that is not UTF-8", "GET", "/fhir/Patient?name=%ff", 400, "invalid"},
		{"NUL in text", "GET", "/fhir/Patient?name=%00", 400, "invalid"},
		{"_pretty that is no boolean", "GET", "/fhir/Patient/p1?_pretty=yes", 400, "value"},
		{"query that is too long", "GET", "/fhir/Patient?name=" + strings.Repeat("a", maxQuery), 400, "too-long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.do(t, c.method, s.URL+c.path, "").want(t, c.status, c.code)
			if c.status == http.StatusMethodNotAllowed && a.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

func TestAllowNamesWhatIsOffered(t *testing.T) {
	s := start(t, setup{})
	const reading, writing = "GET, HEAD, OPTIONS", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
	for path, allow := range map[string]string{
		"": "GET, HEAD, OPTIONS, POST", "/": "GET, HEAD, OPTIONS, POST", "/_search": "OPTIONS, POST", "/metadata": reading, "/_history": reading,
		"/Patient": "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT", "/Patient/p1": writing, "/Patient/_search": "OPTIONS, POST",
		"/Patient/_history": reading, "/Patient/p1/_history": reading, "/Patient/p1/_history/1": reading,
		"/Patient/p1/Goal": reading, "/Patient/p1/*": reading, "/Patient/p1/*/_search": "OPTIONS, POST",
		"/AuditEvent": reading, "/AuditEvent/1": reading, "/AuditEvent/_search": "OPTIONS, POST",
		"/$meta": "GET, HEAD, OPTIONS, POST", "/Patient/p1/$meta": "GET, HEAD, OPTIONS, POST",
		"/Patient/p1/$meta-add": "OPTIONS, POST", "/Patient/p1/$everything": "GET, HEAD, OPTIONS, POST", "/AuditEvent/1/$meta-add": "OPTIONS",
	} {
		offered := strings.Split(allow, ", ")
		for _, method := range []string{"BREW", "TRACE", "OPTIONS", "PUT", "PATCH", "DELETE", "POST", "GET"} {
			if method != http.MethodOptions && slices.Contains(offered, method) {
				continue
			}
			a := s.do(t, method, s.base+path, "")
			if got := a.header.Get("Allow"); got != allow {
				t.Errorf("%s %s: Allow = %q, want %q", method, path, got, allow)
			}
			want := http.StatusMethodNotAllowed
			if method == http.MethodOptions {
				want = http.StatusNoContent
			}
			if a.status != want {
				t.Errorf("%s %s: status %d, want %d: %s", method, path, a.status, want, a.body)
			}
		}
	}
	for _, path := range []string{"/Prescription", "/Prescription/1", "/Patient/a_b", "/Patient/$dance", "/Patient/p1/$dance", "/Patient/$everything", "/Goal/g/$everything", "/metadata/1", "/a/b/c/d/e", "/Patient/p1/Practitioner", "/Patient/p1/nothing", "/Goal/g/Patient", "/Patient/p1/Practitioner/_search", "/../nowhere"} {
		for _, method := range []string{"BREW", http.MethodOptions} {
			if a := s.do(t, method, s.base+path, "").want(t, 404, ""); a.header.Get("Allow") != "" {
				t.Errorf("%s %s: Allow = %q", method, path, a.header.Get("Allow"))
			}
		}
	}
}

// What a definition provides is refused although its type is written.
func TestAllowOfWhatCannotBeChanged(t *testing.T) {
	s := start(t, setup{})
	a := s.do(t, http.MethodGet, s.base+"/PlanDefinition?_count=1", "").want(t, 200, "")
	_, id, _ := strings.Cut(a.body, `"fullUrl":"`+publicBase)
	id, _, _ = strings.Cut(id, `"`)
	if got := s.do(t, http.MethodDelete, s.base+id, "").want(t, 405, "business-rule").header.Get("Allow"); got != "GET, HEAD, OPTIONS" {
		t.Errorf("Allow = %q", got)
	}
}

func TestLenientHandlingIgnoresUnknownParameters(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	s.do(t, http.MethodGet, s.base+"/Patient/p1?_elements=name", "", "Prefer", "handling=lenient").want(t, 200, "")
	s.do(t, http.MethodGet, s.base+"/Patient?colour=red", "", "Prefer", "return=minimal, handling=lenient").want(t, 200, "")
}

// Every route that there is, or will be, must answer a hopeless request with an
// OperationOutcome and a request id; server.do checks both.
func TestEveryRouteAnswersErrorsAsOutcomes(t *testing.T) {
	var routes gin.RoutesInfo
	s := start(t, setup{routes: func(_ *api, e *gin.Engine) { routes = e.Routes() }})
	if len(routes) < 20 {
		t.Fatalf("only %d routes", len(routes))
	}
	ask := func(r gin.RouteInfo) (path, body string) {
		path = strings.NewReplacer(":type", "Patient", ":id", "p1", ":version", "1", ":inside", "Observation").Replace(r.Path)
		switch r.Method {
		case http.MethodPost, http.MethodPut:
			if !strings.HasSuffix(path, "_search") {
				body = withID("p1")
			}
		case http.MethodPatch:
			body = `{"resourceType":"Parameters"}`
		}
		if r.Path == "/fhir/:type" && r.Method != http.MethodPost && r.Method != http.MethodGet && r.Method != http.MethodHead {
			path += "?identifier=1"
		}
		return path, body
	}
	for _, r := range routes {
		if strings.HasPrefix(r.Path, "/fhir/") {
			// Unacceptable formats are refused on each FHIR route, before the service.
			path, body := ask(r)
			if a := s.do(t, r.Method, s.URL+path, body, "Accept", "application/fhir+xml"); a.status != http.StatusNotAcceptable {
				t.Errorf("%s %s with Accept: xml gives %d", r.Method, r.Path, a.status)
			}
		}
	}
	// Without a store nothing can be put into the auditor's log, so nothing is answered.
	s.breakStore()
	for _, r := range routes {
		t.Run(r.Method+" "+r.Path, func(t *testing.T) {
			path, body := ask(r)
			a := s.do(t, r.Method, s.URL+path, body)
			if strings.HasPrefix(r.Path, "/fhir/") && a.status != http.StatusServiceUnavailable {
				t.Errorf("with a broken store: %d %s", a.status, a.body)
			}
		})
	}
}

func TestEachServedTypeIsReached(t *testing.T) {
	s := start(t, setup{})
	for _, typ := range fhir.ServedTypes() {
		s.do(t, http.MethodGet, s.base+"/"+typ.Name+"/nobody", "").want(t, 404, "not-found")
	}
}

func TestReadiness(t *testing.T) {
	s := start(t, setup{})
	s.breakStore()
	a := s.do(t, http.MethodGet, s.URL+"/readyz", "").want(t, http.StatusServiceUnavailable, "transient")
	if a.header.Get("Retry-After") != "1" {
		t.Error("no Retry-After")
	}
	s.do(t, http.MethodGet, s.URL+"/healthz", "").want(t, http.StatusOK, "")
}

func TestMetricsRouteIsLeftOut(t *testing.T) {
	s := start(t, setup{options: func(o *Options) { o.Metrics = nil }})
	s.do(t, http.MethodGet, s.URL+"/metrics", "").want(t, http.StatusNotFound, "not-found")
}

func TestRequestID(t *testing.T) {
	s := start(t, setup{options: func(o *Options) { o.NewID = func() string { return "made" } }})
	for given, want := range map[string]string{
		"":                      "made",
		"abc-1.2_Z":             "abc-1.2_Z",
		strings.Repeat("a", 64): strings.Repeat("a", 64),
		strings.Repeat("a", 65): "made",
		"a b":                   "made",
		"a\"},{":                "made",
	} {
		for _, path := range []string{"/fhir/metadata", "/fhir/Nothing", "/nowhere", "/healthz", "/metrics"} {
			if got := s.do(t, http.MethodGet, s.URL+path, "", "X-Request-Id", given).header.Get("X-Request-Id"); got != want {
				t.Errorf("%s with %q: X-Request-Id = %q, want %q", path, given, got, want)
			}
		}
	}
}
