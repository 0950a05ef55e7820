package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/service/store"
)

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
func TestFilesOfClientsThatAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clients.json")
	set := string(jwks("ES384"))
	private, err := json.Marshal(map[string]any{"keys": []map[string]string{{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"no JSON":             "hello",
		"an object":           "{}",
		"two lists":           "[][]",
		"an unknown member":   `[{"client_id":"a","jwks":` + set + `,"scope":"system/*.rs","secret":"x"}]`,
		"no id":               `[{"jwks":` + set + `,"scope":"system/*.rs"}]`,
		"an id with a space":  `[{"client_id":"a b","jwks":` + set + `,"scope":"system/*.rs"}]`,
		"no keys":             `[{"client_id":"a","scope":"system/*.rs"}]`,
		"an empty set":        `[{"client_id":"a","jwks":{"keys":[]},"scope":"system/*.rs"}]`,
		"both keys and a URL": `[{"client_id":"a","jwks":` + set + `,"jwks_uri":"https://a.example","scope":"system/*.rs"}]`,
		"a URL without TLS":   `[{"client_id":"a","jwks_uri":"http://a.example/jwks","scope":"system/*.rs"}]`,
		"a secret":            `[{"client_id":"a","jwks":` + string(private) + `,"scope":"system/*.rs"}]`,
		"no scope":            `[{"client_id":"a","jwks":` + set + `}]`,
		"a scope of no form":  `[{"client_id":"a","jwks":` + set + `,"scope":"everything"}]`,
		"a scope of a user":   `[{"client_id":"a","jwks":` + set + `,"scope":"user/*.rs"}]`,
		"an id twice":         `[{"client_id":"a","jwks":` + set + `,"scope":"system/*.rs"},{"client_id":"a","jwks":` + set + `,"scope":"system/*.rs"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			writeFile(t, file, content)
			if list, err := ReadClients(file); err == nil {
				t.Errorf("accepted: %+v", list)
			}
		})
	}
	writeFile(t, file, `[{"client_id":"a","jwks":`+set+`,"scope":"system/*.rs"},{"client_id":"b","jwks_uri":"http://127.0.0.1:1/jwks","scope":"system/Task.rs"}]`)
	if list, err := ReadClients(file); err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
}
