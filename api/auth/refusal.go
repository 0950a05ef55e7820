package auth

import (
	"errors"
	"strings"

	"aftercare/fhir"
)

// Refusal is why a caller is not let in. It is the cause of a fhir.Error, and holds nothing that
// the caller sent.
type Refusal struct {
	// Code is the error of RFC 6750 section 3.1, "" where no token was sent.
	Code string
	// Reason is a word for the log.
	Reason string
}

func (r *Refusal) Error() string { return "refused: " + r.Reason }

// The reasons for which tokens are refused, and what callers are told.
var (
	errMissing   = refuse("", "missing", "login", "A token is needed; send it as Authorization: Bearer TOKEN.")
	errMalformed = refuse("invalid_token", "malformed", "login", "The token cannot be read: it is no signed JWT, or one of its parts is not as RFC 7519 says.")
	errTooLong   = refuse("invalid_token", "too long", "login", "The token is longer than 8 KiB.")
	errAlgorithm = refuse("invalid_token", "algorithm", "login", "The token is not signed with an algorithm that is accepted here.")
	errIssuer    = refuse("invalid_token", "issuer", "login", "The issuer of the token is not trusted here.")
	errKey       = refuse("invalid_token", "key", "login", "The issuer has no key with the token's kid that fits its algorithm.")
	errSignature = refuse("invalid_token", "signature", "login", "The signature of the token is wrong.")
	errExpired   = refuse("invalid_token", "expired", "expired", "The token has expired; get another one.")
	errTimes     = refuse("invalid_token", "times", "login", "The token has no time of expiry, or is not valid yet.")
	errAudience  = refuse("invalid_token", "audience", "login", "The token is meant for another service: its audience is not the one of this service.")
	errClaims    = refuse("invalid_token", "claims", "login", "A claim of the token is not of the form that is expected here.")
	errRevoked   = refuse("invalid_token", "client revoked", "login", "The client of the token is not registered any more.")
)

func refuse(code, reason, issue, text string) *fhir.Error {
	return fhir.Errorf(fhir.Unauthenticated, issue, "", "%s", text).Because(&Refusal{code, reason})
}

// Challenge is the WWW-Authenticate header of an answer with status 401 or 403, or 400 where the
// token is not where it belongs (RFC 6750 section 3); "" for all others.
func Challenge(err error) string {
	const bare = `Bearer realm="aftercare"`
	var refused *Refusal
	var e *fhir.Error
	switch {
	case errors.As(err, &refused) && errors.As(err, &e) && refused.Code != "":
	case fhir.KindOf(err) == fhir.Unauthenticated:
		return bare
	case fhir.KindOf(err) == fhir.Forbidden:
		return bare + `, error="insufficient_scope"`
	default:
		return ""
	}
	text := ""
	if len(e.Issues) > 0 {
		text = `, error_description="` + strings.ReplaceAll(e.Issues[0].Text, `"`, `'`) + `"`
	}
	return bare + `, error="` + refused.Code + `"` + text
}
