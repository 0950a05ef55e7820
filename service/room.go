package service

import (
	"context"

	"aftercare/fhir"
	"aftercare/service/memory"
)

const (
	// answerLimit is how many bytes an answer may have that cannot come in pages: that to a
	// Bundle, and that of an operation.
	answerLimit = 64 << 20
	// entryBytes is what an entry of an answer takes beside its resource, at most.
	entryBytes = 1 << 10
)

func errTooMuch() *fhir.Error {
	return fhir.Errorf(fhir.Unprocessable, "too-costly", "", "This takes more than %d bytes of what is stored at once; ask for less at a time.", answerLimit)
}

// room is what of an answer is there already, or of the resources that are needed for it.
type room struct {
	used int64
	// refused is why something did not fit, nil where all did.
	refused error
}

// take makes room for n more bytes. The error's kind is Unprocessable where the answer would
// be too large, and Unavailable where others have the memory.
func (r *room) take(ctx context.Context, n int) error {
	used := r.used + int64(n)
	if used > answerLimit {
		r.refused = errTooMuch()
		return r.refused
	}
	// The parts are there until they are put together, so each counts twice.
	if err := memory.Of(ctx).Answer(2 * used); err != nil {
		r.refused = err
		return err
	}
	r.used = used
	return nil
}

func (r *room) takeEntry(ctx context.Context, e entry) error {
	return r.take(ctx, len(e.resource)+len(e.outcome)+entryBytes)
}

// written is the response to an entry that was carried out or has failed. Where there is no
// room for what it tells, the status remains.
func (r *room) written(ctx context.Context, e entry) entry {
	if len(e.resource)+len(e.outcome) > 0 && r.takeEntry(ctx, e) != nil {
		e.resource, e.outcome = nil, nil
	}
	return e
}

// batchRead runs an entry of a batch that changes nothing. It fails where there is no room for
// its answer; those after it are not run then.
func (s *Service) batchRead(ctx context.Context, r *room, q *request, run func() entry) entry {
	if r.refused != nil {
		q.leaveTrail(ctx)
		return s.refusedEntry(ctx, q, r.refused)
	}
	e := run()
	if err := r.takeEntry(ctx, e); err != nil {
		return s.refusedEntry(ctx, q, err)
	}
	return e
}

// refusedEntry is the response to an entry of a batch that was not carried out, or whose answer is not
// sent, which its trail tells too.
func (s *Service) refusedEntry(ctx context.Context, q *request, err error) entry {
	e := s.failedEntry(ctx, err)
	q.trail.answered(e.status)
	q.trail.because(err)
	return e
}
