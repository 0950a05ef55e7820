package resilience

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aftercare/service/store/postgrestest"
)

// replicas are processes on one database, and what is in front of them.
type replicas struct {
	programs []*program
	front    *httptest.Server
	next     atomic.Int64
	// failures are answers of the kind 5xx that a process gave.
	failures atomic.Int64
}

// startReplicas starts n processes at the same moment, and a proxy that takes turns.
func startReplicas(t *testing.T, n int, database string) *replicas {
	r := &replicas{}
	ready := make([]<-chan error, n)
	for i := range n {
		r.programs = append(r.programs, newProgram(t, database, "AFTERCARE_REQUEST_LIMIT=30s")) // a write may wait for what the dead one has staged
		var err error
		if ready[i], err = r.programs[i].launch(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if err := <-ready[i]; err != nil {
			t.Fatal(err)
		}
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	r.front = httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			target, _ := url.Parse(r.programs[int(r.next.Add(1))%n].address.Load().(string)) // it is made of a host and a port
			p.SetURL(target)
		},
		ModifyResponse: func(a *http.Response) error {
			if a.StatusCode >= 500 {
				r.failures.Add(1)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	t.Cleanup(r.front.Close)
	return r
}

// TestReplicas runs three processes on one database, kills one under load, and starts it again.
func TestReplicas(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, "fsync=on")
	database := server.Database(t)
	r := startReplicas(t, 3, database)
	t.Run("started together on an empty database they store the definitions once", func(t *testing.T) {
		var resources, versions, types int
		if err := openTables(t, database).QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM resource), (SELECT count(*) FROM version), (SELECT count(DISTINCT type) FROM resource)`).
			Scan(&resources, &versions, &types); err != nil {
			t.Fatal(err)
		}
		if resources != versions || resources == 0 || types < 2 {
			t.Errorf("%d versions of %d resources of %d types", versions, resources, types)
		}
	})
	ledger := newLedger()
	front := newClient(t, func() string { return r.front.URL })
	load := startLoad(t, front, ledger, "replicas")
	t.Run("of conditional creates that race through all of them one creates", r.raceToCreate)
	t.Run("what one has stored the others give at once", r.readOthersWrites)
	t.Run("when one is killed the others carry on", func(t *testing.T) {
		time.Sleep(300 * time.Millisecond)
		r.programs[0].kill()
		for i := range 50 {
			id := fmt.Sprint("survivor-", i)
			r.programs[1+i%2].client(t).must(t, 201, "PUT /fhir/Basic/"+id, named(id, id))
		}
		r.programs[0].start(t)
		r.programs[0].client(t).must(t, 200, "GET /fhir/Basic/survivor-49", "")
		time.Sleep(300 * time.Millisecond)
	})
	load.stop()
	if n := r.failures.Load(); n != 0 {
		t.Errorf("processes that were not killed gave %d answers of status 5xx", n)
	}
	settle(t, r.programs[0], database)
	ledger.check(t, front)
	for _, p := range r.programs {
		p.stop(t)
	}
	checkTables(t, database)
}

func (r *replicas) raceToCreate(t *testing.T) {
	for round := range 20 {
		mark := fmt.Sprint("race-", round)
		var mu sync.Mutex
		statuses, locations := map[int]int{}, map[string]bool{}
		var done sync.WaitGroup
		for i := range 9 {
			c := r.programs[i%3].client(t)
			done.Go(func() {
				a := c.send("POST /fhir/Patient", marked(patient, mark), "If-None-Exist: identifier="+system+"|"+mark)
				mu.Lock()
				defer mu.Unlock()
				statuses[a.status]++
				locations[a.header.Get("Location")] = true
			})
		}
		done.Wait()
		if statuses[201] != 1 || statuses[200] != 8 || len(locations) != 1 {
			t.Errorf("answers %v with %d locations", statuses, len(locations))
		}
	}
}

func (r *replicas) readOthersWrites(t *testing.T) {
	var done sync.WaitGroup
	for worker := range 3 {
		writes, reads, searches := r.programs[worker].client(t), r.programs[(worker+1)%3].client(t), r.programs[(worker+2)%3].client(t)
		done.Go(func() {
			id := fmt.Sprint("seen-", worker)
			for i := range 60 {
				mark := fmt.Sprint("seen-", worker, "-", i)
				a := writes.send("PUT /fhir/Basic/"+id, named(id, mark))
				if a.outcome() != stored {
					t.Errorf("%d: %.300s", a.status, a.body)
				}
				if got := reads.send("GET /fhir/Basic/"+id, ""); got.version() != a.version() {
					t.Errorf("%s: version %d was stored, another process gives %d", id, a.version(), got.version())
				}
				if got := searches.send("GET /fhir/Basic?identifier="+system+"|"+mark, ""); got.at("entry.resource.id") != id {
					t.Errorf("%s: another process does not find it by %s: %d", id, mark, got.status)
				}
			}
		})
	}
	done.Wait()
}
