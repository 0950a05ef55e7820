package conformance

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aftercare/api"
	"aftercare/api/auth"
	"aftercare/service/permission"
	"aftercare/service/store"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// An OAuth client library and a FHIR client library, neither written here, find out where tokens
// are to be had, get one by private_key_jwt, and read with it.
func TestSMARTClientLibrary(t *testing.T) {
	node := clientScripts(t)
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			base, keys := startWithTokens(t, e.new(t))
			node(t, "smart.test.js", "BASE="+base, "KEYS="+keys)
		})
	}
}

// startWithTokens runs a service where callers need tokens, and gives the private keys of its client
// "engine", as a JWK Set.
func startWithTokens(t *testing.T, database string) (base, keys string) {
	t.Helper()
	var public, private jose.JSONWebKeySet
	for _, alg := range []string{"RS384", "ES384"} {
		key := newKey(t, alg)
		public.Keys = append(public.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: alg, Algorithm: alg})
		private.Keys = append(private.Keys, jose.JSONWebKey{Key: key, KeyID: alg, Algorithm: alg})
	}
	secret, err := json.Marshal(private)
	if err != nil {
		t.Fatal(err)
	}
	db := openStore(t, database, slog.New(slog.DiscardHandler))
	register(t, db, public)
	base = startReplica(t, db, "", t.TempDir(), time.Now)
	if res, err := http.Get(base + "/Patient"); err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Fatal(res, err)
	}
	return base, string(secret)
}

// register adds the client "engine".
func register(t *testing.T, db *store.Store, keys jose.JSONWebKeySet) {
	t.Helper()
	set, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.AddClient(ctx, store.Client{ID: "engine", JWKS: set, Scope: "system/Patient.cruds", Created: time.Now()})
	}); err != nil {
		t.Fatal(err)
	}
}

// startReplica runs a service where callers need tokens, under a public base or, with "", under its
// own address, which it gives.
func startReplica(t *testing.T, db *store.Store, public, keys string, now func() time.Time) (base string) {
	t.Helper()
	listener := httptest.NewUnstartedServer(nil)
	base = "http://" + listener.Listener.Addr().String() + "/fhir"
	if public == "" {
		public = base
	}
	logger := slog.New(slog.DiscardHandler)
	roles, err := permission.ReadRoles(nil)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := auth.New(t.Context(), auth.Options{BaseURL: public, Store: db, Keys: keys, Roles: roles, Logger: logger, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := api.New(api.Options{Service: newService(t, db, public, logger), BaseURL: public, Logger: logger, Auth: authority})
	if err != nil {
		t.Fatal(err)
	}
	listener.Config.Handler = handler
	listener.Start()
	t.Cleanup(listener.Close)
	return base
}

// Two replicas have a database and a folder of keys in common, and nothing else.
func TestTokensOnReplicas(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			const public = "https://fhir.example/fhir"
			var clock atomic.Pointer[time.Time]
			forward := func(d time.Duration) {
				at := time.Now()
				if last := clock.Load(); last != nil {
					at = last.Add(d)
				}
				clock.Store(&at)
			}
			forward(0)
			now := func() time.Time { return *clock.Load() }
			database, keys := e.new(t), t.TempDir()
			var stores []*store.Store
			var bases []string
			for range 2 {
				db := openStore(t, database, slog.New(slog.DiscardHandler))
				stores = append(stores, db)
				bases = append(bases, startReplica(t, db, public, keys, now))
			}
			key := newKey(t, "ES384")
			register(t, stores[0], jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1"}}})
			forward(2 * time.Second) // within which a new client is known

			ask := func(replica int, assertion string) (status int, token string) {
				t.Helper()
				res, err := http.PostForm(strings.TrimSuffix(bases[replica], "/fhir")+"/auth/token", url.Values{
					"grant_type": {"client_credentials"}, "scope": {"system/Patient.rs"},
					"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
				})
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				var answer struct {
					Token string `json:"access_token"`
				}
				if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
					t.Fatal(err)
				}
				return res.StatusCode, answer.Token
			}
			search := func(replica int, token string) int {
				t.Helper()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, bases[replica]+"/Patient", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+token)
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				return res.StatusCode
			}
			assertion := jwt.NewWithClaims(jwt.SigningMethodES384, jwt.MapClaims{"iss": "engine", "sub": "engine", "aud": "https://fhir.example/auth/token", "exp": now().Add(time.Minute).Unix(), "jti": "1"})
			assertion.Header["kid"] = "1"
			signed, err := assertion.SignedString(key)
			if err != nil {
				t.Fatal(err)
			}
			status, token := ask(0, signed)
			if status != http.StatusOK {
				t.Fatal(status)
			}
			for replica := range bases {
				if status, _ := ask(replica, signed); status != http.StatusUnauthorized {
					t.Errorf("replica %d takes the assertion again: %d", replica, status)
				}
				if got := search(replica, token); got != http.StatusOK {
					t.Errorf("replica %d refuses the token: %d", replica, got)
				}
			}
			if err := stores[1].Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.RevokeClient(ctx, "engine", now()) }); err != nil {
				t.Fatal(err)
			}
			forward(2 * time.Second)
			for replica := range bases {
				if got := search(replica, token); got != http.StatusUnauthorized {
					t.Errorf("replica %d goes on with what was revoked: %d", replica, got)
				}
			}
		})
	}
}

func newKey(t *testing.T, alg string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	if alg == "RS384" {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}
