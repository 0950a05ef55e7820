package service

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"

	"pgregory.net/rapid"
)

// historyOf reads all pages of a history and gives "Type/id/version", newest first; a page
// has count entries. The error is that of the first page.
func (s *Service) historyOf(typ, id, query string, count int) (out []string, err error) {
	pairs, err := search.ParsePairs(fmt.Sprintf("%s&_count=%d", query, count))
	for pairs != nil && err == nil {
		var body []byte
		if body, err = s.History(ctx, Anonymous, typ, id, pairs); err != nil {
			return out, err
		}
		var n *fhir.Node
		if n, err = fhir.Parse(body); err != nil {
			return out, err
		}
		for _, e := range n.Each("entry") {
			version := strings.Trim(e.Str("response", "etag"), `W/"`)
			out = append(out, strings.TrimPrefix(e.Str("fullUrl"), base+"/")+"/"+version)
		}
		pairs = nil
		for _, l := range n.Each("link") {
			if l.Str("relation") == "next" {
				_, next, _ := strings.Cut(l.Str("url"), "?")
				pairs, err = search.ParsePairs(next)
			}
		}
	}
	return out, err
}

// clocked starts a Service whose clock the test sets.
func clocked(t *testing.T) (s *Service, set func(string)) {
	t.Helper()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s = open(t, func(o *Options) { o.Now = func() time.Time { return now } })
	return s, func(at string) {
		t.Helper()
		var err error
		if now, err = time.Parse(time.RFC3339, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHistoryAt(t *testing.T) {
	s, set := clocked(t)
	change := func(at, id string, n int) {
		set(at)
		if n < 0 {
			if _, err := s.Delete(ctx, Anonymous, "Patient", id, Preconditions{}); err != nil {
				t.Fatal(err)
			}
			return
		}
		body := fmt.Appendf(nil, `{"resourceType":"Patient","id":"%s","multipleBirthInteger":%d}`, id, n)
		if _, err := s.Update(ctx, Anonymous, "Patient", id, body, Preconditions{}); err != nil {
			t.Fatal(err)
		}
	}
	change("2026-01-10T12:00:00Z", "a", 1)
	change("2026-01-15T12:00:00Z", "b", 1)
	change("2026-02-10T12:00:00Z", "a", 2)
	change("2026-03-10T12:00:00Z", "a", -1)
	change("2026-05-10T12:00:00Z", "a", 4)
	set("2026-06-01T00:00:00Z")

	for name, c := range map[string]struct{ id, query, want string }{
		"all":                                  {"", "", "a/4 a/3 a/2 b/1 a/1"},
		"before anything":                      {"", "_at=2026-01-10T11:59:59Z", ""},
		"at the moment of creation":            {"", "_at=2026-01-10T12:00:00Z", "a/1"},
		"a moment":                             {"", "_at=2026-01-20T00:00:00Z", "b/1 a/1"},
		"with an offset":                       {"", "_at=2026-01-10T13:00:00%2B01:00", "a/1"},
		"with an offset whose plus is a space": {"", "_at=2026-01-10T13:00:00+01:00", "a/1"},
		"the moment before a change":           {"a", "_at=2026-02-10T11:59:59.999999Z", "a/1"},
		"the moment of a change":               {"a", "_at=2026-02-10T12:00:00.000000Z", "a/2"},
		"the second of a change":               {"a", "_at=2026-02-10T12:00:00Z", "a/2"},
		"a day with a change in it":            {"a", "_at=2026-02-10", "a/2 a/1"},
		"a month with a change in it":          {"", "_at=2026-02", "a/2 b/1 a/1"},
		"a month with a deletion in it":        {"a", "_at=2026-03", "a/3 a/2"},
		"while it is deleted":                  {"", "_at=2026-04", "b/1"},
		"a year":                               {"", "_at=2026", "a/4 a/3 a/2 b/1 a/1"},
		"now":                                  {"", "_at=2026-05-31T23:59:59Z", "a/4 b/1"},
		"from":                                 {"", "_at=ge2026-05", "a/4 b/1"},
		"after":                                {"", "_at=gt2026-02", "a/4 a/3 a/2 b/1"},
		"until":                                {"", "_at=le2026-01-15", "b/1 a/1"},
		"before":                               {"", "_at=lt2026-01-15", "a/1"},
		"starts after, ends before":            {"", "_at=sa2026-03-09&_at=eb2026-03-11", "a/3 a/2 b/1"},
		"from and until":                       {"", "_at=ge2026-02-11&_at=le2026-03-01", "a/2 b/1"},
		"eq is the default":                    {"", "_at=eq2026-01-20", "b/1 a/1"},
		"_since alone":                         {"", "_since=2026-02-10T12:00:00Z", "a/4 a/3 a/2"},
		"both":                                 {"", "_at=2026-02&_since=2026-01-15T00:00:00Z", "a/2 b/1"},
		"both, nothing left":                   {"", "_at=2026-01&_since=2026-04-01T00:00:00Z", ""},
		"in the zone of the site":              {"a", "_at=2026-05-10T13:00:00", "a/4"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, typ := range []string{"Patient", ""} {
				if typ == "" && c.id != "" {
					continue
				}
				for _, count := range []int{1, 2, 50} {
					got, err := s.historyOf(typ, c.id, c.query, count)
					got = slices.DeleteFunc(got, func(v string) bool { return !strings.HasPrefix(v, "Patient/") }) // the definitions
					if want := strings.Fields(c.want); err != nil || strings.ReplaceAll(strings.Join(got, " "), "Patient/", "") != strings.Join(want, " ") {
						t.Errorf("type %q, %d a page: got %q %v", typ, count, got, err)
					}
				}
			}
		})
	}
	if body, err := s.History(ctx, Anonymous, "Patient", "a", []search.Pair{{Name: "_at", Value: "2026-02"}}); err != nil ||
		!strings.Contains(string(body), `"total":2`) || !strings.Contains(string(body), "_history?_at=2026-02") {
		t.Errorf("%s %v", body, err)
	}
	for name, query := range map[string]string{
		"no date": "_at=soon", "empty": "_at=", "prefix that is not offered": "_at=ne2026", "unknown prefix": "_at=xx2026",
		"not past": "_at=2026-06-01T00:00:00Z", "nothing in common": "_at=2026-01&_at=2026-03", "impossible date": "_at=2026-02-30",
		"_since twice": "_since=2026-01-01T00:00:00Z&_since=2026-01-01T00:00:00Z", "prefix alone": "_at=ge",
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			_, err := s.historyOf("Patient", "", query, 10)
			refused(t, err, fhir.BadRequest, "")
		})
	}
}

func TestHistoryAtPagesFitTogetherWhileOthersWrite(t *testing.T) {
	s, set := clocked(t)
	put := func(id string, n int) {
		body := fmt.Appendf(nil, `{"resourceType":"Patient","id":"%s","multipleBirthInteger":%d}`, id, n)
		if _, err := s.Update(ctx, Anonymous, "Patient", id, body, Preconditions{}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		put(fmt.Sprint("p", i), 1)
	}
	set("2026-02-01T00:00:00Z")
	pairs := []search.Pair{{Name: "_at", Value: "ge2026-01-31T23:59:59Z"}, {Name: "_count", Value: "2"}}
	var got []string
	for i := 0; pairs != nil; i++ {
		body, err := s.History(ctx, Anonymous, "Patient", "", pairs)
		if err != nil {
			t.Fatal(err)
		}
		n, err := fhir.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range n.Each("entry") {
			got = append(got, e.Str("resource", "id")+e.Str("resource", "meta", "versionId"))
		}
		pairs = nil
		for _, l := range n.Each("link") {
			if l.Str("relation") == "next" {
				_, next, _ := strings.Cut(l.Str("url"), "?")
				if pairs, err = search.ParsePairs(next); err != nil {
					t.Fatal(err)
				}
			}
		}
		put("p0", i+2)
	}
	if want := []string{"p41", "p31", "p21", "p11", "p01"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// _at is held against the times that the versions themselves show.
func TestHistoryAtIsWhatTheVersionsSay(t *testing.T) {
	s, set := clocked(t)
	origin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var times []time.Time
	for i := range 12 {
		at := origin.Add(time.Duration(i*i) * time.Hour)
		times = append(times, at)
		set(at.Format(time.RFC3339))
		body := fmt.Appendf(nil, `{"resourceType":"Patient","id":"p","multipleBirthInteger":%d}`, i)
		if _, err := s.Update(ctx, Anonymous, "Patient", "p", body, Preconditions{}); err != nil {
			t.Fatal(err)
		}
	}
	set("2026-03-01T00:00:00Z")
	rapid.Check(t, func(t *rapid.T) {
		low := origin.Add(time.Duration(rapid.IntRange(-3, 130).Draw(t, "low")) * time.Hour)
		high := low.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "hours")) * time.Hour)
		var want []string
		for i, at := range times {
			if at.Before(high) && (i == len(times)-1 || times[i+1].After(low)) {
				want = append(want, fmt.Sprintf("Patient/p/%d", i+1))
			}
		}
		slices.Reverse(want)
		query := "_at=ge" + low.Format(time.RFC3339) + "&_at=lt" + high.Format(time.RFC3339)
		got, err := s.historyOf("Patient", "p", query, rapid.IntRange(1, 5).Draw(t, "count"))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q %v, want %q", query, got, err, want)
		}
	})
}
