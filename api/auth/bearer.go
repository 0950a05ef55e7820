package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/service/permission"

	"github.com/golang-jwt/jwt/v5"
)

// skew is by how much the clocks of issuers and clients may differ from ours.
const skew = 30 * time.Second

// verified is a token that was found good, and what it gives.
type verified struct {
	claims    *claims
	principal permission.Principal
	issuer    *issuer
	// mayBreakGlass is whether the issuer, or the client where we are the issuer, has that right.
	mayBreakGlass bool
	// The token stays good until it expires, or the keys of its issuer or our clients change.
	until   time.Time
	keys    *keySet
	clients *clientSet
}

// bearer takes the token out of a request (RFC 6750 section 2.1).
func bearer(r *http.Request) (string, error) {
	headers := r.Header.Values("Authorization")
	if r.URL.Query().Has("access_token") {
		return "", errInURL
	}
	if len(headers) == 0 {
		return "", errMissing
	}
	if len(headers) > 1 {
		return "", errTwice
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errMissing
	}
	return token, nil
}

var (
	errInURL = fhir.Errorf(fhir.BadRequest, "security", "",
		"A token does not belong in the URL, which others may write down; send it as Authorization: Bearer TOKEN, and get a new one.").Because(&Refusal{"invalid_request", "in URL"})
	errTwice = fhir.Errorf(fhir.BadRequest, "security", "", "There is more than one Authorization header; send one.").Because(&Refusal{"invalid_request", "twice"})
)

// Known reports whether the request has a token that was found good before and still is, and who
// sent it. It costs little.
func (a *Authority) Known(r *http.Request) (permission.Principal, bool) {
	token, err := bearer(r)
	if err != nil {
		return permission.Principal{}, false
	}
	v, ok := a.recall(r.Context(), sha256.Sum256([]byte(token)))
	if !ok {
		return permission.Principal{}, false
	}
	return v.principal, true
}

// Authenticate says who sends the request, and what for. The error's kind is Unauthenticated where
// the token is missing or not acceptable; BadRequest where it is in the URL, or where the headers
// about the purpose cannot be understood; Forbidden for breaking the glass without the right to;
// and Unavailable where the token cannot be judged now.
func (a *Authority) Authenticate(r *http.Request) (permission.Principal, error) {
	token, err := bearer(r)
	if err != nil {
		return permission.Principal{}, err
	}
	v, err := a.judge(r.Context(), token)
	if err != nil {
		return permission.Principal{}, err
	}
	return withPurpose(v.principal, r.Header, v.mayBreakGlass)
}

// judge gives a verified token.
func (a *Authority) judge(ctx context.Context, token string) (*verified, error) {
	if len(token) > maxToken {
		return nil, errTooLong
	}
	sum := sha256.Sum256([]byte(token))
	if v, ok := a.recall(ctx, sum); ok {
		return v, nil
	}
	v, err := a.verify(ctx, token)
	if err != nil {
		a.verified.Remove(sum)
		return nil, err
	}
	a.verified.Put(sum, v)
	return v, nil
}

// recall gives a token that was found good, if nothing of what that rests on has changed.
func (a *Authority) recall(ctx context.Context, sum [32]byte) (*verified, bool) {
	v, ok := a.verified.Get(sum)
	if !ok || !a.now().Before(v.until) {
		return nil, false
	}
	keys, err := v.issuer.source.keys(ctx)
	if err != nil || keys != v.keys {
		return nil, false
	}
	if v.clients != nil {
		if now, err := a.clients.current(ctx); err != nil || now != v.clients {
			return nil, false
		}
	}
	return v, true
}

// verify judges a token that is not known yet, or not any more.
func (a *Authority) verify(ctx context.Context, token string) (*verified, error) {
	v := &verified{}
	h, c, err := signed(token, algorithms, func(h header, c *claims) (*key, error) {
		if v.issuer = a.issuers[c.Issuer]; v.issuer == nil {
			return nil, errIssuer
		}
		k, set, err := v.issuer.source.find(ctx, h.kid, h.alg)
		v.keys = set
		return k, err
	})
	if err != nil {
		return nil, err
	}
	if v.issuer.own && h.typ != "at+jwt" { // such as something else that the same keys sign
		return nil, errMalformed
	}
	if err := a.inTime(c, v.issuer.Audience); err != nil {
		return nil, err
	}
	v.claims, v.until = c, c.Expires.Add(skew)
	atMost := v.issuer.AtMost
	v.mayBreakGlass = v.issuer.BreakGlass
	if v.issuer.own {
		if v.clients, err = a.clients.current(ctx); err != nil {
			return nil, err
		}
		client := v.clients.byID[c.Client]
		if client == nil {
			return nil, errRevoked
		}
		atMost, v.mayBreakGlass = client.grant, client.BreakGlass
	}
	v.principal, err = a.principal(c, v.issuer, atMost)
	return v, err
}

// inTime judges the times of a token and its audience.
func (a *Authority) inTime(c *claims, audience string) error {
	if !slices.Contains(c.Audience, audience) {
		return errAudience
	}
	err := jwt.NewValidator(jwt.WithTimeFunc(a.now), jwt.WithLeeway(skew), jwt.WithExpirationRequired(), jwt.WithIssuedAt()).Validate(c)
	switch {
	case err == nil && c.Expires.Year() < 9999: // beyond that, a number was too large to be a time
		return nil
	case errors.Is(err, jwt.ErrTokenExpired):
		return errExpired
	default:
		return errTimes
	}
}
