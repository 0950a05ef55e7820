package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"aftercare/config"
	"aftercare/service/audit"
	"aftercare/service/audit/tree"
)

// secretFile is the file in the folder of keys that has the secret of the auditor's log, in hexadecimal
// digits. Whoever has it can tell which records are about which patient, and can write records that pass
// for the service's own.
const secretFile = "audit-secret"

// signingFile is the file in the folder of keys that has the key by which checkpoints of the log and
// receipts are signed, a signer key of signed notes; verifierFile has what whoever verifies them needs,
// which is no secret.
const (
	signingFile  = "audit-key"
	verifierFile = "audit-key.pub"
)

// logSecret is the secret of the auditor's log, which is made where there is none; nil where no log is
// kept.
func logSecret(cfg config.Config) ([]byte, error) {
	if cfg.Audit == config.AuditOff {
		return nil, nil
	}
	secret, err := secretIn(keysFolder(cfg))
	if err != nil {
		return nil, fmt.Errorf("AFTERCARE_KEYS: %w", err)
	}
	return secret, nil
}

func secretIn(folder string) ([]byte, error) {
	text, err := keyFile(folder, secretFile, func() (string, error) {
		secret := make([]byte, audit.SecretSize)
		rand.Read(secret) // never fails
		return hex.EncodeToString(secret), nil
	})
	if err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(text)
	if err != nil || len(secret) != audit.SecretSize {
		return nil, fmt.Errorf("%s is not %d bytes in hexadecimal digits", secretFile, audit.SecretSize)
	}
	return secret, nil
}

// logKey is the key that signs for the auditor's log, which is made where there is none and named after
// the base URL; nil where no log is kept.
func logKey(cfg config.Config, base string) (*tree.Key, error) {
	if cfg.Audit == config.AuditOff {
		return nil, nil
	}
	key, err := keyIn(keysFolder(cfg), base)
	if err != nil {
		return nil, fmt.Errorf("AFTERCARE_KEYS: %w", err)
	}
	return key, nil
}

func keyIn(folder, base string) (*tree.Key, error) {
	text, err := keyFile(folder, signingFile, func() (string, error) {
		name, err := tree.NameOf(base)
		if err != nil {
			return "", err
		}
		return tree.NewKey(name)
	})
	if err != nil {
		return nil, err
	}
	key, err := tree.ReadKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", signingFile, err)
	}
	path := filepath.Join(folder, verifierFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		// A folder that cannot be written to has it or not: it can be had from the key at any time.
		_ = makeKeyFile(folder, path, func() (string, error) { return key.Verifier(), nil })
	}
	return key, nil
}

// keyFile is the text of a file in the folder of keys, which is made where it is not there yet. Several
// processes may make it at once: one of them does.
func keyFile(folder, name string, make func() (string, error)) (string, error) {
	path := filepath.Join(folder, name)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKeyFile(folder, path, make); err != nil {
			return "", fmt.Errorf("%s is not there and cannot be made: %w", name, err)
		}
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("%s: everybody on this machine can read or write it; allow its owner alone (0600), or its group too", name)
	}
	return strings.TrimSpace(string(text)), nil
}

func makeKeyFile(folder, path string, make func() (string, error)) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	text, err := make()
	if err != nil {
		return err
	}
	// Written apart and linked to its name, a file is there whole or not at all, and once.
	file, err := os.CreateTemp(folder, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(text + "\n")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
