package auth

import (
	"context"
	"errors"
	"time"

	"aftercare/fhir"
	"aftercare/service/store"
)

// assertionAlgorithms are those that clients sign assertions with
// (https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html).
var assertionAlgorithms = []string{"RS384", "ES384"}

const (
	// assertionLife is how far ahead an assertion may expire.
	assertionLife = 5 * time.Minute
	// maxJTI is the longest id of an assertion, in bytes.
	maxJTI = 256
)

// The reasons for which assertions are refused, besides those of all tokens.
var (
	errNoClient = refuse("invalid_client", "client", "login", "There is no such client, or iss and sub are not both its id.")
	errLong     = refuse("invalid_client", "life", "login", "The assertion must expire within 5 minutes.")
	errJTI      = refuse("invalid_client", "jti", "login", "The assertion needs a jti of 1 to 256 bytes.")
	errReplay   = refuse("invalid_client", "replay", "login", "The assertion was used before; sign a new one with a new jti.")
	errJKU      = refuse("invalid_client", "jku", "login", "The jku of the assertion is not the URL that is registered for the client.")
	errForUs    = refuse("invalid_client", "audience", "login", "The audience of the assertion must be the URL of this token endpoint, and nothing else.")
)

// client gives the client that an assertion stands for, once per assertion. The error is a refusal,
// or Unavailable where that cannot be judged now.
func (a *Authority) client(ctx context.Context, assertion string) (*registered, error) {
	clients, err := a.clients.current(ctx)
	if err != nil {
		return nil, err
	}
	var who *registered
	h, c, err := signed(assertion, assertionAlgorithms, func(h header, c *claims) (*key, error) {
		if who = clients.byID[c.Issuer]; who == nil || c.Subject != c.Issuer {
			return nil, errNoClient
		}
		if h.jku != "" && h.jku != who.JWKSURI {
			return nil, errJKU
		}
		k, _, err := who.source.find(ctx, h.kid, h.alg)
		return k, err
	})
	switch {
	case err != nil:
		return who, err
	case h.typ == "at+jwt":
		return who, errMalformed
	// An audience beside ours could be another server, which might pass the assertion on to us.
	case len(c.Audience) != 1 || c.Audience[0] != a.TokenURL():
		return who, errForUs
	case c.ID == "" || len(c.ID) > maxJTI:
		return who, errJTI
	}
	if err := a.inTime(c, a.TokenURL()); err != nil {
		return who, err
	}
	if c.Expires.After(a.now().Add(assertionLife + skew)) {
		return who, errLong
	}
	return who, a.useOnce(ctx, who.ID, c)
}

// useOnce notes that an assertion was used, for all replicas.
func (a *Authority) useOnce(ctx context.Context, client string, c *claims) error {
	first := false
	err := a.store.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		first, err = tx.UseAssertion(ctx, client, c.ID, c.Expires.Add(skew), a.now())
		return err
	})
	if err == nil && !first {
		err = errReplay
	}
	return err
}

// reasonOf is the word for the log that says why somebody was refused.
func reasonOf(err error) string {
	var refused *Refusal
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return "kind " + fhirKind(err)
}

func fhirKind(err error) string {
	if fhir.KindOf(err) == fhir.Unavailable {
		return "unavailable"
	}
	return "internal"
}
