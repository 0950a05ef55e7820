package careplan

import (
	"regexp"
	"strings"
	"testing"
)

// What the source does not say is nowhere in what is derived or defined: no doses, no loading
// figures, no clinic dates, no warning signs, no interval of dual cone checks, no removal of
// sutures as a task, nobody's real number.
var notInTheSource = map[string]*regexp.Regexp{
	"a dose":                        regexp.MustCompile(`(?i)\b[0-9]+([.,][0-9]+)? ?(mg|mcg|µg|ml|mL/h|tablets?|capsules?|times a day)\b`),
	"a loading figure":              regexp.MustCompile(`(?i)\b[0-9]+([.,][0-9]+)? ?(kg|lbs?|pounds?|stone)\b|body ?weight|weight.bearing|crutch`),
	"a clinic date":                 regexp.MustCompile(`(?i)\b(outpatient|follow.?up|clinic (visit|appointment)|X-?ray|radiograph)\b`),
	"a warning sign":                regexp.MustCompile(`(?i)\b(red flags?|emergency|A&amp;E|fever|sepsis|pus|999|111)\b`),
	"an interval of dual cone care": regexp.MustCompile(`(?i)(dual ?cone)[^"]*\b(every|each|once a|per) ([0-9]+ )?(day|week|month|year)`),
	"a removal of sutures":          regexp.MustCompile(`302415002|(?i)remov\w* (the |of )?(sutures|stitches)\b[^;]*\bon\b`),
	"a real contact":                regexp.MustCompile(`7317 ?7751|privateenquiries|nhs\.net|Dorset|Relimb|Royal Free`),
	"a brand of dressing or drug":   regexp.MustCompile(`(?i)\b(mepore|mefix|oxycontin|tramadol)\b`),
}

func TestNothingIsPresentedThatTheSourceLacks(t *testing.T) {
	texts := map[string]string{}
	for _, n := range loaded(t) {
		if kind := n.Str("resourceType"); kind == "PlanDefinition" || kind == "ActivityDefinition" {
			texts[kind+"/"+n.Str("id")] = string(n.Raw)
		}
	}
	e := ofSite(t)
	for _, file := range surgeryFiles(t) {
		for _, p := range derive(t, e, readBundle(t, file)).Resources {
			texts[file+" "+p.Type+"/"+p.ID] = string(p.Body)
		}
	}
	for place, text := range texts {
		text = ids.ReplaceAllString(text, "")
		for what, pattern := range notInTheSource {
			if found := pattern.FindString(text); found != "" {
				t.Errorf("%s holds %s: %q", place, what, found)
			}
		}
	}
}

// ids and telephone numbers hold digits that mean nothing here.
var ids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|"value":"\+44[0-9 ]*"`)

// The patterns find what they are for.
func TestPatternsFindWhatTheSourceLacks(t *testing.T) {
	for what, text := range map[string]string{
		"a dose": "oxycodone 10 mg", "a loading figure": "begin with 20 kg", "a clinic date": "a follow-up after 6 weeks",
		"a warning sign": "call 999", "an interval of dual cone care": "The dual cone is checked every 6 months",
		"a removal of sutures": "Remove the sutures on day 10", "a real contact": "Dorset", "a brand of dressing or drug": "Mepore",
	} {
		if !notInTheSource[what].MatchString(text) {
			t.Errorf("%s is not found in %q", what, text)
		}
	}
	if len(notInTheSource) != 8 || strings.Contains(ids.ReplaceAllString(`"c7fae431-f7e2-5820-acde-4948a3e2ac7b"`, ""), "999") {
		t.Error("another pattern needs an example")
	}
}
