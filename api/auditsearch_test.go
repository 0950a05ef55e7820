package api

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// events are the AuditEvents of a page.
func events(t *testing.T, body string) (all []struct {
	ID     string
	Entity []struct{ Query []byte }
}) {
	t.Helper()
	var b struct {
		Entry []struct{ Resource json.RawMessage }
	}
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		t.Fatal(err)
	}
	for _, e := range b.Entry {
		var event struct {
			ID     string
			Entity []struct{ Query []byte }
		}
		if err := json.Unmarshal(e.Resource, &event); err != nil {
			t.Fatal(err)
		}
		all = append(all, event)
	}
	return all
}

// An auditor sees everything that came before the question, by GET and by a form, and what others sent in
// forms.
func TestAuditorsSearchTheLog(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	const form = "application/x-www-form-urlencoded"
	s.do(t, "POST", s.base+"/Patient/_search?_count=5", "_id=p1&name=J%C3%BCrgen", "Content-Type", form).want(t, 200, "")
	s.do(t, "GET", s.base+"/Patient/p1", "").want(t, 200, "")
	if found := events(t, s.do(t, "GET", s.base+"/AuditEvent?patient=p1&subtype=read,update", "").want(t, 200, "").body); len(found) != 2 {
		t.Errorf("%d events of a read and an update", len(found))
	}
	found := events(t, s.do(t, "POST", s.base+"/AuditEvent/_search?action=E", "subtype=search-type&_count=1&_sort=date", "Content-Type", form).want(t, 200, "").body)
	if len(found) != 1 || string(found[0].Entity[0].Query) != "POST Patient/_search?_count=5&_id=p1&name=J%C3%BCrgen" {
		t.Errorf("the form is not in the log: %+v", found)
	}
	one := s.base + "/AuditEvent/" + found[0].ID
	for _, at := range []string{one, one + "/_history", one + "/_history/1", one + "?_summary=true", s.base + "/AuditEvent?_id=" + found[0].ID + "&_elements=agent"} {
		if body := s.do(t, "GET", at, "").want(t, 200, "").body; !strings.Contains(body, `"id":"`+found[0].ID+`"`) {
			t.Errorf("%s: %s", at, body)
		}
	}
	for query, place := range map[string]string{
		"altid=x": "http.altid", "outcome:missing=true": "http.outcome", "_include=AuditEvent:patient": "http._include", "agent:identifier=app": "http.agent", "type=http://x|": "http.type", "_sort=agent": "http._sort",
	} {
		body := s.do(t, "GET", s.base+"/AuditEvent?"+strings.ReplaceAll(query, "|", "%7C"), "").want(t, 400, "").body
		if !strings.Contains(body, place) {
			t.Errorf("%s: %s", query, body)
		}
	}
	lenient := s.do(t, "GET", s.base+"/AuditEvent?altid=x&"+url.Values{"_count": {"1"}}.Encode(), "", "Prefer", "handling=lenient").want(t, 200, "").body
	if len(events(t, lenient)) != 2 || !strings.Contains(lenient, "It was left out") || strings.Count(lenient, `"fullUrl":"urn:uuid:`) != 1 {
		t.Errorf("lenient: %s", lenient)
	}
	event := `{"resourceType":"AuditEvent","type":{"code":"rest"},"recorded":"2026-01-01T00:00:00Z","agent":[{"requestor":true}],"source":{"observer":{"display":"x"}}}`
	for _, c := range [][]string{
		{"POST", "/AuditEvent", "If-None-Exist", "action=R"}, {"PUT", "/AuditEvent?action=R"}, {"PATCH", "/AuditEvent?action=R"}, {"DELETE", "/AuditEvent?action=R"}, {"DELETE", "/AuditEvent/1", "If-Match", `W/"1"`}, {"POST", "/AuditEvent/1/$meta-add"},
	} {
		a := s.do(t, c[0], s.base+c[1], event, c[2:]...).want(t, 405, "not-supported")
		if allow := a.header.Get("Allow"); strings.Contains(allow, c[0]) && c[0] != "POST" || allow == "" {
			t.Errorf("%s %s: Allow is %q", c[0], c[1], allow)
		}
	}
	s.do(t, "GET", s.base+"/AuditEvent/_history", "").want(t, 400, "not-supported")
	s.do(t, "GET", s.base+"/AuditEvent/999999", "").want(t, 404, "not-found")
}
