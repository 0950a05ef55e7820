package course

import (
	"encoding/json"
	"strconv"
	"time"
)

// parameter is one of a Parameters resource; the value is under its FHIR name, such as "valueDate".
func parameter(name, kind string, value any) map[string]any {
	return map[string]any{"name": name, kind: value}
}

func part(name string, parts []any) map[string]any {
	return map[string]any{"name": name, "part": parts}
}

func reference(ref string) map[string]any { return map[string]any{"reference": ref} }

func (c Coding) element() map[string]any {
	out := map[string]any{"system": c.System, "code": c.Code}
	if c.Display != "" {
		out["display"] = c.Display
	}
	return out
}

// Parameters writes a course as the Parameters resource that
// definitions/OperationDefinition-Patient-pain-course.json describes.
func (c Course) Parameters() ([]byte, error) {
	list := []any{}
	for _, s := range c.Series {
		list = append(list, part("series", s.parts()))
	}
	for _, o := range c.LeftOut {
		list = append(list, part("left-out", []any{parameter("observation", "valueReference", reference(o.Observation)), parameter("reason", "valueCode", o.Reason)}))
	}
	out := map[string]any{"resourceType": "Parameters"}
	if len(list) > 0 {
		out["parameter"] = list
	}
	return json.Marshal(out)
}

func (s *Series) parts() []any {
	var out []any
	add := func(name, kind string, value any) { out = append(out, parameter(name, kind, value)) }
	if a := s.Anchor; a != nil {
		add("anchor", "valueReference", reference(a.Plan))
		if a.Title != "" {
			add("anchor-title", "valueString", a.Title)
		}
		for _, op := range a.Operations {
			parts := []any{parameter("record", "valueReference", reference(op.Ref))}
			if !op.Day.IsZero() {
				parts = append(parts, parameter("date", "valueDate", date(op.Day)))
			}
			if op.Name != "" {
				parts = append(parts, parameter("name", "valueString", op.Name))
			}
			out = append(out, part("operation", parts))
		}
	}
	for _, c := range s.Sites {
		add("site", "valueCoding", c.element())
	}
	if s.SiteName != "" {
		add("site-name", "valueString", s.SiteName)
	}
	add("code", "valueCoding", s.Code.element())
	add("name", "valueString", s.Name)
	if s.Unit != "" {
		add("unit", "valueString", s.Unit)
	}
	for _, p := range s.Points {
		out = append(out, part("point", p.parts()))
	}
	if t := s.Trend; t != nil {
		out = append(out, part("trend", []any{
			parameter("per-week", "valueDecimal", rounded(t.Slope)), parameter("low", "valueDecimal", rounded(t.Low)), parameter("high", "valueDecimal", rounded(t.High)),
			parameter("points", "valuePositiveInt", t.Points), parameter("method", "valueString", TrendMethod),
		}))
	} else {
		add("no-trend", "valueString", NoTrend)
	}
	if s.Anchor != nil {
		for _, w := range s.Anchor.Windows {
			out = append(out, part("window", w.parts()))
		}
	}
	return out
}

// NoTrend says why a series has no trend.
var NoTrend = "A trend needs " + strconv.Itoa(TrendPoints) + " points or more after the first operation, on more than one day."

func (p *Point) parts() []any {
	out := []any{
		parameter("observation", "valueReference", reference(p.Observation)), parameter("time", "valueDateTime", p.Time),
		parameter("date", "valueDate", date(p.Day)), parameter("value", "valueDecimal", json.RawMessage(p.Value)),
	}
	if p.Since != nil {
		out = append(out, parameter("day", "valueInteger", *p.Since))
	}
	if p.SinceLast != nil {
		out = append(out, parameter("day-after-last-operation", "valueInteger", *p.SinceLast))
	}
	for _, f := range p.Flags {
		out = append(out, parameter("flag", "valueCode", f))
	}
	return out
}

func (w *Window) parts() []any {
	period := map[string]any{}
	if !w.Start.IsZero() {
		period["start"] = date(w.Start)
	}
	if !w.End.IsZero() {
		period["end"] = date(w.End)
	}
	out := []any{parameter("code", "valueCoding", w.Code.element()), parameter("name", "valueString", w.Name)}
	if len(period) > 0 {
		out = append(out, parameter("dates", "valuePeriod", period))
	}
	return out
}

func date(day time.Time) string { return day.Format(time.DateOnly) }

// rounded is a number with four decimals at most.
func rounded(f float64) json.RawMessage {
	text := strconv.FormatFloat(f, 'f', 4, 64)
	for text[len(text)-1] == '0' {
		text = text[:len(text)-1]
	}
	if text[len(text)-1] == '.' {
		text = text[:len(text)-1]
	}
	if text == "-0" {
		text = "0"
	}
	return json.RawMessage(text)
}
