package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/validate"

	"github.com/golang-jwt/jwt/v5"
)

func TestServeWithTokensAndTLS(t *testing.T) {
	private, set := keyPair(t)
	folder := t.TempDir()
	roots := certify(t, folder)
	listen := freeAddress(t)
	environ := []string{
		"AFTERCARE_LISTEN=" + listen, "AFTERCARE_BASE_URL=https://" + listen + "/fhir", "AFTERCARE_AUTH=jwt",
		"AFTERCARE_DATABASE=sqlite:" + filepath.Join(folder, "a.db"),
		"AFTERCARE_TLS_CERT=" + filepath.Join(folder, "cert.pem"), "AFTERCARE_TLS_KEY=" + filepath.Join(folder, "key.pem"),
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"client", "add", "engine", "--scope", "system/Patient.cruds", "--jwks", set}, environ, &out, &out); code != exitOK {
		t.Fatal(out.String())
	}
	p := start(t, []string{"serve"}, environ...)
	base := p.waitFor(t, &p.stderr, `"msg":"ready","base":"([^"]+)"`)
	for line := range strings.Lines(p.stderr.String()) {
		if strings.Contains(line, `"msg":"migration applied"`) {
			continue
		}
		if !strings.Contains(line, "a token is needed") {
			t.Errorf("the first log line is %s", line)
		}
		break
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true, ForceAttemptHTTP2: true}}
	send := func(request *http.Request) (int, string) {
		t.Helper()
		response, err := client.Do(request.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	get := func(url, token string) (int, string) {
		t.Helper()
		request, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		return send(request)
	}
	if status, body := get(base+"/metadata", ""); status != http.StatusOK || !strings.Contains(body, "oauth-uris") || !strings.Contains(body, `"valueUri":"https://`+listen+`/auth/token"`) || !strings.Contains(body, "SMART-on-FHIR") {
		t.Errorf("metadata: %d %.300s", status, body)
	} else {
		statement, err := fhir.Parse([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		v, err := validate.New()
		if err != nil {
			t.Fatal(err)
		}
		for _, issue := range v.Resource(statement, "CapabilityStatement") {
			t.Errorf("metadata: %s %v %s", issue.Severity, issue.Expression, issue.Text)
		}
	}
	if request, err := http.NewRequest(http.MethodGet, base+"/metadata", nil); err != nil {
		t.Error(err)
	} else {
		request.Header.Set("Authorization", "Bearer "+strings.Repeat("x", maxHeader+8<<10))
		one := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}} // HTTP/2 cuts the connection
		response, err := one.Do(request.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("headers that are too large: %s", response.Status)
		}
	}
	status, body := get(base+"/.well-known/smart-configuration", "")
	var discovered struct {
		Token string `json:"token_endpoint"`
	}
	if err := json.Unmarshal([]byte(body), &discovered); status != http.StatusOK || err != nil {
		t.Fatalf("discovery: %d %s", status, body)
	}
	a := jwt.NewWithClaims(jwt.SigningMethodES384, jwt.MapClaims{"iss": "engine", "sub": "engine", "aud": discovered.Token, "exp": time.Now().Add(time.Minute).Unix(), "jti": "1"})
	a.Header["kid"] = "1"
	assertion, err := a.SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {"system/Patient.rs"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
	}
	request, err := http.NewRequest(http.MethodPost, discovered.Token, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, body = send(request)
	var issued struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &issued); status != http.StatusOK || err != nil {
		t.Fatalf("token: %d %s", status, body)
	}
	if status, body := get(base+"/Patient", issued.Token); status != http.StatusOK || !strings.Contains(body, "searchset") {
		t.Errorf("with the token: %d %s", status, body)
	}
	if status, _ := get(base+"/Patient", ""); status != http.StatusUnauthorized {
		t.Errorf("without: %d", status)
	}
	if code := run(t.Context(), []string{"check"}, environ, io.Discard, &out); code != exitOK {
		t.Errorf("check: %s", out.String())
	}
	certify(t, filepath.Join(folder)) // a certificate that the service does not have yet
	if code := run(t.Context(), []string{"check"}, environ, io.Discard, io.Discard); code != exitFailed {
		t.Errorf("check takes another certificate: %d", code)
	}
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11}, DisableKeepAlives: true}}
	if response, err := old.Get(base + "/metadata"); err == nil {
		response.Body.Close()
		t.Error("TLS 1.1 is spoken")
	}
	p.stop()
	if code := <-p.code; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(p.stderr.String(), "eyJ") {
		t.Error("the log has a token")
	}
}

func certify(t *testing.T, folder string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}

func TestDemoWithTokensConfigured(t *testing.T) {
	var stdout, stderr bytes.Buffer
	environ := []string{"AFTERCARE_LISTEN=0.0.0.0:0", "AFTERCARE_AUTH=jwt", "AFTERCARE_BASE_URL=https://a.example/fhir"}
	if code := run(t.Context(), []string{"demo", "--exit"}, environ, &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), "loopback") {
		t.Errorf("%d: %s", code, stderr.String())
	}
}

func TestServeTrustsTheIssuersOfTheFile(t *testing.T) {
	private, set := keyPair(t)
	folder, listen := t.TempDir(), freeAddress(t)
	file := filepath.Join(folder, "aftercare.yaml")
	if err := os.WriteFile(file, []byte(`auth: jwt
base_url: http://`+listen+`/fhir
database: sqlite:`+filepath.Join(folder, "a.db")+`
auth_issuers:
  - {issuer: https://wide.example, jwks: "file:`+set+`"}
  - {issuer: https://narrow.example, jwks: "file:`+set+`", scope: system/Procedure.rs}
  - {issuer: https://roles.example, jwks: "file:`+set+`", audience: us, roles_claim: groups, break_glass: true}
roles: {registry: system/Procedure.rs}
smart_configuration: {authorization_endpoint: https://wide.example/authorize}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, []string{"serve", "--config", file}, "AFTERCARE_LISTEN="+listen)
	base := p.waitFor(t, &p.stderr, `"msg":"ready","base":"([^"]+)"`)
	for name, c := range map[string]struct {
		claims    jwt.MapClaims
		path      string
		emergency bool
		status    int
	}{
		"wide":                       {jwt.MapClaims{"iss": "https://wide.example", "aud": base, "scope": "system/*.rs"}, "/Patient", false, 200},
		"narrow, within":             {jwt.MapClaims{"iss": "https://narrow.example", "aud": base, "scope": "system/*.rs"}, "/Procedure", false, 200},
		"narrow, beyond":             {jwt.MapClaims{"iss": "https://narrow.example", "aud": base, "scope": "system/*.rs"}, "/Patient", false, 403},
		"a role, within":             {jwt.MapClaims{"iss": "https://roles.example", "aud": "us", "groups": []string{"registry"}}, "/Procedure", false, 200},
		"a role, beyond":             {jwt.MapClaims{"iss": "https://roles.example", "aud": "us", "groups": []string{"registry"}}, "/Patient", false, 403},
		"another audience":           {jwt.MapClaims{"iss": "https://roles.example", "aud": base, "groups": []string{"registry"}}, "/Procedure", false, 401},
		"an emergency":               {jwt.MapClaims{"iss": "https://roles.example", "aud": "us", "groups": []string{"registry"}}, "/Procedure", true, 200},
		"an emergency without right": {jwt.MapClaims{"iss": "https://wide.example", "aud": base, "scope": "system/*.rs"}, "/Patient", true, 403},
		"an issuer that is unknown":  {jwt.MapClaims{"iss": "https://other.example", "aud": base, "scope": "system/*.rs"}, "/Patient", false, 401},
	} {
		c.claims["exp"] = time.Now().Add(time.Minute).Unix()
		token := jwt.NewWithClaims(jwt.SigningMethodES384, c.claims)
		token.Header["kid"] = "1"
		signed, err := token.SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+signed)
		if c.emergency {
			request.Header.Set("X-Purpose-Of-Use", "BTG")
			request.Header.Set("X-Break-Glass-Reason", "unconscious")
		}
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%s: %s", name, response.Status)
		}
	}
	for path, want := range map[string]string{"/metadata": `{"url":"authorize","valueUri":"https://wide.example/authorize"}`, "/.well-known/smart-configuration": `"authorization_endpoint":"https://wide.example/authorize"`} {
		if _, body := get(t, base+path); !strings.Contains(body, want) {
			t.Errorf("%s: %.400s", path, body)
		}
	}
	if strings.Contains(p.stderr.String(), "unconscious") {
		t.Error("the log has a reason")
	}
}
