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
	"testing"
	"time"

	"aftercare/api"
	"aftercare/api/auth"
	"aftercare/service/permission"
	"aftercare/service/store"

	"github.com/go-jose/go-jose/v4"
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
	set, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := json.Marshal(private)
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewUnstartedServer(nil)
	base = "http://" + listener.Listener.Addr().String() + "/fhir"
	logger := slog.New(slog.DiscardHandler)
	db := openStore(t, database, logger)
	if err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.AddClient(ctx, store.Client{ID: "engine", JWKS: set, Scope: "system/Patient.cruds", Created: time.Now()})
	}); err != nil {
		t.Fatal(err)
	}
	roles, err := permission.ReadRoles(nil)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := auth.New(t.Context(), auth.Options{BaseURL: base, Store: db, Keys: t.TempDir(), Roles: roles, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := api.New(api.Options{Service: newService(t, db, base, logger), BaseURL: base, Logger: logger, Auth: authority})
	if err != nil {
		t.Fatal(err)
	}
	listener.Config.Handler = handler
	listener.Start()
	t.Cleanup(listener.Close)
	if res, err := http.Get(base + "/Patient"); err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Fatal(res, err)
	}
	return base, string(secret)
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
