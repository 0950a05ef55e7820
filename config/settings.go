package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting describes one setting.
type Setting struct {
	// Name is the environment variable; Key is its key in the file.
	Name, Key string
	// Default is the value that counts when none is given, "" for none.
	Default string
	// Meaning is one sentence for the help text.
	Meaning string

	// secret values are not repeated in error texts.
	secret bool
	// set checks a value and puts it into the Config. The error says what is accepted.
	set func(c *Config, value string) error
}

const prefix = "AFTERCARE_"

// notOurs are variables of the tests and scripts of this repository, which a developer's
// shell may have exported for all of them. They are no settings: the program passes over them
// in its environment, and refuses them in its file.
var notOurs = []string{"AFTERCARE_SHARED", "AFTERCARE_TOOLS", "AFTERCARE_KILLS"}

// Settings lists all settings in the order in which help shows them.
func Settings() []Setting { return slices.Clone(settings) }

var settings = func() []Setting {
	list := []Setting{
		{Name: "LISTEN", Default: "127.0.0.1:8080", set: setListen,
			Meaning: "address to listen on, HOST:PORT"},
		{Name: "BASE_URL", set: setBaseURL,
			Meaning: "public FHIR base, used in links; http://LISTEN/fhir when only this machine can connect, else required"},
		{Name: "DATABASE", Default: "sqlite:data/aftercare.db", secret: true, set: setDatabase,
			Meaning: "sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME"},
		{Name: "TIMEZONE", Default: "Europe/London", set: setTimezone,
			Meaning: "time zone of the care site: what a calendar day means"},
		{Name: "REFERENCES", Default: "types", set: oneOf(func(c *Config) *string { return &c.References }, "types", "exist", "off"),
			Meaning: "what a reference must be: types (of an allowed type), exist (also present, where local), off"},
		{Name: "SITE", set: existing(func(c *Config) *string { return &c.Site }),
			Meaning: "YAML file that describes the care site"},
		{Name: "KEYS", set: folderIfPresent,
			Meaning: "folder of the signing keys, shared by replicas; keys beside a SQLite database, required with PostgreSQL and jwt"},
		{Name: "RATE_LIMIT", Default: "off", set: setRateLimit,
			Meaning: "requests per second of one client, and how many at once, such as 50/200; or off"},
		{Name: "DEFINITIONS", set: existingFolder,
			Meaning: "folder of a hospital's own definitions, *.json"},
		{Name: "POLICIES_OFF", set: setPoliciesOff,
			Meaning: "policies that protocols are applied without, by code and with commas between them"},
		{Name: "AUTH", Default: "none", set: oneOf(func(c *Config) *string { return &c.Auth }, "none", "jwt"),
			Meaning: "none or jwt: whether callers need a token"},
		{Name: "AUTH_ISSUER", set: func(c *Config, v string) error { return setIssuer(&c.AuthIssuer, v) },
			Meaning: "trusted issuer of tokens; several in the file, as auth_issuers"},
		{Name: "AUTH_AUDIENCE", set: func(c *Config, v string) error { return setAudience(&c.AuthAudience, v) },
			Meaning: "audience that a token must name; AFTERCARE_BASE_URL by default"},
		{Name: "AUTH_JWKS", set: func(c *Config, v string) error { return setJWKS(&c.AuthJWKS, v) },
			Meaning: "https:// URL or file:PATH of the issuer's keys"},
		{Name: "AUTH_CLIENTS", set: existing(func(c *Config) *string { return &c.AuthClients }),
			Meaning: "JSON file of backend clients, besides those of 'aftercare client'"},
		{Name: "TLS_CERT", set: existing(func(c *Config) *string { return &c.TLSCert }),
			Meaning: "PEM file of the certificate and those that it rests on; without it, put a proxy in front"},
		{Name: "TLS_KEY", set: existing(func(c *Config) *string { return &c.TLSKey }),
			Meaning: "PEM file of the certificate's private key"},
		{Name: "AUDIT", Default: AuditRequired, set: oneOf(func(c *Config) *string { return &c.Audit }, AuditRequired, AuditBestEffort, AuditOff),
			Meaning: "required refuses what the auditor's log cannot have, best-effort answers it, off keeps no log"},
		{Name: "AUDIT_WITNESSES", set: setWitnesses,
			Meaning: "witnesses that cosign the checkpoints of the auditor's log: KEY URL of each, with commas between them"},
		{Name: "LOG_LEVEL", Default: "info", set: setLogLevel,
			Meaning: "debug, info, warn or error"},
		{Name: "LOG_FORMAT", Default: "json", set: oneOf(func(c *Config) *string { return &c.LogFormat }, "json", "text"),
			Meaning: "json or text"},
		{Name: "MAX_BODY", Default: "8MiB", set: size(func(c *Config) *int64 { return &c.MaxBody }),
			Meaning: "largest request body of one resource"},
		{Name: "MAX_BUNDLE", Default: "64MiB", set: size(func(c *Config) *int64 { return &c.MaxBundle }),
			Meaning: "largest Bundle posted to the base"},
		{Name: "MEMORY", set: setMemory,
			Meaning: "memory that the process may use; what its container may, or 1GiB where nothing limits it"},
		{Name: "CORS_ORIGINS", set: setOrigins,
			Meaning: "web origins whose pages may use the FHIR base, separated by commas"},
		{Name: "QUERY_LIMIT", Default: "20s", set: setQueryLimit,
			Meaning: "how long a search, a history or an operation may look before it is refused as too costly"},
		{Name: "REQUEST_LIMIT", Default: "2m", set: setRequestLimit,
			Meaning: "how long a request may take before it is answered with 503"},
		{Name: "DRAIN_DELAY", Default: "0s", set: setDrainDelay,
			Meaning: "how long to go on answering after the service stopped being ready"},
	}
	for i := range list {
		list[i].Key = strings.ToLower(list[i].Name)
		list[i].Name = prefix + list[i].Name
	}
	return list
}()

func setListen(c *Config, v string) error {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return errors.New("is no HOST:PORT address; give one such as 127.0.0.1:8080")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return errors.New("has no port from 0 to 65535; give an address such as 127.0.0.1:8080")
	}
	c.Listen = v
	return nil
}

// basePath is a path that needs no escaping. It is not empty, since health and metrics
// are served beside the FHIR base.
var basePath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

func setBaseURL(c *Config, v string) error {
	v = strings.TrimRight(v, "/")
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
		u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(v, "#") ||
		!basePath.MatchString(u.EscapedPath()) {
		return errors.New("is no base URL; give one with a path, such as https://fhir.hospital.example/fhir, without user, query or fragment")
	}
	c.BaseURL = v
	return nil
}

// postgresURL is the form of a PostgreSQL URL: user and password, hosts with commas between them,
// database and parameters. The store says more of what is wrong with one.
var postgresURL = regexp.MustCompile(`^postgres(ql)?://([^\s/?#@]*@)?[^\s/?#@]*(/[^\s/?#]*)?(\?[^\s#]*)?$`)

func setDatabase(c *Config, v string) error {
	path, isSQLite := strings.CutPrefix(v, "sqlite:")
	isPostgres := strings.HasPrefix(v, "postgres://") || strings.HasPrefix(v, "postgresql://")
	switch {
	case isSQLite && path != "", isPostgres && postgresURL.MatchString(v):
	case isPostgres:
		return errors.New("is no PostgreSQL URL; give postgres://USER:PASSWORD@HOST/NAME, with characters such as @ / ? # of the password percent-encoded")
	default:
		return errors.New("is no database; give sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME")
	}
	c.Database = v
	return nil
}

func setTimezone(c *Config, v string) error {
	zone, err := time.LoadLocation(v)
	if err != nil || v == "Local" { // "Local" would depend on the machine
		return errors.New("is no time zone; give a name of the IANA database such as Europe/London")
	}
	c.Zone = zone
	return nil
}

func oneOf(field func(*Config) *string, accepted ...string) func(*Config, string) error {
	return func(c *Config, v string) error {
		if !slices.Contains(accepted, v) {
			return fmt.Errorf("is not known; give one of %s", strings.Join(accepted, ", "))
		}
		*field(c) = v
		return nil
	}
}

func existing(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		if info, err := os.Stat(v); err != nil || !info.Mode().IsRegular() {
			return errors.New("is no file that can be read; give the path of one")
		}
		*field(c) = v
		return nil
	}
}

func existingFolder(c *Config, v string) error {
	if info, err := os.Stat(v); err != nil || !info.IsDir() {
		return errors.New("is no folder that can be read; give the path of one")
	}
	c.Definitions = filepath.Clean(v)
	return nil
}

// folderIfPresent lets a folder be absent, for it is made when keys are first needed.
func folderIfPresent(c *Config, v string) error {
	if info, err := os.Stat(v); err == nil && !info.IsDir() {
		return errors.New("is a file; give the path of a folder")
	}
	c.Keys = filepath.Clean(v)
	return nil
}

var errNoRate = errors.New("is no limit; give requests per second and a burst, such as 50/200, or off")

func setRateLimit(c *Config, v string) error {
	if v == "off" {
		return nil
	}
	rate, burst, given := strings.Cut(v, "/")
	perSecond, err := strconv.ParseFloat(rate, 64)
	if err != nil || !(perSecond > 0 && perSecond <= 1e6) {
		return errNoRate
	}
	n := int(math.Ceil(perSecond))
	if given {
		if n, err = strconv.Atoi(burst); err != nil || n < 1 || n > 1e6 {
			return errNoRate
		}
	}
	c.RateLimit = RateLimit{perSecond, n}
	return nil
}

func setLogLevel(c *Config, v string) error {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level, ok := levels[v]
	if !ok {
		return errors.New("is not known; give one of debug, info, warn, error")
	}
	c.LogLevel = level
	return nil
}

const maxSize = 1 << 30

func size(field func(*Config) *int64) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, ok := parseSize(v)
		if !ok || n < 1 || n > maxSize {
			return errors.New("is no size from 1B to 1GiB; give a whole number with B, KiB, MiB or GiB, such as 8MiB")
		}
		*field(c) = n
		return nil
	}
}

// parseSize reads a whole number of bytes with an optional unit, such as "8MiB".
func parseSize(s string) (int64, bool) {
	unit := int64(1)
	for _, u := range []struct {
		suffix string
		bytes  int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}} {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = strings.TrimRight(rest, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return int64(n) * unit, err == nil
}

// setMemory takes what is enough for the largest Bundle that is accepted by default.
func setMemory(c *Config, v string) error {
	n, ok := parseSize(v)
	if !ok || n < 256<<20 || n > 1<<40 {
		return errors.New("is no size from 256MiB to 1024GiB; give a whole number with MiB or GiB, such as 2GiB")
	}
	c.Memory = n
	return nil
}

// setOrigins takes origins as browsers send them: lower case, no default port, no path.
// "*" is not one of them: any web page that somebody opens beside the service could then
// read patient data.
func setOrigins(c *Config, v string) error {
	for origin := range strings.SplitSeq(v, ",") {
		origin = strings.TrimSpace(origin)
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || origin != u.Scheme+"://"+strings.ToLower(u.Host) ||
			u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443" || strings.ContainsAny(u.Host, "*") || strings.HasSuffix(u.Host, ":") {
			return errors.New("is no list of web origins; name each one as browsers do, such as https://dashboard.hospital.example, with commas between them and without a path")
		}
		c.CORSOrigins = append(c.CORSOrigins, origin)
	}
	return nil
}

// policyCode is the form of a code of CodeSystem/policy. Which there are, the definitions say.
var policyCode = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func setPoliciesOff(c *Config, v string) error {
	for code := range strings.SplitSeq(v, ",") {
		code = strings.TrimSpace(code)
		if !policyCode.MatchString(code) || slices.Contains(c.PoliciesOff, code) {
			return errors.New("is no list of policies; name each one once by its code, such as conversion-by-day-5, with commas between them")
		}
		c.PoliciesOff = append(c.PoliciesOff, code)
	}
	return nil
}

func setQueryLimit(c *Config, v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < 10*time.Millisecond || d > 2*time.Minute {
		return errors.New("is no time from 10ms to 2m; give one such as 20s")
	}
	c.QueryLimit = d
	return nil
}

func setRequestLimit(c *Config, v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < time.Second || d > 2*time.Minute {
		return errors.New("is no time from 1s to 2m; give one such as 30s")
	}
	c.RequestLimit = d
	return nil
}

func setDrainDelay(c *Config, v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d > time.Minute {
		return errors.New("is no time from 0s to 1m; give one such as 5s")
	}
	c.DrainDelay = d
	return nil
}
