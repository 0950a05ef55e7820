package service

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"aftercare/fhir"

	"github.com/google/go-cmp/cmp"
)

// plansOf is how many care plans each sample surgery leads to.
var plansOf = map[string]int{
	"single-stage-femur-left":            1,
	"single-stage-neurectomy-tibia-left": 1,
	"single-stage-tmr-humerus-right":     1,
	"stage-1-only-femur-left":            1,
	"two-stage-femur-right":              1,
	"bilateral-femur":                    2,
	"month-precision-date":               1,
	"no-gp-other-implant":                1,
	"not-osseointegration":               0,
	"planned-not-yet-done":               0,
}

func TestEverySampleSurgeryHasItsPlans(t *testing.T) {
	samples := surgeries(t)
	if len(samples) != len(plansOf) {
		t.Errorf("%d samples, %d expectations", len(samples), len(plansOf))
	}
	for name, body := range samples {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.process(t, body)
			if got := len(s.find(t, "CarePlan", "")); got != plansOf[name] {
				t.Errorf("%d care plans, want %d", got, plansOf[name])
			}
		})
	}
}

func TestEveryProcedureTellsItsSenderWhatFollowed(t *testing.T) {
	for name, body := range surgeries(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			for range 2 { // a re-sent message is told the same
				for i, e := range s.process(t, body).Entry {
					if !strings.Contains(e.Response.Location, "/Procedure/") {
						continue
					}
					if !strings.Contains(string(e.Response.Outcome), `"resourceType":"OperationOutcome"`) {
						t.Errorf("entry %d: no outcome", i)
					}
				}
			}
		})
	}
}

func TestSendingAgainChangesNothing(t *testing.T) {
	for name, body := range surgeries(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			first := s.process(t, body)
			before := s.census(t)
			versions := s.versions(t)
			for _, e := range first.Entry {
				if e.Response.Status != "201 Created" {
					t.Errorf("first time: %s", e.Response.Status)
				}
			}
			second := s.process(t, body)
			for i, e := range second.Entry {
				if e.Response.Status != "200 OK" || e.Response.Location != first.Entry[i].Response.Location {
					t.Errorf("second time: %s %s, first %s", e.Response.Status, e.Response.Location, first.Entry[i].Response.Location)
				}
			}
			if diff := cmp.Diff(before, s.census(t)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(versions, s.versions(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// versions is the version of every care plan, task and goal.
func (s *Service) versions(t testing.TB) map[string]string {
	out := map[string]string{}
	for _, typ := range []string{"CarePlan", "Goal", "Task", "DetectedIssue", "Provenance"} {
		for _, body := range s.find(t, typ, "") {
			var r struct {
				ID   string
				Meta struct{ VersionID string }
			}
			if err := json.Unmarshal(body, &r); err != nil {
				t.Fatal(err)
			}
			out[typ+"/"+r.ID] = r.Meta.VersionID
		}
	}
	return out
}

func TestSendingAtOnceLeavesOneOfEach(t *testing.T) {
	for name, body := range surgeries(t) {
		t.Run(name, func(t *testing.T) {
			alone := open(t)
			alone.process(t, body)
			want := alone.census(t)

			s := open(t)
			var wg sync.WaitGroup
			for range 32 {
				wg.Go(func() {
					if _, err := s.Process(context.Background(), Anonymous, body, ""); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if diff := cmp.Diff(want, s.census(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// single is a Bundle's resources under ids of their own, references resolved, as a sender
// puts them one by one.
func single(t testing.TB, body []byte) map[string][]byte {
	t.Helper()
	var bundle struct {
		Entry []struct {
			FullURL  string
			Resource map[string]any
		}
	}
	if err := json.Unmarshal(body, &bundle); err != nil {
		t.Fatal(err)
	}
	text := map[string]string{}
	for i, e := range bundle.Entry {
		typ := e.Resource["resourceType"].(string)
		id := fmt.Sprintf("sender-%d", i)
		e.Resource["id"] = id
		text[e.FullURL] = typ + "/" + id
	}
	out := map[string][]byte{}
	for _, e := range bundle.Entry {
		b, err := json.Marshal(e.Resource)
		if err != nil {
			t.Fatal(err)
		}
		for from, to := range text {
			b = []byte(strings.ReplaceAll(string(b), from, to))
		}
		out[text[e.FullURL]] = b
	}
	return out
}

func (s *Service) putAll(t testing.TB, resources map[string][]byte, order []string) {
	t.Helper()
	for _, ref := range order {
		typ, id, _ := strings.Cut(ref, "/")
		if _, err := s.Update(context.Background(), Anonymous, typ, id, resources[ref], Preconditions{}); err != nil {
			t.Fatalf("%s: %v", ref, err)
		}
	}
}

// derived are the resources that the service made, without what tells their history.
func (s *Service) derived(t testing.TB) map[string]string {
	out := map[string]string{}
	for _, typ := range []string{"CarePlan", "Goal", "Task"} {
		for _, body := range s.find(t, typ, "") {
			n, err := fhir.Parse(body)
			if err != nil {
				t.Fatal(err)
			}
			var r map[string]any
			if err := json.Unmarshal(body, &r); err != nil {
				t.Fatal(err)
			}
			delete(r, "meta")
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			out[typ+"/"+n.Str("id")] = string(b)
		}
	}
	return out
}

func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	for name, body := range surgeries(t) {
		t.Run(name, func(t *testing.T) {
			resources := single(t, body)
			refs := slices.Sorted(maps.Keys(resources))
			s := open(t)
			s.putAll(t, resources, refs)
			want := s.derived(t)
			if got := len(s.find(t, "CarePlan", "")); got != plansOf[name] {
				t.Errorf("%d care plans, want %d", got, plansOf[name])
			}
			random, orders := rand.New(rand.NewPCG(1, 2)), 8
			if testing.Short() {
				orders = 2
			}
			for range orders {
				random.Shuffle(len(refs), func(i, j int) { refs[i], refs[j] = refs[j], refs[i] })
				s := open(t)
				s.putAll(t, resources, refs)
				if diff := cmp.Diff(want, s.derived(t)); diff != "" {
					t.Fatalf("order %v:\n%s", refs, diff)
				}
			}
		})
	}
}

func TestAtOnceOneByOne(t *testing.T) {
	resources := single(t, surgeries(t)["single-stage-tmr-humerus-right"])
	s := open(t)
	s.putAll(t, resources, slices.Sorted(maps.Keys(resources)))
	want := s.derived(t)
	for range 5 {
		s := open(t)
		var wg sync.WaitGroup
		for ref, body := range resources {
			typ, id, _ := strings.Cut(ref, "/")
			for range 4 {
				wg.Go(func() {
					if _, err := s.Update(context.Background(), Anonymous, typ, id, body, Preconditions{}); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if diff := cmp.Diff(want, s.derived(t)); diff != "" {
			t.Fatal(diff)
		}
	}
}
