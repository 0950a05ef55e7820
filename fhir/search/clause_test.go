package search

import (
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"

	"github.com/google/go-cmp/cmp"
)

const activityCodeDate = `{"resourceType":"SearchParameter","url":"https://x/activity-code-date","code":"activity-code-date","base":["CarePlan"],"type":"composite",
	"expression":"CarePlan.activity","component":[
		{"definition":"http://hl7.org/fhir/SearchParameter/CarePlan-activity-code","expression":"detail.code"},
		{"definition":"http://hl7.org/fhir/SearchParameter/CarePlan-activity-date","expression":"detail.scheduled"}]}`

// terms is a terminology of one value set and one hierarchy.
func terms(o Options) Options {
	code := func(c string) Value { return Value{System: "http://t", Value: c} }
	o.Expand = func(set string) ([]Value, error) {
		switch set {
		case "http://vs":
			return []Value{code("a"), code("b"), {System: "http://hl7.org/fhir/administrative-gender", Value: "male"}}, nil
		case "http://none":
			return nil, nil
		}
		return nil, fhir.Errorf(fhir.BadRequest, "not-supported", "", "This ValueSet is not known")
	}
	o.Subsumed = func(system, c string, above bool) ([]Value, error) {
		if above {
			return []Value{code(c), code("top")}, nil
		}
		return []Value{code(c), code("leaf")}, nil
	}
	return o
}

func TestClauses(t *testing.T) {
	r := registry(t, painScore, activityCodeDate)
	kinds := make(map[Kind]bool)
	for query, want := range map[string]string{
		// https://hl7.org/fhir/R4/search.html#modifiers
		"Patient?gender:not=male,female":                         "gender:not=*|male or *|female",
		"Patient?_id:not=1":                                      "not _id=1",
		"Patient?general-practitioner:missing=false":             "(general-practitioner:missing=false or general-practitioner:identifier:missing=false)",
		"PlanDefinition?version=1.0-RC%C3%84":                    "version=*|1.0-rcä",
		"PlanDefinition?version=%7C1.0-RC":                       "version=|1.0-rc",
		`PlanDefinition?version=A\|B`:                            "version=*|a|b",
		"Patient?_id:missing=true":                               "not _lastUpdated=always",
		"Patient?_lastUpdated:missing=false":                     "_lastUpdated=always",
		"Observation?code:text=Heart  Rate,x":                    "code:text=heart rate or x",
		"Patient?identifier:of-type=http://t|MR|12345":           "identifier:of-type=http://t|MR|12345",
		`Patient?identifier:of-type=http://t|M\|R|1\,2`:          `identifier:of-type=http://t|M\|R|1\,2`,
		"Procedure?subject:identifier=http://x|1,2":              "subject:identifier=http://x|1 or *|2",
		"Patient?name:exact=Ann %C3%89,b":                        "name:exact=Ann É or b",
		"Patient?name:contains=%C3%89v":                          "(name:contains=ev or name:contains:contains=ev)",
		"PlanDefinition?url:below=http://x/a":                    "url:below=http://x/a",
		"PlanDefinition?url:above=http://x/a":                    "url:above=http://x/a",
		"Observation?code:in=http://vs":                          "code=http://t|a or http://t|b or http://hl7.org/fhir/administrative-gender|male",
		"Observation?code:not-in=http://vs":                      "code:not=http://t|a or http://t|b or http://hl7.org/fhir/administrative-gender|male",
		"Observation?code:in=http://none":                        "not _lastUpdated=always",
		"Observation?code:not-in=http://none":                    "not not _lastUpdated=always",
		"Patient?gender:in=http://vs":                            "gender=|male",
		"Observation?code:below=http://t|x":                      "code=http://t|x or http://t|leaf",
		"Observation?code:above=http://t|x":                      "code=http://t|x or http://t|top",
		"Patient?phonetic=Smyth":                                 "phonetic=s530",
		"Location?near:missing=true":                             "near:latitude:missing=true",
		"Patient?_tag=http://t|x&_tag:not=y":                     "_tag=http://t|x & _tag:not=*|y",
		"Patient?_profile=http://p&_source:below=http://s":       "_profile=http://p & _source:below=http://s",
		"Patient?_security:missing=false&deceased=false":         "(_security:missing=false or _security:text:missing=false) & deceased=*|false",
		"Patient?_list=42,43":                                    "has List.item (_id=42 or 43)",
		"Observation?patient._list=42":                           "patient=Patient.has List.item (_id=42)",
		"Observation?pain-score=ge7":                             "pain-score=ge 7 [6.5, 7.5) *",
		"RiskAssessment?probability=gt0.8":                       "probability=gt 0.8 [0.75, 0.85) *",
		"Observation?value-quantity=5.4":                         "value-quantity=eq 5.4 [5.35, 5.45) *",
		"Observation?value-quantity=5.40||mg":                    "value-quantity=eq 5.4 [5.395, 5.405) *|mg",
		"Observation?value-quantity=5.4|http://x|mg":             "value-quantity=eq 5.4 [5.35, 5.45) http://x|mg",
		"Observation?value-quantity=6|" + ucumURL + "|{score}":   "value-quantity=eq 6 [5.5, 6.5) " + ucumURL + "|{score}",
		"Observation?value-quantity=le5000|" + ucumURL + "|mg":   "value-quantity:canonical=le 5 [4.9995, 5.0005) |g",
		"Observation?value-quantity=98.6|" + ucumURL + "|[degF]": "value-quantity:canonical=eq 310.15 [310.1222222222222, 310.1777777777778) |K",
		"Observation?value-quantity=5|" + ucumURL + "|mg,6|" + ucumURL + "|{score},7|" + ucumURL + "|g": "(value-quantity:canonical=eq 0.005 [0.0045, 0.0055) |g or eq 7 [6.5, 7.5) |g" +
			" or value-quantity=eq 6 [5.5, 6.5) " + ucumURL + "|{score})",
		// https://hl7.org/fhir/R4/search.html#composite
		"Observation?code-value-quantity=http://loinc.org|1$gt5": "(code=http://loinc.org|1 and code-value-quantity$2=gt 5 [4.5, 5.5) *)",
		`Observation?code-value-string=a\$b\,c$X`:                "(code=*|a$b,c and code-value-string$2=x)",
		"Observation?code-value-concept=a$b,c$|d":                "((code=*|a and value-concept=*|b) or (code=*|c and value-concept=|d))",
		"Observation?code-value-date=a$ge2024":                   "(code=*|a and value-date=ge 2024-01-01T00:00:00Z..2025-01-01T00:00:00Z)",
		"Observation?component-code-value-quantity=a$lt5||mm[Hg],b$7|" + ucumURL + "|kPa": "(together (component-code-value-quantity$1=*|a and component-code-value-quantity$2=lt 5 [4.5, 5.5) *|mm[Hg])" +
			" or together (component-code-value-quantity$1=*|b and component-code-value-quantity$2:canonical=eq 7e+06 [6.5e+06, 7.5e+06) |g.m-1.s-2))",
		"Observation?combo-code-value-concept=a$b":                                  "together (combo-code-value-concept$1=*|a and combo-code-value-concept$2=*|b)",
		"CarePlan?activity-code-date=a$ge2024":                                      "together (activity-code-date$1=*|a and activity-code-date$2=ge 2024-01-01T00:00:00Z..2025-01-01T00:00:00Z)",
		"Group?characteristic-value=a$b":                                            "together (characteristic-value$1=*|a and characteristic-value$2=*|b)",
		"DocumentReference?relationship=replaces$7":                                 "together (relationship$1=*|replaces and relationship$2=DocumentReference/7)",
		"PlanDefinition?context-type-quantity=age$ge18":                             "together (context-type-quantity$1=*|age and context-type-quantity$2=ge 18 [17.5, 18.5) *)",
		"Procedure?subject:Patient._has:Observation:subject:code-value-date=a$2024": "subject=Patient.has Observation.subject ((code=*|a and value-date=eq 2024-01-01T00:00:00Z..2025-01-01T00:00:00Z))",
		// https://hl7.org/fhir/R4/search.html#chaining
		"Observation?encounter.service-provider.name=x":                      "encounter=Encounter.service-provider=Organization.name=x",
		"Observation?encounter.part-of.part-of.service-provider.name=x":      "encounter=Encounter.part-of=Encounter.part-of=Encounter.service-provider=Organization.name=x",
		"Observation?subject:Patient.organization:Organization.name:exact=X": "subject=Patient.organization=Organization.name:exact=X",
		"row 14: Observation?patient.identifier=http://x|1":                  "patient=Patient.identifier=http://x|1",
		"row 17: Observation?patient.name:missing=true":                      "patient=Patient.name:missing=true",
		"row 17: Observation?patient.gender:not=male":                        "patient=Patient.gender:not=*|male",
		"row 17: Observation?patient._id:missing=true":                       "patient=Patient.not _lastUpdated=always",
		// https://hl7.org/fhir/R4/search.html#has
		"Patient?_has:Observation:patient:code=1234-5":                                 "has Observation.patient (code=*|1234-5)",
		"Patient?_has:Observation:patient:_has:Provenance:target:agent=Practitioner/5": "has Observation.patient (has Provenance.target (agent=Practitioner/5))",
		"Patient?_has:Observation:patient:encounter.status=planned":                    "has Observation.patient (encounter=Encounter.status=*|planned)",
		"Encounter?patient._has:Group:member:_id=102":                                  "patient=Patient.has Group.member (_id=102)",
		"row 16: Patient?_has:Procedure:patient:date=ge2024":                           "has Procedure.patient (date=ge 2024-01-01T00:00:00Z..2025-01-01T00:00:00Z)",
		"row 16: Patient?_has:Observation:subject:value-quantity=lt5":                  "has Observation.subject (value-quantity=lt 5 [4.5, 5.5) *)",
		"row 10: Patient?_has:Task:patient:status=a&_has:Task:patient:status=b":        "has Task.patient (status=*|a) & has Task.patient (status=*|b)",
		// https://hl7.org/fhir/R4/search.html#content
		"Patient?_text=Bone%20marrow":                     "_text=bone + marrow",
		"Patient?_content=(bone OR liver) and metastases": "((_content=bone or _content=liver) and _content=metastases)",
		"Patient?_text=%22left%20femur-stem%22 not pin":   "(not _text=pin and _text=left femur stem)",
		"Patient?_text=a b or c not (d or e)":             "(_text=a + b or (not (_text=d or _text=e) and _text=c))",
		"Patient?_text=- x":                               "_text=x",
		// https://hl7.org/fhir/R4/location.html#search
		"Location?near=60|10|0|km": "((near:latitude=ge 60 [60, 60) * and near:latitude=le 60 [60, 60) *) and (near:longitude=ge 10 [10, 10) * and near:longitude=le 10 [10, 10) *))",
	} {
		t.Run(query, func(t *testing.T) {
			if _, row, ok := strings.Cut(query, ": "); ok && strings.HasPrefix(query, "row ") {
				query = row
			}
			q, warnings, err := parse(t, r, strings.ReplaceAll(query, "+", "%2B"), terms(options(t)))
			if err != nil || len(warnings) > 0 {
				t.Fatal(err, warnings)
			}
			var got []string
			for _, c := range q.Clauses {
				got = append(got, showClause(c))
			}
			shown := strings.Join(got, " & ")
			if diff := cmp.Diff(want, shown); diff != "" {
				t.Error(diff)
			}
			each(q.Clauses, func(c *Clause) {
				if c.Param != nil {
					kinds[c.Param.Kind] = true
				}
			})
		})
	}
	for _, k := range []Kind{Token, Reference, Date, String, URI, Number, Quantity, ID, LastUpdated, Text} {
		if !kinds[k] {
			t.Errorf("no clause of type %s", k.Name())
		}
	}
}

const ucumURL = "http://unitsofmeasure.org"

// each calls do for each clause, and those that it is made of.
func each(clauses []Clause, do func(*Clause)) {
	for i := range clauses {
		c := &clauses[i]
		do(c)
		each(c.All, do)
		each(c.Any, do)
		each(c.Together, do)
		if c.Not != nil {
			each([]Clause{*c.Not}, do)
		}
		if c.Has != nil {
			each([]Clause{c.Has.Clause}, do)
		}
		for _, ch := range c.Chain {
			each([]Clause{ch.Clause}, do)
		}
	}
}

func TestTerminologyErrors(t *testing.T) {
	r := registry(t)
	o := terms(options(t))
	if _, _, err := parse(t, r, "Observation?code:in=http://other", o); fhir.KindOf(err) != fhir.BadRequest || !strings.Contains(err.Error(), "is not known") {
		t.Error(err)
	}
	if _, _, err := parse(t, r, "Observation?code:in=nonsense", o); err == nil {
		t.Error("accepted")
	}
	for _, raw := range []string{"x", "|x", "http://t|"} {
		if _, _, err := parse(t, r, "Observation?code:below="+raw, o); fhir.KindOf(err) != fhir.BadRequest || !strings.Contains(err.Error(), "write system|code") {
			t.Error(raw, err)
		}
	}
	o.Expand = func(string) ([]Value, error) { return nil, fhir.Errorf(fhir.Internal, "exception", "", "disk") }
	if _, _, err := parse(t, r, "Observation?code:in=http://vs&date=x", o); fhir.KindOf(err) != fhir.Internal || err == nil {
		t.Error(err)
	}
	o.Expand = func(string) ([]Value, error) { return make([]Value, MaxValues+1), nil }
	if _, _, err := parse(t, r, "Observation?code:in=http://vs", o); err == nil || !strings.Contains(err.Error(), "may have") {
		t.Error(err)
	}
}

func TestNear(t *testing.T) {
	for _, c := range []struct {
		raw                 string
		latitude, longitude float64
		want                bool
	}{
		{"51.5|-0.1|10|km", 51.5, -0.1, true},
		{"51.5|-0.1|10|km", 51.58, -0.1, true},
		{"51.5|-0.1|10|km", 51.6, -0.1, false},
		{"51.5|-0.1|10", 51.5, 0.04, true},
		{"51.5|-0.1|10", 51.5, 0.06, false},
		{"51.5|-0.1|6|[mi_i]", 51.58, -0.1, true},
		{"51.5|-0.1|10000|m", 51.58, -0.1, true},
		{"51.5|-0.1", 51.9, -0.1, true},
		{"51.5|-0.1||", 52.5, -0.1, false},
		{"0|179.9|100|km", 0, -179.9, true},
		{"0|-179.9|100|km", 0, 179.9, true},
		{"0|179.9|100|km", 0, 179.5, true},
		{"0|179.9|100|km", 0, 178, false},
		{"89.9|0|100|km", 89.5, 180, true},
		{"-89.9|0|100|km", -89.5, -90, true},
		{"51.5|-0.1|0|km", 51.5, -0.1, true},
		{"1|1|5|km,51.5|-0.1|10|km", 51.5, -0.1, true},
	} {
		q, _, err := parse(t, registry(t), "Location?near="+c.raw, options(t))
		if err != nil {
			t.Fatal(c.raw, err)
		}
		var holds func(c Clause, lat, long float64) bool
		holds = func(cl Clause, lat, long float64) bool {
			if len(cl.All) > 0 {
				return !slices.ContainsFunc(cl.All, func(c Clause) bool { return !holds(c, lat, long) })
			}
			if len(cl.Any) > 0 {
				return slices.ContainsFunc(cl.Any, func(c Clause) bool { return holds(c, lat, long) })
			}
			x := lat
			if strings.HasSuffix(cl.Param.Code, "longitude") {
				x = long
			}
			if v := cl.Values[0]; v.Prefix == Ge {
				return x >= v.Number
			}
			return x <= cl.Values[0].Number
		}
		if got := holds(q.Clauses[0], c.latitude, c.longitude); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestSortAndIncludes(t *testing.T) {
	r := registry(t)
	show := func(q *Query) string {
		var out []string
		for _, k := range q.Sort {
			out = append(out, map[bool]string{true: "-"}[k.Descending]+k.Param.Code)
		}
		for _, in := range q.Include {
			s := map[bool]string{true: "rev "}[in.Reverse] + map[bool]string{true: "iterate "}[in.Iterate]
			for i, p := range in.Params {
				if i < 2 {
					s += p.Key() + " "
				}
			}
			out = append(out, s+in.Target)
		}
		return strings.Join(out, ", ")
	}
	for query, want := range map[string]string{
		"Observation?_sort=-date,code,_id,-_lastUpdated,value-quantity":                   "-date, code, _id, -_lastUpdated, value-quantity",
		"Observation?_include=Observation:patient":                                        "Observation.patient ",
		"Observation?_include=Observation:subject:Patient":                                "Observation.subject Patient",
		"row 10: Observation?_include=Observation:patient&_include=Observation:encounter": "Observation.patient , Observation.encounter ",
		"Observation?_include:iterate=Patient:organization":                               "iterate Patient.organization ",
		"Observation?_include=Observation:*":                                              "Observation.based-on Observation.derived-from ",
		"Observation?_include=*":                                                          "Observation.based-on Observation.derived-from ",
		"Observation?_include:iterate=*":                                                  "iterate Patient.general-practitioner Patient.link ",
		"Patient?_revinclude=Observation:patient":                                         "rev Observation.patient ",
		"Patient?_revinclude=Observation:subject:Patient":                                 "rev Observation.subject Patient",
		"Patient?_revinclude=Provenance:target":                                           "rev Provenance.target ",
		"Patient?_revinclude=Flag:*":                                                      "rev Flag.author Flag.patient ",
		"Patient?_revinclude:iterate=Provenance:target":                                   "rev iterate Provenance.target ",
		"BodyStructure?_revinclude=*":                                                     "rev Condition.evidence-detail Task.based-on ",
	} {
		t.Run(query, func(t *testing.T) {
			if _, row, ok := strings.Cut(query, ": "); ok {
				query = row
			}
			q, _, err := parse(t, r, query, options(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, show(q)); diff != "" {
				t.Error(diff)
			}
		})
	}
	q, _, err := parse(t, r, "Patient?_revinclude=*", options(t))
	if err != nil || len(q.Include[0].Params) < 50 || slices.ContainsFunc(q.Include[0].Params, func(p *Parameter) bool { return p.Key() == "Encounter.location" }) {
		t.Error(err, len(q.Include[0].Params))
	}
}

func TestSeveralTypes(t *testing.T) {
	r := registry(t)
	ask := func(types []string, raw string) (*Query, error) {
		pairs, err := ParsePairs(raw)
		if err != nil {
			t.Fatal(err)
		}
		q, _, err := r.ParseTypes(types, pairs, options(t))
		return q, err
	}
	q, err := ask(nil, "_lastUpdated=gt2024&_id=1&_sort=-_lastUpdated&_count=3")
	if err != nil || q.Type != "" || len(q.Parts) != len(fhir.StoredTypes()) || q.Count != 3 || len(q.Clauses) != 0 {
		t.Fatal(err)
	}
	for _, part := range q.Parts {
		if len(part.Clauses) != 2 || part.Clauses[0].Param.Type != part.Type || len(part.Sort) != 1 || part.Sort[0].Param.Type != part.Type {
			t.Errorf("%+v", part)
		}
	}
	q, err = ask(nil, "_type=Procedure,Observation&patient=1&_has:Provenance:target:agent=x&_sort=date&_include=Observation:patient")
	if err != nil || len(q.Parts) != 2 || q.Applied[0] != (Pair{"_type", "Procedure,Observation"}) || len(q.Applied) != 5 {
		t.Fatalf("%+v %v", q, err)
	}
	if got := showClause(q.Parts[0].Clauses[0]); got != "patient=Patient/1" {
		t.Error(got)
	}
	q, err = ask([]string{"Observation", "Procedure"}, "_type=Procedure&status=x")
	if err != nil || len(q.Parts) != 1 || q.Parts[0].Type != "Procedure" {
		t.Errorf("%+v %v", q, err)
	}
	for raw, reason := range map[string]string{
		"_type=AuditEvent":                         "not all of these are resource types",
		"_type=Nonsense":                           "not all of these are resource types",
		"_type=":                                   "not all of these are resource types",
		"_type=Patient&_type=Task":                 "more than once",
		"birthdate=2024":                           "with _type, ask for some of Patient, RelatedPerson",
		"_type=Patient,Flag&birthdate=2024":        "with _type, ask for some of Patient",
		"_type=Patient,Flag&nonsense=1":            "no type that is searched has it",
		"_sort=date":                               "no such search parameter to sort by",
		"_type=Patient,Flag&_revinclude=Flag:code": "no such reference parameter",
	} {
		if q, err := ask(nil, raw); fhir.KindOf(err) != fhir.BadRequest || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %+v %v", raw, q, err)
		}
	}
	if _, err := ask([]string{"Observation"}, "_type=Patient"); err == nil {
		t.Error("a type outside the compartment is accepted")
	}
}

// What would take long is refused before it does.
func TestCostly(t *testing.T) {
	r := registry(t)
	for _, query := range []string{
		"Basic?subject.subject.subject.subject._id=1",
		"Task?_filter=" + strings.Repeat("(", 1000) + "code eq 1" + strings.Repeat(")", 1000),
		"Task?_filter=" + strings.Repeat("not ", 1000) + "code eq 1",
		"Task?_filter=code eq 1" + strings.Repeat(" or code eq 1", MaxClauses),
		"Task?_text=" + strings.Repeat("not ", 1000) + "x",
		"Task?_text=" + strings.Repeat("x ", MaxValues+1),
		"Observation?code-value-date=" + strings.Repeat("a$2024,", MaxValues) + "a$2024",
		"Location?near=" + strings.Repeat("1|2,", MaxValues) + "1|2",
		"Task?_list=" + strings.Repeat("1,", MaxValues) + "1",
	} {
		_, _, err := parse(t, r, strings.ReplaceAll(query, " ", "+"), options(t))
		var e *fhir.Error
		if err == nil || fhir.KindOf(err) != fhir.BadRequest {
			t.Errorf("%.60s: %v", query, err)
		} else if !asError(err, &e) || e.Issues[0].Code != "too-costly" {
			t.Errorf("%.60s: %+v", query, err)
		}
	}
}

func asError(err error, e **fhir.Error) bool {
	var ok bool
	*e, ok = err.(*fhir.Error)
	return ok
}
