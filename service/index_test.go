package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"aftercare/definitions"
	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store"
)

// A service that starts on a filled database with one more parameter, another zone and another
// base refuses what asks by what has changed, until it is indexed.
func TestNewParametersOnAFilledDatabase(t *testing.T) {
	url := newDatabase(t)
	start := func(zone *time.Location, base string, more ...*fhir.Node) *Service {
		db, err := store.Open(t.Context(), url, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		known, err := definitions.Load(definitions.Files())
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(t.Context(), Options{Store: db, Definitions: append(known, more...), BaseURL: base, Zone: zone})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	old := start(time.UTC, base)
	surgery := surgeries(t)["single-stage-femur-left"]
	old.process(t, surgery)
	if _, err := old.Update(ctx, Anonymous, "Patient", "p", []byte(`{"resourceType":"Patient","id":"p","name":[{"text":"Nick"}],"identifier":[{"system":"http://x","value":"1"}]}`), Preconditions{}); err != nil {
		t.Fatal(err)
	}
	own, err := fhir.Parse([]byte(`{"resourceType":"SearchParameter","id":"nick","url":"http://x.example/nick","name":"Nick","status":"active","description":"x","code":"nick","base":["Patient"],"type":"string","expression":"Patient.name.text"}`))
	if err != nil {
		t.Fatal(err)
	}
	s := start(time.FixedZone("far", -5*3600), "http://two.example/fhir", own)
	patient := `{"resourceType":"Patient","name":[{"text":"Nick"}]}`
	refused := map[string]func() error{
		"a search": func() error {
			_, err := s.Search(ctx, Anonymous, "Patient", []search.Pair{{Name: "nick", Value: "nick"}}, false)
			return err
		},
		"leniently": func() error {
			_, err := s.Search(ctx, Anonymous, "Patient", []search.Pair{{Name: "nick", Value: "nick"}}, true)
			return err
		},
		"a conditional create": func() error { _, err := s.Create(ctx, Anonymous, "Patient", []byte(patient), "nick=nick"); return err },
		"a conditional update": func() error {
			_, err := s.UpdateWhere(ctx, Anonymous, "Patient", "nick=nick", []byte(patient), Preconditions{})
			return err
		},
		"a conditional deletion": func() error {
			_, err := s.DeleteWhere(ctx, Anonymous, "Patient", "nick=nobody", Preconditions{})
			return err
		},
		"a conditional reference": func() error {
			_, err := s.Process(ctx, Anonymous, bundleOf("transaction", entryOf("", about("Patient?nick=nick"), "POST", "Observation", "")), "")
			return err
		},
		"a surgery, for whose patient plans are looked up": func() error { _, err := s.Process(ctx, Anonymous, surgery, ""); return err },
		"a chain": func() error {
			_, err := s.Search(ctx, Anonymous, "CarePlan", []search.Pair{{Name: "patient.nick", Value: "x"}}, false)
			return err
		},
	}
	for name, do := range refused {
		if err := do(); fhir.KindOf(err) != fhir.Unavailable || !strings.Contains(fmt.Sprint(err), "being indexed") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(s.find(t, "Patient", "identifier=http://x|1")); n != 1 {
		t.Errorf("by what has not changed it finds %d", n)
	}
	if _, err := s.Create(ctx, Anonymous, "Basic", []byte(`{"resourceType":"Basic","code":{"text":"x"}}`), "identifier=http://x|1"); err != nil {
		t.Error(err)
	}
	if err := old.Ready(ctx); !errors.Is(err, ErrOutdated) {
		t.Errorf("the old one is ready: %v", err)
	}
	if err := s.Ready(ctx); err != nil {
		t.Errorf("the new one is not: %v", err)
	}

	work, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); s.KeepIndexed(work) }()
	for left := true; left; time.Sleep(time.Millisecond) {
		b, err := s.store.Backlog(ctx)
		if err != nil {
			t.Fatal(err)
		}
		left = b.Parameters > 0
	}
	end()
	<-done
	for name, do := range refused {
		if err := do(); err != nil {
			t.Errorf("%s, when it is indexed: %v", name, err)
		}
	}
	if n := len(s.find(t, "CarePlan", "")); n != 1 {
		t.Errorf("there are %d plans", n)
	}
}
