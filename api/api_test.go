package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"aftercare/api/auth"
	"aftercare/service/audit"
	"aftercare/service/store/postgrestest"

	"github.com/gin-gonic/gin"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := postgrestest.RunTwice(m, &newDatabase, nil)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// server is the whole API over real HTTP, in front of a real service on a new database.
type server struct {
	*httptest.Server
	base   string // FHIR base as the test reaches it
	logs   *logBuffer
	spans  *tracetest.InMemoryExporter
	meters *sdkmetric.ManualReader
	// authority judges tokens, nil where none is needed.
	authority *auth.Authority
	// handlers are those that run: a client may have its answer before the request's span
	// and log line are finished, so tests wait for them.
	handlers sync.WaitGroup
	// breakStore makes every later call of the service fail.
	logged     func(t testing.TB, after int64) []*audit.Record
	position   atomic.Int64 // in the auditor's log, of what was looked at
	breakStore func()
}

const publicBase = "https://clinic.example/fhir"

// setup changes the options, or adds routes for a test.
type setup struct {
	options func(*Options)
	routes  func(*api, *gin.Engine)
}

func start(t testing.TB, s setup) *server {
	t.Helper()
	out := &server{logs: &logBuffer{}, spans: tracetest.NewInMemoryExporter(), meters: sdkmetric.NewManualReader()}
	log := slog.New(LogHandler(slog.NewJSONHandler(out.logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(out.spans))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(out.meters))
	svc, logged, breakStore := newService(t, log, tracers)
	out.logged, out.breakStore = logged, breakStore
	out.logs.reset() // of what the service said at its start
	o := Options{
		Service: svc, BaseURL: publicBase, Logger: log,
		TracerProvider: tracers, MeterProvider: meters,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics\n") }),
	}
	if s.options != nil {
		s.options(&o)
	}
	out.authority = o.Auth
	a, err := newAPI(o)
	if err != nil {
		t.Fatal(err)
	}
	engine := a.routes()
	if s.routes != nil {
		s.routes(a, engine)
	}
	out.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out.handlers.Add(1)
		defer out.handlers.Done()
		engine.ServeHTTP(w, r)
	}))
	out.base = out.URL + "/fhir"
	t.Cleanup(func() {
		out.Client().CloseIdleConnections()
		out.Close()
		_ = tracers.Shutdown(t.Context())
		_ = meters.Shutdown(t.Context())
	})
	return out
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Reset()
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// lines are the logged JSON objects.
func (b *logBuffer) lines(t testing.TB) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(b.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("log line is not JSON: %q", line)
		}
		out = append(out, m)
	}
	return out
}

// answer is a response whose general promises have been checked.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request and checks what every response must keep. headers are pairs; a body
// is sent as FHIR JSON unless they say otherwise.
func (s *server) do(t testing.TB, method, url, body string, headers ...string) answer {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, content)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", fhirJSON)
	}
	req.Header.Set("Accept-Encoding", "identity") // else the client asks for gzip and hides it
	for pair := range slices.Chunk(headers, 2) {
		if req.Header.Del(pair[0]); pair[1] != "" {
			req.Header.Set(pair[0], pair[1])
		}
	}
	before := s.position.Load()
	res, err := s.Client().Transport.RoundTrip(req) // no redirects are followed
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	s.handlers.Wait()
	if res.Close { // the client takes the header out
		res.Header.Set("Connection", "close")
	}
	a := answer{res.StatusCode, res.Header, string(got)}
	if !strings.HasPrefix(req.URL.Path, "/auth/") { // which answer as OAuth says
		a.check(t, method)
	}
	s.checkLog(t, req, a, before)
	return a
}

// checkLog finds the request in the auditor's log: once, or, of a Bundle that was run, each of its
// entries once.
func (s *server) checkLog(t testing.TB, req *http.Request, a answer, before int64) {
	t.Helper()
	all := s.logged(t, before)
	if all == nil { // the database is gone
		return
	}
	var found []*audit.Record
	for _, r := range all {
		if n, err := strconv.ParseInt(r.ID, 10, 64); err == nil && n > s.position.Load() {
			s.position.Store(n)
		}
		if r.RequestID == a.header.Get("X-Request-Id") {
			found = append(found, r)
		}
	}
	want := 1
	switch path := req.URL.Path; {
	case (path == healthRoute || path == readyRoute || path == metricsRoute) && a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed:
		want = 0
	case path == metricsRoute: // which may be refused, or not be there at all
		want = min(1, len(found))
	case req.Method == http.MethodPost && strings.TrimSuffix(path, "/") == "/fhir" && a.status == http.StatusOK:
		want = max(1, strings.Count(a.body, `"response":{`))
	}
	if len(found) != want {
		t.Errorf("%s %s, answered with %d, is in the log %d times, and is to be %d times", req.Method, req.URL.Path, a.status, len(found), want)
	}
	for _, r := range found {
		if want == 1 && r.Status != a.status && (r.Status != http.StatusNoContent || a.status != http.StatusOK) && !(strings.Contains(a.body, "-response") && req.Method == http.MethodPost) {
			t.Errorf("%s %s was answered with %d, and the log says %d", req.Method, req.URL.Path, a.status, r.Status)
		}
		if r.Succeeded() != (r.Reason == "") {
			t.Errorf("%s %s: status %d for the reason %q", req.Method, req.URL.Path, r.Status, r.Reason)
		}
	}
}

func (a answer) check(t testing.TB, method string) {
	t.Helper()
	if !requestIDPattern.MatchString(a.header.Get("X-Request-Id")) {
		t.Errorf("X-Request-Id = %q", a.header.Get("X-Request-Id"))
	}
	if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Server") != "" {
		t.Errorf("security headers: %v", a.header)
	}
	if !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") || a.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("security headers: %v", a.header)
	}
	if a.status >= 300 && a.status < 400 && a.status != http.StatusNotModified {
		t.Errorf("status %d redirects to %q", a.status, a.header.Get("Location"))
	}
	if a.status < 400 {
		return
	}
	if got := a.header.Get("Content-Type"); got != contentType {
		t.Errorf("an error has Content-Type %q", got)
	}
	if method != http.MethodHead {
		a.issues(t)
	}
}

type outcomeIssue struct {
	Severity, Code string
	Details        struct{ Text string }
}

// issues are those of a body that must be an OperationOutcome.
func (a answer) issues(t testing.TB) []outcomeIssue {
	t.Helper()
	var o struct {
		ResourceType string
		Issue        []outcomeIssue
	}
	if err := json.Unmarshal([]byte(a.body), &o); err != nil || o.ResourceType != "OperationOutcome" || len(o.Issue) == 0 {
		t.Fatalf("status %d: not an OperationOutcome: %q", a.status, a.body)
	}
	for _, i := range o.Issue {
		if i.Severity == "" || i.Code == "" || len(i.Details.Text) < 2 {
			t.Errorf("an issue lacks its severity, code or sentence: %+v", i)
		}
	}
	return o.Issue
}

// want checks the status, and for an error the code of the first issue.
func (a answer) want(t testing.TB, status int, code string) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if code != "" {
		if got := a.issues(t)[0].Code; got != code {
			t.Fatalf("issue code %q, want %q: %s", got, code, a.body)
		}
	}
	return a
}

const patient = `{"resourceType":"Patient","name":[{"family":"Lovelace","given":["Ada"]}],"birthDate":"1815-12-10"}`

// withID is the patient under an id, as PUT needs it.
func withID(id string) string { return strings.Replace(patient, `,`, `,"id":"`+id+`",`, 1) }

func put(t testing.TB, s *server, id string) answer {
	t.Helper()
	a := s.do(t, http.MethodPut, s.base+"/Patient/"+id, withID(id))
	if a.status >= 300 {
		t.Fatalf("PUT: %d %s", a.status, a.body)
	}
	return a
}

func TestOptionsAreRefused(t *testing.T) {
	svc, _, _ := newService(t, slog.New(slog.DiscardHandler), nil)
	for name, o := range map[string]Options{
		"without a service":       {BaseURL: publicBase},
		"without a base":          {Service: svc},
		"with a relative base":    {Service: svc, BaseURL: "/fhir"},
		"with another scheme":     {Service: svc, BaseURL: "ftp://clinic.example/fhir"},
		"without a path":          {Service: svc, BaseURL: "https://clinic.example/"},
		"with a query":            {Service: svc, BaseURL: publicBase + "?a=b"},
		"with a password":         {Service: svc, BaseURL: "https://a:b@clinic.example/fhir"},
		"with a route pattern":    {Service: svc, BaseURL: "https://clinic.example/:x"},
		"with an escaped segment": {Service: svc, BaseURL: "https://clinic.example/f%2Fhir"},
	} {
		t.Run(name, func(t *testing.T) {
			if h, err := New(o); err == nil || h != nil {
				t.Fatalf("accepted: %+v", o)
			}
		})
	}
}

func TestBaseMayBeDeepAndEndInSlash(t *testing.T) {
	s := start(t, setup{options: func(o *Options) { o.BaseURL = "http://clinic.example/a/b.c/" }})
	a := s.do(t, http.MethodPost, s.URL+"/a/b.c/Patient", patient).want(t, http.StatusCreated, "")
	if l := a.header.Get("Location"); !strings.HasPrefix(l, "http://clinic.example/a/b.c/Patient/") {
		t.Fatalf("Location = %q", l)
	}
}
