package auth

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"aftercare/fhir"
)

// source is where the keys of an issuer or a client come from. What it gave last is kept for as
// long as it said, and looked at again after that, by one caller at a time.
type source struct {
	name string // for the log
	// load gets the keys, and says for how long they are good.
	load func(ctx context.Context) (keys []key, fresh time.Duration, err error)
	// patience is how long keys that are no longer good still count while no others can be had.
	patience time.Duration
	now      func() time.Time
	log      *slog.Logger

	loading sync.Mutex
	state   atomic.Pointer[loaded]
}

// loaded is what is known of a source. It does not change.
type loaded struct {
	set   *keySet // nil if none could be had
	err   error   // why not
	at    time.Time
	until time.Time // when it is to be looked at again
	end   time.Time // when the keys do not count any more
}

const (
	// loadRetry is the time between two attempts that fail, and between two that are made for a
	// key that is not there.
	loadRetry = 10 * time.Second
	// loadLimit is how long one attempt may take.
	loadLimit = 3 * time.Second
)

// keys gives the keys as they are known. The error is Unavailable if there are none.
func (s *source) keys(ctx context.Context) (*keySet, error) {
	now, known := s.now(), s.state.Load()
	if known != nil && now.Before(known.until) {
		return known.set, known.err
	}
	if known != nil && known.set != nil && now.Before(known.end) {
		if !s.loading.TryLock() {
			return known.set, nil // somebody is looking
		}
	} else {
		s.loading.Lock()
	}
	defer s.loading.Unlock()
	if known = s.state.Load(); known == nil || !now.Before(known.until) {
		known = s.look(ctx, known, now)
	}
	return known.set, known.err
}

// find gives the key with a kid that fits an algorithm, and the set that it is of. A key that is
// not there may be a new one; it is looked for, now and then.
func (s *source) find(ctx context.Context, kid, alg string) (*key, *keySet, error) {
	set, err := s.keys(ctx)
	if err != nil {
		return nil, nil, err
	}
	if k := set.find(kid, alg); k != nil {
		return k, set, nil
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	known, now := s.state.Load(), s.now()
	if known.set == set && now.Sub(known.at) >= loadRetry {
		known = s.look(ctx, known, now)
	}
	if known.set == nil {
		return nil, nil, known.err
	}
	if k := known.set.find(kid, alg); k != nil {
		return k, known.set, nil
	}
	return nil, nil, errKey
}

// look loads the keys. The caller holds loading.
func (s *source) look(ctx context.Context, known *loaded, now time.Time) *loaded {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadLimit)
	defer cancel()
	keys, fresh, err := s.load(ctx)
	next := &loaded{at: now}
	switch {
	case err == nil:
		next.set, next.until = newKeySet(keys), now.Add(fresh)
		next.end = next.until.Add(s.patience)
		if known != nil && known.set != nil && known.set.sum == next.set.sum {
			next.set = known.set // so that tokens that were verified with it stay so
		} else {
			s.log.InfoContext(ctx, "keys are read", "of", s.name, "keys", len(keys))
		}
	case known != nil && known.set != nil && now.Before(known.end):
		s.log.WarnContext(ctx, "keys cannot be read; the ones from before are used", "of", s.name, "error", err, "until", known.end)
		next.set, next.end, next.until = known.set, known.end, now.Add(loadRetry)
		if next.end.Before(next.until) {
			next.until = next.end
		}
	default:
		s.log.WarnContext(ctx, "keys cannot be read", "of", s.name, "error", err)
		next.err = fhir.Errorf(fhir.Unavailable, "transient", "", "The keys that the token has to be checked with cannot be had at the moment; try again.").
			Because(fmt.Errorf("keys of %s: %w", s.name, err))
		next.until = now.Add(loadRetry)
	}
	s.state.Store(next)
	return next
}
