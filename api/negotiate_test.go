package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/fhir/search"

	"github.com/gin-gonic/gin"
)

func TestAccept(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                                      true,
		"*/*":                                   true,
		"*":                                     true,
		"application/*":                         true,
		"application/fhir+json":                 true,
		"Application/FHIR+JSON":                 true,
		"application/json":                      true,
		"text/json":                             true,
		"application/fhir+json;fhirVersion=4.0": true,
		"application/fhir+xml, */*;q=0.1":       true,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true,
		"text/html, image/gif, image/jpeg, *; q=.2":                       true,
		"application/fhir+json;q=0.001":                                   true,
		"application/fhir+xml;q=1,application/json;q=0.5":                 true,

		"application/fhir+xml":                       false,
		"application/xml":                            false,
		"text/html":                                  false,
		"text/*":                                     false,
		"application/fhir+json;q=0":                  false,
		"*/*;q=0":                                    false,
		"application/fhir+json;q=0, */*":             false,
		"application/*;q=0, */*;q=1":                 false,
		"application/fhir+json;fhirVersion=3.0":      false,
		"application/fhir+json;fhirVersion=5.0, a/b": false,
		"application/fhir+json;q=high":               false,
		"nonsense;;;=":                               false,
	} {
		h := http.Header{}
		if accept != "" {
			h.Set("Accept", accept)
		}
		if got := acceptable(h, nil) == nil; got != want {
			t.Errorf("Accept: %s: %v, want %v", accept, got, want)
		}
	}
}

// acceptable is negotiate for what answers in FHIR JSON alone.
func acceptable(h http.Header, pairs []search.Pair) error {
	_, err := negotiate(h, pairs, nil)
	return err
}

// An operation that draws too answers in what is wanted most, and in FHIR JSON where both are
// wanted as much.
func TestPicturesAreNegotiated(t *testing.T) {
	pictures := []string{"image/svg+xml", "image/png"}
	const refused = "refused"
	for _, c := range []struct{ accept, format, want string }{
		{"", "", ""},
		{"*/*", "", ""},
		{"application/fhir+json", "", ""},
		{"image/svg+xml", "", "image/svg+xml"},
		{"image/png", "", "image/png"},
		{"IMAGE/PNG", "", "image/png"},
		{"image/*", "", "image/svg+xml"},
		{"image/png, image/svg+xml;q=0.5", "", "image/png"},
		{"image/png;q=0.3, application/json;q=0.4", "", ""},
		{"image/svg+xml, application/fhir+json", "", ""},
		{"image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", "", "image/svg+xml"},
		{"image/svg+xml;q=0, image/*", "", "image/png"},
		{"image/gif", "", refused},
		{"image/png;q=0", "", refused},
		{"text/html", "", refused},
		{"text/html", "svg", "image/svg+xml"},
		{"image/png", "json", ""},
		{"", "png", "image/png"},
		{"", "image/png", "image/png"},
		{"", "image/svg+xml", "image/svg+xml"},
		{"", "image/svg xml", "image/svg+xml"},
		{"image/png", "xml", refused},
		{"image/png", "gif", refused},
	} {
		h, pairs := http.Header{}, []search.Pair(nil)
		if c.accept != "" {
			h.Set("Accept", c.accept)
		}
		if c.format != "" {
			pairs = []search.Pair{{Name: "_format", Value: c.format}}
		}
		got, err := negotiate(h, pairs, pictures)
		if err != nil {
			got = refused
		}
		if got != c.want {
			t.Errorf("Accept: %s, _format=%s: %q, want %q", c.accept, c.format, got, c.want)
		}
		if got == c.want && strings.HasPrefix(got, "image/") && !strings.Contains(c.accept, "*") {
			if _, err := negotiate(h, pairs, nil); err == nil {
				t.Errorf("Accept: %s, _format=%s: given where nothing is drawn", c.accept, c.format)
			}
		}
	}
}

func TestAcceptOverSeveralHeaders(t *testing.T) {
	h := http.Header{"Accept": {"application/xml", "application/json"}}
	if acceptable(h, nil) != nil {
		t.Error("the second header is not seen")
	}
}

func TestFormatOverridesAccept(t *testing.T) {
	for format, want := range map[string]bool{
		"json": true, "application/json": true, "application/fhir+json": true, "application/fhir json": true, "text/json": true,
		"application/fhir+json;fhirVersion=4.0": true, "application/fhir+json; fhirVersion=3.0": false,
		"xml": false, "application/fhir+xml": false, "html": false, "ttl": false, "jsonx": false, "*/*": false,
	} {
		for _, accept := range []string{"application/fhir+xml", "application/fhir+json"} {
			h := http.Header{"Accept": {accept}}
			if got := acceptable(h, []search.Pair{{Name: "_format", Value: format}}) == nil; got != want {
				t.Errorf("_format=%s with Accept: %s: %v, want %v", format, accept, got, want)
			}
		}
	}
	if acceptable(http.Header{"Accept": {"application/xml"}}, []search.Pair{{Name: "_format"}}) == nil {
		t.Error("an empty _format overrides")
	}
}

func TestFormatOverHTTP(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	s.do(t, http.MethodGet, s.base+"/Patient/p1?_format=xml", "").want(t, 406, "not-supported")
	s.do(t, http.MethodGet, s.base+"/Patient/p1?_format=application/fhir+json", "", "Accept", "text/xml").want(t, 200, "")
	s.do(t, http.MethodPost, s.base+"/Patient/_search", url.Values{"_format": {"xml"}}.Encode(), "Content-Type", formType).want(t, 406, "not-supported")
	a := s.do(t, http.MethodGet, s.base+"/Patient/p1", "", "Accept", "application/json").want(t, 200, "")
	if a.header.Get("Content-Type") != contentType {
		t.Errorf("Content-Type = %q", a.header.Get("Content-Type"))
	}
}

func TestContentType(t *testing.T) {
	s := start(t, setup{})
	for _, c := range []struct {
		name, contentType, encoding string
		status                      int
	}{
		{"FHIR JSON", "application/fhir+json", "", 201},
		{"FHIR JSON with charset", "application/fhir+json; charset=UTF-8", "", 201},
		{"FHIR JSON, quoted charset", `application/fhir+json;charset="utf-8"`, "", 201},
		{"FHIR JSON, version 4.0", "application/fhir+json; fhirVersion=4.0", "", 201},
		{"JSON", "application/json", "", 201},
		{"text JSON", "text/json", "", 201},
		{"in capitals", "APPLICATION/FHIR+JSON", "", 201},
		{"identity encoding", "application/fhir+json", "identity", 201},
		{"none", "", "", 415},
		{"FHIR XML", "application/fhir+xml", "", 415},
		{"XML", "text/xml", "", 415},
		{"plain text", "text/plain", "", 415},
		{"form", formType, "", 415},
		{"JSON Patch", "application/json-patch+json", "", 415},
		{"latin-1", "application/fhir+json; charset=iso-8859-1", "", 415},
		{"utf-16", "application/fhir+json; charset=utf-16", "", 415},
		{"FHIR version 3.0", "application/fhir+json; fhirVersion=3.0", "", 415},
		{"FHIR version 5.0", "application/fhir+json; fhirVersion=5.0", "", 415},
		{"nonsense", "application/fhir+json; charset", "", 415},
		{"gzip", "application/fhir+json", "gzip", 415},
		{"two encodings", "application/fhir+json", "identity, gzip", 415},
	} {
		t.Run(c.name, func(t *testing.T) {
			code := ""
			if c.status == 415 {
				code = "not-supported"
			}
			s.do(t, http.MethodPost, s.base+"/Patient", patient, "Content-Type", c.contentType, "Content-Encoding", c.encoding).want(t, c.status, code)
		})
	}
}

func TestPrettyChangesWhiteSpaceOnly(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	plain := s.do(t, http.MethodGet, s.base+"/Patient/p1", "")
	pretty := s.do(t, http.MethodGet, s.base+"/Patient/p1?_pretty=true", "")
	if !strings.Contains(pretty.body, "\n  \"") || strings.Contains(plain.body, "\n") {
		t.Fatalf("plain %q, pretty %q", plain.body, pretty.body)
	}
	if strings.Join(strings.Fields(pretty.body), "") != strings.ReplaceAll(plain.body, " ", "") {
		t.Fatal("more than white space differs")
	}
}

func TestPrefer(t *testing.T) {
	for header, want := range map[string]preference{
		"":                                 {},
		"return=minimal":                   {returns: preferMinimal},
		`return="minimal"`:                 {returns: preferMinimal},
		"Return = Minimal":                 {returns: preferMinimal},
		"return=OperationOutcome; foo=bar": {returns: preferOutcome},
		"return=representation, handling=lenient": {returns: preferRepresentation, lenient: true},
		"return=minimal, return=representation":   {returns: preferMinimal},
		"return=everything":                       {},
		"handling=strict, handling=lenient":       {},
		"respond-async, wait=10,handling=lenient": {lenient: true},
		"lenient": {},
	} {
		if got := preferences(http.Header{"Prefer": {header}}); got != want {
			t.Errorf("Prefer: %s: %+v, want %+v", header, got, want)
		}
	}
	if got := preferences(http.Header{"Prefer": {"return=minimal", "handling=lenient"}}); got != (preference{preferMinimal, true}) {
		t.Errorf("two headers: %+v", got)
	}
}

func FuzzAccept(f *testing.F) {
	f.Add("application/fhir+json;q=0.5, */*;q=0.1", "application/fhir+json; charset=utf-8")
	f.Add(",;=\"", "a/b;charset")
	f.Fuzz(func(t *testing.T, accept, contentType string) {
		h := http.Header{"Accept": {accept, fhirJSON}, "Content-Type": {contentType}}
		_ = checkBody(h, formType, isForm)
		_ = checkBody(h, fhirJSON, fhir.IsJSON)
		refused := strings.Contains(accept, "/") || strings.Contains(accept, "*") || strings.Contains(accept, ";")
		if !refused && acceptable(h, nil) != nil {
			t.Errorf("FHIR JSON is named in full, and %q cannot take it back", accept)
		}
	})
}

// Every FHIR route takes _format and _pretty, for its errors too, and none takes XML.
func TestEveryRouteTakesFormatAndPretty(t *testing.T) {
	var routes gin.RoutesInfo
	s := start(t, setup{routes: func(_ *api, e *gin.Engine) { routes = e.Routes() }})
	put(t, s, "p1")
	for _, r := range routes {
		if r.Path != "/fhir" && !strings.HasPrefix(r.Path, "/fhir/") || r.Method == http.MethodDelete {
			continue
		}
		t.Run(r.Method+" "+r.Path, func(t *testing.T) {
			path := strings.NewReplacer(":type", "Patient", ":id", "p1", ":version", "1", ":inside", "Observation").Replace(r.Path)
			var body string
			var headers []string
			switch {
			case strings.HasSuffix(path, "_search"):
				body, headers = "_id=p1", []string{"Content-Type", formType}
			case (r.Path == "/fhir" || r.Path == "/fhir/") && r.Method == http.MethodPost:
				body = `{"resourceType":"Bundle","type":"batch"}`
			case r.Method == http.MethodPost, r.Method == http.MethodPut:
				body = withID("p1")
			case r.Method == http.MethodPatch:
				body, headers = `[]`, []string{"Content-Type", jsonPatch}
			}
			query := "?"
			if r.Path == "/fhir/:type" && (r.Method == http.MethodPut || r.Method == http.MethodPatch) {
				query += "_id=p1&"
			}
			plain := s.do(t, r.Method, s.URL+path+query, body, headers...)
			pretty := s.do(t, r.Method, s.URL+path+query+"_format=json&_pretty=true", body, append(headers, "Accept", "application/fhir+xml")...)
			if plain.status >= 500 || pretty.status >= 500 || (plain.status < 300) != (pretty.status < 300) {
				t.Fatalf("plain %d, with parameters %d: %s", plain.status, pretty.status, pretty.body)
			}
			if strings.Contains(plain.body, "\n") || pretty.body != "" && !strings.Contains(pretty.body, "\n  \"resourceType\"") {
				t.Errorf("plain %.80q, pretty %.80q", plain.body, pretty.body)
			}
			s.do(t, r.Method, s.URL+path+query+"_format=xml", body, headers...).want(t, 406, "")
			if refused := s.do(t, r.Method, s.URL+path+query+"_pretty=true&_format=xml", body, headers...).want(t, 406, ""); refused.body != "" && !strings.Contains(refused.body, "\n  \"resourceType\"") {
				t.Errorf("the error is not pretty: %q", refused.body)
			}
			if body != "" {
				s.do(t, r.Method, s.URL+path+query, "<Patient/>", "Content-Type", "application/fhir+xml").want(t, 415, "not-supported")
			}
		})
	}
}
