package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"

	"pgregory.net/rapid"
)

// contract is what every engine must do. open makes an empty database, and opens the same one
// again when it is called again.
func contract(t *testing.T, fresh func(t testing.TB) (open func() *Store)) {
	for name, check := range map[string]func(*testing.T, func() *Store){
		"versions count up and are kept":            versionsAreKept,
		"deletion is a version":                     deletionIsAVersion,
		"time never goes back":                      timeNeverGoesBack,
		"what never was is not found":               nothingIsNotFound,
		"odd content is kept":                       oddContentIsKept,
		"bad input is refused":                      badInputIsRefused,
		"one of many conditional creates wins":      conditionalCreate,
		"concurrent updates lose nothing":           concurrentUpdates,
		"a rollback leaves nothing":                 rollbackLeavesNothing,
		"a failure does not hurt its neighbours":    neighboursAreSafe,
		"a refusal before any change costs nothing": refusalIsCheap,
		"a panic is an error":                       panicIsAnError,
		"a test that stops does not stop the rest":  goexitIsSurvived,
		"cancelled while queued is not run":         cancelledInQueue,
		"cancelled while running is finished":       cancelledWhileRunning,
		"close waits for the queue":                 closeWaits,
		"after close nothing is done":               afterClose,
		"a view is one state":                       viewIsOneState,
		"the log is searched":                       logIsSearched,
		"the log is in the order of time":           logIsInTime,
		"the index of the log is made once":         logIsIndexedOnce,
		"views do not write":                        viewsDoNotWrite,
		"tokens":                                    searchTokens,
		"references":                                searchReferences,
		"strings":                                   searchStrings,
		"uris":                                      searchURIs,
		"dates":                                     searchDates,
		"ids and times of update":                   searchEnvelope,
		"chains":                                    searchChains,
		"missing":                                   searchMissing,
		"what cannot be answered is refused":        searchRefuses,
		"update and deletion replace the index":     indexFollows,
		"paging gives everything once":              pagingIsWhole,
		"cursors cannot be made up":                 cursorsAreSealed,
		"searches find what a model does":           searchIsAsTheModel,
		"sorted pages are stable":                   sortedPagesAreStable,
		"history of one, of a type, of all":         historyScopes,
		"history since a time":                      historySince,
		"history of what was current":               historyAt,
		"the newest after a position":               newestAfter,
		"all is there after reopening":              reopen,
		"ping":                                      ping,
	} {
		t.Run(name, func(t *testing.T) { check(t, fresh(t)) })
	}
	for name, check := range searchContract {
		t.Run("search/"+name, func(t *testing.T) { check(t, fresh(t)) })
	}
	for name, check := range clientContract {
		t.Run("clients/"+name, func(t *testing.T) { check(t, fresh(t)) })
	}
	for name, check := range stagingContract {
		t.Run("staging/"+name, func(t *testing.T) { check(t, fresh(t)) })
	}
}

var t0 = time.Date(2026, 3, 2, 11, 45, 0, 123456000, time.UTC)

func param(typ, code string, kind search.Kind) *search.Parameter {
	return &search.Parameter{Type: typ, Code: code, Kind: kind}
}

var (
	obsCode    = param("Observation", "code", search.Token)
	obsPatient = param("Observation", "patient", search.Reference)
	obsDate    = param("Observation", "date", search.Date)
	obsValue   = param("Observation", "value-quantity", search.Quantity)
	patID      = param("Patient", "identifier", search.Token)
	patName    = param("Patient", "family", search.String)
	patGP      = param("Patient", "general-practitioner", search.Reference)
	pracID     = param("Practitioner", "identifier", search.Token)
	planURL    = param("PlanDefinition", "url", search.URI)
)

func draft(t testing.TB, typ, members string) *fhir.Draft {
	t.Helper()
	n, err := fhir.Parse([]byte(`{"resourceType":"` + typ + `"` + members + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return fhir.NewDraft(n)
}

func put(t testing.TB, s *Store, typ, id string, rows ...search.Row) *fhir.Resource {
	t.Helper()
	var res *fhir.Resource
	d := draft(t, typ, "")
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) (err error) {
		res, err = tx.Put(ctx, d, id, t0, "PUT", rows)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return res
}

func remove(t testing.TB, s *Store, typ, id string) *fhir.Resource {
	t.Helper()
	var res *fhir.Resource
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) (err error) {
		res, err = tx.Delete(ctx, typ, id, t0, "DELETE")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return res
}

func get(t testing.TB, s *Store, typ, id string) (res *fhir.Resource, err error) {
	t.Helper()
	err = s.View(t.Context(), func(ctx context.Context, r *Reader) (err error) {
		res, err = r.Get(ctx, typ, id)
		return err
	})
	return res, err
}

func find(t testing.TB, s *Store, q *search.Query) (page Page, err error) {
	t.Helper()
	err = s.View(t.Context(), func(ctx context.Context, r *Reader) (err error) {
		page, err = r.Search(ctx, q, nil)
		return err
	})
	return page, err
}

func history(t testing.TB, s *Store, h HistoryQuery) (page HistoryPage, err error) {
	t.Helper()
	err = s.View(t.Context(), func(ctx context.Context, r *Reader) (err error) {
		page, err = r.History(ctx, h)
		return err
	})
	return page, err
}

// ids searches and joins the ids found. It also checks that the total agrees.
func ids(t testing.TB, s *Store, typ string, clauses ...search.Clause) string {
	t.Helper()
	page, err := find(t, s, &search.Query{Type: typ, Clauses: clauses, Count: 1000, Total: true})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range page.Resources {
		out = append(out, r.ID)
	}
	if page.Total != int64(len(out)) {
		t.Errorf("total is %d for %v", page.Total, out)
	}
	return strings.Join(out, " ")
}

func clauseOf(p *search.Parameter, values ...search.Value) search.Clause {
	return search.Clause{Param: p, Values: values}
}

func wantKind(t testing.TB, err error, kind fhir.ErrorKind) {
	t.Helper()
	if err == nil || fhir.KindOf(err) != kind {
		t.Fatalf("error is %v (kind %d), want kind %d", err, fhir.KindOf(err), kind)
	}
}

func versionsAreKept(t *testing.T, open func() *Store) {
	s := open()
	for i := range 3 {
		if r := put(t, s, "Patient", "a"); r.Version != int64(i+1) || r.Deleted {
			t.Fatalf("version %d, deleted %v", r.Version, r.Deleted)
		}
	}
	err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		now, err := r.Get(ctx, "Patient", "a")
		if err != nil {
			return err
		}
		if now.Version != 3 || !bytes.Contains(now.Body, []byte(`"versionId":"3"`)) || now.Ref() != "Patient/a" {
			t.Errorf("newest is %d: %s", now.Version, now.Body)
		}
		first, err := r.Version(ctx, "Patient", "a", 1)
		if err != nil {
			return err
		}
		if !bytes.Contains(first.Body, []byte(`"versionId":"1"`)) || !first.LastUpdated.Equal(t0) {
			t.Errorf("first is %s at %s", first.Body, first.LastUpdated)
		}
		_, err = r.Version(ctx, "Patient", "a", 4)
		return err
	})
	wantKind(t, err, fhir.NotFound)
}

func deletionIsAVersion(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Patient", "a")
	gone := remove(t, s, "Patient", "a")
	again := remove(t, s, "Patient", "a")
	for _, r := range []*fhir.Resource{gone, again} {
		if r.Version != 2 || !r.Deleted || r.Body != nil || !r.LastUpdated.Equal(gone.LastUpdated) {
			t.Errorf("deletion is %+v", r)
		}
	}
	if r, err := get(t, s, "Patient", "a"); err != nil || !r.Deleted || r.Version != 2 {
		t.Errorf("newest is %+v, %v", r, err)
	}
	if got := ids(t, s, "Patient"); got != "" {
		t.Errorf("a search finds %s", got)
	}
	if r := put(t, s, "Patient", "a"); r.Version != 3 {
		t.Errorf("after the deletion comes version %d", r.Version)
	}
	if got := ids(t, s, "Patient"); got != "a" {
		t.Errorf("a search finds %q", got)
	}
}

func timeNeverGoesBack(t *testing.T, open func() *Store) {
	s := open()
	d := draft(t, "Patient", "")
	var got []time.Time
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		got = nil
		for _, at := range []time.Time{t0, t0.Add(-time.Hour), t0.Add(time.Hour), t0.Add(time.Hour)} {
			r, err := tx.Put(ctx, d, "a", at, "PUT", nil)
			if err != nil {
				return err
			}
			got = append(got, r.LastUpdated)
		}
		r, err := tx.Delete(ctx, "Patient", "a", t0, "DELETE")
		if err != nil {
			return err
		}
		got = append(got, r.LastUpdated)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	late := t0.Add(time.Hour)
	want := []time.Time{t0, t0.Add(time.Microsecond), late, late.Add(time.Microsecond), late.Add(2 * time.Microsecond)}
	if !slices.EqualFunc(got, want, time.Time.Equal) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func nothingIsNotFound(t *testing.T, open func() *Store) {
	s := open()
	check := func(when string) {
		for name, f := range map[string]func(context.Context, *Tx) error{
			"get":     func(ctx context.Context, tx *Tx) error { _, err := tx.Get(ctx, "Patient", "b"); return err },
			"version": func(ctx context.Context, tx *Tx) error { _, err := tx.Version(ctx, "Patient", "b", 1); return err },
			"delete": func(ctx context.Context, tx *Tx) error {
				_, err := tx.Delete(ctx, "Patient", "b", t0, "DELETE")
				return err
			},
			"history": func(ctx context.Context, tx *Tx) error {
				_, err := tx.History(ctx, HistoryQuery{Type: "Patient", ID: "b", Count: 1})
				return err
			},
		} {
			if err := s.Write(t.Context(), f); fhir.KindOf(err) != fhir.NotFound {
				t.Errorf("%s %s: %v", name, when, err)
			}
		}
	}
	check("on an empty database")
	put(t, s, "Patient", "B")
	put(t, s, "Observation", "b")
	check("beside others")
	if got := ids(t, s, "Goal"); got != "" {
		t.Errorf("a type never stored has %s", got)
	}
}

func oddContentIsKept(t *testing.T, open func() *Store) {
	s := open()
	large := `,"text":{"div":"` + strings.Repeat("é", 5<<19) + `"}`
	for id, members := range map[string]string{
		"large": large, "escaped-nul": `,"x":"a\u0000b"`, "decimal": `,"x":1.50`, "astral": `,"x":"` + "\U0001F600" + `"`,
	} {
		d := draft(t, "Basic", members)
		if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
			_, err := tx.Put(ctx, d, id, t0, "PUT", nil)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		r, err := get(t, s, "Basic", id)
		if err != nil || !bytes.Equal(r.Body, d.Stamp(id, 1, t0).Body) {
			t.Errorf("%s came back changed (%v)", id, err)
		}
	}
}

func badInputIsRefused(t *testing.T, open func() *Store) {
	s := open()
	d := draft(t, "Patient", "")
	for name, f := range map[string]func(context.Context, *Tx) error{
		"bad id":    func(ctx context.Context, tx *Tx) error { _, err := tx.Put(ctx, d, "a/b", t0, "PUT", nil); return err },
		"no method": func(ctx context.Context, tx *Tx) error { _, err := tx.Put(ctx, d, "a", t0, "", nil); return err },
		"row of another type": func(ctx context.Context, tx *Tx) error {
			_, err := tx.Put(ctx, d, "a", t0, "PUT", []search.Row{{Param: obsCode}})
			return err
		},
		"row without an index": func(ctx context.Context, tx *Tx) error {
			_, err := tx.Put(ctx, d, "a", t0, "PUT", []search.Row{{Param: param("Patient", "_id", search.ID)}})
			return err
		},
		"history of an id without a type": func(ctx context.Context, tx *Tx) error {
			_, err := tx.History(ctx, HistoryQuery{ID: "a", Count: 1})
			return err
		},
		"negative page": func(ctx context.Context, tx *Tx) error {
			_, err := tx.Search(ctx, &search.Query{Type: "Patient", Count: -1}, nil)
			return err
		},
	} {
		if err := s.Write(t.Context(), f); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	_, err := get(t, s, "Patient", "a")
	wantKind(t, err, fhir.NotFound)
}

func conditionalCreate(t *testing.T, open func() *Store) {
	s := open()
	d := draft(t, "Patient", "")
	wanted := clauseOf(patID, search.Value{System: "http://s", Value: "7"})
	var wg sync.WaitGroup
	var mu sync.Mutex
	created, met := 0, map[string]int{}
	for i := range 64 {
		wg.Go(func() {
			var made bool
			var id string
			err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
				made = false
				page, err := tx.Search(ctx, &search.Query{Type: "Patient", Clauses: []search.Clause{wanted}, Count: 2}, nil)
				if err != nil {
					return err
				}
				if len(page.Resources) > 0 {
					id = page.Resources[0].ID
					return nil
				}
				made = true
				r, err := tx.Put(ctx, d, fmt.Sprintf("p%d", i), t0, "POST", []search.Row{{Param: patID, System: "http://s", Value: "7"}})
				if err == nil {
					id = r.ID
				}
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			met[id]++
			if made {
				created++
			}
		})
	}
	wg.Wait()
	if created != 1 || len(met) != 1 {
		t.Errorf("%d created, answers %v", created, met)
	}
}

func concurrentUpdates(t *testing.T, open func() *Store) {
	s := open()
	d := draft(t, "Patient", "")
	const n = 200
	versions := make([]int64, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
				r, err := tx.Put(ctx, d, "a", t0, "PUT", []search.Row{{Param: patName, Value: fmt.Sprint(i)}})
				if err == nil {
					versions[i] = r.Version
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	slices.Sort(versions)
	for i, v := range versions {
		if v != int64(i+1) {
			t.Fatalf("versions are %v", versions)
		}
	}
	checkWhole(t, s)
}

func rollbackLeavesNothing(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Patient", "a", search.Row{Param: patName, Value: "before"})
	stop := errors.New("stop")
	d := draft(t, "Patient", "")
	err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		if _, err := tx.Put(ctx, d, "a", t0, "PUT", []search.Row{{Param: patName, Value: "after"}, {Param: patID, System: "http://fresh", Value: "1"}}); err != nil {
			return err
		}
		if _, err := tx.Put(ctx, d, "b", t0, "PUT", nil); err != nil {
			return err
		}
		return stop
	})
	if !errors.Is(err, stop) || err.Error() != "stop" {
		t.Errorf("the error comes back as %v", err)
	}
	if got := ids(t, s, "Patient", clauseOf(patName, search.Value{Value: "before"})); got != "a" {
		t.Errorf("the index has %q", got)
	}
	if page, err := history(t, s, HistoryQuery{Count: 10, Total: true}); err != nil || page.Total != 1 {
		t.Errorf("the history has %d versions, %v", page.Total, err)
	}
	// The symbol made by the write that failed must not be remembered.
	put(t, s, "Patient", "c", search.Row{Param: patID, System: "http://other", Value: "1"})
	put(t, s, "Patient", "d", search.Row{Param: patID, System: "http://fresh", Value: "1"})
	if got := ids(t, s, "Patient", clauseOf(patID, search.Value{System: "http://fresh", Value: "1"})); got != "d" {
		t.Errorf("the new system finds %q", got)
	}
	checkWhole(t, s)
}

// hold keeps the committer busy until the function that it returns is called.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	began, end, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.Write(context.Background(), func(context.Context, *Tx) error {
			close(began)
			<-end
			return nil
		})
	}()
	<-began
	return func() {
		close(end)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// queued waits until n writes wait.
func queued(t *testing.T, s *Store, n int) {
	t.Helper()
	for range 2000 {
		if len(s.queue) >= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%d writes wait, want %d", len(s.queue), n)
}

func neighboursAreSafe(t *testing.T, open func() *Store) {
	s := open()
	release := hold(t, s)
	d := draft(t, "Patient", "")
	const n = 90
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			errs[i] = s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
				if _, err := tx.Put(ctx, d, fmt.Sprintf("p%d", i), t0, "PUT", []search.Row{{Param: patID, System: "http://shared", Value: fmt.Sprint(i)}}); err != nil {
					return err
				}
				switch i % 3 {
				case 1:
					return errors.New("refused")
				case 2:
					panic("out of order")
				}
				return nil
			})
		})
	}
	queued(t, s, n)
	release()
	wg.Wait()
	for i, err := range errs {
		if (err == nil) != (i%3 == 0) {
			t.Errorf("write %d: %v", i, err)
		}
		_, found := get(t, s, "Patient", fmt.Sprintf("p%d", i))
		if (found == nil) != (err == nil) {
			t.Errorf("write %d answered %v and reads as %v", i, err, found)
		}
	}
	if got := ids(t, s, "Patient", clauseOf(patID, search.Value{System: "http://shared", Value: "3"})); got != "p3" {
		t.Errorf("the shared system finds %q", got)
	}
	checkWhole(t, s)
}

func refusalIsCheap(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Patient", "a")
	release := hold(t, s)
	const n = 20
	var runs atomic.Int32
	var wg sync.WaitGroup
	d := draft(t, "Patient", "")
	for i := range n {
		wg.Go(func() {
			err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
				runs.Add(1)
				if i%2 == 0 {
					_, err := tx.Get(ctx, "Patient", "missing")
					return err
				}
				_, err := tx.Put(ctx, d, "a", t0, "PUT", nil)
				return err
			})
			if (err != nil) != (i%2 == 0) {
				t.Errorf("write %d: %v", i, err)
			}
		})
	}
	queued(t, s, n)
	release()
	wg.Wait()
	if runs.Load() != n {
		t.Errorf("%d writes ran %d times", n, runs.Load())
	}
	if r, err := get(t, s, "Patient", "a"); err != nil || r.Version != 1+n/2 {
		t.Errorf("newest is %+v, %v", r, err)
	}
}

func panicIsAnError(t *testing.T, open func() *Store) {
	s := open()
	err := s.Write(t.Context(), func(context.Context, *Tx) error { panic("out of order") })
	wantKind(t, err, fhir.Internal)
	put(t, s, "Patient", "a")
}

func goexitIsSurvived(t *testing.T, open func() *Store) {
	s := open()
	release := hold(t, s)
	stopped := make(chan error)
	go func() {
		stopped <- s.Write(context.Background(), func(ctx context.Context, tx *Tx) error {
			runtime.Goexit() // as t.FailNow does
			return nil
		})
	}()
	queued(t, s, 1)
	release()
	wantKind(t, <-stopped, fhir.Internal)
	put(t, s, "Patient", "a")
}

func cancelledInQueue(t *testing.T, open func() *Store) {
	s := open()
	release := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	ran := false
	answered := make(chan error)
	go func() {
		answered <- s.Write(ctx, func(context.Context, *Tx) error { ran = true; return nil })
	}()
	queued(t, s, 1)
	cancel()
	err := <-answered
	release()
	put(t, s, "Patient", "a")
	wantKind(t, err, fhir.Unavailable)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the cause is missing: %v", err)
	}
	if ran {
		t.Error("it ran")
	}
}

func cancelledWhileRunning(t *testing.T, open func() *Store) {
	s := open()
	ctx, cancel := context.WithCancel(t.Context())
	d := draft(t, "Patient", "")
	if err := s.Write(ctx, func(ctx context.Context, tx *Tx) error {
		cancel()
		if _, has := ctx.Deadline(); has || ctx.Err() != nil {
			t.Error("the write sees its caller's end")
		}
		_, err := tx.Put(ctx, d, "a", t0, "PUT", nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, s, "Patient", "a"); err != nil {
		t.Error(err)
	}
}

func closeWaits(t *testing.T, open func() *Store) {
	s := open()
	release := hold(t, s)
	d := draft(t, "Patient", "")
	const n = 20
	errs := make(chan error, n)
	for i := range n {
		go func() {
			errs <- s.Write(context.Background(), func(ctx context.Context, tx *Tx) error {
				_, err := tx.Put(ctx, d, fmt.Sprintf("p%d", i), t0, "PUT", nil)
				return err
			})
		}()
	}
	queued(t, s, n)
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	release()
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if page, err := find(t, open(), &search.Query{Type: "Patient", Total: true}); err != nil || page.Total != n {
		t.Errorf("%d are stored, %v", page.Total, err)
	}
}

func afterClose(t *testing.T, open func() *Store) {
	s := open()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	wantKind(t, s.Write(t.Context(), func(context.Context, *Tx) error { return nil }), fhir.Unavailable)
	wantKind(t, s.View(t.Context(), func(context.Context, *Reader) error { return nil }), fhir.Unavailable)
	wantKind(t, s.Ping(t.Context()), fhir.Unavailable)
}

func viewIsOneState(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Patient", "a")
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		before, err := r.Get(ctx, "Patient", "a")
		if err != nil {
			return err
		}
		put(t, s, "Patient", "a")
		put(t, s, "Patient", "b")
		after, err := r.Get(ctx, "Patient", "a")
		if err != nil {
			return err
		}
		if before.Version != after.Version {
			t.Errorf("version %d became %d", before.Version, after.Version)
		}
		page, err := r.Search(ctx, &search.Query{Type: "Patient", Count: 10}, nil)
		if len(page.Resources) != 1 {
			t.Errorf("the view sees %d patients", len(page.Resources))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if r, err := get(t, s, "Patient", "a"); err != nil || r.Version != 2 {
		t.Errorf("the next view sees %+v, %v", r, err)
	}
}

func viewsDoNotWrite(t *testing.T, open func() *Store) {
	s := open()
	err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		_, err := (&Tx{Reader: *r, fresh: map[string]int64{}, next: &numbers{}}).Put(ctx, draft(t, "Patient", ""), "a", t0, "PUT", nil)
		return err
	})
	if err == nil {
		t.Error("a view wrote")
	}
}

func searchTokens(t *testing.T, open func() *Store) {
	s := open()
	row := func(system, code string) search.Row { return search.Row{Param: obsCode, System: system, Value: code} }
	put(t, s, "Observation", "a", row("http://loinc.org", "72514-3"))
	put(t, s, "Observation", "b", row("", "72514-3"))
	put(t, s, "Observation", "c", row("http://other", "72514-3"), row("http://loinc.org", "72514-3"))
	put(t, s, "Observation", "d", row("http://other", "72514-3x"))
	put(t, s, "Observation", "e")
	put(t, s, "Observation", "f", row("http://other", "nul\x00"), row("http://other", strings.Repeat("x", 5000)))
	long := strings.Repeat("x", 5000)
	for name, c := range map[string]struct {
		clause search.Clause
		want   string
	}{
		"system and code":      {clauseOf(obsCode, search.Value{System: "http://loinc.org", Value: "72514-3"}), "a c"},
		"code alone":           {clauseOf(obsCode, search.Value{AnySystem: true, Value: "72514-3"}), "a b c"},
		"no system":            {clauseOf(obsCode, search.Value{Value: "72514-3"}), "b"},
		"system alone":         {clauseOf(obsCode, search.Value{System: "http://other"}), "c d f"},
		"unknown system":       {clauseOf(obsCode, search.Value{System: "http://none", Value: "72514-3"}), ""},
		"case differs":         {clauseOf(obsCode, search.Value{AnySystem: true, Value: "72514-3X"}), ""},
		"several, one unknown": {clauseOf(obsCode, search.Value{System: "http://none", Value: "1"}, search.Value{AnySystem: true, Value: "72514-3x"}, search.Value{Value: "72514-3"}), "b d"},
		"nul":                  {clauseOf(obsCode, search.Value{AnySystem: true, Value: "nul\x00"}), "f"},
		"cut at nul":           {clauseOf(obsCode, search.Value{AnySystem: true, Value: "nul"}), ""},
		"very long":            {clauseOf(obsCode, search.Value{AnySystem: true, Value: long}), "f"},
		"very long, other end": {clauseOf(obsCode, search.Value{AnySystem: true, Value: long[1:] + "y"}), ""},
		"quotes and SQL":       {clauseOf(obsCode, search.Value{AnySystem: true, Value: `' OR 1=1 --`}), ""},
		"not":                  {search.Clause{Param: obsCode, Modifier: "not", Values: []search.Value{{System: "http://loinc.org", Value: "72514-3"}}}, "b d e f"},
		"not, unknown system":  {search.Clause{Param: obsCode, Modifier: "not", Values: []search.Value{{System: "http://none", Value: "1"}}}, "a b c d e f"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ids(t, s, "Observation", c.clause); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
	both := []search.Clause{
		clauseOf(obsCode, search.Value{System: "http://other", Value: "72514-3"}),
		clauseOf(obsCode, search.Value{System: "http://loinc.org", Value: "72514-3"}),
	}
	if got := ids(t, s, "Observation", both...); got != "c" {
		t.Errorf("two clauses find %q", got)
	}
}

func searchReferences(t *testing.T, open func() *Store) {
	s := open()
	row := func(typ, id string) search.Row { return search.Row{Param: obsPatient, System: typ, Value: id} }
	put(t, s, "Observation", "a", row("Patient", "1"))
	put(t, s, "Observation", "b", row("Group", "1"))
	put(t, s, "Observation", "c", row("", "http://elsewhere.example/Patient/1"))
	put(t, s, "Observation", "d", row("Patient", "10"), row("Patient", "1"))
	put(t, s, "Observation", "e", row("", "1"))
	for name, c := range map[string]struct {
		clause search.Clause
		want   string
	}{
		"type and id":  {clauseOf(obsPatient, search.Value{System: "Patient", Value: "1"}), "a d"},
		"id alone":     {clauseOf(obsPatient, search.Value{Value: "1"}), "a b d"},
		"elsewhere":    {clauseOf(obsPatient, search.Value{URL: "http://elsewhere.example/Patient/1"}), "c"},
		"either":       {clauseOf(obsPatient, search.Value{System: "Patient", Value: "10"}, search.Value{System: "Group", Value: "1"}), "b d"},
		"unknown type": {clauseOf(obsPatient, search.Value{System: "Device", Value: "1"}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ids(t, s, "Observation", c.clause); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func searchStrings(t *testing.T, open func() *Store) {
	s := open()
	row := func(v string) search.Row { return search.Row{Param: patName, Value: v} }
	for id, v := range map[string]string{"upper": "É", "lower": "é", "Z": "Z", "a": "a", "under": "a_c", "any": "abc", "percent": "a%c", "last": "\xff\xffz"} {
		put(t, s, "Patient", id, row(v))
	}
	sorted := func(c search.Clause) string {
		out := strings.Fields(ids(t, s, "Patient", c))
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	for name, c := range map[string]struct{ modifier, text, want string }{
		"accents are bytes":         {"", "é", "lower"},
		"capital accents too":       {"", "É", "upper"},
		"Z is not z":                {"", "z", ""},
		"prefix":                    {"", "a", "a any percent under"},
		"underscore is no wildcard": {"", "a_", "under"},
		"percent is no wildcard":    {"", "a%", "percent"},
		"the last byte":             {"", "\xff", "last"},
		"empty":                     {"", "", "Z a any last lower percent under upper"},
		"half a letter":             {"", "\xc3", "lower upper"},
		"contains":                  {"contains", "c", "any percent under"},
		"contains, nothing":         {"contains", "bb", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := sorted(search.Clause{Param: patName, Modifier: c.modifier, Values: []search.Value{{Value: c.text}}})
			if got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func searchURIs(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "PlanDefinition", "a", search.Row{Param: planURL, Value: "http://x.example/p"})
	put(t, s, "PlanDefinition", "b", search.Row{Param: planURL, Value: "http://x.example/p/q"})
	put(t, s, "PlanDefinition", "c", search.Row{Param: planURL, Value: "http://X.example/p"})
	if got := ids(t, s, "PlanDefinition", clauseOf(planURL, search.Value{Value: "http://x.example/p"})); got != "a" {
		t.Errorf("equal finds %q", got)
	}
	below := search.Clause{Param: planURL, Modifier: "below", Values: []search.Value{{Value: "http://x.example/p"}}}
	if got := ids(t, s, "PlanDefinition", below); got != "a b" {
		t.Errorf("below finds %q", got)
	}
}

func searchDates(t *testing.T, open func() *Store) {
	s := open()
	day := func(n int) int64 { return search.Micros(t0) + int64(n)*86400e6 }
	put(t, s, "Observation", "before", search.Row{Param: obsDate, Low: day(-5), High: day(-4)})
	put(t, s, "Observation", "touching", search.Row{Param: obsDate, Low: day(-1), High: day(0)})
	put(t, s, "Observation", "across-low", search.Row{Param: obsDate, Low: day(-1), High: day(1)})
	put(t, s, "Observation", "same", search.Row{Param: obsDate, Low: day(0), High: day(10)})
	put(t, s, "Observation", "inside", search.Row{Param: obsDate, Low: day(3), High: day(4)})
	put(t, s, "Observation", "across-high", search.Row{Param: obsDate, Low: day(9), High: day(11)})
	put(t, s, "Observation", "following", search.Row{Param: obsDate, Low: day(10), High: day(11)})
	put(t, s, "Observation", "open-end", search.Row{Param: obsDate, Low: day(3), High: search.MaxTime})
	put(t, s, "Observation", "always", search.Row{Param: obsDate, Low: search.MinTime, High: search.MaxTime})
	put(t, s, "Observation", "none")
	for prefix, want := range map[search.Prefix]string{
		"":        "same inside",
		search.Eq: "same inside",
		search.Ne: "before touching across-low across-high following open-end always",
		search.Gt: "across-high following open-end always",
		search.Lt: "before touching across-low always",
		search.Ge: "same inside across-high following open-end always",
		search.Le: "before touching across-low same inside always",
		search.Sa: "following",
		search.Eb: "before touching",
		// now is at day 105, so that a tenth of the distance to the middle is ten days
		search.Ap: "before touching across-low same inside across-high following open-end always",
	} {
		t.Run("prefix "+string(prefix), func(t *testing.T) {
			s.now = func() time.Time { return time.UnixMicro(day(105)) }
			got := ids(t, s, "Observation", clauseOf(obsDate, search.Value{Prefix: prefix, Low: day(0), High: day(10)}))
			if got != want {
				t.Errorf("found %q, want %q", got, want)
			}
		})
	}
	s.now = func() time.Time { return time.UnixMicro(day(5)) }
	if got := ids(t, s, "Observation", clauseOf(obsDate, search.Value{Prefix: search.Ap, Low: day(0), High: day(10)})); got != "across-low same inside across-high open-end always" {
		t.Errorf("ap around now finds %q", got)
	}
	two := []search.Clause{
		clauseOf(obsDate, search.Value{Prefix: search.Ge, Low: day(3), High: day(4)}),
		clauseOf(obsDate, search.Value{Prefix: search.Lt, Low: day(10), High: day(11)}),
	}
	if got := ids(t, s, "Observation", two...); got != "same inside across-high open-end always" {
		t.Errorf("two bounds find %q", got)
	}
	either := clauseOf(obsDate, search.Value{Prefix: search.Eb, Low: day(-4), High: day(-3)}, search.Value{Prefix: search.Sa, Low: day(9), High: day(10)})
	if got := ids(t, s, "Observation", either); got != "before following" {
		t.Errorf("either of two finds %q", got)
	}
}

func searchEnvelope(t *testing.T, open func() *Store) {
	s := open()
	id, updated := param("Patient", "_id", search.ID), param("Patient", "_lastUpdated", search.LastUpdated)
	for i, name := range []string{"a", "b", "c"} {
		d := draft(t, "Patient", "")
		if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
			_, err := tx.Put(ctx, d, name, t0.Add(time.Duration(i)*time.Second), "PUT", nil)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, "Observation", "a")
	put(t, s, "Patient", "a") // at t0 + 1 µs
	low, high := search.Micros(t0.Add(time.Second)), search.Micros(t0.Add(2*time.Second))
	for name, c := range map[string]struct {
		clause search.Clause
		want   string
	}{
		"id":                 {clauseOf(id, search.Value{Value: "b"}), "b"},
		"ids":                {clauseOf(id, search.Value{Value: "c"}, search.Value{Value: "x"}, search.Value{Value: "a"}), "a c"},
		"no id":              {clauseOf(id, search.Value{Value: "x"}), ""},
		"eq":                 {clauseOf(updated, search.Value{Prefix: search.Eq, Low: low, High: high}), "b"},
		"ge":                 {clauseOf(updated, search.Value{Prefix: search.Ge, Low: low, High: high}), "b c"},
		"gt":                 {clauseOf(updated, search.Value{Prefix: search.Gt, Low: low, High: high}), "c"},
		"lt":                 {clauseOf(updated, search.Value{Prefix: search.Lt, Low: low, High: high}), "a"},
		"ne":                 {clauseOf(updated, search.Value{Prefix: search.Ne, Low: low, High: high}), "a c"},
		"sa":                 {clauseOf(updated, search.Value{Prefix: search.Sa, Low: low, High: low + 1}), "c"},
		"to the microsecond": {clauseOf(updated, search.Value{Low: search.Micros(t0) + 1, High: search.Micros(t0) + 2}), "a"},
		"older version":      {clauseOf(updated, search.Value{Low: search.Micros(t0), High: search.Micros(t0) + 1}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ids(t, s, "Patient", c.clause); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
	remove(t, s, "Patient", "b")
	if got := ids(t, s, "Patient", clauseOf(id, search.Value{Value: "b"})); got != "" {
		t.Errorf("the id of a deleted one finds %q", got)
	}
}

func searchChains(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Practitioner", "g", search.Row{Param: pracID, System: "http://gmc", Value: "9"})
	put(t, s, "Patient", "1", search.Row{Param: patID, System: "http://nhs", Value: "42"}, search.Row{Param: patGP, System: "Practitioner", Value: "g"})
	put(t, s, "Patient", "2", search.Row{Param: patID, System: "http://nhs", Value: "43"})
	put(t, s, "Group", "1")
	put(t, s, "Observation", "a", search.Row{Param: obsPatient, System: "Patient", Value: "1"})
	put(t, s, "Observation", "b", search.Row{Param: obsPatient, System: "Patient", Value: "2"})
	put(t, s, "Observation", "c", search.Row{Param: obsPatient, System: "Group", Value: "1"})
	put(t, s, "Observation", "d", search.Row{Param: obsPatient, System: "Patient", Value: "1"}, search.Row{Param: obsPatient, System: "Patient", Value: "2"})
	put(t, s, "Observation", "e", search.Row{Param: obsPatient, System: "Patient", Value: "never-stored"})
	chain := func(p *search.Parameter, typ string, c search.Clause) search.Clause {
		return search.Clause{Param: p, Chain: []search.Chain{{Type: typ, Clause: c}}}
	}
	byNHS := clauseOf(patID, search.Value{System: "http://nhs", Value: "42"})
	groupID, patientID := param("Group", "_id", search.ID), param("Patient", "_id", search.ID)
	for name, c := range map[string]struct {
		clause search.Clause
		want   string
	}{
		"identifier":    {chain(obsPatient, "Patient", byNHS), "a d"},
		"unknown value": {chain(obsPatient, "Patient", clauseOf(patID, search.Value{System: "http://nhs", Value: "44"})), ""},
		"unknown type":  {chain(obsPatient, "Device", clauseOf(param("Device", "identifier", search.Token), search.Value{AnySystem: true, Value: "42"})), ""},
		"two links":     {chain(obsPatient, "Patient", chain(patGP, "Practitioner", clauseOf(pracID, search.Value{AnySystem: true, Value: "9"}))), "a d"},
		"either value":  {chain(obsPatient, "Patient", clauseOf(patID, search.Value{AnySystem: true, Value: "42"}, search.Value{AnySystem: true, Value: "43"})), "a b d"},
		"either type": {search.Clause{Param: obsPatient, Chain: []search.Chain{
			{Type: "Patient", Clause: byNHS}, {Type: "Group", Clause: clauseOf(groupID, search.Value{Value: "1"})},
		}}, "a c d"},
		"id":      {chain(obsPatient, "Patient", clauseOf(patientID, search.Value{Value: "2"})), "b d"},
		"missing": {chain(obsPatient, "Patient", search.Clause{Param: patGP, Modifier: "missing", Values: []search.Value{{Missing: true}}}), "b d"},
		"not":     {chain(obsPatient, "Patient", search.Clause{Param: patID, Modifier: "not", Values: []search.Value{{System: "http://nhs", Value: "42"}}}), "b d"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ids(t, s, "Observation", c.clause); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
			// The same, checked per candidate and not from the far end.
			all := clauseOf(param("Observation", "_id", search.ID), search.Value{Value: "a"}, search.Value{Value: "b"}, search.Value{Value: "c"}, search.Value{Value: "d"}, search.Value{Value: "e"})
			if got := ids(t, s, "Observation", all, c.clause); got != c.want {
				t.Errorf("checking finds %q, want %q", got, c.want)
			}
		})
	}
	remove(t, s, "Patient", "1")
	if got := ids(t, s, "Observation", chain(obsPatient, "Patient", clauseOf(patientID, search.Value{Value: "1"}))); got != "" {
		t.Errorf("through a deleted patient: %q", got)
	}
}

func searchMissing(t *testing.T, open func() *Store) {
	s := open()
	missing := func(p *search.Parameter, absent bool) search.Clause {
		return search.Clause{Param: p, Modifier: "missing", Values: []search.Value{{Missing: absent}}}
	}
	put(t, s, "Observation", "a", search.Row{Param: obsValue, NumberLow: 6.5, NumberHigh: 7.5, System: "http://unitsofmeasure.org", Value: "{score}"})
	put(t, s, "Observation", "b", search.Row{Param: obsDate, Low: 1, High: 2})
	for name, c := range map[string]struct {
		clause search.Clause
		want   string
	}{
		"with a number":       {missing(obsValue, false), "a"},
		"without a number":    {missing(obsValue, true), "b"},
		"with a date":         {missing(obsDate, false), "b"},
		"with what never was": {missing(obsCode, false), ""},
		"without it":          {missing(obsCode, true), "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ids(t, s, "Observation", c.clause); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func searchRefuses(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Observation", "a", search.Row{Param: obsCode, Value: "x"}, search.Row{Param: obsPatient, System: "Observation", Value: "a"})
	deep := clauseOf(obsCode, search.Value{Value: "x"})
	nested := deep
	for range 100 {
		nested = search.Clause{Not: &search.Clause{All: []search.Clause{nested}}}
	}
	wide := search.Clause{Any: make([]search.Clause, 1001)}
	for i := range wide.Any {
		wide.Any[i] = clauseOf(obsCode, search.Value{Value: "x"})
	}
	for range 20 {
		deep = search.Clause{Param: obsPatient, Chain: []search.Chain{{Type: "Observation", Clause: deep}}}
	}
	for name, c := range map[string]search.Clause{
		"unknown modifier": {Param: obsCode, Modifier: "above", Values: []search.Value{{Value: "x"}}},
		"no value":         {Param: obsCode},
		"too many values":  {Param: obsCode, Values: make([]search.Value, 501)},
		"too deep":         deep,
		"too nested":       nested,
		"too many clauses": wide,
		"chained token":    {Param: obsCode, Chain: []search.Chain{{Type: "Patient", Clause: clauseOf(patID, search.Value{Value: "x"})}}},
		"no form":          {},
		"two forms":        {Param: obsCode, Values: []search.Value{{Value: "x"}}, Any: []search.Clause{clauseOf(obsCode, search.Value{Value: "x"})}},
		"text, no word":    clauseOf(param("Observation", "_content", search.Text), search.Value{Phrases: []string{" ! "}}),
		"a composite":      clauseOf(param("Observation", "code-value", search.Composite), search.Value{}),
		"has of a token":   {Has: &search.Has{Param: obsCode, Clause: deep}},
		"long text":        clauseOf(patName, search.Value{Value: strings.Repeat("x", 1000)}),
		"missing id":       {Param: param("Observation", "_id", search.ID), Modifier: "missing", Values: []search.Value{{Missing: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := find(t, s, &search.Query{Type: "Observation", Clauses: []search.Clause{c}, Count: 1})
			wantKind(t, err, fhir.BadRequest)
		})
	}
	most := search.Clause{Param: obsCode, Values: make([]search.Value, 500)}
	for i := range most.Values {
		most.Values[i] = search.Value{Value: fmt.Sprint(i), System: ""}
	}
	most.Values[499].Value = "x"
	if got := ids(t, s, "Observation", most); got != "a" {
		t.Errorf("the most values find %q", got)
	}
	most.Modifier = "not"
	if got := ids(t, s, "Observation", most); got != "" {
		t.Errorf("the most values with not find %q", got)
	}
}

func indexFollows(t *testing.T, open func() *Store) {
	s := open()
	byCode := func(code string) string {
		return ids(t, s, "Observation", clauseOf(obsCode, search.Value{AnySystem: true, Value: code}))
	}
	many := []search.Row{{Param: obsCode, Value: "old"}}
	for i := range 150 { // more than one statement inserts
		many = append(many, search.Row{Param: obsCode, Value: fmt.Sprint("c", i)})
	}
	put(t, s, "Observation", "a", append(many, many[0])...)
	if byCode("old") != "a" || byCode("c149") != "a" {
		t.Error("rows are missing")
	}
	put(t, s, "Observation", "a", search.Row{Param: obsCode, Value: "new"})
	if byCode("old")+byCode("c149") != "" || byCode("new") != "a" {
		t.Error("an update leaves old rows")
	}
	remove(t, s, "Observation", "a")
	if byCode("new") != "" {
		t.Error("a deletion leaves rows")
	}
	checkWhole(t, s)
}

func pagingIsWhole(t *testing.T, open func() *Store) {
	s := open()
	made := 0
	rapid.Check(t, func(rt *rapid.T) {
		made++
		code := fmt.Sprint("code", made)
		var want []string
		n := rapid.IntRange(0, 25).Draw(rt, "matches")
		for i := range n {
			id := fmt.Sprintf("%s-%d", code, i)
			rows := []search.Row{{Param: obsCode, System: "http://a", Value: code}, {Param: obsDate, Low: 5, High: 6}}
			if rapid.Bool().Draw(rt, "two systems") {
				rows = append(rows, search.Row{Param: obsCode, System: "http://b", Value: code})
			}
			put(t, s, "Observation", id, rows...)
			want = append(want, id)
		}
		shapes := [][]search.Clause{
			{clauseOf(obsCode, search.Value{System: "http://a", Value: code})},
			{clauseOf(obsCode, search.Value{AnySystem: true, Value: code})},
			{clauseOf(obsCode, search.Value{AnySystem: true, Value: code}, search.Value{System: "http://b", Value: code})},
			{clauseOf(obsDate, search.Value{Low: 5, High: 6}), clauseOf(obsCode, search.Value{AnySystem: true, Value: code})},
			{search.Clause{Param: obsPatient, Modifier: "missing", Values: []search.Value{{Missing: true}}}, clauseOf(obsCode, search.Value{AnySystem: true, Value: code})},
		}
		q := &search.Query{
			Type: "Observation", Count: rapid.IntRange(1, 7).Draw(rt, "count"),
			Clauses: rapid.SampledFrom(shapes).Draw(rt, "shape"), Total: rapid.Bool().Draw(rt, "total"),
		}
		var got []string
		added := 0
		for {
			page, err := find(t, s, q)
			if err != nil {
				rt.Fatal(err)
			}
			if q.Total && page.Total != int64(n+added) {
				rt.Fatalf("total is %d, want %d", page.Total, n+added)
			}
			for _, r := range page.Resources {
				got = append(got, r.ID)
			}
			if page.Next == "" {
				break
			}
			if len(page.Resources) != q.Count || len(page.Next) != 32 {
				rt.Fatalf("a page of %d with the cursor %q", len(page.Resources), page.Next)
			}
			q.Cursor = page.Next
			if len(got) > n+added {
				rt.Fatal("it does not end")
			}
			switch rapid.IntRange(0, 3).Draw(rt, "meanwhile") {
			case 0: // one more that matches
				id := fmt.Sprintf("%s-more%d", code, added)
				put(t, s, "Observation", id, search.Row{Param: obsCode, System: "http://a", Value: code}, search.Row{Param: obsCode, System: "http://b", Value: code}, search.Row{Param: obsDate, Low: 5, High: 6})
				want = append(want, id)
				added++
			case 1: // a new version of one that was seen
				put(t, s, "Observation", got[0], search.Row{Param: obsCode, System: "http://a", Value: code}, search.Row{Param: obsDate, Low: 5, High: 6})
			}
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("pages of %d gave %v, want %v", q.Count, got, want)
		}
	})
}

func cursorsAreSealed(t *testing.T, open func() *Store) {
	s := open()
	for i := range 5 {
		put(t, s, "Observation", fmt.Sprint("o", i), search.Row{Param: obsCode, Value: "x"}, search.Row{Param: obsCode, Value: "y"})
		put(t, s, "Patient", fmt.Sprint("p", i))
	}
	byCode := func(code string) []search.Clause {
		return []search.Clause{clauseOf(obsCode, search.Value{Value: code})}
	}
	first, err := find(t, s, &search.Query{Type: "Observation", Clauses: byCode("x"), Count: 2})
	if err != nil || first.Next == "" {
		t.Fatal(err)
	}
	old, err := history(t, s, HistoryQuery{Type: "Observation", Count: 2})
	if err != nil || old.Next == "" {
		t.Fatal(err)
	}
	flip := []byte(first.Next)
	flip[3] ^= 1
	for name, q := range map[string]search.Query{
		"changed":          {Type: "Observation", Clauses: byCode("x"), Cursor: string(flip)},
		"other value":      {Type: "Observation", Clauses: byCode("y"), Cursor: first.Next},
		"other type":       {Type: "Patient", Cursor: first.Next},
		"fewer clauses":    {Type: "Observation", Cursor: first.Next},
		"of a history":     {Type: "Observation", Clauses: byCode("x"), Cursor: old.Next},
		"cut":              {Type: "Observation", Clauses: byCode("x"), Cursor: first.Next[:30]},
		"with a line end":  {Type: "Observation", Clauses: byCode("x"), Cursor: first.Next + "\n"},
		"not base64":       {Type: "Observation", Clauses: byCode("x"), Cursor: "§"},
		"a number":         {Type: "Observation", Clauses: byCode("x"), Cursor: "2"},
		"padded, too long": {Type: "Observation", Clauses: byCode("x"), Cursor: strings.Repeat("A", 4000)},
	} {
		t.Run(name, func(t *testing.T) {
			q.Count = 2
			_, err := find(t, s, &q)
			wantKind(t, err, fhir.BadRequest)
		})
	}
	_, err = history(t, s, HistoryQuery{Type: "Patient", Count: 2, Cursor: old.Next})
	wantKind(t, err, fhir.BadRequest)
	// It outlives the process, and a change of page size.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if page, err := find(t, open(), &search.Query{Type: "Observation", Clauses: byCode("x"), Count: 3, Cursor: first.Next}); err != nil || len(page.Resources) != 3 || page.Next != "" {
		t.Errorf("after reopening: %d resources, %v", len(page.Resources), err)
	}
}

func historyScopes(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Patient", "a")
	put(t, s, "Observation", "a")
	put(t, s, "Patient", "b")
	put(t, s, "Patient", "a")
	remove(t, s, "Patient", "a")
	for name, c := range map[string]struct {
		query HistoryQuery
		want  string
	}{
		"one":     {HistoryQuery{Type: "Patient", ID: "a"}, "DELETE Patient/a 3, PUT Patient/a 2, PUT Patient/a 1"},
		"type":    {HistoryQuery{Type: "Patient"}, "DELETE Patient/a 3, PUT Patient/a 2, PUT Patient/b 1, PUT Patient/a 1"},
		"all":     {HistoryQuery{}, "DELETE Patient/a 3, PUT Patient/a 2, PUT Patient/b 1, PUT Observation/a 1, PUT Patient/a 1"},
		"no such": {HistoryQuery{Type: "Goal"}, ""},
	} {
		for count := 1; count < 6; count++ {
			t.Run(fmt.Sprintf("%s by %d", name, count), func(t *testing.T) {
				q := c.query
				q.Count, q.Total = count, true
				var got []string
				for {
					page, err := history(t, s, q)
					if err != nil {
						t.Fatal(err)
					}
					for _, e := range page.Entries {
						got = append(got, fmt.Sprintf("%s %s %d", e.Method, e.Resource.Ref(), e.Resource.Version))
						if e.Resource.Deleted != (e.Method == "DELETE") || e.Resource.Deleted != (len(e.Resource.Body) == 0) {
							t.Errorf("entry %+v", e)
						}
					}
					if want := int64(strings.Count(c.want, "/")); page.Total != want {
						t.Errorf("total is %d, want %d", page.Total, want)
					}
					if page.Next == "" {
						break
					}
					q.Cursor = page.Next
				}
				if strings.Join(got, ", ") != c.want {
					t.Errorf("got %v", got)
				}
			})
		}
	}
}

func historySince(t *testing.T, open func() *Store) {
	s := open()
	d := draft(t, "Patient", "")
	// The second commit carries the later time.
	for i, at := range []time.Duration{0, 3, 1, 2} {
		if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
			_, err := tx.Put(ctx, d, fmt.Sprint("p", i), t0.Add(at*time.Second), "PUT", nil)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		since time.Time
		want  string
	}{
		"included":         {t0.Add(2 * time.Second), "p3 p1"},
		"nanosecond after": {t0.Add(2*time.Second + 1), "p1"},
		"all":              {t0, "p3 p2 p1 p0"},
		"none":             {t0.Add(time.Hour), ""},
	} {
		for _, typ := range []string{"", "Patient"} {
			t.Run(name+typ, func(t *testing.T) {
				page, err := history(t, s, HistoryQuery{Type: typ, Since: c.since, Count: 10})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, e := range page.Entries {
					got = append(got, e.Resource.ID)
				}
				if strings.Join(got, " ") != c.want {
					t.Errorf("got %v, want %s", got, c.want)
				}
			})
		}
	}
	if page, err := history(t, s, HistoryQuery{Type: "Patient", ID: "p0", Since: t0.Add(1), Count: 10, Total: true}); err != nil || page.Total != 0 {
		t.Errorf("one resource has %d, %v", page.Total, err)
	}
}

func reopen(t *testing.T, open func() *Store) {
	s := open()
	put(t, s, "Observation", "a", search.Row{Param: obsCode, System: "http://loinc.org", Value: "x"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	put(t, s, "Observation", "b", search.Row{Param: obsCode, System: "http://loinc.org", Value: "x"})
	if got := ids(t, s, "Observation", clauseOf(obsCode, search.Value{System: "http://loinc.org", Value: "x"})); got != "a b" {
		t.Errorf("found %q", got)
	}
}

func ping(t *testing.T, open func() *Store) {
	s := open()
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	release := hold(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantKind(t, s.Ping(ctx), fhir.Unavailable)
	release()
}

// checkWhole checks what must hold of the tables at any time.
func checkWhole(t testing.TB, s *Store) {
	t.Helper()
	if err := s.View(context.Background(), func(ctx context.Context, r *Reader) error {
		for name, text := range map[string]string{
			"a resource does not point to its newest version": `SELECT count(*) FROM resource r WHERE NOT EXISTS (
				SELECT 1 FROM version v WHERE v.seq = r.seq AND v.rid = r.rid AND v.version = r.version AND v.updated = r.updated AND v.type = r.type
				AND (v.body IS NULL) = (r.deleted = 1)) OR r.version <> (SELECT max(version) FROM version v WHERE v.rid = r.rid)`,
			"versions are not 1 to n":   `SELECT count(*) FROM (SELECT rid FROM version GROUP BY rid HAVING count(*) <> max(version) OR min(version) <> 1) x`,
			"a version has no resource": `SELECT count(*) FROM version v WHERE NOT EXISTS (SELECT 1 FROM resource r WHERE r.rid = v.rid)`,
			"time goes back":            `SELECT count(*) FROM version a JOIN version b ON b.rid = a.rid AND b.version = a.version + 1 WHERE b.updated <= a.updated OR b.seq <= a.seq`,
		} {
			var n int64
			if _, err := r.row(ctx, text, nil, &n); err != nil {
				return err
			}
			if n != 0 {
				t.Errorf("%s: %d", name, n)
			}
		}
		for _, table := range tableNames {
			var n int64
			if _, err := r.row(ctx, "SELECT count(*) FROM "+table+" x WHERE NOT EXISTS (SELECT 1 FROM resource r WHERE r.rid = x.rid AND r.deleted = 0) OR NOT EXISTS (SELECT 1 FROM symbol s WHERE s.id = x.param)", nil, &n); err != nil {
				return err
			}
			if n != 0 {
				t.Errorf("%s has %d rows of no resource or no parameter", table, n)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
