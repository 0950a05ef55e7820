package service

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"

	"pgregory.net/rapid"
)

func coded(id, codes, effective string) string {
	var codings []string
	text := ""
	for code := range strings.SplitSeq(codes, " ") {
		if t, ok := strings.CutPrefix(code, "text:"); ok {
			text = `"text":"` + t + `"`
			continue
		}
		codings = append(codings, `{"system":"http://x.example","code":"`+code+`"}`)
	}
	code := text
	if codings != nil {
		code = `"coding":[` + strings.Join(codings, ",") + `]`
		if text != "" {
			code += "," + text
		}
	}
	if effective != "" && effective[0] != '"' {
		effective = `"effectiveDateTime":"` + effective + `"`
	}
	if effective != "" {
		effective = "," + effective
	}
	return `{"resourceType":"Observation","id":"` + id + `","status":"final","category":[{"coding":[{"code":"vital"}]}],"code":{` + code + `},"subject":{"reference":"Patient/p"}` + effective + `}`
}

func TestLastN(t *testing.T) {
	for _, c := range []struct {
		name         string
		observations []string
		query        string
		want         string
	}{
		{"none", nil, "", ""},
		{"one of each code by default", []string{coded("a1", "a", "2026-01-01"), coded("a2", "a", "2026-01-02"), coded("b1", "b", "2025-01-01")}, "", "a2 b1"},
		{"max", []string{coded("a1", "a", "2026-01-01"), coded("a2", "a", "2026-01-02"), coded("a3", "a", "2026-01-03"), coded("b1", "b", "2025-01-01")}, "max=2", "a3 a2 b1"},
		{"ties with the last one come too", []string{coded("a1", "a", "2026-01-01"), coded("a2", "a", "2026-01-02"), coded("a3", "a", "2026-01-02"), coded("a4", "a", "2026-01-03")}, "max=2", "a4 a3 a2"},
		{"one time in two zones is a tie", []string{coded("a1", "a", "2026-01-02T10:00:00Z"), coded("a2", "a", "2026-01-02T12:00:00+02:00"), coded("a3", "a", "2026-01-02T11:00:00+02:00")}, "", "a2 a1"},
		{"the same moment of the clock in two zones is not", []string{coded("a1", "a", "2026-01-02T10:00:00Z"), coded("a2", "a", "2026-01-02T10:00:00-05:00")}, "", "a2"},
		{"the page's example: three codes", []string{coded("a", "a", "2026-01-01"), coded("b", "b", "2026-01-02"), coded("c", "c", "2026-01-03")}, "", "c b a"},
		{"the page's example: a new code of one", []string{coded("a", "a", "2026-01-01"), coded("b", "b", "2026-01-02"), coded("c", "a c", "2026-01-03")}, "", "c b"},
		{"the page's example: two codes become one", []string{coded("a", "a", "2026-01-01"), coded("b", "b", "2026-01-02"), coded("c", "a b", "2026-01-03")}, "", "c"},
		{"codes are the same over any number of steps", []string{coded("1", "a b", "2026-01-01"), coded("2", "d e", "2026-01-02"), coded("3", "c d", "2026-01-03"), coded("4", "b c", "2026-01-04"), coded("5", "e", "2026-01-05"), coded("6", "f", "2026-01-06")}, "max=2", "6 5 4"},
		{"texts are compared as written", []string{coded("1", "text:textM", "2026-01-01"), coded("2", "text:Text", "2026-01-02"), coded("3", "text:t e x t", "2026-01-03")}, "", "3 2 1"},
		{"the text of a coded one does not count", []string{coded("1", "a text:x", "2026-01-01"), coded("2", "b text:x", "2026-01-02")}, "", "2 1"},
		{"the end of a period counts", []string{coded("1", "a", `"effectivePeriod":{"start":"2026-01-01","end":"2026-01-09"}`), coded("2", "a", "2026-01-05")}, "", "1"},
		{"a period without an end counts from its start", []string{coded("1", "a", `"effectivePeriod":{"start":"2026-01-01"}`), coded("2", "a", "2026-01-05")}, "", "2"},
		{"an instant and a timing", []string{coded("1", "a", `"effectiveInstant":"2026-01-05T09:00:00.5Z"`), coded("2", "a", `"effectiveTiming":{"event":["2026-01-01","2026-01-05T09:00:00.6Z"]}`)}, "", "2"},
		{"one without a time is the oldest", []string{coded("1", "a", ""), coded("2", "a", "1990")}, "", "2"},
		{"those without a time do not tie", []string{coded("1", "a", ""), coded("2", "a", "")}, "", "2"},
		{"components stay with their observation", []string{strings.Replace(coded("1", "panel", "2026-01-01"), `"code":{`, `"component":[{"code":{"coding":[{"system":"http://x.example","code":"a"}]}}],"code":{`, 1), coded("2", "a", "2026-01-02")}, "", "2 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)
			s := open(t, func(o *Options) { o.Now = func() time.Time { now = now.Add(time.Second); return now } })
			s.keep(t, c.observations...)
			bundle := s.ask(t, "Observation/$lastn?subject=Patient/p&category=vital&"+c.query, "")
			var got []string
			for _, ref := range refs(bundle) {
				got = append(got, strings.TrimPrefix(ref, "Observation/"))
			}
			if strings.Join(got, " ") != c.want || bundle.Get("total").Text != fmt.Sprint(len(got)) {
				t.Errorf("got %q, want %s", got, c.want)
			}
		})
	}
}

func TestLastNTakesSearchParameters(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p","identifier":[{"system":"http://x.example/id","value":"1"}]}`,
		coded("a1", "a", "2026-01-01"), coded("a2", "a", "2026-02-01"), coded("b1", "b", "2026-02-01"),
		strings.Replace(coded("wrong", "a", "2026-03-01"), "final", "entered-in-error", 1),
		strings.Replace(coded("cancelled", "a", "2026-03-02"), "final", "cancelled", 1),
		strings.Replace(coded("other", "a", "2026-03-01"), "Patient/p", "Patient/q", 1))
	for query, want := range map[string]string{
		"patient=p&code=a":                                                         "a2",
		"patient=p&code=a&max=9":                                                   "a2 a1",
		"patient=p&code=a&status=entered-in-error":                                 "wrong",
		"patient=p&code=a&status=cancelled,final":                                  "cancelled",
		"patient=p&code=a&status:missing=false":                                    "cancelled",
		"patient=p&code=a&status=final":                                            "a2",
		"patient=p&category=vital&date=lt2026-02-01":                               "a1",
		"subject:Patient.identifier=http://x.example/id|1&code=http://x.example|b": "b1",
		"patient=p&combo-code=http://x.example|a&status=final&max=5":               "a2 a1",
		"patient=nobody&code=a":                                                    "",
	} {
		var got []string
		for _, ref := range refs(s.ask(t, "Observation/$lastn?"+query, "")) {
			got = append(got, strings.TrimPrefix(ref, "Observation/"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", query, got, want)
		}
	}
	byPost := s.ask(t, "Observation/$lastn", `{"resourceType":"Parameters","parameter":[{"name":"patient","valueString":"p"},{"name":"code","valueString":"http://x.example|a"},{"name":"status","valueCode":"final"},{"name":"max","valuePositiveInt":5}]}`)
	if got := refs(byPost); !slices.Equal(got, []string{"Observation/a2", "Observation/a1"}) {
		t.Errorf("by POST: %v", got)
	}
	q := called(t, "Observation/$lastn?patient=p&code=b&colour=red", "")
	q.Lenient = true
	a, err := s.Operate(ctx, Anonymous, q)
	if err != nil || !strings.Contains(string(a.Body), `"mode":"outcome"`) || strings.Contains(string(a.Body), "colour=red") {
		t.Errorf("lenient: %v %s", err, a.Body)
	}
}

// A plain reckoning of the same: groups by following codings to and fro, then a sort.
func TestLastNAgreesWithAPlainReckoning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 3).Draw(t, "max")
		groups := newCodeGroups(most)
		type one struct {
			codes []string
			dated
		}
		var all []one
		for i := range rapid.IntRange(0, 20).Draw(t, "n") {
			codes := rapid.SliceOfNDistinct(rapid.SampledFrom(strings.Split("a b c d e f g h", " ")), 1, 3, rapid.ID[string]).Draw(t, "codes")
			d := dated{&fhir.Resource{ID: fmt.Sprint(i)}, int64(rapid.IntRange(0, 4).Draw(t, "time"))}
			all = append(all, one{codes, d})
			groups.add(codes, d)
		}
		// Spread the smallest name of each connected set of codes.
		name := map[string]string{}
		for range 10 {
			for _, o := range all {
				least := "z"
				for _, c := range o.codes {
					if name[c] == "" {
						name[c] = c
					}
					least = min(least, name[c])
				}
				for _, c := range o.codes {
					name[c] = least
				}
			}
		}
		byGroup := map[string][]int64{}
		for _, o := range all {
			byGroup[name[o.codes[0]]] = append(byGroup[name[o.codes[0]]], o.time)
		}
		want := map[string]bool{}
		for _, o := range all {
			newer := 0
			for _, other := range byGroup[name[o.codes[0]]] {
				if other > o.time {
					newer++
				}
			}
			if newer < most {
				want[o.resource.ID] = true
			}
		}
		got := groups.all()
		if len(got) != len(want) {
			t.Fatalf("%d observations, want %d", len(got), len(want))
		}
		for _, d := range got {
			if !want[d.resource.ID] {
				t.Fatalf("%s is too old", d.resource.ID)
			}
		}
		if !slices.IsSortedFunc(got, newer) {
			t.Fatal("not from the newest to the oldest")
		}
	})
}

func BenchmarkLastN(b *testing.B) {
	s := open(b)
	for i := range 1000 {
		s.keep(b, coded(fmt.Sprintf("o%d", i), fmt.Sprintf("c%d", i%20), time.Unix(int64(i)*3600, 0).UTC().Format(time.RFC3339)))
	}
	for b.Loop() {
		if _, err := s.Operate(ctx, Anonymous, called(b, "Observation/$lastn?subject=Patient/p&category=vital&max=3", "")); err != nil {
			b.Fatal(err)
		}
	}
}
