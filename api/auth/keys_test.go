package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/service/store"

	"github.com/golang-jwt/jwt/v5"
)

// accepts reports whether a token of the issuer that is signed with an algorithm's key is accepted;
// each is a new one.
func (f *fixture) accepts(t testing.TB, alg string) bool {
	t.Helper()
	_, err := f.Authenticate(request(token(t, alg, withClaims(f.good(), jwt.MapClaims{"jti": fmt.Sprint(assertionNumber.Add(1))}))))
	return err == nil
}

func TestKeysOfIssuersAreKeptAndRotated(t *testing.T) {
	f := newFixture(t, nil)
	f.keys.serves(jwks("ES256"), "Cache-Control", "public, max-age=600")
	fresh := func() jwt.MapClaims { return withClaims(f.good(), jwt.MapClaims{"exp": f.clock.in(48 * time.Hour)}) }
	first := token(t, "ES256", fresh())
	for range 5 {
		if _, err := f.Authenticate(request(first)); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.keys.fetched.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}

	// A new key is looked for as soon as a token has it, but not for each that has it not.
	f.clock.add(loadRetry)
	f.keys.serves(jwks("ES256", "ES384"), "Cache-Control", "max-age=600")
	if _, err := f.Authenticate(request(token(t, "ES384", fresh()))); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := f.Authenticate(request(token(t, "ES256", fresh(), "kid", fmt.Sprint("made up ", i)))); err == nil {
			t.Fatal("accepted")
		}
	}
	if n := f.keys.fetched.Load(); n != 2 {
		t.Errorf("fetched %d times", n)
	}

	// A key that was removed counts until the set is no longer fresh, also for tokens that were
	// found good before.
	f.keys.serves(jwks("ES384"), "Cache-Control", "max-age=600")
	f.clock.add(599 * time.Second)
	if _, err := f.Authenticate(request(first)); err != nil {
		t.Error(err)
	}
	f.clock.add(time.Second)
	if _, err := f.Authenticate(request(first)); reasonOf(err) != "key" {
		t.Errorf("its key is gone: %v", err)
	}
}

func TestUnreachableIssuersAreSurvived(t *testing.T) {
	f := newFixture(t, nil)
	broken := map[string]func(w http.ResponseWriter, r *http.Request){
		"an error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"no JSON":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"no keys":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"too much": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat(" ", maxJWKS) + `]}`))
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"a cut answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write([]byte(`{"keys":[`))
		},
	}
	for name, answer := range broken {
		t.Run("before there were keys, "+name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.keys.answers(answer)
			_, err := f.Authenticate(request(token(t, "ES256", f.good())))
			if fhir.KindOf(err) != fhir.Unavailable {
				t.Errorf("%v", err)
			}
			f.keys.serves(jwks("ES256"))
			f.clock.add(loadRetry)
			if !f.accepts(t, "ES256") {
				t.Error("it does not recover")
			}
		})
	}
	if !f.accepts(t, "ES256") {
		t.Fatal("refused")
	}
	for name, answer := range broken {
		f.keys.answers(answer)
		f.clock.add(time.Hour)
		if !f.accepts(t, "ES256") {
			t.Errorf("%s: refused", name)
		}
	}
	f.clock.add(issuerPatience)
	if _, err := f.Authenticate(request(token(t, "ES256", f.good()))); fhir.KindOf(err) != fhir.Unavailable {
		t.Errorf("after a day: %v", err)
	}
	f.keys.serves(jwks("ES256"))
	f.clock.add(loadRetry)
	if !f.accepts(t, "ES256") {
		t.Error("it does not recover")
	}
}

// While one caller waits for an issuer that hangs, the others go on with the keys from before.
func TestSlowIssuersHoldUpOneCaller(t *testing.T) {
	f := newFixture(t, nil)
	if !f.accepts(t, "ES256") {
		t.Fatal("refused")
	}
	asked, release := make(chan struct{}), make(chan struct{})
	f.keys.answers(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		_, _ = w.Write(jwks("ES256"))
	})
	f.clock.add(freshUsual)
	var wait sync.WaitGroup
	wait.Go(func() {
		if !f.accepts(t, "ES256") {
			t.Error("the one who waited is refused")
		}
	})
	<-asked
	if !f.accepts(t, "ES256") {
		t.Error("another one is refused")
	}
	close(release)
	wait.Wait()
}

func TestKeysThatAreLeftOut(t *testing.T) {
	full := struct{ Keys []map[string]any }{}
	if err := json.Unmarshal(jwks("RS256", "ES256", "EdDSA"), &full); err != nil {
		t.Fatal(err)
	}
	rsa := full.Keys[0]
	change := func(k map[string]any, name string, value any) map[string]any {
		out := map[string]any{name: value}
		for n, v := range k {
			if n != name {
				out[n] = v
			}
		}
		return out
	}
	for name, k := range map[string]map[string]any{
		"for encryption":                     change(rsa, "use", "enc"),
		"without a kid":                      change(rsa, "kid", ""),
		"for one algorithm we do not accept": change(rsa, "alg", "RSA-OAEP"),
		"for a shared secret":                change(rsa, "alg", "HS256"),
		"symmetric":                          {"kty": "oct", "kid": "a", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},
		"of an unknown kind":                 {"kty": "XYZ", "kid": "a"},
		"weak":                               change(rsa, "n", "AQAB"),
		"not on the curve":                   change(full.Keys[1], "x", full.Keys[1]["y"]),
		"of another curve":                   change(full.Keys[1], "crv", "secp256k1"),
		"for another curve's algorithm":      change(full.Keys[1], "alg", "ES384"),
		"too short for Ed25519":              change(full.Keys[2], "x", "AAAA"),
		"private":                            {"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": full.Keys[2]["x"], "d": full.Keys[2]["x"]},
	} {
		set, err := json.Marshal(map[string]any{"keys": []any{k}})
		if err != nil {
			t.Fatal(err)
		}
		keys, left, err := parseJWKS(set)
		if err != nil || len(keys) > 0 || len(left) != 1 {
			t.Errorf("%s: %v, %v, %v", name, keys, left, err)
		}
	}
	many := `{"keys":[` + strings.Repeat(`{},`, maxKeys) + `{}]}`
	for _, bad := range []string{"", "null", "[]", `{}`, `{"keys":null}`, `{"keys":{}}`, many} {
		if _, _, err := parseJWKS([]byte(bad)); err == nil {
			t.Errorf("%.20q is taken for a set", bad)
		}
	}
}

// Of two keys with the same kid, the one of the fitting kind counts; two of one kind are neither.
func TestKeysWithTheSameName(t *testing.T) {
	f := newFixture(t, nil)
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(jwks("RS256", "ES256"), &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		k["kid"] = "same"
	}
	body, _ := json.Marshal(set)
	f.keys.serves(body)
	for _, alg := range []string{"RS256", "ES256"} {
		if _, err := f.Authenticate(request(token(t, alg, f.good(), "kid", "same"))); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	set.Keys = append(set.Keys, set.Keys[1])
	body, _ = json.Marshal(set)
	f.keys.serves(body)
	f.clock.add(freshUsual)
	if _, err := f.Authenticate(request(token(t, "ES256", f.good(), "kid", "same"))); reasonOf(err) != "key" {
		t.Errorf("two keys of one kind: %v", err)
	}
}

func FuzzJWKS(f *testing.F) {
	for _, seed := range []string{string(jwks("RS256", "ES256", "ES384", "ES512", "EdDSA")), `{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}`, `{"keys":[null]}`, `{"keys":[]}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, _, err := parseJWKS([]byte(text))
		if err != nil {
			return
		}
		again, left, err := parseJWKS(newKeySet(keys).jwks())
		if err != nil || len(left) > 0 || newKeySet(again).sum != newKeySet(keys).sum {
			t.Errorf("%q: %v, %v", text, left, err)
		}
	})
}

func TestFreshness(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": freshUsual, "public": freshUsual, "max-age=60": time.Minute, "public, Max-Age=\"60\", must-revalidate": time.Minute,
		"no-store": 0, "max-age=60, no-cache": time.Minute, "no-cache, max-age=60": 0, "max-age=-1": 0, "max-age=x": 0, "max-age=99999999999": freshMost, "max-age=99999999999999999999999": 0,
	} {
		h := http.Header{}
		if header != "" {
			h.Set("Cache-Control", header)
		}
		if got := freshness(h); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

func TestIssuersKeysInAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	writeFile(t, file, string(jwks("ES256")))
	f := newFixture(t, func(o *Options) { o.Issuers[0].JWKS = "file:" + file })
	if !f.accepts(t, "ES256") {
		t.Fatal("refused")
	}
	writeFile(t, file, string(jwks("ES384")))
	f.clock.add(freshFile)
	if f.accepts(t, "ES256") || !f.accepts(t, "ES384") {
		t.Error("the file is not read again")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	f.clock.add(time.Hour)
	if !f.accepts(t, "ES384") {
		t.Error("a file that is gone for a while is not survived")
	}
}

func TestTheServicesOwnKeysAreReplaced(t *testing.T) {
	f := newFixture(t, nil)
	folder := f.signer.folder
	kid := func(token string) string {
		parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
		if err != nil {
			t.Fatal(err)
		}
		return parsed.Header["kid"].(string)
	}
	files := func() string {
		names, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, n := range names {
			if info, err := n.Info(); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v, %v", n.Name(), info.Mode(), err)
			}
			out = append(out, n.Name())
		}
		return strings.Join(out, " ")
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v, %v", info.Mode(), err)
	}
	first := kid(f.tokenFor(t, "engine", "system/Patient.rs"))
	if got := files(); got != "token-2026-03-02.pem" {
		t.Error(got)
	}
	replica := newFixture(t, func(o *Options) { o.Store, o.Keys, o.Now = f.db, folder, f.clock.now })
	replica.clock = f.clock
	if got := kid(replica.tokenFor(t, "engine", "system/Patient.rs")); got != first || files() != "token-2026-03-02.pem" {
		t.Error("a replica signs with another key")
	}

	f.clock.add(keyAge)
	if got := kid(f.tokenFor(t, "engine", "system/Patient.rs")); got != first || files() != "token-2026-03-02.pem token-2026-06-01.pem" {
		t.Errorf("when the key gets old, the next day's is made: %s, %s", got, files())
	}
	last := f.tokenFor(t, "engine", "system/Patient.rs")
	f.clock.set(time.Date(2026, 6, 1, 0, 0, 1, 0, time.UTC))
	next := replica.tokenFor(t, "engine", "system/Patient.rs")
	if kid(next) == first {
		t.Error("the new key does not sign")
	}
	if _, err := f.Authenticate(request(next)); err != nil {
		t.Errorf("another replica does not know the new key: %v", err)
	}
	f.clock.set(time.Date(2026, 5, 31, 11, 46, 0, 0, time.UTC)) // the old one still verifies
	if _, err := f.Authenticate(request(last)); err != nil {
		t.Error(err)
	}
	f.clock.set(time.Date(2026, 8, 30, 0, 0, 0, 0, time.UTC))
	f.tokenFor(t, "engine", "system/Patient.rs")
	if got := files(); got != "token-2026-06-01.pem token-2026-08-31.pem" {
		t.Errorf("what is too old is kept: %s", got)
	}
}

func TestFoldersOfKeysThatAreRefused(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, folder string){
		"that is a file":          func(t *testing.T, folder string) { writeFile(t, folder, "") },
		"a key without a date":    func(t *testing.T, folder string) { keyFile(t, folder, "token-1.pem", "x", 0o600) },
		"a key that is no PEM":    func(t *testing.T, folder string) { keyFile(t, folder, "token-2026-01-01.pem", "x", 0o600) },
		"a key that all can read": func(t *testing.T, folder string) { keyFile(t, folder, "token-2026-01-01.pem", "x", 0o604) },
		"a public key": func(t *testing.T, folder string) {
			keyFile(t, folder, "token-2026-01-01.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "keys")
			prepare(t, folder)
			f := &clock{}
			f.set(t0)
			if _, err := newSigner(folder, f.now, discard); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func keyFile(t *testing.T, folder, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name), []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// write runs a write on the fixture's database, as the command line does beside the service.
func (f *fixture) write(t testing.TB, do func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	if err := f.db.Write(t.Context(), do); err != nil {
		t.Fatal(err)
	}
}

func TestClientsOfTheDatabaseAndTheFile(t *testing.T) {
	f := newFixture(t, nil)
	status := func(client string) int {
		status, _ := ask(t, f.ServeToken, form(token(t, "ES384", f.assertion(client)), "system/Patient.rs"))
		return status
	}
	if status("added") != http.StatusUnauthorized {
		t.Fatal("it is there before it was added")
	}
	f.write(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.AddClient(ctx, store.Client{ID: "added", JWKS: jwks("ES384"), Scope: "system/Patient.rs", Created: t0})
	})
	f.clock.add(clientsFresh)
	if status("added") != http.StatusOK || status("engine") != http.StatusOK {
		t.Error("not both get a token")
	}
	tokens := map[string]string{}
	for _, client := range []string{"added", "engine"} {
		tokens[client] = f.tokenFor(t, client, "system/Patient.rs")
		if _, err := f.Authenticate(request(tokens[client])); err != nil {
			t.Fatal(err)
		}
	}
	theirs := token(t, "ES256", f.good())
	if _, err := f.Authenticate(request(theirs)); err != nil {
		t.Fatal(err)
	}
	// A revocation counts for tokens that are out already, whichever way the client is registered.
	f.write(t, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.AddClient(ctx, store.Client{ID: "engine", Created: t0, Revoked: t0}); err != nil {
			return err
		}
		return tx.RevokeClient(ctx, "added", t0)
	})
	f.clock.add(clientsFresh)
	for client, token := range tokens {
		if _, err := f.Authenticate(request(token)); reasonOf(err) != "client revoked" {
			t.Errorf("%s: %v", client, err)
		}
		if _, known := f.Known(request(token)); known {
			t.Errorf("%s still counts as known", client)
		}
		if status(client) != http.StatusUnauthorized {
			t.Errorf("%s still gets tokens", client)
		}
		if _, answer := ask(t, f.ServeIntrospect, map[string][]string{"token": {token}}, "Authorization", "Bearer "+theirs); answer["active"] != false {
			t.Errorf("%s: %v", client, answer)
		}
	}
	if _, err := f.Authenticate(request(theirs)); err != nil {
		t.Errorf("that of the issuer: %v", err)
	}
}

// Who was revoked cannot be asked for: then nobody is let in by a token of ours.
func TestWithoutADatabaseNoTokenOfOursIsGood(t *testing.T) {
	f := newFixture(t, nil)
	mine, theirs := f.tokenFor(t, "engine", "system/Patient.rs"), token(t, "ES256", f.good())
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	f.clock.add(clientsEnd)
	if _, err := f.Authenticate(request(mine)); fhir.KindOf(err) != fhir.Unavailable {
		t.Errorf("%v", err)
	}
	if status, answer := ask(t, f.ServeToken, form(token(t, "ES384", f.assertion("engine")), "system/Patient.rs")); status != http.StatusServiceUnavailable {
		t.Errorf("%d %v", status, answer)
	}
	if _, err := f.Authenticate(request(theirs)); err != nil {
		t.Errorf("that of the issuer: %v", err)
	}
}

func TestClientsWithAURL(t *testing.T) {
	server := newKeyServer(t)
	server.serves(jwks("ES384"), "Cache-Control", "no-store")
	f := newFixture(t, func(o *Options) {
		writeFile(t, o.ClientsFile, fmt.Sprintf(`[{"client_id":"engine","jwks_uri":%q,"scope":"system/Patient.rs"}]`, server.URL))
	})
	ask1 := func(headers ...any) int {
		status, _ := ask(t, f.ServeToken, form(token(t, "ES384", f.assertion("engine"), headers...), "system/Patient.rs"))
		return status
	}
	if ask1() != http.StatusOK || ask1("jku", server.URL) != http.StatusOK || ask1("jku", server.URL+"/other") != http.StatusUnauthorized {
		t.Error("only the registered jku is good")
	}
	// What says that it must not be kept is not: not even while it cannot be had again.
	server.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	f.clock.add(freshLeastClient)
	if got := ask1(); got != http.StatusServiceUnavailable {
		t.Errorf("%d", got)
	}
}

func TestABrokenFileOfClientsIsSurvived(t *testing.T) {
	file := ""
	f := newFixture(t, func(o *Options) { file = o.ClientsFile })
	good := f.tokenFor(t, "engine", "system/Patient.rs")
	writeFile(t, file, "oops")
	f.clock.add(clientsFresh)
	if _, err := f.Authenticate(request(good)); err != nil {
		t.Errorf("%v", err)
	}
	writeFile(t, file, "[]")
	f.clock.add(clientsFresh)
	if _, err := f.Authenticate(request(good)); reasonOf(err) != "client revoked" {
		t.Errorf("what was taken out of the file: %v", err)
	}
	bad := Options{BaseURL: base, ClientsFile: file, Store: f.db, Keys: t.TempDir(), Roles: f.roles}
	writeFile(t, file, "oops")
	if _, err := New(t.Context(), bad); err == nil || !strings.Contains(err.Error(), file) && !strings.Contains(errors.Unwrap(err).Error(), file) {
		t.Errorf("at the start: %v", err)
	}
}
