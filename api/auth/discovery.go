package auth

import (
	"encoding/json"
	"maps"
	"net/http"
)

// DiscoveryPath is where the document of Discovery is, below the FHIR base.
const DiscoveryPath = "/.well-known/smart-configuration"

// Discovery is what clients need to know to get a token
// (https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html). It names no authorization endpoint
// unless Options.Discovery does: people sign in with the identity providers whose tokens are trusted.
func (a *Authority) Discovery() []byte {
	d := map[string]any{
		"token_endpoint":                                   a.TokenURL(),
		"token_endpoint_auth_methods_supported":            []string{"private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": assertionAlgorithms,
		"grant_types_supported":                            []string{"client_credentials"},
		"scopes_supported":                                 []string{"system/*.cruds", "system/*.rs", "system/*.read", "system/*.write", "system/*.*"},
		"introspection_endpoint":                           a.origin + IntrospectPath,
		"jwks_uri":                                         a.origin + KeysPath,
		"code_challenge_methods_supported":                 []string{"S256"},
		"capabilities":                                     []string{"client-confidential-asymmetric", "permission-v1", "permission-v2", "permission-patient", "permission-user"},
	}
	maps.Copy(d, a.discovery)
	body, err := json.Marshal(d)
	if err != nil { // plain data: cannot happen
		panic(err)
	}
	return body
}

// ServeKeys answers GET [origin]/auth/jwks with the public keys of the service. A key that follows
// another one is there before long: who keeps the set does so for a minute.
func (a *Authority) ServeKeys(w http.ResponseWriter, r *http.Request) {
	set, err := a.signer.source.keys(r.Context())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	_, _ = w.Write(set.jwks(a.published))
}
