package search

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"

	"github.com/google/go-cmp/cmp"
)

const base = "https://clinic.example/fhir"

func london(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// show writes a row in one line: "code system|value", "code low..high".
func show(row Row) string {
	when := func(us int64) string {
		switch us {
		case MinTime:
			return "…"
		case MaxTime:
			return "…"
		}
		return time.UnixMicro(us).UTC().Format("2006-01-02T15:04:05.999999Z")
	}
	code := row.Param.Code
	if row.Part > 0 {
		code += fmt.Sprintf("/%d", row.Part)
	}
	switch row.Param.Kind {
	case Date:
		return fmt.Sprintf("%s %s..%s", code, when(row.Low), when(row.High))
	case Number, Quantity:
		if row.NumberLow == row.NumberHigh {
			return fmt.Sprintf("%s %g %s|%s", code, row.NumberLow, row.System, row.Value)
		}
		return fmt.Sprintf("%s %g..%g %s|%s", code, row.NumberLow, row.NumberHigh, row.System, row.Value)
	case String, URI:
		if row.Exact != "" {
			return fmt.Sprintf("%s %s <%s>", code, row.Value, row.Exact)
		}
		return code + " " + row.Value
	case Reference:
		if row.System != "" {
			return code + " " + row.System + "/" + row.Value
		}
		return code + " " + row.Value
	}
	return code + " " + row.System + "|" + row.Value
}

func rowsOf(t testing.TB, r *Registry, resource string) []string {
	t.Helper()
	rows, err := r.Extract(node(t, resource), london(t), base)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range rows {
		if row.Param.Kind == Text {
			continue // see TestTextsOfAResource
		}
		got = append(got, show(row))
	}
	return got
}

func TestExtract(t *testing.T) {
	r := registry(t,
		`{"resourceType":"SearchParameter","code":"own-phone","base":["Patient"],"type":"token","expression":"Patient.telecom.where(system='phone')"}`,
		`{"resourceType":"SearchParameter","code":"own-address","base":["Patient"],"type":"string","expression":"Patient.address"}`,
		`{"resourceType":"SearchParameter","code":"own-active","base":["Patient"],"type":"token","expression":"Patient.active"}`,
		`{"resourceType":"SearchParameter","code":"fact","base":["CarePlan"],"type":"token","expression":"CarePlan.activity.extension('https://x/fact')"}`,
		`{"resourceType":"SearchParameter","code":"fact-value","base":["CarePlan"],"type":"token","expression":"CarePlan.activity.extension('https://x/fact').value"}`,
		`{"resourceType":"SearchParameter","code":"score","base":["Observation"],"type":"quantity","expression":"(Observation.value as Quantity) | (Observation.value as integer) | (Observation.value as Range)"}`,
		`{"resourceType":"SearchParameter","code":"own-risk","base":["RiskAssessment"],"type":"number","expression":"RiskAssessment.prediction.probability.as(decimal)"}`,
		`{"resourceType":"SearchParameter","code":"note","base":["Observation"],"type":"string","expression":"(Observation.value as string) | (Observation.value as CodeableConcept).text"}`,
	)
	for name, c := range map[string]struct {
		resource string
		want     []string
	}{
		"each coding of each concept, with and without a system": {
			`{"resourceType":"Condition","code":{"coding":[{"system":"s","code":"a"},{"code":"b"},{"display":"none"},{"system":"s"}],"text":"t"},
				"category":[{"coding":[{"system":"c","code":"1"}]},{"text":"only"},{"coding":[{"system":"c","code":"2"},{"system":"c","code":"1"}]}]}`,
			[]string{"category c|1", "category:text only", "category c|2", "code s|a", "code |b", "code s|", "code:text none", "code:text t"}},
		"identifier, contact point, boolean and code as tokens": {
			`{"resourceType":"Patient","identifier":[{"system":"https://nhs","value":"943"},{"value":"x"},{"system":"only"},{"use":"old"}],
				"active":false,"telecom":[{"system":"phone","value":"+44 1"},{"system":"email","value":"a@b"},{"value":"5"}]}`,
			[]string{"active |false", "deceased |false", "email |a@b", "identifier https://nhs|943", "identifier |x", "identifier only|",
				"own-active |false", "own-phone |+44 1", "phone |+44 1", "telecom |+44 1", "telecom |a@b", "telecom |5"}},
		"names in parts, folded": {
			`{"resourceType":"Patient","name":[{"family":"Müller-Lüdenscheidt","given":["José  María",null,"Ørsted"],"_given":[null,{"id":"x"},null],"prefix":["Dr."]},{"text":" \t"}],
				"address":[{"line":["1 High St"],"city":"Łódź","use":"home","period":{"start":"2020"}}]}`,
			[]string{"address 1 high st <1 High St>", "address lodz <Łódź>", "address-city lodz <Łódź>", "address-use |home", "deceased |false",
				"family muller-ludenscheidt <Müller-Lüdenscheidt>", "given jose maria <José  María>", "given orsted <Ørsted>",
				"name muller-ludenscheidt <Müller-Lüdenscheidt>", "name jose maria <José  María>", "name orsted <Ørsted>", "name dr. <Dr.>",
				"own-address 1 high st <1 High St>", "own-address lodz <Łódź>",
				"phonetic m464", "phonetic j200", "phonetic m600", "phonetic o623", "phonetic d600"}},
		"dates by precision, in the zone of the site": {
			`{"resourceType":"Patient","birthDate":"1970-03"}`,
			[]string{"birthdate 1970-02-28T23:00:00Z..1970-03-31T23:00:00Z", "deceased |false"}}, // British Standard Time
		"the day the clocks go forward has 23 hours": {
			`{"resourceType":"Procedure","performedDateTime":"2026-03-29"}`,
			[]string{"date 2026-03-29T00:00:00Z..2026-03-29T23:00:00Z"}},
		"date-time with its own zone": {
			`{"resourceType":"Procedure","performedDateTime":"2024-01-01T00:00:00+01:00"}`,
			[]string{"date 2023-12-31T23:00:00Z..2023-12-31T23:00:01Z"}},
		"a fraction finer than a microsecond": {
			`{"resourceType":"Procedure","performedDateTime":"2024-01-01T00:00:00.123456789Z"}`,
			[]string{"date 2024-01-01T00:00:00.123456Z..2024-01-01T00:00:00.123457Z"}},
		"period": {
			`{"resourceType":"Procedure","performedPeriod":{"start":"2024-01-01","end":"2024-01-02"}}`,
			[]string{"date 2024-01-01T00:00:00Z..2024-01-03T00:00:00Z"}},
		"period without an end": {
			`{"resourceType":"Procedure","performedPeriod":{"start":"2024-01-01"}}`,
			[]string{"date 2024-01-01T00:00:00Z..…"}},
		"period without a start": {
			`{"resourceType":"Procedure","performedPeriod":{"end":"2024"}}`,
			[]string{"date …..2025-01-01T00:00:00Z"}},
		"period with neither":         {`{"resourceType":"Procedure","performedPeriod":{"id":"x"}}`, nil},
		"not a date of this choice":   {`{"resourceType":"Procedure","performedString":"2024"}`, nil},
		"an age is no date":           {`{"resourceType":"Procedure","performedAge":{"value":3}}`, nil},
		"a similar name is no choice": {`{"resourceType":"Procedure","performed":"2024","performer":[{"actor":{"reference":"Practitioner/1"}}],"performedWhen":"2024"}`, []string{"date 2024-01-01T00:00:00Z..2025-01-01T00:00:00Z", "performer Practitioner/1"}},
		"timing by its outer bounds": {
			`{"resourceType":"CarePlan","activity":[
				{"detail":{"scheduledTiming":{"event":["2024-03-01","2024-01-01"]}}},
				{"detail":{"scheduledTiming":{"repeat":{"boundsPeriod":{"start":"2024-02-01"},"frequency":1}}}},
				{"detail":{"scheduledTiming":{"event":["2024-05-01"],"repeat":{"boundsPeriod":{"start":"2024-02-01","end":"2024-02-02"}}}}},
				{"detail":{"scheduledTiming":{"repeat":{"boundsDuration":{"value":3}}}}},
				{"detail":{"scheduledTiming":{"code":{"text":"daily"}}}},
				{"detail":{"scheduledString":"2024"}},
				{"detail":{"scheduledPeriod":{"start":"2024-06-01","end":"2024-06-01"}}}]}`,
			[]string{"activity-date 2024-01-01T00:00:00Z..2024-03-02T00:00:00Z", "activity-date 2024-02-01T00:00:00Z..…",
				"activity-date 2024-02-01T00:00:00Z..2024-05-01T23:00:00Z", "activity-date 2024-05-31T23:00:00Z..2024-06-01T23:00:00Z"}},
		"references here and elsewhere": {
			`{"resourceType":"Task","focus":{"reference":"` + base + `/Device/d"},"basedOn":[{"reference":"CarePlan/1/_history/2"},{"reference":"CarePlan/1"},
				{"reference":"http://other.example/fhir/CarePlan/9"},{"reference":"urn:uuid:5"},{"display":"x"},{"identifier":{"value":"1"}}],"for":{"reference":"Group/g"}}`,
			[]string{"based-on CarePlan/1", "based-on http://other.example/fhir/CarePlan/9", "based-on urn:uuid:5", "based-on:identifier |1", "focus Device/d", "subject Group/g"}},
		"patient is the subject if it is a Patient": {
			`{"resourceType":"Procedure","subject":{"reference":"Patient/p"}}`,
			[]string{"patient Patient/p", "subject Patient/p"}},
		"a group is no patient": {
			`{"resourceType":"DeviceUseStatement","subject":{"reference":"Group/p"}}`,
			[]string{"subject Group/p"}},
		"a patient elsewhere, by URL and by type": {
			`{"resourceType":"Provenance","target":[{"reference":"http://o/f/Patient/1"},{"reference":"urn:uuid:1","type":"Patient"},{"reference":"http://o/f/Group/1/_history/2"},
				{"reference":"http://o/f/Patient/1/_history/2"},{"reference":"Patient"},{"reference":"urn:uuid:2"},{"reference":"http://Patient/1"},{}]}`,
			[]string{"patient http://o/f/Patient/1", "patient urn:uuid:1", "patient http://o/f/Patient/1/_history/2",
				"target http://o/f/Patient/1", "target urn:uuid:1", "target http://o/f/Group/1", "target http://o/f/Group/1/_history/2",
				"target http://o/f/Patient/1/_history/2", "target Patient", "target urn:uuid:2", "target http://Patient/1"}},
		"a contained patient": {
			`{"resourceType":"Procedure","contained":[{"resourceType":"Patient","id":"c","identifier":[{"value":"1"}]},{"resourceType":"Group","id":"g"}],"subject":{"reference":"#c"}}`,
			[]string{"patient #c", "subject #c"}},
		"a canonical with and without its version": {
			`{"resourceType":"CarePlan","instantiatesCanonical":["http://x/PlanDefinition/a|1.0","http://x/PlanDefinition/b","` + base + `/PlanDefinition/c|2","http://x/d|"]}`,
			[]string{"instantiates-canonical http://x/PlanDefinition/a", "instantiates-canonical http://x/PlanDefinition/a|1.0",
				"instantiates-canonical http://x/PlanDefinition/b", "instantiates-canonical PlanDefinition/c",
				"instantiates-canonical " + base + "/PlanDefinition/c|2", "instantiates-canonical http://x/d"}},
		"a version, which is a text, without case": {
			`{"resourceType":"PlanDefinition","version":"1.0-RC"}`,
			[]string{"version |1.0-rc"}},
		"uri as it is written": {
			`{"resourceType":"PlanDefinition","url":"http://X/A/","name":"APlan"}`,
			[]string{"name aplan <APlan>", "url http://X/A/"}},
		"an extension's value, coded": {
			`{"resourceType":"CarePlan","activity":[{"extension":[{"url":"https://x/fact","valueCoding":{"system":"f","code":"A01"}},{"url":"https://x/other","valueCoding":{"code":"no"}}]}]}`,
			[]string{"fact f|A01", "fact-value f|A01"}},
		"quantities": {
			`{"resourceType":"Observation","valueQuantity":{"value":6.0,"system":"http://unitsofmeasure.org","code":"{score}"}}`,
			[]string{"code-value-quantity$2 6 http://unitsofmeasure.org|{score}", "combo-value-quantity 6 http://unitsofmeasure.org|{score}",
				"score 6 http://unitsofmeasure.org|{score}", "value-quantity 6 http://unitsofmeasure.org|{score}"}},
		"a quantity with a comparator": {
			`{"resourceType":"Observation","valueQuantity":{"value":5,"comparator":"<","unit":"cm"}}`,
			[]string{"code-value-quantity$2 -Inf..4.999999999999999 |cm", "combo-value-quantity -Inf..4.999999999999999 |cm", "score -Inf..4.999999999999999 |cm", "value-quantity -Inf..4.999999999999999 |cm"}},
		"an integer as a quantity": {`{"resourceType":"Observation","valueInteger":6}`, []string{"score 6 |"}},
		"a range": {
			`{"resourceType":"Observation","valueRange":{"low":{"value":1,"code":"d"},"high":{"value":2,"code":"d"}}}`,
			[]string{"score 1..2 |d"}},
		"a range that is open": {
			`{"resourceType":"Observation","valueRange":{"low":{"value":1,"code":"d"}}}`,
			[]string{"score 1..+Inf |d"}},
		"number": {
			`{"resourceType":"RiskAssessment","prediction":[{"probabilityDecimal":0.50},{"probabilityRange":{"low":{"value":1}}}]}`,
			[]string{"own-risk 0.5 |", "probability 0.5 |", "probability 1..+Inf |"}},
		"string of a choice, and text of a concept": {
			`{"resourceType":"Observation","valueCodeableConcept":{"text":"Très BON"}}`, []string{"combo-value-concept:text tres bon", "note tres bon <Très BON>", "value-concept:text tres bon", "value-string tres bon <Très BON>"}},
		"nulls and empty arrays have no rows, and a concept has that of its text": {
			`{"resourceType":"Observation","code":{"text":"x"},"category":[],"identifier":[null],"subject":{},"status":null}`,
			[]string{"code:text x", "combo-code:text x"}},
		"a quantity in base units, too, and by the unit's text where that differs": {
			`{"resourceType":"Observation","valueQuantity":{"value":5000,"unit":"milligrams","system":"http://unitsofmeasure.org","code":"mg"}}`,
			[]string{
				"code-value-quantity$2 5000 http://unitsofmeasure.org|mg", "code-value-quantity$2 5000 |milligrams", "code-value-quantity$2:canonical 5 |g",
				"combo-value-quantity 5000 http://unitsofmeasure.org|mg", "combo-value-quantity 5000 |milligrams", "combo-value-quantity:canonical 5 |g",
				"score 5000 http://unitsofmeasure.org|mg", "score 5000 |milligrams", "score:canonical 5 |g",
				"value-quantity 5000 http://unitsofmeasure.org|mg", "value-quantity 5000 |milligrams", "value-quantity:canonical 5 |g"}},
		"a code that is not of UCUM is not converted": {
			`{"resourceType":"Encounter","length":{"value":5,"system":"http://other","code":"min"}}`, []string{"length 5 http://other|min"}},
		"a duration in seconds": {
			`{"resourceType":"Encounter","length":{"value":1.5,"comparator":">=","unit":"h","system":"http://unitsofmeasure.org","code":"h"}}`,
			[]string{"length 1.5..+Inf http://unitsofmeasure.org|h", "length:canonical 5400..+Inf |s"}},
		"an age, and a range of ages": {
			`{"resourceType":"Condition","onsetAge":{"value":52,"unit":"years","system":"http://unitsofmeasure.org","code":"a"},
				"abatementRange":{"low":{"value":2,"unit":"wk"},"high":{"value":3,"unit":"wk"}}}`,
			[]string{"abatement-age 2..3 |wk", "onset-age 52 http://unitsofmeasure.org|a", "onset-age 52 |years", "onset-age:canonical 1.6409952e+09 |s"}},
		"sampled data by the bounds of its samples": {
			`{"resourceType":"Observation","valueSampledData":{"origin":{"value":10,"unit":"mV"},"period":1,"factor":0.5,"dimensions":1,"data":"2 -4 E 8 3"}}`,
			[]string{"combo-value-quantity 8..14 |mV", "value-quantity 8..14 |mV"}},
		"sampled data below and above its limits": {
			`{"resourceType":"Observation","valueSampledData":{"origin":{"value":0,"unit":"mV"},"period":1,"dimensions":1,"data":"L 1 2 U"}}`,
			[]string{"combo-value-quantity -Inf..+Inf |mV", "value-quantity -Inf..+Inf |mV"}},
		"a percentage as a probability": {
			`{"resourceType":"RiskAssessment","prediction":[{"probabilityRange":{"low":{"value":5,"unit":"%","system":"http://unitsofmeasure.org","code":"%"},
				"high":{"value":10,"unit":"%","system":"http://unitsofmeasure.org","code":"%"}}},{"probabilityRange":{"low":{"value":5,"unit":"mg"}}}]}`,
			[]string{"probability 0.05..0.1 |"}},
		"types of identifiers": {
			`{"resourceType":"Practitioner","identifier":[{"type":{"coding":[{"system":"http://t","code":"M|R"},{"code":"X"}],"text":"Number"},"value":"7\\8"},{"type":{"coding":[{"code":"N"}]}}]}`,
			[]string{"identifier |7\\8", `identifier:of-type http://t|M\|R|7\\8`, `identifier:of-type |X|7\\8`, "identifier:text number"}},
		"who is dead, by time, and who lives": {
			`{"resourceType":"Patient","deceasedDateTime":"2026"}`,
			[]string{"death-date 2026-01-01T00:00:00Z..2027-01-01T00:00:00Z", "deceased |true"}},
		"who is dead, by a flag": {`{"resourceType":"Patient","deceasedBoolean":true}`, []string{"deceased |true"}},
		"who is not dead":        {`{"resourceType":"Patient","deceasedBoolean":false}`, []string{"deceased |false"}},
		"row 13: parts of a composite, by component, where all of them are there": {
			`{"resourceType":"Observation","code":{"coding":[{"code":"bp"}]},"component":[
				{"code":{"coding":[{"code":"a"},{"code":"b"}]},"valueQuantity":{"value":1,"code":"x"}},
				{"code":{"coding":[{"code":"c"}]}},
				{"code":{"coding":[{"code":"a"}]},"valueQuantity":{"value":2,"code":"x"}}]}`,
			[]string{
				"code |bp", "combo-code |bp", "combo-code |a", "combo-code |b", "combo-code |c",
				"combo-code-value-quantity$1/2 |a", "combo-code-value-quantity$1/2 |b", "combo-code-value-quantity$2/2 1 |x",
				"combo-code-value-quantity$1/4 |a", "combo-code-value-quantity$2/4 2 |x",
				"combo-value-quantity 1 |x", "combo-value-quantity 2 |x",
				"component-code |a", "component-code |b", "component-code |c",
				"component-code-value-quantity$1/1 |a", "component-code-value-quantity$1/1 |b", "component-code-value-quantity$2/1 1 |x",
				"component-code-value-quantity$1/3 |a", "component-code-value-quantity$2/3 2 |x",
				"component-value-quantity 1 |x", "component-value-quantity 2 |x"}},
		"where a location is": {
			`{"resourceType":"Location","position":{"longitude":-0.5,"latitude":51.25,"altitude":9}}`, []string{"near:latitude 51.25 |", "near:longitude -0.5 |"}},
		"tags and labels": {
			`{"resourceType":"Basic","meta":{"tag":[{"system":"t","code":"a","display":"Some Tag"}],"profile":["http://p|1"],"source":"http://s","security":[{"code":"R"}]}}`,
			[]string{"_profile http://p|1", "_security |R", "_source http://s", "_tag t|a", "_tag:text some tag"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, rowsOf(t, r, c.resource)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExtractRefuses(t *testing.T) {
	r := registry(t, painScore)
	for name, s := range map[string]string{
		"a date that does not exist":    `{"resourceType":"Patient","birthDate":"2026-02-30"}`,
		"a date as a number":            `{"resourceType":"Patient","birthDate":2026}`,
		"a period that ends too soon":   `{"resourceType":"Procedure","performedPeriod":{"start":"2026-02-03","end":"2026-02-01"}}`,
		"a bad date in a period":        `{"resourceType":"Procedure","performedPeriod":{"start":"2026-02-03","end":"soon"}}`,
		"a bad event of a timing":       `{"resourceType":"CarePlan","activity":[{"detail":{"scheduledTiming":{"event":["soon"]}}}]}`,
		"a reference as a number":       `{"resourceType":"Procedure","subject":{"reference":7}}`,
		"a reference as a boolean":      `{"resourceType":"Procedure","subject":{"reference":"Patient/1"},"encounter":true}`,
		"a name as a number":            `{"resourceType":"Patient","name":[{"family":7}]}`,
		"a URL as an object":            `{"resourceType":"PlanDefinition","url":{}}`,
		"the character U+0000":          `{"resourceType":"Patient","identifier":[{"value":"a\u0000b"}]}`,
		"a quantity as a text":          `{"resourceType":"Observation","valueQuantity":{"value":"6"}}`,
		"a number with too many digits": `{"resourceType":"Observation","valueQuantity":{"value":1` + strings.Repeat("1", 2000) + `}}`,
		"a range with two units":        `{"resourceType":"Condition","onsetRange":{"low":{"value":1,"unit":"a"},"high":{"value":2,"unit":"d"}}}`,
		"a range that ends too soon":    `{"resourceType":"Condition","onsetRange":{"low":{"value":3,"unit":"a"},"high":{"value":2,"unit":"a"}}}`,
		"a sample that is no number":    `{"resourceType":"Observation","valueSampledData":{"origin":{"value":0},"data":"1 x"}}`,
		"a position as a text":          `{"resourceType":"Location","position":{"latitude":"1","longitude":2}}`,
		"a comparator of its own":       `{"resourceType":"Observation","valueQuantity":{"value":6,"comparator":"~"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Extract(node(t, s), time.UTC, base)
			var e *fhir.Error
			if !errors.As(err, &e) || e.Kind != fhir.Unprocessable || len(e.Issues) != 1 || len(e.Issues[0].Expression) != 1 {
				t.Fatalf("got %v", err)
			}
			for _, secret := range []string{"2026-02", "soon", "/1", "a\x00b"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error repeats the value: %v", err)
				}
			}
		})
	}
	if _, err := r.Extract(node(t, `{"resourceType":"Nonsense"}`), time.UTC, base); err == nil {
		t.Error("a type that is not served is accepted")
	}
}

func TestExtractManyRowsDistinct(t *testing.T) {
	var codes []string
	for i := range 5000 {
		codes = append(codes, fmt.Sprintf(`{"code":"c%d"}`, i%2500))
	}
	rows := rowsOf(t, registry(t), `{"resourceType":"CodeSystem","concept":[`+strings.Join(codes, ",")+`]}`)
	if len(rows) != 2500 || rows[0] != "code |c0" || rows[2499] != "code |c2499" {
		t.Fatalf("%d rows", len(rows))
	}
}

func TestAskedNumbers(t *testing.T) {
	for s, want := range map[string][3]float64{
		"100":        {100, 99.5, 100.5},
		"100.00":     {100, 99.995, 100.005},
		"1e2":        {100, 95, 105},
		"1.00e2":     {100, 99.5, 100.5},
		"-5":         {-5, -5.5, -4.5},
		"0":          {0, -0.5, 0.5},
		"5.4E-3":     {0.0054, 0.00535, 0.00545},
		"0.1":        {0.1, 0.05, 0.15},
		"ap100":      {100, 90, 110},
		"ap-100":     {-100, -110, -90},
		"ap1":        {1, 0.5, 1.5}, // its precision is wider than a tenth
		"ge7":        {7, 6.5, 7.5},
		"1234567890": {1234567890, 1234567889.5, 1234567890.5},
	} {
		v, err := parseNumber(nil, s)
		if got := [3]float64{v.Number, v.NumberLow, v.NumberHigh}; err != nil || got != want || !v.AnyUnit {
			t.Errorf("%s: %v %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "x", "1.", ".5", "+1", "1e", "1e999", "1e9999", "0x10", "NaN", "Inf", "1_000", "1,0", "1|2", "gegt1", strings.Repeat("1", 2000)} {
		if got, err := parseNumber(nil, s); err == nil {
			t.Errorf("%.20q: %v", s, got)
		}
	}
}
