package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// signer has the keys that sign the service's own tokens: the files token-DATE.pem of a folder,
// each a P-256 private key in PKCS #8. The newest signs, unless its date is to come; all of them
// verify. Replicas share the folder.
//
// A key that is keyAge old is followed by one that signs from the next day on: by then all replicas
// know it. The one before both is removed, for its last token has long expired. Where the folder cannot be written to, as a Secret of Kubernetes, whoever
// made the keys does that.
type signer struct {
	folder string
	now    func() time.Time
	log    *slog.Logger
	source *source
	// signing is the key that signs.
	signing atomic.Pointer[signingKey]
}

type signingKey struct {
	key
	private *ecdsa.PrivateKey
	date    time.Time
}

const (
	// keyAge is how long a key signs.
	keyAge = 90 * 24 * time.Hour
	// keysKept is how many keys are kept when a new one is made.
	keysKept = 2

	keyPrefix, keySuffix = "token-", ".pem"
)

func newSigner(folder string, now func() time.Time, log *slog.Logger) (*signer, error) {
	s := &signer{folder: folder, now: now, log: log}
	s.source = &source{name: "this service", patience: time.Hour, now: now, log: log, load: func(context.Context) ([]key, time.Duration, error) {
		keys, err := s.load()
		return keys, freshFile, err
	}}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of keys cannot be made: %w", err)
	}
	if _, err := s.source.keys(context.Background()); err != nil {
		return nil, fmt.Errorf("the folder of keys: %w", errors.Unwrap(err))
	}
	return s, nil
}

// load reads the keys, and makes one where it is time.
func (s *signer) load() ([]key, error) {
	all, err := s.read()
	if err != nil {
		return nil, err
	}
	today := s.now().UTC().Truncate(24 * time.Hour)
	switch {
	case s.newest(all) == nil:
		if err := s.add(today); err != nil {
			return nil, fmt.Errorf("there is no key, and none can be made: %w", err)
		}
	case today.Sub(all[len(all)-1].date) >= keyAge:
		if err := s.add(today.Add(24 * time.Hour)); err != nil {
			s.log.Warn("the key that signs tokens is old, and no other can be made", "folder", s.folder, "since", all[len(all)-1].date, "error", err)
		}
	}
	if all, err = s.read(); err != nil {
		return nil, err
	}
	if s.newest(all) == nil {
		return nil, errors.New("the key that was made is gone again")
	}
	s.signing.Store(s.newest(all))
	keys := make([]key, len(all))
	for i, k := range all {
		keys[i] = k.key
	}
	return keys, nil
}

// newest is the key that signs, nil if there is none.
func (s *signer) newest(all []*signingKey) (newest *signingKey) {
	for _, k := range all {
		if !k.date.After(s.now()) {
			newest = k
		}
	}
	return newest
}

// read gives the keys in the folder, oldest first.
func (s *signer) read() ([]*signingKey, error) {
	names, err := filepath.Glob(filepath.Join(s.folder, keyPrefix+"*"+keySuffix))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var all []*signingKey
	for _, name := range names {
		k, err := readKey(name)
		if errors.Is(err, fs.ErrNotExist) { // another replica has removed it meanwhile
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, k)
	}
	return all, nil
}

func readKey(name string) (*signingKey, error) {
	date, err := time.Parse(time.DateOnly, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), keyPrefix), keySuffix))
	if err != nil {
		return nil, errors.New("the name has no date; it is " + keyPrefix + "YYYY-MM-DD" + keySuffix)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, errors.New("everybody on this machine can read or write it; allow its owner alone (0600), or its group too")
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("this is no PEM file")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || private.Curve != elliptic.P256() {
		return nil, errors.New("this is no P-256 private key in PKCS #8")
	}
	jwk := jose.JSONWebKey{Key: &private.PublicKey}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, errors.New("the key cannot be named")
	}
	k := &signingKey{private: private, date: date}
	k.thumbprint = thumbprintText(sum)
	k.kid, k.alg, k.public = k.thumbprint, "ES256", &private.PublicKey
	return k, nil
}

// add makes a key that signs from a date on, unless another replica has just done so, and removes what is too old.
func (s *signer) add(from time.Time) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	data, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	// Written apart and linked to its name, a key is there whole or not at all, and once.
	file, err := os.CreateTemp(s.folder, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	err = errors.Join(pem.Encode(file, &pem.Block{Type: "PRIVATE KEY", Bytes: data}), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	name := filepath.Join(s.folder, keyPrefix+from.Format(time.DateOnly)+keySuffix)
	if err := os.Link(file.Name(), name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	s.log.Info("a key that signs tokens was made", "file", name)
	return s.removeOld()
}

func (s *signer) removeOld() error {
	all, err := s.read()
	if err != nil {
		return err
	}
	for _, k := range all[:max(0, len(all)-keysKept)] {
		name := filepath.Join(s.folder, keyPrefix+k.date.Format(time.DateOnly)+keySuffix)
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// sign makes a token. typ is at+jwt for access tokens (RFC 9068).
func (s *signer) sign(ctx context.Context, c *claims) (string, error) {
	if _, err := s.source.keys(ctx); err != nil {
		return "", err
	}
	k := s.signing.Load()
	t := jwt.NewWithClaims(jwt.SigningMethodES256, c)
	t.Header["typ"], t.Header["kid"] = "at+jwt", k.kid
	return t.SignedString(k.private)
}
