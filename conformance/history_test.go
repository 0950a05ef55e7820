package conformance

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Histories at the three levels: newest first, deletions without a resource, requests and
// responses with each entry (https://hl7.org/fhir/R4/http.html#history).
func TestHistory(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		run(t, s, []exchange{
			{name: "a first version", line: "PUT /Patient/a", body: patient("a", female), status: 201, keep: "t1 = meta.lastUpdated"},
			{name: "a second", line: "PATCH /Patient/a", body: fhirPathPatch("male"), status: 200, keep: "t2 = meta.lastUpdated"},
			{name: "of another", line: "POST /Patient", body: patient("", male), status: 201, keep: "b = id"},
			{name: "the deletion", line: "DELETE /Patient/a", status: 204},
			{name: "a third", line: "PUT /Patient/a", body: patient("a", female), status: 201, keep: "t4 = meta.lastUpdated"},
			{name: "of another type", line: "PUT /Group/g", body: `{"resourceType":"Group","id":"g","type":"person","actual":true}`, status: 201, keep: "t5 = meta.lastUpdated"},

			{name: "instance", line: "GET /Patient/a/_history", status: 200, want: []string{
				"type = history", "total = 4", "link.relation = self",
				"entry.request.method = PUT,DELETE,PATCH,PUT", "entry.request.url = Patient/a,Patient/a,Patient/a,Patient/a",
				"entry.resource.meta.versionId = 4,2,1", `entry.response.etag = W/"4",W/"3",W/"2",W/"1"`,
				"entry.response.status = 201 Created,204 No Content,200 OK,201 Created",
				"entry.fullUrl = {base}/Patient/a,{base}/Patient/a,{base}/Patient/a,{base}/Patient/a"}},
			{name: "type", line: "GET /Patient/_history", status: 200, want: []string{
				"type = history", "entry.request.method = PUT,DELETE,POST,PATCH,PUT", "entry.request.url = Patient/a,Patient/a,Patient,Patient/a,Patient/a"}},
			{name: "system", line: "GET /_history?_count=2", status: 200, want: []string{"type = history", "entry.resource.id = g,a"}},

			{name: "since at the instant of a version has that version", line: "GET /Patient/a/_history?_since={t2}", status: 200, want: []string{"entry.request.method = PUT,DELETE,PATCH"}},
			{name: "since the last", line: "GET /_history?_since={t5}", status: 200, want: []string{"entry.resource.id = g"}},
			{name: "since the future", line: "GET /Patient/_history?_since=2999-01-01T00:00:00Z", status: 200, want: []string{"entry = "}},
			{name: "since what is no instant", line: "GET /Patient/_history?_since=yesterday", status: 400, want: []string{"issue.expression = http._since"}},
			{name: "at the instant of a version", line: "GET /Patient/a/_history?_at={t2}", status: 200, want: []string{"entry.resource.meta.versionId = 2"}},
			{name: "at the instant of the first", line: "GET /Patient/a/_history?_at={t1}", status: 200, want: []string{"entry.resource.meta.versionId = 1"}},
			{name: "at the instant of the last", line: "GET /Patient/a/_history?_at={t4}", status: 200, want: []string{"entry.resource.meta.versionId = 4"}},
			{name: "at another's instant there is the one before", line: "GET /Patient/a/_history?_at={t5}", status: 200, want: []string{"entry.resource.meta.versionId = 4"}},
			{name: "at a time before all", line: "GET /Patient/a/_history?_at=2020-01-01T00:00:00Z", status: 200, want: []string{"entry = "}},
			{name: "at a time to come nobody knows", line: "GET /Patient/a/_history?_at=2999-01-01T00:00:00Z", status: 400, want: []string{"issue.expression = http._at"}},
			{name: "since and at one instant", line: "GET /Patient/a/_history?_since={t2}&_at={t2}", status: 200, want: []string{"entry.resource.meta.versionId = 2"}},
			{name: "at every level", line: "GET /_history?_at={t5}&_count=1", status: 200, want: []string{"entry.resource.id = g"}},
			{name: "at what is no time", line: "GET /Patient/a/_history?_at=noon", status: 400},
			{name: "an unknown parameter", line: "GET /Patient/a/_history?colour=red", status: 400, want: []string{"issue.expression = http.colour"}},
			{name: "a count that is none", line: "GET /Patient/a/_history?_count=-1", status: 400, want: []string{"issue.expression = http._count"}},
			{name: "a cursor that is none", line: "GET /Patient/a/_history?_cursor=abc", status: 400, want: []string{"issue.expression = http._cursor"}},
		})
	})
}

// A whole day as _at has every version that was current on that day.
func TestHistoryAtADay(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.must(t, 201, "PUT /Patient/a", patient("a", female))
		s.must(t, 200, "PUT /Patient/a", patient("a", male))
		london, err := time.LoadLocation("Europe/London")
		if err != nil {
			t.Fatal(err)
		}
		year := time.Now().In(london).Format("2006")
		a := s.must(t, 200, "GET /Patient/a/_history?_at="+year, "")
		if got := a.at("entry.resource.meta.versionId"); got != "2,1" {
			t.Errorf("versions %s, want 2,1", got)
		}
	})
}

// The pages of a history are together the history, also while others write.
func TestHistoryPages(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		const versions = 25
		for v := range versions {
			s.send(t, "PUT /Patient/a", patient("a", fmt.Sprintf(`"birthDate":"%d"`, 1950+v)))
		}
		for _, path := range []string{"/Patient/a/_history", "/Patient/_history"} {
			var seen []string
			next, pages := "GET "+path+"?_count=4&_pretty=false", 0
			for next != "" && pages < 2*versions {
				a := s.must(t, 200, next, "")
				ids := strings.Split(a.at("entry.resource.id"), ",")
				for i, version := range strings.Split(a.at("entry.resource.meta.versionId"), ",") {
					if ids[i] == "a" {
						seen = append(seen, version)
					}
				}
				pages++
				s.must(t, 201, "POST /Patient", patient("", ""))
				next = ""
				if link := linkOf(a, "next"); link != "" {
					next = "GET " + link
				}
			}
			if len(seen) != versions {
				t.Errorf("%s: %d versions on %d pages, want %d: %v", path, len(seen), pages, versions, seen)
			}
			for i, v := range seen {
				if v != fmt.Sprint(versions-i) {
					t.Fatalf("%s: version %s at place %d: %v", path, v, i, seen)
				}
			}
		}
	})
}

// linkOf is the URL of a Bundle's link, "" without one.
func linkOf(a answer, relation string) string {
	relations, urls := strings.Split(a.at("link.relation"), ","), strings.Split(a.at("link.url"), ",")
	for i, r := range relations {
		if r == relation && len(urls) == len(relations) {
			if _, err := url.Parse(urls[i]); err == nil {
				return urls[i]
			}
		}
	}
	return ""
}
