package conformance

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aftercare/api"
	"aftercare/definitions"
	"aftercare/fhir"
	"aftercare/service"
	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/store"
	"aftercare/service/store/postgrestest"
)

// engines are the databases that every test runs on: a new, empty one per call, as
// store.Open names it.
var engines = []struct {
	name string
	new  func(t testing.TB) string
}{
	{"sqlite", func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "conformance.db") }},
	{"postgres", postgrestest.Database},
}

// onEachEngine runs a test on a new service per engine.
func onEachEngine(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { test(t, start(t, e.new(t))) })
	}
}

// webOrigin is where web pages come from that may use the service.
const webOrigin = "https://dashboard.example"

// server is the whole service behind a real listener.
type server struct {
	base   string // such as http://127.0.0.1:1234/fhir
	client *http.Client
	store  *store.Store // for what the service alone writes
	log    *serverLog
}

// start runs a service on a database until the test ends. Its definitions are the
// program's own; its care site is in London.
func start(t testing.TB, database string) *server {
	t.Helper()
	s := &server{log: &serverLog{}}
	listener := httptest.NewUnstartedServer(nil)
	s.base = "http://" + listener.Listener.Addr().String() + "/fhir"
	logger := slog.New(api.LogHandler(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelError})))
	s.store = openStore(t, database, logger)
	handler, err := api.New(api.Options{Service: newService(t, s.store, s.base, logger), BaseURL: s.base, Logger: logger, CORSOrigins: []string{webOrigin}})
	if err != nil {
		t.Fatal(err)
	}
	listener.Config.Handler = handler
	listener.Start()
	t.Cleanup(listener.Close)
	s.client = &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true},
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		if lines := s.log.text(); lines != "" {
			t.Errorf("the service logged errors:\n%s", lines)
		}
	})
	return s
}

// openStore opens a database until the test ends.
func openStore(t testing.TB, database string, logger *slog.Logger) *store.Store {
	t.Helper()
	db, err := store.Open(t.Context(), database, store.Options{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// logKey signs for the log of a service.
func logKey(t testing.TB) *tree.Key {
	t.Helper()
	text, err := tree.NewKey("conformance.example/fhir")
	if err != nil {
		t.Fatal(err)
	}
	key, err := tree.ReadKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newService is a service on a store, without HTTP.
func newService(t testing.TB, db *store.Store, base string, logger *slog.Logger) *service.Service {
	t.Helper()
	known, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	svc, err := service.New(t.Context(), service.Options{Store: db, Definitions: known, BaseURL: base, Zone: zone, Logger: logger, LogSecret: bytes.Repeat([]byte{1}, audit.SecretSize), LogKey: logKey(t)})
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

// serverLog keeps what the service logs as an error; no test here is meant to cause one.
type serverLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *serverLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// answer is a response, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// send makes one request. line is the method and a URL below the base (or an absolute
// one); headers are lines "Name: value". A body without a Content-Type is sent as FHIR
// JSON. It may be called from any goroutine.
func (s *server) send(t testing.TB, line, body string, headers ...string) answer {
	t.Helper()
	method, url, _ := strings.Cut(line, " ")
	if !strings.HasPrefix(url, "http") {
		url = s.base + url
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return answer{}
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ": ")
		if !ok {
			t.Errorf("%q is not a header line", h)
			return answer{}
		}
		req.Header.Add(name, value)
	}
	if body != "" && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	res, err := s.client.Do(req)
	if err != nil {
		t.Errorf("%s: %v", line, err)
		return answer{}
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("%s: %v", line, err)
		return answer{}
	}
	return answer{res.StatusCode, res.Header, string(got)}
}

// must is send that ends the test if the status is another.
func (s *server) must(t testing.TB, status int, line, body string, headers ...string) answer {
	t.Helper()
	a := s.send(t, line, body, headers...)
	if a.status != status {
		t.Fatalf("%s: status %d, want %d: %.600s", line, a.status, status, a.body)
	}
	return a
}

// at gives the values at a path of member names such as "entry.resource.id", joined by
// commas; arrays on the way are entered. What is not JSON has none.
func (a answer) at(path string) string {
	n, err := fhir.Parse([]byte(a.body))
	if err != nil {
		return ""
	}
	var values []string
	for _, v := range n.Each(strings.Split(path, ".")...) {
		if v.Kind == fhir.Object {
			values = append(values, string(v.Raw))
		} else {
			values = append(values, v.Text)
		}
	}
	return strings.Join(values, ",")
}
