package service

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aftercare/definitions"
	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store"
	"aftercare/service/store/postgrestest"
)

const base = "http://127.0.0.1:8080/fhir"

// newDatabase makes a database of the engine that the tests run on now, which a service with the
// defaults has been started on.
var newDatabase = func(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "aftercare.db")
	content, err := begun()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + file
}

// begun is the file of a SQLite database that a service has been started on: to make it anew for
// every test would take most of the time of the tests.
var begun = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "aftercare-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "aftercare.db")
	if err := begins("sqlite:" + file); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// begins starts a service with the defaults on an empty database, and closes that.
func begins(database string) error {
	st, err := store.Open(context.Background(), database, store.Options{})
	if err != nil {
		return err
	}
	o, err := defaults()
	if err != nil {
		return err
	}
	o.Store = st
	if _, err := New(context.Background(), o); err != nil {
		return err
	}
	return st.Close()
}

// defaults are Options without a Store. Ids count up and time stands still.
func defaults() (Options, error) {
	defs, err := builtIn()
	if err != nil {
		return Options{}, err
	}
	zone, err := london()
	if err != nil {
		return Options{}, err
	}
	var ids atomic.Int64
	return Options{
		Definitions: defs, BaseURL: base, Zone: zone,
		Now:   func() time.Time { return time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC) },
		NewID: func() string { return fmt.Sprintf("id-%d", ids.Add(1)) },
	}, nil
}

// TestMain runs all tests on both engines, and with -short on SQLite only. Properties are checked on
// 25 random cases on each, with -short on 5, which differ from run to run; -rapid.checks gives another
// number.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if err := flag.Set("rapid.checks", "25"); err != nil { // the command line comes later
		panic(err)
	}
	os.Exit(postgrestest.RunTwice(m, &newDatabase, begins))
}

// open starts a Service on a new database, with the defaults unless the test changes them.
func open(t testing.TB, change ...func(*Options)) *Service {
	t.Helper()
	o, err := defaults()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(&o)
	}
	begun := o.Store == nil
	if begun {
		o.Store = openStore(t, newDatabase(t))
	}
	s, err := start(t.Context(), o, begun)
	if err != nil {
		t.Fatal(err)
	}
	if stageAll {
		s.stageFrom = 1
	}
	return s
}

// The definitions and what they come to are the same for all tests that leave the defaults alone:
// to learn them takes most of the time that a service needs to start.
var (
	builtIn = sync.OnceValues(func() ([]*fhir.Node, error) { return definitions.Load(definitions.Files()) })
	london  = sync.OnceValues(func() (*time.Location, error) { return time.LoadLocation("Europe/London") })
	common  = sync.OnceValues(func() (*knowledge, error) {
		o, err := defaults()
		if err != nil {
			return nil, err
		}
		return learn(o)
	})
)

// start is New, without what would be done again: what the defaults come to is known, and their
// definitions are in a database that was begun.
func start(ctx context.Context, o Options, begun bool) (*Service, error) {
	d, err := defaults()
	if err != nil {
		return nil, err
	}
	same := len(o.Definitions) == len(d.Definitions) && &o.Definitions[0] == &d.Definitions[0]
	if !same || o.Zone != d.Zone || o.PoliciesOff != nil || o.References != "" {
		return New(ctx, o)
	}
	known, err := common()
	if err != nil {
		return nil, err
	}
	s, err := begin(ctx, o, known)
	if err != nil || begun && o.BaseURL == d.BaseURL {
		return s, err
	}
	return s, s.provide(ctx)
}

// openStore opens a database for as long as the test runs.
func openStore(t testing.TB, database string) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), database, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// surgeries are the sample transactions, by file name.
func surgeries(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../testdata/surgery/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sample surgeries: %v", err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".json")] = body
	}
	return out
}

// find runs a search and returns the bodies of the matches.
func (s *Service) find(t testing.TB, typ, query string) []json.RawMessage {
	t.Helper()
	pairs, err := search.ParsePairs(query)
	if err != nil {
		t.Fatal(err)
	}
	pairs = append(pairs, search.Pair{Name: "_count", Value: "1000"})
	body, err := s.Search(context.Background(), Anonymous, typ, pairs, false)
	if err != nil {
		t.Fatal(err)
	}
	var bundle struct {
		Entry []struct{ Resource json.RawMessage }
	}
	if err := json.Unmarshal(body, &bundle); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	var out []json.RawMessage
	for _, e := range bundle.Entry {
		out = append(out, e.Resource)
	}
	return out
}

// census counts the current resources of each type, definitions left out.
func (s *Service) census(t testing.TB) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, typ := range fhir.ServedTypes() {
		n := 0
		for _, body := range s.find(t, typ.Name, "") {
			var r struct{ ID string }
			if err := json.Unmarshal(body, &r); err != nil {
				t.Fatal(err)
			}
			if !s.provided[typ.Name+"/"+r.ID] {
				n++
			}
		}
		if n > 0 {
			out[typ.Name] = n
		}
	}
	return out
}

// responses decodes a transaction response.
type responses struct {
	Entry []struct {
		FullURL  string
		Resource json.RawMessage
		Response struct {
			Status, Location, Etag, LastModified string
			Outcome                              json.RawMessage
		}
	}
}

func (s *Service) process(t testing.TB, body []byte) responses {
	t.Helper()
	out, err := s.Process(context.Background(), Anonymous, body, "")
	if err != nil {
		t.Fatal(err)
	}
	var r responses
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return r
}
