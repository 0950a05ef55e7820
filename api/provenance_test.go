package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const stated = `{"resourceType":"Provenance","recorded":"2026-07-02T09:00:00Z","agent":[{"who":{"display":"Ward 3"}}]}`

// targets are the references of all Provenances that Ward 3 is the agent of.
func targets(t *testing.T, s *server) (all []string) {
	t.Helper()
	var found struct {
		Entry []struct {
			Resource struct {
				Agent  []struct{ Who struct{ Display string } }
				Target []struct{ Reference string }
			}
		}
	}
	if err := json.Unmarshal([]byte(s.do(t, "GET", s.base+"/Provenance?_sort=_lastUpdated", "").body), &found); err != nil {
		t.Fatal(err)
	}
	for _, e := range found.Entry {
		if e.Resource.Agent[0].Who.Display == "Ward 3" {
			var refs []string
			for _, r := range e.Resource.Target {
				refs = append(refs, r.Reference)
			}
			all = append(all, strings.Join(refs, "+"))
		}
	}
	return all
}

// What a caller states of what he writes is stored with it, names the versions, and is stored only where
// something was.
func TestProvenanceThatACallerStates(t *testing.T) {
	s := start(t, setup{})
	do := func(method, path, body string, status int, headers ...string) answer {
		t.Helper()
		return s.do(t, method, s.base+path, body, append([]string{"X-Provenance", stated}, headers...)...).want(t, status, "")
	}
	do("PUT", "/Patient/p", withID("p"), 201)
	do("PUT", "/Patient/p", withID("p"), 200) // nothing has changed
	do("GET", "/Patient/p", "", 200)
	do("PUT", "/Patient/p", `{"resourceType":"Patient","id":"p","active":true}`, 200)
	do("POST", "/", `{"resourceType":"Bundle","type":"transaction","entry":[
		{"resource":{"resourceType":"Patient","id":"q"},"request":{"method":"PUT","url":"Patient/q"}},
		{"resource":{"resourceType":"Patient","id":"r"},"request":{"method":"PUT","url":"Patient/r"}},
		{"resource":{"resourceType":"Patient","id":"p","active":true},"request":{"method":"PUT","url":"Patient/p"}}]}`, 200)
	do("POST", "/", `{"resourceType":"Bundle","type":"batch","entry":[
		{"resource":{"resourceType":"Patient","id":"u"},"request":{"method":"PUT","url":"Patient/u"}},
		{"resource":{"resourceType":"Patient","id":"v"},"request":{"method":"PUT","url":"Patient/v"}}]}`, 200)
	do("DELETE", "/Patient/v", "", 204)
	do("DELETE", "/Patient/nobody", "", 204)
	want := "[Patient/p/_history/1 Patient/p/_history/2 Patient/q/_history/1+Patient/r/_history/1 Patient/u/_history/1 Patient/v/_history/1 Patient/v/_history/2]"
	if got := fmt.Sprint(targets(t, s)); got != want {
		t.Errorf("%s\nnot %s", got, want)
	}
	// Its versions are in the log with what was written.
	found := 0
	for _, r := range s.logged(t, 0) {
		for _, v := range r.Shown {
			if v.Type == "Provenance" && (r.Code == "update" || r.Code == "delete") {
				found++
			}
		}
	}
	if found != 6 {
		t.Errorf("%d of them are in the log", found)
	}
}

func TestProvenanceThatIsRefused(t *testing.T) {
	s := start(t, setup{})
	for name, header := range map[string]string{
		"no JSON": `{`, "no object": `[]`, "a text": `"x"`, "nothing": `{}`, "another type": `{"resourceType":"Patient"}`,
		"with a target": `{"resourceType":"Provenance","target":[{"reference":"Patient/x"}],"recorded":"2026-07-02T09:00:00Z","agent":[{"who":{"display":"x"}}]}`,
		"with an id":    `{"resourceType":"Provenance","id":"x","recorded":"2026-07-02T09:00:00Z","agent":[{"who":{"display":"x"}}]}`,
		"no agent":      `{"resourceType":"Provenance","recorded":"2026-07-02T09:00:00Z"}`,
		"no time":       `{"resourceType":"Provenance","agent":[{"who":{"display":"x"}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s.do(t, http.MethodPut, s.base+"/Patient/p", withID("p"), "X-Provenance", header).want(t, 400, "")
			s.do(t, http.MethodGet, s.base+"/Patient/p", "").want(t, 404, "")
		})
	}
	if got := targets(t, s); got != nil {
		t.Errorf("stored: %v", got)
	}
	s2, c := startWithTokens(t, setup{})
	s2.do(t, http.MethodPut, s2.base+"/Patient/p", withID("p"), "X-Provenance", stated, "Authorization", "Bearer "+s2.token(t, c, "system/Patient.cu")).want(t, 403, "")
}
