package service

import (
	"context"
	"errors"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/service/store"

	"github.com/cockroachdb/apd/v3"
)

const (
	ucum             = "http://unitsofmeasure.org"
	statisticsSystem = "http://terminology.hl7.org/CodeSystem/observation-statistics"
	// statsLimit is how many observations one call reads at most, for each code.
	statsLimit = 100_000
	// sourceLimit is how many observations an answer includes at most.
	sourceLimit = maxCount
	statsMethod = "Counts, sums, extremes and quantiles are exact; quantiles lie on a line between neighbours. " +
		"Variance, standard deviation, skew and kurtosis describe the measurements themselves (divided by N). Other results are rounded to 18 digits."
)

// statistic is one code of http://hl7.org/fhir/ValueSet/observation-statistics.
type statistic struct {
	code, display string
	of            func(sample) (*apd.Decimal, error)
	// power is that of the unit: 1, 2 for a variance, 0 for a plain number.
	power int
}

func quantile(part, parts int) func(sample) (*apd.Decimal, error) {
	return func(s sample) (*apd.Decimal, error) { return s.quantile(part, parts) }
}

const totalCount = "total-count"

// statisticCodes are those that are offered: all of R4's but regression. R4 gives that two
// results, and an answer one component for each statistic, and does not say how the two
// share it, nor in which unit the time on the other axis counts.
var statisticCodes = []statistic{
	{"average", "Average", sample.average, 1},
	{"maximum", "Maximum", sample.maximum, 1},
	{"minimum", "Minimum", sample.minimum, 1},
	{"count", "Count", sample.count, 0},
	{totalCount, "Total Count", nil, 0},
	{"median", "Median", quantile(1, 2), 1},
	{"std-dev", "Standard Deviation", sample.deviation, 1},
	{"sum", "Sum", sample.sum, 1},
	{"variance", "Variance", sample.variance, 2},
	{"20-percent", "20th Percentile", quantile(1, 5), 1},
	{"80-percent", "80th Percentile", quantile(4, 5), 1},
	{"4-lower", "Lower Quartile", quantile(1, 4), 1},
	{"4-upper", "Upper Quartile", quantile(3, 4), 1},
	{"4-dev", "Quartile Deviation", sample.quartileDeviation, 1},
	{"5-1", "1st Quintile", quantile(1, 5), 1},
	{"5-2", "2nd Quintile", quantile(2, 5), 1},
	{"5-3", "3rd Quintile", quantile(3, 5), 1},
	{"5-4", "4th Quintile", quantile(4, 5), 1},
	{"skew", "Skew", sample.skew, 0},
	{"kurtosis", "Kurtosis", sample.kurtosis, 0},
}

// The names that the operation's own page uses beside those of the value set.
var statisticAliases = map[string]string{"max": "maximum", "min": "minimum"}

// stats is Observation/$stats
// (https://hl7.org/fhir/R4/observation-operation-stats.html). It measures observations and
// components that have the code; of one that has no value of its own, a panel, it measures
// the components and members each under its own code. Measurements are exact quantities in
// UCUM units: others, such as "<5", or a resource with a modifier extension, count in
// total-count alone. What was entered in error or cancelled is no measurement and counts
// nowhere. Values in different units are not mixed: each unit has a result of
// its own.
func (s *Service) stats(in *invocation) (answering, error) {
	q, err := s.readStats(in)
	if err != nil {
		return nil, err
	}
	if !s.mayRead(in.principal, "Observation") {
		return nil, forbidden("read", "Observation")
	}
	return func(ctx context.Context, r *store.Reader) (Answer, error) {
		body, err := s.measure(ctx, r, q)
		if errors.Is(err, errTooWide) {
			err = fhir.Errorf(fhir.Unprocessable, "processing", "", "The values lie too far apart to be added exactly.").Because(err)
		}
		return Answer{Body: body}, err
	}, nil
}

// measure is the answer of $stats.
func (s *Service) measure(ctx context.Context, r *store.Reader, q *statsQuery) ([]byte, error) {
	out := newParameters()
	var sources [][]byte
	var size room
	seen := map[string]bool{}
	for _, code := range q.codes {
		m := &measurements{s: s, q: q, code: code, seen: map[string]bool{}, room: &size}
		if err := m.collect(ctx, r); err != nil {
			return nil, err
		}
		for _, g := range m.groups {
			body, err := q.observation(g)
			if err != nil {
				return nil, err
			}
			out.add("statistics", "resource", body)
		}
		for _, res := range m.sources {
			if !seen[res.ID] && len(sources) < q.limit {
				seen[res.ID] = true
				sources = append(sources, res.Body)
			}
		}
	}
	for _, body := range sources {
		out.add("source", "resource", body)
	}
	return out.bytes(), nil
}

// observation writes the results as an Observation with a component for each statistic.
func (q *statsQuery) observation(g *measured) ([]byte, error) {
	w := members{buf: []byte{'{'}}
	w.text("resourceType", "Observation")
	w.text("status", "final")
	w.concept("code", g.code.system, g.code.code, g.code.display)
	w.open("subject")
	w.text("reference", q.written)
	w.close()
	if !q.start.IsZero() || !q.end.IsZero() {
		w.open("effectivePeriod")
		if !q.start.IsZero() {
			w.text("start", q.start.Format(time.RFC3339Nano))
		}
		if !q.end.IsZero() {
			w.text("end", q.end.Format(time.RFC3339Nano))
		}
		w.close()
	}
	w.open("method")
	w.text("text", statsMethod)
	w.close()
	values := newSample(g.values)
	var components [][]byte
	for _, s := range q.statistics {
		body, err := g.component(s, values)
		if err != nil {
			return nil, err
		}
		components = append(components, body)
	}
	w.raw("component", list(components))
	w.close()
	return w.buf, nil
}

func (g *measured) component(s statistic, values sample) ([]byte, error) {
	var result *apd.Decimal
	var err error
	if s.code == totalCount {
		result = whole(g.total)
	} else if result, err = s.of(values); err != nil {
		return nil, err
	}
	w := members{buf: []byte{'{'}}
	w.concept("code", statisticsSystem, s.code, s.display)
	unit, label := g.unit, g.label
	switch s.power {
	case 0:
		unit, label = "1", ""
	case 2:
		unit, label = squared(g.unit), ""
	}
	switch {
	case result == nil || g.unit == "" && s.power > 0:
		w.concept("dataAbsentReason", "http://terminology.hl7.org/CodeSystem/data-absent-reason", "not-a-number", "Not a Number (NaN)")
	default:
		w.open("valueQuantity")
		w.raw("value", []byte(plain(result)))
		if label != "" {
			w.text("unit", label)
		}
		w.text("system", ucum)
		w.text("code", unit)
		w.close()
	}
	w.close()
	return w.buf, nil
}

// squared is the UCUM code of a unit times itself. It is written as a product: an exponent
// belongs to a simple unit, and in the formal grammar of https://ucum.org/ucum follows neither the parentheses of "(kg/m2)" nor an annotation such as
// "{score}" that stands alone. Operators count from left to right, so that a unit that
// begins with a division is divided by once more.
func squared(unit string) string {
	switch {
	case strings.HasPrefix(unit, "/"):
		return unit + unit
	case strings.ContainsAny(unit, "./"):
		return "(" + unit + ").(" + unit + ")"
	default:
		return unit + "." + unit
	}
}

// plain writes a decimal without an exponent where that is short.
func plain(d *apd.Decimal) string {
	if d.Exponent > 0 && int64(d.Exponent)+d.NumDigits() > significant || d.Exponent < -3*significant {
		return d.Text('E')
	}
	return d.Text('f')
}

func (w *members) concept(name, system, code, display string) {
	w.open(name)
	w.raw("coding", []byte("["))
	coding := members{buf: []byte{'{'}}
	if system != "" {
		coding.text("system", system)
	}
	coding.text("code", code)
	if display != "" {
		coding.text("display", display)
	}
	coding.close()
	w.buf = append(append(w.buf, coding.buf...), ']')
	w.close()
}
