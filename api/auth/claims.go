package auth

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"aftercare/fhir"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// maxToken is the longest token that is looked at, in bytes.
const maxToken = 8 << 10

// claims are the claims of a token that mean something here. Those of SMART are as in
// https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html.
type claims struct {
	Issuer    string           `json:"iss,omitempty"`
	Subject   string           `json:"sub,omitempty"`
	Audience  texts            `json:"aud,omitempty"`
	Expires   *jwt.NumericDate `json:"exp,omitempty"`
	NotBefore *jwt.NumericDate `json:"nbf,omitempty"`
	IssuedAt  *jwt.NumericDate `json:"iat,omitempty"`
	ID        string           `json:"jti,omitempty"`
	Client    string           `json:"client_id,omitempty"`
	Party     string           `json:"azp,omitempty"` // the client, as OpenID Connect has it
	Scope     scopeList        `json:"scope,omitempty"`
	ScopeAlso scopeList        `json:"scp,omitempty"` // as some identity providers have it
	Patient   string           `json:"patient,omitempty"`
	Encounter string           `json:"encounter,omitempty"`
	User      string           `json:"fhirUser,omitempty"`
	Purposes  texts            `json:"purpose_of_use,omitempty"`

	all map[string]jsontext.Value // these and all others, as they were read
}

// texts is a text or a list of texts.
type texts []string

// UnmarshalJSON reads either form.
func (t *texts) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		return json.Unmarshal(data, (*[]string)(t))
	}
	var one string
	err := json.Unmarshal(data, &one)
	*t = texts{one}
	return err
}

// MarshalJSON writes one text as such.
func (t texts) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

// scopeList is a list of scopes with spaces between them, which may also be given as a JSON list.
type scopeList string

// UnmarshalJSON reads either form.
func (l *scopeList) UnmarshalJSON(data []byte) error {
	var t texts
	err := t.UnmarshalJSON(data)
	*l = scopeList(strings.Join(t, " "))
	return err
}

// UnmarshalJSON reads claims by their exact names; a name that is there twice is an error, for two
// programs could read two different tokens.
func (c *claims) UnmarshalJSON(data []byte) error {
	type plain claims
	if err := json.Unmarshal(data, (*plain)(c)); err != nil {
		return err
	}
	return json.Unmarshal(data, &c.all)
}

// MarshalJSON is there because UnmarshalJSON is: the names are the same.
func (c *claims) MarshalJSON() ([]byte, error) {
	type plain claims
	return json.Marshal((*plain)(c))
}

// The methods of jwt.Claims.

// GetExpirationTime is exp.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.Expires, nil }

// GetIssuedAt is iat.
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) { return c.IssuedAt, nil }

// GetNotBefore is nbf.
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return c.NotBefore, nil }

// GetIssuer is iss.
func (c *claims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject is sub.
func (c *claims) GetSubject() (string, error) { return c.Subject, nil }

// GetAudience is aud.
func (c *claims) GetAudience() (jwt.ClaimStrings, error) { return jwt.ClaimStrings(c.Audience), nil }

// client is the id of the program that uses the token, "" where the token does not say.
func (c *claims) client() string {
	if c.Client != "" {
		return c.Client
	}
	return c.Party
}

// scope is the list of scopes.
func (c *claims) scope() string {
	if c.Scope != "" {
		return string(c.Scope)
	}
	return string(c.ScopeAlso)
}

// names gives the texts at a claim that has a name, or lies at a path of names with points between
// them; given is false where there is no such claim.
func (c *claims) names(path string) (found texts, given bool, err error) {
	value, whole := c.all[path]
	rest := path
	for within := c.all; !whole; {
		name, more, deeper := strings.Cut(rest, ".")
		if value, given = within[name]; !given {
			return nil, false, nil
		}
		if !deeper {
			break
		}
		within = nil
		if err := json.Unmarshal(value, &within); err != nil {
			return nil, true, errClaims
		}
		rest = more
	}
	if err := json.Unmarshal(value, &found); err != nil {
		return nil, true, errClaims
	}
	return found, true, nil
}

// header is what of a token's header is used.
type header struct{ alg, kid, typ, jku string }

var errHeader = errors.New("a member of the header is not as it should be")

func readHeader(h map[string]any) (header, error) {
	// What is critical has to be understood (RFC 7515 section 4.1.11), and nothing is here.
	if _, critical := h["crit"]; critical {
		return header{}, errHeader
	}
	var out header
	for name, field := range map[string]*string{"alg": &out.alg, "kid": &out.kid, "typ": &out.typ, "jku": &out.jku} {
		value, given := h[name]
		text, ok := value.(string)
		if given && !ok {
			return header{}, errHeader
		}
		*field = text
	}
	typ := strings.TrimPrefix(strings.ToLower(out.typ), "application/")
	if out.typ = typ; !slices.Contains([]string{"", "jwt", "at+jwt"}, typ) {
		return header{}, errHeader
	}
	return out, nil
}

// looksSigned refuses what is too long for a token, or is not three parts of base64url.
func looksSigned(token string) error {
	if len(token) > maxToken {
		return errTooLong
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errMalformed
	}
	for _, part := range parts[:2] {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil || part == "" {
			return errMalformed
		}
	}
	return nil
}

// signed reads a token and verifies its signature: by the key that keyOf gives for it, with one of
// the algorithms. Nothing else of the token is judged. The error is a refusal, or what keyOf gave.
func signed(token string, algorithms []string, keyOf func(header, *claims) (*key, error)) (header, *claims, error) {
	if err := looksSigned(token); err != nil {
		return header{}, nil, err
	}
	c, h := &claims{}, header{}
	var refused error // the library wraps errors in texts of its own
	_, err := jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()).ParseWithClaims(token, c, func(t *jwt.Token) (any, error) {
		var err error
		if h, err = readHeader(t.Header); err != nil {
			refused = errMalformed
			return nil, err
		}
		if !slices.Contains(algorithms, h.alg) {
			refused = errAlgorithm
			return nil, refused
		}
		k, err := keyOf(h, c)
		if err != nil {
			refused = err
			return nil, err
		}
		return k.public, nil
	})
	switch {
	case err == nil:
		return h, c, nil
	case refused != nil:
		return h, nil, refused
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return h, nil, errSignature
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return h, nil, errAlgorithm
	default:
		return h, nil, errMalformed
	}
}

// validID tells whether a claim is the id of a resource, or absent.
func validID(id string) bool { return id == "" || fhir.ValidID(id) }
