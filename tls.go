package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"aftercare/config"
)

// tlsConfig is that of the server, nil where a proxy does TLS. Files that are replaced are taken
// up by new connections.
func tlsConfig(cfg config.Config, log *slog.Logger) (*tls.Config, error) {
	if cfg.TLSCert == "" {
		return nil, nil
	}
	c := &certificate{cert: cfg.TLSCert, key: cfg.TLSKey, log: log}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("AFTERCARE_TLS_CERT: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil }}, nil
}

// certificateFresh is how long files are taken to be what they were.
const certificateFresh = 10 * time.Second

// certificate is that of the files, as they are now.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	loaded  *tls.Certificate
	looked  time.Time
	changed [2]time.Time // when the files were changed that loaded is of
}

func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) > certificateFresh {
		if err := c.read(); err != nil {
			c.log.Warn("the TLS certificate cannot be read; the one from before is used", "error", err)
		}
	}
	return c.loaded
}

// read loads the files where they have changed.
func (c *certificate) read() error {
	c.looked = time.Now()
	var changed [2]time.Time
	for i, file := range []string{c.cert, c.key} {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		changed[i] = info.ModTime()
	}
	if changed == c.changed {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	c.loaded, c.changed = &pair, changed
	return nil
}

// ownClient asks the service on this machine, whose certificate is made out to another name: it is
// compared with the one in the file instead.
func ownClient(cfg config.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection does
		VerifyConnection: func(state tls.ConnectionState) error {
			pair, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
			if err != nil {
				return err
			}
			if len(state.PeerCertificates) == 0 || !bytes.Equal(state.PeerCertificates[0].Raw, pair.Certificate[0]) {
				return errors.New("the service has another certificate than AFTERCARE_TLS_CERT")
			}
			return nil
		},
	}}}
}
