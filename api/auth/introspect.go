package auth

import (
	"net/http"

	"aftercare/fhir"
)

// introspection is an answer about a token (RFC 7662 section 2.2, and
// https://hl7.org/fhir/smart-app-launch/STU2.2/token-introspection.html). Of a token that is not
// active nothing else is told.
type introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	Client    string `json:"client_id,omitempty"`
	Type      string `json:"token_type,omitempty"`
	Expires   int64  `json:"exp,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Audience  texts  `json:"aud,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	ID        string `json:"jti,omitempty"`
	Patient   string `json:"patient,omitempty"`
	Encounter string `json:"encounter,omitempty"`
	User      string `json:"fhirUser,omitempty"`
}

// ServeIntrospect answers POST [origin]/auth/introspect with a form that has the token. Who asks
// sends a token of its own, and may ask about any that it has. seen is called with who it is, before the
// answer.
func (a *Authority) ServeIntrospect(w http.ResponseWriter, r *http.Request, seen Seen) {
	who, err := a.Authenticate(r)
	seen(who)
	if err != nil {
		switch fhir.KindOf(err) {
		case fhir.Unauthenticated:
			w.Header().Set("WWW-Authenticate", Challenge(err))
			err = &oauthError{http.StatusUnauthorized, "invalid_token", textOf(err)}
		case fhir.BadRequest, fhir.Forbidden:
			err = badRequest("invalid_request", textOf(err))
		}
		a.fail(w, r, err)
		return
	}
	form, err := readForm(w, r)
	if err == nil && form.Get("token") == "" {
		err = badRequest("invalid_request", "token is missing.")
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	v, err := a.judge(r.Context(), form.Get("token"))
	switch {
	case fhir.KindOf(err) == fhir.Unauthenticated && err != nil:
		answer(w, http.StatusOK, introspection{})
		return
	case err != nil:
		a.fail(w, r, err)
		return
	}
	c := v.claims
	about := introspection{
		Active: true, Scope: c.scope(), Client: c.client(), Type: "bearer", Expires: c.Expires.Unix(), Subject: c.Subject, Audience: c.Audience,
		Issuer: c.Issuer, ID: c.ID, Patient: c.Patient, Encounter: c.Encounter, User: c.User,
	}
	if c.IssuedAt != nil {
		about.IssuedAt = c.IssuedAt.Unix()
	}
	answer(w, http.StatusOK, about)
}
