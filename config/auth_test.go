package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// withTokens is an acceptable configuration that asks for tokens.
func withTokens(more ...string) []string {
	return append([]string{"AFTERCARE_AUTH=jwt", "AFTERCARE_BASE_URL=https://a.example/fhir"}, more...)
}

func TestTokensAreAccepted(t *testing.T) {
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys.json")
	write(t, keys, "{}")
	for name, environ := range map[string][]string{
		"of this service alone":          withTokens(),
		"on all addresses":               withTokens("AFTERCARE_LISTEN=0.0.0.0:8080"),
		"of an issuer":                   withTokens("AFTERCARE_AUTH_ISSUER=https://i.example", "AFTERCARE_AUTH_JWKS=https://i.example/keys", "AFTERCARE_AUTH_AUDIENCE=us"),
		"of an issuer with a file":       withTokens("AFTERCARE_AUTH_ISSUER=i", "AFTERCARE_AUTH_JWKS=file:"+keys),
		"of an issuer on this machine":   withTokens("AFTERCARE_AUTH_ISSUER=i", "AFTERCARE_AUTH_JWKS=http://[::1]:9/keys"),
		"of clients in a file":           withTokens("AFTERCARE_AUTH_CLIENTS=" + keys),
		"with PostgreSQL":                withTokens("AFTERCARE_DATABASE=postgres://h/d", "AFTERCARE_KEYS="+dir),
		"on this machine, without TLS":   {"AFTERCARE_AUTH=jwt", "AFTERCARE_BASE_URL=http://localhost:8080/fhir"},
		"on this machine, by its number": {"AFTERCARE_AUTH=jwt", "AFTERCARE_BASE_URL=http://127.0.0.1:8080/fhir"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Load(environ, ""); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTokensAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clients.json")
	write(t, file, "[]")
	for name, tc := range map[string]struct {
		environ []string
		want    string
	}{
		"without a base":              {[]string{"AFTERCARE_AUTH=jwt"}, "AFTERCARE_BASE_URL: is required"},
		"without TLS":                 {[]string{"AFTERCARE_AUTH=jwt", "AFTERCARE_BASE_URL=http://a.example/fhir"}, "AFTERCARE_BASE_URL: must begin with https://"},
		"with PostgreSQL and no keys": {withTokens("AFTERCARE_DATABASE=postgres://h/d"), "AFTERCARE_KEYS: is required"},
		"keys of nobody":              {withTokens("AFTERCARE_AUTH_JWKS=https://i.example/keys"), "AFTERCARE_AUTH_JWKS: belongs with"},
		"issuer without keys":         {withTokens("AFTERCARE_AUTH_ISSUER=i"), "AFTERCARE_AUTH_ISSUER: belongs with"},
		"clients that need no token":  {[]string{"AFTERCARE_AUTH_CLIENTS=" + file}, "AFTERCARE_AUTH: must be jwt"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Load(tc.environ, ""); err == nil || strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("got %v, want one problem: %s", err, tc.want)
			}
		})
	}
}

func TestIssuersAndRolesOfTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "aftercare.yaml")
	write(t, file, `auth: jwt
base_url: https://a.example/fhir
auth_issuers:
  - issuer: https://one.example
    jwks: https://one.example/keys
  - issuer: https://two.example
    jwks: https://two.example/keys
    audience: aftercare
    scope: user/*.rs patient/*.rs
    roles_claim: realm_access.roles
    break_glass: true
roles:
  registry: system/Procedure.rs
smart_configuration:
  authorization_endpoint: https://one.example/authorize
  capabilities: [launch-standalone, client-public]
`)
	c, err := Load([]string{"AFTERCARE_AUTH_ISSUER=https://zero.example", "AFTERCARE_AUTH_JWKS=https://zero.example/keys"}, file)
	if err != nil {
		t.Fatal(err)
	}
	want := []Issuer{
		{Issuer: "https://zero.example", JWKS: "https://zero.example/keys"},
		{Issuer: "https://one.example", JWKS: "https://one.example/keys"},
		{Issuer: "https://two.example", Audience: "aftercare", JWKS: "https://two.example/keys", Scope: "user/*.rs patient/*.rs", RolesClaim: "realm_access.roles", BreakGlass: true},
	}
	if diff := cmp.Diff(want, c.Issuers()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"registry": "system/Procedure.rs"}, c.Roles); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"authorization_endpoint": "https://one.example/authorize", "capabilities": []string{"launch-standalone", "client-public"}}, c.Discovery); diff != "" {
		t.Error(diff)
	}
	for name, content := range map[string]string{
		"an endpoint without TLS":    "smart_configuration: {token_endpoint: 'http://one.example/token'}",
		"an endpoint of no name":     "smart_configuration: {tokenendpoint: 'https://one.example/token'}",
		"an endpoint that is a list": "smart_configuration: {token_endpoint: ['https://one.example/token']}",
		"a list that is a text":      "smart_configuration: {capabilities: launch-ehr}",
		"a list of numbers":          "smart_configuration: {capabilities: [1]}",
		"weaker challenges":          "smart_configuration: {code_challenge_methods_supported: [plain]}",
		"endpoints as a list":        "smart_configuration: []",
		"issuers as a text":          "auth_issuers: https://one.example",
		"issuers as a mapping":       "auth_issuers: {issuer: a, jwks: 'https://a.example'}",
		"no issuers":                 "auth_issuers: []",
		"an unknown key":             "auth_issuers: [{issuer: hunter2, jwks: 'https://a.example', secret: hunter2}]",
		"no keys":                    "auth_issuers: [{issuer: a}]",
		"keys without TLS":           "auth_issuers: [{issuer: a, jwks: 'http://a.example'}]",
		"no name":                    "auth_issuers: [{jwks: 'https://a.example'}]",
		"a scope that is none":       "auth_issuers: [{issuer: a, jwks: 'https://a.example', scope: openid}]",
		"a right that is no word":    "auth_issuers: [{issuer: a, jwks: 'https://a.example', break_glass: maybe}]",
		"an issuer twice":            "auth_issuers: [{issuer: a, jwks: 'https://a.example'}, {issuer: a, jwks: 'https://b.example'}]",
		"roles as a list":            "roles: [registry]",
		"a role without scopes":      "roles: {registry: ''}",
		"a role of unknown scopes":   "roles: {registry: everything}",
		"a role of a list":           "roles: {registry: [system/Procedure.rs]}",
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			write(t, file, content)
			if _, err := Load(withTokens(), file); err == nil || strings.Contains(err.Error(), "hunter2") && name == "an unknown key" {
				t.Errorf("got %v", err)
			}
		})
	}
}
