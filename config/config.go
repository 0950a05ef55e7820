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
	// Auth is "none": it is the only kind of authentication in this version.
	Auth string
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
	// RequestLimit is how long a request may take.
	RequestLimit time.Duration
	// DrainDelay is how long the service goes on answering after it stopped being ready.
	DrainDelay time.Duration

	// Idle are the names of settings that were given and that nothing in this version
	// uses yet.
	Idle []string
}

// BaseURLAt is the public FHIR base of a service that listens on address: BaseURL where
// one is set, else http://HOST:PORT/fhir with the host of Listen and the port of address, or
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
	return "http://" + net.JoinHostPort(host, port) + "/fhir"
}

// loopback reports whether only this machine can reach the host:port address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
