package memory

import (
	"context"
	"sync"
)

// Claim is what one request holds of a Budget. A nil Claim holds nothing and is refused
// nothing.
type Claim struct {
	budget *Budget
	// mu guards what is below: a request that has given up may leave work that still ends.
	mu                 sync.Mutex
	body, work, answer hold
	released           bool
}

// hold is a number of bytes of a part.
type hold struct {
	part *part
	n    int64
}

// keep gives back all but n bytes.
func (h *hold) keep(n int64) {
	if h.n > n {
		h.part.Release(h.n - n)
		h.n = n
	}
}

// Claim begins a claim, which holds nothing yet. It must be released.
func (b *Budget) Claim() *Claim { return &Claim{budget: b} }

// Body takes room to receive a body of n bytes. It may wait; the error is of kind Unavailable.
func (c *Claim) Body(ctx context.Context, n int64) error {
	if c == nil {
		return nil
	}
	p := c.budget.bodies
	if n <= SmallBody {
		p = c.budget.small
	}
	return c.take(ctx, &c.body, p, n)
}

// Work takes room to work on a body that was received. It may wait; the error is of kind
// Unavailable.
func (c *Claim) Work(ctx context.Context, body []byte) error {
	if c == nil {
		return nil
	}
	n, p := workOf(body), c.budget.work
	if n <= smallWork {
		p = c.budget.small
	}
	return c.take(ctx, &c.work, p, n)
}

func (c *Claim) take(ctx context.Context, h *hold, p *part, n int64) error {
	n = p.fit(n)
	if err := p.wait(ctx, n); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	*h = hold{p, n}
	return nil
}

// Answer takes room for an answer that has n bytes by now. It does not wait; the error is of
// kind Unavailable.
func (c *Claim) Answer(n int64) error {
	if c == nil || n <= FreeAnswer {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.atLeast(n)
}

func (c *Claim) atLeast(n int64) error {
	p := c.budget.answers
	n = p.fit(n)
	switch {
	case c.released || n <= c.answer.n:
		return nil
	case !p.TryAcquire(n - c.answer.n):
		return busy()
	}
	c.answer = hold{p, n}
	return nil
}

// Answered gives back all but what the answer takes, which has n bytes and waits for its
// reader. The error is of kind Unavailable: the answer does not fit beside those of others.
func (c *Claim) Answered(n int64) error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.body.keep(0)
	if n <= FreeAnswer {
		n = 0
	}
	err := c.atLeast(n)
	if err == nil {
		c.work.keep(0)
	} else if c.work.n >= n { // then it stays where it was made
		c.work.keep(n)
		err = nil
	}
	c.answer.keep(n)
	return err
}

// Release gives all back. Nothing can be taken after it.
func (c *Claim) Release() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.body.keep(0)
	c.work.keep(0)
	c.answer.keep(0)
	c.released = true
}

type claimKey struct{}

// With makes a claim known to what is called with the context.
func With(ctx context.Context, c *Claim) context.Context {
	return context.WithValue(ctx, claimKey{}, c)
}

// Of is the claim of the request that ctx belongs to, nil where there is none.
func Of(ctx context.Context) *Claim {
	c, _ := ctx.Value(claimKey{}).(*Claim)
	return c
}
