package tree

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// ed25519Key is the type of a key of signed notes (https://c2sp.org/signed-note#signature-types).
const ed25519Key = 0x01

// Key signs for a log. It is safe for concurrent use.
type Key struct {
	private  ed25519.PrivateKey
	signer   note.Signer
	verifier string
}

// NameOf is the name of the key of a log, and its origin, by the public base of the service: the URL
// without its scheme.
func NameOf(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return "", errors.New("tree: a log is named after the base URL of its service, and this is none")
	}
	return strings.Map(func(r rune) rune {
		if r == '+' || r <= ' ' || r > '~' {
			return '-'
		}
		return r
	}, strings.TrimSuffix(u.Host+u.EscapedPath(), "/")), nil
}

// NewKey makes the key of a log with a name, as text that ReadKey takes: a signer key of signed notes.
func NewKey(name string) (string, error) {
	text, _, err := note.GenerateKey(rand.Reader, name)
	return text, err
}

// ReadKey reads what NewKey made. The error does not repeat the text.
func ReadKey(text string) (*Key, error) {
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, errors.New("tree: this is no signer key of signed notes")
	}
	parts := strings.SplitN(text, "+", 5)
	data, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(data) != 1+ed25519.SeedSize || data[0] != ed25519Key {
		return nil, errors.New("tree: this is no Ed25519 key of signed notes")
	}
	k := &Key{private: ed25519.NewKeyFromSeed(data[1:]), signer: signer}
	k.verifier, err = note.NewEd25519VerifierKey(signer.Name(), k.Public())
	return k, err
}

// Name is that of the key, and the origin of the checkpoints that it signs.
func (k *Key) Name() string { return k.signer.Name() }

// Verifier is the text that whoever verifies needs (https://c2sp.org/signed-note#verifier-keys).
func (k *Key) Verifier() string { return k.verifier }

// ID is that of the public key, of eight hexadecimal digits.
func (k *Key) ID() string { return fmt.Sprintf("%08x", k.signer.KeyHash()) }

// Public is the public key.
func (k *Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// Private is the private key, for signatures of other forms.
func (k *Key) Private() ed25519.PrivateKey { return k.private }

// PublicOf is the public key of a verifier's text, which has to be one for Ed25519.
func PublicOf(verifier string) (ed25519.PublicKey, error) {
	if _, err := note.NewVerifier(verifier); err != nil {
		return nil, errors.New("tree: this is no verifier key of signed notes, such as NAME+1234abcd+...")
	}
	parts := strings.SplitN(verifier, "+", 3)
	data, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(data) != 1+ed25519.PublicKeySize || data[0] != ed25519Key {
		return nil, errors.New("tree: this is no Ed25519 verifier key")
	}
	return data[1:], nil
}
