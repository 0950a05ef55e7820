package search

import (
	"errors"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"

	"github.com/google/go-cmp/cmp"
)

func TestFilter(t *testing.T) {
	r := registry(t)
	for query, want := range map[string]string{
		// https://hl7.org/fhir/R4/search_filter.html
		`Patient?name co "pet"`:                                                       "(name:contains=pet or name:contains:contains=pet)",
		`Patient?given eq "peter" and birthdate ge 2014-10-10`:                        "(given:equals=peter and birthdate=ge 2014-10-09T23:00:00Z..2014-10-10T23:00:00Z)",
		`Observation?code eq http://loinc.org|1234-5`:                                 "code=http://loinc.org|1234-5",
		`Observation?subject.name co "pet"`:                                           "subject=Device.device-name",
		`Patient?name sw "Pé t"`:                                                      "name=pe t",
		`Patient?name ew ter`:                                                         "(name:ends=ter or name:ends:ends=ter)",
		`Patient?name eq "a,b|c$d\\e\"f"`:                                             `name:equals=a,b|c$d\e"f`,
		`Patient?gender ne male`:                                                      "(gender:missing=false and not gender=*|male)",
		`Patient?_id ne 5`:                                                            "(_lastUpdated=always and not _id=5)",
		`PlanDefinition?url ne http://x`:                                              "(url:missing=false and not url=http://x)",
		`PlanDefinition?url eq http://x`:                                              "url=http://x",
		`Patient?not (gender eq male)`:                                                "not gender=*|male",
		`Patient?not gender eq male and active eq true`:                               "(not gender=*|male and active=*|true)",
		`Patient?gender eq a or gender eq b and gender eq c`:                          "((gender=*|a or gender=*|b) and gender=*|c)",
		`Patient?gender eq a or (gender eq b and gender eq c)`:                        "(gender=*|a or (gender=*|b and gender=*|c))",
		`Patient?(gender eq a or gender eq b) and (gender eq c)`:                      "((gender=*|a or gender=*|b) and gender=*|c)",
		`Patient?gender eq a and gender eq b and gender eq c`:                         "(gender=*|a and gender=*|b and gender=*|c)",
		`Patient?birthdate pr true`:                                                   "birthdate:missing=false",
		`Patient?birthdate pr false`:                                                  "not birthdate:missing=false",
		`Procedure?patient.birthdate pr false`:                                        "not patient=Patient.birthdate:missing=false",
		`Procedure?date po 2024-01`:                                                   "date=po 2024-01-01T00:00:00Z..2024-02-01T00:00:00Z",
		`Procedure?date ne 2024`:                                                      "date=ne 2024-01-01T00:00:00Z..2025-01-01T00:00:00Z",
		`Procedure?date sa 2024 and date eb 2026`:                                     "(date=sa 2024-01-01T00:00:00Z..2025-01-01T00:00:00Z and date=eb 2026-01-01T00:00:00Z..2027-01-01T00:00:00Z)",
		`Procedure?date ap 2024`:                                                      "date=ap 2024-01-01T00:00:00Z..2025-01-01T00:00:00Z",
		`Procedure?date co 2024`:                                                      "(date=lt 2024-01-01T00:00:00.000001Z..2024-01-01T00:00:00.000002Z and date=gt 2024-12-31T23:59:59.999998Z..2024-12-31T23:59:59.999999Z)",
		`Procedure?_lastUpdated gt 2024-01-01T00:00:00Z`:                              "_lastUpdated=gt 2024-01-01T00:00:00Z..2024-01-01T00:00:01Z",
		`Observation?value-quantity gt 5.40||mg`:                                      "value-quantity=gt 5.4 [5.395, 5.405) *|mg",
		`Observation?value-quantity ne 5`:                                             "value-quantity=ne 5 [4.5, 5.5) *",
		`RiskAssessment?probability ap 0.5`:                                           "probability=ap 0.5 [0.45, 0.55) *",
		`Procedure?patient re Patient/4`:                                              "patient=Patient/4",
		`Procedure?patient re http://x/Patient/4`:                                     "patient=<http://x/Patient/4>",
		`Observation?code in http://vs`:                                               "code=http://t|a or http://t|b or http://hl7.org/fhir/administrative-gender|male",
		`Observation?code ni http://vs`:                                               "not code=http://t|a or http://t|b or http://hl7.org/fhir/administrative-gender|male",
		`Observation?code ss http://t|x`:                                              "code=http://t|x or http://t|leaf",
		`Observation?code sb http://t|x`:                                              "code=http://t|x or http://t|top",
		`Observation?code eq loinc|1-2 or code eq snomed|3`:                           "(code=http://loinc.org|1-2 or code=http://snomed.info/sct|3)",
		`Observation?encounter[status eq planned].service-provider.name co x`:         "encounter=Encounter.(status=*|planned and service-provider=Organization.(name:contains=x or name:contains:contains=x))",
		`Observation?encounter[status eq a or (class eq b)].type eq c`:                "encounter=Encounter.((status=*|a or class=*|b) and type=*|c)",
		`Group?characteristic[code eq a].value eq b`:                                  "together (characteristic-value$1=*|a and characteristic-value$2=*|b)",
		`Group?characteristic eq a`:                                                   "characteristic=*|a",
		`DocumentReference?relatesTo[code eq replaces].target re DocumentReference/9`: "together (relationship$1=*|replaces and relationship$2=DocumentReference/9)",
		`Patient?phonetic eq Smith`:                                                   "phonetic=s530",
		"  Patient ? ( ( gender\teq  male ) ) ":                                       "gender=*|male",
		`row 16: Patient?birthdate lt 2000 and birthdate ge 1990-01-01`:               "(birthdate=lt 2000-01-01T00:00:00Z..2001-01-01T00:00:00Z and birthdate=ge 1990-01-01T00:00:00Z..1990-01-02T00:00:00Z)",
	} {
		t.Run(query, func(t *testing.T) {
			_, query, _ := cutRow(query)
			typ, raw, _ := strings.Cut(query, "?")
			q, _, err := r.Parse(strings.TrimSpace(typ), []Pair{{"_filter", raw}}, terms(options(t)))
			if err != nil {
				t.Fatal(err)
			}
			got := showClause(q.Clauses[0])
			if strings.HasPrefix(query, "Observation?subject.name") {
				if !strings.Contains(got, "Patient.(name:contains=pet or ") {
					t.Error(got)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// cutRow takes the "row 16: " off a test's name.
func cutRow(s string) (row, rest string, ok bool) {
	if row, rest, ok = strings.Cut(s, ": "); ok && strings.HasPrefix(row, "row ") {
		return row, rest, true
	}
	return "", s, false
}

func TestFilterRefuses(t *testing.T) {
	r := registry(t)
	for query, reason := range map[string]string{
		"Patient?s3cret":                                               "no such operator",
		"Patient?name":                                                 "no such operator",
		"Patient?name xx s3cret":                                       "known are eq, ne, co",
		"Patient?name eq":                                              "a value is missing",
		"Patient?name eq )":                                            "a value is missing",
		`Patient?name eq ""`:                                           "empty or not a JSON string",
		`Patient?name eq "s3cret`:                                      "not closed",
		`Patient?name eq "s3cret\x"`:                                   "not a JSON string",
		`Patient?name eq "s3cret\u0000"`:                               "not a JSON string",
		`Patient?name eq "a" "s3cret"`:                                 "goes on where it should end",
		"Patient?name eq a b":                                          "goes on where it should end",
		"Patient?name eq a)":                                           "goes on where it should end",
		"Patient?(name eq a":                                           "a bracket is not closed",
		"Patient?name eq a and":                                        "name is missing",
		"Patient?and name eq a":                                        "no such operator",
		"Patient?name eq a and or gender eq b":                         "no such operator",
		"Patient?not":                                                  "name is missing",
		"Patient?()":                                                   "name is missing",
		"Patient?nonsense eq s3cret":                                   "Patient has no such search parameter",
		"Patient?_list eq s3cret":                                      "Patient has no such search parameter",
		"Patient?name:exact eq s3cret":                                 "no such operator",
		"Patient?name. eq s3cret":                                      "name is missing",
		"Patient?organization[name eq s3cret] eq a":                    "a dot and a name",
		"Patient?organization[name eq s3cret.name eq":                  "a dot and a name",
		"Patient?name[gender eq a].family eq s3cret":                   "only a reference",
		"Patient?name gt s3cret":                                       "gt is not supported for name, which is of type string",
		"Patient?name ss s3cret":                                       "ss is not supported for name",
		"Patient?name ne s3cret":                                       "ne is not supported for name, which is of type string and may repeat",
		"Observation?code ne s3cret":                                   "may repeat",
		"Observation?code gt s3cret":                                   "gt is not supported",
		"Observation?code co s3cret":                                   "co is not supported",
		"Observation?code po s3cret":                                   "po is not supported",
		"Patient?identifier in http://s3cret":                          "in is not supported",
		"Procedure?patient eq Patient/s3cret":                          "; use re",
		"Procedure?date sw 2024":                                       "sw is not supported",
		"Procedure?date eq ge2024":                                     "not a date",
		"Procedure?date eq s3cret":                                     "not a date",
		"CarePlan?activity-date co 2024":                               "co is not supported for activity-date, which is of type date and may repeat",
		"RiskAssessment?probability co 0.5":                            "co is not supported",
		"RiskAssessment?probability po 0.5":                            "po is not supported",
		"Observation?value-quantity co 5":                              "co is not supported",
		"Observation?value-quantity eq s3cret":                         "not a decimal",
		"PlanDefinition?url co s3cret":                                 "co is not supported",
		"Observation?code-value-date eq s3cret":                        "eq is not supported for code-value-date, which is of type composite",
		"Observation?code-value-date pr true":                          "pr is not supported",
		"Patient?_text co s3cret":                                      "co is not supported",
		"Location?near eq s3cret":                                      "eq is not supported",
		"Patient?birthdate pr s3cret":                                  "true or false",
		"Patient?phonetic co s3cret":                                   "co is not supported",
		"Group?characteristic[code eq a].nonsense eq s3cret":           "there are only code, value",
		"Group?characteristic[code eq a or code eq b].value eq s":      "only tests joined by and",
		"Group?characteristic[code pr true].value eq s3cret":           "this operator is not supported",
		"Group?characteristic[code eq a].value.x eq s3cret":            "comes one name",
		"Encounter?part-of.part-of.part-of.part-of.part-of.class eq s": "4 links at most",
		"Observation?related[type eq has-component].target pr true":    "Observation has no such",
	} {
		t.Run(query, func(t *testing.T) {
			typ, raw, _ := strings.Cut(query, "?")
			o := terms(options(t))
			o.Lenient = true // a filter is never left out
			q, _, err := r.Parse(typ, []Pair{{"_filter", raw}}, o)
			var e *fhir.Error
			if !errors.As(err, &e) || e.Kind != fhir.BadRequest || len(e.Issues) != 1 {
				t.Fatalf("%+v %v", q, err)
			}
			if !strings.Contains(err.Error(), reason) || e.Issues[0].Expression[0] != "http._filter" {
				t.Errorf("%v, want %q", err, reason)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error repeats the value: %v", err)
			}
		})
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		`Patient?given eq "peter" and (birthdate ge 2014-10-10 or not gender pr true)`, `Observation?encounter[status eq a].type ni http://vs`,
		`Group?characteristic[code eq a].value eq b`, `Observation?value-quantity ap 5|http://unitsofmeasure.org|mg`, `Procedure?date po 2024`, `Procedure?date co "2024-01-01T00:00Z"`,
		`Patient?((name eq "\u00e9"))`, `Patient?not not name eq a`,
	} {
		f.Add(s)
	}
	r := registry(f)
	o := terms(Options{Zone: time.UTC, Base: base, DefaultCount: 20, MaxCount: 100})
	f.Fuzz(func(t *testing.T, s string) {
		typ, raw, _ := strings.Cut(s, "?")
		q, _, err := r.Parse(typ, []Pair{{"_filter", raw}}, o)
		if err != nil {
			if k := fhir.KindOf(err); k != fhir.BadRequest && k != fhir.NotFound {
				t.Fatal(err)
			}
			return
		}
		wellFormed(t, q.Clauses)
	})
}
