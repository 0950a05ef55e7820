package search

import (
	"strings"
	"testing"
)

// holds is R4's reading of a comparator on one row (https://hl7.org/fhir/R4/search.html#prefix).
func holds(row Row, v Value) bool {
	if row.Param.Kind == Date {
		contains := v.Low <= row.Low && row.High <= v.High
		return map[Prefix]bool{
			Eq: contains, Ne: !contains, Gt: row.High > v.High, Lt: row.Low < v.Low,
			Ge: row.High > v.High || contains, Le: row.Low < v.Low || contains,
			Sa: row.Low >= v.High, Eb: row.High <= v.Low, Ap: row.Low < v.High && row.High > v.Low, Po: row.Low < v.High && row.High > v.Low,
		}[v.Prefix]
	}
	contains := v.NumberLow <= row.NumberLow && row.NumberHigh < v.NumberHigh
	unit := v.AnyUnit || row.Value == v.Value && (v.AnySystem || row.System == v.System)
	return unit && map[Prefix]bool{
		Eq: contains, Ne: !contains, Gt: row.NumberHigh > v.Number, Lt: row.NumberLow < v.Number,
		Ge: row.NumberHigh >= v.Number, Le: row.NumberLow <= v.Number, Sa: row.NumberLow > v.Number, Eb: row.NumberHigh < v.Number,
		Ap: row.NumberLow <= v.NumberHigh && row.NumberHigh >= v.NumberLow,
	}[v.Prefix]
}

// comparisons lists, for a resource, which of the values of a parameter match it: "+" before those
// that do, "-" before those that do not.
func comparisons(t *testing.T, r *Registry, resource, param, values string) {
	t.Helper()
	rows, err := r.Extract(node(t, resource), london(t), base)
	if err != nil {
		t.Fatal(err)
	}
	for expected := range strings.FieldsSeq(values) {
		q, _, err := r.Parse(node(t, resource).Str("resourceType"), []Pair{{param, expected[1:]}}, options(t))
		if err != nil {
			t.Fatal(expected, err)
		}
		got := false
		for _, row := range rows {
			for _, v := range q.Clauses[0].Values {
				got = got || row.Param == q.Clauses[0].Param && holds(row, v)
			}
		}
		if got != (expected[0] == '+') {
			t.Errorf("%s %s", param, expected)
		}
	}
}

// Rows 11 and 12: comparator by precision by target.
func TestDatesCompare(t *testing.T) {
	r := registry(t)
	for name, c := range map[string]struct{ performed, values string }{
		"a day": {`"performedDateTime":"2024-03-10"`,
			`+2024-03-10 +2024-03 +2024 -2024-03-11 -2024-03-10T12:00 -2024-03-10T00:00:00Z
			+ne2024-03-11 -ne2024-03-10 -ne2024 +ne2024-03-10T12:00 +gt2024-03-09 -gt2024-03-10 -gt2024 -gt2024-03 +gt2024-03-10T12:00 -gt2024-03-11
			+lt2024-03-11 -lt2024-03-10 -lt2024-03 +lt2024-03-10T12:00 +lt2025 +ge2024-03-10 +ge2024 +ge2024-03-10T12:00 -ge2024-03-11
			+le2024-03-10 +le2024 +le2024-03-10T00:01 -le2024-03-09 +sa2024-03-09 -sa2024-03-10 -sa2024-03-10T12:00 -sa2024
			+eb2024-03-11 -eb2024-03-10 -eb2024-03-10T12:00 +ap2024-03-10 +ap2024 -ap2030`},
		"a year": {`"performedDateTime":"2024"`,
			`+2024 -2024-01 -2024-06-01 +ne2024-01 -gt2024 +gt2024-06 +gt2023-12-31 +lt2024-06 -lt2024 -lt2023 +ge2024-06 +ge2024 -ge2025
			+le2024-06 +le2024 -le2023 +sa2023 -sa2024-01 +eb2025 -eb2024-12 +ap2024-06`},
		"an instant on the second": {`"performedDateTime":"2024-03-10T12:00:00Z"`,
			`+2024-03-10T12:00:00Z +2024-03-10T12:00Z +2024-03-10 -2024-03-10T12:00:00.000Z +ne2024-03-10T12:00:00.000Z +2024-03-10T13:00:00%2B01:00
			+2024-03-10T12:00:00 -gt2024-03-10T12:00 +gt2024-03-10T11:59 +lt2024-03-10T12:01 -sa2024-03-10 +sa2024-03-09 +eb2024-03-10T12:01 -eb2024-03-10T12:00`},
		"a fraction": {`"performedDateTime":"2024-03-10T12:00:00.250Z"`,
			`+2024-03-10T12:00:00Z +2024-03-10T12:00:00.25Z -2024-03-10T12:00:00.2500Z +2024-03-10T12:00:00.2Z +gt2024-03-10T12:00:00.1Z +lt2024-03-10T12:00:00.3Z`},
		"a new year in another zone": {`"performedDateTime":"2024-01-01T00:00:00+01:00"`,
			`-2024 +2023 +2023-12-31 -2024-01-01 +2023-12-31T23:00:00Z +lt2024 +eb2024 -sa2023 +2024-01-01T00:00:00%2B01:00`},
		"just before and after midnight in summer": {`"performedDateTime":"2024-07-01T23:30:00Z"`,
			`-2024-07-01 +2024-07-02 +2024-07-02T00:30 +2024-07-02T00:30:00%2B01:00 +sa2024-07-01 +2024-07`},
		"the day the clocks go forward": {`"performedDateTime":"2026-03-29"`,
			`+2026-03-29 -ge2026-03-29T22:59Z +ge2026-03-29T22:58Z +gt2026-03-29T22:58Z -gt2026-03-29T23:00Z -lt2026-03-29T00:00Z +lt2026-03-29T00:01Z`},
		"the day the clocks go back": {`"performedDateTime":"2026-10-25"`,
			`+2026-10-25 +gt2026-10-25T23:58Z -gt2026-10-25T23:59Z -lt2026-10-24T23:00Z +lt2026-10-24T23:01Z +2026-10`},
		"the hour that is twice": {`"performedDateTime":"2026-10-25T01:30:00+01:00"`,
			`+2026-10-25T00:30:00Z -2026-10-25T01:30:00Z +2026-10-25 +eb2026-10-25T01:30:00%2B00:00`},
		"a period": {`"performedPeriod":{"start":"2024-03-10","end":"2024-03-12"}`,
			`-2024-03-10 -2024-03-11 +2024-03 +2024 +ne2024-03-11 -ne2024-03 +gt2024-03-11 -gt2024-03-12 +gt2024-03-10 +lt2024-03-11 +lt2024-03-12 -lt2024-03-10
			+ge2024-03-11 -ge2024-03-13 +ge2024-03 +le2024-03-11 -le2024-03-09 +sa2024-03-09 -sa2024-03-10 -sa2024-03-11 +eb2024-03-13 -eb2024-03-12 +ap2024-03-11`},
		"a period that goes on": {`"performedPeriod":{"start":"2024-03-10"}`,
			`-2024 +ne2024 +gt2024 +gt2030 -lt2024 +lt2025 +ge2030 +le2024-04 -le2024-03-09 +sa2024-03-09 -sa2024-03-10 -eb2030 +ap2030`},
		"a period without a start": {`"performedPeriod":{"end":"2024-03-10"}`,
			`-2024 +ne2024 +lt2000 +le2000 -gt2024-03-10 +gt2024-03-09 -ge2024-03-11 +eb2024-03-11 -eb2024 -sa2000`},
		"no date": {`"performedString":"2024"`, `-2024 -ne2024 -gt2000 -lt2030 -ap2024`},
	} {
		t.Run(name, func(t *testing.T) {
			values := strings.ReplaceAll(c.values, "%2B", "+")
			comparisons(t, r, `{"resourceType":"Procedure",`+c.performed+`}`, "date", values)
		})
	}
	t.Run("row 19: the dates of a plan's activities, a timing by its outer bounds", func(t *testing.T) {
		comparisons(t, r, `{"resourceType":"CarePlan","activity":[{"detail":{"scheduledTiming":{"event":["2024-03-10","2024-05-10"]}}},
			{"detail":{"scheduledPeriod":{"start":"2026-01-01","end":"2026-01-07"}}},{"detail":{"scheduledTiming":{"repeat":{"boundsPeriod":{"start":"2030"}}}}}]}`, "activity-date",
			`-2024-03-10 +2024 +2026-01 -2026-01-03 +gt2026-01-06 +ge2040 +lt2024-04 -lt2024-03-10 +sa2024-06 +eb2024-06 -eb2024-05-10 +ap2024-04 -2030`)
	})
}

func TestQuantitiesCompare(t *testing.T) {
	r := registry(t, painScore)
	quantity := func(s string) string { return `{"resourceType":"Observation","valueQuantity":` + s + `}` }
	for name, c := range map[string]struct{ resource, param, values string }{
		"the written precision of the value asked for": {quantity(`{"value":5.40,"system":"http://unitsofmeasure.org","code":"mg"}`), "value-quantity",
			`+5.4 +5.40 +5.400 +5 -5e0 +5.4e0 -5.41 -6 -ne5.4 +ne5.41 +gt5.39 -gt5.4 +ge5.4 -lt5.4 +le5.4 +lt5.5 +sa5.3 -sa5.4 +eb5.5 -eb5.4 +ap5 +ap5.9 -ap7`},
		"row 18: a pain score": {quantity(`{"value":7,"unit":"score","system":"http://unitsofmeasure.org","code":"{score}"}`), "pain-score",
			`+7 +ge7 -gt7 +gt6 -ge8 +le7 -lt7 +7|http://unitsofmeasure.org|{score} -7|http://unitsofmeasure.org|1 +7||score +7||{score} -7||mg`},
		"row 18: a pain score as an integer": {`{"resourceType":"Observation","valueInteger":7}`, "pain-score", `+7 +ge7 -ge8 +lt8 -lt7 -7||mg`},
		"units that differ": {quantity(`{"value":5,"unit":"g","system":"http://unitsofmeasure.org","code":"g"}`), "value-quantity",
			`+5000|http://unitsofmeasure.org|mg +5|http://unitsofmeasure.org|g +0.005|http://unitsofmeasure.org|kg -5|http://unitsofmeasure.org|mg +ge5000|http://unitsofmeasure.org|mg
			-gt5000|http://unitsofmeasure.org|mg +gt4999|http://unitsofmeasure.org|mg -5|http://unitsofmeasure.org|m +5||g -5000||mg +5 -5000 -0.005 -5|http://other|g`},
		"a temperature": {quantity(`{"value":37.0,"system":"http://unitsofmeasure.org","code":"Cel"}`), "value-quantity",
			`+98.6|http://unitsofmeasure.org|[degF] +310.15|http://unitsofmeasure.org|K +gt98.5|http://unitsofmeasure.org|[degF] -gt98.6|http://unitsofmeasure.org|[degF] +37||Cel -37|http://unitsofmeasure.org|K`},
		"a unit that is a text alone": {quantity(`{"value":5,"unit":"mg"}`), "value-quantity",
			`+5||mg -5|http://unitsofmeasure.org|mg +5 -5||g`},
		"a unit with another text": {quantity(`{"value":5,"unit":"milligram","system":"http://unitsofmeasure.org","code":"mg"}`), "value-quantity",
			`+5||mg +5||milligram +5|http://unitsofmeasure.org|mg -5|http://unitsofmeasure.org|milligram`},
		"no unit": {quantity(`{"value":5}`), "value-quantity", `+5 -5||mg`},
		"less than 5": {quantity(`{"value":5,"comparator":"<","code":"x"}`), "value-quantity",
			`+lt5 +lt3 +le1 +le5 -gt5 -ge5 +gt4 +ge4.9 +eb5 -eb4.9 +eb6 -sa0 -5 +ne5 +ap5`},
		"more than 5, in another unit": {quantity(`{"value":5,"comparator":">","system":"http://unitsofmeasure.org","code":"g"}`), "value-quantity",
			`+gt5000|http://unitsofmeasure.org|mg +ge5000|http://unitsofmeasure.org|mg -le5000|http://unitsofmeasure.org|mg -lt5|http://unitsofmeasure.org|g +sa5||g -sa5.1||g +le5.1||g`},
		"at most 5":                    {quantity(`{"value":5,"comparator":"<=","code":"x"}`), "value-quantity", `+ge5 -gt5 +le5 +lt5 -eb5 +eb5.1`},
		"at least 5":                   {quantity(`{"value":5,"comparator":">=","code":"x"}`), "value-quantity", `+gt5 +gt100 +ge5 -lt5 +le5 +lt6 +sa4 -sa5`},
		"too small a step for a float": {quantity(`{"value":0.1,"code":"x"}`), "value-quantity", `+0.10000000000000000001 +le0.1 +ge0.1 -gt0.1`},
		"a range of ages": {`{"resourceType":"PlanDefinition","useContext":[{"valueRange":{"low":{"value":18,"unit":"a"},"high":{"value":65,"unit":"a"}}}]}`, "context-quantity",
			`+gt60 -gt65 +ge65 +lt20 -lt18 +sa17 -sa18 +eb66 -40 +ap40 +ap40||a -ap80`},
	} {
		t.Run(name, func(t *testing.T) { comparisons(t, r, c.resource, c.param, c.values) })
	}
	t.Run("a probability", func(t *testing.T) {
		comparisons(t, r, `{"resourceType":"RiskAssessment","prediction":[{"probabilityDecimal":0.8}]}`, "probability",
			`+0.8 +0.80 +gt0.79 -gt0.8 +ge0.8 +1 -0 +8e-1 +ap0.85 -ap0.95`)
	})
}
