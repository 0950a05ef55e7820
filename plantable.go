package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"aftercare/fhir"
)

const sourceFact = fhir.Canonical + "/StructureDefinition/source-fact"

// The widths of the plan table's columns; with their gaps they make 100 characters.
var planColumns = [...]int{23, 44, 16, 11}

// planTable renders a CarePlan's activities as a table of at most 100 columns: those
// with a date in the order of their first day, then those that wait for something.
func planTable(plan *fhir.Node) string {
	activities := plan.Each("activity")
	slices.SortStableFunc(activities, func(a, b *fhir.Node) int {
		return strings.Compare(sortDate(a.Get("detail")), sortDate(b.Get("detail")))
	})
	var b strings.Builder
	planRow(&b, "Date", "What", "Who", "Why (fact)")
	planRow(&b, strings.Repeat("-", planColumns[0]), strings.Repeat("-", planColumns[1]), strings.Repeat("-", planColumns[2]), strings.Repeat("-", planColumns[3]))
	for _, a := range activities {
		d := a.Get("detail")
		planRow(&b, activityDates(d), d.Str("description"), activityPerformers(d), activityFacts(a))
	}
	return b.String()
}

// sortDate is the first day of an activity; "~" puts the undated last.
func sortDate(detail *fhir.Node) string {
	for _, path := range [][]string{
		{"scheduledPeriod", "start"}, {"scheduledTiming", "event"}, {"scheduledTiming", "repeat", "boundsPeriod", "start"},
	} {
		if found := detail.Each(path...); len(found) > 0 {
			return found[0].Text
		}
	}
	return "~"
}

// activityDates says when, in words and ISO dates.
func activityDates(detail *fhir.Node) string {
	switch {
	case detail.Get("scheduledPeriod") != nil:
		return span(detail.Get("scheduledPeriod"))
	case detail.Get("scheduledTiming", "event") != nil:
		var days []string
		for _, day := range detail.Each("scheduledTiming", "event") {
			days = append(days, day.Text)
		}
		return strings.Join(days, ", ")
	case detail.Get("scheduledTiming", "repeat") != nil:
		repeat := detail.Get("scheduledTiming", "repeat")
		return strings.TrimSpace(frequency(repeat) + " " + span(repeat.Get("boundsPeriod")))
	default:
		return detail.Str("scheduledString")
	}
}

func span(period *fhir.Node) string {
	start, end := period.Str("start"), period.Str("end")
	switch {
	case start == end:
		return start
	case end == "":
		return "from " + start
	case start == "":
		return "until " + end
	default:
		return start + " – " + end
	}
}

// frequency says how often a Timing.repeat is meant, such as "2 times every 3 d".
func frequency(repeat *fhir.Node) string {
	number := func(name string) string {
		if n := repeat.Get(name); n != nil {
			return n.Text
		}
		return "1"
	}
	times, period, unit := number("frequency"), number("period"), repeat.Str("periodUnit")
	switch {
	case unit == "":
		return ""
	case times == "1" && period == "1" && unit == "d":
		return "daily"
	case times == "1":
		return fmt.Sprintf("every %s %s", period, unit)
	default:
		return fmt.Sprintf("%s times every %s %s", times, period, unit)
	}
}

func activityPerformers(detail *fhir.Node) string {
	var who []string
	for _, performer := range detail.Each("performer") {
		name := performer.Str("display")
		if name == "" {
			name = fhir.ParseReference(performer.Str("reference"), "").Type
		}
		if name != "" && !slices.Contains(who, name) {
			who = append(who, name)
		}
	}
	return strings.Join(who, ", ")
}

func activityFacts(activity *fhir.Node) string {
	var facts []string
	for _, e := range activity.Each("extension") {
		if e.Str("url") == sourceFact {
			facts = append(facts, e.Str("valueCoding", "code"))
		}
	}
	return strings.Join(facts, ", ")
}

// planRow writes one row of the table, as many lines as its longest cell needs.
func planRow(b *strings.Builder, cells ...string) {
	wrapped := make([][]string, len(cells))
	height := 1
	for i, cell := range cells {
		wrapped[i] = wrap(cell, planColumns[i])
		height = max(height, len(wrapped[i]))
	}
	for y := range height {
		var row strings.Builder
		for i, lines := range wrapped {
			text := ""
			if y < len(lines) {
				text = lines[y]
			}
			row.WriteString(text + strings.Repeat(" ", planColumns[i]-utf8.RuneCountInString(text)+2))
		}
		b.WriteString(strings.TrimRight(row.String(), " ") + "\n")
	}
}

// wrap breaks text at spaces into lines of at most width characters; a longer word is cut.
func wrap(text string, width int) (lines []string) {
	current := ""
	for _, word := range strings.Fields(text) {
		for utf8.RuneCountInString(word) > width {
			if current != "" {
				lines, current = append(lines, current), ""
			}
			head := string([]rune(word)[:width])
			lines, word = append(lines, head), word[len(head):]
		}
		switch {
		case current == "":
			current = word
		case utf8.RuneCountInString(current)+1+utf8.RuneCountInString(word) <= width:
			current += " " + word
		default:
			lines, current = append(lines, current), word
		}
	}
	if current != "" {
		lines = append(lines, current)
	}
	return lines
}
