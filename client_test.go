package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keyPair makes a key, and writes its public part as a JWK Set.
func keyPair(t *testing.T) (private *ecdsa.PrivateKey, file string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &private.PublicKey, KeyID: "1", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, set, 0o600); err != nil {
		t.Fatal(err)
	}
	return private, file
}

func TestClientCommands(t *testing.T) {
	_, set := keyPair(t)
	onEachEngine(t, func(t *testing.T, database string) {
		inFile := filepath.Join(t.TempDir(), "clients.json")
		content, err := os.ReadFile(set)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(inFile, []byte(`[{"client_id":"of-file","jwks":`+string(content)+`,"scope":"system/*.rs"}]`), 0o600); err != nil {
			t.Fatal(err)
		}
		environ := []string{database, "AFTERCARE_AUTH=jwt", "AFTERCARE_BASE_URL=https://a.example/fhir", "AFTERCARE_KEYS=" + t.TempDir(), "AFTERCARE_AUTH_CLIENTS=" + inFile, "AFTERCARE_LOG_LEVEL=error"}
		client := func(args ...string) (int, string) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), append([]string{"client"}, args...), environ, &stdout, &stderr)
			return code, stdout.String() + stderr.String()
		}
		for _, step := range []struct {
			args string
			code int
			want string
		}{
			{"list", 0, "of-file"},
			{"add engine --scope system/Patient.rs --jwks " + set + " --name Engine", 0, "engine is registered"},
			{"add engine --scope system/Patient.rs --jwks " + set, 1, "one client for good"},
			{"add of-file --scope system/Patient.rs --jwks " + set, 1, "already"},
			{"add other --scope system/Patient.rs", 2, "either jwks or jwks_uri"},
			{"add other --jwks " + set, 2, "scope must be"},
			{"add other --scope user/Patient.rs --jwks " + set, 2, "level system"},
			{"add other --scope system/Patient.rs --jwks-uri http://a.example/jwks", 2, "https"},
			{"add other --scope system/Patient.rs --jwks none.json", 1, "none.json"},
			{"add", 2, "accepts 1 arg"},
			{"revoke nobody", 1, "no client"},
			{"revoke engine", 0, "engine is revoked"},
			{"revoke of-file", 0, "of-file is revoked"},
			{"revoke engine", 0, "engine is revoked"},
			{"add engine --scope system/Patient.rs --jwks " + set, 1, "one client for good"},
			{"", 2, "add, list or revoke"},
		} {
			if code, out := client(strings.Fields(step.args)...); code != step.code || !strings.Contains(out, step.want) {
				t.Errorf("client %s: %d %s", step.args, code, out)
			}
		}
		code, out := client("list")
		today := time.Now().UTC().Format(time.DateOnly)
		for _, name := range []string{"engine", "of-file"} {
			found := false
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, name+" ") {
					found = strings.Contains(line, "system/") && strings.Contains(line, today)
				}
			}
			if code != 0 || !found {
				t.Errorf("%s is not listed as revoked today: %s", name, out)
			}
		}
	})
}

// A program is registered, gets a token, and reads with it; all by TLS.
// certify writes a certificate for 127.0.0.1 and its key, and gives what trusts it.
// The demonstration needs no token, whatever is configured, and is for this machine alone.
// Issuers and roles of the configuration file reach those who decide.
