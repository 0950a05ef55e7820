package patch

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func add(path, name, value string) string {
	return operationOf("add", text("path", path), text("name", name), partWith("value", value))
}

func insert(path string, index int, value string) string {
	return operationOf("insert", text("path", path), partWith("index", fmt.Sprintf(`"valueInteger":%d`, index)), partWith("value", value))
}

func del(path string) string { return operationOf("delete", text("path", path)) }

func replace(path, value string) string {
	return operationOf("replace", text("path", path), partWith("value", value))
}

func moved(path string, from, to int) string {
	return operationOf("move", text("path", path), partWith("source", fmt.Sprintf(`"valueInteger":%d`, from)), partWith("destination", fmt.Sprintf(`"valueInteger":%d`, to)))
}

func operationOf(kind string, parts ...string) string {
	parts = append([]string{partWith("type", `"valueCode":"`+kind+`"`)}, parts...)
	return `{"name":"operation","part":[` + strings.Join(parts, ",") + `]}`
}

func partWith(name, members string) string { return `{"name":"` + name + `",` + members + `}` }

func text(name, value string) string {
	quoted, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return partWith(name, `"valueString":`+string(quoted))
}

func patchOf(operations ...string) string {
	return `{"resourceType":"Parameters","parameter":[` + strings.Join(operations, ",") + `]}`
}

type fhirPathCase struct{ name, resource, patch, want string }

func check(t *testing.T, cases []fhirPathCase) {
	t.Helper()
	schema := r4Schema(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			resource := []byte(c.resource)
			got := applied(FHIRPath(parse(t, c.resource), parse(t, c.patch), schema))
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if string(resource) != c.resource {
				t.Error("the input was changed")
			}
		})
	}
}

func TestFHIRPathAdd(t *testing.T) {
	check(t, []fhirPathCase{
		{"sets an absent element", `{"resourceType":"Patient","active":true}`, patchOf(add("Patient", "birthDate", `"valueDate":"1930-01-01"`)),
			`{"resourceType":"Patient","active":true,"birthDate":"1930-01-01"}`},
		{"starts a list", `{"resourceType":"Patient"}`, patchOf(add("Patient", "name", `"valueHumanName":{"text":"a"}`)),
			`{"resourceType":"Patient","name":[{"text":"a"}]}`},
		{"appends to a list", `{"resourceType":"Patient","name":[ {"text":"a"} ]}`, patchOf(add("Patient", "name", `"valueHumanName":{"text":"b"}`)),
			`{"resourceType":"Patient","name":[ {"text":"a"} ,{"text":"b"}]}`},
		{"keeps every digit of a decimal", `{"resourceType":"Observation"}`, patchOf(add("Observation", "value", `"valueQuantity":{"value":1.500e0}`)),
			`{"resourceType":"Observation","valueQuantity":{"value":1.500e0}}`},
		{"names a choice by the type of the value", `{"resourceType":"Observation"}`, patchOf(add("Observation", "value", `"valueString":"x"`)),
			`{"resourceType":"Observation","valueString":"x"}`},
		{"names a choice within an element", `{"resourceType":"Observation","component":[{}]}`, patchOf(add("Observation.component[0]", "value", `"valueInteger":6`)),
			`{"resourceType":"Observation","component":[{"valueInteger":6}]}`},
		{"no second alternative of a choice", `{"resourceType":"Observation","valueString":"x"}`, patchOf(add("Observation", "value", `"valueInteger":6`)),
			`Unprocessable duplicate Parameters.parameter[0].part[3]`},
		{"a choice of a type that it does not have", `{"resourceType":"Observation"}`, patchOf(add("Observation", "value", `"valueDate":"2020"`)),
			`Unprocessable value Parameters.parameter[0].part[3].valueDate`},
		{"a choice is not named by its JSON", `{"resourceType":"Observation"}`, patchOf(add("Observation", "valueString", `"valueString":"x"`)),
			`Unprocessable not-found Parameters.parameter[0].part[3]`},
		{"no element twice", `{"resourceType":"Patient","birthDate":"1930"}`, patchOf(add("Patient", "birthDate", `"valueDate":"1931"`)),
			`Unprocessable duplicate Parameters.parameter[0].part[3]`},
		{"an element with extensions alone is there", `{"resourceType":"Patient","_birthDate":{"id":"a","extension":[]}}`, patchOf(add("Patient", "birthDate", `"valueDate":"1931"`)),
			`Unprocessable duplicate Parameters.parameter[0].part[3]`},
		{"no unknown element", `{"resourceType":"Patient"}`, patchOf(add("Patient", "birthdate", `"valueDate":"1931"`)),
			`Unprocessable not-found Parameters.parameter[0].part[3]`},
		{"resourceType is no element", `{"resourceType":"Patient"}`, patchOf(add("Patient", "resourceType", `"valueString":"Person"`)),
			`Unprocessable not-found Parameters.parameter[0].part[3]`},
		{"no value of another complex type", `{"resourceType":"Patient"}`, patchOf(add("Patient", "telecom", `"valueIdentifier":{"value":"1"}`)),
			`Unprocessable value Parameters.parameter[0].part[3].valueIdentifier`},
		{"a quantity for a simple quantity", `{"resourceType":"Observation","referenceRange":[{"text":"a"}]}`, patchOf(add("Observation.referenceRange", "low", `"valueQuantity":{"value":1.0}`)),
			`{"resourceType":"Observation","referenceRange":[{"text":"a","low":{"value":1.0}}]}`},
		{"a quantity for a duration", `{"resourceType":"Encounter"}`, patchOf(add("Encounter", "length", `"valueQuantity":{"value":90,"code":"min"}`)),
			`{"resourceType":"Encounter","length":{"value":90,"code":"min"}}`},
		{"a duration for a choice only where it has one", `{"resourceType":"Observation"}`, patchOf(add("Observation", "value", `"valueDuration":{"value":90}`)),
			`Unprocessable value Parameters.parameter[0].part[3].valueDuration`},
		{"anonymous types by parts", `{"resourceType":"Patient"}`,
			patchOf(add("Patient", "contact", `"part":[`+partWith("relationship", `"valueCodeableConcept":{"text":"a"}`)+","+partWith("relationship", `"valueCodeableConcept":{"text":"b"}`)+","+partWith("gender", `"valueCode":"male"`)+`]`)),
			`{"resourceType":"Patient","contact":[{"relationship":[{"text":"a"},{"text":"b"}],"gender":"male"}]}`},
		{"parts as deep as need be", `{"resourceType":"CarePlan"}`,
			patchOf(add("CarePlan", "activity", `"part":[{"name":"detail","part":[{"name":"status","valueCode":"scheduled"},{"name":"scheduled","valueTiming":{"event":["2024-01-02T00:00:00Z"]}},{"name":"extension","part":[{"name":"url","valueUri":"http://x"},{"name":"value","valueBoolean":true}]}]}]`)),
			`{"resourceType":"CarePlan","activity":[{"detail":{"status":"scheduled","scheduledTiming":{"event":["2024-01-02T00:00:00Z"]},"extension":[{"url":"http://x","valueBoolean":true}]}}]}`},
		{"parts must not repeat what does not", `{"resourceType":"Patient"}`,
			patchOf(add("Patient", "contact", `"part":[`+partWith("gender", `"valueCode":"male"`)+","+partWith("gender", `"valueCode":"male"`)+`]`)),
			`Unprocessable duplicate Parameters.parameter[0].part[3].part[1]`},
		{"parts must be elements", `{"resourceType":"Patient"}`, patchOf(add("Patient", "contact", `"part":[`+partWith("sex", `"valueCode":"male"`)+`]`)),
			`Unprocessable not-found Parameters.parameter[0].part[3].part[0]`},
		{"a choice cannot be given as parts", `{"resourceType":"Observation"}`, patchOf(add("Observation", "value", `"part":[`+partWith("value", `"valueDecimal":1`)+`]`)),
			`Unprocessable value Parameters.parameter[0].part[3].part`},
		{"a primitive with its extension", `{"resourceType":"Patient"}`, patchOf(add("Patient", "birthDate", `"valueDate":"1930","_valueDate":{"extension":[{"url":"u"}]}`)),
			`{"resourceType":"Patient","birthDate":"1930","_birthDate":{"extension":[{"url":"u"}]}}`},
		{"a primitive with an extension alone", `{"resourceType":"Patient"}`, patchOf(add("Patient", "birthDate", `"_valueDate":{"extension":[{"url":"u"}]}`)),
			`{"resourceType":"Patient","_birthDate":{"extension":[{"url":"u"}]}}`},
		{"an extension to a primitive", `{"resourceType":"Patient","birthDate":"1930","active":true}`, patchOf(add("Patient.birthDate", "extension", `"part":[`+partWith("url", `"valueUri":"u"`)+","+partWith("value", `"valueDateTime":"1930-01-01"`)+`]`)),
			`{"resourceType":"Patient","birthDate":"1930","_birthDate":{"extension":[{"url":"u","valueDateTime":"1930-01-01"}]},"active":true}`},
		{"an extension to one of several primitives", `{"resourceType":"Patient","name":[{"given":["a","b","c"]}]}`, patchOf(add("Patient.name.given[1]", "id", `"valueString":"x"`)),
			`{"resourceType":"Patient","name":[{"given":["a","b","c"],"_given":[null,{"id":"x"},null]}]}`},
		{"keeps lists of primitives aligned", `{"resourceType":"Patient","name":[{"given":["a"],"_given":[{"id":"x"}]}]}`, patchOf(add("Patient.name", "given", `"valueString":"b"`)),
			`{"resourceType":"Patient","name":[{"given":["a","b"],"_given":[{"id":"x"},null]}]}`},
		{"a value beside extensions alone", `{"resourceType":"Patient","name":[{"_given":[{"id":"x"}]}]}`, patchOf(add("Patient.name", "given", `"valueString":"b"`)),
			`{"resourceType":"Patient","name":[{"given":[null,"b"],"_given":[{"id":"x"},null]}]}`},
		{"a contained resource", `{"resourceType":"Patient"}`, patchOf(add("Patient", "contained", `"resource":{"resourceType":"Device","id":"d"}`)),
			`{"resourceType":"Patient","contained":[{"resourceType":"Device","id":"d"}]}`},
		{"into a contained resource", `{"resourceType":"Patient","contained":[{"resourceType":"Device","id":"d"}]}`, patchOf(add("Patient.contained.where(id = 'd')", "lotNumber", `"valueString":"7"`)),
			`{"resourceType":"Patient","contained":[{"resourceType":"Device","id":"d","lotNumber":"7"}]}`},
		{"a resource only where one can stand", `{"resourceType":"Patient"}`, patchOf(add("Patient", "name", `"resource":{"resourceType":"Device"}`)),
			`Unprocessable value Parameters.parameter[0].part[3].resource`},
		{"not to nothing", `{"resourceType":"Patient"}`, patchOf(add("Patient.maritalStatus", "text", `"valueString":"x"`)),
			`Unprocessable not-found Parameters.parameter[0].part[1]`},
		{"not to several", `{"resourceType":"Patient","name":[{"text":"a"},{"text":"b"}]}`, patchOf(add("Patient.name", "given", `"valueString":"x"`)),
			`Unprocessable multiple-matches Parameters.parameter[0].part[1]`},
		{"a later operation sees an earlier one", `{"resourceType":"Patient"}`, patchOf(add("Patient", "name", `"valueHumanName":{"text":"a"}`), add("Patient.name[0]", "family", `"valueString":"b"`)),
			`{"resourceType":"Patient","name":[{"text":"a","family":"b"}]}`},
		{"a failure after changes gives nothing", `{"resourceType":"Patient"}`, patchOf(add("Patient", "active", `"valueBoolean":true`), del("Patient.nothing")),
			`Unprocessable not-found Parameters.parameter[1].part[1]`},
	})
}

func TestFHIRPathDelete(t *testing.T) {
	const names = `{"resourceType":"Patient","name":[{"given":["a","b","c"],"_given":[null,{"id":"x"},null]}]}`
	check(t, []fhirPathCase{
		{"an element", `{"resourceType":"Patient","active":true,"birthDate":"1930"}`, patchOf(del("Patient.active")), `{"resourceType":"Patient","birthDate":"1930"}`},
		{"what is not there", `{"resourceType":"Patient" }`, patchOf(del("Patient.active")), `{"resourceType":"Patient" }`},
		{"what criteria do not find", `{"resourceType":"Patient","name":[{"text":"a"}]}`, patchOf(del("Patient.name.where(use = 'old')")), `{"resourceType":"Patient","name":[{"text":"a"}]}`},
		{"not what cannot be there", `{"resourceType":"Patient"}`, patchOf(del("Patient.activ")), `Unprocessable not-found Parameters.parameter[0].part[1]`},
		{"not several", names, patchOf(del("Patient.name.given")), `Unprocessable multiple-matches Parameters.parameter[0].part[1]`},
		{"not the resource", names, patchOf(del("Patient")), `Unprocessable business-rule Parameters.parameter[0].part[1]`},
		{"not the id", `{"resourceType":"Patient","id":"1"}`, patchOf(del("Patient.id")), `Unprocessable business-rule id`},
		{"an item and its place beside", names, patchOf(del("Patient.name.given[0]")), `{"resourceType":"Patient","name":[{"given":["b","c"],"_given":[{"id":"x"},null]}]}`},
		{"an item with the only extensions", names, patchOf(del("Patient.name.given[1]")), `{"resourceType":"Patient","name":[{"given":["a","c"]}]}`},
		{"the last item and the empty list", `{"resourceType":"Patient","name":[{"text":"a","given":["a"],"_given":[{"id":"x"}]}]}`, patchOf(del("Patient.name.given")), `{"resourceType":"Patient","name":[{"text":"a"}]}`},
		{"the last element and the empty objects around", `{"resourceType":"Patient","active":true,"contact":[{"name":{"text":"a"}}]}`, patchOf(del("Patient.contact.name.text")), `{"resourceType":"Patient","active":true}`},
		{"both sides of a primitive", `{"resourceType":"Patient","birthDate":"1930","_birthDate":{"id":"x"}}`, patchOf(del("Patient.birthDate")), `{"resourceType":"Patient"}`},
		{"extensions alone", `{"resourceType":"Patient","_birthDate":{"id":"x"},"active":true}`, patchOf(del("Patient.birthDate")), `{"resourceType":"Patient","active":true}`},
		{"an extension of a primitive", `{"resourceType":"Patient","birthDate":"1930","_birthDate":{"extension":[{"url":"u"}]}}`, patchOf(del("Patient.birthDate.extension('u')")), `{"resourceType":"Patient","birthDate":"1930"}`},
		{"the only extension of a primitive without value", `{"resourceType":"Patient","active":true,"_birthDate":{"extension":[{"url":"u"}]}}`, patchOf(del("Patient.birthDate.extension('u')")), `{"resourceType":"Patient","active":true}`},
		{"an extension of one of several primitives", names, patchOf(del("Patient.name.given[1].id")), `{"resourceType":"Patient","name":[{"given":["a","b","c"]}]}`},
		{"the extension of a primitive without value in a list", `{"resourceType":"Patient","name":[{"given":["a",null],"_given":[{"id":"x"},{"id":"y"}]}]}`, patchOf(del("Patient.name.given[1].id")), `{"resourceType":"Patient","name":[{"given":["a"],"_given":[{"id":"x"}]}]}`},
		{"a choice of any type", `{"resourceType":"Observation","status":"final","valueQuantity":{"value":1}}`, patchOf(del("Observation.value")), `{"resourceType":"Observation","status":"final"}`},
		{"not a choice of another type", `{"resourceType":"Observation","valueQuantity":{"value":1}}`, patchOf(del("Observation.value.ofType(string)")), `{"resourceType":"Observation","valueQuantity":{"value":1}}`},
	})
}

func TestFHIRPathReplace(t *testing.T) {
	check(t, []fhirPathCase{
		{"in its place", `{"resourceType":"Patient","gender":"male","active":true}`, patchOf(replace("Patient.gender", `"valueCode":"female"`)), `{"resourceType":"Patient","gender":"female","active":true}`},
		{"with the extensions of the old value", `{"resourceType":"Patient","birthDate":"1930","_birthDate":{"id":"x"},"active":true}`, patchOf(replace("Patient.birthDate", `"valueDate":"1931"`)), `{"resourceType":"Patient","birthDate":"1931","active":true}`},
		{"a whole object", `{"resourceType":"Patient","maritalStatus":{"id":"1","text":"a"}}`, patchOf(replace("Patient.maritalStatus", `"valueCodeableConcept":{"text":"b"}`)), `{"resourceType":"Patient","maritalStatus":{"text":"b"}}`},
		{"an item", `{"resourceType":"Patient","name":[{"given":["a","b"],"_given":[{"id":"x"},null]}]}`, patchOf(replace("Patient.name.given[0]", `"valueString":"c"`)), `{"resourceType":"Patient","name":[{"given":["c","b"]}]}`},
		{"an item by extensions alone", `{"resourceType":"Patient","name":[{"given":["a","b"]}]}`, patchOf(replace("Patient.name.given[1]", `"_valueString":{"extension":[{"url":"u"}]}`)), `{"resourceType":"Patient","name":[{"given":["a",null],"_given":[null,{"extension":[{"url":"u"}]}]}]}`},
		{"a choice by another type", `{"resourceType":"Observation","valueQuantity":{"value":1},"status":"final"}`, patchOf(replace("Observation.value", `"valueInteger":6`)), `{"resourceType":"Observation","valueInteger":6,"status":"final"}`},
		{"a primitive choice by another type", `{"resourceType":"Observation","valueString":"a","_valueString":{"id":"x"},"status":"final"}`, patchOf(replace("Observation.value", `"valueQuantity":{"value":1.0}`)), `{"resourceType":"Observation","valueQuantity":{"value":1.0},"status":"final"}`},
		{"meta is left to the caller", `{"resourceType":"Patient","meta":{"versionId":"1"}}`, patchOf(replace("Patient.meta.versionId", `"valueId":"2"`)), `{"resourceType":"Patient","meta":{"versionId":"2"}}`},
		{"not the id", `{"resourceType":"Patient","id":"1"}`, patchOf(replace("Patient.id", `"valueId":"2"`)), `Unprocessable business-rule id`},
		{"the same id", `{"resourceType":"Patient","id":"1"}`, patchOf(replace("Patient.id", `"valueId":"1"`)), `{"resourceType":"Patient","id":"1"}`},
		{"not what is not there", `{"resourceType":"Patient"}`, patchOf(replace("Patient.gender", `"valueCode":"female"`)), `Unprocessable not-found Parameters.parameter[0].part[1]`},
		{"not the resource", `{"resourceType":"Patient"}`, patchOf(replace("Patient", `"resource":{"resourceType":"Patient"}`)), `Unprocessable business-rule Parameters.parameter[0].part[1]`},
		{"not by a list", `{"resourceType":"Patient","gender":"male"}`, patchOf(replace("Patient.gender", `"valueCode":["female"]`)), `BadRequest structure Parameters.parameter[0].part[2].valueCode`},
		{"not by null", `{"resourceType":"Patient","gender":"male"}`, patchOf(replace("Patient.gender", `"valueCode":null`)), `BadRequest structure Parameters.parameter[0].part[2].valueCode`},
		{"not by an empty object", `{"resourceType":"Patient","maritalStatus":{"text":"a"}}`, patchOf(replace("Patient.maritalStatus", `"valueCodeableConcept":{}`)), `BadRequest structure Parameters.parameter[0].part[2].valueCodeableConcept`},
		{"not by two values", `{"resourceType":"Patient","gender":"male"}`, patchOf(replace("Patient.gender", `"valueCode":"female","valueString":"male"`)), `BadRequest structure Parameters.parameter[0].part[2]`},
		{"not by nothing", `{"resourceType":"Patient","gender":"male"}`, patchOf(replace("Patient.gender", `"id":"a"`)), `BadRequest structure Parameters.parameter[0].part[2]`},
		{"not by a type that is none", `{"resourceType":"Patient","gender":"male"}`, patchOf(replace("Patient.gender", `"valueCodes":"female"`)), `BadRequest structure Parameters.parameter[0].part[2]`},
	})
}

func TestFHIRPathInsertAndMove(t *testing.T) {
	const patient = `{"resourceType":"Patient","name":[{"given":["a","b","c"],"_given":[null,{"id":"x"},null]}]}`
	check(t, []fhirPathCase{
		{"inserts and keeps both sides aligned", patient, patchOf(insert("Patient.name[0].given", 1, `"valueString":"d"`)), `{"resourceType":"Patient","name":[{"given":["a","d","b","c"],"_given":[null,null,{"id":"x"},null]}]}`},
		{"inserts a value with extensions", `{"resourceType":"Patient","name":[{"given":["a","b"]}]}`, patchOf(insert("Patient.name.given", 0, `"valueString":"c","_valueString":{"id":"y"}`)), `{"resourceType":"Patient","name":[{"given":["c","a","b"],"_given":[{"id":"y"},null,null]}]}`},
		{"inserts at the end", patient, patchOf(insert("Patient.name.given", 3, `"valueString":"d"`)), `{"resourceType":"Patient","name":[{"given":["a","b","c","d"],"_given":[null,{"id":"x"},null,null]}]}`},
		{"not behind the end", patient, patchOf(insert("Patient.name.given", 4, `"valueString":"d"`)), `Unprocessable value Parameters.parameter[0].part[2].valueInteger`},
		{"not before the start", patient, patchOf(insert("Patient.name.given", -1, `"valueString":"d"`)), `Unprocessable value Parameters.parameter[0].part[2].valueInteger`},
		{"not into no list", `{"resourceType":"Patient"}`, patchOf(insert("Patient.name", 0, `"valueHumanName":{"text":"a"}`)), `Unprocessable not-found Parameters.parameter[0].part[1]`},
		{"not into what does not repeat", `{"resourceType":"Patient","gender":"male"}`, patchOf(insert("Patient.gender", 0, `"valueCode":"female"`)), `Unprocessable value Parameters.parameter[0].part[1]`},
		{"not into an item", patient, patchOf(insert("Patient.name[0]", 0, `"valueHumanName":{"text":"a"}`)), `Unprocessable value Parameters.parameter[0].part[1]`},
		{"not into several lists", `{"resourceType":"Patient","name":[{"given":["a"]},{"given":["b"]}]}`, patchOf(insert("Patient.name.given", 0, `"valueString":"c"`)), `Unprocessable multiple-matches Parameters.parameter[0].part[1]`},
		{"not into the resource", patient, patchOf(insert("Patient", 0, `"valueString":"c"`)), `Unprocessable value Parameters.parameter[0].part[1]`},
		{"inserts an anonymous type", `{"resourceType":"Patient","contact":[{"gender":"male"}]}`, patchOf(insert("Patient.contact", 0, `"part":[`+partWith("gender", `"valueCode":"female"`)+`]`)), `{"resourceType":"Patient","contact":[{"gender":"female"},{"gender":"male"}]}`},
		{"not a whole number", patient, patchOf(operationOf("insert", text("path", "Patient.name.given"), partWith("index", `"valueInteger":1.5`), partWith("value", `"valueString":"d"`))), `BadRequest value Parameters.parameter[0].part[2].valueInteger`},

		{"moves both sides", patient, patchOf(moved("Patient.name.given", 1, 0)), `{"resourceType":"Patient","name":[{"given":["b","a","c"],"_given":[{"id":"x"},null,null]}]}`},
		{"moves to the end", patient, patchOf(moved("Patient.name.given", 0, 2)), `{"resourceType":"Patient","name":[{"given":["b","c","a"],"_given":[{"id":"x"},null,null]}]}`},
		{"moves to where it is", patient, patchOf(moved("Patient.name.given", 1, 1)), patient},
		{"not from behind the end", patient, patchOf(moved("Patient.name.given", 3, 0)), `Unprocessable value Parameters.parameter[0].part[2].valueInteger`},
		{"not to behind the end", patient, patchOf(moved("Patient.name.given", 0, 3)), `Unprocessable value Parameters.parameter[0].part[3].valueInteger`},
	})
}

func TestFHIRPathSelects(t *testing.T) {
	const patient = `{"resourceType":"Patient","extension":[{"url":"http://x","valueString":"e"},{"url":"http://y","valueBoolean":true}],` +
		`"text":{"status":"generated","div":"<div/>"},"name":[{"use":"official","family":"F","given":["a","b"]},{"use":"usual","given":["c"],"period":{"start":"2020"}}],` +
		`"telecom":[{"system":"phone","value":"1","rank":1},{"system":"phone","value":"2","rank":2},{"system":"email","value":"it's (a) test"}]}`
	schema := r4Schema(t)
	for path, want := range map[string]string{
		"Patient.text.div":                                               `"<div/>"`,
		"Patient.text.`div`":                                             `"<div/>"`,
		"text.status":                                                    `"generated"`,
		"Resource.text.status":                                           `"generated"`,
		" Patient . name [ 0 ] . family ":                                `"F"`,
		"Patient.name.family":                                            `"F"`,
		"Patient.name.first().given.last()":                              `"b"`,
		"Patient.name.given[2]":                                          `"c"`,
		"Patient.name.given.first()":                                     `"a"`,
		"Patient.name[1].given":                                          `"c"`,
		"Patient.name.where(use = 'usual').given":                        `"c"`,
		"Patient.name.where(use='usual').given":                          `"c"`,
		"Patient.name.where(period.start.exists()).use":                  `"usual"`,
		"Patient.name.where(period.exists().not()).use":                  `"official"`,
		"Patient.name.where(period.empty()).use":                         `"official"`,
		"Patient.name.given.where($this = 'b')":                          `"b"`,
		"Patient.telecom.where(system='phone' and value='2').value":      `"2"`,
		"Patient.telecom.where(system = 'phone' and (rank > 1)).value":   `"2"`,
		"Patient.telecom.where(system = 'phone').where(rank = 2).value":  `"2"`,
		"Patient.telecom.where(system = 'phone')[1].value":               `"2"`,
		`Patient.telecom.where(value = 'it\'s (a) test').system`:         `"email"`,
		"Patient.extension('http://x').value":                            `"e"`,
		"Patient.extension('http://y').value.ofType(boolean)":            `true`,
		"Patient.extension.where(url = 'http://x').value.ofType(string)": `"e"`,
		"Patient.extension.where(url = 'http://x').value as string":      `"e"`,
		"(Patient.extension.where(url = 'http://x').value as string)":    `"e"`,
		"(Patient.extension('http://x').value as FHIR.string)":           `"e"`,
		"Patient.extension('http://x').value.as(string)":                 `"e"`,
		"((Patient.name)[1]).use":                                        `"usual"`,
		"Patient.name.where(given.where($this = 'b').exists()).use":      `"official"`,
		"Patient.name.where(given contains 'b').use":                     `"official"`,
		"Patient.telecom.where(value.startsWith('it')).system":           `"email"`,
		"Patient.extension('http://x').value.ofType(boolean)":            `Unprocessable not-found Parameters.parameter[0].part[1]`,
		"Patient.name[2]":                                                `Unprocessable not-found Parameters.parameter[0].part[1]`,
		"Patient.name":                                                   `Unprocessable multiple-matches Parameters.parameter[0].part[1]`,
		"Patient.contact.name":                                           `Unprocessable not-found Parameters.parameter[0].part[1]`,
		"Observation.status":                                             `Unprocessable not-found Parameters.parameter[0].part[1]`,
		"Patient.resourceType":                                           `Unprocessable not-found Parameters.parameter[0].part[1]`,
		"Patient._birthDate":                                             `Unprocessable not-found Parameters.parameter[0].part[1]`,
		"Patient.managingOrganization.resolve().name":                    `Unprocessable not-supported Parameters.parameter[0].part[1]`,
		"Patient.name.where(resolve().exists())":                         `Unprocessable not-supported Parameters.parameter[0].part[1]`,
		"Patient.name.where(period.start < today())":                     `Unprocessable not-supported Parameters.parameter[0].part[1]`,
		"Patient.name.where(%resource.active)":                           `Unprocessable not-supported Parameters.parameter[0].part[1]`,
		"%resource.name":                                                 `Unprocessable not-supported Parameters.parameter[0].part[1]`,
		"Patient.name.skip(1)":                                           `Unprocessable not-supported Parameters.parameter[0].part[1]`,
		"Patient.descendants()":                                          `Unprocessable not-supported Parameters.parameter[0].part[1]`,
		"Patient.name | Patient.telecom":                                 `Unprocessable not-supported Parameters.parameter[0].part[1]`,
		"Patient.name = Patient.telecom":                                 `Unprocessable not-supported Parameters.parameter[0].part[1]`,
		"Patient.name is HumanName":                                      `Unprocessable not-supported Parameters.parameter[0].part[1]`,
		"Patient.name.where('a')":                                        `Unprocessable value Parameters.parameter[0].part[1]`,
		"Patient.name.where(given.first().length() > 'a')":               `Unprocessable value Parameters.parameter[0].part[1]`,
		"Patient.name.where(use = 'x' ":                                  `BadRequest value Parameters.parameter[0].part[1]`,
		"Patient.name.where()":                                           `BadRequest value Parameters.parameter[0].part[1]`,
		"Patient.name.where(use = )":                                     `BadRequest value Parameters.parameter[0].part[1]`,
		"Patient.name[-1]":                                               `BadRequest value Parameters.parameter[0].part[1]`,
		"Patient.name[99999999999]":                                      `BadRequest value Parameters.parameter[0].part[1]`,
		"Patient.name[0":                                                 `BadRequest value Parameters.parameter[0].part[1]`,
		"Patient..name":                                                  `BadRequest value Parameters.parameter[0].part[1]`,
		"Patient.":                                                       `BadRequest value Parameters.parameter[0].part[1]`,
		"Patient.name.":                                                  `BadRequest value Parameters.parameter[0].part[1]`,
		"Patient name":                                                   `BadRequest value Parameters.parameter[0].part[1]`,
		"(Patient.name":                                                  `BadRequest value Parameters.parameter[0].part[1]`,
		"Patient.name)":                                                  `BadRequest value Parameters.parameter[0].part[1]`,
		"Patient.`name":                                                  `BadRequest value Parameters.parameter[0].part[1]`,
		"Patient.extension(x)":                                           `BadRequest value Parameters.parameter[0].part[1]`,
		"Patient.first(1)":                                               `BadRequest value Parameters.parameter[0].part[1]`,
		strings.Repeat("(", 100) + "Patient" + strings.Repeat(")", 100):  `BadRequest value Parameters.parameter[0].part[1]`,
		"Patient.name" + strings.Repeat(" ", maxPath):                    `BadRequest too-long Parameters.parameter[0].part[1]`,
		"é": `BadRequest value Parameters.parameter[0].part[1]`,
	} {
		t.Run(path, func(t *testing.T) {
			root := parse(t, patient)
			p := fhirPatch{schema: schema, root: &element{index: -1, typ: "Patient", value: newValue(root)}}
			if steps, err := parseSelector(path, "Patient"); err == nil {
				if e, err := p.one(steps); err == nil {
					if got := string(e.value.appendTo(nil)); got != want {
						t.Errorf("got %s, want %s", got, want)
					}
					return
				}
			}
			if got := applied(FHIRPath(root, parse(t, patchOf(replace(path, `"valueString":"z"`))), schema)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestFHIRPathRefusesMalformedPatches(t *testing.T) {
	const patient = `{"resourceType":"Patient","active":true}`
	check(t, []fhirPathCase{
		{"no parameters change nothing", patient, `{"resourceType":"Parameters"}`, patient},
		{"an empty list changes nothing", patient, `{"resourceType":"Parameters","parameter":[]}`, patient},
		{"another resource", patient, `{"resourceType":"Patient"}`, `BadRequest structure`},
		{"no object", patient, `[]`, `BadRequest structure`},
		{"parameter is no list", patient, `{"resourceType":"Parameters","parameter":{}}`, `BadRequest structure Parameters.parameter`},
		{"a parameter is no object", patient, `{"resourceType":"Parameters","parameter":[1]}`, `BadRequest structure Parameters.parameter[0]`},
		{"a parameter of another name", patient, `{"resourceType":"Parameters","parameter":[{"name":"op","part":[]}]}`, `BadRequest value Parameters.parameter[0].name`},
		{"no parts", patient, `{"resourceType":"Parameters","parameter":[{"name":"operation"}]}`, `BadRequest required Parameters.parameter[0].part`},
		{"a part without name", patient, patchOf(operationOf("delete", `{"valueString":"Patient.active"}`)), `BadRequest required Parameters.parameter[0].part[1].name`},
		{"a part is no object", patient, patchOf(operationOf("delete", `7`)), `BadRequest structure Parameters.parameter[0].part[1]`},
		{"no type", patient, `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"path","valueString":"Patient.active"}]}]}`, `BadRequest required Parameters.parameter[0]`},
		{"an unknown type", patient, patchOf(operationOf("remove", text("path", "Patient.active"))), `BadRequest not-supported Parameters.parameter[0].part[0]`},
		{"no path", patient, patchOf(operationOf("delete")), `BadRequest required Parameters.parameter[0]`},
		{"an empty path", patient, patchOf(operationOf("delete", text("path", ""))), `BadRequest required Parameters.parameter[0].part[1]`},
		{"a path of another type", patient, patchOf(operationOf("delete", partWith("path", `"valueInteger":1`))), `BadRequest required Parameters.parameter[0].part[1]`},
		{"two paths", patient, patchOf(operationOf("delete", text("path", "Patient.active"), text("path", "Patient.active"))), `BadRequest structure Parameters.parameter[0].part[2].name`},
		{"a part too many", patient, patchOf(operationOf("delete", text("path", "Patient.active"), partWith("index", `"valueInteger":1`))), `BadRequest structure Parameters.parameter[0].part[2].name`},
		{"a part unknown", patient, patchOf(operationOf("delete", text("path", "Patient.active"), text("when", "now"))), `BadRequest structure Parameters.parameter[0].part[2].name`},
		{"no value", patient, patchOf(operationOf("replace", text("path", "Patient.active"))), `BadRequest required Parameters.parameter[0]`},
		{"no index", patient, patchOf(operationOf("insert", text("path", "Patient.name"), partWith("value", `"valueHumanName":{"text":"a"}`))), `BadRequest required Parameters.parameter[0]`},
		{"a modifier extension", patient, `{"resourceType":"Parameters","parameter":[{"name":"operation","modifierExtension":[],"part":[]}]}`, `BadRequest not-supported Parameters.parameter[0].modifierExtension`},
		{"more than 1000 operations", patient, patchOf(strings.TrimSuffix(strings.Repeat(del("Patient.name")+",", 1001), ",")), `TooLarge too-long Parameters.parameter`},
		{"1000 operations are allowed", patient, patchOf(strings.TrimSuffix(strings.Repeat(del("Patient.name")+",", 1000), ",")), patient},
	})
}

func TestFHIRPathWorkIsBounded(t *testing.T) {
	names := strings.TrimSuffix(strings.Repeat(`{"use":"usual"},`, 60_000), ",")
	got := applied(FHIRPath(parse(t, `{"resourceType":"Patient","name":[`+names+`]}`), parse(t, patchOf(del("Patient.name.where(use = 'old')"))), r4Schema(t)))
	if want := "TooLarge too-costly Parameters.parameter[0].part[1]"; got != want {
		t.Errorf("got %.100s, want %s", got, want)
	}
}

// A resource that is not as FHIR has it is never damaged further, and nothing panics.
func TestFHIRPathOnResourcesThatAreNotValid(t *testing.T) {
	check(t, []fhirPathCase{
		{"a list that is none", `{"resourceType":"Patient","name":{"text":"a"}}`, patchOf(del("Patient.name[0]")), `Unprocessable structure Parameters.parameter[0].part[1]`},
		{"a list where none belongs", `{"resourceType":"Patient","gender":["male"]}`, patchOf(del("Patient.gender")), `Unprocessable structure Parameters.parameter[0].part[1]`},
		{"add to a list that is none", `{"resourceType":"Patient","name":{"text":"a"}}`, patchOf(add("Patient", "name", `"valueHumanName":{"text":"a"}`)), `Unprocessable structure Parameters.parameter[0].part[3]`},
		{"insert into a list that is none", `{"resourceType":"Patient","name":{"text":"a"}}`, patchOf(insert("Patient.name", 0, `"valueHumanName":{"text":"a"}`)), `Unprocessable structure Parameters.parameter[0].part[1]`},
		{"an object that is none", `{"resourceType":"Patient","maritalStatus":"m"}`, patchOf(add("Patient.maritalStatus", "text", `"valueString":"a"`)), `Unprocessable structure Parameters.parameter[0].part[1]`},
		{"sides of different length", `{"resourceType":"Patient","name":[{"given":["a","b"],"_given":[{"id":"x"}]}]}`, patchOf(del("Patient.name.given[1]")), `{"resourceType":"Patient","name":[{"given":["a"],"_given":[{"id":"x"}]}]}`},
		{"two alternatives of a choice", `{"resourceType":"Observation","valueString":"a","valueInteger":1}`, patchOf(replace("Observation.value.ofType(integer)", `"valueString":"b"`)), `Unprocessable structure Parameters.parameter[0].part[1]`},
		{"no type", `{"id":"1"}`, patchOf(del("active")), `Unprocessable not-found Parameters.parameter[0].part[1]`},
	})
}

func TestLongPathsAreBounded(t *testing.T) {
	long := "Patient.name.where(" + strings.Repeat("use = 'a' or ", 300) + "use = 'b')"
	got := applied(FHIRPath(parse(t, `{"resourceType":"Patient"}`), parse(t, patchOf(strings.TrimSuffix(strings.Repeat(del(long)+",", 1000), ","))), r4Schema(t)))
	if want := "TooLarge too-costly Parameters.parameter["; !strings.HasPrefix(got, want) {
		t.Errorf("got %.100s, want %s", got, want)
	}
}

func TestFHIRPathErrorsRepeatNoValues(t *testing.T) {
	const secret = "Bettany"
	resource := parse(t, `{"resourceType":"Patient","name":[{"family":"`+secret+`"},{"family":"`+secret+`"}],"contained":[{"resourceType":"`+secret+`"}]}`)
	for _, patch := range []string{
		del("Patient.name.where(family = '" + secret + "')"),
		replace("Patient.name.where(family = '"+secret+"' and family.first().length() > 'a')", `"valueHumanName":{}`),
		replace("Patient.name.where(family = '"+secret+"'", `"valueHumanName":{}`),
		replace("Patient.name.where(family ~~ '"+secret+"')", `"valueHumanName":{}`),
		add("Patient", "gender", `"valueHumanName":{"family":"`+secret+`"}`),
		add("Patient.name[0]", "family", `"valueString":"`+secret+`"`),
		add("Patient.contained[0]", "name", `"valueString":"x"`),
		insert("Patient.name", 9, `"valueHumanName":{"family":"`+secret+`"}`),
		operationOf(secret, text("path", "Patient")),
		operationOf("delete", text("path", "Patient"), text(secret, secret)),
		replace("'"+secret+"'", `"valueString":"x"`),
		replace("Patient.`"+secret+" x`", `"valueString":"x"`),
	} {
		_, err := FHIRPath(resource, parse(t, patchOf(patch)), r4Schema(t))
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", patch, err)
		}
	}
}
