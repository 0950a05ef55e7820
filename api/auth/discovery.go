package auth

import (
	"encoding/json"
	"net/http"
)

// DiscoveryPath is where the document of Discovery is, below the FHIR base.
const DiscoveryPath = "/.well-known/smart-configuration"

// Discovery is what clients need to know to get a token
// (https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html). There is no authorization
// endpoint: people sign in with the identity providers whose tokens are trusted.
func (a *Authority) Discovery() []byte {
	body, err := json.Marshal(struct {
		Token        string   `json:"token_endpoint"`
		Methods      []string `json:"token_endpoint_auth_methods_supported"`
		Algorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
		Grants       []string `json:"grant_types_supported"`
		Scopes       []string `json:"scopes_supported"`
		Introspect   string   `json:"introspection_endpoint"`
		Keys         string   `json:"jwks_uri"`
		Challenges   []string `json:"code_challenge_methods_supported"`
		Capabilities []string `json:"capabilities"`
	}{
		Token: a.TokenURL(), Methods: []string{"private_key_jwt"}, Algorithms: assertionAlgorithms, Grants: []string{"client_credentials"},
		Scopes: []string{"system/*.cruds", "system/*.rs", "system/*.read", "system/*.write", "system/*.*"}, Introspect: a.origin + IntrospectPath, Keys: a.origin + KeysPath, Challenges: []string{"S256"},
		Capabilities: []string{"client-confidential-asymmetric", "permission-v1", "permission-v2", "permission-patient", "permission-user"},
	})
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
	_, _ = w.Write(set.jwks())
}
