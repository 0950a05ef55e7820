package service

import (
	"slices"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"

	"github.com/cockroachdb/apd/v3"
)

// statsQuery is what $stats is asked for.
type statsQuery struct {
	subject fhir.Reference
	// written is the subject as it goes into the answer.
	written    string
	codes      []statsCode
	statistics []statistic
	start, end time.Time // zero for an open end
	limit      int       // of sources; 0 for none
}

type statsCode struct{ system, code, display string }

func (s *Service) readStats(in *invocation) (*statsQuery, error) {
	if err := in.only("subject", "code", "system", "coding", "duration", "period", "statistic", "include", "limit"); err != nil {
		return nil, err
	}
	q := &statsQuery{}
	text, a, err := in.text("subject")
	switch {
	case err != nil:
		return nil, err
	case a == nil:
		return nil, fhir.Errorf(fhir.BadRequest, "required", "http.subject", "The parameter subject is needed, such as Patient/123.")
	}
	q.subject, q.written = fhir.ParseReference(text, s.baseURL), text
	if !q.subject.Local() || q.subject.Version != "" {
		return nil, a.refuse("value", "subject is a reference to a resource of this server, such as Patient/123.")
	}
	q.written = q.subject.Type + "/" + q.subject.ID
	for _, read := range []func(*invocation) error{q.readCodes, q.readStatistics, func(in *invocation) error { return q.readTime(in, s) }, q.readSources} {
		if err := read(in); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (q *statsQuery) readCodes(in *invocation) error {
	system, systemArgument, err := in.text("system")
	if err != nil {
		return err
	}
	add := func(c statsCode) {
		if !slices.ContainsFunc(q.codes, func(o statsCode) bool { return o.system == c.system && o.code == c.code }) {
			q.codes = append(q.codes, c)
		}
	}
	for _, a := range in.all("code") {
		code, err := a.primitive()
		if err != nil {
			return err
		}
		if systemArgument == nil {
			return a.refuse("required", "A code needs the parameter system beside it; or send a coding.")
		}
		add(statsCode{system: system, code: code})
	}
	for _, a := range in.all("coding") {
		c, err := codingOf(a)
		if err != nil {
			return err
		}
		add(c)
	}
	switch {
	case len(q.codes) == 0:
		return fhir.Errorf(fhir.BadRequest, "required", "http.code", "$stats needs code and system, or a coding.")
	case len(q.codes) > search.MaxClauses:
		return fhir.Errorf(fhir.BadRequest, "too-costly", "http.code", "$stats takes %d codes at most.", search.MaxClauses)
	}
	return nil
}

func (q *statsQuery) readStatistics(in *invocation) error {
	for _, a := range in.all("statistic") {
		text, err := a.primitive()
		if err != nil {
			return err
		}
		for code := range strings.SplitSeq(text, ",") {
			if full := statisticAliases[code]; full != "" {
				code = full
			}
			i := slices.IndexFunc(statisticCodes, func(s statistic) bool { return s.code == code })
			switch {
			case code == "regression":
				return a.refuse("not-supported", "The statistic regression is not offered: it has two results, and R4 does not say how they are written.")
			case i < 0:
				return a.refuse("code-invalid", "statistic is a code of http://hl7.org/fhir/ValueSet/observation-statistics, such as average or median.")
			}
			if !slices.ContainsFunc(q.statistics, func(s statistic) bool { return s.code == code }) {
				q.statistics = append(q.statistics, statisticCodes[i])
			}
		}
	}
	if len(q.statistics) == 0 {
		return fhir.Errorf(fhir.BadRequest, "required", "http.statistic", "$stats needs the parameter statistic, such as average.")
	}
	return nil
}

// maxDuration is 200 years in hours.
const maxDuration = 200 * 366 * 24

func (q *statsQuery) readTime(in *invocation, s *Service) error {
	text, duration, err := in.text("duration")
	if err != nil {
		return err
	}
	period, err := in.one("period")
	switch {
	case err != nil:
		return err
	case duration != nil && period != nil:
		return period.refuse("invalid", "Give duration or period, not both.")
	case duration != nil:
		d, _, err := apd.NewFromString(text)
		if err != nil || d.Form != apd.Finite || d.Sign() <= 0 || d.Cmp(whole(maxDuration)) > 0 {
			return duration.refuse("value", "duration is a number of hours above 0, such as 24.")
		}
		hours, err := d.Float64()
		if err != nil {
			return duration.refuse("value", "duration is a number of hours above 0, such as 24.")
		}
		q.end = s.now().UTC()
		// Seconds, since 200 years of nanoseconds overflow.
		q.start = q.end.Add(-time.Duration(hours*float64(time.Hour/time.Second)) * time.Second)
	case period != nil:
		first, last, err := periodOf(period)
		if err != nil {
			return err
		}
		for _, end := range []struct {
			name, text string
			to         *time.Time
		}{{"start", first, &q.start}, {"end", last, &q.end}} {
			if end.text == "" {
				continue
			}
			m, err := fhir.ParseMoment(end.text, s.zone)
			if err != nil {
				return period.refuse("value", "The %s of the period is not a date that exists.", end.name)
			}
			if *end.to = m.Low; end.name == "end" {
				*end.to = m.High
			}
		}
		if !q.start.IsZero() && !q.end.IsZero() && !q.start.Before(q.end) {
			return period.refuse("value", "The period ends before it starts.")
		}
	}
	return nil
}

// periodOf gives start and end of a Period. In a URL it is written as a date, which stands
// for all the time that it covers, or as two with a slash between them.
func periodOf(a *argument) (start, end string, err error) {
	if a.node == nil {
		text, err := a.primitive()
		start, end, found := strings.Cut(strings.ReplaceAll(text, " ", "+"), "/")
		if !found {
			end = start
		}
		return start, end, err
	}
	n, err := a.object("Period")
	return n.Str("start"), n.Str("end"), err
}

// codingOf reads a Coding. In a URL it is written as system|code.
func codingOf(a *argument) (statsCode, error) {
	var c statsCode
	if a.node == nil {
		text, err := a.primitive()
		if err != nil {
			return c, err
		}
		c.system, c.code, _ = strings.Cut(text, "|")
	} else {
		n, err := a.object("Coding")
		if err != nil {
			return c, err
		}
		c = statsCode{n.Str("system"), n.Str("code"), n.Str("display")}
	}
	if c.system == "" || c.code == "" {
		return c, a.refuse("required", "A coding needs a system and a code, in a URL as system|code.")
	}
	return c, nil
}

func (q *statsQuery) readSources(in *invocation) error {
	include, _, err := in.flag("include")
	if err != nil {
		return err
	}
	limit, err := in.whole("limit", sourceLimit)
	if include {
		q.limit = min(limit, sourceLimit)
	}
	return err
}
