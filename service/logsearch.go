package service

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/audit"
	"aftercare/service/store"
)

// maxResolved is how many patients one patient.identifier may stand for.
const maxResolved = 100

// logQuestion is a search of the auditor's log on one state of the store.
type logQuestion struct {
	*question
	r *store.Reader
	// end is the last position that is searched: of the first page the last one of the index, and of
	// all others the same. So pages put together are what the first one was asked of.
	end int64
	// after is the position that the page before ended with, 0 on the first.
	after   int64
	query   store.LogQuery
	clauses []search.Clause // what a record is held against
}

// logSearchset answers a search of the log: the matches of a page, newest first unless the other order was
// asked for.
func (q *question) logSearchset(ctx context.Context, r *store.Reader) ([]byte, error) {
	l := &logQuestion{question: q, r: r}
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	total := int64(-1)
	if q.query.Total {
		var err error
		if total, err = r.CountLogged(ctx, &l.query); err != nil {
			return nil, err
		}
	}
	found, missing, next, err := l.page(ctx)
	if err != nil {
		return nil, err
	}
	b := newBundle("searchset", total)
	path := q.in.path()
	b.link("self", q.s.link(path, q.query.Applied, q.query.Cursor))
	if q.query.Cursor != "" || next > 0 {
		b.link("first", q.s.link(path, q.query.Applied, ""))
	}
	if next > 0 {
		b.link("next", q.s.link(path, q.query.Applied, l.cursor(next)))
	}
	if err := q.entries(ctx, b, found, "match"); err != nil {
		return nil, err
	}
	issues := slices.Clone(q.issues)
	gone, archives, err := r.GoneLogged(ctx, l.query.Spans)
	if err != nil {
		return nil, err
	}
	if gone || missing {
		text := "Records of this time were erased, or are in an archive, and are not found here."
		if len(archives) > 0 {
			text += " Archives of this time: " + strings.Join(archives, ", ") + "."
		}
		issues = append(issues, fhir.Issue{Severity: "warning", Code: "incomplete", Text: text})
	}
	if len(issues) > 0 {
		b.entry(q.s.remark(issues))
	}
	return b.bytes(), nil
}

// open makes the query of the log.
func (l *logQuestion) open(ctx context.Context) (err error) {
	if l.end, err = l.r.IndexedLog(ctx); err != nil {
		return err
	}
	l.query.Ascending = len(l.question.query.Sort) > 0 && !l.question.query.Sort[0].Descending
	if l.question.query.Cursor != "" {
		if err := l.openCursor(); err != nil {
			return err
		}
	}
	l.query.Spans = store.SpansOf(store.Span{First: 1, Last: l.end})
	for _, c := range l.question.query.Clauses {
		if err := l.add(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// spansOf are the positions that a clause on ids or times allows; timely is false for any other clause.
func (l *logQuestion) spansOf(ctx context.Context, c *search.Clause) (within store.Spans, timely bool, err error) {
	if c.Not != nil {
		within, timely, err = l.spansOf(ctx, c.Not)
		return within.Not(l.end), timely, err
	}
	if c.Param == nil {
		return nil, false, nil
	}
	for _, v := range c.Values {
		var one store.Spans
		switch c.Param.Kind {
		case search.ID:
			if position, err := positionOf(v.Value); err == nil { // any other id has nothing
				one = store.SpansOf(store.Span{First: position, Last: position})
			}
		case search.Date, search.LastUpdated:
			if one, err = l.r.LoggedWhen(ctx, v, l.end); err != nil {
				return nil, true, err
			}
		default:
			return nil, false, nil
		}
		within = within.Or(one)
	}
	return within, len(c.Values) > 0, nil
}

// add takes a clause into the query.
func (l *logQuestion) add(ctx context.Context, c search.Clause) error {
	within, timely, err := l.spansOf(ctx, &c)
	switch {
	case err != nil:
		return err
	case timely:
		l.query.Spans = l.query.Spans.And(within)
		return nil
	}
	if len(c.Chain) > 0 {
		if c.Values, err = l.resolve(ctx, c.Chain); err != nil {
			return err
		}
		if c.Chain = nil; len(c.Values) == 0 {
			l.query.Spans = nil
			return nil
		}
	}
	if c.Param == nil || c.Not != nil || len(c.Any) > 0 {
		return errors.New("a search of the log has a clause that it does not know")
	}
	asked, err := l.s.logIndex.terms.Asked(&c)
	if err != nil {
		name, _, _ := strings.Cut(c.Param.Code, ":")
		return fhir.Errorf(fhir.BadRequest, "not-supported", "http."+name, "Parameter %s: %v.", c.Param.Code, err)
	}
	for _, any := range asked {
		terms := make([]store.LogTerm, len(any))
		for i, literal := range any {
			terms[i] = store.LogTerm(literal)
		}
		l.query.All = append(l.query.All, terms)
	}
	l.clauses = append(l.clauses, c)
	return nil
}

// resolve are the patients that a chain names. Who may read the whole log may ask by the identifier that a
// patient has now; the log names patients by their ids, which tell more to nobody.
func (l *logQuestion) resolve(ctx context.Context, chains []search.Chain) (patients []search.Value, err error) {
	for _, chain := range chains {
		page, err := l.r.All().Search(ctx, &search.Query{Type: chain.Type, Clauses: []search.Clause{chain.Clause}, Count: maxResolved}, nil)
		switch {
		case err != nil:
			return nil, err
		case page.Next != "":
			return nil, fhir.Errorf(fhir.BadRequest, "too-costly", "http.patient", "More than %d patients have such an identifier; give its system, too.", maxResolved)
		}
		for _, patient := range page.Resources {
			patients = append(patients, search.Value{System: patient.Type, Value: patient.ID})
		}
	}
	return patients, nil
}

// logPageStep is how many records are opened at a time.
const logPageStep = 100

// page gives the resources of a page, whether some of its records cannot be shown, and the position that the
// next page goes on from, 0 on the last.
func (l *logQuestion) page(ctx context.Context) (found []*fhir.Resource, missing bool, next int64, err error) {
	count := l.question.query.Count
	rest := l.query
	rest.Spans = rest.Spans.And(l.unseen())
	size := 0
	for count > 0 {
		positions, err := l.r.FindLogged(ctx, &rest, min(count+1-len(found), logPageStep))
		if err != nil || len(positions) == 0 {
			return found, missing, 0, err
		}
		more := false
		if err := l.r.LoggedAmong(ctx, positions, func(row store.Logged) error {
			if more = more || len(found) == count || size >= store.PageBytes; more {
				return nil
			}
			l.after = row.Position
			if row.Leaf == nil || row.Key == nil {
				missing = true
				return nil
			}
			record, resource, err := l.s.openLogged(l.in.typ, row)
			if err == nil && l.matches(record) {
				found = append(found, resource)
				size += len(resource.Body)
			}
			return err
		}); err != nil {
			return nil, false, 0, err
		}
		if more {
			return found, missing, l.after, nil
		}
		rest.Spans = rest.Spans.And(l.unseen())
	}
	return found, missing, 0, nil
}

// unseen are the positions after that of the page before.
func (l *logQuestion) unseen() store.Spans {
	switch {
	case l.after == 0:
		return store.SpansOf(store.Span{First: 1, Last: l.end})
	case l.query.Ascending:
		return store.SpansOf(store.Span{First: l.after + 1, Last: l.end})
	}
	return store.SpansOf(store.Span{First: 1, Last: l.after - 1})
}

// matches holds a record against what was asked.
func (l *logQuestion) matches(r *audit.Record) bool {
	if len(l.clauses) == 0 {
		return true
	}
	site := l.s.site()
	rows := site.Rows(r)
	return !slices.ContainsFunc(l.clauses, func(c search.Clause) bool { return !audit.Holds(&c, rows) })
}

// cursor is where the next page goes on: after a position, of a log that ended then where it does now.
func (l *logQuestion) cursor(after int64) string {
	position := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(after)), uint64(l.end))
	return l.s.store.Seal(string(position), l.asked())
}

func (l *logQuestion) openCursor() error {
	position, err := l.s.store.Unseal(l.question.query.Cursor, l.asked())
	if err != nil || len(position) != 16 {
		return at(err, "http._cursor")
	}
	l.after, l.end = int64(binary.BigEndian.Uint64([]byte(position[:8]))), min(l.end, int64(binary.BigEndian.Uint64([]byte(position[8:]))))
	return nil
}

// asked is the question that a cursor belongs to: which records, in which order.
func (l *logQuestion) asked() string {
	var pairs []search.Pair
	for _, p := range l.question.query.Applied {
		if !onPagesAlone[p.Name] {
			pairs = append(pairs, p)
		}
	}
	return l.s.link(l.in.path(), pairs, "")
}

// onPagesAlone are the parameters that may be others on the next page.
var onPagesAlone = map[string]bool{"_count": true, "_total": true, "_summary": true, "_elements": true, "_format": true, "_pretty": true}
