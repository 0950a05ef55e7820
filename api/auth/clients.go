package auth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aftercare/fhir"
	"aftercare/service/permission"
	"aftercare/service/store"
)

// Client is a program that may ask for tokens.
type Client struct {
	ID string `json:"client_id"`
	// Name is for people.
	Name string `json:"name,omitempty"`
	// JWKS are its public keys, JWKSURI is where they are: one of the two.
	JWKS    json.RawMessage `json:"jwks,omitempty"`
	JWKSURI string          `json:"jwks_uri,omitempty"`
	// Scope is the most that it is given, a list of scopes of the level system.
	Scope string `json:"scope"`
	// BreakGlass is whether it may break the glass.
	BreakGlass bool `json:"break_glass,omitempty"`
}

// Check says what is wrong with a client.
func (c Client) Check() error {
	var problems []error
	if c.ID == "" || len(c.ID) > 128 || strings.ContainsFunc(c.ID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		problems = append(problems, errors.New("client_id must be 1 to 128 visible ASCII characters"))
	}
	switch {
	case (len(c.JWKS) == 0) == (c.JWKSURI == ""):
		problems = append(problems, errors.New("give either jwks or jwks_uri"))
	case c.JWKSURI != "":
		if err := checkURL(c.JWKSURI); err != nil {
			problems = append(problems, fmt.Errorf("jwks_uri: %w", err))
		}
	default:
		keys, left, err := parseJWKS(c.JWKS)
		if err == nil && len(keys) == 0 {
			err = errors.New("there is no key")
		}
		if err = errors.Join(append(left, err)...); err != nil {
			problems = append(problems, fmt.Errorf("jwks: %w", err))
		}
	}
	grant, others := permission.ParseGrant(c.Scope)
	if len(others) > 0 || len(grant) == 0 {
		problems = append(problems, errors.New("scope must be a list of scopes for resources, such as system/CarePlan.rs system/Observation.cruds"))
	}
	for _, scope := range grant {
		if scope.Level != permission.LevelSystem {
			problems = append(problems, fmt.Errorf("scope %s: a client of its own has scopes of the level system alone", scope.Text))
		}
	}
	return errors.Join(problems...)
}

func (c Client) same(o Client) bool {
	return c.ID == o.ID && c.Name == o.Name && bytes.Equal(c.JWKS, o.JWKS) && c.JWKSURI == o.JWKSURI && c.Scope == o.Scope && c.BreakGlass == o.BreakGlass
}

// ReadClients reads a file of clients. The error names each client that is not acceptable.
func ReadClients(file string) ([]Client, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list []Client
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&list); err != nil || decoder.More() {
		return nil, fmt.Errorf(`%s: this is no list of clients, [{"client_id": ..., "jwks": {"keys": [...]} or "jwks_uri": ..., "scope": ...}]`, file)
	}
	seen := map[string]bool{}
	var problems []error
	for i, c := range list {
		if err := c.Check(); err != nil {
			problems = append(problems, fmt.Errorf("%s: client %d (%q): %w", file, i+1, c.ID, err))
		}
		if seen[c.ID] {
			problems = append(problems, fmt.Errorf("%s: client %d: %q is there twice", file, i+1, c.ID))
		}
		seen[c.ID] = true
	}
	return list, errors.Join(problems...)
}

// registered is a client with its keys.
type registered struct {
	Client
	grant  permission.Grant
	source *source
}

// clientSet is a set of clients. It does not change: other clients are another set.
type clientSet struct{ byID map[string]*registered }

// registry knows the clients of the file and of the database. One that is in both is that of the
// file; one that is revoked in the database is none, wherever it is.
type registry struct {
	store *store.Store
	file  string
	http  *http.Client
	now   func() time.Time
	log   *slog.Logger

	reading sync.Mutex
	state   atomic.Pointer[readClients]
	// ofFile is what the file had when it could last be read.
	ofFile []Client
}

type readClients struct {
	set   *clientSet
	err   error
	until time.Time // when to look again
	end   time.Time // when set does not count any more
}

const (
	// clientsFresh is how old the list of clients may be: so long a client that was revoked may
	// still be served.
	clientsFresh = 2 * time.Second
	// clientsEnd is how long the list counts while another caller reads it anew.
	clientsEnd = 5 * time.Second
)

// current gives the clients. The error is Unavailable if the database cannot be asked: who was
// revoked would not be known.
func (r *registry) current(ctx context.Context) (*clientSet, error) {
	now, known := r.now(), r.state.Load()
	if known != nil && now.Before(known.until) {
		return known.set, known.err
	}
	if known != nil && known.set != nil && now.Before(known.end) {
		if !r.reading.TryLock() {
			return known.set, nil
		}
	} else {
		r.reading.Lock()
	}
	defer r.reading.Unlock()
	if known = r.state.Load(); known != nil && now.Before(known.until) {
		return known.set, known.err
	}
	list, err := r.read(ctx)
	next := &readClients{until: now.Add(clientsFresh), end: now.Add(clientsEnd)}
	if err != nil {
		next.err = fhir.Errorf(fhir.Unavailable, "transient", "", "The clients cannot be looked up at the moment; try again.").Because(err)
		next.until = now.Add(time.Second / 2)
	} else {
		var before *clientSet
		if known != nil {
			before = known.set
		}
		next.set = r.join(list, before)
	}
	r.state.Store(next)
	return next.set, next.err
}

// read gives all clients that are not revoked.
func (r *registry) read(ctx context.Context) ([]Client, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadLimit)
	defer cancel()
	var rows []store.Client
	if err := r.store.View(ctx, func(ctx context.Context, v *store.Reader) (err error) {
		rows, err = v.Clients(ctx)
		return err
	}); err != nil {
		return nil, err
	}
	if r.file != "" {
		list, err := ReadClients(r.file)
		switch {
		case err == nil:
			r.ofFile = list
		case r.state.Load() == nil:
			return nil, fmt.Errorf("clients: %w", err)
		default:
			r.log.WarnContext(ctx, "the file of clients cannot be read; what it had before counts", "error", err)
		}
	}
	revoked := map[string]bool{}
	for _, row := range rows {
		revoked[row.ID] = !row.Revoked.IsZero()
	}
	var list []Client
	seen := map[string]bool{}
	for _, c := range r.ofFile {
		seen[c.ID] = true
		if !revoked[c.ID] {
			list = append(list, c)
		}
	}
	for _, row := range rows {
		if c := ClientOf(row); !seen[c.ID] && !revoked[c.ID] {
			list = append(list, c)
		}
	}
	return list, nil
}

// ClientOf is a client as the store keeps it.
func ClientOf(row store.Client) Client {
	return Client{ID: row.ID, Name: row.Name, JWKS: row.JWKS, JWKSURI: row.JWKSURI, Scope: row.Scope, BreakGlass: row.BreakGlass}
}

// join makes a set, or gives the one before where nothing has changed. What is known of the keys of
// a client that has not changed is kept.
func (r *registry) join(list []Client, before *clientSet) *clientSet {
	set := &clientSet{map[string]*registered{}}
	kept := 0
	for _, c := range list {
		if before != nil {
			if old := before.byID[c.ID]; old != nil && old.same(c) {
				set.byID[c.ID] = old
				kept++
				continue
			}
		}
		grant, _ := permission.ParseGrant(c.Scope)
		if grant == nil {
			grant = permission.Grant{}
		}
		set.byID[c.ID] = &registered{c, grant, r.source(c)}
	}
	if before != nil && kept == len(list) && kept == len(before.byID) {
		return before
	}
	return set
}

func (r *registry) source(c Client) *source {
	s := &source{name: "the client " + c.ID, now: r.now, log: r.log}
	s.load = func(ctx context.Context) ([]key, time.Duration, error) {
		if c.JWKSURI != "" {
			if err := checkURL(c.JWKSURI); err != nil {
				return nil, 0, err
			}
			return fetchJWKS(ctx, r.http, c.JWKSURI, freshLeastClient, r.log)
		}
		keys, left, err := parseJWKS(c.JWKS)
		return keys, freshMost, cmp.Or(err, errors.Join(left...))
	}
	return s
}
