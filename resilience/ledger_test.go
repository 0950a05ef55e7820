package resilience

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
)

// ledger is what was promised to those who wrote.
//
// Every write has a mark of its own, which is the value of an identifier in all resources that it
// makes.
type ledger struct {
	mu sync.Mutex
	// versions are those that were acknowledged.
	versions map[version]fact
	// marks are the writes by mark.
	marks map[string]*promise
	// added are the marks that were patched into resources, which hold many.
	added map[string]outcome
	// faults are answers that cannot be right, whatever is stored.
	faults []string
	// refusals and lost count the other answers.
	refusals, lost int
}

// version names one version of a resource.
type version struct {
	ref    string // Type/id
	number int
}

// fact is the content of a version: its bytes, nil where they were not told. deleted versions have
// none.
type fact struct {
	body    []byte
	deleted bool
}

// promise is how many resources have a mark: want if the write was stored, none if it was
// refused, and either if that is not known.
type promise struct {
	outcome outcome
	want    int
	ref     string // of the one resource, "" if it was not told
}

func newLedger() *ledger {
	return &ledger{versions: map[version]fact{}, marks: map[string]*promise{}, added: map[string]outcome{}}
}

// wrote enters a version that was acknowledged.
func (l *ledger) wrote(ref string, number int, f fact) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := version{ref, number}
	before, twice := l.versions[key]
	if number < 1 {
		l.fault("%s was stored with version %d", ref, number)
	}
	if twice && before.body != nil && f.body != nil && !bytes.Equal(before.body, f.body) || twice && before.deleted != f.deleted {
		l.fault("%s version %d was acknowledged with two contents", ref, number)
	}
	if !twice || f.body != nil {
		l.versions[key] = f
	}
}

// promised enters what became of the write with a mark. Of several writes with the same mark,
// which are conditional, one that was stored is enough.
func (l *ledger) promised(mark string, o outcome, want int, ref string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(o)
	p := l.marks[mark]
	if p == nil {
		l.marks[mark] = &promise{o, want, ref}
		return
	}
	switch {
	case o == stored && p.outcome == stored && p.ref != ref:
		l.fault("two conditional creates of %s were told of %s and %s", mark, p.ref, ref)
	case o == stored:
		p.outcome, p.ref = stored, ref
	case o == unknown && p.outcome == refused:
		p.outcome = unknown
	}
}

// patched enters what became of a patch that adds a mark to a resource.
func (l *ledger) patched(mark string, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(o)
	l.added[mark] = o
}

func (l *ledger) count(o outcome) {
	switch o {
	case refused:
		l.refusals++
	case unknown:
		l.lost++
	}
}

func (l *ledger) unexpected(what string, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault("%s: status %d: %.300s", what, a.status, a.body)
}

// fault needs mu.
func (l *ledger) fault(format string, args ...any) {
	if len(l.faults) < 20 {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
}

// fromLocation is the resource and the version that a Location names.
func fromLocation(location string) (ref string, number int) {
	path := strings.TrimPrefix(location, base+"/")
	ref, text, _ := strings.Cut(path, "/_history/")
	_, _ = fmt.Sscanf(text, "%d", &number) // 0 is what it says then
	return ref, number
}
