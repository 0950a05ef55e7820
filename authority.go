package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"aftercare/api/auth"
	"aftercare/config"
	"aftercare/service/permission"
	"aftercare/service/store"
)

// tell says in the log's first line who may use the service.
func tell(log *slog.Logger, cfg config.Config) {
	if cfg.Auth != "jwt" {
		log.Warn("no token is needed: whoever can connect to the address may read and change everything", "listen", cfg.Listen)
		return
	}
	issuers := []string{"this service"}
	for _, i := range cfg.Issuers() {
		issuers = append(issuers, i.Issuer)
	}
	log.Info("a token is needed", "issuers", issuers, "listen", cfg.Listen)
	if cfg.TLSCert == "" {
		log.Info("there is no TLS here: a proxy on the same machine has to do it, or tokens can be taken on the way", "listen", cfg.Listen)
	}
}

// newAuthority makes what judges tokens, nil where none is needed.
func newAuthority(ctx context.Context, cfg config.Config, base string, db *store.Store, log *slog.Logger) (*auth.Authority, error) {
	if cfg.Auth != "jwt" {
		return nil, nil
	}
	roles, err := permission.ReadRoles(cfg.Roles)
	if err != nil {
		return nil, err
	}
	var issuers []auth.Issuer
	for _, i := range cfg.Issuers() {
		issuer := auth.Issuer{URL: i.Issuer, Audience: i.Audience, JWKS: i.JWKS, RolesClaim: i.RolesClaim, BreakGlass: i.BreakGlass}
		issuer.AtMost, _ = permission.ParseGrant(i.Scope) // checked by config
		issuers = append(issuers, issuer)
	}
	var published map[string]ed25519.PublicKey
	if key, err := logKey(cfg, base); err != nil {
		return nil, err
	} else if key != nil {
		published = map[string]ed25519.PublicKey{key.ID(): key.Public()}
	}
	authority, err := auth.New(ctx, auth.Options{
		Published: published, BaseURL: base, Audience: cfg.AuthAudience, Issuers: issuers, ClientsFile: cfg.AuthClients, Store: db, Keys: keysFolder(cfg), Roles: roles, Discovery: cfg.Discovery, Logger: log,
	})
	if err != nil {
		return nil, fmt.Errorf("AFTERCARE_AUTH: %w", err)
	}
	return authority, nil
}

// keysFolder is the folder of keys: that of the setting, or the one beside a SQLite database, or, with
// PostgreSQL, where a SQLite database would be by default.
func keysFolder(cfg config.Config) string {
	path, sqlite := strings.CutPrefix(cfg.Database, "sqlite:")
	switch {
	case cfg.Keys != "":
		return cfg.Keys
	case sqlite:
		return filepath.Join(filepath.Dir(path), "keys")
	default:
		return filepath.Join("data", "keys")
	}
}

// endpoints are where tokens are to be had, by the names that a CapabilityStatement has for them; none
// where no token is needed.
func endpoints(cfg config.Config, base string) map[string]string {
	if cfg.Auth != "jwt" {
		return nil
	}
	token, introspect := auth.Endpoints(base)
	found := map[string]string{"token": token, "introspect": introspect}
	for name, member := range map[string]string{
		"authorize": "authorization_endpoint", "token": "token_endpoint", "register": "registration_endpoint", "manage": "management_endpoint", "revoke": "revocation_endpoint",
	} {
		if given, ok := cfg.Discovery[member].(string); ok {
			found[name] = given
		}
	}
	return found
}
