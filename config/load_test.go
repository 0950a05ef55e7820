package config

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDefaultsNeedNoConfiguration(t *testing.T) {
	c, err := Load(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	zone := c.Zone.String()
	c.Zone = nil
	want := Config{
		Listen: "127.0.0.1:8080", Database: "sqlite:data/aftercare.db", References: "types", Auth: "none",
		Audit: "required", LogLevel: slog.LevelInfo, LogFormat: "json", MaxBody: 8 << 20, MaxBundle: 64 << 20, QueryLimit: 20 * time.Second, RequestLimit: 2 * time.Minute,
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	if zone != "Europe/London" {
		t.Errorf("zone is %s", zone)
	}
}

func TestAccepted(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "site.yaml")
	write(t, file, "{}")
	cases := []struct {
		name, setting string
		got           func(Config) any
		want          any
	}{
		{"IPv6 loopback", "AFTERCARE_LISTEN=[::1]:0", func(c Config) any { return c.Listen }, "[::1]:0"},
		{"localhost", "AFTERCARE_LISTEN=localhost:9", func(c Config) any { return c.Listen }, "localhost:9"},
		{"all of 127/8", "AFTERCARE_LISTEN=127.9.9.9:9", func(c Config) any { return c.Listen }, "127.9.9.9:9"},
		{"slash at the end is dropped", "AFTERCARE_BASE_URL=https://a.example/fhir/", func(c Config) any { return c.BaseURL }, "https://a.example/fhir"},
		{"postgres", "AFTERCARE_DATABASE=postgres://u:p@h/d", func(c Config) any { return c.Database }, "postgres://u:p@h/d"},
		{"postgresql", "AFTERCARE_DATABASE=postgresql:///d?host=/run/postgresql&user=u", func(c Config) any { return c.Database }, "postgresql:///d?host=/run/postgresql&user=u"},
		{"several hosts", "AFTERCARE_DATABASE=postgres://u:p%40p@h1:5432,h2,[::1]:5433/d?sslmode=verify-full", func(c Config) any { return c.Database }, "postgres://u:p%40p@h1:5432,h2,[::1]:5433/d?sslmode=verify-full"},
		{"zone", "AFTERCARE_TIMEZONE=Australia/Sydney", func(c Config) any { return c.Zone.String() }, "Australia/Sydney"},
		{"references", "AFTERCARE_REFERENCES=exist", func(c Config) any { return c.References }, "exist"},
		{"site file", "AFTERCARE_SITE=" + file, func(c Config) any { return c.Site }, file},
		{"policies", "AFTERCARE_POLICIES_OFF=open-end, staples-assumed", func(c Config) any { return c.PoliciesOff }, []string{"open-end", "staples-assumed"}},
		{"keys folder that is not there yet", "AFTERCARE_KEYS=" + dir + "/new", func(c Config) any { return c.Keys }, dir + "/new"},
		{"definitions", "AFTERCARE_DEFINITIONS=" + dir + "/", func(c Config) any { return c.Definitions }, dir},
		{"rate limit", "AFTERCARE_RATE_LIMIT=0.5/20", func(c Config) any { return c.RateLimit }, RateLimit{0.5, 20}},
		{"rate limit without a burst", "AFTERCARE_RATE_LIMIT=9.5", func(c Config) any { return c.RateLimit }, RateLimit{9.5, 10}},
		{"rate limit off", "AFTERCARE_RATE_LIMIT=off", func(c Config) any { return c.Auth }, "none"},
		{"level", "AFTERCARE_LOG_LEVEL=warn", func(c Config) any { return c.LogLevel }, slog.LevelWarn},
		{"text log", "AFTERCARE_LOG_FORMAT=text", func(c Config) any { return c.LogFormat }, "text"},
		{"bytes", "AFTERCARE_MAX_BODY=4096", func(c Config) any { return c.MaxBody }, int64(4096)},
		{"unit after a space", "AFTERCARE_MAX_BODY=2 KiB", func(c Config) any { return c.MaxBody }, int64(2048)},
		{"memory", "AFTERCARE_MEMORY=2GiB", func(c Config) any { return c.Memory }, int64(2 << 30)},
		{"memory of the container", "AFTERCARE_LISTEN=127.0.0.1:1", func(c Config) any { return c.Memory }, int64(0)},
		{"largest size", "AFTERCARE_MAX_BUNDLE=1GiB", func(c Config) any { return c.MaxBundle }, int64(1 << 30)},
		{"origins", "AFTERCARE_CORS_ORIGINS=https://a.example, http://localhost:3000", func(c Config) any { return c.CORSOrigins }, []string{"https://a.example", "http://localhost:3000"}},
		{"origin that is an IPv6 address", "AFTERCARE_CORS_ORIGINS=http://[::1]:3000", func(c Config) any { return c.CORSOrigins }, []string{"http://[::1]:3000"}},
		{"no audit", "AFTERCARE_AUDIT=off", func(c Config) any { return c.Audit }, AuditOff},
		{"query limit", "AFTERCARE_QUERY_LIMIT=5s", func(c Config) any { return c.QueryLimit }, 5 * time.Second},
		{"request limit", "AFTERCARE_REQUEST_LIMIT=30s", func(c Config) any { return c.RequestLimit }, 30 * time.Second},
		{"drain delay", "AFTERCARE_DRAIN_DELAY=5s", func(c Config) any { return c.DrainDelay }, 5 * time.Second},
		{"empty counts as not given", "AFTERCARE_LISTEN=", func(c Config) any { return c.Listen }, "127.0.0.1:8080"},
		{"variables of the tests", "AFTERCARE_SHARED=/x", func(c Config) any { return c.Auth }, "none"},
		{"variables of the scripts", "AFTERCARE_TOOLS=/x", func(c Config) any { return c.Auth }, "none"},
		{"variables of the long tests", "AFTERCARE_KILLS=200", func(c Config) any { return c.Auth }, "none"},
		{"other programs' variables", "AFTERCAREX=1", func(c Config) any { return c.Auth }, "none"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Load([]string{tc.setting}, "")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, tc.got(c)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	cases := map[string]struct {
		environ []string
		want    string // in the only problem
	}{
		"address without a port":        {[]string{"AFTERCARE_LISTEN=127.0.0.1"}, "127.0.0.1:8080"},
		"port that is a word":           {[]string{"AFTERCARE_LISTEN=127.0.0.1:http"}, "port from 0 to 65535"},
		"port out of range":             {[]string{"AFTERCARE_LISTEN=127.0.0.1:65536"}, "port from 0 to 65535"},
		"too little memory":             {[]string{"AFTERCARE_MEMORY=255MiB"}, "256MiB"},
		"memory that is no size":        {[]string{"AFTERCARE_MEMORY=75%"}, "256MiB"},
		"memory beyond counting":        {[]string{"AFTERCARE_MEMORY=2147483647GiB"}, "256MiB"},
		"relative base":                 {[]string{"AFTERCARE_BASE_URL=/fhir"}, "no base URL"},
		"base with a query":             {[]string{"AFTERCARE_BASE_URL=https://a.example/fhir?x=1"}, "no base URL"},
		"base with a fragment":          {[]string{"AFTERCARE_BASE_URL=https://a.example/fhir#"}, "no base URL"},
		"base with a user":              {[]string{"AFTERCARE_BASE_URL=https://u@a.example/fhir"}, "no base URL"},
		"base with another scheme":      {[]string{"AFTERCARE_BASE_URL=ftp://a.example/fhir"}, "no base URL"},
		"base without a path":           {[]string{"AFTERCARE_BASE_URL=https://a.example/"}, "no base URL"},
		"base with an escape":           {[]string{"AFTERCARE_BASE_URL=https://a.example/a%20b"}, "no base URL"},
		"base without a host":           {[]string{"AFTERCARE_BASE_URL=http://:80/fhir"}, "no base URL"},
		"other database":                {[]string{"AFTERCARE_DATABASE=mysql://x"}, "sqlite:PATH"},
		"database without a path":       {[]string{"AFTERCARE_DATABASE=sqlite:"}, "sqlite:PATH"},
		"password with an @":            {[]string{"AFTERCARE_DATABASE=postgres://u:hunter2@x@h/db"}, "percent-encoded"},
		"password with a slash":         {[]string{"AFTERCARE_DATABASE=postgres://u:hunter2/x@h/db"}, "percent-encoded"},
		"password with a hash":          {[]string{"AFTERCARE_DATABASE=postgres://u:hunter2#x@h/db"}, "percent-encoded"},
		"database URL with a space":     {[]string{"AFTERCARE_DATABASE=postgres://u:hunter2@h/d b"}, "percent-encoded"},
		"unknown zone":                  {[]string{"AFTERCARE_TIMEZONE=Mars/Olympus"}, "Europe/London"},
		"zone of the machine":           {[]string{"AFTERCARE_TIMEZONE=Local"}, "Europe/London"},
		"zone outside the database":     {[]string{"AFTERCARE_TIMEZONE=../etc/passwd"}, "Europe/London"},
		"unknown reference rule":        {[]string{"AFTERCARE_REFERENCES=maybe"}, "types, exist, off"},
		"missing site file":             {[]string{"AFTERCARE_SITE=" + dir + "/none.yaml"}, "no file"},
		"site that is a folder":         {[]string{"AFTERCARE_SITE=" + dir}, "no file"},
		"missing definitions":           {[]string{"AFTERCARE_DEFINITIONS=" + dir + "/none"}, "no folder"},
		"keys that are a file":          {[]string{"AFTERCARE_KEYS=" + os.Args[0]}, "is a file"},
		"rate with an empty burst":      {[]string{"AFTERCARE_RATE_LIMIT=10/"}, "such as 50/200"},
		"rate with a word":              {[]string{"AFTERCARE_RATE_LIMIT=10 per second"}, "such as 50/200"},
		"rate of nothing":               {[]string{"AFTERCARE_RATE_LIMIT=0/1"}, "such as 50/200"},
		"rate that is no number":        {[]string{"AFTERCARE_RATE_LIMIT=NaN/1"}, "such as 50/200"},
		"burst of nothing":              {[]string{"AFTERCARE_RATE_LIMIT=1/0"}, "such as 50/200"},
		"unknown authentication":        {[]string{"AFTERCARE_AUTH=basic"}, "none, jwt"},
		"issuer that is empty space":    {[]string{"AFTERCARE_AUTH_ISSUER=a b"}, "give the iss"},
		"keys without TLS":              {[]string{"AFTERCARE_AUTH_JWKS=http://i.example/keys"}, "https://"},
		"keys that are no file":         {[]string{"AFTERCARE_AUTH_JWKS=file:" + dir + "/none"}, "https://"},
		"keys from another scheme":      {[]string{"AFTERCARE_AUTH_JWKS=ftp://i.example/keys"}, "https://"},
		"keys with a password":          {[]string{"AFTERCARE_AUTH_JWKS=https://u:p@i.example/keys"}, "https://"},
		"keys on a host like this one":  {[]string{"AFTERCARE_AUTH_JWKS=http://127.0.0.1.example/keys"}, "https://"},
		"audience with a space":         {[]string{"AFTERCARE_AUTH_AUDIENCE=a b"}, "give the aud"},
		"missing file of clients":       {[]string{"AFTERCARE_AUTH_CLIENTS=" + dir + "/none"}, "no file"},
		"missing certificate":           {[]string{"AFTERCARE_TLS_CERT=" + dir + "/none"}, "no file"},
		"certificate without its key":   {[]string{"AFTERCARE_TLS_CERT=" + os.Args[0]}, "both or neither"},
		"level in capitals":             {[]string{"AFTERCARE_LOG_LEVEL=INFO"}, "debug, info, warn, error"},
		"log format":                    {[]string{"AFTERCARE_LOG_FORMAT=xml"}, "json, text"},
		"no limit":                      {[]string{"AFTERCARE_MAX_BODY=0"}, "from 1B to 1GiB"},
		"negative size":                 {[]string{"AFTERCARE_MAX_BODY=-1"}, "from 1B to 1GiB"},
		"fraction":                      {[]string{"AFTERCARE_MAX_BODY=1.5MiB"}, "from 1B to 1GiB"},
		"decimal unit":                  {[]string{"AFTERCARE_MAX_BODY=8MB"}, "from 1B to 1GiB"},
		"size over the limit":           {[]string{"AFTERCARE_MAX_BODY=2GiB"}, "from 1B to 1GiB"},
		"size over 64 bits":             {[]string{"AFTERCARE_MAX_BODY=99999999999999999999GiB"}, "from 1B to 1GiB"},
		"any origin":                    {[]string{"AFTERCARE_CORS_ORIGINS=*"}, "name each one"},
		"any origin of a domain":        {[]string{"AFTERCARE_CORS_ORIGINS=https://*.a.example"}, "name each one"},
		"null origin":                   {[]string{"AFTERCARE_CORS_ORIGINS=null"}, "name each one"},
		"origin without a scheme":       {[]string{"AFTERCARE_CORS_ORIGINS=a.example"}, "name each one"},
		"origin with a slash":           {[]string{"AFTERCARE_CORS_ORIGINS=https://a.example/"}, "name each one"},
		"origin with a path":            {[]string{"AFTERCARE_CORS_ORIGINS=https://a.example/app"}, "name each one"},
		"origin with a user":            {[]string{"AFTERCARE_CORS_ORIGINS=https://u@a.example"}, "name each one"},
		"origin with a query":           {[]string{"AFTERCARE_CORS_ORIGINS=https://a.example?x"}, "name each one"},
		"origin in capitals":            {[]string{"AFTERCARE_CORS_ORIGINS=https://A.example"}, "name each one"},
		"origin with its default port":  {[]string{"AFTERCARE_CORS_ORIGINS=https://a.example:443"}, "name each one"},
		"origin with an empty port":     {[]string{"AFTERCARE_CORS_ORIGINS=https://a.example:"}, "name each one"},
		"one of several is none":        {[]string{"AFTERCARE_CORS_ORIGINS=https://a.example,,http://b.example"}, "name each one"},
		"origins with blanks":           {[]string{"AFTERCARE_CORS_ORIGINS=https://a.example https://b.example"}, "name each one"},
		"policy in capitals":            {[]string{"AFTERCARE_POLICIES_OFF=Open-End"}, "by its code"},
		"policy given twice":            {[]string{"AFTERCARE_POLICIES_OFF=open-end,open-end"}, "once"},
		"policy left out of a list":     {[]string{"AFTERCARE_POLICIES_OFF=open-end,"}, "by its code"},
		"queries without a limit":       {[]string{"AFTERCARE_QUERY_LIMIT=0s"}, "10ms to 2m"},
		"requests without a limit":      {[]string{"AFTERCARE_REQUEST_LIMIT=0s"}, "1s to 2m"},
		"delay over the limit":          {[]string{"AFTERCARE_DRAIN_DELAY=1h"}, "0s to 1m"},
		"misspelt name":                 {[]string{"AFTERCARE_AUHT=none"}, "no such setting"},
		"lower case name":               {[]string{"AFTERCARE_listen=127.0.0.1:1"}, "no such setting"},
		"all addresses without a token": {[]string{"AFTERCARE_LISTEN=:8080", "AFTERCARE_BASE_URL=https://a.example/fhir"}, "without authentication"},
		"0.0.0.0 without a token":       {[]string{"AFTERCARE_LISTEN=0.0.0.0:8080", "AFTERCARE_BASE_URL=https://a.example/fhir"}, "without authentication"},
		"[::] without a token":          {[]string{"AFTERCARE_LISTEN=[::]:8080", "AFTERCARE_BASE_URL=https://a.example/fhir"}, "without authentication"},
		"a name that is not localhost":  {[]string{"AFTERCARE_LISTEN=localhost.evil.example:8080", "AFTERCARE_BASE_URL=https://a.example/fhir"}, "without authentication"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Load(tc.environ, "")
			if err == nil {
				t.Fatal("accepted")
			}
			variable, _, _ := strings.Cut(tc.environ[0], "=")
			if text := err.Error(); strings.Contains(text, "\n") || !strings.HasPrefix(text, variable+": ") || !strings.Contains(text, tc.want) {
				t.Errorf("got %q, want one problem of %s that says %q", text, variable, tc.want)
			}
		})
	}
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "aftercare.yaml")
	write(t, file, "timezone: Mars/Olympus\ncolour: red\nlog_level: loud\n")
	_, err := Load([]string{
		"AFTERCARE_LISTEN=0.0.0.0:80", "AFTERCARE_AUTH=jwt", "AFTERCARE_MAX_BODY=big",
		"AFTERCARE_LOG_LEVEL=quiet", "AFTERCARE_SIZE=9", "PATH=/bin",
	}, file)
	if err == nil {
		t.Fatal("accepted")
	}
	var got []string
	for line := range strings.Lines(err.Error()) {
		name, _, _ := strings.Cut(line, ":")
		got = append(got, name)
	}
	want := []string{
		"AFTERCARE_TIMEZONE (" + file + ", line 1)", "AFTERCARE_LOG_LEVEL", "AFTERCARE_MAX_BODY",
		"AFTERCARE_COLOUR (" + file + ", line 2)", "AFTERCARE_SIZE", "AFTERCARE_BASE_URL",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff, err)
	}
}

func TestSecretsAreNotRepeated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "aftercare.yaml")
	for _, content := range []string{
		"database: postgre://u:hunter2@h/d",
		"database: [hunter2",
		"database: {password: hunter2}",
		"database: a\ndatabase: hunter2",
	} {
		write(t, file, content)
		if _, err := Load(nil, file); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", content, err)
		}
	}
	if _, err := Load([]string{"AFTERCARE_DATABASE=postgre://u:hunter2@h/d"}, ""); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "aftercare.yaml")
	accepted := map[string]struct {
		content string
		listen  string
	}{
		"one setting":               {"listen: 127.0.0.1:1", "127.0.0.1:1"},
		"several":                   {"# ours\nlog_format: text\nlisten: \"127.0.0.1:2\" # quoted\n", "127.0.0.1:2"},
		"block text":                {"listen: |-\n  127.0.0.1:3\n", "127.0.0.1:3"},
		"a word that YAML 1.1 bent": {"rate_limit: off\nlisten: '127.0.0.1:4'", "127.0.0.1:4"},
		"number":                    {"max_body: 4096\nlisten: 127.0.0.1:5", "127.0.0.1:5"},
		"null is not given":         {"listen:\n", "127.0.0.1:8080"},
		"empty file":                {"", "127.0.0.1:8080"},
		"comment only":              {"# nothing yet\n", "127.0.0.1:8080"},
	}
	for name, tc := range accepted {
		t.Run(name+" is accepted", func(t *testing.T) {
			write(t, file, tc.content)
			c, err := Load(nil, file)
			if err != nil || c.Listen != tc.listen {
				t.Errorf("%q, %v", c.Listen, err)
			}
		})
	}
	refused := map[string]string{
		"list":           "- listen",
		"text":           "listen",
		"two documents":  "listen: 127.0.0.1:1\n---\nauth: none\n",
		"twice":          "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n",
		"nested":         "log:\n  level: info\n",
		"value list":     "listen: [127.0.0.1:1]",
		"broken":         "listen: \"127",
		"variable's own": "AFTERCARE_LISTEN: 127.0.0.1:1",
		"test's":         "shared: /x",
	}
	for name, content := range refused {
		t.Run(name+" is refused", func(t *testing.T) {
			write(t, file, content)
			if _, err := Load(nil, file); err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("missing file is refused", func(t *testing.T) {
		if _, err := Load(nil, file+".none"); err == nil || !strings.Contains(err.Error(), file+".none") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("environment wins", func(t *testing.T) {
		write(t, file, "listen: nonsense\nlog_format: text\n")
		c, err := Load([]string{"AFTERCARE_LISTEN=127.0.0.1:9"}, file)
		if err != nil || c.Listen != "127.0.0.1:9" || c.LogFormat != "text" {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

func TestBaseURLAt(t *testing.T) {
	bound := &net.TCPAddr{IP: net.IPv6loopback, Port: 4711}
	for _, tc := range []struct{ listen, base, want string }{
		{"127.0.0.1:0", "", "http://127.0.0.1:4711/fhir"},
		{"localhost:0", "", "http://localhost:4711/fhir"},
		{"[::1]:0", "", "http://[::1]:4711/fhir"},
		{"127.0.0.1:0", "https://a.example/r4", "https://a.example/r4"},
	} {
		c := Config{Listen: tc.listen, BaseURL: tc.base}
		if got := c.BaseURLAt(bound); got != tc.want {
			t.Errorf("%s at %s: got %s, want %s", tc.listen, tc.base, got, tc.want)
		}
	}
}

func TestEverySettingIsDescribed(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Settings() {
		if seen[s.Name] || s.Name != prefix+strings.ToUpper(s.Key) || s.Meaning == "" || s.set == nil {
			t.Errorf("%+v", s)
		}
		seen[s.Name] = true
		if s.Default != "" {
			if err := s.set(new(Config), s.Default); err != nil {
				t.Errorf("default of %s: %v", s.Name, err)
			}
		}
	}
}

func FuzzFile(f *testing.F) {
	for _, s := range []string{"listen: 127.0.0.1:1", "a: [b", "- x", "listen: &a b\nauth: *a", "<<: {a: b}", "? x\n: y", "!!binary a: b", "{a: b}", "---\n...\n"} {
		f.Add(s)
	}
	file := filepath.Join(f.TempDir(), "aftercare.yaml")
	f.Fuzz(func(t *testing.T, content string) {
		write(t, file, content)
		c, err := Load(nil, file)
		if err == nil && (c.Zone == nil || c.Auth == "none" && !loopback(c.Listen) || c.Auth == "jwt" && c.BaseURL == "") {
			t.Errorf("accepted %+v", c)
		}
	})
}

func write(t testing.TB, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
