package config

import (
	"log/slog"
	"net"
	"time"
)

// Config is a complete, checked configuration. Load makes it.
type Config struct {
	// Listen is the TCP address to listen on, "host:port". Port 0 picks a free one.
	Listen string
	// BaseURL is the public FHIR base without a slash at its end, "" when it is to be
	// made from the address; see BaseURLAt.
	BaseURL string
	// Database is "sqlite:PATH" or a "postgres://" URL, which may hold a password.
	Database string
	// Zone is the zone of the care site.
	Zone *time.Location
	// References is types, exist or off.
	References string
	// Site and Definitions are a file and a folder that exist, or "".
	Site, Definitions string
	// PoliciesOff are the codes of the policies that the site has switched off.
	PoliciesOff []string
	// Keys is the folder of the signing keys, "" for the one beside the database.
	Keys string
	// Audit is AuditRequired, AuditBestEffort or AuditOff.
	Audit string
	// AuditWitnesses are asked to cosign the checkpoints of the log.
	AuditWitnesses []Witness
	// Auth is "none" or "jwt".
	Auth string
	// AuthAudience is what a token must name as its audience, "" for the base URL. AuthIssuer, with
	// its keys at AuthJWKS, and AuthIssuers are whose tokens are trusted besides the service's own;
	// see Issuers. AuthClients is a file of clients, or "".
	AuthAudience         string
	AuthIssuer, AuthJWKS string
	AuthIssuers          []Issuer
	AuthClients          string
	// Discovery are members that replace those of the SMART configuration, such as the endpoints of
	// an identity provider: each is a text or a list of texts.
	Discovery map[string]any
	// Roles are lists of scopes by the name of a role, besides the built-in ones.
	Roles map[string]string
	// RateLimit is how many requests a client may make; the zero value is no limit.
	RateLimit RateLimit
	// TLSCert and TLSKey are PEM files, both or neither.
	TLSCert, TLSKey string
	// LogLevel and LogFormat ("json" or "text") shape the log.
	LogLevel  slog.Level
	LogFormat string
	// MaxBody and MaxBundle are the largest request bodies in bytes: of one resource,
	// and of a Bundle that is posted to the base.
	MaxBody, MaxBundle int64
	// Memory is what the process may use, in bytes; 0 means what its container may.
	Memory int64
	// CORSOrigins are the web origins, such as "https://dashboard.example", whose pages may
	// use the FHIR base; none by default.
	CORSOrigins []string
	// QueryLimit is how long a search, a history or an operation may look.
	QueryLimit time.Duration
	// RequestLimit is how long a request may take.
	RequestLimit time.Duration
	// DrainDelay is how long the service goes on answering after it stopped being ready.
	DrainDelay time.Duration
}

// What is done about the auditor's log: a request that it cannot have is refused, or answered all the
// same, or there is no log.
const (
	AuditRequired   = "required"
	AuditBestEffort = "best-effort"
	AuditOff        = "off"
)

// Issuer is somebody whose tokens are trusted.
type Issuer struct {
	// Issuer is the iss of its tokens; Audience is what they must name, "" for AuthAudience.
	Issuer, Audience string
	// JWKS is where its keys are: an https URL, an http URL of this machine, or file:PATH.
	JWKS string
	// Scope is the most that its tokens can give, as a list of scopes; "" for no such bound.
	Scope string
	// RolesClaim is the claim with the names of roles, "" for "role".
	RolesClaim string
	// BreakGlass is whether its users may break the glass.
	BreakGlass bool
}

// Issuers are all whose tokens are trusted, besides the service itself.
func (c Config) Issuers() []Issuer {
	if c.AuthIssuer == "" && c.AuthJWKS == "" {
		return c.AuthIssuers
	}
	return append([]Issuer{{Issuer: c.AuthIssuer, JWKS: c.AuthJWKS}}, c.AuthIssuers...)
}

// RateLimit is how many requests per second one client may make for long, and how many at once.
type RateLimit struct {
	PerSecond float64
	Burst     int
}

// BaseURLAt is the public FHIR base of a service that listens on address: BaseURL where
// one is set, else http://HOST:PORT/fhir, or https with TLS, with the host of Listen and the port of address, or
// that of Listen too where address is nil.
func (c Config) BaseURLAt(address net.Addr) string {
	if c.BaseURL != "" {
		return c.BaseURL
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil { // checked by Load
		host = "127.0.0.1"
	}
	if tcp, ok := address.(*net.TCPAddr); ok {
		_, port, _ = net.SplitHostPort(tcp.String())
	}
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/fhir"
}

// loopback reports whether only this machine can reach the host:port address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && loopbackHost(host)
}

func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
