package api

import (
	"net/http"
	"strings"
	"testing"

	"aftercare/service"
)

const tagParameters = `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"system":"http://x.example","code":"a"}]}}]}`

func TestOperations(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	put(t, s, "gone")
	s.do(t, http.MethodDelete, s.base+"/Patient/gone", "").want(t, 204, "")
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		code, contains           string
	}{
		{"everything by GET", "GET", "/Patient/p1/$everything?_count=10", "", 200, "", `"type":"searchset"`},
		{"everything by HEAD", "HEAD", "/Patient/p1/$everything", "", 200, "", ""},
		{"everything, escaped", "GET", "/Patient/p1/%24everything", "", 200, "", `"fullUrl":"` + publicBase + `/Patient/p1"`},
		{"everything by POST", "POST", "/Patient/p1/$everything", `{"resourceType":"Parameters","parameter":[{"name":"_type","valueCode":"Patient"}]}`, 200, "", `"id":"p1"`},
		{"everything by POST without a body", "POST", "/Patient/p1/$everything", "", 200, "", `"id":"p1"`},
		{"everything, indented", "GET", "/Patient/p1/$everything?_pretty=true&_format=json", "", 200, "", "\n  \"resourceType\""},
		{"everything of nobody", "GET", "/Patient/nobody/$everything", "", 404, "not-found", ""},
		{"everything of a deleted", "GET", "/Patient/gone/$everything", "", 410, "deleted", ""},
		{"everything of all", "GET", "/Patient/$everything", "", 404, "not-supported", ""},
		{"everything of a Goal", "GET", "/Goal/g/$everything", "", 404, "not-supported", ""},
		{"everything of an id that cannot be", "GET", "/Patient/a_b/$everything", "", 404, "not-found", ""},
		{"unknown operation", "POST", "/Patient/p1/$nothing", "", 404, "not-supported", ""},
		{"unknown operation of a type", "POST", "/Patient/$nothing", "", 404, "not-supported", ""},
		{"unknown operation of the system", "POST", "/$nothing", "", 404, "not-supported", ""},
		{"everything of all, by POST", "POST", "/Patient/$everything", "", 404, "not-supported", ""},
		{"unknown parameter", "GET", "/Patient/p1/$everything?colour=red", "", 400, "not-supported", "http.colour"},
		{"body that is no JSON", "POST", "/Patient/p1/$everything", "{", 400, "structure", ""},
		{"lastn", "GET", "/Observation/$lastn?patient=p1&code=1&max=3", "", 200, "", `"total":0`},
		{"stats", "GET", "/Observation/$stats?subject=Patient/p1&code=1&system=http://x.example&statistic=count", "", 200, "", `"name":"statistics"`},
		{"document of nothing", "GET", "/Composition/c/$document", "", 404, "not-found", ""},
		{"meta of a resource", "GET", "/Patient/p1/$meta", "", 200, "", `"versionId":"1"`},
		{"meta of a version", "GET", "/Patient/p1/_history/1/$meta", "", 200, "", `"versionId":"1"`},
		{"meta of a type", "GET", "/Patient/$meta", "", 200, "", "valueMeta"},
		{"meta of what the log holds", "POST", "/AuditEvent/$meta", "", 404, "not-supported", ""},
		{"meta of the system", "GET", "/$meta", "", 200, "", "valueMeta"},
		{"meta-add by GET", "GET", "/Patient/p1/$meta-add", "", 405, "not-supported", ""},
		{"meta-add", "POST", "/Patient/p1/$meta-add", tagParameters, 200, "", `"code":"a"`},
		{"meta-delete", "POST", "/Patient/p1/$meta-delete", tagParameters, 200, "", `"versionId":"3"`},
		{"meta-add of a read-only type", "POST", "/AuditEvent/x/$meta-add", tagParameters, 405, "not-supported", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.do(t, c.method, s.base+c.path, c.body).want(t, c.status, c.code)
			if !strings.Contains(a.body, c.contains) {
				t.Errorf("no %s in %s", c.contains, a.body)
			}
		})
	}
}

func TestMetaOperationsKeepToVersions(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	a := s.do(t, http.MethodPost, s.base+"/Patient/p1/$meta-add", tagParameters, "If-Match", `W/"1"`).want(t, 200, "")
	if got := a.header.Get("ETag"); got != `W/"2"` {
		t.Errorf("ETag %s", got)
	}
	s.do(t, http.MethodPost, s.base+"/Patient/p1/$meta-delete", tagParameters, "If-Match", `W/"1"`).want(t, 412, "conflict")
	s.do(t, http.MethodPost, s.base+"/Patient/p1/$meta-add", tagParameters, "Content-Type", "application/xml").want(t, 415, "not-supported")
}

// A page link leads back to the service whatever its base is called outside.
func TestEverythingCanBePaged(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	for _, id := range []string{"a", "b"} {
		s.do(t, http.MethodPut, s.base+"/Observation/"+id, `{"resourceType":"Observation","id":"`+id+`","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p1"}}`).want(t, 201, "")
	}
	url, seen := s.base+"/Patient/p1/$everything?_count=1", ""
	for pages := 0; url != ""; pages++ {
		if pages > 3 {
			t.Fatal("the pages do not end")
		}
		body := s.do(t, http.MethodGet, url, "").want(t, 200, "").body
		for _, id := range []string{"p1", "a", "b"} {
			if strings.Contains(body, `"id":"`+id+`"`) {
				seen += id + " "
			}
		}
		_, next, found := strings.Cut(body, `{"relation":"next","url":"`+publicBase)
		if url = ""; found {
			next, _, _ = strings.Cut(next, `"`)
			url = s.base + next
		}
	}
	if seen != "p1 a b " {
		t.Errorf("seen: %s", seen)
	}
}

func TestOperationsWithABrokenStore(t *testing.T) {
	s := start(t, setup{})
	s.breakStore()
	for _, path := range []string{
		"/Patient/p1/$everything", "/Observation/$lastn?patient=p1&code=1", "/Composition/c/$document", "/$meta", "/Patient/$meta", "/Patient/p1/$meta", "/Patient/p1/_history/1/$meta",
		"/Observation/$stats?subject=Patient/p1&code=1&system=http://x.example&statistic=count",
	} {
		s.do(t, http.MethodGet, s.base+path, "").want(t, http.StatusServiceUnavailable, "transient")
	}
	for _, name := range []string{"meta-add", "meta-delete"} {
		s.do(t, http.MethodPost, s.base+"/Patient/p1/$"+name, tagParameters).want(t, http.StatusServiceUnavailable, "transient")
	}
}

// Each operation that is listed has a route at each level that it is listed for.
func TestEachListedOperationHasItsRoutes(t *testing.T) {
	s := start(t, setup{})
	for _, o := range service.Operations() {
		typ := "Goal"
		if len(o.Types) > 0 {
			typ = o.Types[0]
		}
		for path, offered := range map[string]bool{
			"/$" + o.Name: o.OnSystem, "/" + typ + "/$" + o.Name: o.OnType,
			"/" + typ + "/x/$" + o.Name: o.OnInstance, "/" + typ + "/x/_history/1/$" + o.Name: o.OnVersion,
		} {
			a := s.do(t, http.MethodPost, s.base+path, "")
			// An operation that is offered may refuse: what is asked for is not there.
			if missing := a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed; missing && offered && a.issues(t)[0].Code != "not-found" || !missing && !offered {
				t.Errorf("%s: offered is %t, and POST gives %d %s", path, offered, a.status, a.body)
			}
			if got := s.do(t, http.MethodOptions, s.base+path, "").header.Get("Allow"); offered && (o.Changes == strings.Contains(got, "GET") || !strings.Contains(got, "POST")) {
				t.Errorf("%s: Allow = %q", path, got)
			}
		}
	}
}
