package auth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aftercare/service/permission"

	"github.com/golang-jwt/jwt/v5"
	"pgregory.net/rapid"
)

var assertionNumber atomic.Int64

// assertion are the claims that a client shows who it is by; each call makes another jti.
func (f *fixture) assertion(client string) jwt.MapClaims {
	return jwt.MapClaims{"iss": client, "sub": client, "aud": tokenURL, "exp": f.clock.in(time.Minute), "jti": fmt.Sprint("a", assertionNumber.Add(1))}
}

// form is a request for a token.
func form(assertion, scope string) url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {assertion}, "scope": {scope},
	}
}

// ask posts a form to a handler and reads the answer, which is always JSON that nobody keeps.
func ask(t testing.TB, handler func(http.ResponseWriter, *http.Request, Seen), form url.Values, headers ...string) (status int, answer map[string]any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, tokenURL, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	handler(w, r, func(permission.Principal) {})
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" || h.Get("Content-Type") != "application/json" {
		t.Errorf("headers: %v", h)
	}
	return w.Code, answer
}

// tokenFor gets a token for a client.
func (f *fixture) tokenFor(t testing.TB, client, scope string) string {
	t.Helper()
	status, answer := ask(t, f.ServeToken, form(token(t, "ES384", f.assertion(client)), scope))
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, answer)
	}
	return answer["access_token"].(string)
}

func TestClientsGetTokens(t *testing.T) {
	f := newFixture(t, nil)
	for _, alg := range []string{"RS384", "ES384"} {
		status, answer := ask(t, f.ServeToken, form(token(t, alg, f.assertion("engine")), "system/Patient.rs system/Procedure.cu"))
		if status != http.StatusOK || answer["token_type"] != "bearer" || answer["expires_in"] != 300.0 || answer["scope"] != "system/Patient.rs system/Procedure.cu" {
			t.Fatalf("%s: %d %v", alg, status, answer)
		}
		got := answer["access_token"].(string)
		p, err := f.Authenticate(request(got))
		if err != nil {
			t.Fatal(err)
		}
		if p.Client != "engine" || p.Name != "engine" || p.Subject != "engine" || p.Issuer != "https://clinic.example/auth" || p.TokenID == "" || p.Unbounded || p.Patient != "" {
			t.Errorf("%+v", p)
		}
		if len(p.Grants) != 2 || !p.Access("Patient", permission.OfPatient, permission.Read).All() || !p.Access("Procedure", permission.OfPatient, permission.Delete).None() {
			t.Errorf("it may: %+v", p.Grants)
		}
		// Any program can verify it by the keys that are published.
		w := httptest.NewRecorder()
		f.ServeKeys(w, httptest.NewRequest(http.MethodGet, "https://clinic.example/auth/jwks", nil))
		keys, left, err := parseJWKS(w.Body.Bytes())
		if err != nil || len(left) > 0 || len(keys) != 1 || strings.Contains(w.Body.String(), `"d"`) {
			t.Fatalf("%s, %v, %v", w.Body, left, err)
		}
		parsed, err := jwt.Parse(got, func(*jwt.Token) (any, error) { return keys[0].public, nil }, jwt.WithTimeFunc(f.clock.now), jwt.WithValidMethods([]string{"ES256"}))
		if err != nil || parsed.Header["kid"] != keys[0].kid || parsed.Header["typ"] != "at+jwt" {
			t.Errorf("%v, %v", parsed, err)
		}
	}
	f.clock.add(TokenLife)
}

func TestAssertionsThatAreRefused(t *testing.T) {
	f := newFixture(t, nil)
	good := func() jwt.MapClaims { return f.assertion("engine") }
	claim := func(name string, value any) string {
		return token(t, "ES384", withClaims(good(), jwt.MapClaims{name: value}))
	}
	used := token(t, "ES384", good())
	if status, answer := ask(t, f.ServeToken, form(used, "system/Patient.rs")); status != http.StatusOK {
		t.Fatal(answer)
	}
	access := f.tokenFor(t, "engine", "system/Patient.rs")
	for name, assertion := range map[string]string{
		"none":                              "",
		"a word":                            "hello",
		"used before":                       used,
		"an unknown client":                 token(t, "ES384", f.assertion("nobody")),
		"the keys of another":               tokenOf(t, "RS384", stranger(), good()),
		"another kid":                       token(t, "ES384", good(), "kid", "RS384"),
		"no kid":                            token(t, "ES384", good(), "kid", nil),
		"an algorithm that is not accepted": token(t, "RS256", good(), "kid", "RS384"),
		"unsigned":                          segment(`{"alg":"none","kid":"ES384"}`) + "." + strings.Split(used, ".")[1] + ".",
		"the public key as a secret":        tokenOf(t, "HS384", jwks("ES384"), good(), "kid", "ES384"),
		"another subject":                   claim("sub", "other"),
		"no subject":                        token(t, "ES384", withoutClaim(good(), "sub")),
		"another issuer":                    claim("iss", "other"),
		"the base as audience":              claim("aud", base),
		"no audience":                       token(t, "ES384", withoutClaim(good(), "aud")),
		"an audience beside ours":           claim("aud", []string{tokenURL, "https://evil.example/token"}),
		"expired":                           claim("exp", f.clock.in(-skew)),
		"no expiry":                         token(t, "ES384", withoutClaim(good(), "exp")),
		"good for too long":                 claim("exp", f.clock.in(assertionLife+skew+time.Second)),
		"not valid yet":                     claim("nbf", f.clock.in(time.Minute)),
		"no jti":                            token(t, "ES384", withoutClaim(good(), "jti")),
		"an empty jti":                      claim("jti", ""),
		"a long jti":                        claim("jti", strings.Repeat("x", maxJTI+1)),
		"a jti that is a number":            claim("jti", 1),
		"a jku that is not registered":      token(t, "ES384", good(), "jku", "https://evil.example/jwks"),
		"an access token of ours":           access,
		"an access token of the issuer":     token(t, "RS256", f.good()),
		"marked as an access token":         token(t, "ES384", good(), "typ", "at+jwt"),
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := ask(t, f.ServeToken, form(assertion, "system/Patient.rs"))
			if status != http.StatusUnauthorized || answer["error"] != "invalid_client" || answer["access_token"] != nil {
				t.Errorf("%d %v", status, answer)
			}
		})
	}
	if strings.Contains(f.log.String(), "eyJ") {
		t.Error("the log has tokens")
	}
	if _, err := f.Authenticate(request(used)); err == nil {
		t.Error("an assertion is taken for an access token")
	}
}

func TestRequestsForTokensThatAreRefused(t *testing.T) {
	f := newFixture(t, nil)
	for name, c := range map[string]struct {
		change  func(url.Values)
		headers []string
		code    string
	}{
		"no grant type":            {func(v url.Values) { v.Del("grant_type") }, nil, "invalid_request"},
		"another grant type":       {func(v url.Values) { v.Set("grant_type", "password") }, nil, "unsupported_grant_type"},
		"another assertion type":   {func(v url.Values) { v.Set("client_assertion_type", "saml") }, nil, "invalid_request"},
		"a secret too":             {func(v url.Values) { v.Set("client_secret", "x") }, nil, "invalid_request"},
		"a parameter twice":        {func(v url.Values) { v.Add("scope", "system/*.rs") }, nil, "invalid_request"},
		"no scope":                 {func(v url.Values) { v.Del("scope") }, nil, "invalid_scope"},
		"a scope that it has not":  {func(v url.Values) { v.Set("scope", "system/AuditEvent.rs") }, nil, "invalid_scope"},
		"a scope of another level": {func(v url.Values) { v.Set("scope", "user/Patient.rs") }, nil, "invalid_scope"},
		"a scope of no form":       {func(v url.Values) { v.Set("scope", "openid fhirUser") }, nil, "invalid_scope"},
		"too much":                 {func(v url.Values) { v.Set("x", strings.Repeat("x", maxTokenForm)) }, nil, "invalid_request"},
		"a password too":           {func(url.Values) {}, []string{"Authorization", "Basic eDp5"}, "invalid_request"},
		"JSON":                     {func(url.Values) {}, []string{"Content-Type", "application/json"}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			v := form(token(t, "ES384", f.assertion("engine")), "system/Patient.rs")
			c.change(v)
			status, answer := ask(t, f.ServeToken, v, c.headers...)
			if status != http.StatusBadRequest || answer["error"] != c.code || answer["error_description"] == "" {
				t.Errorf("%d %v", status, answer)
			}
		})
	}
	v := form(token(t, "ES384", f.assertion("engine")), "system/Patient.rs")
	v.Set("client_id", "other")
	if status, answer := ask(t, f.ServeToken, v); status != http.StatusUnauthorized || answer["error"] != "invalid_client" {
		t.Errorf("the id of another client: %d %v", status, answer)
	}
}

// Two authorities on one database are two replicas.
func TestAnAssertionIsGoodOnceOnAllReplicas(t *testing.T) {
	f := newFixture(t, nil)
	other := newFixture(t, func(o *Options) { o.Store, o.Keys = f.db, f.signer.folder })
	a := token(t, "ES384", f.assertion("engine"))
	var wait sync.WaitGroup
	var good atomic.Int32
	for i := range 16 {
		wait.Go(func() {
			if status, _ := ask(t, []*fixture{f, other}[i%2].ServeToken, form(a, "system/Patient.rs")); status == http.StatusOK {
				good.Add(1)
			}
		})
	}
	wait.Wait()
	if good.Load() != 1 {
		t.Errorf("%d of 16 uses were good", good.Load())
	}
	for _, by := range []*fixture{f, other} {
		if _, err := other.Authenticate(request(by.tokenFor(t, "engine", "system/Patient.rs"))); err != nil {
			t.Error(err)
		}
	}
}

func TestGranted(t *testing.T) {
	for _, c := range []struct{ asked, most, want string }{
		{"system/Patient.rs", "system/Patient.rs", "system/Patient.rs"},
		{"system/Patient.rs", "system/*.cruds", "system/Patient.rs"},
		{"system/Patient.read", "system/*.cruds", "system/Patient.read"}, // as it was asked for
		{"system/Patient.*", "system/Patient.rs", "system/Patient.rs"},
		{"system/*.rs", "system/Patient.cruds system/Procedure.r", "system/Patient.rs system/Procedure.r"},
		{"system/*.read", "system/Patient.rs", "system/Patient.rs"},
		{"system/Patient.rs system/Patient.rs", "system/*.rs", "system/Patient.rs"},
		{"system/Patient.d", "system/Patient.rs", ""},
		{"patient/Patient.rs user/Patient.rs openid", "system/*.cruds", ""},
		{"system/Observation.rs", "system/Observation.rs?category=a|b", "system/Observation.rs?category=a|b"},
		{"system/Observation.rs?category=a|b", "system/Observation.rs", "system/Observation.rs?category=a|b"},
		{"system/Observation.rs?category=a|b", "system/Observation.rs?category=a|b", "system/Observation.rs?category=a|b"},
		{"system/Observation.rs?category=a|b", "system/Observation.r?code=c", "system/Observation.r?category=a|b&code=c"},
		{"system/Observation.r?category=a|b", "system/Observation.rs?category=x system/Observation.rs", "system/Observation.r?category=a|b"},
	} {
		most, others := permission.ParseGrant(c.most)
		if len(others) > 0 {
			t.Fatal(others)
		}
		if got := granted(c.asked, most); got != c.want {
			t.Errorf("%s of %s is %q, want %q", c.asked, c.most, got, c.want)
		}
	}
}

// What is granted gives nothing that was not asked for, or that the client may not have.
func TestGrantedIsWithinBoth(t *testing.T) {
	list := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return "system/" + rapid.SampledFrom([]string{"*", "Patient", "Task"}).Draw(t, "type") + "." +
				rapid.SampledFrom([]string{"c", "r", "rs", "cud", "cruds", "read", "write", "*"}).Draw(t, "actions")
		}), 0, 4).Draw(t, "scopes"), " ")
	})
	rapid.Check(t, func(t *rapid.T) {
		asked, may := list.Draw(t, "asked"), list.Draw(t, "may")
		most, _ := permission.ParseGrant(may)
		wanted, _ := permission.ParseGrant(asked)
		got, others := permission.ParseGrant(granted(asked, most))
		if len(others) > 0 {
			t.Fatalf("%q is no scope", others)
		}
		for _, typ := range []string{"Patient", "Task", "Device"} {
			for _, action := range []permission.Actions{permission.Create, permission.Read, permission.Update, permission.Delete, permission.Search} {
				all := func(grants ...permission.Grant) bool {
					p := permission.Principal{Grants: grants}
					return p.Access(typ, permission.OfPatient, action).All()
				}
				if all(got) != all(wanted, most) {
					t.Fatalf("%s of %s: granted %v", action, typ, got)
				}
			}
		}
	})
}

func TestIntrospection(t *testing.T) {
	f := newFixture(t, nil)
	mine := f.tokenFor(t, "engine", "system/Patient.rs")
	theirs := token(t, "ES256", withClaims(f.good(), jwt.MapClaims{"fhirUser": base + "/Practitioner/7", "encounter": "e1"}))
	by := []string{"Authorization", "Bearer " + mine}
	status, answer := ask(t, f.ServeIntrospect, url.Values{"token": {mine}}, by...)
	if status != http.StatusOK || answer["active"] != true || answer["scope"] != "system/Patient.rs" || answer["client_id"] != "engine" || answer["exp"] != float64(f.clock.in(TokenLife)) || answer["iat"] == nil {
		t.Errorf("%d %v", status, answer)
	}
	status, answer = ask(t, f.ServeIntrospect, url.Values{"token": {theirs}, "token_type_hint": {"access_token"}}, by...)
	if status != http.StatusOK || answer["active"] != true || answer["patient"] != "p1" || answer["encounter"] != "e1" || answer["fhirUser"] != base+"/Practitioner/7" || answer["iss"] != idp || answer["sub"] != "u1" {
		t.Errorf("%d %v", status, answer)
	}
	expired := token(t, "ES256", withClaims(f.good(), jwt.MapClaims{"exp": f.clock.in(-time.Hour)}))
	for _, bad := range []string{"hello", expired, token(t, "ES384", f.assertion("engine")), strings.Repeat("x", maxToken+1)} {
		if status, answer := ask(t, f.ServeIntrospect, url.Values{"token": {bad}}, by...); status != http.StatusOK || len(answer) != 1 || answer["active"] != false {
			t.Errorf("%d %v", status, answer)
		}
	}
	for name, headers := range map[string][]string{"nobody": nil, "a stranger": {"Authorization", "Bearer " + expired}} {
		if status, answer := ask(t, f.ServeIntrospect, url.Values{"token": {mine}}, headers...); status != http.StatusUnauthorized || answer["active"] != nil {
			t.Errorf("%s: %d %v", name, status, answer)
		}
	}
	if status, _ := ask(t, f.ServeIntrospect, url.Values{}, by...); status != http.StatusBadRequest {
		t.Errorf("without a token: %d", status)
	}
}

func TestDiscovery(t *testing.T) {
	f := newFixture(t, nil)
	var d struct {
		Token        string   `json:"token_endpoint"`
		Grants       []string `json:"grant_types_supported"`
		Methods      []string `json:"token_endpoint_auth_methods_supported"`
		Algorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
		Challenges   []string `json:"code_challenge_methods_supported"`
		Capabilities []string `json:"capabilities"`
		Introspect   string   `json:"introspection_endpoint"`
		Issuer       *string  `json:"issuer"`
	}
	if err := json.Unmarshal(f.Discovery(), &d); err != nil {
		t.Fatal(err)
	}
	if d.Token != tokenURL || d.Introspect != "https://clinic.example/auth/introspect" || d.Issuer != nil || !slices.Equal(d.Challenges, []string{"S256"}) ||
		!slices.Equal(d.Grants, []string{"client_credentials"}) || !slices.Equal(d.Methods, []string{"private_key_jwt"}) || !slices.Equal(d.Algorithms, []string{"RS384", "ES384"}) {
		t.Errorf("%+v", d)
	}
	for _, c := range []string{"client-confidential-asymmetric", "permission-v1", "permission-v2"} {
		if !slices.Contains(d.Capabilities, c) {
			t.Errorf("%s is missing", c)
		}
	}
	if slices.ContainsFunc(d.Capabilities, func(c string) bool { return strings.HasPrefix(c, "launch") || strings.HasPrefix(c, "sso") }) {
		t.Errorf("it says that people can sign in here: %v", d.Capabilities)
	}
}

func TestDiscoveryOfAnIdentityProvider(t *testing.T) {
	f := newFixture(t, func(o *Options) {
		o.Discovery = map[string]any{"authorization_endpoint": idp + "/authorize", "token_endpoint": idp + "/token", "capabilities": []string{"launch-standalone"}}
	})
	var d map[string]any
	if err := json.Unmarshal(f.Discovery(), &d); err != nil {
		t.Fatal(err)
	}
	if d["authorization_endpoint"] != idp+"/authorize" || d["token_endpoint"] != idp+"/token" || fmt.Sprint(d["capabilities"]) != "[launch-standalone]" || d["introspection_endpoint"] == nil {
		t.Errorf("%v", d)
	}
	f.tokenFor(t, "engine", "system/Patient.rs") // programs that know the service's own endpoint go on
}
