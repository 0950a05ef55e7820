package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aftercare/service/permission"
	"aftercare/service/store"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

const (
	base     = "https://clinic.example/fhir"
	idp      = "https://login.hospital.example/realms/care"
	tokenURL = "https://clinic.example/auth/token"
)

// private are keys by the algorithm that they sign with, made once.
var private = sync.OnceValue(func() map[string]crypto.Signer {
	keys := map[string]crypto.Signer{}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384"} {
		keys[alg] = rsaKey
	}
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		if keys[alg], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			panic(err)
		}
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	keys["EdDSA"] = ed
	return keys
})

// stranger is a key that nobody here trusts.
var stranger = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// jwks are the public keys of some algorithms, each with its algorithm's name as kid.
func jwks(algs ...string) []byte {
	set := jose.JSONWebKeySet{}
	for _, alg := range algs {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: private()[alg].Public(), KeyID: alg})
	}
	out, err := json.Marshal(set)
	if err != nil {
		panic(err)
	}
	return out
}

// clock is a clock that tests set.
type clock struct{ at atomic.Pointer[time.Time] }

func (c *clock) now() time.Time           { return *c.at.Load() }
func (c *clock) set(t time.Time)          { c.at.Store(&t) }
func (c *clock) add(d time.Duration)      { c.set(c.now().Add(d)) }
func (c *clock) in(d time.Duration) int64 { return c.now().Add(d).Unix() }

var t0 = time.Date(2026, 3, 2, 11, 45, 0, 0, time.UTC)

// keyServer is a server of key sets that can be told what to answer.
type keyServer struct {
	*httptest.Server
	mu      sync.Mutex
	answer  func(w http.ResponseWriter, r *http.Request)
	fetched atomic.Int32
}

func newKeyServer(t testing.TB) *keyServer {
	s := &keyServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetched.Add(1)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) serves(body []byte, headers ...string) {
	s.answers(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		_, _ = w.Write(body)
	})
}

func (s *keyServer) answers(f func(w http.ResponseWriter, r *http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// fixture is an Authority that trusts one issuer and has one client, "engine".
type fixture struct {
	*Authority
	clock *clock
	keys  *keyServer // of the issuer
	db    *store.Store
	log   *bytes.Buffer
}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "a.db"), store.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func newFixture(t testing.TB, change func(*Options)) *fixture {
	t.Helper()
	f := &fixture{clock: &clock{}, keys: newKeyServer(t), db: openStore(t), log: &bytes.Buffer{}}
	f.clock.set(t0)
	f.keys.serves(jwks("RS256", "ES256", "ES384", "ES512", "EdDSA"))
	roles, err := permission.ReadRoles(nil)
	if err != nil {
		t.Fatal(err)
	}
	clients := filepath.Join(t.TempDir(), "clients.json")
	writeFile(t, clients, fmt.Sprintf(`[{"client_id":"engine","jwks":%s,"scope":"system/Procedure.cruds system/Patient.rs"}]`, jwks("RS384", "ES384")))
	o := Options{
		BaseURL: base, Issuers: []Issuer{{URL: idp, JWKS: f.keys.URL}}, ClientsFile: clients, Store: f.db, Keys: filepath.Join(t.TempDir(), "keys"),
		Roles: roles, Now: f.clock.now, Logger: slog.New(slog.NewJSONHandler(&syncWriter{w: f.log}, nil)),
	}
	if change != nil {
		change(&o)
	}
	if f.Authority, err = New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return f
}

type syncWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (s *syncWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

func writeFile(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// good are the claims of a token that is accepted.
func (f *fixture) good() jwt.MapClaims {
	return jwt.MapClaims{
		"iss": idp, "sub": "u1", "aud": base, "exp": f.clock.in(time.Minute), "iat": f.clock.in(0), "jti": "j1", "azp": "app",
		"scope": "openid patient/*.rs", "patient": "p1",
	}
}

// token signs claims with the key of an algorithm; headers are pairs that replace members, or leave
// them out where the value is nil.
func token(t testing.TB, alg string, c jwt.Claims, headers ...any) string {
	t.Helper()
	return tokenOf(t, alg, private()[alg], c, headers...)
}

func tokenOf(t testing.TB, alg string, key any, c jwt.Claims, headers ...any) string {
	t.Helper()
	tok := jwt.NewWithClaims(jwt.GetSigningMethod(alg), c)
	tok.Header["kid"] = alg
	for i := 0; i < len(headers); i += 2 {
		if tok.Header[headers[i].(string)] = headers[i+1]; headers[i+1] == nil {
			delete(tok.Header, headers[i].(string))
		}
	}
	signed, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// request is one with a token in its header.
func request(token string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, base+"/Patient/p1", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

var discard = slog.New(slog.DiscardHandler)
