package auth

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"aftercare/fhir"
	"aftercare/service/permission"

	"github.com/golang-jwt/jwt/v5"
)

// TokenLife is how long an access token of the service is good
// (https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html asks for 5 minutes at most).
const TokenLife = 5 * time.Minute

const (
	// maxTokenForm is the largest form of a request for a token, in bytes.
	maxTokenForm  = 64 << 10
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// oauthError is an error as RFC 6749 section 5.2 has it.
type oauthError struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *oauthError) Error() string { return e.Code + ": " + e.Description }

func badRequest(code, description string) error {
	return &oauthError{http.StatusBadRequest, code, description}
}

// ServeToken answers POST [origin]/auth/token: it gives an access token to a client that shows by an
// assertion who it is (https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html). Errors
// are those of RFC 6749. seen is called before the answer with the client, once it has shown who it is.
func (a *Authority) ServeToken(w http.ResponseWriter, r *http.Request, seen Seen) {
	token, err := a.issue(w, r, seen)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, token)
}

// Seen is told who asks about tokens, for the log; again when more is known.
type Seen func(permission.Principal)

// issued is a successful answer of the token endpoint (RFC 6749 section 5.1).
type issued struct {
	Token   string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Scope   string `json:"scope"`
}

func (a *Authority) issue(w http.ResponseWriter, r *http.Request, seen Seen) (*issued, error) {
	form, err := readForm(w, r)
	if err != nil {
		return nil, err
	}
	switch {
	case form.Get("grant_type") == "":
		return nil, badRequest("invalid_request", "grant_type is missing.")
	case form.Get("grant_type") != "client_credentials":
		return nil, badRequest("unsupported_grant_type", "The only grant_type here is client_credentials.")
	case form.Get("client_assertion_type") != assertionType:
		return nil, badRequest("invalid_request", "client_assertion_type must be "+assertionType+".")
	case r.Header.Get("Authorization") != "" || form.Has("client_secret"):
		return nil, badRequest("invalid_request", "A client shows who it is by client_assertion, and in no other way.")
	}
	c, err := a.client(r.Context(), form.Get("client_assertion"))
	if err == nil && form.Has("client_id") && form.Get("client_id") != c.ID {
		err = errNoClient
	}
	if err != nil {
		name := "unknown"
		if c != nil {
			name = c.ID
		}
		a.log.WarnContext(r.Context(), "no token was issued", "client", name, "reason", reasonOf(err))
		if fhir.KindOf(err) == fhir.Unauthenticated {
			err = &oauthError{http.StatusUnauthorized, "invalid_client", textOf(err)}
		}
		return nil, err
	}
	who := permission.Principal{Client: c.ID, Issuer: a.own(), Subject: c.ID}
	seen(who)
	scope := granted(form.Get("scope"), c.grant)
	if scope == "" {
		a.log.WarnContext(r.Context(), "no token was issued", "client", c.ID, "reason", "scope")
		return nil, badRequest("invalid_scope", "scope is missing, or this client may have none of it; ask for scopes of the level system that it is registered for.")
	}
	now := a.now()
	who.TokenID = rand.Text()
	token, err := a.signer.sign(r.Context(), &claims{
		Issuer: a.own(), Subject: c.ID, Client: c.ID, Audience: texts{a.base}, Scope: scopeList(scope), ID: who.TokenID,
		IssuedAt: jwt.NewNumericDate(now), Expires: jwt.NewNumericDate(now.Add(TokenLife)),
	})
	if err != nil {
		return nil, err
	}
	seen(who)
	a.log.InfoContext(r.Context(), "token issued", "client", c.ID)
	return &issued{token, "bearer", int(TokenLife / time.Second), scope}, nil
}

// readForm reads a form in which no name is there twice.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, badRequest("invalid_request", "The body must be a form: application/x-www-form-urlencoded.")
	}
	if r.URL.RawQuery != "" {
		return nil, badRequest("invalid_request", "Parameters belong in the body; what is in a URL may be written down by others.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTokenForm))
	if err != nil {
		return nil, badRequest("invalid_request", "The form is larger than 64 KiB, or could not be read.")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, badRequest("invalid_request", "The form cannot be read.")
	}
	for _, values := range form {
		if len(values) > 1 {
			return nil, badRequest("invalid_request", "A parameter is there more than once.")
		}
	}
	return form, nil
}

// fail answers with an error. What went wrong inside is logged, and not told.
func (a *Authority) fail(w http.ResponseWriter, r *http.Request, err error) {
	var known *oauthError
	if !errors.As(err, &known) {
		known = &oauthError{http.StatusInternalServerError, "server_error", "The server failed, and the fault is not yours."}
		if fhir.KindOf(err) == fhir.Unavailable {
			known = &oauthError{http.StatusServiceUnavailable, "temporarily_unavailable", "The server cannot answer now; try again."}
			w.Header().Set("Retry-After", "1")
		}
		a.log.ErrorContext(r.Context(), "a request about tokens failed", "cause", err)
	}
	answer(w, known.status, known)
}

// answer sends JSON that nobody may keep.
func answer(w http.ResponseWriter, status int, what any) {
	body, err := json.Marshal(what)
	if err != nil { // plain data: cannot happen
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func textOf(err error) string {
	var e *fhir.Error
	if errors.As(err, &e) && len(e.Issues) > 0 {
		return e.Issues[0].Text
	}
	return "The client could not be authenticated."
}
