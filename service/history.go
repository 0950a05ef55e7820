package service

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store"
)

// History returns the versions of one resource, of a type (id ""), or of everything (typ
// and id ""), newest first, as a history Bundle (https://hl7.org/fhir/R4/http.html#history).
// Parameters are _since, _at, _count and the cursor of a next link. _at is a date or time, with
// a prefix such as ge if wanted, and may be repeated: it asks for the versions that were
// current at some point of the time that all of them allow.
func (s *Service) History(ctx context.Context, p Principal, typ, id string, pairs []search.Pair) ([]byte, error) {
	code := "history-instance"
	switch {
	case typ == "":
		code = "history-system"
	case id == "":
		code = "history-type"
	}
	var out []byte
	err := s.interact(ctx, p, interaction{code, typ, id}, func(ctx context.Context) error {
		read, err := s.readHistory(typ, id, pairs)
		if err != nil {
			return err
		}
		return s.view(ctx, &p, actions[code], func(ctx context.Context, r *store.Reader) (err error) {
			out, err = read(ctx, r)
			return err
		})
	})
	return out, err
}

// readHistory reads the parameters of a history, and gives what is left to do on one state
// of the store.
func (s *Service) readHistory(typ, id string, pairs []search.Pair) (func(context.Context, *store.Reader) ([]byte, error), error) {
	q := store.HistoryQuery{Type: typ, ID: id, Count: defaultCount, Total: id != ""}
	applied, err := s.historyParameters(&q, pairs)
	if err != nil {
		return nil, err
	}
	if ofLog(typ) {
		return s.historyOfLogged(&q, applied)
	}
	return func(ctx context.Context, r *store.Reader) ([]byte, error) {
		page, err := r.History(ctx, q)
		switch {
		case err != nil && fhir.KindOf(err) == fhir.BadRequest: // nothing else is left to refuse
			return nil, at(err, "http._cursor")
		case err != nil:
			return nil, err
		}
		path := "_history"
		switch {
		case id != "":
			path = typ + "/" + id + "/_history"
		case typ != "":
			path = typ + "/_history"
		}
		b := newBundle("history", page.Total)
		size := 0
		for _, h := range page.Entries {
			size += len(h.Resource.Body) + entryBytes/2
		}
		b.grow(size)
		b.link("self", s.link(path, applied, ""))
		if page.Next != "" {
			b.link("next", s.link(path, applied, page.Next))
		}
		for _, h := range page.Entries {
			if err := s.showPast(ctx, h.Resource); err != nil {
				return nil, err
			}
			b.entry(s.historyEntry(h))
		}
		return b.bytes(), nil
	}, nil
}

func (s *Service) historyParameters(q *store.HistoryQuery, pairs []search.Pair) (applied []search.Pair, err error) {
	once := map[string]bool{"_at": true}
	for i, pair := range pairs {
		if once[pair.Name] && pair.Name != "_at" {
			return nil, fhir.Errorf(fhir.BadRequest, "value", "http."+pair.Name, "%s is given more than once.", pair.Name)
		}
		once[pair.Name] = true
		switch pair.Name {
		case "_count":
			n, err := strconv.Atoi(pair.Value)
			if err != nil || n < 0 {
				return nil, fhir.Errorf(fhir.BadRequest, "value", "http._count", "_count must be a whole number, 0 or more.")
			}
			q.Count = min(n, maxCount)
			applied = append(applied, search.Pair{Name: "_count", Value: strconv.Itoa(q.Count)})
		case "_since":
			m, err := fhir.ParseMoment(strings.Replace(pair.Value, " ", "+", 1), s.zone)
			if err != nil {
				return nil, fhir.Errorf(fhir.BadRequest, "value", "http._since", "_since must be an instant such as 2026-03-02T09:30:00Z.")
			}
			q.Since = m.Low
			applied = append(applied, pair)
		case "_at":
			if err := s.narrow(q, strings.Replace(pair.Value, " ", "+", 1)); err != nil {
				return nil, err
			}
			applied = append(applied, pair)
		case "_cursor":
			q.Cursor = pair.Value
		case "_format", "_pretty":
			applied = append(applied, pair)
		default:
			return nil, fhir.Errorf(fhir.BadRequest, "not-supported", placeOf(pair.Name, i), "A history takes the parameters _since, _at and _count, and no other.")
		}
	}
	switch {
	case !q.High.IsZero() && !q.Low.Before(q.High):
		return nil, fhir.Errorf(fhir.BadRequest, "value", "http._at", "The values of _at have no time in common.")
	case !q.Low.Before(s.now()):
		return nil, fhir.Errorf(fhir.BadRequest, "value", "http._at", "_at lies in the future; which versions will be current then is not known.")
	}
	return applied, nil
}

// narrow cuts the time that a history asks about down to a value of _at
// (https://hl7.org/fhir/R4/search.html#date).
func (s *Service) narrow(q *store.HistoryQuery, value string) error {
	prefix, date := search.Eq, value
	if len(value) > 2 && value[0] > '9' {
		prefix, date = search.Prefix(value[:2]), value[2:]
	}
	m, err := fhir.ParseMoment(date, s.zone)
	if err != nil {
		return fhir.Errorf(fhir.BadRequest, "value", "http._at", "_at must be a date or a time such as 2026-03 or 2026-03-02T09:30:00Z.")
	}
	var low, high time.Time
	switch prefix {
	case search.Eq:
		low, high = m.Low, m.High
	case search.Ge:
		low = m.Low
	case search.Gt, search.Sa:
		low = m.High
	case search.Le:
		high = m.High
	case search.Lt, search.Eb:
		high = m.Low
	default:
		return fhir.Errorf(fhir.BadRequest, "not-supported", "http._at", "_at takes the prefixes eq, ge, gt, sa, le, lt and eb.")
	}
	if low.After(q.Low) {
		q.Low = low
	}
	if !high.IsZero() && (q.High.IsZero() || high.Before(q.High)) {
		q.High = high
	}
	return nil
}

func (s *Service) historyEntry(h store.HistoryEntry) entry {
	e := entry{
		fullURL: s.url(h.Resource), resource: h.Resource.Body,
		method: h.Method, requestURL: h.Resource.Ref(),
		status: statusLine(http.StatusOK), etag: etag(h.Resource), lastModified: h.Resource.LastUpdated,
	}
	switch {
	case h.Resource.Deleted:
		e.status = statusLine(http.StatusNoContent)
	case h.Created:
		e.status = statusLine(http.StatusCreated)
	}
	if h.Method == http.MethodPost {
		e.requestURL = h.Resource.Type
	}
	return e
}

func etag(r *fhir.Resource) string { return `W/"` + strconv.FormatInt(r.Version, 10) + `"` }

func statusLine(code int) string { return strconv.Itoa(code) + " " + http.StatusText(code) }
