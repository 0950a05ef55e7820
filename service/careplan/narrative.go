package careplan

import (
	"strings"

	"aftercare/fhir"
)

type narrativeText struct {
	Status string `json:"status"`
	Div    string `json:"div"`
}

// narrative writes the plan so that it can be read by itself: a table of when, what and
// who. Its language is said in both ways of XHTML
// (https://hl7.org/fhir/R4/resource-definitions.html#Resource.language).
func (p *plan) narrative(o object, activities []*fhir.Node) narrativeText {
	status := ""
	for _, m := range o {
		if m.Name == "status" {
			status = strings.Trim(string(m.Value.Raw), `"`)
		}
	}
	return narrative(p.title(), p.protocol.usage, status, activities)
}

func narrative(title, usage, status string, activities []*fhir.Node) narrativeText {
	var b strings.Builder
	b.WriteString(`<div xmlns="http://www.w3.org/1999/xhtml" lang="en-GB" xml:lang="en-GB"><p>`)
	b.WriteString(escape(title) + ". Status: " + escape(status) + ".")
	if usage != "" {
		b.WriteString(" " + escape(usage))
	}
	b.WriteString(`</p><table><thead><tr><th>When</th><th>What</th><th>Who</th></tr></thead><tbody>`)
	for _, a := range activities {
		d := a.Get("detail")
		what := d.Str("description")
		if what == "" {
			what = d.Str("code", "text")
		}
		if flag := d.Get("doNotPerform"); flag != nil && flag.Text == "true" {
			what = "Not allowed: " + what
		}
		if s := d.Str("status"); s != "" && s != "not-started" {
			what += " (" + s + ")"
		}
		b.WriteString("<tr><td>" + escape(when(d)) + "</td><td>" + escape(what) + "</td><td>" + escape(who(d)) + "</td></tr>")
	}
	b.WriteString(`</tbody></table></div>`)
	return narrativeText{"generated", b.String()}
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// escape makes text safe in XHTML; characters that XML cannot hold are replaced.
func escape(s string) string {
	return escaper.Replace(strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return '�'
		}
		return r
	}, s))
}

// when puts scheduled[x] in words.
func when(d *fhir.Node) string {
	if text := d.Str("scheduledString"); text != "" {
		return text
	}
	if p := d.Get("scheduledPeriod"); p != nil {
		return span(p)
	}
	timing := d.Get("scheduledTiming")
	var days []string
	for _, e := range timing.Each("event") {
		days = append(days, e.Text)
	}
	if len(days) > 0 {
		return strings.Join(days, ", ")
	}
	repeat := timing.Get("repeat")
	if repeat == nil {
		return timing.Str("code", "text")
	}
	return strings.TrimSpace(often(repeat) + " " + span(repeat.Get("boundsPeriod")))
}

var everyUnit = map[string]string{"h": "hourly", "d": "daily", "wk": "weekly", "mo": "monthly", "a": "yearly"}

func often(repeat *fhir.Node) string {
	number := func(name string) string {
		if n := repeat.Get(name); n != nil {
			return n.Text
		}
		return "1"
	}
	unit := repeat.Str("periodUnit")
	if number("frequency") == "1" && number("period") == "1" && everyUnit[unit] != "" {
		return everyUnit[unit]
	}
	if unit == "" {
		return ""
	}
	return number("frequency") + " × per " + number("period") + " " + unit
}

func span(p *fhir.Node) string {
	start, end := p.Str("start"), p.Str("end")
	switch {
	case start != "" && start == end:
		return start
	case start != "" && end != "":
		return start + " to " + end
	case start != "":
		return "from " + start
	case end != "":
		return "until " + end
	}
	return ""
}

func who(d *fhir.Node) string {
	var names []string
	for _, p := range d.Each("performer") {
		switch {
		case p.Str("display") != "":
			names = append(names, p.Str("display"))
		case strings.HasPrefix(p.Str("reference"), "Patient/"):
			names = append(names, "Patient")
		case p.Str("reference") != "":
			names = append(names, p.Str("reference"))
		}
	}
	return strings.Join(names, ", ")
}
