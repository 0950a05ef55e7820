package auth

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"aftercare/api/recent"
	"aftercare/service/permission"
	"aftercare/service/store"
)

// Options are what an Authority is made of. BaseURL, Store, Keys and Roles are required.
type Options struct {
	// Published are further public keys of the service, by their ids, which sign no tokens: callers find
	// them with the others. They are for Ed25519.
	Published map[string]ed25519.PublicKey
	// BaseURL is the public FHIR base. The endpoints for tokens lie beside it, at the root of its
	// host.
	BaseURL string
	// Audience is what a token of an issuer must name as its audience, where the issuer has none of
	// its own; "" means BaseURL.
	Audience string
	// Issuers are those whose tokens are trusted, besides the service itself.
	Issuers []Issuer
	// ClientsFile is a JSON file of clients, [{"client_id", "jwks" or "jwks_uri", "scope"}], or "".
	// It is read again when it changes.
	ClientsFile string
	// Store keeps the clients of "aftercare client", and which assertions were used.
	Store *store.Store
	// Keys is the folder of the keys that sign tokens; see signer.
	Keys string
	// Discovery are members that replace those of the SMART configuration, such as the endpoints of
	// an identity provider.
	Discovery map[string]any
	// Roles are what the names of roles in tokens stand for.
	Roles  permission.Roles
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// HTTP fetches key sets; nil is a client with the limits that fetching needs.
	HTTP *http.Client
}

// Issuer is somebody whose tokens are trusted.
type Issuer struct {
	// URL is the iss of its tokens. Audience is what they must name, "" for that of Options.
	URL, Audience string
	// JWKS is where its keys are: a URL or file:PATH.
	JWKS string
	// AtMost bounds what its tokens give; nil is no bound.
	AtMost permission.Grant
	// RolesClaim is the claim with the names of roles, "" for "role". Of a claim within another one
	// it is a path, such as realm_access.roles.
	RolesClaim string
	// BreakGlass is whether its users may break the glass.
	BreakGlass bool
}

// issuer is an Issuer with its keys.
type issuer struct {
	Issuer
	source *source
	// own marks the service itself: its tokens are those of its clients.
	own bool
}

// Authority judges tokens and issues them. It is safe for concurrent use.
type Authority struct {
	base, origin string // without a slash at the end
	issuers      map[string]*issuer
	clients      *registry
	signer       *signer
	store        *store.Store
	roles        permission.Roles
	discovery    map[string]any
	published    map[string]ed25519.PublicKey
	log          *slog.Logger
	now          func() time.Time
	verified     *recent.Map[[32]byte, *verified]
}

// The paths of the endpoints, at the root of the base's host.
const (
	TokenPath      = "/auth/token"
	IntrospectPath = "/auth/introspect"
	KeysPath       = "/auth/jwks"
)

// maxVerified is how many tokens are remembered. One takes about 2 KB.
const maxVerified = 10_000

// New checks the options, reads the files among them, and makes the first key where the folder has
// none. URLs are asked when a token needs them.
func New(ctx context.Context, o Options) (*Authority, error) {
	base, err := url.Parse(o.BaseURL)
	if err != nil || base.Host == "" || o.Store == nil || o.Keys == "" || o.Roles == nil {
		return nil, errors.New("auth: BaseURL, Store, Keys and Roles are required")
	}
	a := &Authority{
		base: strings.TrimRight(o.BaseURL, "/"), origin: base.Scheme + "://" + base.Host, issuers: map[string]*issuer{},
		store: o.Store, roles: o.Roles, discovery: o.Discovery, published: o.Published, log: o.Logger, now: o.Now, verified: recent.New[[32]byte, *verified](maxVerified),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.now == nil {
		a.now = time.Now
	}
	if o.HTTP == nil {
		o.HTTP = fetcher()
	}
	if a.signer, err = newSigner(o.Keys, a.now, a.log); err != nil {
		return nil, err
	}
	own := Issuer{URL: a.own(), Audience: a.base}
	a.issuers[own.URL] = &issuer{Issuer: own, source: a.signer.source, own: true}
	for _, i := range o.Issuers {
		if a.issuers[i.URL] != nil {
			return nil, fmt.Errorf("the issuer %s is there twice", i.URL)
		}
		if i.Audience == "" {
			i.Audience = o.Audience
		}
		if i.Audience == "" {
			i.Audience = a.base
		}
		if i.RolesClaim == "" {
			i.RolesClaim = "role"
		}
		s, err := newIssuerSource(ctx, i, o.HTTP, a.now, a.log)
		if err != nil {
			return nil, err
		}
		a.issuers[i.URL] = &issuer{Issuer: i, source: s}
	}
	a.clients = &registry{store: o.Store, file: o.ClientsFile, http: o.HTTP, now: a.now, log: a.log}
	if o.ClientsFile != "" {
		if a.clients.ofFile, err = ReadClients(o.ClientsFile); err != nil {
			return nil, fmt.Errorf("clients: %w", err)
		}
	}
	if _, err := a.clients.current(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// own is the iss of the service's own tokens.
func (a *Authority) own() string { return a.origin + "/auth" }

// TokenURL is where tokens are asked for.
func (a *Authority) TokenURL() string { return a.origin + TokenPath }

// Endpoints are where tokens are asked for and about, of the service with a FHIR base.
func Endpoints(baseURL string) (token, introspect string) {
	base, err := url.Parse(baseURL)
	if err != nil { // checked by whoever has a base
		return "", ""
	}
	origin := base.Scheme + "://" + base.Host
	return origin + TokenPath, origin + IntrospectPath
}
