package auth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aftercare/fhir"

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
		again, left, err := parseJWKS(newKeySet(keys).jwks(nil))
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

// write runs a write on the fixture's database, as the command line does beside the service.
// Who was revoked cannot be asked for: then nobody is let in by a token of ours.
