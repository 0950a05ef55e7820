package conformance

import (
	"slices"
	"strings"
	"testing"
)

// emptyParameters is the body of an operation without parameters.
const emptyParameters = `{"resourceType":"Parameters"}`

// metaParameters is the body of $meta-add and $meta-delete: one tag.
const metaParameters = `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"system":"urn:conformance","code":"x"}]}}]}`

// How each operation of R4's that may be listed is called on an instance of a type
// (https://hl7.org/fhir/R4/operationslist.html): what it does where it is listed is in
// TestOperations.
var operationTries = map[string]func(s *server, t *testing.T, typ, id string) answer{
	"everything": func(s *server, t *testing.T, typ, id string) answer {
		return s.send(t, "GET /"+typ+"/"+id+"/$everything", "")
	},
	"proof": func(s *server, t *testing.T, typ, id string) answer {
		return s.send(t, "GET /"+typ+"/"+id+"/$proof", "")
	},
	"checkpoint": func(s *server, t *testing.T, typ, _ string) answer {
		return s.send(t, "GET /"+typ+"/$checkpoint", "")
	},
	"completeness": func(s *server, t *testing.T, typ, _ string) answer {
		return s.send(t, "GET /"+typ+"/$completeness?patient=none", "")
	},
	"consistency": func(s *server, t *testing.T, typ, _ string) answer {
		return s.send(t, "GET /"+typ+"/$consistency?from=1&to=1", "")
	},
	"meta": func(s *server, t *testing.T, typ, id string) answer {
		return s.send(t, "GET /"+typ+"/"+id+"/$meta", "")
	},
	"meta-add": func(s *server, t *testing.T, typ, id string) answer {
		return s.send(t, "POST /"+typ+"/"+id+"/$meta-add", metaParameters)
	},
	"meta-delete": func(s *server, t *testing.T, typ, id string) answer {
		return s.send(t, "POST /"+typ+"/"+id+"/$meta-delete", metaParameters)
	},
	"lastn": func(s *server, t *testing.T, typ, _ string) answer {
		return s.send(t, "GET /"+typ+"/$lastn?patient=Patient/none&code=http://loinc.org|72514-3", "")
	},
	"stats": func(s *server, t *testing.T, typ, _ string) answer {
		return s.send(t, "POST /"+typ+"/$stats", statsParameters("none", "maximum"))
	},
	"document": func(s *server, t *testing.T, typ, id string) answer {
		return s.send(t, "GET /"+typ+"/"+id+"/$document", "")
	},
	"explain": func(s *server, t *testing.T, typ, id string) answer {
		return s.send(t, "GET /"+typ+"/"+id+"/$explain", "")
	},
	"pain-course": func(s *server, t *testing.T, typ, id string) answer {
		return s.send(t, "GET /"+typ+"/"+id+"/$pain-course", "")
	},
	"extract": func(s *server, t *testing.T, typ, id string) answer {
		return s.send(t, "POST /"+typ+"/$extract", answeredDiary)
	},
	"interpret": func(s *server, t *testing.T, typ, id string) answer {
		return s.send(t, "GET /"+typ+"/"+id+"/$interpret", "")
	},
	"interpret-pain": func(s *server, t *testing.T, typ, id string) answer {
		return s.send(t, "POST /"+typ+"/"+id+"/$interpret-pain", painSent("single-stage"))
	},
	"validate": func(s *server, t *testing.T, typ, id string) answer {
		return s.send(t, "POST /"+typ+"/$validate", `{"resourceType":"`+typ+`"}`)
	},
	"apply": func(s *server, t *testing.T, typ, id string) answer {
		return s.send(t, "POST /"+typ+"/"+id+"/$apply", emptyParameters)
	},
	"expand":            nil,
	"translate":         nil,
	"lookup":            nil,
	"validate-code":     nil,
	"subsumes":          nil,
	"match":             nil,
	"convert":           nil,
	"graphql":           nil,
	"snapshot":          nil,
	"data-requirements": nil,
	"evaluate":          nil,
	"export":            nil,
	"conforms":          nil,
	"implements":        nil,
	"subset":            nil,
	"versions":          nil,
}

// answeredDiary is a response to the pain diary.
const answeredDiary = `{"resourceType":"QuestionnaireResponse","questionnaire":"https://aftercare.example/fhir/Questionnaire/pain-diary","status":"completed",
 "subject":{"reference":"Patient/none"},"authored":"2026-07-02T08:30:00+01:00","item":[{"linkId":"pain","item":[{"linkId":"score","answer":[{"valueInteger":6}]}]}]}`

// Each operation that a type lists answers, and each that it does not list is refused.
func TestListedOperationsAreTrue(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		m := readStatement(t, s)
		bodies := minimal(t)
		for typ, r := range m.resources {
			id, body := "operated", bodies[typ]
			if body == "" {
				id = firstEvent
			}
			if typ == "Composition" { // its subject and author are part of the document
				s.send(t, "PUT /Patient/none", patient("none", ""))
				s.send(t, "PUT /Practitioner/none", `{"resourceType":"Practitioner","id":"none"}`)
			}
			exists(t, s, typ, body, id)
			for name, try := range operationTries {
				listed := slices.Contains(r.operations, name)
				var a answer
				switch {
				case try != nil:
					a = try(s, t, typ, id)
				case listed:
					t.Errorf("%s lists $%s, which is not tried here", typ, name)
					continue
				default:
					a = s.send(t, "POST /"+typ+"/"+id+"/$"+name, emptyParameters)
				}
				if listed && a.status != 200 {
					t.Errorf("%s lists $%s, but answers %d: %.300s", typ, name, a.status, a.body)
				}
				if !listed && a.status != 404 && a.status != 405 {
					t.Errorf("%s does not list $%s, but answers %d", typ, name, a.status)
				}
			}
			for _, name := range r.operations {
				if _, known := operationTries[name]; !known {
					t.Errorf("%s lists $%s, which is not tried here", typ, name)
				}
			}
		}
		for name := range operationTries {
			a := s.send(t, "GET /$"+name, "")
			if name == "interpret-pain" {
				a = s.send(t, "POST /$"+name, painSent("single-stage"))
			}
			if listed := slices.Contains(m.operations, name); listed != (a.status == 200) {
				t.Errorf("$%s of the system: listed is %t, but answers %d", name, listed, a.status)
			}
		}
	})
}

// The operations that every client may rely on are listed.
func TestOperationsAreListed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		m := readStatement(t, s)
		for typ, names := range map[string][]string{
			"Patient": {"everything", "pain-course", "meta", "meta-add", "meta-delete"}, "Observation": {"lastn", "stats", "interpret"}, "Composition": {"document"}, "CarePlan": {"explain"},
			"QuestionnaireResponse": {"extract"},
		} {
			for _, name := range names {
				if !slices.Contains(m.resources[typ].operations, name) {
					t.Errorf("%s does not list $%s", typ, name)
				}
			}
		}
	})
}

// observed is an Observation with a LOINC code, about a patient, at a time, with a value.
func observed(id, subject, code, at, value string) string {
	return `{"resourceType":"Observation","id":"` + id + `","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"` + code + `"}]},
	 "subject":{"reference":"Patient/` + subject + `"},"effectiveDateTime":"` + at + `","valueQuantity":{"value":` + value + `,"system":"http://unitsofmeasure.org","code":"{score}"}}`
}

// sorted are the values at a path in alphabetical order, since the order of some answers
// is nobody's to rely on.
func (a answer) sorted(path string) string {
	values := strings.Split(a.at(path), ",")
	slices.Sort(values)
	return strings.Join(values, ",")
}

func TestEverything(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.must(t, 200, "POST ", bundle("transaction",
			entry("PUT Practitioner/pr", `{"resourceType":"Practitioner","id":"pr"}`),
			entry("PUT Patient/a", patient("a", `"generalPractitioner":[{"reference":"Practitioner/pr"}]`)),
			entry("PUT Patient/b", patient("b", "")),
			entry("PUT Condition/undated", condition("undated", "Patient/a", "")),
			entry("PUT Observation/march", observed("march", "a", "72514-3", "2026-03-02T08:00:00Z", "7")),
			entry("PUT Observation/may", observed("may", "a", "72514-3", "2026-05-02T08:00:00Z", "2")),
			entry("PUT Observation/other", observed("other", "b", "72514-3", "2026-03-02T08:00:00Z", "1"))))
		since := s.must(t, 200, "GET /Observation/may", "").at("meta.lastUpdated")
		s.must(t, 201, "PUT /Condition/later", condition("later", "Patient/a", `,"recordedDate":"2026-06-01"`))

		for line, want := range map[string]string{
			"GET /Patient/a/$everything":                                         "a,later,march,may,pr,undated",
			"POST /Patient/a/$everything":                                        "a,later,march,may,pr,undated",
			"GET /Patient/b/$everything":                                         "b,other",
			"GET /Patient/a/$everything?_type=Observation":                       "march,may",
			"GET /Patient/a/$everything?_type=Observation,Condition":             "later,march,may,undated",
			"GET /Patient/a/$everything?_type=Observation&start=2026-04-01":      "may",
			"GET /Patient/a/$everything?_type=Observation&end=2026-04-01":        "march",
			"GET /Patient/a/$everything?_type=Observation&end=2026-05-02":        "march,may",
			"GET /Patient/a/$everything?_type=Condition&_since=2999-01-01":       "",
			"GET /Patient/a/$everything?_type=Condition,Patient&_since=" + since: "a,later,undated",
			// The least that there is in an answer is the patient, however old.
			"GET /Patient/a/$everything?_since=2999-01-01": "a",
		} {
			body := ""
			if strings.HasPrefix(line, "POST") {
				body = emptyParameters
			}
			a := s.send(t, line, body)
			if a.status != 200 || a.at("type") != "searchset" || a.sorted("entry.resource.id") != want {
				t.Errorf("%s: %d %s, want %s: %.300s", line, a.status, a.sorted("entry.resource.id"), want, a.body)
			}
		}
		t.Run("the pages are together all", func(t *testing.T) {
			var ids []string
			for next := "GET /Patient/a/$everything?_count=2"; next != ""; {
				a := s.send(t, next, "")
				if a.status != 200 || len(ids) > 20 {
					t.Fatalf("%d %.300s", a.status, a.body)
				}
				if page := a.at("entry.resource.id"); page != "" {
					ids = append(ids, strings.Split(page, ",")...)
				}
				if next = linkOf(a, "next"); next != "" {
					next = "GET " + next
				}
			}
			if ids[0] != "a" {
				t.Errorf("the patient is not first: %v", ids)
			}
			slices.Sort(ids)
			if got := strings.Join(ids, ","); got != "a,later,march,may,pr,undated" {
				t.Errorf("%s", got)
			}
		})
		run(t, s, []exchange{
			{name: "an unknown patient", line: "GET /Patient/none/$everything", status: 404},
			{name: "a start that is no date", line: "GET /Patient/a/$everything?start=spring", status: 400},
			{name: "an unknown type", line: "GET /Patient/a/$everything?_type=Spaceship", status: 400},
			{name: "an unknown parameter", line: "GET /Patient/a/$everything?colour=red", status: 400},
			{name: "a count that is none", line: "GET /Patient/a/$everything?_count=few", status: 400, want: []string{"issue.expression = http._count"}},
			{name: "a page link that is none", line: "GET /Patient/a/$everything?_cursor=abc", status: 400, want: []string{"issue.expression = http._cursor"}},
			{name: "a count of 0 is the number alone", line: "GET /Patient/a/$everything?_count=0", status: 200, want: []string{"type = searchset", "total = 5", "entry = ", "link.relation = self"}},
			{name: "of a type", line: "GET /Patient/a/$everything?_count=0&_type=Observation", status: 200, want: []string{"total = 2", "entry = "}},
			{name: "of nobody", line: "GET /Patient/none/$everything?_count=0", status: 404},
			{name: "of another type", line: "GET /Practitioner/pr/$everything", status: 404},
			{name: "a patient is deleted", line: "DELETE /Patient/b", status: 204},
			{name: "a deleted patient", line: "GET /Patient/b/$everything", status: 410},
		})
	})
}

func TestMeta(t *testing.T) {
	const tag = "parameter.valueMeta.tag.code"
	onEachEngine(t, func(t *testing.T, s *server) {
		run(t, s, []exchange{
			{name: "there is one", line: "PUT /Patient/a", body: patient("a", `"meta":{"tag":[{"system":"urn:conformance","code":"first"}]},`+female), status: 201},
			{name: "read", line: "GET /Patient/a/$meta", status: 200, want: []string{"resourceType = Parameters", "parameter.name = return", tag + " = first"}},
			{name: "add", line: "POST /Patient/a/$meta-add", body: metaParameters, status: 200, want: []string{tag + " = first,x"}},
			{name: "is a version", line: "GET /Patient/a", status: 200, want: []string{"meta.versionId = 2", "meta.tag.code = first,x", "gender = female"}},
			{name: "add what is there", line: "POST /Patient/a/$meta-add", body: metaParameters, status: 200, want: []string{tag + " = first,x"}},
			{name: "delete", line: "POST /Patient/a/$meta-delete", body: metaParameters, status: 200, want: []string{tag + " = first"}},
			{name: "is gone", line: "GET /Patient/a", status: 200, want: []string{"meta.tag.code = first", "gender = female"}},
			{name: "of the type", line: "GET /Patient/$meta", status: 200, want: []string{tag + " = first"}},
			{name: "of the system", line: "GET /$meta", status: 200, want: []string{"+ \"first\""}},
			{name: "of what is not there", line: "GET /Patient/none/$meta", status: 404},
			{name: "add to what is not there", line: "POST /Patient/none/$meta-add", body: metaParameters, status: 404},
			{name: "add nothing", line: "POST /Patient/a/$meta-add", body: emptyParameters, status: 400},
			{name: "add by GET", line: "GET /Patient/a/$meta-add", status: 405},
		})
	})
}

func TestLastN(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		panel := `{"resourceType":"Observation","id":"panel","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}]},
		 "subject":{"reference":"Patient/a"},"effectiveDateTime":"2026-03-01T08:00:00Z","component":[
		 {"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":120,"system":"http://unitsofmeasure.org","code":"mm[Hg]"}}]}`
		entries := []string{entry("PUT Patient/a", patient("a", "")), entry("PUT Patient/b", patient("b", "")), entry("PUT Observation/panel", panel)}
		for id, o := range map[string]string{
			"old": observed("old", "a", "72514-3", "2026-03-01T08:00:00Z", "7"), "new": observed("new", "a", "72514-3", "2026-03-03T08:00:00Z", "5"),
			"tie": observed("tie", "a", "72514-3", "2026-03-03T09:00:00+01:00", "4"), "middle": observed("middle", "a", "72514-3", "2026-03-02T08:00:00Z", "6"),
			"weight": observed("weight", "a", "29463-7", "2026-01-01T08:00:00Z", "70"), "other": observed("other", "b", "72514-3", "2026-03-09T08:00:00Z", "1"),
		} {
			entries = append(entries, entry("PUT Observation/"+id, o))
		}
		for id, status := range map[string]string{"wrong": "entered-in-error", "cancelled": "cancelled"} {
			entries = append(entries, entry("PUT Observation/"+id, strings.Replace(observed(id, "a", "72514-3", "2026-03-08T08:00:00Z", "9"), "final", status, 1)))
		}
		s.must(t, 200, "POST ", bundle("transaction", entries...))
		const pain = "&code=http://loinc.org|72514-3"
		for query, want := range map[string]string{
			"patient=Patient/a" + pain:                                                 "new,tie",
			"subject=Patient/a" + pain:                                                 "new,tie",
			"patient=Patient/a&max=1" + pain:                                           "new,tie",
			"patient=Patient/a&max=3" + pain:                                           "middle,new,tie",
			"patient=Patient/a&max=9" + pain:                                           "middle,new,old,tie",
			"patient=Patient/b" + pain:                                                 "other",
			"patient=Patient/a&status=entered-in-error" + pain:                         "wrong",
			"patient=Patient/a&status=cancelled,final" + pain:                          "cancelled",
			"patient=Patient/none" + pain:                                              "",
			"patient=Patient/a&code=http://loinc.org|72514-3,http://loinc.org|29463-7": "new,tie,weight",
			"patient=Patient/a&code=http://loinc.org|85354-9":                          "panel",
		} {
			a := s.send(t, "GET /Observation/$lastn?"+query, "")
			if a.status != 200 || a.at("type") != "searchset" || a.sorted("entry.resource.id") != want {
				t.Errorf("%s: %d %s, want %s: %.300s", query, a.status, a.sorted("entry.resource.id"), want, a.body)
			}
			if want == "panel" && a.at("entry.resource.component.valueQuantity.value") != "120" {
				t.Errorf("the component is not there: %s", a.body)
			}
		}
		run(t, s, []exchange{
			{name: "without a patient", line: "GET /Observation/$lastn?code=http://loinc.org|72514-3", status: 400},
			{name: "without a code or category", line: "GET /Observation/$lastn?patient=Patient/a", status: 400},
			{name: "a max that is none", line: "GET /Observation/$lastn?patient=Patient/a&max=0" + pain, status: 400},
			{name: "an unknown parameter", line: "GET /Observation/$lastn?patient=Patient/a&colour=red" + pain, status: 400},
		})
	})
}

// statsParameters asks for a statistic of a patient's pain scores in March 2026. A Period
// cannot travel in a URL.
func statsParameters(patient, statistic string) string {
	return `{"resourceType":"Parameters","parameter":[{"name":"subject","valueUri":"Patient/` + patient + `"},{"name":"code","valueString":"72514-3"},
	 {"name":"system","valueUri":"http://loinc.org"},{"name":"period","valuePeriod":{"start":"2026-03-01","end":"2026-03-31"}},{"name":"statistic","valueCode":"` + statistic + `"}]}`
}

func TestStats(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.must(t, 200, "POST ", bundle("transaction", entry("PUT Patient/a", patient("a", "")),
			entry("PUT Observation/o1", observed("o1", "a", "72514-3", "2026-03-01T08:00:00Z", "2")),
			entry("PUT Observation/o2", observed("o2", "a", "72514-3", "2026-03-02T08:00:00Z", "3")),
			entry("PUT Observation/o3", observed("o3", "a", "72514-3", "2026-03-03T08:00:00Z", "7")),
			entry("PUT Observation/o4", observed("o4", "a", "72514-3", "2026-09-03T08:00:00Z", "10")),
			entry("PUT Observation/wrong", strings.Replace(observed("wrong", "a", "72514-3", "2026-03-04T08:00:00Z", "0"), "final", "entered-in-error", 1)),
			entry("PUT Observation/cancelled", strings.Replace(observed("cancelled", "a", "72514-3", "2026-03-04T08:00:00Z", "0"), "final", "cancelled", 1))))
		for statistic, want := range map[string]string{"minimum": "2", "maximum": "7", "count": "3", "total-count": "3", "average": "4", "sum": "12", "median": "3"} {
			a := s.send(t, "POST /Observation/$stats", statsParameters("a", statistic))
			if a.status != 200 || a.at("parameter.resource.component.code.coding.code") != statistic || a.at("parameter.resource.component.valueQuantity.value") != want {
				t.Errorf("%s: %d, want %s: %.1000s", statistic, a.status, want, a.body)
			}
		}
		if got := s.send(t, "POST /Observation/$stats", statsParameters("a", "variance")).at("parameter.resource.component.valueQuantity.code"); got != "{score}.{score}" {
			t.Errorf("the unit of a variance is %s", got)
		}
		run(t, s, []exchange{
			{name: "regression", line: "POST /Observation/$stats", body: statsParameters("a", "regression"), status: 400, want: []string{"issue.code = not-supported", "issue.expression = Parameters.parameter[4]"}},
			{name: "an unknown statistic", line: "POST /Observation/$stats", body: statsParameters("a", "beauty"), status: 400},
			{name: "without a subject", line: "GET /Observation/$stats?code=72514-3&system=http://loinc.org&duration=1&statistic=sum", status: 400},
			{name: "without a code", line: "GET /Observation/$stats?subject=Patient/a&duration=1&statistic=sum", status: 400},
		})
	})
}

func TestDocument(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		composition := `{"resourceType":"Composition","id":"c","status":"final","type":{"text":"letter"},"subject":{"reference":"Patient/a"},"date":"2026-03-02",
		 "author":[{"reference":"Practitioner/pr"}],"title":"Letter","section":[{"title":"Findings","entry":[{"reference":"Condition/x"}]}]}`
		s.must(t, 200, "POST ", bundle("transaction", entry("PUT Patient/a", patient("a", "")), entry("PUT Practitioner/pr", `{"resourceType":"Practitioner","id":"pr"}`),
			entry("PUT Condition/x", condition("x", "Patient/a", "")), entry("PUT Condition/y", condition("y", "Patient/a", "")), entry("PUT Composition/c", composition)))
		a := s.send(t, "GET /Composition/c/$document", "")
		if a.status != 200 || a.at("type") != "document" || !strings.HasPrefix(a.at("entry.resource.id"), "c,") || a.sorted("entry.resource.id") != "a,c,pr,x" || a.at("identifier") == "" || a.at("timestamp") == "" {
			t.Errorf("%d %.600s", a.status, a.body)
		}
		run(t, s, []exchange{
			{name: "of what is not there", line: "GET /Composition/none/$document", status: 404},
			{name: "to be kept", line: "GET /Composition/c/$document?persist=true", status: 400, want: []string{"issue.code = not-supported", "issue.expression = http.persist"}},
			{name: "not to be kept", line: "GET /Composition/c/$document?persist=false", status: 200, want: []string{"id = ", "type = document"}},
			{name: "by a graph", line: "GET /Composition/c/$document?graph=http://example.org/GraphDefinition/g", status: 400, want: []string{"issue.code = not-supported", "issue.expression = http.graph"}},
			{name: "an unknown parameter", line: "GET /Composition/c/$document?colour=red", status: 400},
		})
	})
}

// painSent are an operation with a code and a report of pain 5 days later, when the anchor is twisted.
func painSent(code string) string {
	const osseo = `"system":"https://aftercare.example/fhir/CodeSystem/osseointegration"`
	return `{"resourceType":"Parameters","parameter":[{"name":"procedure","resource":{"resourceType":"Procedure","status":"completed","performedDateTime":"2026-03-02","subject":{"reference":"Patient/p"},
	 "code":{"coding":[{` + osseo + `,"code":"` + code + `"}]},"bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"},{"system":"http://snomed.info/sct","code":"7771000"}]}]}},
	 {"name":"observation","resource":{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"72514-3"}]},"subject":{"reference":"Patient/p"},
	 "effectiveDateTime":"2026-03-07","valueInteger":6,"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"100752-5"}]},"valueCodeableConcept":{"coding":[{` + osseo + `,"code":"twist"}]}}]}}]}`
}

// Candidate causes are told of what is stored and of what is sent, or why there are none.
func TestInterpretPain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.must(t, 201, "PUT /Observation/nobodys", observed("nobodys", "p", "72514-3", "2026-03-07", "6"))
		run(t, s, []exchange{
			{name: "what is sent", line: "POST /$interpret-pain", body: painSent("single-stage"), status: 200, want: []string{"resourceType = Bundle", "entry.resource.resourceType = ClinicalImpression,OperationOutcome", "entry.resource.finding.itemCodeableConcept.coding.code = bone-a,bone-b"}},
			{name: "what is sent with another operation", line: "POST /$interpret-pain", body: painSent("tmr"), status: 200, want: []string{"resourceType = OperationOutcome", "issue.details.coding.code = pain-no-surgery"}},
			{name: "nothing sent", line: "POST /$interpret-pain", body: emptyParameters, status: 400},
			{name: "what is stored, without an operation", line: "GET /Observation/nobodys/$interpret", status: 200, want: []string{"issue.details.coding.code = pain-no-surgery"}},
			{name: "what is not there", line: "GET /Observation/none/$interpret", status: 404},
			{name: "with a parameter", line: "GET /Observation/nobodys/$interpret?day=2026-03-07", status: 400},
			{name: "the definition", line: "GET /OperationDefinition/Observation-interpret", status: 200, want: []string{"code = interpret"}},
			{name: "the other definition", line: "GET /OperationDefinition/interpret-pain", status: 200, want: []string{"code = interpret-pain"}},
		})
		s.must(t, 204, "DELETE /Observation/nobodys", "")
		run(t, s, []exchange{{name: "of what was deleted", line: "GET /Observation/nobodys/$interpret", status: 410}})
	})
}

// A derived plan says why it is as it is, by GET and by POST.
func TestExplain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.must(t, 201, "PUT /Procedure/op", `{"resourceType":"Procedure","id":"op","status":"completed","performedDateTime":"2026-03-02","subject":{"reference":"Patient/p"},
		 "code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"single-stage"}]},
		 "bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"},{"system":"http://snomed.info/sct","code":"7771000"}]}]}`)
		id := s.send(t, "GET /CarePlan?patient=p", "").at("entry.resource.id")
		for _, a := range []answer{s.send(t, "GET /CarePlan/"+id+"/$explain", ""), s.send(t, "POST /CarePlan/"+id+"/$explain", emptyParameters), s.send(t, "GET /CarePlan/"+id+"/_history/1/$explain", "")} {
			if a.status != 200 || a.at("resourceType") != "Parameters" || !strings.Contains(a.body, "3 weeks after wound (2026-03-02)") {
				t.Errorf("%d %.600s", a.status, a.body)
			}
		}
		run(t, s, []exchange{
			{name: "what is offered has a definition", line: "GET /OperationDefinition/CarePlan-explain", status: 200, want: []string{"code = explain"}},
			{name: "of what is not there", line: "GET /CarePlan/none/$explain", status: 404},
			{name: "of a version that is not there", line: "GET /CarePlan/" + id + "/_history/9/$explain", status: 404},
			{name: "with a parameter", line: "GET /CarePlan/" + id + "/$explain?colour=red", status: 400},
			{name: "of all plans", line: "GET /CarePlan/$explain", status: 404},
		})
		s.must(t, 201, "PUT /CarePlan/gone", `{"resourceType":"CarePlan","id":"gone","status":"active","intent":"plan","subject":{"reference":"Patient/p"}}`)
		s.must(t, 204, "DELETE /CarePlan/gone", "")
		run(t, s, []exchange{{name: "of what was deleted", line: "GET /CarePlan/gone/$explain", status: 410}})
	})
}
