package service

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store"
	"aftercare/service/store/postgrestest"
)

// dial is a clock that tests set. It is safe for concurrent use.
type dial struct {
	sync.Mutex
	at time.Time
}

func (d *dial) now() time.Time { d.Lock(); defer d.Unlock(); return d.at }

func (d *dial) set(t *testing.T, day string) {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04", day)
	if err != nil {
		t.Fatal(err)
	}
	d.Lock()
	defer d.Unlock()
	d.at = at
}

// operated puts a patient with an operation on 2 March 2026 into the service.
func operated(t *testing.T, s *Service, id string) {
	t.Helper()
	for _, body := range []string{
		`{"resourceType":"Patient","id":"` + id + `","generalPractitioner":[{"reference":"Organization/gp"}]}`,
		`{"resourceType":"Procedure","id":"` + id + `","status":"completed","subject":{"reference":"Patient/` + id + `"},"performedDateTime":"2026-03-02",
			"code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"single-stage"}]},
			"bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"},{"system":"http://snomed.info/sct","code":"7771000"}]}]}`,
	} {
		typ, _, _ := strings.Cut(strings.TrimPrefix(body, `{"resourceType":"`), `"`)
		if _, err := s.Update(ctx, Anonymous, typ, id, []byte(body), Preconditions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// found are the resources that a search gives.
func found(t *testing.T, s *Service, query string) []*fhir.Node {
	t.Helper()
	typ, query, _ := strings.Cut(query, "?")
	pairs, err := search.ParsePairs(query)
	if err != nil {
		t.Fatal(err)
	}
	body, err := s.Search(ctx, Anonymous, typ, pairs, false)
	if err != nil {
		t.Fatal(err)
	}
	n, err := fhir.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	return n.Each("entry", "resource")
}

// underLease runs work as the holder of the lease, once.
func underLease(t *testing.T, s *Service, work func(ctx context.Context, m *marker)) {
	t.Helper()
	holding, end := context.WithCancel(ctx)
	defer end()
	s.store.Hold(holding, progressLease, func(ctx context.Context, l *store.Lease) {
		work(ctx, &marker{Service: s, lease: l})
		end()
	})
}

func position(t *testing.T, s *Service) (at int64) {
	t.Helper()
	if err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
		at, err = r.Position(ctx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return at
}

func TestProgress(t *testing.T) {
	clock := &dial{}
	clock.set(t, "2026-03-02T09:00")
	s := open(t, func(o *Options) { o.Now = clock.now })
	operated(t, s, "p")
	underLease(t, s, func(_ context.Context, m *marker) {
		look := func(day string) {
			t.Helper()
			clock.set(t, day)
			if err := m.look(ctx); err != nil {
				t.Fatal(err)
			}
		}
		want := func(query string, n int) {
			t.Helper()
			if got := found(t, s, query); len(got) != n {
				t.Errorf("%s: %d found, want %d", query, len(got), n)
			}
		}
		const marked = "Task?business-status=https://aftercare.example/fhir/CodeSystem/progress|"
		look("2026-03-22T23:30") // the 22nd here too: summer time begins on the 29th
		want(marked+"due", 0)
		look("2026-03-23T00:00")
		want(marked+"due", 1)
		look("2026-03-26T12:00")
		want(marked+"due", 1)
		want("Flag?patient=p", 0)
		before := position(t, s)
		look("2026-03-26T13:00")
		look("2026-03-25T13:00") // a clock that jumps back
		if now := position(t, s); now != before {
			t.Errorf("%d versions were written for nothing", now-before)
		}
		want(marked+"due", 1)
		look("2026-03-27T00:00")
		want(marked+"overdue", 1)
		flags := found(t, s, "Flag?patient=p")
		if len(flags) != 1 || flags[0].Str("status") != "active" || flags[0].Each("category", "coding", "code")[0].Text != "clinical" {
			t.Fatalf("flags %v", flags)
		}
		look("2026-03-20T00:00")
		want(marked+"overdue", 1)
		look("2026-03-30T00:00")
		want(marked+"missed", 1)
		want(marked+"due", 1) // the second removal

		// Whoever did it at last takes the marks away.
		task := found(t, s, marked+"missed")[0]
		done := strings.Replace(string(task.Raw), `"status":"requested"`, `"status":"completed"`, 1)
		if _, err := s.Update(ctx, Anonymous, "Task", task.Str("id"), []byte(done), Preconditions{}); err != nil {
			t.Fatal(err)
		}
		want(marked+"missed", 0)
		if flags := found(t, s, "Flag?patient=p"); flags[0].Str("status") != "inactive" {
			t.Errorf("the flag is still %s", flags[0].Str("status"))
		}
		plan := found(t, s, "CarePlan?patient=p")[0]
		for _, a := range plan.Each("activity") {
			if a.Str("id") == "staples-partial" && a.Str("detail", "status") != "completed" {
				t.Errorf("the activity is %s", a.Raw)
			}
			for _, x := range a.Each("extension") {
				for _, never := range []string{"shower-permitted", "no-bath-soaking", "watch-enthesopathy", "osseointegration", "loading"} {
					if strings.HasSuffix(x.Str("url"), "/progress") && a.Str("id") == never {
						t.Errorf("%s is marked", never)
					}
				}
			}
		}
		// An operation that is moved moves the windows, and the marks are found out anew.
		body := found(t, s, "Procedure?patient=p")[0].Raw
		if _, err := s.Update(ctx, Anonymous, "Procedure", "p", []byte(strings.Replace(string(body), `"performedDateTime":"2026-03-02"`, `"performedDateTime":"2026-03-09"`, 1)), Preconditions{}); err != nil {
			t.Fatal(err)
		}
		want(marked+"due", 0)
		look("2026-03-30T00:01") // the same day: the plan has changed since
		want(marked+"due", 0)
		look("2026-04-06T00:01")
		want(marked+"due", 1)
	})
}

// The week's work of a clinic is one search: what is to be done, for whom, and by whom.
func TestTheWeekOfAClinicIsOneSearch(t *testing.T) {
	s := open(t)
	for i := range 3 {
		operated(t, s, fmt.Sprint("p", i))
	}
	if _, err := s.Update(ctx, Anonymous, "Organization", "gp", []byte(`{"resourceType":"Organization","id":"gp","name":"Practice"}`), Preconditions{}); err != nil {
		t.Fatal(err)
	}
	types := map[string]int{}
	for _, n := range found(t, s, "Task?due=ge2026-03-23&due=le2026-03-29&status=requested,accepted&_include=Task:patient&_include=Task:owner&_include=Task:focus") {
		types[n.Str("resourceType")]++
	}
	if fmt.Sprint(types) != "map[CarePlan:3 Organization:1 Patient:3 Task:3]" {
		t.Errorf("found %v", types)
	}
	if got := found(t, s, "CarePlan?activity-date=ge2026-03-23&activity-date=le2026-03-29&status=active"); len(got) != 3 {
		t.Errorf("%d plans", len(got))
	}
}

// Of two replicas one marks; when it goes, the other goes on, and what was marked is not marked
// again.
func TestReplicasMarkProgressOnce(t *testing.T) {
	clock := &dial{}
	clock.set(t, "2026-03-02T09:00")
	database := postgrestest.Database(t)
	var all []*Service
	for range 2 {
		o, err := defaults()
		if err != nil {
			t.Fatal(err)
		}
		o.Now, o.NewID = clock.now, newID
		if o.Store, err = store.Open(ctx, database, store.Options{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := o.Store.Close(); err != nil {
				t.Error(err)
			}
		})
		s, err := New(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		s.progressPause = 5 * time.Millisecond
		all = append(all, s)
	}
	for i := range 5 {
		operated(t, all[i%2], fmt.Sprint("p", i))
	}
	clock.set(t, "2026-03-23T09:00")
	running := make([]context.CancelFunc, 2)
	var workers sync.WaitGroup
	for i, s := range all {
		within, end := context.WithCancel(ctx)
		running[i] = end
		workers.Go(func() { s.KeepProgress(within) })
	}
	defer workers.Wait()
	defer running[1]()
	await := func(query string, n int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			got := len(found(t, all[0], query))
			if got == n {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d found, want %d", query, got, n)
			}
		}
	}
	const marked = "Task?business-status="
	await(marked+"due", 5)
	running[0]() // whether it marked or waited
	clock.set(t, "2026-03-27T09:00")
	await(marked+"overdue", 5)
	operated(t, all[1], "late") // a plan that is new today
	await(marked+"overdue", 6)
	for _, task := range found(t, all[0], "Task?business-status=overdue") {
		if v := task.Str("meta", "versionId"); v != "3" && !strings.Contains(string(task.Raw), "Patient/late") {
			t.Errorf("a Task has %s versions, want 3: made, due, overdue", v)
		}
	}
}

// A process that is killed in the middle leaves whole patients, and another goes on with the others.
func TestProgressGoesOnAfterAKill(t *testing.T) {
	const patients = 40
	clock := &dial{}
	clock.set(t, "2026-03-23T09:00")
	on := func(database string) *Service {
		o, err := defaults()
		if err != nil {
			t.Fatal(err)
		}
		o.Now, o.NewID = clock.now, newID
		if o.Store, err = store.Open(ctx, database, store.Options{}); err != nil {
			t.Fatal(err)
		}
		s, err := New(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if url := os.Getenv("SERVICE_TEST_CHILD"); url != "" {
		on(url).KeepProgress(ctx)
		return
	}
	if testing.Short() {
		t.Skip("a lease of a dead process lives for some seconds")
	}
	database := postgrestest.Database(t)
	s := on(database)
	defer s.store.Close()
	for i := range patients {
		operated(t, s, fmt.Sprint("p", i))
	}
	marked := func() []*fhir.Node { return found(t, s, "Task?business-status=due&_count=200") }
	child := exec.Command(os.Args[0], "-test.run=^TestProgressGoesOnAfterAKill$", "-test.short")
	child.Env = append(os.Environ(), "SERVICE_TEST_CHILD="+database)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); len(marked()) == 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("the child marks nothing")
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed
	t.Logf("%d of %d were marked when it was killed", len(marked()), patients)
	within, end := context.WithCancel(ctx)
	var worker sync.WaitGroup
	worker.Go(func() { s.KeepProgress(within) })
	for began := time.Now(); len(marked()) < patients; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			t.Errorf("%d are marked, want %d", len(marked()), patients)
			break
		}
	}
	end()
	worker.Wait()
	for _, task := range marked() {
		if v := task.Str("meta", "versionId"); v != "2" {
			t.Errorf("a Task has %s versions, want 2: made, due", v)
		}
	}
}
