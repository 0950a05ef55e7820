package search

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func options(t testing.TB) Options {
	return Options{Zone: london(t), Base: base, DefaultCount: 20, MaxCount: 100}
}

// parse reads "Type?query".
func parse(t testing.TB, r *Registry, s string, o Options) (*Query, []fhir.Issue, error) {
	t.Helper()
	typ, raw, _ := strings.Cut(s, "?")
	pairs, err := ParsePairs(raw)
	if err != nil {
		return nil, nil, err
	}
	return r.Parse(typ, pairs, o)
}

// showClause writes a clause in one line.
func showClause(c Clause) string {
	several := func(clauses []Clause, joint string) string {
		var shown []string
		for _, c := range clauses {
			shown = append(shown, showClause(c))
		}
		return "(" + strings.Join(shown, joint) + ")"
	}
	switch {
	case c.Has != nil:
		return "has " + c.Has.Param.Key() + " (" + showClause(c.Has.Clause) + ")"
	case len(c.Together) > 0:
		return "together " + several(c.Together, " and ")
	case len(c.All) > 0:
		return several(c.All, " and ")
	case len(c.Any) > 0:
		return several(c.Any, " or ")
	case c.Not != nil:
		return "not " + showClause(*c.Not)
	}
	head := c.Param.Code
	if c.Modifier != "" {
		head += ":" + c.Modifier
	}
	var alternatives []string
	for _, ch := range c.Chain {
		alternatives = append(alternatives, ch.Type+"."+showClause(ch.Clause))
	}
	for _, v := range c.Values {
		alternatives = append(alternatives, showValue(c, v))
	}
	return head + "=" + strings.Join(alternatives, " or ")
}

func showValue(c Clause, v Value) string {
	switch {
	case c.Modifier == "missing":
		return fmt.Sprint(v.Missing)
	case c.Param.Kind == Date, c.Param.Kind == LastUpdated:
		if v.Low == MinTime {
			return "always"
		}
		layout := "2006-01-02T15:04:05.999999Z"
		return fmt.Sprintf("%s %s..%s", v.Prefix, time.UnixMicro(v.Low).UTC().Format(layout), time.UnixMicro(v.High).UTC().Format(layout))
	case c.Param.Kind == Number, c.Param.Kind == Quantity:
		unit := v.System + "|" + v.Value
		switch {
		case v.AnyUnit:
			unit = "*"
		case v.AnySystem:
			unit = "*|" + v.Value
		}
		return fmt.Sprintf("%s %g [%g, %g) %s", v.Prefix, v.Number, v.NumberLow, v.NumberHigh, unit)
	case c.Param.Kind == Token && v.AnySystem:
		return "*|" + v.Value
	case c.Param.Kind == Token:
		return v.System + "|" + v.Value
	case c.Param.Kind == Reference && v.URL != "":
		return "<" + v.URL + ">" + v.System + v.Value
	case c.Param.Kind == Reference:
		return v.System + "/" + v.Value
	case c.Param.Kind == Text:
		return strings.Join(v.Phrases, " + ")
	}
	return v.Value
}

func TestParseClauses(t *testing.T) {
	r := registry(t)
	for query, want := range map[string][]string{
		"Patient?": nil,
		// https://hl7.org/fhir/R4/search.html#token
		"Patient?identifier=943":                                {"identifier=*|943"},
		"Patient?identifier=http%3A%2F%2Facme%7C2345":           {"identifier=http://acme|2345"},
		"Patient?identifier=|2345":                              {"identifier=|2345"},
		"Patient?identifier=http://acme|":                       {"identifier=http://acme|"},
		"Condition?code=http://acme.org/codes|ha125,other":      {"code=http://acme.org/codes|ha125 or *|other"},
		"Observation?code=a&code=b":                             {"code=*|a", "code=*|b"},
		`Patient?identifier=a\,b,c\|d,e\\f,g\$h`:                {`identifier=*|a,b or *|c|d or *|e\f or *|g$h`},
		`Patient?identifier=s\|1|v\|2`:                          {"identifier=s|1|v|2"},
		"Task?status=http://hl7.org/fhir/task-status|requested": {"status=|requested"},
		"Task?status=http://other|requested":                    {"status=http://other|requested"},
		"Patient?identifier:missing=true":                       {"(identifier:missing=true and identifier:text:missing=true)"},
		"Patient?name:missing=false":                            {"name:missing=false"},
		"Procedure?date:missing=false&patient:missing=true":     {"date:missing=false", "(patient:missing=true and patient:identifier:missing=true)"},
		"PlanDefinition?url:missing=true":                       {"url:missing=true"},
		// https://hl7.org/fhir/R4/search.html#reference
		"Procedure?patient=123":                                        {"patient=Patient/123"},
		"Procedure?patient=Patient/123":                                {"patient=Patient/123"},
		"Procedure?subject:Patient=123":                                {"subject=Patient/123"},
		"Procedure?subject:Patient=Patient/123":                        {"subject=Patient/123"},
		"Procedure?subject=123":                                        {"subject=/123"},
		"Procedure?subject=" + base + "/Patient/123":                   {"subject=Patient/123"},
		"Procedure?subject=http://other.example/fhir/Patient/123":      {"subject=<http://other.example/fhir/Patient/123>"},
		"Procedure?subject=urn:uuid:5,Group/g":                         {"subject=<urn:uuid:5> or Group/g"},
		"Procedure?subject=" + base + "x/Patient/123":                  {"subject=<" + base + "x/Patient/123>"},
		"Task?focus=ImagingStudy/1":                                    {"focus=ImagingStudy/1"},
		"Task?focus:Device=1":                                          {"focus=Device/1"},
		"CarePlan?instantiates-canonical=http://x/PlanDefinition/a":    {"instantiates-canonical=<http://x/PlanDefinition/a>"},
		"CarePlan?instantiates-canonical=http://x/a|1.0,http://x/b%7C": {"instantiates-canonical=<http://x/a|1.0> or <http://x/b>"},
		`CarePlan?instantiates-canonical=http://x/a\|1.0`:              {"instantiates-canonical=<http://x/a|1.0>"},
		"CarePlan?instantiates-canonical=PlanDefinition/a":             {"instantiates-canonical=PlanDefinition/a"},
		// chains
		"Procedure?patient.identifier=http://acme|1":    {"patient=Patient.identifier=http://acme|1"},
		"Procedure?subject:Patient.name=peter":          {"subject=Patient.name=peter"},
		"Procedure?patient:Patient.identifier=1,2":      {"patient=Patient.identifier=*|1 or *|2"},
		"Procedure?subject.identifier=1":                {"subject=Group.identifier=*|1 or Patient.identifier=*|1"},
		"Procedure?subject.name=Peter":                  {"subject=Patient.name=peter"},
		"Procedure?patient._id=1":                       {"patient=Patient._id=1"},
		"Procedure?patient.name:missing=true":           {"patient=Patient.name:missing=true"},
		"Procedure?encounter.patient=7":                 {"encounter=Encounter.patient=Patient/7"},
		"Procedure?encounter.subject:Patient=7":         {"encounter=Encounter.subject=Patient/7"},
		"Task?focus.implicated=Procedure/1":             {"focus=DetectedIssue.implicated=Procedure/1"},
		"Observation?subject:Device.url=http://x":       {"subject=Device.url=http://x"},
		"Procedure?patient.birthdate=ge2000&patient=1":  {"patient=Patient.birthdate=ge 2000-01-01T00:00:00Z..2001-01-01T00:00:00Z", "patient=Patient/1"},
		"Procedure?subject:Patient._lastUpdated=gt2024": {"subject=Patient._lastUpdated=gt 2024-01-01T00:00:00Z..2025-01-01T00:00:00Z"},
		// https://hl7.org/fhir/R4/search.html#string
		"Patient?name=%20M%C3%BCLLER%20%20x%20":    {"name=muller x"},
		"Patient?given=a+b&family=O%E2%80%99Brien": {"given=a b", "family=o'brien"},
		`Patient?name=a\,b,c`:                      {"name=a,b or c"},
		"PlanDefinition?url=http://X/A/,urn:x":     {"url=http://X/A/ or urn:x"},
		"Patient?_id=a,b-1.2":                      {"_id=a or b-1.2"},
		// https://hl7.org/fhir/R4/search.html#date
		"Procedure?date=2024":                               {"date=eq 2024-01-01T00:00:00Z..2025-01-01T00:00:00Z"},
		"Procedure?date=ge2024-06&date=lt2024-07":           {"date=ge 2024-05-31T23:00:00Z..2024-06-30T23:00:00Z", "date=lt 2024-06-30T23:00:00Z..2024-07-31T23:00:00Z"},
		"Procedure?date=2026-03-29":                         {"date=eq 2026-03-29T00:00:00Z..2026-03-29T23:00:00Z"},
		"Procedure?date=2026-10-25":                         {"date=eq 2026-10-24T23:00:00Z..2026-10-26T00:00:00Z"},
		"Procedure?date=2026-03-29T09:30":                   {"date=eq 2026-03-29T08:30:00Z..2026-03-29T08:31:00Z"},
		"Procedure?date=ne2024-01-01T00:00:00Z":             {"date=ne 2024-01-01T00:00:00Z..2024-01-01T00:00:01Z"},
		"Procedure?date=sa2024-01-01T00:00%2B01:00":         {"date=sa 2023-12-31T23:00:00Z..2023-12-31T23:01:00Z"},
		"Procedure?date=2024-01-01T00:00+01:00":             {"date=eq 2023-12-31T23:00:00Z..2023-12-31T23:01:00Z"},
		"Procedure?date=eb2024-01-01T00:00:00.5+01:00":      {"date=eb 2023-12-31T23:00:00.5Z..2023-12-31T23:00:00.6Z"},
		"Procedure?date=gt2024-01-01T00:00:00-05:00,ap2023": {"date=gt 2024-01-01T05:00:00Z..2024-01-01T05:00:01Z or ap 2023-01-01T00:00:00Z..2024-01-01T00:00:00Z"},
		"Procedure?_lastUpdated=le2024-01-01":               {"_lastUpdated=le 2024-01-01T00:00:00Z..2024-01-02T00:00:00Z"},
		"Procedure?date=2024-12-31T23:59:60Z":               {"date=eq 2025-01-01T00:00:00Z..2025-01-01T00:00:01Z"},
	} {
		t.Run(query, func(t *testing.T) {
			q, warnings, err := parse(t, r, query, options(t))
			if err != nil || len(warnings) > 0 {
				t.Fatal(err, warnings)
			}
			var got []string
			for _, c := range q.Clauses {
				got = append(got, showClause(c))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if len(q.Applied) != len(want) || q.Count != 20 || q.Total {
				t.Errorf("%+v", q)
			}
		})
	}
}

func TestParseResultParameters(t *testing.T) {
	r := registry(t)
	for raw, want := range map[string]Query{
		"":                                  {Count: 20},
		"_count=7":                          {Count: 7, Applied: []Pair{{"_count", "7"}}},
		"_count=0":                          {Count: 0, Total: true, Applied: []Pair{{"_count", "0"}}},
		"_count=007":                        {Count: 7, Applied: []Pair{{"_count", "7"}}},
		"_count=101":                        {Count: 100, Applied: []Pair{{"_count", "100"}}},
		"_count=99999999999999999999999999": {Count: 100, Applied: []Pair{{"_count", "100"}}},
		"_total=none":                       {Count: 20, Applied: []Pair{{"_total", "none"}}},
		"_total=accurate":                   {Count: 20, Total: true, Applied: []Pair{{"_total", "accurate"}}},
		"_total=estimate":                   {Count: 20, Total: true, Applied: []Pair{{"_total", "estimate"}}},
		"_total=none&_count=0":              {Count: 0, Total: true, Applied: []Pair{{"_total", "none"}, {"_count", "0"}}},
		"_summary=count":                    {Count: 0, Total: true, Applied: []Pair{{"_summary", "count"}}},
		"_summary=count&_count=5":           {Count: 0, Total: true, Applied: []Pair{{"_summary", "count"}, {"_count", "5"}}},
		"_count=5&_summary=false":           {Count: 5, Applied: []Pair{{"_count", "5"}, {"_summary", "false"}}},
		"_cursor=a%2Bb%3D":                  {Count: 20, Cursor: "a+b="},
		"_format=json&_pretty=true":         {Count: 20, Applied: []Pair{{"_format", "json"}, {"_pretty", "true"}}},
	} {
		t.Run(raw, func(t *testing.T) {
			q, _, err := parse(t, r, "Task?"+raw, options(t))
			if err != nil {
				t.Fatal(err)
			}
			want.Type = "Task"
			if diff := cmp.Diff(want, *q); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	r := registry(t, painScore)
	many := strings.Repeat("a,", MaxValues) + "a"
	for query, reason := range map[string]string{
		"Patient?nonsense=s3cret":                              "known are _content, _id, _lastUpdated, _profile, _security",
		"Patient?s3cret%20x=1":                                 "Parameter 1: Patient has no such",
		"Patient?1234567890=1":                                 "Parameter 1:",
		"Patient?=s3cret":                                      "Parameter 1:",
		"Patient?identifier:s3cret%20=1":                       "Parameter 1:",
		"Patient?Name=s3cret":                                  "known are",
		"Patient?name=":                                        "a value is empty",
		"Patient?name":                                         "a value is empty",
		"Patient?name=s3cret,":                                 "a value is empty",
		"Patient?name=,":                                       "a value is empty",
		"Patient?name=%20%CC%81":                               "no letter or digit",
		"Patient?identifier:=s3cret":                           "colon without a modifier",
		"Patient?identifier:missing=yes":                       "true or false",
		"Patient?identifier:missing=":                          "true or false",
		"Patient?identifier:missing=true,false":                "true or false",
		"Patient?_id=s3cret!":                                  "an id has",
		"Patient?active=yes":                                   "it is true or false",
		"Patient?active:not=TRUE":                              "it is true or false",
		"Patient?deceased=1":                                   "it is true or false",
		"Patient?telecom=phone|s3cret":                         "no system",
		"PlanDefinition?version=http://s3cret|1":               "no system",
		"Patient?identifier=|":                                 "neither a system nor a code",
		"Patient?identifier=a|b|s3cret":                        "more than one |",
		`Patient?identifier=s3cret\`:                           "backslash",
		`Patient?identifier=s3cret\n`:                          "backslash",
		"Task?status=http://hl7.org/fhir/task-status|":         "every value is of this system",
		"Procedure?subject:Device=s3cret":                      "it takes :missing, :identifier, :Group and other",
		"Procedure?subject:Patient:missing=true":               "not supported here",
		"Task?focus:Nonsense=1":                                "it takes :missing, :identifier, :Patient and other",
		"Procedure?subject=Device/s3cret":                      "use Group, Patient",
		"Procedure?subject:Patient=Group/s3cret":               "use Patient",
		"Procedure?subject=s3cret/s3cret/s3cret":               "write id, Type/id",
		"Procedure?subject=Patient/s3cret%20":                  "write id, Type/id",
		"Procedure?subject=%23s3cret":                          "write id, Type/id",
		"Procedure?subject=Patient/1/_history/2":               "one version",
		"Procedure?subject=" + base + "/Patient/1/_history/2":  "one version",
		"Procedure?subject=http://x/a,,":                       "a value is empty",
		"Procedure?date=s3cret":                                "begins with eq",
		"Procedure?date=ge":                                    "not a date",
		"Procedure?date=xx2024":                                "begins with eq",
		"Procedure?date=GE2024":                                "not a date",
		"Procedure?date=2024-02-30":                            "not a date",
		"Procedure?date=2024-2-3":                              "not a date",
		"Procedure?date=gegt2024":                              "not a date",
		"Procedure?date=2024-01-01%2001:00":                    "not a date",
		"Procedure?date=2024-01-01T25:00":                      "not a date",
		"Procedure?date:below=2024":                            "takes :missing",
		"Patient?name:below=s3cret":                            "takes :missing, :exact, :contains",
		"Patient?phonetic:contains=s3cret":                     "takes :missing",
		"Patient?name:EXACT=s3cret":                            "takes :missing, :exact",
		"Patient?name:exact:contains=s3cret":                   "takes :missing, :exact",
		"Patient?name:exact=":                                  "a value is empty",
		"Patient?gender:of-type=a|b|s3cret":                    "takes :missing, :not, :in, :not-in, :above, :below",
		"Patient?gender:text=s3cret":                           "takes :missing, :not, :in",
		"Patient?active:in=http://s3cret":                      "it takes :missing, :not",
		"Patient?active:text=s3cret":                           "it takes :missing, :not",
		"Patient?identifier:of-type=a|s3cret":                  "system|code|value",
		"Patient?identifier:of-type=|b|s3cret":                 "system|code|value",
		"Patient?identifier:of-type=a|b|":                      "system|code|value",
		"Patient?identifier:in=http://s3cret":                  "takes :missing, :not, :text, :of-type",
		"Observation?code:in=http://s3cret":                    "there is none",
		"Observation?code:below=http://s3cret|1":               "there is none",
		"Patient?_id:text=s3cret":                              "it takes :missing, :not",
		"Procedure?subject:above=Patient/s3cret":               "it takes :missing, :identifier",
		"Procedure?subject:below=Patient/s3cret":               "it takes :missing, :identifier",
		"CarePlan?instantiates-canonical:below=http://s3cret":  "it takes :missing, :Activity",
		"PlanDefinition?url:below=urn:oid:1.2.s3cret":          "a URN has no path",
		"PlanDefinition?url:contains=s3cret":                   "takes :missing, :above, :below",
		"Observation?value-quantity=s3cret":                    "begins with eq",
		"Observation?value-quantity=5|mg":                      "write number, number|system|code",
		"Observation?value-quantity=5|s3cret|":                 "the unit has no code",
		"Observation?value-quantity=5||":                       "the unit has no code",
		"Observation?value-quantity=xx5||mg":                   "begins with eq",
		"Observation?value-quantity=5|a|b|s3cret":              "write number, number|system|code",
		"Observation?value-quantity:not=5":                     "it takes :missing",
		"RiskAssessment?probability=5|x|s3cret":                "not a decimal",
		"Observation?code-value-quantity=s3cret":               "a value has 2 parts with $ between them, as in code$value-quantity",
		"Observation?code-value-quantity=a$5$s3cret":           "a value has 2 parts",
		"Observation?code-value-quantity=a$":                   "a part of a value is empty",
		"Observation?code-value-quantity=a$s3cret":             "begins with eq",
		"Observation?code-value-quantity=a$5,":                 "a value has 2 parts",
		"Observation?code-value-quantity=":                     "a value is empty",
		"Observation?code-value-quantity:missing=true":         "it takes none",
		"Observation?code-value-quantity:not=a$5":              "it takes none",
		"Location?near=s3cret":                                 "write latitude|longitude",
		"Location?near=91|0":                                   "write latitude|longitude",
		"Location?near=NaN|0":                                  "write latitude|longitude",
		"Location?near=1|2|3|kg":                               "write latitude|longitude",
		"Location?near=1|2|-3|km":                              "write latitude|longitude",
		"Procedure?_has=s3cret":                                "write _has:Type:reference:parameter",
		"Procedure?_has:Observation:patient=s3cret":            "write _has:Type:reference:parameter",
		"Procedure?_has:Observation:patient:=s3cret":           "write _has:Type:reference:parameter",
		"Procedure?_has:Nonsense:patient:code=s3cret":          "not one that is served",
		"Patient?_has:Observation:nonsense:code=s3cret":        "Observation has no such",
		"Patient?_has:Observation:code:code=s3cret":            "does not refer to a Patient",
		"Procedure?_has:Observation:patient:code=s3cret":       "does not refer to a Procedure",
		"Patient?_has:Observation:patient:nonsense=s3cret":     "Observation has no such",
		"Patient?_has:Observation:patient:date=s3cret":         "begins with eq",
		"Task?part-of.part-of.part-of.part-of.part-of.code=s":  "4 links at most",
		"Patient?_query=s3cret":                                "no named queries",
		"Patient?_contained=true":                              "it can only be false",
		"Patient?_contained=both":                              "it can only be false",
		"Patient?_containedType=container":                     "not searched",
		"Patient?_type=Patient":                                "several types",
		"Patient?_list=$current-problems":                      "functional lists",
		"Patient?_list=s3cret!":                                "an id has",
		"Patient?_list:not=s3cret":                             "neither a modifier nor a chain",
		"Patient?_list=":                                       "no value",
		"Patient?_sort=s3cret":                                 "no such search parameter to sort by",
		"Patient?_sort=birthdate,":                             "no such search parameter to sort by",
		"Patient?_sort=--birthdate":                            "no such search parameter to sort by",
		"Patient?_sort:desc=birthdate":                         "takes no modifier",
		"Patient?_sort=birthdate&_sort=name":                   "more than once",
		"Patient?_sort=" + strings.Repeat("name,", 9) + "name": "more than 8 keys",
		"Observation?_sort=code-value-date":                    "type composite",
		"Location?_sort=near":                                  "type special",
		"Patient?_sort=_text":                                  "none can be sorted by",
		"Observation?_include=s3cret":                          "write Type:parameter",
		"Observation?_include=":                                "no value",
		"Observation?_include=Observation:":                    "write Type:parameter",
		"Observation?_include=Observation:a:b:c":               "write Type:parameter",
		"Observation?_include=Nonsense:patient":                "not a type that is served",
		"Observation?_include=Patient:organization":            "not a type that is searched",
		"Observation?_include=Observation:code":                "no such reference parameter",
		"Observation?_include=Observation:encounter:Patient":   "no such reference parameter",
		"Observation?_include:recurse=Observation:patient":     "it is :iterate",
		"Observation?_include:missing=Observation:patient":     "takes :iterate alone",
		"Observation?_revinclude=Flag:patient":                 "does not refer to this type",
		"Binary?_text=s3cret":                                  "Binary has no such",
		"Patient?_text=":                                       "a value is empty",
		"Patient?_text=---":                                    "a word to look for is missing",
		"Patient?_text=(s3cret":                                "a bracket is not closed",
		"Patient?_text=s3cret)":                                "a bracket is closed",
		"Patient?_text=s3cret+and":                             "a word to look for is missing",
		"Patient?_text=or+s3cret":                              "a word to look for is missing",
		"Patient?_text=not":                                    "a word to look for is missing",
		"Patient?_text=%22s3cret":                              "a quotation is not closed",
		"Patient?_text=" + strings.Repeat("(", 30) + "a":       "may have",
		"Patient?_text:contains=s3cret":                        "it takes none",
		"Procedure?status.name=s3cret":                         "only a reference",
		"Procedure?patient.nonsense=s3cret":                    "Patient has no such search parameter; known are",
		"Procedure?patient.=s3cret":                            "Patient has no such",
		"Procedure?.patient=s3cret":                            "Procedure has no such",
		"Procedure?subject:Device.identifier=s3cret":           "not one that it can refer to",
		"Procedure?subject.nonsense=s3cret":                    "no type that it can refer to",
		"Procedure?patient.birthdate=s3cret":                   "begins with eq",
		"Procedure?patient:missing.name=s3cret":                "not one that it can refer to",
		"Media?subject:Specimen.identifier=s3cret":             "no type that it can refer to",
		"Task?_count=-1":                                       "whole number",
		"Task?_count=1.5":                                      "whole number",
		"Task?_count=s3cret":                                   "whole number",
		"Task?_count=":                                         "no value",
		"Task?_count=1&_count=1":                               "more than once",
		"Task?_total=s3cret":                                   "none, estimate or accurate",
		"Task?_summary=text":                                   "count and false",
		"Task?_cursor=":                                        "no value",
		"Task?code=" + many:                                    "may have",
		"Task?" + strings.Repeat("code=a&", MaxClauses+1):      "may have",
	} {
		t.Run(query[:min(len(query), 70)], func(t *testing.T) {
			q, _, err := parse(t, r, query, options(t))
			var e *fhir.Error
			if !errors.As(err, &e) || e.Kind != fhir.BadRequest || len(e.Issues) != 1 || q != nil {
				t.Fatalf("got %v %v", q, err)
			}
			if !strings.Contains(err.Error(), reason) {
				t.Errorf("%v, want %q", err, reason)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error repeats the value: %v", err)
			}
		})
	}
	if _, _, err := r.Parse("Nonsense", nil, options(t)); fhir.KindOf(err) != fhir.NotFound {
		t.Errorf("a type that is not served: %v", err)
	}
}

func TestParseTellsEverythingAtOnce(t *testing.T) {
	_, _, err := parse(t, registry(t), "Task?nonsense=1&status=&focus:x=1&code=ok", options(t))
	var e *fhir.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	var got []string
	for _, i := range e.Issues {
		got = append(got, i.Severity+" "+i.Code+" "+strings.Join(i.Expression, ","))
	}
	want := []string{"error not-supported http.nonsense", "error value http.status", "error not-supported http.focus"}
	if !slices.Equal(got, want) {
		t.Error(got)
	}
}

func TestParseLenient(t *testing.T) {
	r := registry(t)
	o := options(t)
	o.Lenient = true
	q, warnings, err := parse(t, r, "Procedure?status=completed&nonsense=s3cret&patient.nonsense=1&_sort=date&_count=3", o)
	if err != nil {
		t.Fatal(err)
	}
	if len(q.Clauses) != 1 || len(q.Sort) != 1 || !slices.Equal(q.Applied, []Pair{{"status", "completed"}, {"_sort", "date"}, {"_count", "3"}}) {
		t.Errorf("%+v", q)
	}
	if len(warnings) != 2 || warnings[0].Severity != "warning" || !strings.Contains(warnings[0].Text, "left out") ||
		strings.Contains(fmt.Sprint(warnings), "s3cret") {
		t.Errorf("%+v", warnings)
	}
	if _, _, err := r.Parse("Task", []Pair{{"code", "a\x00"}}, o); fhir.KindOf(err) != fhir.BadRequest {
		t.Errorf("U+0000 is accepted: %v", err)
	}
	for _, query := range []string{"Procedure?date:not=a", "Procedure?_filter=nonsense+eq+1", "Procedure?_sort=nonsense", "Procedure?_include=Procedure:nonsense", "Procedure?date=x", "Procedure?status=", "Procedure?_count=x", "Procedure?nonsense=1&date=x"} {
		if _, _, err := parse(t, r, query, o); fhir.KindOf(err) != fhir.BadRequest || err == nil {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestParsePairs(t *testing.T) {
	pairs, err := ParsePairs("b=2&a=1&&b=%261+x&c&d=x=y&")
	if want := []Pair{{"b", "2"}, {"a", "1"}, {"b", "&1 x"}, {"c", ""}, {"d", "x=y"}}; err != nil || !slices.Equal(pairs, want) {
		t.Errorf("%v %v", pairs, err)
	}
	for _, raw := range []string{"a=%", "a=%zz", "%4=1", "a=%ff", "a=\xff", "a=%00", "%00=a"} {
		if _, err := ParsePairs(raw); err == nil || fhir.KindOf(err) != fhir.BadRequest {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func TestEscapeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringOf(rapid.SampledFrom([]rune(`ab,|$\ é`))), 1, 4).Draw(t, "words")
		var escaped []string
		for _, w := range words {
			escaped = append(escaped, Escape(w))
		}
		for _, sep := range []string{",", "|"} {
			got, err := unescapeParts(strings.Join(escaped, sep), sep[0])
			if err != nil || !slices.Equal(got, words) {
				t.Fatalf("%q: %q %v", words, got, err)
			}
		}
	})
}

// What a resource has under a parameter is found by asking for it.
func TestWhatIsIndexedIsAskedFor(t *testing.T) {
	r := registry(t)
	word := rapid.StringMatching(`[A-Za-zÀ-ÿ0-9,|$\\ ]{0,8}[A-Za-z]`)
	rapid.Check(t, func(t *rapid.T) {
		system, value, name := word.Draw(t, "system"), word.Draw(t, "value"), word.Draw(t, "name")
		n, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Patient","identifier":[{"system":%q,"value":%q}],"name":[{"family":%q}]}`, system, value, name))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := r.Extract(n, time.UTC, base)
		if err != nil {
			t.Fatal(err)
		}
		q, _, err := r.Parse("Patient", []Pair{{"identifier", Escape(system) + "|" + Escape(value)}, {"family", Escape(name)}}, Options{Zone: time.UTC})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range q.Clauses {
			v := c.Values[0]
			if !slices.ContainsFunc(rows, func(row Row) bool {
				return row.Param == c.Param && row.System == v.System && row.Value == v.Value
			}) {
				t.Fatalf("%+v is not among %+v", c, rows)
			}
		}
	})
}

func TestFold(t *testing.T) {
	for s, want := range map[string]string{
		"Müller": "muller", "MU\u0308LLER": "muller", "  a \t\n b\u00a0c ": "a b c", "Straße": "strasse", "STRASSE": "strasse",
		"Łódź": "lodz", "Ærøskøbing": "aeroskobing", "Þór": "thor", "ﬁn": "fin", "ＡＢＣ": "abc", "İstanbul": "istanbul", "ISTANBUL": "istanbul",
		"ılıca": "ilica", "Ὀδυσσεύς": "οδυσσευσ", "ΟΔΥΣΣΕΥΣ": "οδυσσευσ", "Йод": "иод", "O’Brien": "o'brien", "Anne–Marie": "anne-marie",
		"مُحَمَّد": "محمد", "שָׁלוֹם": "שלום", "がぎ": "か\u3099き\u3099", "कुमार": "कुमार", "": "", " ": "", "\u0301": "", "NGUYỄN": "nguyen", "Ꭰ": "ꭰ", "ꭰ": "ꭰ", "Ñandú": "nandu",
	} {
		if got := Fold(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		if once := Fold(s); Fold(once) != once {
			t.Fatalf("%q: %q, then %q", s, once, Fold(once))
		}
		if Fold(strings.ToUpper(s)) != Fold(s) && ascii(s) {
			t.Fatalf("%q: case counts", s)
		}
	})
}
