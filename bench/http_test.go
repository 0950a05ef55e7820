package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aftercare/api"
	"aftercare/definitions"
	"aftercare/service"
	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/store"
	"aftercare/service/store/postgrestest"

	"github.com/google/uuid"
)

// server is the whole service behind a real listener.
type server struct {
	base   string
	client *http.Client
}

// databases make an empty database per call, with all that makes a write durable switched on.
func databases(b *testing.B) map[string]func(b *testing.B) string {
	var postgres *postgrestest.Server
	return map[string]func(b *testing.B) string{
		"sqlite": func(b *testing.B) string { return "sqlite:" + filepath.Join(b.TempDir(), "bench.db") },
		"postgres": func(*testing.B) string {
			if postgres == nil {
				postgres = postgrestest.Start(b, "shared_buffers=512MB")
			}
			return postgres.Database(b)
		},
	}
}

func start(b *testing.B, database string, audited bool) *server {
	b.Helper()
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		b.Fatal(err)
	}
	defs, err := definitions.Load(definitions.Files())
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(api.LogHandler(slog.NewJSONHandler(io.Discard, nil)))
	st, err := store.Open(b.Context(), database, store.Options{Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := st.Close(); err != nil {
			b.Error(err)
		}
	})
	listener := httptest.NewUnstartedServer(nil)
	base := "http://" + listener.Listener.Addr().String() + "/fhir"
	o := service.Options{Store: st, Definitions: defs, BaseURL: base, Zone: zone, Logger: log}
	if audited {
		o.LogSecret = make([]byte, audit.SecretSize)
		text, err := tree.NewKey("aftercare.example/fhir")
		if err != nil {
			b.Fatal(err)
		}
		if o.LogKey, err = tree.ReadKey(text); err != nil {
			b.Fatal(err)
		}
	}
	svc, err := service.New(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	if audited { // what goes on beside requests costs too
		working, stop := context.WithCancel(context.Background())
		var worker sync.WaitGroup
		worker.Go(func() { svc.KeepIntegrated(working) })
		b.Cleanup(worker.Wait)
		b.Cleanup(stop)
	}
	handler, err := api.New(api.Options{Service: svc, BaseURL: base, Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	listener.Config.Handler = handler
	listener.Start()
	b.Cleanup(listener.Close)
	return &server{base: base, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// send makes one request and reads the whole answer.
func (s *server) send(method, path, body string, want int) error {
	req, err := http.NewRequest(method, s.base+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != want {
		return fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, answer)
	}
	return nil
}

// measure runs do with several numbers of clients at once, each on a new server.
func measure(b *testing.B, prepare func(b *testing.B, s *server), do func(s *server) error) {
	for engine, database := range databases(b) {
		measureOn(b, engine, database, prepare, do)
	}
}

func measureOn(b *testing.B, engine string, database func(b *testing.B) string, prepare func(b *testing.B, s *server), do func(s *server) error) {
	for _, audited := range []bool{true, false} {
		for _, clients := range []int{1, 8, 32} {
			measureWith(b, engine, database, audited, clients, prepare, do)
		}
	}
}

func measureWith(b *testing.B, engine string, database func(b *testing.B) string, audited bool, clients int, prepare func(b *testing.B, s *server), do func(s *server) error) {
	b.Run(fmt.Sprintf("%s/audited=%t/clients=%d", engine, audited, clients), func(b *testing.B) {
		s := start(b, database(b), audited)
		if prepare != nil {
			prepare(b, s)
		}
		var left atomic.Int64
		left.Store(int64(b.N))
		times := make([][]time.Duration, clients)
		var wg sync.WaitGroup
		b.ResetTimer()
		for c := range clients {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					began := time.Now()
					if err := do(s); err != nil {
						b.Error(err)
						return
					}
					times[c] = append(times[c], time.Since(began))
				}
			})
		}
		wg.Wait()
		b.StopTimer()
		all := slices.Concat(times...)
		slices.Sort(all)
		if len(all) > 0 {
			b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "requests/s")
			b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
		}
		s.client.CloseIdleConnections()
	})
}

func procedure(patient, code string) string {
	return `{"resourceType":"Procedure","status":"completed",
	 "code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"` + code + `"}]},
	 "subject":{"reference":"Patient/` + patient + `"},"performedDateTime":"2026-03-02",
	 "bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"},{"system":"http://snomed.info/sct","code":"7771000"}]}],
	 "usedCode":[{"coding":[{"system":"http://snomed.info/sct","code":"386014009"}]}]}`
}

func observation(patient string, day int) string {
	return fmt.Sprintf(`{"resourceType":"Observation","status":"final",
	 "category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"survey"}]}],
	 "code":{"coding":[{"system":"http://loinc.org","code":"72514-3"}]},"subject":{"reference":"Patient/%s"},
	 "effectiveDateTime":"2026-03-%02dT08:00:00Z","valueQuantity":{"value":6,"unit":"{score}","system":"http://unitsofmeasure.org","code":"{score}"}}`, patient, day)
}

// BenchmarkPostProcedure sends the operation of a new patient: the answer comes when
// the Procedure, its care plan, goals, tasks and provenance are on disk.
func BenchmarkPostProcedure(b *testing.B) {
	measure(b, nil, func(s *server) error {
		return s.send(http.MethodPost, "/Procedure", procedure(uuid.NewString(), "single-stage"), http.StatusCreated)
	})
}

// BenchmarkPostOtherProcedure sends a Procedure that no protocol is triggered by.
func BenchmarkPostOtherProcedure(b *testing.B) {
	measure(b, nil, func(s *server) error {
		return s.send(http.MethodPost, "/Procedure", procedure(uuid.NewString(), "bone-graft"), http.StatusCreated)
	})
}

// BenchmarkPostObservation sends a pain score.
func BenchmarkPostObservation(b *testing.B) {
	measure(b, nil, func(s *server) error {
		return s.send(http.MethodPost, "/Observation", observation(uuid.NewString(), 3), http.StatusCreated)
	})
}

const patients = 20

func load(b *testing.B, s *server) {
	b.Helper()
	for p := range patients {
		id := fmt.Sprintf("p%d", p)
		if err := s.send(http.MethodPut, "/Patient/"+id, `{"resourceType":"Patient","id":"`+id+`"}`, http.StatusCreated); err != nil {
			b.Fatal(err)
		}
		if err := s.send(http.MethodPost, "/Procedure", procedure(id, "single-stage"), http.StatusCreated); err != nil {
			b.Fatal(err)
		}
		for day := range 20 {
			if err := s.send(http.MethodPost, "/Observation", observation(id, day+1), http.StatusCreated); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkSearchPlan asks for one patient's active care plans.
func BenchmarkSearchPlan(b *testing.B) {
	var next atomic.Int64
	measure(b, load, func(s *server) error {
		return s.send(http.MethodGet, fmt.Sprintf("/CarePlan?patient=p%d&status=active", next.Add(1)%patients), "", http.StatusOK)
	})
}

// BenchmarkSearchPain asks for one patient's 20 pain scores of a month.
func BenchmarkSearchPain(b *testing.B) {
	var next atomic.Int64
	code := url.QueryEscape("http://loinc.org|72514-3")
	measure(b, load, func(s *server) error {
		return s.send(http.MethodGet, fmt.Sprintf("/Observation?patient=p%d&code=%s&date=2026-03", next.Add(1)%patients, code), "", http.StatusOK)
	})
}

// BenchmarkRead reads one patient by id.
func BenchmarkRead(b *testing.B) {
	var next atomic.Int64
	measure(b, load, func(s *server) error {
		return s.send(http.MethodGet, fmt.Sprintf("/Patient/p%d", next.Add(1)%patients), "", http.StatusOK)
	})
}
