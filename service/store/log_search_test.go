package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"aftercare/fhir/search"

	"pgregory.net/rapid"
)

// fillLog puts records into the log, at these times, with terms.
func fillLog(t testing.TB, s *Store, times []time.Time, terms [][]int64) {
	t.Helper()
	if err := s.WriteLog(t.Context(), func(ctx context.Context, tx *Tx) error {
		after, err := tx.LastLogged(ctx)
		if err != nil {
			return err
		}
		var entries []LogEntry
		last := after
		for i, at := range times {
			p, err := tx.Place(ctx, at, nil)
			if err != nil {
				return err
			}
			if err := tx.Log(ctx, p, []byte{1}, []byte{byte(i)}); err != nil {
				return err
			}
			for _, term := range terms[i] {
				entries = append(entries, LogEntry{term, p.Position})
			}
			last = p.Position
		}
		return tx.IndexLog(ctx, after, last, entries)
	}); err != nil {
		t.Fatal(err)
	}
}

// A search of the log finds what a look at each of its records finds, from either end, and counts it.
func logIsSearched(t *testing.T, open func() *Store) {
	s := open()
	const n = 700 // more than a probe looks at
	all := map[int64][]int64{}
	var times []time.Time
	var terms [][]int64
	for i := range int64(n) {
		var has []int64
		for term, every := range map[int64]int64{-1 << 63: 1, 1: 2, 2: 3, 3: 50, 4: 97, 1<<63 - 1: 300} {
			if (i+1)%every == 0 {
				has = append(has, term)
			}
		}
		if i > 600 {
			has = append(has, 5)
		}
		all[i+1] = has
		times, terms = append(times, t0.Add(time.Duration(i/3)*time.Second)), append(terms, has)
	}
	fillLog(t, s, times, terms)
	indexIsRead(t, s, all)
	holds := func(q *LogQuery, position int64) bool {
		if len(q.Spans.And(SpansOf(Span{position, position}))) == 0 {
			return false
		}
		return !slices.ContainsFunc(q.All, func(any []LogTerm) bool {
			return !slices.ContainsFunc(any, func(l LogTerm) bool { return slices.Contains(all[position], l.Term) != l.Lacks })
		})
	}
	rapid.Check(t, func(rt *rapid.T) {
		position := rapid.Int64Range(1, n)
		q := &LogQuery{Ascending: rapid.Bool().Draw(rt, "ascending")}
		for range rapid.IntRange(0, 3).Draw(rt, "spans") {
			q.Spans = q.Spans.Or(SpansOf(Span{position.Draw(rt, "first"), position.Draw(rt, "last")}))
		}
		if rapid.Bool().Draw(rt, "not") {
			q.Spans = q.Spans.Not(n)
		}
		literal := rapid.Custom(func(rt *rapid.T) LogTerm {
			return LogTerm{rapid.SampledFrom([]int64{-1 << 63, 1, 2, 3, 4, 5, 6, 1<<63 - 1}).Draw(rt, "term"), rapid.SampledFrom([]bool{false, false, true}).Draw(rt, "lacks")}
		})
		q.All = rapid.SliceOfN(rapid.SliceOfN(literal, 1, 3), 0, 3).Draw(rt, "all")
		var want []int64
		for p := range int64(n) {
			if holds(q, p+1) {
				want = append(want, p+1)
			}
		}
		total := int64(len(want))
		if !q.Ascending {
			slices.Reverse(want)
		}
		most := rapid.IntRange(1, 30).Draw(rt, "n")
		if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
			got, err := r.FindLogged(ctx, q, most)
			if err != nil {
				return err
			}
			if want = want[:min(most, len(want))]; !slices.Equal(got, want) {
				return fmt.Errorf("%+v: got %v, want %v", q, got, want)
			}
			if count, err := r.CountLogged(ctx, q); err != nil || count != total {
				return fmt.Errorf("%+v: %d are counted of %d, %v", q, count, total, err)
			}
			var read []int64
			err = r.LoggedAmong(ctx, got, func(l Logged) error { read = append(read, l.Position); return nil })
			if err == nil && !slices.Equal(read, got) {
				err = fmt.Errorf("of %v, %v are read", got, read)
			}
			return err
		}); err != nil {
			rt.Fatal(err)
		}
	})
}

// indexIsRead reads the index page by page, and that of some records, and finds what was put into it.
func indexIsRead(t *testing.T, s *Store, all map[int64][]int64) {
	t.Helper()
	read := func(do func(r *Reader, ctx context.Context, each func(LogEntry)) error) map[int64][]int64 {
		found := map[int64][]int64{}
		if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
			return do(r, ctx, func(e LogEntry) { found[e.Position] = append(found[e.Position], e.Term) })
		}); err != nil {
			t.Fatal(err)
		}
		return found
	}
	paged := read(func(r *Reader, ctx context.Context, each func(LogEntry)) error {
		var last LogEntry
		for n, first := 100, true; n == 100; first = false {
			n = 0
			if err := r.LogEntries(ctx, last, first, 100, func(e LogEntry) { n++; last = e; each(e) }); err != nil {
				return err
			}
		}
		return nil
	})
	some := read(func(r *Reader, ctx context.Context, each func(LogEntry)) error {
		return r.LogEntriesOf(ctx, 300, 310, each)
	})
	for position, want := range all {
		want = slices.Sorted(slices.Values(want))
		if got := slices.Sorted(slices.Values(paged[position])); !slices.Equal(got, want) {
			t.Errorf("record %d has %v, want %v", position, got, want)
		}
		if position < 300 || position > 310 {
			want = nil
		}
		if got := slices.Sorted(slices.Values(some[position])); !slices.Equal(got, want) {
			t.Errorf("of some records, record %d has %v, want %v", position, got, want)
		}
	}
}

// Where times lie in the log is found by halving it, and is what a look at each record finds.
func logIsInTime(t *testing.T, open func() *Store) {
	s := open()
	const n = 50
	var times []time.Time
	for i := range n {
		times = append(times, t0.Add(time.Duration(i/4)*time.Microsecond))
	}
	fillLog(t, s, times, make([][]int64, n))
	compare := map[search.Prefix]func(at, low, high int64) bool{
		search.Eq: func(at, low, high int64) bool { return low <= at && at < high }, search.Ne: func(at, low, high int64) bool { return at < low || at >= high },
		search.Ge: func(at, low, _ int64) bool { return at >= low }, search.Le: func(at, _, high int64) bool { return at < high },
		search.Gt: func(at, _, high int64) bool { return at >= high }, search.Sa: func(at, _, high int64) bool { return at >= high },
		search.Lt: func(at, low, _ int64) bool { return at < low }, search.Eb: func(at, low, _ int64) bool { return at < low },
	}
	for prefix, holds := range compare {
		for low := int64(-2); low < n/4+4; low++ {
			for _, width := range []int64{1, 3, 100} {
				v := search.Value{Prefix: prefix, Low: search.Micros(t0) + low, High: search.Micros(t0) + low + width}
				for _, end := range []int64{0, 1, 20, n} {
					var spans, want Spans
					for p := range end {
						if holds(times[p].UnixMicro(), v.Low, v.High) {
							want = want.Or(SpansOf(Span{p + 1, p + 1}))
						}
					}
					if err := s.View(t.Context(), func(ctx context.Context, r *Reader) (err error) { spans, err = r.LoggedWhen(ctx, v, end); return err }); err != nil || !slices.Equal(spans, want) {
						t.Fatalf("%s %d+%d of %d: got %v, want %v, %v", prefix, low, width, end, spans, want, err)
					}
				}
			}
		}
	}
}

// Of two who go on with the index at the same place one does, a step that failed leaves nothing, and what was
// erased meanwhile is not indexed.
func logIsIndexedOnce(t *testing.T, open func() *Store) {
	s := open()
	fillLog(t, s, []time.Time{t0, t0}, [][]int64{{1}, {2}})
	step := func(after, to int64, entries ...LogEntry) error {
		return s.WriteLog(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.IndexLog(ctx, after, to, entries) })
	}
	for _, after := range []int64{0, 1, 3} {
		if err := step(after, 9, LogEntry{1, 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := step(2, 3, LogEntry{7, 2}, LogEntry{7, 2}); err == nil {
		t.Error("an entry is there twice")
	}
	if err := s.WriteLog(t.Context(), func(ctx context.Context, tx *Tx) error {
		p, err := tx.Place(ctx, t0, nil)
		if err != nil {
			return err
		}
		if err := tx.Log(ctx, p, []byte{1}, []byte{1}); err != nil {
			return err
		}
		return tx.EraseLogged(ctx, []int64{p.Position}, []LogEntry{{7, p.Position}})
	}); err != nil {
		t.Fatal(err)
	}
	if err := step(2, 3, LogEntry{7, 3}, LogEntry{7, 2}); err != nil {
		t.Fatal(err)
	}
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		indexed, err := r.IndexedLog(ctx)
		if err != nil {
			return err
		}
		found, err := r.FindLogged(ctx, &LogQuery{Spans: SpansOf(Span{1, indexed}), All: [][]LogTerm{{{Term: 7}, {Term: 1}}}}, 10)
		if err == nil && (indexed != 3 || !slices.Equal(found, []int64{2, 1})) {
			err = fmt.Errorf("%v up to %d", found, indexed)
		}
		if err != nil {
			return err
		}
		for span, want := range map[Span]bool{{1, 3}: true, {3, 9}: true, {1, 2}: false} {
			if gone, archives, err := r.GoneLogged(ctx, SpansOf(span)); err != nil || gone != want || len(archives) > 0 {
				return fmt.Errorf("in %v: gone is %t, %v %v", span, gone, archives, err)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestSpansOfTheLog(t *testing.T) {
	const end = 12
	span := rapid.Custom(func(rt *rapid.T) Span {
		return Span{rapid.Int64Range(1, end).Draw(rt, "first"), rapid.Int64Range(0, end).Draw(rt, "last")}
	})
	has := func(s []Span, n int64) bool {
		return slices.ContainsFunc(s, func(s Span) bool { return s.First <= n && n <= s.Last })
	}
	rapid.Check(t, func(rt *rapid.T) {
		one, other := rapid.SliceOfN(span, 0, 5).Draw(rt, "one"), rapid.SliceOfN(span, 0, 5).Draw(rt, "other")
		a, b := SpansOf(slices.Clone(one)...), SpansOf(slices.Clone(other)...)
		all := map[string]Spans{"a": a, "b": b, "and": a.And(b), "or": a.Or(b), "not": a.Not(end)}
		for n := range int64(end) {
			n++
			inA, inB := has(one, n), has(other, n)
			for name, want := range map[string]bool{"a": inA, "b": inB, "and": inA && inB, "or": inA || inB, "not": !inA} {
				if has(all[name], n) != want {
					rt.Fatalf("%s: %v of %v and %v", name, all[name], one, other)
				}
			}
		}
		for name, s := range all {
			if !slices.Equal(s, SpansOf(slices.Clone(s)...)) {
				rt.Fatalf("%s is not in order: %v", name, s)
			}
		}
	})
}
