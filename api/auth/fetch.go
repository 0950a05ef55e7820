package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// How long keys from a URL are good: as long as its Cache-Control says, within these bounds, or
// freshUsual where it says nothing. Files are looked at anew every freshFile.
const (
	freshUsual = 5 * time.Minute
	freshMost  = time.Hour
	freshFile  = 10 * time.Second
	// freshLeast keeps the services of issuers from being asked at every request. For clients it is
	// hardly more than none: their keys must not be kept for longer than they say
	// (https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html).
	freshLeast       = 30 * time.Second
	freshLeastClient = time.Second
	// issuerPatience is how long the keys of an issuer count that cannot be reached.
	issuerPatience = 24 * time.Hour
)

func newIssuerSource(ctx context.Context, i Issuer, client *http.Client, now func() time.Time, log *slog.Logger) (*source, error) {
	s := &source{name: i.URL, patience: issuerPatience, now: now, log: log}
	if path, ok := strings.CutPrefix(i.JWKS, "file:"); ok {
		s.load = func(context.Context) ([]key, time.Duration, error) {
			keys, err := readJWKS(path, log)
			return keys, freshFile, err
		}
		if _, _, err := s.load(ctx); err != nil {
			return nil, fmt.Errorf("keys of %s: %w", i.URL, err)
		}
		return s, nil
	}
	if err := checkURL(i.JWKS); err != nil {
		return nil, fmt.Errorf("keys of %s: %w", i.URL, err)
	}
	s.load = func(ctx context.Context) ([]key, time.Duration, error) {
		return fetchJWKS(ctx, client, i.JWKS, freshLeast, log)
	}
	return s, nil
}

func readJWKS(path string, log *slog.Logger) ([]key, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxJWKS+1))
	if err != nil {
		return nil, err
	}
	return usable(data, path, log)
}

// usable gives the keys of a set that can be used, and an error if there are none.
func usable(data []byte, from string, log *slog.Logger) ([]key, error) {
	keys, left, err := parseJWKS(data)
	if err != nil {
		return nil, err
	}
	for _, why := range left {
		log.Warn("a key is left out", "from", from, "reason", why)
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key that can be used")
	}
	return keys, nil
}

// fetcher is the client that fetches key sets: no redirects, and limits of its own for slow or long
// answers.
func fetcher() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = 16 << 10
	transport.IdleConnTimeout = 30 * time.Second
	return &http.Client{
		Transport: transport, Timeout: loadLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// checkURL refuses a URL that keys must not come from: one without TLS, unless it is on this machine.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return errors.New("this is no URL that keys can be fetched from")
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return errors.New("keys are fetched by https alone")
}

func fetchJWKS(ctx context.Context, client *http.Client, from string, least time.Duration, log *slog.Logger) ([]key, time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, 0, errors.New("this is no URL that keys can be fetched from")
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("the answer has status %d", response.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxJWKS+1))
	if err != nil {
		return nil, 0, err
	}
	keys, err := usable(data, from, log)
	return keys, max(least, min(freshMost, freshness(response.Header))), err
}

// freshness is how long an answer may be kept (RFC 9111 section 5.2.2).
func freshness(h http.Header) time.Duration {
	for directive := range strings.SplitSeq(strings.ToLower(strings.Join(h.Values("Cache-Control"), ",")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if seconds, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && seconds >= 0 {
				return time.Duration(min(seconds, int(freshMost/time.Second))) * time.Second
			}
			return 0
		}
	}
	return freshUsual
}
