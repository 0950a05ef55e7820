package memory

import (
	"context"
	"time"

	"aftercare/fhir"

	"golang.org/x/sync/semaphore"
)

const (
	// SmallBody is the most that a body has, in bytes, which is received as a small request.
	SmallBody = 256 << 10
	// smallWork is the most that a small request takes at work, in bytes.
	smallWork = 4 << 20
	// FreeAnswer is the size up to which an answer is not counted, in bytes: it fits into
	// what a connection takes anyway.
	FreeAnswer = 64 << 10
	// patience is how long a body waits for its part.
	patience = 5 * time.Second
)

// Budget is the memory that requests may hold together. It is safe for concurrent use.
type Budget struct {
	small, bodies, work, answers *part
}

// New divides a number of bytes. Where that is little, each part still takes one request of
// any size at a time.
func New(bytes int64) *Budget {
	eighth := max(bytes, 1<<20) / 8
	return &Budget{small: newPart(eighth), bodies: newPart(eighth), answers: newPart(eighth), work: newPart(5 * eighth)}
}

// part of a budget.
type part struct {
	*semaphore.Weighted
	size int64
}

func newPart(size int64) *part { return &part{semaphore.NewWeighted(size), size} }

// fit is n, or the whole part where that is less: what is larger than the part gets it alone.
func (p *part) fit(n int64) int64 { return min(n, p.size) }

// wait takes n bytes, or fails with kind Unavailable.
func (p *part) wait(ctx context.Context, n int64) error {
	if p.TryAcquire(n) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := p.Acquire(ctx, n); err != nil {
		return busy().Because(err)
	}
	return nil
}

func busy() *fhir.Error {
	return fhir.Errorf(fhir.Unavailable, "throttled", "", "Other large requests are under way and take the memory that there is; send this again in a few seconds.")
}
