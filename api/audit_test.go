package api

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"aftercare/service/audit"

	"github.com/gin-gonic/gin"
)

// attempts are ways to ask that each end differently on a route that they are fit for: what is put in
// place of the parts of the route, after it, in the body and in the headers.
var attempts = []struct {
	name, id, query, body string
	headers               []string
}{
	{name: "well", id: "there"},
	{name: "counting", id: "there", query: "_summary=count"},
	{name: "without a token", id: "there", headers: []string{"Authorization", ""}},
	{name: "with a token that is none", id: "there", headers: []string{"Authorization", "Bearer a.b.c"}},
	{name: "without the right", id: "there", headers: []string{"Authorization", "narrow"}},
	{name: "of nobody", id: "nobody"},
	{name: "of who was deleted", id: "gone"},
	{name: "of no id", id: "a_b"},
	{name: "with an unknown parameter", id: "there", query: "colour=red"},
	{name: "with a wrong parameter", id: "there", query: "_count=x&birthdate=y&start=z"},
	{name: "in another format", id: "there", headers: []string{"Accept", "application/fhir+xml"}},
	{name: "with what it has", id: "there", headers: []string{"If-None-Match", `W/"1"`}},
	{name: "of an old version", id: "there", headers: []string{"If-Match", `W/"99"`}},
	{name: "with a wrong version", id: "there", headers: []string{"If-Match", "99"}},
	{name: "with half a body", id: "there", body: `{"resourceType":`},
	{name: "with a body that is no Patient", id: "there", body: `{"resourceType":"Patient","id":"there","gender":"blue"}`},
	{name: "with a body that breaks a rule", id: "there", body: `{"resourceType":"Patient","id":"there","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"1234567890"}]}`},
	{name: "as a change", id: "there", body: `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},{"name":"path","valueString":"Patient"},{"name":"name","valueString":"active"},{"name":"value","valueBoolean":true}]}]}`},
	{name: "as tags", id: "there", body: tagParameters},
	{name: "on a condition", id: "there", query: "identifier=http://x.example|1"},
	{name: "about a patient", id: "there", query: "patient=there&code=http://x.example|1"},
	{name: "about numbers", id: "there", query: "subject=Patient/there&code=1&system=http://x.example&statistic=count"},
	{name: "with a body of another type", id: "there", body: `{"resourceType":"Goal"}`},
	{name: "with a large body", id: "there", body: `{"resourceType":"Patient","id":"there","language":"` + strings.Repeat("x", 3<<20) + `"}`},
	{name: "with a body of another format", id: "there", headers: []string{"Content-Type", "text/plain"}},
	{name: "as two at once", id: "there", body: `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/there"}},{"request":{"method":"GET","url":"Patient/nobody"}}]}`},
	{name: "as two at once or none", id: "there", body: `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"GET","url":"Patient/there"}},{"request":{"method":"DELETE","url":"Patient/there"},"resource":null}]}`},
	{name: "as two of which one is refused", id: "there", body: `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"GET","url":"Patient/there"}},{"request":{"method":"GET","url":"Patient/nobody"}}]}`},
}

// Every route, asked in every way, leaves exactly one record for each interaction, with the status that
// the answer had; server.do looks for them. The table of outcomes shows that the ways do what they are for.
func TestEveryOutcomeOfEveryRouteIsLoggedOnce(t *testing.T) {
	var routes gin.RoutesInfo
	s, c := startWithTokens(t, setup{
		routes: func(a *api, e *gin.Engine) {
			e.GET("/fhir/panics", append(a.around(), func(*gin.Context) { panic("a fault") })...)
			routes = e.Routes()
		},
		options: func(o *Options) { o.MaxBody, o.MaxBundle = 1<<20, 2<<20 },
	})
	wide, narrow := "Bearer "+s.token(t, c, "system/*.cruds"), "Bearer "+s.token(t, c, "system/Goal.r")
	put := func(typ, id, members string) {
		s.do(t, http.MethodPut, s.base+"/"+typ+"/"+id, `{"resourceType":"`+typ+`","id":"`+id+`"`+members+`}`, "Authorization", wide)
	}
	outcomes := map[string]map[int]bool{}
	all := map[int]bool{}
	for _, r := range routes {
		if !strings.HasPrefix(r.Path, "/fhir") && !strings.HasPrefix(r.Path, "/auth") {
			continue
		}
		typ := "Patient"
		for op, of := range map[string]string{"$explain": "CarePlan", "$interpret": "Observation", "$extract": "QuestionnaireResponse", "$document": "Composition", "$lastn": "Observation", "$stats": "Observation"} {
			if strings.HasSuffix(r.Path, op) {
				typ = of
			}
		}
		seen := map[int]bool{}
		ways := attempts
		if r.Method == http.MethodHead {
			ways = attempts[:8] // the rest is as with GET
		}
		for i, at := range ways {
			if i == 0 || r.Method == http.MethodDelete || r.Method == http.MethodPut || r.Method == http.MethodPatch {
				put("Patient", "there", "")
				put("Patient", "gone", "")
				s.do(t, http.MethodDelete, s.base+"/Patient/gone", "", "Authorization", wide)
				if typ != "Patient" {
					put(typ, "there", `,"subject":{"reference":"Patient/there"}`)
				}
			}
			path := strings.NewReplacer(":type", typ, ":id", at.id, ":version", "1", ":inside", "Observation").Replace(r.Path)
			if at.query != "" {
				path += "?" + at.query
			}
			body := at.body
			if body == "" && (r.Method == http.MethodPost || r.Method == http.MethodPut) && !strings.HasSuffix(r.Path, "_search") && !strings.HasPrefix(r.Path, "/auth") {
				body = withID(at.id)
			}
			headers := append([]string{"Authorization", wide}, at.headers...)
			for i, h := range headers {
				if h == "narrow" {
					headers[i] = narrow
				}
			}
			a := s.do(t, r.Method, s.URL+path, body, headers...)
			seen[a.status], all[a.status] = true, true
		}
		// Methods that the route has not.
		for _, method := range []string{http.MethodTrace, http.MethodOptions, http.MethodDelete} {
			path := strings.NewReplacer(":type", "Metadata", ":id", "there", ":version", "1", ":inside", "Observation").Replace(r.Path)
			a := s.do(t, method, s.URL+path, "", "Authorization", wide)
			all[a.status] = true
		}
		if len(seen) < 2 && r.Path != "/fhir/panics" && !strings.HasPrefix(r.Path, "/auth") && !strings.HasSuffix(r.Path, ".well-known/smart-configuration") {
			t.Errorf("%s %s: nothing but %v", r.Method, r.Path, seen)
		}
		outcomes[r.Method+" "+r.Path] = seen
	}
	a := s.do(t, http.MethodPost, s.base+"/Observation", `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"72514-3"}]},"valueInteger":99}`, "Authorization", wide)
	all[a.status] = true
	for _, status := range []int{200, 201, 204, 304, 400, 401, 403, 404, 405, 406, 410, 412, 413, 415, 422, 500} {
		if !all[status] {
			t.Errorf("nothing ended with %d", status)
		}
	}
	for _, r := range slices.Sorted(maps.Keys(outcomes)) {
		t.Log(r, slices.Sorted(maps.Keys(outcomes[r])))
	}
}

func TestWhoIsThrottledIsLogged(t *testing.T) {
	s := start(t, setup{options: func(o *Options) { o.Rate = Rate{PerSecond: 0.001, Burst: 1} }})
	s.do(t, http.MethodGet, s.base+"/Patient/a", "").want(t, http.StatusNotFound, "")
	s.do(t, http.MethodGet, s.base+"/Patient/a", "").want(t, http.StatusTooManyRequests, "throttled")
	records := s.logged(t, 0)
	if last := records[len(records)-1]; last.Status != http.StatusTooManyRequests || last.Reason != "throttled" {
		t.Errorf("%+v", last)
	}
}

// What a record says of a search: which versions were shown, of which patients, and on whose behalf.
func TestRecordsSayWhatWasDisclosed(t *testing.T) {
	s, c := startWithTokens(t, setup{})
	wide := "Bearer " + s.token(t, c, "system/*.cruds")
	do := func(method, path, body string, headers ...string) {
		t.Helper()
		if a := s.do(t, method, s.base+path, body, append([]string{"Authorization", wide}, headers...)...); a.status >= 300 && a.status != http.StatusNotModified {
			t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
		}
	}
	for _, id := range []string{"a", "b"} {
		do("PUT", "/Patient/"+id, withID(id))
		do("PUT", "/Observation/o"+id, `{"resourceType":"Observation","id":"o`+id+`","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/`+id+`"}}`)
	}
	do("PUT", "/Observation/oa", `{"resourceType":"Observation","id":"oa","status":"amended","code":{"text":"x"},"subject":{"reference":"Patient/b"}}`) // it was b's
	for _, ask := range []struct{ method, path, want string }{
		{"GET", "/Observation/oa", "read [Observation/oa/2] of [b]"},
		{"GET", "/Observation/oa/_history/1", "vread [Observation/oa/1] of [a]"},
		{"GET", "/Observation/oa/_history", "history-instance [Observation/oa/2 Observation/oa/1] of [a b]"},
		{"GET", "/Observation?subject=Patient/b&_sort=_id", "search-type [Observation/oa/2 Observation/ob/1] of [b]"},
		{"GET", "/Observation?_id=ob&_include=Observation:subject", "search-type [Observation/ob/1 Patient/b/1] of [b]"},
		{"GET", "/Patient?_revinclude=Observation:subject&_id=b&_sort=_id", "search-type [Patient/b/1 Observation/oa/2 Observation/ob/1] of [b]"},
		{"GET", "/Observation?_summary=count", "search-type [] of []"},
		{"GET", "/Observation/nobody", "read [] of []"},
		{"GET", "/Patient/b/$everything", "operation [Patient/b/1 Observation/oa/2 Observation/ob/1] of [b]"},
		{"DELETE", "/Observation/oa", "delete [Observation/oa/3] of [b]"},
	} {
		s.do(t, ask.method, s.base+ask.path, "", "Authorization", wide, "X-Purpose-Of-Use", "BTG", "X-Break-Glass-Reason", "unconscious")
		records := s.logged(t, 0)
		last := records[len(records)-1]
		var shown []string
		for _, v := range last.Shown {
			shown = append(shown, fmt.Sprintf("%s/%s/%d", v.Type, v.ID, v.Version))
		}
		if ask.method == "GET" && strings.Contains(ask.path, "$everything") {
			slices.Sort(shown[1:])
		}
		if got := fmt.Sprintf("%s %v of %v", last.Code, shown, last.Patients); got != ask.want {
			t.Errorf("%s %s: %s, not %s", ask.method, ask.path, got, ask.want)
		}
		if last.Agent.Client != "engine" || last.Agent.TokenID == "" || last.Agent.Issuer == "" || last.Agent.Address != "127.0.0.1" {
			t.Errorf("%s %s: by %+v", ask.method, ask.path, last.Agent)
		}
		if fmt.Sprint(last.Purposes) != "[BTG]" || last.Emergency != "unconscious" {
			t.Errorf("%s %s: for %v, because of %q", ask.method, ask.path, last.Purposes, last.Emergency)
		}
		if len(last.Trace) != 32 || len(last.Span) != 16 {
			t.Errorf("%s %s: trace %q, span %q", ask.method, ask.path, last.Trace, last.Span)
		}
	}
	if first := s.logged(t, 0)[1]; first.Code != audit.TokenIssued || first.Agent.Client != "engine" || first.Agent.TokenID == "" {
		t.Errorf("the token: %+v", first)
	}
}

// A token that somebody puts into a URL or a form is not kept.
func TestNoTokenIsKept(t *testing.T) {
	for in, want := range map[string]string{
		"name=x&access_token=abc":       "name=x&access_token=",
		"access%5Ftoken=abc&name=x":     "access%5Ftoken=&name=x",
		"Access_Token=a=b":              "Access_Token=",
		"name=access_token&token=%zz&&": "name=access_token&token=%zz&&",
		"":                              "",
	} {
		if got := withoutTokens(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
