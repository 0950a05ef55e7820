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
	upTo := func(micros int64) (before, after Span, err error) {
		first, err := r.firstLogged(ctx, micros, end)
		return Span{1, first - 1}, Span{first, end}, err
	}
	switch v.Prefix {
	case search.Gt, search.Sa:
		_, after, err := upTo(v.High)
		return SpansOf(after), err
	case search.Ge:
		_, after, err := upTo(v.Low)
		return SpansOf(after), err
	case search.Lt, search.Eb:
		before, _, err := upTo(v.Low)
		return SpansOf(before), err
	case search.Le:
		before, _, err := upTo(v.High)
		return SpansOf(before), err
	}
	before, from, err := upTo(v.Low)
	if err != nil {
		return nil, err
	}
	to, after, err := upTo(v.High)
	if v.Prefix == search.Ne {
		return SpansOf(before, after), err
	}
	return SpansOf(from).And(SpansOf(to)), err
}

// firstLogged is the position of the first record of a time or later, among those up to a position; the
// one after that where there is none. It rests on the order of the log, in which time does not go back.
func (r *Reader) firstLogged(ctx context.Context, micros, end int64) (first int64, err error) {
	_, err = r.row(ctx, halveLog, []any{micros, end}, &first)
	return first, err
}

// halveLog halves what may be the place until one is left. A record that is missing counts as an old one.
const halveLog = `WITH RECURSIVE half (low, high) AS (
  SELECT CAST(1 AS BIGINT), CAST($2 AS BIGINT) + 1
  UNION ALL
  SELECT CASE WHEN COALESCE(l.recorded, 0) < $1 THEN (h.low + h.high) / 2 + 1 ELSE h.low END,
    CASE WHEN COALESCE(l.recorded, 0) < $1 THEN h.high ELSE (h.low + h.high) / 2 END
  FROM half h LEFT JOIN log l ON l.pos = (h.low + h.high) / 2
  WHERE h.low < h.high
)
SELECT low FROM half WHERE low = high`
