package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// algorithms are those that access tokens may be signed with. none, and those with a shared secret,
// are not among them.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "ES256", "ES384", "ES512", "EdDSA"}

// key is a public key.
type key struct {
	kid string
	alg string // the only algorithm that it is for, "" where its owner does not say
	// public is *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey.
	public any
	// thumbprint names the key by its content (RFC 7638).
	thumbprint string
}

// fits reports whether a token with that algorithm can be verified with the key. It keeps an
// algorithm of one family from being used with a key of another.
func (k *key) fits(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		return alg == map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512"}[public.Curve]
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// keySet is a set of public keys. It does not change: other keys are another set.
type keySet struct {
	keys []key
	sum  [32]byte // of what the keys are
}

func newKeySet(keys []key) *keySet {
	var names []string
	for _, k := range keys {
		names = append(names, fmt.Sprintf("%q %q %s", k.kid, k.alg, k.thumbprint))
	}
	slices.Sort(names)
	return &keySet{keys, sha256.Sum256([]byte(strings.Join(names, "\n")))}
}

// find gives the key with that kid that fits the algorithm, nil if there is none or more than one.
func (s *keySet) find(kid, alg string) *key {
	var found *key
	for i := range s.keys {
		if k := &s.keys[i]; k.kid == kid && k.fits(alg) {
			if found != nil {
				return nil
			}
			found = k
		}
	}
	return found
}

// What a JWKS may have.
const (
	maxJWKS    = 256 << 10 // bytes
	maxKeys    = 100
	minRSABits = 2048
	maxRSABits = 8192
)

// parseJWKS reads a JWK Set (RFC 7517 section 5). Keys that are not for signatures, of unknown
// kinds, too weak, without a kid, or not public are left out; the second result says why for each,
// without what is in them.
func parseJWKS(data []byte) (keys []key, left []error, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if len(data) > maxJWKS || json.Unmarshal(data, &set) != nil || set.Keys == nil {
		return nil, nil, errors.New(`this is no JWK Set; one is {"keys": [...]}, of 256 KiB at most`)
	}
	if len(set.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("there are more than %d keys", maxKeys)
	}
	for i, raw := range set.Keys {
		k, err := parseJWK(raw)
		if err != nil {
			left = append(left, fmt.Errorf("keys[%d] %w", i, err))
			continue
		}
		keys = append(keys, k)
	}
	return keys, left, nil
}

// errPrivate is of a key that must not have been handed over.
var errPrivate = errors.New("is not public; take it out of use, and give the public key alone")

func parseJWK(raw json.RawMessage) (key, error) {
	var parsed jose.JSONWebKey
	if err := json.Unmarshal(raw, &parsed); err != nil {
		return key{}, errors.New("cannot be read, or is of a kind that is not known here")
	}
	k := key{kid: parsed.KeyID, alg: parsed.Algorithm, public: parsed.Key}
	switch {
	case !parsed.IsPublic():
		return key{}, errPrivate
	case parsed.Use != "" && parsed.Use != "sig":
		return key{}, errors.New("is not for signatures")
	case k.kid == "":
		return key{}, errors.New("has no kid")
	case !slices.ContainsFunc(algorithms, k.fits):
		return key{}, errors.New("is of a kind that is not accepted here")
	}
	if public, ok := k.public.(*rsa.PublicKey); ok && (public.N.BitLen() < minRSABits || public.N.BitLen() > maxRSABits) {
		return key{}, fmt.Errorf("is an RSA key of less than %d or more than %d bits", minRSABits, maxRSABits)
	}
	if _, ok := k.public.(ed25519.PublicKey); ok { // the library fills up what is too short
		var sent struct{ X string }
		if json.Unmarshal(raw, &sent) != nil || base64.RawURLEncoding.DecodedLen(len(sent.X)) != ed25519.PublicKeySize {
			return key{}, errors.New("is an Ed25519 key of another length")
		}
	}
	sum, err := parsed.Thumbprint(crypto.SHA256)
	if err != nil {
		return key{}, errors.New("cannot be named by its content")
	}
	k.thumbprint = thumbprintText(sum)
	return k, nil
}

func thumbprintText(sum []byte) string { return base64.RawURLEncoding.EncodeToString(sum) }

// jwks writes a JWK Set, with further keys.
func (s *keySet) jwks(more map[string]ed25519.PublicKey) []byte {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range s.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.public, KeyID: k.kid, Algorithm: k.alg, Use: "sig"})
	}
	for id, public := range more {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: public, KeyID: id, Algorithm: string(jose.EdDSA), Use: "sig"})
	}
	var out bytes.Buffer
	if err := json.NewEncoder(&out).Encode(set); err != nil { // keys that were parsed or made: cannot happen
		panic(err)
	}
	return out.Bytes()
}
