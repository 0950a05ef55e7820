package service

import (
	"context"
	"maps"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/fhir/validate"
	"aftercare/service/store"
)

// What a conditional reference means is decided on what is there after the creates and
// updates of the transaction (https://hl7.org/fhir/R4/http.html#trules). So where a group of
// writes touches a type that the condition looks at, the write that has the reference is
// late: it comes after those that do not wait, and after those that it waits for.

// lateGuesses is how often references that wait for each other are tried on what is there
// so far.
const lateGuesses = 16

// late stores the writes that were left for their conditional references.
type late struct {
	service *Service
	found   *resolution
	// left are the positions of the writes that are not stored yet.
	left map[int]bool
	// guessed are the references, by text, that were looked up while something was left
	// that may change the answer, with the position of a write that has each.
	guessed map[string]int
}

// putLate stores the late writes, by put, in rounds: first what nothing that is left can
// touch, and where there is no such thing, what has one answer now. Such an answer is
// checked at the end.
func (s *Service) putLate(ctx context.Context, r *store.Reader, found *resolution, put func(i int, w *write) error) error {
	l := &late{s, found, maps.Clone(found.late), map[string]int{}}
	guesses := 0
	for len(l.left) > 0 {
		open, err := l.lookUp(ctx, r, false)
		if err == nil && open == len(l.left) && guesses < lateGuesses {
			guesses++
			open, err = l.lookUp(ctx, r, true)
		}
		switch {
		case err != nil:
			return err
		case open == len(l.left):
			return l.stuck(ctx, r)
		}
		if err := l.putResolved(put); err != nil {
			return err
		}
	}
	return l.recheck(ctx, r)
}

// lookUp looks up the references of what is left, and returns how many writes still have
// one that is open. Without guess, those are passed over that something left may touch.
func (l *late) lookUp(ctx context.Context, r *store.Reader, guess bool) (open int, err error) {
	left := map[string]bool{} // types
	for i := range l.left {
		left[l.found.ws[i].typ] = true
	}
	tried := map[string]bool{}
	err = l.eachLeft(func(i int, w *write) error {
		isOpen := false
		for _, link := range w.links {
			text := link.Node.Text
			if _, _, conditional := conditionalReference(link); !conditional || l.found.references[text] != "" {
				continue
			}
			q, err := l.found.query(l.service, link)
			if err != nil {
				return err
			}
			unsure := looksAt(q, left)
			if tried[text] || unsure && !guess {
				isOpen = true
				continue
			}
			tried[text] = true
			target, err := l.service.match(ctx, l.found.by, r, q)
			switch {
			case guess && (err == nil && target == nil || fhir.KindOf(err) == fhir.PreconditionFailed):
				isOpen = true
			case err != nil:
				return at(err, link.Expression)
			case target == nil:
				return noTarget(link)
			default:
				l.found.references[text] = target.Ref()
				if unsure {
					l.guessed[text] = i
				}
			}
		}
		if isOpen {
			open++
		}
		return nil
	})
	return open, err
}

// putResolved stores what has no open reference any more.
func (l *late) putResolved(put func(i int, w *write) error) error {
	ready := map[int]bool{}
	for i := range l.left {
		if !slices.ContainsFunc(l.found.ws[i].links, func(link validate.Link) bool {
			_, _, conditional := conditionalReference(link)
			return conditional && l.found.references[link.Node.Text] == ""
		}) {
			ready[i] = true
			l.found.contents[i] = nil
		}
	}
	if err := l.service.fill(l.found); err != nil {
		return err
	}
	return l.eachLeft(func(i int, w *write) error {
		if !ready[i] {
			return nil
		}
		delete(l.left, i)
		return put(i, w)
	})
}

func (l *late) eachLeft(do func(i int, w *write) error) error {
	return l.service.eachPut(l.found.ws, func(i int, w *write) error {
		if !l.left[i] {
			return nil
		}
		return do(i, w)
	})
}

// recheck refuses references that mean something else now than when they were looked up.
func (l *late) recheck(ctx context.Context, r *store.Reader) error {
	return l.service.eachPut(l.found.ws, func(i int, w *write) error {
		for _, link := range w.links {
			text := link.Node.Text
			if first, guessed := l.guessed[text]; !guessed || first != i {
				continue
			}
			q, err := l.found.query(l.service, link)
			if err != nil {
				return err
			}
			target, err := l.service.match(ctx, l.found.by, r, q)
			switch {
			case err != nil:
				return at(err, link.Expression)
			case target == nil:
				return noTarget(link)
			case target.Ref() != l.found.references[text]:
				return inCircle(link)
			}
		}
		return nil
	})
}

// stuck is the error for the first reference that is left without an answer.
func (l *late) stuck(ctx context.Context, r *store.Reader) error {
	return l.eachLeft(func(_ int, w *write) error {
		for _, link := range w.links {
			if _, _, conditional := conditionalReference(link); !conditional || l.found.references[link.Node.Text] != "" {
				continue
			}
			q, err := l.found.query(l.service, link)
			if err != nil {
				return err
			}
			if _, err := l.service.match(ctx, l.found.by, r, q); err != nil {
				return at(err, link.Expression)
			}
			return inCircle(link)
		}
		return nil
	})
}

func inCircle(l validate.Link) error {
	return fhir.Errorf(fhir.PreconditionFailed, "not-found", l.Expression,
		"What this condition selects depends on entries that wait for each other. Give the entry that is meant a fullUrl, and refer to it by that.")
}

func noTarget(l validate.Link) error {
	typ, _, _ := conditionalReference(l)
	return fhir.Errorf(fhir.PreconditionFailed, "not-found", l.Expression, "No %s meets the condition of this reference.", typ)
}

// looksAt reports whether resources of one of the types decide what a query finds.
func looksAt(q *search.Query, types map[string]bool) bool {
	return types[q.Type] || slices.ContainsFunc(q.Clauses, func(c search.Clause) bool { return leadsTo(&c, types) })
}

// leadsTo reports whether a clause on one resource asks something of others, of one of the types.
func leadsTo(c *search.Clause, types map[string]bool) bool {
	any := func(list []search.Clause) bool {
		return slices.ContainsFunc(list, func(c search.Clause) bool { return leadsTo(&c, types) })
	}
	return slices.ContainsFunc(c.Chain, func(ch search.Chain) bool { return types[ch.Type] || leadsTo(&ch.Clause, types) }) ||
		c.Has != nil && (types[c.Has.Param.Type] || leadsTo(&c.Has.Clause, types)) ||
		c.Not != nil && leadsTo(c.Not, types) || any(c.All) || any(c.Any)
}
