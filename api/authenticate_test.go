package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aftercare/api/auth"
	"aftercare/service"
	"aftercare/service/permission"
	"aftercare/service/store"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// client is a program that may get tokens.
type client struct{ key *ecdsa.PrivateKey }

// assertion says who the client is.
func (c *client) assertion(t testing.TB) string {
	t.Helper()
	a := jwt.NewWithClaims(jwt.SigningMethodES384, jwt.MapClaims{
		"iss": "engine", "sub": "engine", "aud": "https://clinic.example/auth/token", "exp": time.Now().Add(time.Minute).Unix(), "jti": rand.Text(),
	})
	a.Header["kid"] = "1"
	signed, err := a.SignedString(c.key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// startWithTokens is start where callers need tokens, with a client that may get some.
func startWithTokens(t testing.TB, s setup) (*server, *client) {
	t.Helper()
	c := &client{}
	var err error
	if c.key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &c.key.PublicKey, KeyID: "1"}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "clients.json")
	if err := os.WriteFile(file, []byte(`[{"client_id":"engine","jwks":`+string(set)+`,"scope":"system/*.cruds","break_glass":true}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "clients.db"), store.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	roles, err := permission.ReadRoles(nil)
	if err != nil {
		t.Fatal(err)
	}
	more := s.options
	s.options = func(o *Options) {
		if o.Auth, err = auth.New(t.Context(), auth.Options{BaseURL: publicBase, ClientsFile: file, Store: db, Keys: t.TempDir(), Roles: roles, Logger: o.Logger}); err != nil {
			t.Fatal(err)
		}
		if more != nil {
			more(o)
		}
	}
	return start(t, s), c
}

// token gets a token for the client.
func (s *server) token(t testing.TB, c *client, scope string) string {
	t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion": {c.assertion(t)}, "scope": {scope},
	}
	res, err := s.Client().PostForm(s.URL+"/auth/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatal(res.Status, err)
	}
	return answer.Token
}

func TestEverythingUnderTheBaseNeedsAToken(t *testing.T) {
	s, c := startWithTokens(t, setup{})
	bearer := "Bearer " + s.token(t, c, "system/*.cruds")
	s.do(t, http.MethodPut, s.base+"/Patient/there", withID("there"), "Authorization", bearer).want(t, http.StatusCreated, "")
	for _, line := range []string{
		"GET /fhir", "GET /fhir/", "POST /fhir", "GET /fhir/_history", "POST /fhir/_search", "GET /fhir/Patient", "POST /fhir/Patient", "GET /fhir/Patient/there",
		"HEAD /fhir/Patient/there", "GET /fhir/Patient/nobody", "PUT /fhir/Patient/there", "PATCH /fhir/Patient/there", "DELETE /fhir/Patient/there",
		"GET /fhir/Patient/there/_history", "GET /fhir/Patient/there/_history/1", "GET /fhir/Patient/there/*", "GET /fhir/Patient/there/$everything",
		"POST /fhir/$interpret-pain", "GET /fhir/Nonsense", "GET /fhir/a/b/c/d/e/f", "POST /fhir/metadata", "GET /fhir/metadata/x", "TRACE /fhir/Patient", "PUT /fhir/.well-known/smart-configuration",
		"GET /fhir//metadata", "GET /fhir/Patient/../metadata", "GET /fhir/metadata/",
	} {
		method, path, _ := strings.Cut(line, " ")
		a := s.do(t, method, s.URL+path, "")
		if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") != `Bearer realm="aftercare"` {
			t.Errorf("%s: %d %s %v", line, a.status, a.body, a.header["Www-Authenticate"])
		}
		if method != http.MethodHead && a.issues(t)[0].Code != "login" {
			t.Errorf("%s: %s", line, a.body)
		}
	}
	for line, status := range map[string]int{"GET /auth/token": 405, "PUT /auth/introspect": 405, "POST /auth/jwks": 405, "GET /auth": 404, "POST /auth/register": 404, "GET /": 404} {
		method, path, _ := strings.Cut(line, " ")
		if a := s.do(t, method, s.URL+path, ""); a.status != status {
			t.Errorf("%s: %d %s", line, a.status, a.body)
		}
	}
	// What is there and what is not look the same.
	first, second := s.do(t, http.MethodGet, s.base+"/Patient/there", ""), s.do(t, http.MethodGet, s.base+"/Patient/nobody", "")
	for _, a := range []*answer{&first, &second} {
		a.header.Del("X-Request-Id")
		a.header.Del("Audit-Receipt")
		a.header.Del("Date")
	}
	if first.body != second.body || len(first.header) != len(second.header) {
		t.Errorf("%v\n%v", first, second)
	}
	for _, line := range []string{"GET /fhir/metadata", "HEAD /fhir/metadata", "GET /fhir/.well-known/smart-configuration", "GET /healthz", "GET /readyz", "GET /metrics"} {
		method, path, _ := strings.Cut(line, " ")
		if a := s.do(t, method, s.URL+path, "", "Authorization", "Bearer nonsense"); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", line, a.status, a.body)
		}
	}
	if a := s.do(t, http.MethodOptions, s.base+"/Patient", ""); a.status != http.StatusNoContent || !strings.Contains(a.header.Get("Allow"), "POST") {
		t.Errorf("OPTIONS: %d %v", a.status, a.header)
	}
	s.do(t, http.MethodGet, s.base+"/Patient/there", "", "Authorization", bearer).want(t, http.StatusOK, "")
}

func TestRefusedTokensAreNotLogged(t *testing.T) {
	s, c := startWithTokens(t, setup{})
	good := s.token(t, c, "system/Patient.rs")
	s.logs.reset()
	for _, send := range []struct {
		url     string
		headers []string
		status  int
	}{
		{"/Patient/there", []string{"Authorization", "Bearer " + good + "x"}, http.StatusUnauthorized},
		{"/Patient/there?access_token=" + good, nil, http.StatusBadRequest},
		{"/Patient?access_token=" + good, []string{"Authorization", "Bearer " + good}, http.StatusBadRequest},
	} {
		a := s.do(t, http.MethodGet, s.base+send.url, "", send.headers...)
		if a.status != send.status || strings.Contains(a.body, good) || strings.Contains(a.header.Get("WWW-Authenticate"), good) || !strings.Contains(a.header.Get("WWW-Authenticate"), "error=") {
			t.Errorf("%d %s %v", a.status, a.body, a.header)
		}
	}
	lines := s.logs.lines(t)
	if len(lines) != 3 || lines[0]["token"] != "malformed" && lines[0]["token"] != "signature" || lines[1]["token"] != "in URL" {
		t.Errorf("the log: %v", lines)
	}
	var metrics metricdata.ResourceMetrics
	if err := s.meters.Collect(t.Context(), &metrics); err != nil {
		t.Fatal(err)
	}
	if all := fmt.Sprintf("%+v", metrics); !strings.Contains(all, "aftercare.auth.refused") || !strings.Contains(all, "in URL") || strings.Contains(all, "eyJ") {
		t.Errorf("the metrics: %s", all)
	}
	if strings.Contains(s.logs.String(), "eyJ") {
		t.Errorf("the log has a token: %s", s.logs)
	}
	for _, span := range s.spans.GetSpans() {
		for _, attribute := range span.Attributes {
			if strings.Contains(attribute.Value.String(), "eyJ") {
				t.Errorf("a span has a token: %v", attribute)
			}
		}
	}
}

// What a token says reaches those who decide, together with the headers.
func TestPrincipalOfARequest(t *testing.T) {
	var who service.Principal
	s, c := startWithTokens(t, setup{routes: func(a *api, r *gin.Engine) {
		r.GET("/fhir/who/am/i/then", append(a.around(), a.handle(func(c *call) error {
			who = c.principal()
			return c.replyEmpty(http.StatusNoContent)
		}))...)
	}})
	bearer := "Bearer " + s.token(t, c, "system/Patient.rs")
	ask := func(headers ...string) answer {
		who = service.Principal{}
		return s.do(t, http.MethodGet, s.base+"/who/am/i/then", "", append([]string{"Authorization", bearer}, headers...)...)
	}
	ask().want(t, http.StatusNoContent, "")
	if who.Client != "engine" || len(who.Grants) != 2 || who.Unbounded || len(who.Purposes) > 0 || who.Emergency != "" {
		t.Errorf("%+v", who)
	}
	ask(auth.PurposeHeader, "TREAT, HPAYMT").want(t, http.StatusNoContent, "")
	if strings.Join(who.Purposes, " ") != "TREAT HPAYMT" {
		t.Errorf("%+v", who)
	}
	ask(auth.PurposeHeader, "BTG", auth.EmergencyHeader, "unconscious, allergies unknown").want(t, http.StatusNoContent, "")
	if who.Emergency != "unconscious, allergies unknown" {
		t.Errorf("%+v", who)
	}
	ask().want(t, http.StatusNoContent, "")
	if who.Emergency != "" || len(who.Purposes) > 0 {
		t.Errorf("what an earlier request said is left: %+v", who)
	}
	for name, headers := range map[string][]string{
		"an unknown purpose":            {auth.PurposeHeader, "CURIOSITY"},
		"an empty purpose":              {auth.PurposeHeader, ""},
		"a purpose in lower case":       {auth.PurposeHeader, "treat"},
		"an emergency without a reason": {auth.PurposeHeader, "BTG"},
		"a reason of blanks":            {auth.PurposeHeader, "BTG", auth.EmergencyHeader, "  "},
		"a reason without an emergency": {auth.EmergencyHeader, "unconscious"},
		"a reason that is too long":     {auth.PurposeHeader, "BTG", auth.EmergencyHeader, strings.Repeat("x", 501)},
	} {
		if name == "an empty purpose" {
			continue // the test's client leaves the header out
		}
		if a := ask(headers...); a.status != http.StatusBadRequest || who.Name != "" {
			t.Errorf("%s: %d %+v", name, a.status, who)
		}
	}
}

// A browser asks before it sends a token along, and shows its page why one was refused.
func TestPreflightsNeedNoToken(t *testing.T) {
	const origin = "https://dashboard.example"
	s, _ := startWithTokens(t, setup{options: func(o *Options) { o.CORSOrigins = []string{origin} }})
	a := s.do(t, http.MethodOptions, s.base+"/Patient/p1", "", "Origin", origin, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization").want(t, http.StatusNoContent, "")
	for _, header := range []string{"Authorization", auth.PurposeHeader, auth.EmergencyHeader} {
		if !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), header) {
			t.Errorf("%s may not be sent: %v", header, a.header)
		}
	}
	a = s.do(t, http.MethodGet, s.base+"/Patient/p1", "", "Origin", origin).want(t, http.StatusUnauthorized, "login")
	if a.header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
		t.Errorf("%v", a.header)
	}
	a = s.do(t, http.MethodGet, s.base+auth.DiscoveryPath, "", "Origin", origin, "Accept", "text/html").want(t, http.StatusOK, "")
	if a.header.Get("Access-Control-Allow-Origin") != origin || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("discovery: %v", a.header)
	}
	open := start(t, setup{})
	open.do(t, http.MethodGet, open.base+auth.DiscoveryPath, "").want(t, http.StatusNotFound, "")
}

func TestMetricsAreForThisMachine(t *testing.T) {
	s, _ := startWithTokens(t, setup{})
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "Via"} {
		s.do(t, http.MethodGet, s.URL+"/metrics", "", header, "for=10.0.0.1").want(t, http.StatusNotFound, "not-found")
	}
	open := start(t, setup{})
	open.do(t, http.MethodGet, open.URL+"/metrics", "", "Via", "1.1 proxy").want(t, http.StatusOK, "")
}

func TestTooManyRequests(t *testing.T) {
	limited := func(o *Options) { o.Rate = Rate{PerSecond: 0.001, Burst: 3} }
	t.Run("without tokens they count for the address", func(t *testing.T) {
		s := start(t, setup{options: limited})
		for range 3 {
			s.do(t, http.MethodGet, s.base+"/Patient/x", "").want(t, http.StatusNotFound, "")
		}
		a := s.do(t, http.MethodGet, s.base+"/Patient/x", "").want(t, http.StatusTooManyRequests, "throttled")
		if a.header.Get("Retry-After") == "" || a.header.Get("Retry-After") == "0" {
			t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
		}
		s.do(t, http.MethodGet, s.URL+"/healthz", "").want(t, http.StatusOK, "")
	})
	t.Run("a client has requests of its own", func(t *testing.T) {
		s, c := startWithTokens(t, setup{options: limited})
		bearer := []string{"Authorization", "Bearer " + s.token(t, c, "system/*.cruds")}             // the first of the address
		s.do(t, http.MethodGet, s.base+"/Patient/x", "", bearer...).want(t, http.StatusNotFound, "") // the second, of both
		s.do(t, http.MethodGet, s.base+"/Patient/x", "").want(t, http.StatusUnauthorized, "")        // the last
		s.do(t, http.MethodGet, s.base+"/Patient/x", "").want(t, http.StatusTooManyRequests, "throttled")
		s.do(t, http.MethodGet, s.base+"/Patient/x", "", "Authorization", "Bearer forged").want(t, http.StatusTooManyRequests, "throttled")
		for range 2 { // one who is known is not held up by others at the same address
			s.do(t, http.MethodGet, s.base+"/Patient/x", "", bearer...).want(t, http.StatusNotFound, "")
		}
		s.do(t, http.MethodGet, s.base+"/Patient/x", "", bearer...).want(t, http.StatusTooManyRequests, "throttled")
	})
}
