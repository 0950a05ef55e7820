package api

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"aftercare/api/auth"
	"aftercare/service"
	"aftercare/service/memory"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// The size limits of request bodies where Options names none, in bytes.
const (
	DefaultMaxBody   = 8 << 20
	DefaultMaxBundle = 64 << 20
)

// DefaultMemory is the memory for requests where Options names none, in bytes.
const DefaultMemory = 640 << 20

// Options are what the API is made of. Service and BaseURL are required.
type Options struct {
	Service *service.Service
	// BaseURL is the public FHIR base, such as https://host/fhir. Its path is the path
	// that the FHIR routes are served under; Location headers start with it.
	BaseURL string
	// Logger gets one line per request; nil logs nothing. See LogHandler for the ids.
	Logger *slog.Logger
	// MaxBody limits the body of a single resource, MaxBundle that of a Bundle sent to
	// the base; both in bytes, 0 means the default.
	MaxBody, MaxBundle int64
	// Memory is what the bodies and the answers of all requests may take together, in bytes;
	// 0 means DefaultMemory. What would take more is answered with 503.
	Memory int64
	// CORSOrigins are the origins, such as https://dashboard.example, whose web pages may
	// use the FHIR base; none: no page of another origin may.
	CORSOrigins []string
	// BestEffort answers requests also where the auditor's log cannot be written. Without it the answer
	// is 503 then.
	BestEffort bool
	// Auth judges the tokens of callers; nil lets everybody do everything.
	Auth *auth.Authority
	// Rate limits what one caller may ask for; the zero value is no limit.
	Rate Rate
	// TracerProvider and MeterProvider record spans and metrics; nil records none.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	// Metrics answers GET /metrics; nil leaves the route out. Where callers need tokens, it answers
	// this machine alone.
	Metrics http.Handler
	// NewID makes the ids of requests that bring none; nil makes random ones.
	NewID func() string
}

type api struct {
	service    *service.Service
	base       string // public FHIR base without a trailing slash
	path       string // its path, such as /fhir
	addresses  []address
	log        *slog.Logger
	maxBody    int64
	maxBundle  int64
	memory     *memory.Budget
	origins    []string
	auth       *auth.Authority
	bestEffort bool
	limits     *limits // nil without a limit
	tracer     trace.Tracer
	meters     meters
	metrics    http.Handler
	newID      func() string
}

// New checks the options and returns the handler of the whole program: the FHIR base,
// /healthz, /readyz and /metrics. An error says which option is wrong.
func New(o Options) (http.Handler, error) {
	a, err := newAPI(o)
	if err != nil {
		return nil, err
	}
	return a.routes(), nil
}

const scope = "aftercare/api"

func newAPI(o Options) (*api, error) {
	gin.SetMode(gin.ReleaseMode) // debug mode writes to standard output
	if o.Service == nil {
		return nil, errors.New("api: Options.Service is required")
	}
	base, path, err := parseBase(o.BaseURL)
	if err != nil {
		return nil, err
	}
	a := &api{
		service: o.Service, base: base, path: path, log: o.Logger,
		maxBody: o.MaxBody, maxBundle: o.MaxBundle, origins: o.CORSOrigins, bestEffort: o.BestEffort, auth: o.Auth, limits: newLimits(o.Rate), metrics: o.Metrics, newID: o.NewID,
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.maxBody == 0 {
		a.maxBody = DefaultMaxBody
	}
	if a.maxBundle == 0 {
		a.maxBundle = DefaultMaxBundle
	}
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	a.memory = memory.New(o.Memory)
	if a.newID == nil {
		a.newID = rand.Text
	}
	if o.TracerProvider == nil {
		o.TracerProvider = tracenoop.NewTracerProvider()
	}
	a.tracer = o.TracerProvider.Tracer(scope)
	if o.MeterProvider == nil {
		o.MeterProvider = metricnoop.NewMeterProvider()
	}
	if a.meters, err = newMeters(o.MeterProvider.Meter(scope)); err != nil {
		return nil, fmt.Errorf("api: metrics: %w", err)
	}
	return a, nil
}

// basePath is what can be a route prefix: plain segments, nothing that needs escaping.
var basePath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

func parseBase(s string) (base, path string, err error) {
	base = strings.TrimRight(s, "/")
	u, err := url.Parse(base)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return "", "", errors.New("api: BaseURL must be an absolute http or https URL")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil:
		return "", "", errors.New("api: BaseURL must have no user, query or fragment")
	case !basePath.MatchString(u.EscapedPath()):
		return "", "", errors.New("api: BaseURL must have a path of plain segments, such as /fhir; health and metrics are served beside it")
	}
	return base, u.EscapedPath(), nil
}
