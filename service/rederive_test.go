package service

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aftercare/definitions"
	"aftercare/fhir"
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
