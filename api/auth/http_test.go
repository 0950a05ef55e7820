package auth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// What is fetched comes from where it was said to, by https, and soon.
func TestKeysAreFetchedFromNowhereElse(t *testing.T) {
	for _, url := range []string{
		"http://keys.example/jwks", "http://127.0.0.1.keys.example/jwks", "http://localhost.keys.example/", "http://10.0.0.1/jwks", "http://169.254.169.254/latest/meta-data",
		"ftp://127.0.0.1/jwks", "file:///etc/passwd", "gopher://127.0.0.1/", "https://user:pass@keys.example/jwks", "https:///jwks", "https://keys.example/jwks#a", "//keys.example/jwks", "keys.example", "", "https://[::1", "http://[::2]/jwks",
	} {
		if checkURL(url) == nil {
			t.Errorf("%q is accepted", url)
		}
	}
	for _, url := range []string{"https://keys.example/jwks?tenant=1", "https://10.0.0.1:8443/jwks", "http://127.0.0.1:9/jwks", "http://[::1]:9/jwks", "http://localhost/jwks"} {
		if err := checkURL(url); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
	followed := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		followed = true
		_, _ = w.Write(jwks("ES256"))
	}))
	defer elsewhere.Close()
	server := newKeyServer(t)
	server.answers(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	if keys, _, err := fetchJWKS(t.Context(), fetcher(), server.URL, 0, discard); err == nil || followed {
		t.Errorf("a redirect was followed: %v", keys)
	}
	ctx, cancel := context.WithCancel(t.Context())
	server.answers(func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	if _, _, err := fetchJWKS(ctx, fetcher(), server.URL, 0, discard); err == nil {
		t.Error("a server that does not answer was waited for")
	}
	if f := fetcher(); f.Timeout <= 0 || f.Timeout > 5*time.Second {
		t.Errorf("the longest that is waited is %s", f.Timeout)
	}
}
