package main

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"aftercare/fhir"

	"pgregory.net/rapid"
)

func TestPlanTable(t *testing.T) {
	plan, err := fhir.Parse([]byte(`{"resourceType":"CarePlan","activity":[
		{"detail":{"description":"Check the cone.","scheduledString":"interval set by the rehabilitation team, see their letter"}},
		{"extension":[{"url":"https://aftercare.example/fhir/StructureDefinition/source-fact","valueCoding":{"code":"A14"}},
		              {"url":"https://aftercare.example/fhir/StructureDefinition/policy","valueString":"ours"},
		              {"url":"https://aftercare.example/fhir/StructureDefinition/source-fact","valueCoding":{"code":"A15"}}],
		 "detail":{"description":"Take out part of the staples.","scheduledPeriod":{"start":"2026-03-23","end":"2026-03-23"},
		           "performer":[{"reference":"Practitioner/1","display":"GP"},{"reference":"Patient/2"},{"display":"GP"}]}},
		{"detail":{"description":"Air.","scheduledTiming":{"repeat":{"boundsPeriod":{"start":"2026-03-09"},"frequency":1,"period":1,"periodUnit":"d"}}}},
		{"detail":{"description":"Ask.","scheduledTiming":{"event":["2026-03-03","2026-03-04"]}}},
		{"detail":{"description":"Home.","scheduledPeriod":{"start":"2026-03-02","end":"2026-03-07"}}},
		{"detail":{"description":"Until.","scheduledPeriod":{"end":"2026-03-07"}}},
		{"detail":{"description":"Twice.","scheduledTiming":{"repeat":{"frequency":2,"period":3,"periodUnit":"wk"}}}},
		{}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `Date                     What                                          Who               Why (fact)
-----------------------  --------------------------------------------  ----------------  -----------
2026-03-02 – 2026-03-07  Home.
2026-03-03, 2026-03-04   Ask.
daily from 2026-03-09    Air.
2026-03-23               Take out part of the staples.                 GP, Patient       A14, A15
interval set by the      Check the cone.
rehabilitation team,
see their letter
until 2026-03-07         Until.
2 times every 3 wk       Twice.

`
	if got := planTable(plan); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPlanTableOfAWholePlan(t *testing.T) {
	body, err := os.ReadFile("testdata/derived/careplan-single-stage.json")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := fhir.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	table := planTable(plan)
	for _, want := range []string{"2026-03-23 ", "GP practice", "A14"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	for line := range strings.Lines(table) {
		if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > 100 {
			t.Errorf("wider than 100: %s", line)
		}
	}
}

func TestWrapLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-zé –]{0,80}`).Draw(t, "text")
		width := rapid.IntRange(1, 20).Draw(t, "width")
		lines := wrap(text, width)
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n == 0 || n > width {
				t.Fatalf("%q has %d characters", line, n)
			}
		}
		if got, want := squeeze(strings.Join(lines, "")), squeeze(text); got != want {
			t.Fatalf("%q became %q", want, got)
		}
	})
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }
