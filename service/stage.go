package service

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/careplan"
	"aftercare/service/permission"
	"aftercare/service/store"
)

// stageFrom is the number of writes from which on it is worth while to store new resources
// ahead of the transaction: as many take some tens of milliseconds.
const stageFrom = 250

// stagingAttempts is how often a large transaction is tried in that way, before it holds up
// all other writes after all.
const stagingAttempts = 2

// smallStep is how many resources may have changed for the rest to be confirmed inside the
// transaction; confirmRounds is how often that is waited for.
const (
	smallStep     = 32
	confirmRounds = 8
)

// errOvertaken says that another write has changed what was done ahead rests on.
var errOvertaken = errors.New("another write has changed what the staged transaction rests on")

// ahead is what of a large transaction is done before it: its new resources are staged, and
// all that it looks up was looked up at one position in the order of commits. As long as what
// other writes change after that does not touch it, it holds; they are watched up to the end.
type ahead struct {
	staging *store.Staging
	at      time.Time
	// until is the position up to which all below is confirmed.
	until int64
	found *resolution
	// done are the results of writes, by position: of those that are staged and of those
	// that change nothing. refs are their resources.
	done map[int]Written
	refs []string
	// cases are the derivations that are done, by patient.
	cases map[string]derivedAhead
	// targets are resources known to exist, quiet are patients for whom there is nothing
	// to derive.
	targets, quiet map[string]bool
}

// sure is what of ahead still holds after the last changes. The zero value is sure of
// nothing.
type sure struct {
	ahead   *ahead
	service *Service
	changes *store.Changes
}

func (s sure) done(i int) (w Written, ok bool) {
	if s.ahead != nil {
		w, ok = s.ahead.done[i]
	}
	return w, ok
}

func (s sure) exists(ref string) bool {
	return s.ahead != nil && s.ahead.targets[ref] && !s.changes.Has(ref)
}

func (s sure) derived(id string) (d derivedAhead, ok bool) {
	if s.ahead != nil {
		d, ok = s.ahead.cases[id]
	}
	return d, ok
}

func (s sure) quiet(id string) bool {
	return s.ahead != nil && s.ahead.quiet[id] && !s.service.concerns(s.changes, id)
}

// concerns reports whether a change may have made something to derive for a patient.
func (s *Service) concerns(changes *store.Changes, id string) bool {
	if s.ofReports != nil && changes.Mention(s.ofReports.Type, id) {
		return true
	}
	return slices.ContainsFunc(s.ofCases, func(p *search.Parameter) bool { return changes.Mention(p.Type, id) })
}

// worthStaging reports whether the new resources of a group are to be stored ahead. Where a
// deletion may change what a condition finds, they are not: the answers are known only after
// it.
func (s *Service) worthStaging(ws []*write) bool {
	return len(ws) >= s.stageFrom && !(slices.ContainsFunc(ws, isDelete) && dependOnTheStore(ws))
}

// commitStaged is commit with as much as possible done ahead. The error is errOvertaken if
// that turned out to be in vain; nothing of it is left then.
func (s *Service) commitStaged(ctx context.Context, by *Principal, ws []*write, then func(ctx context.Context, r *store.Reader) error) ([]Written, error) {
	a := &ahead{cases: map[string]derivedAhead{}, done: map[int]Written{}, targets: map[string]bool{}, quiet: map[string]bool{}}
	staging, err := s.store.Stage(ctx)
	if err != nil {
		return nil, err
	}
	a.staging = staging
	stored := false
	defer func() {
		if !stored {
			a.staging.Discard() // whoever sent it does not wait for that
		}
	}()
	if err := s.makeReady(ctx, by, a, ws); err != nil {
		return nil, err
	}
	if s.staged != nil {
		s.staged(false)
	}
	for range confirmRounds {
		changed := 0
		err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
			found, sure, err := s.confirm(ctx, r, a)
			if err == nil {
				changed = sure.changes.Len()
				a.keep(found, sure)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if changed <= smallStep {
			break
		}
	}
	if s.staged != nil {
		s.staged(true)
	}
	out, err := s.applyInWrite(ctx, a.found, a, then)
	if errors.Is(err, store.ErrLost) {
		err = errOvertaken
	}
	stored = err == nil
	return out, err
}

// makeReady looks everything up and stages what is new.
func (s *Service) makeReady(ctx context.Context, by *Principal, a *ahead, ws []*write) error {
	a.at = s.now()
	a.found = newResolution(by, ws)
	if err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
		if a.until, err = r.Position(ctx); err != nil || !dependOnTheStore(ws) {
			return err
		}
		a.found, err = s.resolve(ctx, r, a.found)
		return err
	}); err != nil {
		return err
	}
	if err := s.fill(a.found); err != nil {
		return err
	}
	var news []store.New
	var positions []int
	if err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
		return s.eachPut(a.found.ws, func(i int, w *write) error {
			isNew, err := s.lookAhead(ctx, r, a, i)
			if isNew {
				news = append(news, store.New{Draft: a.found.contents[i].draft, ID: w.id, Method: w.method, Rows: a.found.contents[i].rows})
				positions = append(positions, i)
			}
			return err
		})
	}); err != nil {
		return err
	}
	stored, err := s.stageMore(ctx, a, news)
	if err != nil {
		return err
	}
	for k, i := range positions {
		a.done[i] = Written{Resource: stored[k], Created: true, Changed: true}
	}
	for _, w := range a.done {
		a.refs = append(a.refs, w.Resource.Ref())
	}
	return s.deriveAhead(ctx, a)
}

// stageMore stages resources.
func (s *Service) stageMore(ctx context.Context, a *ahead, news []store.New) ([]*fhir.Resource, error) {
	stored, err := a.staging.Add(ctx, a.at, news)
	if err != nil {
		// Lost, or refused, for which the transaction itself finds the words.
		return nil, overtakenUnlessDown(err)
	}
	for _, r := range stored {
		a.targets[r.Ref()] = true
	}
	return stored, nil
}

// lookAhead notes what of the i-th write can be known before the transaction, and reports
// whether it makes a new resource that can be staged.
func (s *Service) lookAhead(ctx context.Context, r *store.Reader, a *ahead, i int) (isNew bool, err error) {
	w, c := a.found.ws[i], a.found.contents[i]
	if s.mustExist {
		seen := s.asReferrer(a.found.by, r, w.typ)
		for _, l := range c.local {
			if err := a.lookForTarget(ctx, seen, l); err != nil {
				return false, err
			}
		}
	}
	if w.typ == careplan.SubjectType {
		id := a.found.id(i)
		involved, err := s.involved(ctx, r, id)
		if err != nil {
			return false, err
		}
		a.quiet[id] = !involved
	}
	if w.method == http.MethodPatch || a.found.match(i) != nil || a.found.late[i] || w.when != (Preconditions{}) {
		return false, nil
	}
	if w.method == http.MethodPut && !s.part(a.found.by, w.typ, permission.Update).All() {
		return false, nil // it must be there
	}
	known, err := r.Known(ctx, w.typ, w.id)
	switch {
	case err != nil:
		return false, err
	case known && w.method == http.MethodPut && w.condition == nil:
		return false, s.lookForUpdate(ctx, r, a, i)
	case known:
		return false, nil
	}
	return true, nil
}

func (a *ahead) lookForTarget(ctx context.Context, r *store.Reader, l localReference) error {
	ref := l.typ + "/" + l.id
	if _, served := fhir.Served(l.typ); !served || a.targets[ref] {
		return nil
	}
	target, err := r.Get(ctx, l.typ, l.id)
	if err == nil && !target.Deleted {
		a.targets[ref] = true
	}
	if fhir.KindOf(err) == fhir.NotFound {
		return nil // it may be there in time
	}
	return err
}

// lookForUpdate notes an update that changes nothing.
func (s *Service) lookForUpdate(ctx context.Context, r *store.Reader, a *ahead, i int) error {
	w := a.found.ws[i]
	current, err := r.Get(ctx, w.typ, w.id)
	if err != nil || current.Deleted {
		return err
	}
	same, err := sameContent(current, a.found.contents[i].draft.WithID(w.id))
	if same {
		a.done[i] = Written{Resource: current}
	}
	return err
}

// confirm checks that what was done ahead holds on a later state, and gives what it comes to
// there. The error is errOvertaken if it does not hold.
func (s *Service) confirm(ctx context.Context, r *store.Reader, a *ahead) (*resolution, sure, error) {
	changes, err := r.Changes(ctx, a.until)
	if err != nil {
		return nil, sure{}, err
	}
	still := sure{a, s, changes}
	if changes.Len() == 0 {
		return a.found.clone(), still, nil
	}
	if slices.ContainsFunc(a.refs, changes.Has) {
		return nil, sure{}, errOvertaken
	}
	for id, d := range a.cases {
		if s.concerns(changes, id) || slices.ContainsFunc(d.rests, changes.Has) {
			return nil, sure{}, errOvertaken
		}
	}
	for text, ref := range a.found.references {
		q := a.found.queries[text]
		if !changes.MayMeet(q) && !changes.Has(ref) {
			continue
		}
		if target, err := s.match(ctx, a.found.by, r, q); err != nil || target == nil || target.Ref() != ref {
			return nil, sure{}, overtakenUnlessDown(err)
		}
	}
	found, moved := a.found.clone(), false
	for i, w := range found.ws {
		match := a.found.match(i)
		touched := match != nil && changes.Has(match.Ref()) || w.change != nil && changes.Has(w.ref())
		if !touched && (w.condition == nil || isDelete(w) || !changes.MayMeet(w.condition)) {
			continue
		}
		delete(found.matched, i)
		if err := s.resolveWrite(ctx, r, found, i); err != nil {
			return nil, sure{}, overtakenUnlessDown(err)
		}
		if _, done := a.done[i]; done && found.match(i) != nil {
			return nil, sure{}, errOvertaken
		}
		if found.ws[i] != w {
			if len(a.cases) > 0 {
				return nil, sure{}, errOvertaken // it may be about one of their patients now
			}
			found.contents[i] = nil
		}
		moved = true
	}
	if moved && !maps.Equal(found.targets(), a.found.ids) {
		return nil, sure{}, errOvertaken
	}
	if err := s.fill(found); err != nil {
		return nil, sure{}, overtakenUnlessDown(err)
	}
	return found, still, nil
}

// overtakenUnlessDown leaves the words for an error to the next attempt, which meets it again
// in the order in which errors are told, unless the database is the reason.
func overtakenUnlessDown(err error) error {
	if err != nil && fhir.KindOf(err) == fhir.Unavailable {
		return err
	}
	return errOvertaken
}

// keep takes over what confirm has found, so that only later changes matter.
func (a *ahead) keep(found *resolution, s sure) {
	a.found, a.until = found, s.changes.Until
	maps.DeleteFunc(a.targets, func(ref string, _ bool) bool { return s.changes.Has(ref) })
	maps.DeleteFunc(a.quiet, func(id string, _ bool) bool { return s.service.concerns(s.changes, id) })
}
