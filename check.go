package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"aftercare/config"
)

// check asks the service that listens on the configured address whether it is ready, or
// with live only whether it answers. An image from scratch has no other client that a
// probe could use.
func (p *program) check(ctx context.Context, cfg config.Config, live bool) error {
	path := "/readyz"
	if live {
		path = "/healthz"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	address, client := url.URL{Scheme: "http", Host: cfg.Listen, Path: path}, http.DefaultClient
	if cfg.TLSCert != "" {
		address.Scheme, client = "https", ownClient(cfg)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", path, response.Status)
	}
	return nil
}
