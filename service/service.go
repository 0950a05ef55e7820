package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"aftercare/fhir"
	"aftercare/service/audit/tree"
	"aftercare/service/permission"
	"aftercare/service/store"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

// Options are what a Service is made of. Store, Definitions, BaseURL and Zone are
// required.
type Options struct {
	Store *store.Store
	// Definitions are the protocol and terminology resources, the site's own included.
	Definitions []*fhir.Node
	// BaseURL is the public FHIR base without a trailing slash, used in every link.
	BaseURL string
	// Zone is the time zone of the care site.
	Zone *time.Location
	// PoliciesOff are the codes of CodeSystem/policy that the site has switched off.
	PoliciesOff []string
	// References is the reference policy: "types", "exist" or "off"; "" means "types".
	References string
	// LogSecret is the secret of the auditor's log, of audit.SecretSize bytes; without it no log is kept.
	LogSecret []byte
	// LogKey signs the checkpoints of the log; without it no tree is built over the log.
	LogKey *tree.Key
	// Witnesses cosign the checkpoints of the log.
	Witnesses []Witness
	Logger    *slog.Logger
	// MeterProvider is OpenTelemetry's global one if nil.
	MeterProvider metric.MeterProvider
	// Now and NewID are the clock and the source of ids; tests fix them.
	Now   func() time.Time
	NewID func() string
	// MaxBundleEntries limits the entries of a transaction or batch; 0 means 20,000.
	MaxBundleEntries int
	// MaxResource limits a resource in a Bundle, in bytes; 0 means no limit.
	MaxResource int64
	// QueryLimit is how long a search, a history or an operation may look; 0 means as long as the
	// request may.
	QueryLimit time.Duration
	// Software is the version shown in the CapabilityStatement.
	Software string
	// OAuth are the URLs where callers get tokens, by their names in the CapabilityStatement, such as
	// token; none where no token is needed.
	OAuth map[string]string
	// SameIndex refuses a database that is indexed for other search parameters, another zone or
	// another base URL, beside whose service this one is to work. Without it this service takes
	// the database over.
	SameIndex bool
}

// Service answers FHIR interactions. It is safe for concurrent use.
type Service struct {
	*knowledge
	store       *store.Store
	baseURL     string
	mustExist   bool // that targets on this server exist
	auditLog    *Log // nil where none is kept
	logIndex    *logIndex
	log         *slog.Logger
	meters      metric.MeterProvider
	witnesses   []Witness
	now         func() time.Time
	newID       func() string
	maxEntries  int
	maxResource int64
	queryLimit  time.Duration
	// stageFrom is how many writes a transaction has at least whose new resources are
	// stored ahead; staged, if not nil, is run between that and the transaction, by tests:
	// before all of it is confirmed for the last time outside the transaction, and after.
	stageFrom int
	// maxReports is how many reports of pain of a patient are looked at again.
	maxReports int
	staged     func(confirmed bool)
	software   string
	// oauth is shown in the CapabilityStatement.
	oauth   map[string]string
	started time.Time
	// progressPause is the time between two looks of KeepProgress.
	progressPause time.Duration
	// capabilities gives the CapabilityStatement, which is the same as long as the service runs.
	capabilities func() []byte
	// unindexed are the search parameters, by key, that could not index a stored resource.
	unindexed sync.Map
	// consentsKept are the Consents that were read last.
	consentsKept consentsAtHand
	// replacementsKept are the links between Patients that were read last.
	replacementsKept replacementsAtHand
	// atHand keeps what reports of pain of some patients are held against.
	atHand anchorsAtHand
}

// Principal is who asks. It is an explicit argument of every interaction, so that no
// path can forget it.
type Principal = permission.Principal

// Anonymous is the caller where authentication is switched off.
var Anonymous = permission.Anonymous

// Written is the result of a create, update or delete.
type Written struct {
	// Resource is the current version after the interaction; nil when a resource that
	// never existed was deleted.
	Resource *fhir.Resource
	// Created is false when a conditional create found the resource.
	Created bool
	// Changed is false when there was nothing to write.
	Changed bool
	// Hidden is set where the caller may not read the resource, so that no answer has it.
	Hidden bool
	// Issues tell the sender what followed, such as the care plan that was derived.
	Issues []fhir.Issue
}

// New checks the options, loads the definitions into the store where they differ from
// what it holds, and returns a Service.
func New(ctx context.Context, o Options) (*Service, error) {
	known, err := learn(o)
	if err != nil {
		return nil, err
	}
	s, err := begin(ctx, o, known)
	if err != nil {
		return nil, err
	}
	if err := s.provide(ctx); err != nil {
		return nil, fmt.Errorf("definitions: %w", err)
	}
	return s, nil
}

// begin starts a Service that knows what was learnt from the definitions of its options, on a
// store that has them or will.
func begin(ctx context.Context, o Options, known *knowledge) (*Service, error) {
	s := &Service{
		knowledge: known, store: o.Store, baseURL: o.BaseURL, mustExist: o.References == "exist", log: o.Logger, now: o.Now, newID: o.NewID,
		maxEntries: o.MaxBundleEntries, maxResource: o.MaxResource, queryLimit: o.QueryLimit, stageFrom: stageFrom, maxReports: maxReports, software: o.Software, oauth: o.OAuth, progressPause: progressPause, meters: o.MeterProvider, witnesses: o.Witnesses,
	}
	if s.store == nil || s.baseURL == "" {
		return nil, errors.New("service: Store and BaseURL are required")
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.meters == nil {
		s.meters = otel.GetMeterProvider()
	}
	if s.newID == nil {
		s.newID = newID
	}
	if s.maxEntries == 0 {
		s.maxEntries = 20_000
	}
	s.started = s.now()
	terms, err := LogTerms(o.LogSecret)
	if err != nil {
		return nil, err
	}
	s.logIndex = newLogIndex(s.store, terms, s.log)
	if o.LogSecret != nil {
		if s.auditLog, err = OpenLog(ctx, s.store, o.LogSecret, s.now); err != nil {
			return nil, err
		}
		if err := s.auditLog.SignWith(o.LogKey); err != nil {
			return nil, err
		}
	}
	// This takes the database over, and so comes after all that can be refused: services that have other
	// search parameters do not write from here on.
	if err := s.store.Declare(ctx, s.registry.Fingerprints(s.zone, s.baseURL), !o.SameIndex); err != nil {
		return nil, err
	}
	s.capabilities = sync.OnceValue(s.describeItself)
	return s, nil
}

// ErrOutdated is in the errors of a service whose database another one has taken over, with other
// search parameters or settings. It is of no use any more.
var ErrOutdated = store.ErrOutdated

// Ready reports whether the service can answer: nil, or why not.
func (s *Service) Ready(ctx context.Context) error { return s.store.Ping(ctx) }

// newID is a UUID version 7: unguessable, and in order of time, which keeps index pages
// full.
func newID() string { return uuid.Must(uuid.NewV7()).String() }
