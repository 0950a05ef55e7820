package store

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"aftercare/fhir"
)

// HistoryQuery asks for past versions (https://hl7.org/fhir/R4/http.html#history).
type HistoryQuery struct {
	// Type is "" for all types, ID is "" for all resources of the type.
	Type, ID string
	// Since leaves out versions whose lastUpdated is earlier. Zero leaves out none.
	Since time.Time
	// Low and High, where they are not zero, leave out versions that were at no time in
	// [Low, High) the current one. A deletion counts at the moment when it was made. Low is
	// in the past: what will be current is not known, and pages would not fit together.
	Low, High time.Time
	// Count is the page size, 0 or more; 0 asks for Total alone.
	Count int
	// Total asks for the number of all entries.
	Total bool
	// Cursor is HistoryPage.Next of the page before, "" at first.
	Cursor string
}

// HistoryPage is one page of a history, newest first in the order of commits.
type HistoryPage struct {
	Entries []HistoryEntry
	// Next is the cursor of the next page, "" on the last.
	Next string
	// Total is the number of all entries, -1 if it was not asked for.
	Total int64
}

// HistoryEntry is one version.
type HistoryEntry struct {
	Resource *fhir.Resource
	// Method is the HTTP verb that made it.
	Method string
	// Created tells that there was no resource before: the first version, or the first
	// after a deletion.
	Created bool
}

// History returns a page of versions. What is written after the first page does not appear on
// the next ones. A page ends early at PageBytes. The error is NotFound for an id that was never used, BadRequest for a cursor
// of another query.
func (r *Reader) History(ctx context.Context, h HistoryQuery) (HistoryPage, error) {
	page := HistoryPage{Total: -1}
	if h.Count < 0 || h.ID != "" && h.Type == "" {
		return page, fmt.Errorf("history: the query makes no sense: type %q, page size %d", h.Type, h.Count)
	}
	question := fmt.Sprintf("history %q %q %d %d %d", h.Type, h.ID, h.Since.UnixMicro(), h.Low.UnixMicro(), h.High.UnixMicro())
	s := &statement{}
	where, err := r.historyOf(ctx, s, &h)
	if err != nil {
		return page, err
	}
	if h.Total || h.Count == 0 {
		if page.Total, err = r.historyTotal(ctx, where, s.args); err != nil {
			return page, err
		}
	}
	led, err := r.leadHistory(ctx, &h)
	if err != nil {
		return page, err
	}
	before := int64(0)
	if h.Cursor != "" {
		at, err := r.store.positions(h.Cursor, question, 1)
		if err != nil {
			return page, err
		}
		before = at[0]
	}
	if h.Count == 0 {
		return page, nil
	}
	var size pageSize
	for {
		full, err := r.historyPart(ctx, &h, statement{args: s.args, names: s.names}, where, led, &before, &size, &page)
		switch {
		case err != nil:
			return HistoryPage{Total: -1}, err
		case full:
			page.Next = r.store.sign(question, before)
			return page, r.historySeen(ctx)
		case before == 0:
			return page, r.historySeen(ctx)
		}
	}
}

// historySeen checks, of a restricted reader, that the index meant what it was read for.
func (r *Reader) historySeen(ctx context.Context) error {
	if r.only == nil {
		return nil
	}
	return r.currentIndex(ctx)
}

// historyPart adds what is to be seen of the next versions to a page. before is the position of the
// last one that was looked at, 0 at the beginning and when there is no more. full tells that there
// is more than the page has.
func (r *Reader) historyPart(ctx context.Context, h *HistoryQuery, s statement, where string, led []*led, before *int64, size *pageSize, page *HistoryPage) (full bool, err error) {
	if *before > 0 {
		where += " AND v.seq < " + s.arg(*before)
	}
	look := h.Count
	var text string
	switch {
	case r.only == nil || h.ID != "":
		text = historyText(&s, h, where)
	case len(led) == 0:
		*before = 0
		return false, nil
	default:
		look = max(look, minLook)
		text = ledText(&s, h, where, led, look+1)
	}
	looked, last := 0, int64(0)
	var failed error
	err = r.rows(ctx, text, s.args, func(scan func(...any) error) error {
		if looked++; looked > look || size.full(h.Count) {
			full = true
			return errEnough
		}
		e := HistoryEntry{Resource: &fhir.Resource{}}
		var updated int64
		var id, typ, deleted []byte
		if err := scan(&last, &e.Resource.Version, &updated, &e.Method, &e.Resource.Body, &id, &typ, &e.Created, &deleted); err != nil {
			return err
		}
		e.Resource.Type, e.Resource.ID, e.Resource.LastUpdated = string(typ), string(id), fromMicros(updated)
		e.Resource.Deleted = e.Resource.Body == nil
		e.Created = e.Created && !e.Resource.Deleted
		var seen bool
		if seen, failed = r.sees(whatWas(e.Resource, deleted)); failed != nil {
			return errEnough
		}
		if seen {
			page.Entries = append(page.Entries, e)
			size.add(e.Resource)
		}
		return nil
	})
	*before = last
	switch {
	case err != nil || failed != nil:
		return false, cmp.Or(err, failed)
	case !full:
		*before = 0
	case !size.full(h.Count): // there is more, and some of what was looked at is not to be seen
		full = false
	}
	return full, nil
}

// whatWas is a version, or for a deletion that of what it has deleted.
func whatWas(res *fhir.Resource, deleted []byte) *fhir.Resource {
	if !res.Deleted || deleted == nil {
		return res
	}
	return &fhir.Resource{Type: res.Type, ID: res.ID, Version: res.Version - 1, Body: deleted}
}

// historyTotal counts the versions that a history has, -1 where that is not known.
func (r *Reader) historyTotal(ctx context.Context, where string, args []any) (total int64, err error) {
	if r.only != nil { // each would have to be read
		return -1, nil
	}
	_, err = r.row(ctx, "SELECT count(*) FROM version v WHERE "+where, args, &total)
	return total, err
}

// createdThen is whether there was no resource before the version v.
const createdThen = "coalesce((SELECT p.body IS NULL FROM version p WHERE p.rid = v.rid AND p.version = v.version - 1), 1 = 1)"

// deletedThen is the content that the version v, if it is a deletion, has deleted.
const deletedThen = "(SELECT p.body FROM version p WHERE p.rid = v.rid AND p.version = v.version - 1 AND v.body IS NULL)"

// historyText gives seq, version, updated, method, body, id, type, whether it was created, and what it
// has deleted, of one entry more than a page has.
func historyText(s *statement, h *HistoryQuery, where string) string {
	order := " ORDER BY v.seq DESC"
	if h.ID != "" {
		order = " ORDER BY v.version DESC" // the same within one resource, and what its index has
	}
	return "SELECT v.seq, v.version, v.updated, v.method, v.body, r.id, t.text, " + createdThen + ", " + deletedThen + " FROM (" +
		"SELECT seq, rid, version, updated, method, body, type FROM version v WHERE " + where + order + " LIMIT " + s.limit(h.Count+1) +
		") v CROSS JOIN resource r CROSS JOIN symbol t WHERE r.rid = v.rid AND t.id = v.type" + order
}

// types are all types of resources, found by one step in an index for each.
const types = `(WITH RECURSIVE found (type) AS (SELECT min(type) FROM resource
	UNION ALL SELECT (SELECT min(r.type) FROM resource r WHERE r.type > f.type) FROM found f WHERE f.type IS NOT NULL)
	SELECT type FROM found WHERE type IS NOT NULL)`

// historyOf is the condition on the versions v that h asks for.
func (r *Reader) historyOf(ctx context.Context, s *statement, h *HistoryQuery) (string, error) {
	where, of := "v.seq"+beforeHorizon, ""
	if r.only != nil {
		if err := r.expectIndex(ctx); err != nil {
			return "", err
		}
	}
	if h.Type != "" {
		typ, err := r.symbolOrNone(ctx, h.Type)
		if err != nil {
			return "", err
		}
		if r.only == nil { // otherwise what leads is of the type
			of = s.arg(typ)
			where += " AND v.type = " + of
		}
		if h.ID != "" {
			var rid int64
			found, err := r.row(ctx, `SELECT rid FROM resource WHERE type = $1 AND id = $2`, []any{typ, []byte(h.ID)}, &rid)
			if err != nil {
				return "", err
			}
			if !found {
				return "", errNotFound(h.Type)
			}
			if seen, err := r.known(ctx, h.Type, rid); err != nil {
				return "", err
			} else if !seen {
				return "", errNotFound(h.Type)
			}
			s.args = nil
			where = "v.rid = " + s.arg(rid)
		}
	}
	if !h.Since.IsZero() {
		since := s.arg(ceilMicros(h.Since))
		where += " AND v.updated >= " + since
		if h.ID == "" && r.only == nil {
			where += notBefore(s, since, of)
		}
	}
	if !h.High.IsZero() {
		where += " AND v.updated < " + s.arg(ceilMicros(h.High))
	}
	if !h.Low.IsZero() {
		where += " AND (v.updated >= " + s.arg(ceilMicros(h.Low)) + " OR (v.body IS NOT NULL AND NOT EXISTS " +
			"(SELECT 1 FROM version n WHERE n.rid = v.rid AND n.version = v.version + 1 AND n.updated <= " + s.arg(h.Low.UnixMicro()) + ")))"
	}
	return where, nil
}

// notBefore is a further condition on versions that are not older than since. Where few are that new,
// the first of them in the order of commits bounds what is looked at. Times need not rise with that
// order. of is the type, "" for all.
func notBefore(s *statement, since, of string) string {
	newer := "version WHERE type = " + of
	if of == "" {
		newer = types + " t CROSS JOIN version n WHERE n.type = t.type"
	}
	newer = "(SELECT seq FROM " + newer + " AND updated >= " + since + " LIMIT " + s.limit(probeLimit+1) + ") newer"
	return " AND v.seq >= (SELECT CASE WHEN count(*) > " + s.arg(probeLimit) + " THEN 0 ELSE min(seq) END FROM " + newer + ")"
}

// ceilMicros is the first microsecond that is not before t.
func ceilMicros(t time.Time) int64 {
	return t.Add(time.Microsecond - time.Nanosecond).UnixMicro()
}
