package store

import (
	"context"
	"slices"
	"strings"
)

// LogTerm asks for records that have a term, or lack it.
type LogTerm struct {
	Term  int64
	Lacks bool
}

// LogQuery asks for the records that lie in one of Spans, and of which one term holds of each element of
// All.
type LogQuery struct {
	// Spans end where the index does, at the latest.
	Spans Spans
	All   [][]LogTerm
	// Ascending is from the oldest on; otherwise the newest comes first.
	Ascending bool
}

// fewSpans are looked at one by one; more are taken as one, with what lies between.
const fewSpans = 8

// GoneLogged reports whether there are records in some spans whose keys were taken away, and names the
// archives that such are in.
func (r *Reader) GoneLogged(ctx context.Context, in Spans) (some bool, archives []string, err error) {
	if len(in) > fewSpans {
		in = SpansOf(Span{in[0].First, in[len(in)-1].Last})
	}
	for _, span := range in {
		var position int64
		found, err := r.row(ctx, "SELECT pos FROM log_term WHERE term = $1 AND pos >= $2 AND pos <= $3 LIMIT 1", []any{int64(GoneTerm), span.First, span.Last}, &position)
		if err != nil {
			return false, nil, err
		}
		some = some || found
		if err := r.rows(ctx, "SELECT name FROM log_segment WHERE first <= $1 AND last >= $2 ORDER BY first", []any{span.Last, span.First}, func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			if !slices.Contains(archives, name) {
				archives = append(archives, name)
			}
			return err
		}); err != nil {
			return false, nil, err
		}
	}
	return some, archives, nil
}

// FindLogged gives the positions of the first n records of a query, in its order. Records without a key are
// found by nothing.
func (r *Reader) FindLogged(ctx context.Context, q *LogQuery, n int) (found []int64, err error) {
	lead, err := r.lead(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, span := range q.inOrder() {
		part, err := r.findIn(ctx, q, lead, span, n-len(found))
		if err != nil {
			return nil, err
		}
		if found = append(found, part...); len(found) == n {
			break
		}
	}
	return found, nil
}

func (q *LogQuery) inOrder() []Span {
	spans := slices.Clone(q.Spans)
	if !q.Ascending {
		slices.Reverse(spans)
	}
	return spans
}

// order is the ending of a statement about the records d.
func (q *LogQuery) order(s *statement, n int) string {
	if q.Ascending {
		return " ORDER BY d.pos LIMIT " + s.limit(n)
	}
	return " ORDER BY d.pos DESC LIMIT " + s.limit(n)
}

// findIn is FindLogged in one span. lead is the element of All whose terms are read, -1 for the log
// itself.
func (r *Reader) findIn(ctx context.Context, q *LogQuery, lead int, span Span, n int) (found []int64, err error) {
	for _, text := range q.texts(lead, span, "SELECT d.pos", false) {
		if err := r.rows(ctx, text.text+q.order(text.statement, n), text.args, func(scan func(...any) error) error {
			found = append(found, 0)
			return scan(&found[len(found)-1])
		}); err != nil {
			return nil, err
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if !q.Ascending {
		slices.Reverse(found)
	}
	return found[:min(n, len(found))], nil
}

// CountLogged is the number of all records of a query.
func (r *Reader) CountLogged(ctx context.Context, q *LogQuery) (count int64, err error) {
	if len(q.All) == 0 || len(q.All) == 1 && len(q.All[0]) == 1 && q.All[0][0].Lacks {
		count = q.Spans.count()
		without := []int64{GoneTerm}
		if len(q.All) == 1 {
			without = append(without, q.All[0][0].Term)
		}
		for _, term := range without { // no record has both
			for _, span := range q.Spans {
				var n int64
				if _, err := r.row(ctx, "SELECT count(*) FROM log_term WHERE term = $1 AND pos >= $2 AND pos <= $3", []any{term, span.First, span.Last}, &n); err != nil {
					return 0, err
				}
				count -= n
			}
		}
		return count, nil
	}
	lead, err := r.lead(ctx, q)
	if err != nil {
		return 0, err
	}
	for _, span := range q.Spans {
		for _, text := range q.texts(lead, span, "SELECT count(*)", true) {
			var n int64
			if _, err := r.row(ctx, text.text, text.args, &n); err != nil {
				return 0, err
			}
			count += n
		}
	}
	return count, nil
}

// logText is a statement whose text is still open.
type logText struct {
	*statement
	text string
}

// texts are the statements that together find the records of a query in a span: one for each term of its
// lead. Where apart is set none finds what one before it does.
func (q *LogQuery) texts(lead int, span Span, what string, apart bool) (all []logText) {
	others := q.All
	leads := []LogTerm{{}}
	from := " FROM log d WHERE d.pos >= "
	if lead >= 0 {
		leads, from = q.All[lead], " FROM log_term d WHERE d.pos >= "
		others = slices.Concat(q.All[:lead], q.All[lead+1:])
	}
	for i, l := range leads {
		s := &statement{}
		text := what + from + s.arg(span.First) + " AND d.pos <= " + s.arg(span.Last)
		if lead >= 0 {
			text += " AND d.term = " + s.arg(l.Term)
		} else {
			text += " AND d.key IS NOT NULL"
		}
		for _, any := range others {
			text += " AND " + s.hasAny(any)
		}
		if apart && i > 0 {
			text += " AND NOT " + s.hasAny(leads[:i])
		}
		all = append(all, logText{s, text})
	}
	return all
}

// hasAny is the condition that one of some terms holds for the record d.
func (s *statement) hasAny(any []LogTerm) string {
	var has []string
	var conditions []string
	for _, l := range any {
		if l.Lacks {
			conditions = append(conditions, "NOT "+s.hasTerm(s.arg(l.Term)))
		} else {
			has = append(has, s.arg(l.Term))
		}
	}
	if len(has) > 0 {
		conditions = append(conditions, s.hasTerm(strings.Join(has, ", ")))
	}
	return "(" + strings.Join(conditions, " OR ") + ")"
}

func (s *statement) hasTerm(terms string) string {
	t := s.alias()
	return "EXISTS (SELECT 1 FROM log_term " + t + " WHERE " + t + ".term IN (" + terms + ") AND " + t + ".pos = d.pos" + fence + ")"
}

// probe is how many entries of a term are looked at to see how dense they are.
const probe = 200

// lead is the element of All that the fewest records seem to satisfy, where the search begins, or -1
// where the log itself is to be read.
func (r *Reader) lead(ctx context.Context, q *LogQuery) (lead int, err error) {
	lead = -1
	least := 1.0
	if len(q.Spans) == 0 {
		return lead, nil
	}
	whole := Span{q.Spans[0].First, q.Spans[len(q.Spans)-1].Last}
	for i, any := range q.All {
		if slices.ContainsFunc(any, func(l LogTerm) bool { return l.Lacks }) {
			continue
		}
		density := 0.0
		for _, l := range any {
			reach, err := r.reach(ctx, whole, l.Term, q.Ascending)
			if err != nil {
				return 0, err
			}
			density += probe / float64(reach)
		}
		if density < least {
			lead, least = i, density
		}
	}
	return lead, nil
}

// reach is how many positions the first entries of a term take up.
func (r *Reader) reach(ctx context.Context, in Span, term int64, ascending bool) (int64, error) {
	text := "SELECT pos FROM log_term WHERE term = $1 AND pos >= $2 AND pos <= $3 ORDER BY pos"
	if !ascending {
		text += " DESC"
	}
	var at int64
	found, err := r.row(ctx, text+" LIMIT 1 OFFSET $4 + 0", []any{term, in.First, in.Last, probe}, &at)
	switch {
	case err != nil:
		return 0, err
	case !found:
		return max(in.Last-in.First+1, probe+1), nil
	case ascending:
		return at - in.First + 1, nil
	}
	return in.Last - at + 1, nil
}

// LoggedAmong calls each with the rows of the log at some positions, which are in order from either end. The
// bytes are good until each returns.
func (r *Reader) LoggedAmong(ctx context.Context, positions []int64, each func(Logged) error) error {
	if len(positions) == 0 {
		return nil
	}
	s := &statement{}
	list := make([]string, len(positions))
	for i, position := range positions {
		list[i] = s.arg(position)
	}
	text := selectLogged + " WHERE pos IN (" + strings.Join(list, ", ") + ") ORDER BY pos"
	if positions[0] > positions[len(positions)-1] {
		text += " DESC"
	}
	return r.rows(ctx, text, s.args, func(scan func(...any) error) error { return scanLogged(scan, each) })
}

// Archived is the name of the archive that a position of the log was moved to, "" for none.
func (r *Reader) Archived(ctx context.Context, position int64) (name string, err error) {
	_, err = r.row(ctx, "SELECT name FROM log_segment WHERE first <= $1 AND last >= $1 ORDER BY first DESC LIMIT 1", []any{position}, &name)
	return name, err
}
