package service

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"aftercare/fhir"

	"github.com/google/go-cmp/cmp"
)

// sharedFolder is where the official R4 examples lie; the tests that need them print a
// skip where it is missing.
func sharedFolder(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("AFTERCARE_SHARED")
	if folder == "" {
		folder = "../../shared"
	}
	if _, err := os.Stat(folder); err != nil {
		t.Skip("the official examples are not here; set AFTERCARE_SHARED")
	}
	return folder
}

// received decodes JSON with numbers as written, without what the service sets.
func received(t *testing.T, body []byte) map[string]any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		t.Fatal(err)
	}
	delete(m, "id")
	if meta, ok := m["meta"].(map[string]any); ok {
		delete(meta, "versionId")
		delete(meta, "lastUpdated")
		if len(meta) == 0 {
			delete(m, "meta")
		}
	}
	return m
}

// wrongExamples are official examples that break R4 themselves, and so are refused; the
// tests of package validate say in what.
var wrongExamples = []string{
	"ActivityDefinition-blood-tubes-supply.json", "ActivityDefinition-heart-valve-replacement.json",
	"DeviceUseStatement-example.json", "MedicationRequest-medrx0301.json", "Observation-clinical-gender.json",
	"Questionnaire-qs1.json", "Questionnaire-zika-virus-exposure-assessment.json",
}

func TestOfficialExamplesComeBackUnchanged(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(sharedFolder(t), "examples/hl7-r4/*/*.json"))
	if err != nil {
		t.Fatal(err)
	}
	s := open(t)
	stored := 0
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n, err := fhir.Parse(body)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if typ, ok := fhir.Served(n.Str("resourceType")); !ok || typ.ReadOnly {
			continue
		}
		w, err := s.Create(context.Background(), Anonymous, n.Str("resourceType"), body, "")
		if slices.Contains(wrongExamples, filepath.Base(file)) {
			if fhir.KindOf(err) != fhir.BadRequest || err == nil {
				t.Errorf("%s: %v, want a refusal", filepath.Base(file), err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
			continue
		}
		read, err := s.Read(context.Background(), Anonymous, w.Resource.Type, w.Resource.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(received(t, body), received(t, read.Body)); diff != "" {
			t.Errorf("%s:\n%s", filepath.Base(file), diff)
		}
		stored++
	}
	if stored < 100 {
		t.Errorf("only %d examples were tried", stored)
	}
}

func TestEveryDigitAndExtensionComesBack(t *testing.T) {
	s := open(t)
	const body = `{"resourceType":"Observation","id":"mine","meta":{"profile":["http://p.example"],"versionId":"77"},
	 "contained":[{"resourceType":"Patient","id":"c","name":[{"family":"É\u0041"}]}],
	 "extension":[{"url":"http://unknown.example","valueDecimal":1.500}],
	 "status":"final","_status":{"extension":[{"url":"http://s.example","valueCode":"k"}]},
	 "code":{"text":"x"},"subject":{"reference":"#c"},"valueQuantity":{"value":6.50e0}}`
	w, err := s.Create(context.Background(), Anonymous, "Observation", []byte(body), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"valueDecimal":1.500`, `"value":6.50e0`, `"family":"É\u0041"`, `"_status":{"extension":[{"url":"http://s.example","valueCode":"k"}]}`, `"meta":{"versionId":"1",`} {
		if !bytes.Contains(w.Resource.Body, []byte(want)) {
			t.Errorf("%s is not in %s", want, w.Resource.Body)
		}
	}
}
