package service

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/audit"
	"aftercare/service/store"

	"pgregory.net/rapid"
)

// logBegan is when the first of the records is made that tests fill a log with, one each minute.
var logBegan = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// withRecords is a service whose log has some records.
func withRecords(t testing.TB, records []audit.Record, change ...func(*Options)) *Service {
	t.Helper()
	at := logBegan
	s := open(t, append([]func(*Options){withLog(1), func(o *Options) { o.Now = func() time.Time { return at } }}, change...)...)
	if err := s.store.WriteLog(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, r := range records {
			if err := s.auditLog.Append(ctx, tx, r); err != nil {
				return err
			}
			at = at.Add(time.Minute)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

// sampleRecord has few values, so that records have many in common.
func sampleRecord(rt *rapid.T) audit.Record {
	pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, name) }
	r := audit.Record{
		Code: pick("code", "read", "read", "read", "vread", "search-type", "create", "update", "delete", "operation", audit.Started),
		Type: "CarePlan", Status: rapid.SampledFrom([]int{200, 200, 200, 304, 403, 404, 503}).Draw(rt, "status"),
		Agent:    audit.Agent{Client: pick("client", "app", "ehr"), Issuer: "https://idp.example", Subject: pick("subject", "app", "u-1"), User: pick("user", "", "Practitioner/1", "Patient/a", "https://ehr.example/fhir/Patient/a"), TokenID: pick("jti", "t1", "t2")},
		Patients: rapid.SampledFrom([][]string{nil, {"a"}, {"b"}, {"a", "b"}}).Draw(rt, "patients"),
		Shown:    rapid.SliceOfN(rapid.SampledFrom([]audit.Version{{Type: "CarePlan", ID: "x", Version: 1}, {Type: "CarePlan", ID: "x", Version: 2}, {Type: "CarePlan", ID: "y", Version: 1}, {Type: "Patient", ID: "a", Version: 1}}), 0, 2).Draw(rt, "shown"), RequestID: pick("request", "r-1", "r-2"),
	}
	if r.Status >= 400 {
		r.Shown, r.Patients = nil, nil
	}
	return r
}

// logTerms are what the log is asked in random searches.
var logTerms = []string{
	"patient=a", "patient=Patient/b", "patient=b,c", "patient=https://ehr.example/fhir/Patient/a", "patient=nobody", "entity=CarePlan/x", "entity=CarePlan/y,CarePlan/x", "entity=Patient/a", "entity:CarePlan=y", "entity=x",
	"agent=Practitioner/1", "agent=1", "agent=Patient/a,Practitioner/1", "agent:identifier=https://idp.example|app", "agent:identifier=https://idp.example|u-1", "agent=Device/aftercare-software", "source=Device/aftercare-software",
	"outcome=0", "outcome=4", "outcome=4,8", "outcome=0,8", "outcome:not=0", "action=R", "action=D,C", "action:not=R", "subtype=read", "subtype=vread,delete", "type=rest", "type:not=rest", "type=110100",
	"policy=urn:jti:t1", "entity:identifier=r-1", "entity-type=1", "entity-role:not=4", "entity-role=24",
	"date=ge2026-03-01T00:05", "date=lt2026-03-01T00:20:00Z", "date=2026-03-01T00:07", "date=ne2026-03-01T00:07", "date=sa2026-03-01T00:10:00Z", "date=eb2026-03-01T00:30", "date=gt2026-03-01T00:10:30Z", "date=le2026-03-01", "date=2025,2027", "date=ap2026-03-01",
	"_lastUpdated=gt2026-03-01T00:15:00Z", "_id=3", "_id=1,2,5,8,13,21,34", "_id:not=3", "_id=0,99999",
}

// A search of the log finds what a search of its AuditEvents would find if they were stored as resources.
func TestTheLogIsSearchedAsResourcesAre(t *testing.T) {
	checks := 0
	rapid.Check(t, func(rt *rapid.T) {
		if checks++; checks > 25 || testing.Short() && checks > 5 {
			return // each makes two databases and asks twenty questions
		}
		plain, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "plain.db"), store.Options{})
		if err != nil {
			rt.Fatal(err)
		}
		defer plain.Close()
		s := withRecords(t, rapid.SliceOfN(rapid.Custom(sampleRecord), 1, 60).Draw(rt, "records"))
		defer s.store.Close()
		resources := stored(rt, s, plain)
		page, err := s.Search(ctx, Anonymous, "AuditEvent", nil, false)
		if err != nil {
			rt.Fatal(err)
		}
		if n, err := fhir.Parse(page); err != nil || len(s.validator.Resource(n, "")) > 0 {
			rt.Fatalf("a page is not valid: %s %v", page, err)
		}
		for range 20 {
			terms := rapid.SliceOfNDistinct(rapid.SampledFrom(logTerms), 0, 3, rapid.ID[string]).Draw(rt, "terms")
			asked := strings.Join(terms, "&")
			pairs, err := search.ParsePairs(asked)
			if err != nil {
				rt.Fatal(err)
			}
			want := foundStored(rt, plain, resources, pairs)
			ascending := rapid.Bool().Draw(rt, "ascending")
			sort := rapid.SampledFrom([]string{"_sort=-date", "_sort=-_lastUpdated", ""}).Draw(rt, "sort")
			if ascending {
				sort = "_sort=date"
			} else {
				slices.Reverse(want)
			}
			got := foundLogged(rt, s, fmt.Sprintf("%s&%s&_count=%d", asked, sort, rapid.IntRange(1, 20).Draw(rt, "count")))
			if !slices.Equal(got, want) {
				rt.Fatalf("%s %s: got %v, want %v", asked, sort, got, want)
			}
			if total := bundleOfLog(rt, s, Anonymous, asked+"&_summary=count").Total; total == nil || *total != len(want) {
				rt.Fatalf("%s: the total is %v, and %d are found", asked, total, len(want))
			}
		}
	})
}

// stored puts the AuditEvents of a log into a store as resources, whose registry it returns.
func stored(rt *rapid.T, s *Service, plain *store.Store) *search.Registry {
	site := s.site()
	err := plain.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
			return r.Logged(ctx, 0, 1000, func(l store.Logged) error {
				record, err := audit.Read(l.Position, l.Leaf, l.Key)
				if err != nil {
					return err
				}
				event, err := site.Event(record)
				if err != nil {
					return err
				}
				n, err := fhir.Parse(event)
				if err != nil {
					return err
				}
				if issues := s.validator.Resource(n, ""); len(issues) > 0 {
					return fmt.Errorf("%s is not valid: %+v", event, issues)
				}
				rows, err := s.registry.Extract(n, s.zone, s.baseURL)
				if err != nil {
					return err
				}
				draft := fhir.NewDraft(n)
				_, err = tx.Create(ctx, draft, record.ID, l.Recorded, "POST", rows)
				return err
			})
		})
	})
	if err != nil {
		rt.Fatal(err)
	}
	return s.registry
}

// foundStored are the ids of the resources that a search finds, in order.
func foundStored(rt *rapid.T, plain *store.Store, registry *search.Registry, pairs []search.Pair) (ids []int) {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		rt.Fatal(err)
	}
	q, _, err := registry.Parse("AuditEvent", pairs, search.Options{Zone: zone, Base: base, DefaultCount: 1000, MaxCount: 1000})
	if err != nil {
		rt.Fatal(err)
	}
	if err := plain.View(ctx, func(ctx context.Context, r *store.Reader) error {
		page, err := r.Search(ctx, q, nil)
		for _, res := range page.Resources {
			id, _ := strconv.Atoi(res.ID)
			ids = append(ids, id)
		}
		return err
	}); err != nil {
		rt.Fatal(err)
	}
	slices.Sort(ids)
	return ids
}

type logBundle struct {
	Total *int
	Link  []struct{ Relation, URL string }
	Entry []struct {
		Resource json.RawMessage
		Search   struct{ Mode string }
	}
}

func bundleOfLog(t rapid.TB, s *Service, p Principal, query string) *logBundle {
	b := &logBundle{}
	pairs, err := search.ParsePairs(query)
	if err != nil {
		t.Fatal(err)
	}
	body, err := s.Search(ctx, p, "AuditEvent", pairs, false)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if err := json.Unmarshal(body, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// ids are those of the matches of a page.
func (b *logBundle) ids(t rapid.TB) (ids []int) {
	for _, e := range b.Entry {
		var r struct{ ID, ResourceType string }
		if err := json.Unmarshal(e.Resource, &r); err != nil {
			t.Fatal(err)
		}
		if e.Search.Mode == "match" {
			id, _ := strconv.Atoi(r.ID)
			ids = append(ids, id)
		}
	}
	return ids
}

func (b *logBundle) next() string {
	for _, l := range b.Link {
		if l.Relation == "next" {
			_, query, _ := strings.Cut(l.URL, "?")
			return query
		}
	}
	return ""
}

// foundLogged are the ids of all pages of a search of the log.
func foundLogged(t rapid.TB, s *Service, query string) (ids []int) {
	for query != "" {
		b := bundleOfLog(t, s, Anonymous, query)
		ids = append(ids, b.ids(t)...)
		query = b.next()
	}
	return ids
}

// What comes into the log while somebody pages through it is on none of the pages, and the page that shows
// the log comes into it too.
func TestPagesOfTheLogAreOfOneState(t *testing.T) {
	s := withRecords(t, slices.Repeat([]audit.Record{{Code: "read", Type: "CarePlan", Status: 200}}, 5))
	for _, sort := range []string{"date", "-date"} {
		before := len(foundLogged(t, s, "_count=1000"))
		query, pages := "_count=2&_total=accurate&_sort="+sort, 0
		var ids []int
		for query != "" {
			trail := NewTrail(audit.Record{Query: "GET AuditEvent"})
			pairs, err := search.ParsePairs(query)
			if err != nil {
				t.Fatal(err)
			}
			body, err := s.Search(WithTrail(t.Context(), trail), Anonymous, "AuditEvent", pairs, false)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.LogTrail(t.Context(), trail, 200, nil); err != nil {
				t.Fatal(err)
			}
			var b logBundle
			if err := json.Unmarshal(body, &b); err != nil {
				t.Fatal(err)
			}
			if *b.Total != before {
				t.Errorf("%s: the total is %d, and was %d", sort, *b.Total, before)
			}
			records := logged(t, s.store)
			last := records[len(records)-1]
			var shown []int
			for _, v := range last.Shown {
				if v.Type != "AuditEvent" || v.Version != 1 {
					t.Errorf("shown: %+v", v)
				}
				id, _ := strconv.Atoi(v.ID)
				shown = append(shown, id)
			}
			if last.Code != "search-type" || len(last.Patients) != 0 || !slices.Equal(shown, b.ids(t)) {
				t.Errorf("%s: %+v tells of %v", sort, last, b.ids(t))
			}
			ids = append(ids, b.ids(t)...)
			query = b.next()
			pages++
		}
		if sort == "-date" {
			slices.Reverse(ids)
		}
		if len(ids) != before || !slices.IsSorted(ids) || pages != (before+1)/2 {
			t.Errorf("%s: %v in %d pages, of %d", sort, ids, pages, before)
		}
	}
	// A link is good for its question alone.
	next := bundleOfLog(t, s, Anonymous, "_count=1&action=R").next()
	for _, query := range []string{strings.Replace(next, "action=R", "action=E", 1), strings.Replace(next, "action=R", "action=R&_sort=date", 1), "_cursor=AAAA"} {
		pairs, _ := search.ParsePairs(query)
		if _, err := s.Search(ctx, Anonymous, "AuditEvent", pairs, false); fhir.KindOf(err) != fhir.BadRequest {
			t.Errorf("%s: %v", query, err)
		}
	}
	if b := bundleOfLog(t, s, Anonymous, strings.Replace(next, "_count=1", "_count=2", 1)); len(b.ids(t)) != 2 {
		t.Errorf("another page size: %v", b.ids(t))
	}
}

// While records come in, several processes may go on with the index; each record is in it once.
func TestTheIndexOfTheLogIsMadeTogether(t *testing.T) {
	const n = 3*logIndexStep + 7
	s := withRecords(t, slices.Repeat([]audit.Record{{Code: "read", Type: "CarePlan", Status: 200, Patients: []string{"a"}}}, n))
	var working sync.WaitGroup
	for range 3 { // as many processes
		other := newLogIndex(s.store, s.logIndex.terms, s.log)
		working.Go(func() {
			if err := other.follow(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	for range 5 {
		if err := s.auditLog.Note(t.Context(), audit.Record{Code: "read", Type: "CarePlan", Status: 200, Patients: []string{"a"}}); err != nil {
			t.Fatal(err)
		}
	}
	if total := bundleOfLog(t, s, Anonymous, "patient=a&_summary=count").Total; *total != n+5 {
		t.Errorf("%d of %d are found", *total, n+5)
	}
	working.Wait()
	if total := bundleOfLog(t, s, Anonymous, "patient=a&_summary=count").Total; *total != n+5 {
		t.Errorf("then %d of %d are found", *total, n+5)
	}
}

func TestALogThatIsNotIndexedYet(t *testing.T) {
	s := withRecords(t, []audit.Record{{Code: "read", Type: "CarePlan", Status: 200}})
	s.queryLimit = time.Millisecond
	s.logIndex.turn <- struct{}{} // somebody else is at it, and does not come to an end
	if _, err := s.Search(ctx, Anonymous, "AuditEvent", nil, false); fhir.KindOf(err) != fhir.Unavailable || !strings.Contains(err.Error(), "still being indexed") {
		t.Error(err)
	}
	<-s.logIndex.turn
	s.queryLimit = 0
	if ids := foundLogged(t, s, "_count=10"); !slices.Equal(ids, []int{1}) {
		t.Error(ids)
	}
}
