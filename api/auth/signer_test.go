package auth

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

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
