package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/definitions"
	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store"
	"aftercare/service/store/postgrestest"
)

// replicasOf are services of their own on one database.
func replicasOf(t *testing.T, n int) (all []*Service) {
	t.Helper()
	url := postgrestest.Database(t)
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		db, err := store.Open(ctx, url, store.Options{})
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
		s, err := New(ctx, Options{Store: db, Definitions: known, BaseURL: base, Zone: zone})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// What a service keeps in memory is true for all that use the database: after a write to one, the
// next request to the other has it. Both have met everything before that could be remembered.
func TestReplicasSeeEachOthersWrites(t *testing.T) {
	all := replicasOf(t, 2)
	for round := range 6 {
		one, two := all[round%2], all[(round+1)%2]
		system := fmt.Sprint("http://", round, ".example") // a symbol that neither has met
		patient := func(value string) []byte {
			return fmt.Appendf(nil, `{"resourceType":"Patient","id":"p%d","identifier":[{"system":%q,"value":%q}]}`, round, system, value)
		}
		find := func(s *Service, query string) []string {
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
			var ids []string
			for _, id := range n.Each("entry", "resource", "id") {
				ids = append(ids, id.Text)
			}
			return ids
		}
		want := func(what string, got, want any) {
			t.Helper()
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("round %d: %s: %v, want %v", round, what, got, want)
			}
		}
		id := fmt.Sprint("p", round)
		byOne := "Patient?identifier=" + system + "|1"
		want("before it is there", find(two, byOne), "[]")
		update := func(s *Service, value string) {
			t.Helper()
			if _, err := s.Update(ctx, Anonymous, "Patient", id, patient(value), Preconditions{}); err != nil {
				t.Fatal(err)
			}
		}
		update(one, "1")
		want("an identifier of a new system", find(two, byOne), []string{id})
		created, err := two.Create(ctx, Anonymous, "Patient", patient("1"), "identifier="+system+"|1")
		if err != nil {
			t.Fatal(err)
		}
		want("a conditional create meets it", fmt.Sprint(created.Created, " ", created.Resource.ID), "false "+id)
		update(two, "2")
		read, err := one.Read(ctx, Anonymous, "Patient", id)
		if err != nil {
			t.Fatal(err)
		}
		want("an update, read", read.Version, 2)
		want("an update, searched", find(one, byOne), "[]")
		if _, err := one.Delete(ctx, Anonymous, "Patient", id, Preconditions{}); err != nil {
			t.Fatal(err)
		}
		if r, err := two.Read(ctx, Anonymous, "Patient", id); fhir.KindOf(err) != fhir.Gone {
			t.Errorf("round %d: a deletion is read as %+v, %v", round, r, err)
		}
		want("a deletion, searched", find(two, "Patient?identifier="+system+"|2"), "[]")

		// A plan follows an operation wherever it is reported, and its correction elsewhere.
		one.stageFrom, two.stageFrom = stageFrom, stageFrom
		if round%2 == 1 {
			one.stageFrom = 1
		}
		text := strings.NewReplacer("9990001170", fmt.Sprint(9990001170+round), "ssf1-", fmt.Sprint("r", round, "-")).Replace(string(surgeries(t)["single-stage-femur-left"]))
		plans := "CarePlan?patient.identifier=" + "https://fhir.nhs.uk/Id/nhs-number|" + fmt.Sprint(9990001170+round)
		want("before the operation", find(two, plans), "[]")
		if _, err := one.Process(ctx, Anonymous, []byte(text), ""); err != nil {
			t.Fatal(err)
		}
		first := find(two, plans)
		if len(first) != 1 {
			t.Fatalf("round %d: %d plans", round, len(first))
		}
		history := func(s *Service) (n int) {
			if err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
				page, err := r.History(ctx, store.HistoryQuery{Type: "CarePlan", ID: first[0], Count: 100})
				n = len(page.Entries)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return n
		}
		for _, id := range find(two, strings.Replace(plans, "CarePlan", "Procedure", 1)) {
			operation, err := two.Read(ctx, Anonymous, "Procedure", id)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := two.Update(ctx, Anonymous, "Procedure", id, []byte(strings.ReplaceAll(string(operation.Body), "2026-", "2025-")), Preconditions{}); err != nil {
				t.Fatal(err)
			}
		}
		want("the plan after the correction", find(one, plans), first)
		want("its versions", history(one), 2)
	}
	// Pages go on at another replica.
	pairs := []search.Pair{{Name: "_count", Value: "1"}}
	var ids []string
	for i := 0; ; i++ {
		body, err := all[i%2].Search(ctx, Anonymous, "CarePlan", pairs, false)
		if err != nil {
			t.Fatal(err)
		}
		n, err := fhir.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, n.Each("entry", "resource", "id")[0].Text)
		pairs = nil
		for _, link := range n.Each("link") {
			if link.Str("relation") == "next" {
				_, query, _ := strings.Cut(link.Str("url"), "?")
				if pairs, err = search.ParsePairs(query); err != nil {
					t.Fatal(err)
				}
			}
		}
		if pairs == nil {
			break
		}
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 6 {
		t.Errorf("%d plans on all pages", len(ids))
	}
}
