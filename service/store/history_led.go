package store

import (
	"context"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// minLook is how many versions a page of a restricted history looks at in one statement, at least:
// some are of a time when their resource was not to be seen.
const minLook = 50

// led is how a restricted history comes by the versions of one type: few resources lead to their
// versions, and otherwise versions are looked at from the newest on.
type led struct {
	*plan
	few bool
}

// leadHistory finds out what leads to the versions of each type of which there is something to see.
func (r *Reader) leadHistory(ctx context.Context, h *HistoryQuery) (out []*led, err error) {
	if r.only == nil || h.ID != "" {
		return nil, nil
	}
	types := []string{h.Type}
	if h.Type == "" {
		types = nil
		for _, t := range fhir.StoredTypes() {
			types = append(types, t.Name)
		}
	}
	for _, typ := range types {
		if _, stored, err := r.symbol(ctx, typ); err != nil || !stored {
			if err != nil {
				return nil, err
			}
			continue
		}
		p, err := r.plan(ctx, &search.Query{Type: typ})
		if err != nil {
			return nil, err
		}
		if p.typ < 0 { // none of it is to be seen
			continue
		}
		l := &led{p, p.small}
		if p.source >= 0 && !l.few {
			n, err := r.size(ctx, p.clauses[p.source], p.typ, r.store.effort.probe)
			if err != nil {
				return nil, err
			}
			l.few = n < r.store.effort.probe
		}
		out = append(out, l)
	}
	return out, nil
}

// ledText is historyText for a restricted history: the newest versions of each type, and of those the
// newest of all.
func ledText(s *statement, h *HistoryQuery, where string, types []*led, n int) string {
	limit := s.limit(n)
	var each []string
	for _, l := range types {
		var from, cond string
		if l.few {
			from, cond = "("+l.rids(s, 0, "")+") m CROSS JOIN version v", "v.rid = m.rid"
		} else {
			of := s.arg(l.typ)
			from, cond = "version v", "v.type = "+of
			if len(l.clauses) > 0 {
				d := s.alias()
				cond += " AND EXISTS (SELECT 1 FROM resource " + d + " WHERE " + d + ".rid = v.rid AND " + d + ".deleted = 0" + fence + ") AND " + allHold(s, l.clauses, "v.rid")
			}
			if !h.Since.IsZero() {
				cond += notBefore(s, s.arg(ceilMicros(h.Since)), of)
			}
		}
		each = append(each, "SELECT seq FROM (SELECT v.seq AS seq FROM "+from+" WHERE "+cond+" AND "+where+" ORDER BY v.seq DESC LIMIT "+limit+") "+s.alias())
	}
	return "SELECT v.seq, v.version, v.updated, v.method, v.body, r.id, t.text, " + createdThen + ", " + deletedThen + " FROM (SELECT seq FROM (" + strings.Join(each, " UNION ALL ") + ") a ORDER BY seq DESC LIMIT " + limit + ") w" +
		" CROSS JOIN version v CROSS JOIN resource r CROSS JOIN symbol t WHERE v.seq = w.seq AND r.rid = v.rid AND t.id = v.type ORDER BY v.seq DESC"
}
