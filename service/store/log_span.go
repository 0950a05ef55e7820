package store

import (
	"cmp"
	"context"
	"slices"

	"aftercare/fhir/search"
)

// Span is the positions of the log from First to Last.
type Span struct{ First, Last int64 }

// Spans are positions of the log: in order, none empty, and none overlaps or touches another.
type Spans []Span

// SpansOf are the positions of some spans, in any order.
func SpansOf(spans ...Span) (all Spans) {
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Compare(a.First, b.First) })
	for _, s := range spans {
		switch last := len(all) - 1; {
		case s.First > s.Last:
		case last >= 0 && s.First <= all[last].Last+1:
			all[last].Last = max(all[last].Last, s.Last)
		default:
			all = append(all, s)
		}
	}
	return all
}

// And are the positions that both have.
func (s Spans) And(o Spans) (both Spans) {
	for _, a := range s {
		for _, b := range o {
			if first, last := max(a.First, b.First), min(a.Last, b.Last); first <= last {
				both = append(both, Span{first, last})
			}
		}
	}
	return both
}

// Or are the positions that one of them has.
func (s Spans) Or(o Spans) Spans { return SpansOf(slices.Concat(s, o)...) }

// Not are the positions from 1 to end that it does not have.
func (s Spans) Not(end int64) Spans {
	var others []Span
	from := int64(1)
	for _, a := range s {
		others = append(others, Span{from, min(a.First-1, end)})
		from = a.Last + 1
	}
	return SpansOf(append(others, Span{from, end})...)
}

// count is how many positions there are.
func (s Spans) count() (n int64) {
	for _, span := range s {
		n += span.Last - span.First + 1
	}
	return n
}

// LoggedWhen are the positions up to end of the records whose time compares to a value of a date as it
// asks (https://hl7.org/fhir/R4/search.html#prefix). The time of a record is one microsecond.
func (r *Reader) LoggedWhen(ctx context.Context, v search.Value, end int64) (Spans, error) {
	if v.Prefix == search.Ap {
		v = widen(v, r.store.now().UnixMicro())
	}
	low, err := r.firstLogged(ctx, v.Low, end)
	if err != nil {
		return nil, err
	}
	high, err := r.firstLogged(ctx, v.High, end)
	if err != nil {
		return nil, err
	}
	before, within, after := Span{1, low - 1}, Span{low, high - 1}, Span{high, end}
	switch v.Prefix {
	case search.Ne:
		return SpansOf(before, after), nil
	case search.Gt, search.Sa:
		return SpansOf(after), nil
	case search.Ge:
		return SpansOf(within, after), nil
	case search.Lt, search.Eb:
		return SpansOf(before), nil
	case search.Le:
		return SpansOf(before, within), nil
	}
	return SpansOf(within), nil
}

// firstLogged is the position of the first record of a time or later, among those up to a position; the
// one after that where there is none. It rests on the order of the log, in which time does not go back.
func (r *Reader) firstLogged(ctx context.Context, micros, end int64) (int64, error) {
	low, high := int64(1), end+1
	for low < high {
		middle := low + (high-low)/2
		var recorded int64
		if _, err := r.row(ctx, "SELECT recorded FROM log WHERE pos = $1", []any{middle}, &recorded); err != nil {
			return 0, err
		}
		if recorded < micros {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}
