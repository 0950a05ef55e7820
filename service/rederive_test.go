package service

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aftercare/definitions"
	"aftercare/fhir"
	"aftercare/service/store"
	"aftercare/service/store/postgrestest"
)

// hospital is a folder of definitions in which a condition fails on some operations: those
// with a note. With mended, the condition holds for all.
func hospital(t *testing.T, condition string) []*fhir.Node {
	t.Helper()
	const name = "PlanDefinition-osseointegration-wound-care.json"
	built, err := definitions.Files().Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer built.Close()
	info, err := built.Stat()
	if err != nil {
		t.Fatal(err)
	}
	text := make([]byte, info.Size())
	if _, err := built.Read(text); err != nil {
		t.Fatal(err)
	}
	title := `"title": "Pain assessment on the day after surgery",`
	changed := strings.Replace(string(text), title, title+`"condition":[{"kind":"applicability","expression":{"language":"text/fhirpath","expression":"`+condition+`"}}],`, 1)
	if changed == string(text) {
		t.Fatal("the action was not found")
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "wound-care.json"), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	known, err := definitions.Load(definitions.Files(), os.DirFS(folder))
	if err != nil {
		t.Fatal(err)
	}
	return known
}

func TestProtocolThatFailsIsAppliedOnceItIsMended(t *testing.T) {
	noted := func(s *Service) Written {
		out, err := s.Update(ctx, Anonymous, "Procedure", "op", []byte(`{"resourceType":"Procedure","id":"op","status":"completed",
			"performedDateTime":"2026-03-02","subject":{"reference":"Patient/p"},"note":[{"text":"Very Private"}],
			"code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"single-stage"}]},
			"bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"},{"system":"http://snomed.info/sct","code":"7771000"}]}]}`), Preconditions{})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	broken := hospital(t, "%procedure.note.text > 3")
	s := open(t, func(o *Options) { o.Definitions = broken })
	out := noted(s)
	if len(out.Issues) != 1 || out.Issues[0].Detail != "protocol-failed" || strings.Contains(out.Issues[0].Text, "Private") {
		t.Errorf("the sender is told %+v", out.Issues)
	}
	if plans, issues := len(s.find(t, "CarePlan", "")), len(s.find(t, "DetectedIssue", "code=protocol-failed")); plans != 0 || issues != 1 {
		t.Errorf("%d plans, %d issues", plans, issues)
	}
	if got := s.find(t, "Procedure", "_id=op"); len(got) != 1 {
		t.Error("the operation is not stored")
	}
	before := s.versions(t)
	s.Rederive(t.Context())
	if after := s.versions(t); len(after) != len(before) {
		t.Errorf("without a change, %v became %v", before, after)
	}

	mended, err := New(t.Context(), Options{
		Store: s.store, Definitions: hospital(t, "%procedure.exists()"), BaseURL: base, Zone: s.zone, Now: s.now, NewID: s.newID,
	})
	if err != nil {
		t.Fatal(err)
	}
	mended.Rederive(t.Context())
	if plans := len(s.find(t, "CarePlan", "")); plans != 1 {
		t.Errorf("%d plans after the definitions were mended", plans)
	}
	if issue := string(s.find(t, "DetectedIssue", "code=protocol-failed")[0]); !strings.Contains(issue, `"status":"cancelled"`) {
		t.Errorf("the issue is %s", issue)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	mended.Rederive(stopped) // returns
}

func TestRecordThatFailsIsDerivedOnceItIsMended(t *testing.T) {
	s := open(t, func(o *Options) { o.Definitions = hospital(t, "%patient.birthDate > 3") })
	s.put1(t, "Patient", `{"resourceType":"Patient","id":"p","birthDate":"1970-01-01"}`)
	s.put1(t, "Procedure", `{"resourceType":"Procedure","id":"op","status":"completed","performedDateTime":"2026-03-02","subject":{"reference":"Patient/p"},
		"code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"single-stage"}]},
		"bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"},{"system":"http://snomed.info/sct","code":"7771000"}]}]}`)
	if n := len(s.find(t, "CarePlan", "")); n != 0 {
		t.Fatalf("%d plans", n)
	}
	s.put1(t, "Patient", `{"resourceType":"Patient","id":"p"}`)
	if n := len(s.find(t, "CarePlan", "")); n != 1 {
		t.Errorf("%d plans once the record was mended", n)
	}
}

func (s *Service) put1(t *testing.T, typ, body string) {
	t.Helper()
	n, err := fhir.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(ctx, Anonymous, typ, n.Str("id"), []byte(body), Preconditions{}); err != nil {
		t.Fatal(err)
	}
}

// A process that is killed in the middle leaves whole patients, and of two others that were waiting
// one goes on with the rest. Nobody is derived for twice.
func TestDerivingAgainGoesOnAfterAKill(t *testing.T) {
	const patients = 40
	on := func(database string, known []*fhir.Node) *Service {
		o, err := defaults()
		if err != nil {
			t.Fatal(err)
		}
		o.NewID, o.Definitions = newID, known
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
		on(url, hospital(t, "%procedure.exists()")).Rederive(ctx)
		select {} // until it is killed
	}
	if testing.Short() || !strings.HasPrefix(newDatabase(t), "sqlite:") { // the pass on SQLite: it has a database of its own
		t.Skip("a lease of a dead process lives for some seconds")
	}
	database := postgrestest.Database(t)
	broken := on(database, hospital(t, "%procedure.code > 3"))
	defer broken.store.Close()
	for i := range patients {
		operated(t, broken, fmt.Sprint("p", i))
	}
	plans := func() []*fhir.Node { return found(t, broken, "CarePlan?_count=200") }
	if n := len(plans()); n != 0 {
		t.Fatalf("%d plans by a protocol that fails", n)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestDerivingAgainGoesOnAfterAKill$", "-test.short")
	child.Env = append(os.Environ(), "SERVICE_TEST_CHILD="+database)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); len(plans()) == 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("the child derives nothing")
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed
	t.Logf("%d of %d had a plan when it was killed", len(plans()), patients)
	var replicas sync.WaitGroup
	for range 2 {
		s := on(database, hospital(t, "%procedure.exists()"))
		defer s.store.Close()
		replicas.Go(func() { s.Rederive(ctx) })
	}
	replicas.Wait()
	if n := len(plans()); n != patients {
		t.Errorf("%d plans, want %d", n, patients)
	}
	for _, query := range []string{"CarePlan?_count=200", "Task?_count=200"} {
		for _, n := range found(t, broken, query) {
			if v := n.Str("meta", "versionId"); v != "1" {
				t.Errorf("a %s has %s versions", n.Str("resourceType"), v)
			}
		}
	}
	for _, n := range found(t, broken, "DetectedIssue?code=protocol-failed&_count=200") {
		if v := n.Str("meta", "versionId"); v != "2" || n.Str("status") != "cancelled" {
			t.Errorf("an issue is %s and has %s versions", n.Str("status"), v)
		}
	}
}
