package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"aftercare/service/permission"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// structures are the keys of the file that hold more than one value.
var structures = map[string]func(*Config, ast.Node) error{"auth_issuers": readIssuers, "roles": readRoles, "smart_configuration": readDiscovery}

func readIssuers(c *Config, n ast.Node) error {
	var list []struct {
		Issuer, Audience, JWKS, Scope string
		RolesClaim                    string `yaml:"roles_claim"`
		BreakGlass                    bool   `yaml:"break_glass"`
	}
	if yaml.NodeToValue(n, &list, yaml.Strict()) != nil || len(list) == 0 { // its text may quote the file
		return errors.New("is no list of issuers; each has issuer and jwks, and may have audience, scope, roles_claim, and break_glass, which is true or false")
	}
	for i, one := range list {
		issuer := Issuer{Scope: one.Scope, RolesClaim: one.RolesClaim, BreakGlass: one.BreakGlass}
		problems := []error{setIssuer(&issuer.Issuer, one.Issuer), setJWKS(&issuer.JWKS, one.JWKS)}
		if one.Audience != "" {
			problems = append(problems, setAudience(&issuer.Audience, one.Audience))
		}
		if _, others := permission.ParseGrant(one.Scope); len(others) > 0 {
			problems = append(problems, fmt.Errorf("has the scope %q, which is none for resources", clip(others[0])))
		}
		if err := errors.Join(problems...); err != nil {
			return fmt.Errorf("issuer %d: %q %s", i+1, clip(one.Issuer), strings.ReplaceAll(err.Error(), "\n", "; and "))
		}
		c.AuthIssuers = append(c.AuthIssuers, issuer)
	}
	return nil
}

func readRoles(c *Config, n ast.Node) error {
	if yaml.NodeToValue(n, &c.Roles, yaml.Strict()) != nil || len(c.Roles) == 0 {
		return errors.New("is no mapping of roles; give lines such as \"registry: system/Procedure.rs\"")
	}
	if _, err := permission.ReadRoles(c.Roles); err != nil {
		return err
	}
	return nil
}

// The members of the SMART configuration that may be replaced
// (https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html): URLs, and lists.
var (
	discoveryURLs  = []string{"authorization_endpoint", "token_endpoint", "registration_endpoint", "management_endpoint", "revocation_endpoint", "issuer", "jwks_uri"}
	discoveryLists = []string{"capabilities", "scopes_supported", "response_types_supported", "grant_types_supported",
		"token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported"}
)

func readDiscovery(c *Config, n ast.Node) error {
	var given map[string]any
	if yaml.NodeToValue(n, &given, yaml.Strict()) != nil || len(given) == 0 {
		return errors.New("is no mapping of members of a SMART configuration, such as \"authorization_endpoint: https://login.hospital.example/authorize\"")
	}
	c.Discovery = map[string]any{}
	for name, value := range given {
		text, isText := value.(string)
		list, isList := value.([]any)
		var texts []string
		for _, one := range list {
			if word, ok := one.(string); ok {
				texts = append(texts, word)
			}
		}
		switch {
		case slices.Contains(discoveryURLs, name) && isText && isHTTPS(text):
			c.Discovery[name] = text
		case slices.Contains(discoveryLists, name) && isList && len(texts) == len(list):
			c.Discovery[name] = texts
		default:
			return fmt.Errorf("%s is none of its members that can be given, or has a value of another form; URLs are %s; lists are %s",
				clip(name), strings.Join(discoveryURLs, ", "), strings.Join(discoveryLists, ", "))
		}
	}
	return nil
}

// isHTTPS tells whether a text is a URL that tokens may be sent to.
func isHTTPS(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Hostname() != "" && u.User == nil && u.Fragment == "" && (u.Scheme == "https" || u.Scheme == "http" && loopbackHost(u.Hostname()))
}

func setIssuer(field *string, v string) error {
	if v == "" || strings.ContainsAny(v, " \t\r\n") {
		return errors.New("is no issuer; give the iss of its tokens, such as https://login.hospital.example")
	}
	*field = v
	return nil
}

func setAudience(field *string, v string) error {
	if strings.ContainsAny(v, " \t\r\n") {
		return errors.New("is no audience; give the aud of the tokens, such as https://fhir.hospital.example/fhir")
	}
	*field = v
	return nil
}

func setJWKS(field *string, v string) error {
	wrong := errors.New("has no place of keys; give an https:// URL, or file:PATH of a file that is there")
	if path, ok := strings.CutPrefix(v, "file:"); ok {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return wrong
		}
	} else if !isHTTPS(v) {
		return wrong
	}
	*field = v
	return nil
}

// contradictionsOfTokens are the problems of settings about tokens and TLS that are each acceptable
// alone.
func (c Config) contradictionsOfTokens() (problems []error) {
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if (c.TLSCert == "") != (c.TLSKey == "") {
		add("AFTERCARE_TLS_CERT: belongs with AFTERCARE_TLS_KEY; give both or neither")
	}
	if c.Auth != "jwt" {
		if len(c.Issuers()) > 0 || c.AuthAudience != "" || c.AuthClients != "" || len(c.Roles) > 0 || len(c.Discovery) > 0 {
			add("AFTERCARE_AUTH: must be jwt where issuers, an audience, clients, roles or endpoints are given, or nobody would need a token")
		}
		return problems
	}
	if u, err := url.Parse(c.BaseURL); c.BaseURL != "" && err == nil && u.Scheme != "https" && !loopbackHost(u.Hostname()) {
		add("AFTERCARE_BASE_URL: must begin with https:// where tokens are used, or anyone on the way could take them")
	}
	if strings.HasPrefix(c.Database, "postgres") && c.Keys == "" {
		add("AFTERCARE_KEYS: is required with PostgreSQL and tokens; give a folder that all replicas share, or an empty one for one replica")
	}
	var seen []string
	for _, issuer := range c.Issuers() {
		switch {
		case issuer.Issuer == "":
			add("AFTERCARE_AUTH_JWKS: belongs with AFTERCARE_AUTH_ISSUER")
		case issuer.JWKS == "":
			add("AFTERCARE_AUTH_ISSUER: belongs with AFTERCARE_AUTH_JWKS")
		case slices.Contains(seen, issuer.Issuer):
			add("AFTERCARE_AUTH_ISSUER: %q is given twice", clip(issuer.Issuer))
		}
		seen = append(seen, issuer.Issuer)
	}
	return problems
}
