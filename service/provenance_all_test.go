package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/service/store"
)

// unexplained are the versions that neither a caller wrote nor a Provenance of the service explains:
// which protocol, which versions of the records, which software.
func unexplained(t *testing.T, s *Service, byCallers map[string]bool) (missing []string, explained int) {
	t.Helper()
	var versions []string
	targets := map[string]bool{}
	if err := s.store.View(t.Context(), func(ctx context.Context, r *store.Reader) error {
		return r.Versions(ctx, 0, 100_000, func(_ int64, h store.HistoryEntry) error {
			e := h.Resource
			ref := versioned(e.Type, e.ID, e.Version)
			switch {
			case s.provided[e.Ref()]:
			case e.Type != "Provenance":
				versions = append(versions, ref)
			default:
				n, err := fhir.Parse(e.Body)
				if err != nil {
					return err
				}
				who := n.Each("agent", "who")[0]
				if who.Str("display") != "Aftercare test" || len(n.Each("entity", "what", "reference")) == 0 {
					t.Errorf("%s says neither which software nor from what: %s", ref, e.Body)
				}
				for _, of := range n.Each("target", "reference") {
					targets[of.Text] = true
				}
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	for _, ref := range versions {
		if !byCallers[ref] && !targets[ref] {
			missing = append(missing, ref)
		}
		if targets[ref] {
			explained++
		}
	}
	return missing, explained
}

// Whatever the service makes or changes by itself has a Provenance: plans, Tasks, Flags, what pain
// leads to, and what time does.
func TestAllThatIsDerivedHasAProvenance(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	s := open(t, func(o *Options) {
		o.Software = "test"
		o.Now = func() time.Time { now = now.Add(time.Millisecond); return now }
	})
	byCallers := map[string]bool{}
	process := func(name string, body []byte) {
		t.Helper()
		answer, err := s.Process(t.Context(), Anonymous, body, "")
		if err != nil {
			t.Logf("%s: %v", name, err) // some are refused on purpose
			return
		}
		n, err := fhir.Parse(answer)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range n.Each("entry", "response", "location") {
			_, ref, _ := strings.Cut(at.Text, "/fhir/")
			byCallers[ref] = true
		}
	}
	all := surgeries(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		process(name, all[name])
	}
	// Pain in the bone, of each patient.
	for _, body := range s.find(t, "Patient", "") {
		n, err := fhir.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		w, err := s.Create(t.Context(), Anonymous, "Observation", []byte(`{"resourceType":"Observation","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"survey"}]}],
			"code":{"coding":[{"system":"http://loinc.org","code":"72514-3"}]},"subject":{"reference":"Patient/`+n.Str("id")+`"},"effectiveDateTime":"2026-04-20",
			"valueQuantity":{"value":7,"system":"http://unitsofmeasure.org","code":"{score}"},"bodySite":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"residual-bone"}]}}`), "")
		if err != nil {
			t.Fatal(err)
		}
		byCallers[versioned("Observation", w.Resource.ID, w.Resource.Version)] = true
	}
	// Time passes.
	for range 4 {
		now = now.Add(30 * 24 * time.Hour)
		underLease(t, s, func(ctx context.Context, m *marker) {
			if err := m.look(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	missing, explained := unexplained(t, s, byCallers)
	if len(missing) > 0 {
		t.Errorf("without a Provenance: %v", missing)
	}
	if explained < 20 {
		t.Errorf("only %d versions with a Provenance", explained)
	}
	t.Log(fmt.Sprint(explained, " versions with a Provenance"))
}
