package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"

	"github.com/golang-jwt/jwt/v5"
)

func TestTokensOfAllAlgorithmsAreAccepted(t *testing.T) {
	f := newFixture(t, nil)
	for _, alg := range algorithms {
		kid := alg
		if private()[alg] == private()["RS256"] {
			kid = "RS256"
		}
		p, err := f.Authenticate(request(token(t, alg, f.good(), "kid", kid)))
		if err != nil || p.Client != "app" || p.Patient != "p1" {
			t.Errorf("%s: %+v, %v", alg, p, err)
		}
	}
}

func segment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// without is the claims but for one.
func withoutClaim(c jwt.MapClaims, name string) jwt.MapClaims {
	delete(c, name)
	return c
}

func withClaims(c jwt.MapClaims, more jwt.MapClaims) jwt.MapClaims {
	maps.Copy(c, more)
	return c
}

// raw signs a header and a payload that the library would not make.
func raw(t *testing.T, header, payload string) string {
	t.Helper()
	text := segment(header) + "." + segment(payload)
	signature, err := jwt.SigningMethodRS256.Sign(text, private()["RS256"])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// attack is a token and what it must be refused for.
type attack struct{ token, reason string }

// attacks are tokens that somebody could make up, steal, keep or confuse.
func attacks(t *testing.T, f *fixture) map[string]attack {
	good := token(t, "RS256", f.good())
	parts := strings.Split(good, ".")
	payload := parts[1]
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(private()["RS256"].Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	claimsText, _ := base64.RawURLEncoding.DecodeString(payload)
	changed := strings.Replace(string(claimsText), `"p1"`, `"p2"`, 1)
	const rs = `{"alg":"RS256","kid":"RS256","typ":"JWT"}`
	exp := f.clock.in(time.Minute)
	number, _ := json.Marshal(exp)
	body := func(members string) string {
		return `{"iss":"` + idp + `","aud":"` + base + `","exp":` + string(number) + members + `}`
	}
	claim := func(name string, value any) string {
		return token(t, "RS256", withClaims(f.good(), jwt.MapClaims{name: value}))
	}

	return map[string]attack{
		// signatures
		"unsigned":                      {segment(`{"alg":"none","kid":"RS256"}`) + "." + payload + ".", "algorithm"},
		"unsigned, with a signature":    {segment(`{"alg":"none","kid":"RS256"}`) + "." + payload + "." + parts[2], "algorithm"},
		"unsigned, in capitals":         {segment(`{"alg":"NONE","kid":"RS256"}`) + "." + payload + ".", "algorithm"},
		"unsigned, half in capitals":    {segment(`{"alg":"nOnE","kid":"RS256"}`) + "." + payload + ".", "algorithm"},
		"no algorithm":                  {segment(`{"kid":"RS256"}`) + "." + payload + "." + parts[2], "algorithm"},
		"algorithm that is no text":     {segment(`{"alg":256,"kid":"RS256"}`) + "." + payload + "." + parts[2], "algorithm"},
		"unknown algorithm":             {segment(`{"alg":"RS1","kid":"RS256"}`) + "." + payload + "." + parts[2], "algorithm"},
		"signature cut off":             {parts[0] + "." + payload + ".", "signature"},
		"signature of another token":    {parts[0] + "." + payload + "." + strings.Split(claim("sub", "u2"), ".")[2], "signature"},
		"claims changed after signing":  {parts[0] + "." + segment(changed) + "." + parts[2], "signature"},
		"signed by a stranger":          {tokenOf(t, "RS256", stranger(), f.good()), "signature"},
		"signed by a stranger on P-256": {tokenOf(t, "ES256", other, f.good()), "signature"},
		"signature of zeros":            {segment(`{"alg":"ES256","kid":"ES256"}`) + "." + payload + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)), "signature"},
		"empty signature on a curve":    {segment(`{"alg":"ES256","kid":"ES256"}`) + "." + payload + ".", "signature"},
		// confusion of algorithms and keys
		"shared secret":                 {tokenOf(t, "HS256", []byte("secret"), f.good(), "kid", "RS256"), "algorithm"},
		"public key as a shared secret": {tokenOf(t, "HS256", public, f.good(), "kid", "RS256"), "algorithm"},
		"public key in DER as a secret": {tokenOf(t, "HS256", der, f.good(), "kid", "RS256"), "algorithm"},
		"modulus as a shared secret":    {tokenOf(t, "HS384", private()["RS256"].Public().(*rsa.PublicKey).N.Bytes(), f.good(), "kid", "RS256"), "algorithm"},
		"algorithm of another family":   {tokenOf(t, "ES256", private()["ES256"], f.good(), "kid", "RS256"), "key"},
		"algorithm of another curve":    {tokenOf(t, "ES256", private()["ES256"], f.good(), "kid", "ES384"), "key"},
		"RSA with the kid of Ed25519":   {tokenOf(t, "RS256", private()["RS256"], f.good(), "kid", "EdDSA"), "key"},
		"algorithm that is not offered": {tokenOf(t, "PS512", private()["RS256"], f.good(), "kid", "RS256"), "algorithm"},
		// keys that the token brings along
		"weak key":                  {tokenOf(t, "RS256", weak, f.good(), "kid", "weak"), "key"},
		"key in the header":         {tokenOf(t, "RS256", stranger(), f.good(), "kid", "mine", "jwk", map[string]any{"kty": "RSA"}), "key"},
		"URL of keys in the header": {tokenOf(t, "RS256", stranger(), f.good(), "kid", "mine", "jku", "https://evil.example/jwks"), "key"},
		"certificate in the header": {tokenOf(t, "RS256", stranger(), f.good(), "kid", "mine", "x5c", []string{"AAAA"}), "key"},
		"URL of a certificate":      {tokenOf(t, "RS256", stranger(), f.good(), "kid", "mine", "x5u", "https://evil.example/cert"), "key"},
		// tricks with kid
		"no kid":               {token(t, "RS256", f.good(), "kid", nil), "key"},
		"empty kid":            {token(t, "RS256", f.good(), "kid", ""), "key"},
		"kid that is a path":   {token(t, "RS256", f.good(), "kid", "../../../../dev/null"), "key"},
		"kid that is SQL":      {token(t, "RS256", f.good(), "kid", "RS256' OR '1'='1"), "key"},
		"kid that is a URL":    {token(t, "RS256", f.good(), "kid", "https://evil.example/key"), "key"},
		"kid in another case":  {token(t, "RS256", f.good(), "kid", "rs256"), "key"},
		"kid that is a number": {token(t, "RS256", f.good(), "kid", 1), "malformed"},
		"kid that is a list":   {token(t, "RS256", f.good(), "kid", []string{"RS256"}), "malformed"},
		"kid with a zero byte": {token(t, "RS256", f.good(), "kid", "RS256\x00"), "key"},
		// headers
		"critical extension":             {token(t, "RS256", f.good(), "crit", []string{"b64"}, "b64", false), "malformed"},
		"an empty list of critical ones": {token(t, "RS256", f.good(), "crit", []string{}), "malformed"},
		"another kind of token":          {token(t, "RS256", f.good(), "typ", "logout+jwt"), "malformed"},
		"kind that is no text":           {token(t, "RS256", f.good(), "typ", 1), "malformed"},
		"header that is no object":       {segment(`["RS256"]`) + "." + payload + "." + parts[2], "malformed"},
		"header that is null":            {segment(`null`) + "." + payload + "." + parts[2], "algorithm"},
		// forms
		"a word":                    {"hello", "malformed"},
		"two parts":                 {parts[0] + "." + payload, "malformed"},
		"four parts":                {good + ".x", "malformed"},
		"five parts, encrypted":     {good + ".x.y", "malformed"},
		"only points":               {"..", "malformed"},
		"padded":                    {parts[0] + "=." + payload + "." + parts[2], "malformed"},
		"another alphabet":          {parts[0] + "." + payload + "." + strings.NewReplacer("-", "+", "_", "/").Replace(parts[2]) + "==", "malformed"},
		"too long":                  {claim("sub", strings.Repeat("x", maxToken)), "too long"},
		"a million points":          {strings.Repeat(".", 1_000_000), "too long"},
		"claims that are no object": {raw(t, rs, `[]`), "malformed"},
		"claims that are null":      {raw(t, rs, `null`), "issuer"},
		"claims that are cut off":   {raw(t, rs, `{"iss":"`+idp), "malformed"},
		"deeply nested claims":      {raw(t, rs, body(`,"x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000))[:3000]), "malformed"},
		"a claim twice":             {raw(t, rs, body(`,"patient":"p1","patient":"p2"`)), "malformed"},
		"the issuer twice":          {raw(t, rs, body(`,"iss":"https://evil.example"`)), "malformed"},
		"claims in another case":    {raw(t, rs, strings.Replace(body(``), `"exp"`, `"EXP"`, 1)), "times"},
		"text that is not UTF-8":    {raw(t, rs, body(`,"sub":"`+"\xff"+`"`)), "malformed"},
		// issuers and audiences
		"no issuer":                      {token(t, "RS256", withoutClaim(f.good(), "iss")), "issuer"},
		"another issuer":                 {claim("iss", "https://evil.example"), "issuer"},
		"issuer with a slash more":       {claim("iss", idp+"/"), "issuer"},
		"issuer that is a number":        {claim("iss", 7), "malformed"},
		"issuer that is a list":          {claim("iss", []string{idp}), "malformed"},
		"our own issuer, signed by them": {claim("iss", "https://clinic.example/auth"), "key"},
		"the issuer of a client":         {claim("iss", "engine"), "issuer"},
		"no audience":                    {token(t, "RS256", withoutClaim(f.good(), "aud")), "audience"},
		"empty audience":                 {claim("aud", ""), "audience"},
		"empty list of audiences":        {claim("aud", []string{}), "audience"},
		"another audience":               {claim("aud", "https://other.example/fhir"), "audience"},
		"audience with more behind it":   {claim("aud", base+".evil.example"), "audience"},
		"audience that is shorter":       {claim("aud", strings.TrimSuffix(base, "/fhir")), "audience"},
		"audience of an ID token":        {claim("aud", "app"), "audience"},
		"audience that is an object":     {claim("aud", map[string]string{"a": base}), "malformed"},
		// times
		"expired":                {claim("exp", f.clock.in(-skew)), "expired"},
		"expired long ago":       {claim("exp", 1), "expired"},
		"no expiry":              {token(t, "RS256", withoutClaim(f.good(), "exp")), "times"},
		"expiry that is null":    {claim("exp", nil), "times"},
		"expiry as text":         {claim("exp", "2999-01-01"), "malformed"},
		"expiry beyond all time": {raw(t, rs, strings.Replace(body(``), string(number), "1e300", 1)), ""},
		"negative expiry":        {claim("exp", -1), "expired"},
		"not valid yet":          {claim("nbf", f.clock.in(skew+time.Second)), "times"},
		"issued in the future":   {claim("iat", f.clock.in(skew+time.Second)), "times"},
		// what it gives
		"patient that is no id":        {claim("patient", "../p1"), "claims"},
		"patient that is a list":       {claim("patient", []string{"p1", "p2"}), "malformed"},
		"patient that is an object":    {claim("patient", map[string]string{"id": "p1"}), "malformed"},
		"encounter that is no id":      {claim("encounter", "a b"), "claims"},
		"scope that is a number":       {claim("scope", 1), "malformed"},
		"role that is a number":        {claim("role", 1), "claims"},
		"role that is a list of lists": {claim("role", [][]string{{"administrator"}}), "claims"},
		"purpose that is unknown":      {claim("purpose_of_use", "CURIOSITY"), "claims"},
	}
}

func TestForgedStaleAndConfusedTokensAreRefused(t *testing.T) {
	f := newFixture(t, nil)
	all := attacks(t, f)
	if len(all) < 80 {
		t.Errorf("there are only %d attacks", len(all))
	}
	for name, a := range all {
		t.Run(name, func(t *testing.T) {
			p, err := f.Authenticate(request(a.token))
			var refused *Refusal
			if fhir.KindOf(err) != fhir.Unauthenticated || !errors.As(err, &refused) || p.Name != "" || len(p.Grants) > 0 {
				t.Fatalf("%+v, %v", p, err)
			}
			if a.reason != "" && refused.Reason != a.reason {
				t.Errorf("refused for %q, want %q", refused.Reason, a.reason)
			}
			said := Challenge(err) + err.Error()
			for _, part := range strings.Split(a.token, ".") {
				if len(part) > 6 && strings.Contains(said, part) {
					t.Errorf("the answer repeats a part of the token: %s", said)
				}
			}
			if !strings.Contains(said, `error="invalid_token"`) {
				t.Errorf("the challenge is %s", said)
			}
		})
	}
	if _, err := f.Authenticate(request(token(t, "RS256", f.good()))); err != nil { // the table can fail
		t.Fatalf("the token that all of them come from is refused: %v", err)
	}
	if log := f.log.String(); strings.Contains(log, "eyJ") {
		t.Error("the log has tokens")
	}
}

func TestWhereTokensAreSent(t *testing.T) {
	f := newFixture(t, nil)
	good := token(t, "RS256", f.good())
	for name, c := range map[string]struct {
		request   *http.Request
		kind      fhir.ErrorKind
		challenge string
	}{
		"none":                      {request(""), fhir.Unauthenticated, `Bearer realm="aftercare"`},
		"in another scheme":         {request("", "Authorization", "Basic "+good), fhir.Unauthenticated, `Bearer realm="aftercare"`},
		"scheme alone":              {request("", "Authorization", "Bearer"), fhir.Unauthenticated, `Bearer realm="aftercare"`},
		"empty header":              {request("", "Authorization", ""), fhir.Unauthenticated, `Bearer realm="aftercare"`},
		"two headers":               {request(good, "Authorization", "Bearer "+good), fhir.BadRequest, `error="invalid_request"`},
		"two tokens in one header":  {request(good + " " + good), fhir.Unauthenticated, `error="invalid_token"`},
		"two with a comma":          {request(good + ", Bearer " + good), fhir.Unauthenticated, `error="invalid_token"`},
		"in the URL":                {inURL("access_token=" + good), fhir.BadRequest, `error="invalid_request"`},
		"in the URL, escaped":       {inURL("access%5Ftoken=" + good), fhir.BadRequest, `error="invalid_request"`},
		"in the URL and the header": {inURL("access_token="+good, "Authorization", "Bearer "+good), fhir.BadRequest, `error="invalid_request"`},
		"in a cookie":               {request("", "Cookie", "access_token="+good), fhir.Unauthenticated, `Bearer realm="aftercare"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.Authenticate(c.request)
			if err == nil || fhir.KindOf(err) != c.kind || !strings.Contains(Challenge(err), c.challenge) {
				t.Fatalf("%v: %s", err, Challenge(err))
			}
			if c.kind == fhir.Unauthenticated && !strings.Contains(c.challenge, "error") && strings.Contains(Challenge(err), "error") {
				t.Errorf("where no token was sent, the challenge has no error: %s", Challenge(err))
			}
		})
	}
	if _, err := f.Authenticate(request("", "Authorization", "bearer "+good)); err != nil {
		t.Errorf("the scheme in lower case: %v", err)
	}
}

func inURL(query string, headers ...string) *http.Request {
	r := request("", headers...)
	r.URL.RawQuery = query
	return r
}

// A token that was accepted is judged again when time has gone on.
func TestVerifiedTokensExpire(t *testing.T) {
	f := newFixture(t, nil)
	good := token(t, "ES256", f.good())
	for _, after := range []time.Duration{0, time.Minute, skew - time.Second} {
		f.clock.add(after)
		if _, err := f.Authenticate(request(good)); err != nil {
			t.Fatal(err)
		}
	}
	f.clock.add(time.Second)
	_, err := f.Authenticate(request(good))
	var e *fhir.Error
	if !errors.As(err, &e) || e.Issues[0].Code != "expired" {
		t.Errorf("after it expired: %v", err)
	}
	if _, known := f.Known(request(good)); known {
		t.Error("it still counts as known")
	}
}

func FuzzToken(f *testing.F) {
	x := newFixture(f, nil)
	good := token(f, "ES256", x.good())
	for _, seed := range []string{good, good[:len(good)-2], "a.b.c", "..", segment(`{"alg":"ES256","kid":"ES256"}`) + "." + segment(`{}`) + ".AAAA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := x.Authenticate(request("", "Authorization", "Bearer "+text))
		switch kind := fhir.KindOf(err); {
		case err == nil && strings.TrimLeft(text, " ") != good:
			t.Errorf("%q is accepted as %+v", text, p)
		case err != nil && kind != fhir.Unauthenticated:
			t.Errorf("%q: kind %d, %v", text, kind, err)
		}
	})
}
