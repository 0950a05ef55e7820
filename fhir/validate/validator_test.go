package validate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"aftercare/fhir"
)

var newOnce = sync.OnceValues(func() (*Validator, error) { return New() })

func validator(t testing.TB) *Validator {
	t.Helper()
	v, err := newOnce()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func parse(t testing.TB, text string) *fhir.Node {
	t.Helper()
	n, err := fhir.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return n
}

// flat renders issues as "code place", one per line.
func flat(issues []fhir.Issue) string {
	var lines []string
	for _, i := range issues {
		lines = append(lines, i.Code+" "+strings.Join(i.Expression, ","))
	}
	return strings.Join(lines, "\n")
}

func TestValidFilesHaveNoIssues(t *testing.T) {
	files, _ := filepath.Glob("testdata/valid/*.json")
	if len(files) == 0 {
		t.Fatal("no files")
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range validator(t).Resource(parse(t, string(data)), "") {
			t.Errorf("%s: %s %s %s", f, i.Code, i.Expression, i.Text)
		}
	}
}

func TestIssues(t *testing.T) {
	patient := func(members string) string { return `{"resourceType":"Patient",` + members + `}` }
	observation := func(members string) string {
		return `{"resourceType":"Observation","status":"final","code":{"text":"c"},` + members + `}`
	}
	div := func(inner string) string {
		return patient(`"text":{"status":"generated","div":"` + strings.ReplaceAll(inner, `"`, `\"`) + `"}`)
	}
	for _, c := range []struct{ name, json, want string }{
		{"not an object", `[]`, "structure Resource"},
		{"no resourceType", `{"id":"a"}`, "required Resource.resourceType"},
		{"resourceType not a string", `{"resourceType":1}`, "structure Resource.resourceType"},
		{"unknown resourceType", `{"resourceType":"Pain"}`, "value Resource.resourceType"},
		{"resourceType in wrong case", `{"resourceType":"patient"}`, "value Resource.resourceType"},
		{"abstract type", `{"resourceType":"DomainResource"}`, "value Resource.resourceType"},
		{"a datatype", `{"resourceType":"HumanName"}`, "value Resource.resourceType"},
		{"an inner element", `{"resourceType":"Patient.contact"}`, "value Resource.resourceType"},
		{"only a type", `{"resourceType":"Patient"}`, ""},

		{"unknown element", patient(`"colour":"red"`), "structure Patient.colour"},
		{"element in wrong case", patient(`"GENDER":"male"`), "structure Patient.GENDER"},
		{"unknown partner", patient(`"_colour":{"id":"a"}`), "structure Patient._colour"},
		{"partner of an object", patient(`"_name":[{"id":"a"}]`), "structure Patient._name"},
		{"name that is no word stays out", patient(`"Jo Doe":1`), "structure Patient"},
		{"empty name", patient(`"":1`), "structure Patient"},
		{"underscore alone", patient(`"_":1`), "structure Patient._"},
		{"resourceType in a datatype", patient(`"name":[{"resourceType":"HumanName","text":"a"}]`), "structure Patient.name[0].resourceType"},
		{"partner of resourceType", patient(`"_resourceType":{"id":"a"}`), "structure Patient._resourceType"},
		{"comments are not R4", patient(`"fhir_comments":["a"]`), "structure Patient.fhir_comments"},

		{"string for boolean", patient(`"active":"true"`), "structure Patient.active"},
		{"number for string", patient(`"name":[{"text":5}]`), "structure Patient.name[0].text"},
		{"object for array", patient(`"name":{"text":"a"}`), "structure Patient.name"},
		{"array for single", patient(`"gender":["male"]`), "structure Patient.gender"},
		{"array for single object", patient(`"maritalStatus":[{"text":"a"}]`), "structure Patient.maritalStatus"},
		{"scalar for list", patient(`"name":[{"given":"a"}]`), "structure Patient.name[0].given"},
		{"string for object", patient(`"name":["a"]`), "structure Patient.name[0]"},
		{"array in array", patient(`"name":[[{"text":"a"}]]`), "structure Patient.name[0]"},
		{"object for string", patient(`"language":{"a":"b"}`), "structure Patient.language"},
		{"null", patient(`"gender":null`), "structure Patient.gender"},
		{"null object", patient(`"maritalStatus":null`), "structure Patient.maritalStatus"},
		{"null in a list of objects", patient(`"name":[null]`), "structure Patient.name[0]"},
		{"empty array", patient(`"name":[]`), "structure Patient.name"},
		{"empty array of strings", patient(`"name":[{"given":[]}]`), "structure Patient.name[0].given"},
		{"empty object", patient(`"maritalStatus":{}`), "structure Patient.maritalStatus"},
		{"empty string", patient(`"language":""`), "value Patient.language"},
		{"only an id", patient(`"maritalStatus":{"id":"a"}`), "invariant Patient.maritalStatus"},

		{"null without partner", patient(`"name":[{"given":["a",null]}]`), "structure Patient.name[0].given[1]"},
		{"null on both sides", patient(`"name":[{"given":["a",null],"_given":[{"id":"a"},null]}]`), "structure Patient.name[0].given[1]"},
		{"partner of other length", patient(`"name":[{"given":["a"],"_given":[null,{"id":"a"}]}]`), "structure Patient.name[0].given"},
		{"partner not an array", patient(`"name":[{"given":["a"],"_given":{"id":"a"}}]`), "structure Patient.name[0].given"},
		{"partner an array", patient(`"birthDate":"1980","_birthDate":[{"id":"a"}]`), "structure Patient.birthDate"},
		{"partner null", patient(`"birthDate":"1980","_birthDate":null`), "structure Patient.birthDate"},
		{"partner with a stranger", patient(`"_birthDate":{"value":"1980"}`), "structure Patient.birthDate.value"},
		{"partner with id but no value", patient(`"_birthDate":{"id":"a"}`), "invariant Patient.birthDate"},
		{"partner with id and a value", patient(`"birthDate":"1980","_birthDate":{"id":"a"}`), ""},
		{"partner before the value", patient(`"_birthDate":{"id":"a"},"birthDate":"1980-13"`), "value Patient.birthDate"},
		{"partner alone in a list", patient(`"name":[{"_given":[{"extension":[{"url":"u","valueId":"a"}]}]}]`), ""},
		{"partner counts as present", `{"resourceType":"Observation","_status":{"extension":[{"url":"u","valueCode":"a"}]},"code":{"text":"a"}}`, ""},

		{"impossible date", patient(`"birthDate":"2026-02-30"`), "value Patient.birthDate"},
		{"leap day of a common year", patient(`"birthDate":"2025-02-29"`), "value Patient.birthDate"},
		{"date with time", patient(`"birthDate":"2026-02-03T10:00:00Z"`), "value Patient.birthDate"},
		{"time without zone", patient(`"deceasedDateTime":"2026-02-03T10:00:00"`), "value Patient.deceasedDateTime"},
		{"time without seconds", patient(`"deceasedDateTime":"2026-02-03T10:00Z"`), "value Patient.deceasedDateTime"},
		{"integer with fraction", patient(`"multipleBirthInteger":2.0`), "value Patient.multipleBirthInteger"},
		{"integer with exponent", patient(`"multipleBirthInteger":2e0`), "value Patient.multipleBirthInteger"},
		{"integer over 32 bits", patient(`"multipleBirthInteger":2147483648`), "value Patient.multipleBirthInteger"},
		{"least integer", patient(`"multipleBirthInteger":-2147483648`), ""},
		{"positiveInt of 0", patient(`"telecom":[{"rank":0}]`), "value Patient.telecom[0].rank"},
		{"id of 65", patient(`"id":"` + strings.Repeat("a", 65) + `"`), "value Patient.id"},
		{"id with underscore", patient(`"id":"a_b"`), "value Patient.id"},
		{"uri with space", patient(`"implicitRules":"a b"`), "value Patient.implicitRules"},
		{"string with control character", patient(`"name":[{"text":"a\u0001"}]`), "value Patient.name[0].text"},
		{"code with end space", observation(`"method":{"coding":[{"code":"a "}]}`), "value Observation.method.coding[0].code"},
		{"damaged base64", patient(`"photo":[{"contentType":"a/b","data":"QUJ"}]`), "value Patient.photo[0].data"},

		{"two values of a choice", observation(`"valueString":"a","valueInteger":1`), "structure Observation.valueInteger"},
		{"two values, one a partner", observation(`"_valueString":{"extension":[{"url":"u","valueId":"a"}]},"valueInteger":1`), "structure Observation.valueInteger"},
		{"value and its own partner", observation(`"_valueString":{"id":"x"},"valueString":"a"`), ""},
		{"choice type not allowed", observation(`"valueDecimal":1`), "structure Observation.valueDecimal"},
		{"choice without type", observation(`"value":1`), "structure Observation.value"},
		{"choice in wrong case", observation(`"valuequantity":{"value":1}`), "structure Observation.valuequantity"},
		{"comparator in SimpleQuantity", observation(`"referenceRange":[{"low":{"value":1,"comparator":"<"}}]`), "structure Observation.referenceRange[0].low.comparator"},

		{"missing required", `{"resourceType":"Observation","status":"final"}`, "required Observation.code"},
		{"missing required choice", `{"resourceType":"MedicationRequest","status":"active","intent":"order","subject":{"reference":"Patient/1"}}`, "required MedicationRequest.medication"},
		{"missing url of extension", patient(`"extension":[{"valueString":"a"}]`), "required Patient.extension[0].url"},
		{"extension without value", patient(`"extension":[{"url":"u"}]`), "invariant Patient.extension[0]"},
		{"extension with both", patient(`"extension":[{"url":"u","valueId":"a","extension":[{"url":"v","valueId":"b"}]}]`), "invariant Patient.extension[0]"},
		{"modifierExtension in a datatype", patient(`"name":[{"text":"a","modifierExtension":[{"url":"u","valueId":"a"}]}]`), "structure Patient.name[0].modifierExtension"},

		{"code outside the binding", patient(`"gender":"m"`), "code-invalid Patient.gender"},
		{"code in wrong case", patient(`"gender":"Male"`), "code-invalid Patient.gender"},
		{"code in a list", observation(`"effectiveTiming":{"repeat":{"dayOfWeek":["mon","Mon"]}}`), "code-invalid Observation.effectiveTiming.repeat.dayOfWeek[1]"},
		{"concept outside the binding", `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"clinicalStatus":{"coding":[{"system":"http://x","code":"active"}]}}`, "code-invalid Condition.clinicalStatus"},
		{"concept of text only", `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"clinicalStatus":{"text":"active"}}`, "code-invalid Condition.clinicalStatus"},

		{"reference to wrong type", observation(`"subject":{"reference":"Practitioner/1"}`), "value Observation.subject.reference"},
		{"absolute reference to wrong type", observation(`"subject":{"reference":"http://x.org/fhir/Practitioner/1/_history/2"}`), "value Observation.subject.reference"},
		{"conditional reference to wrong type", observation(`"subject":{"reference":"Practitioner?identifier=a|b"}`), "value Observation.subject.reference"},
		{"reference to unknown type", observation(`"subject":{"reference":"Person_/1"}`), "value Observation.subject.reference"},
		{"reference that is only an id", observation(`"subject":{"reference":"17"}`), "value Observation.subject.reference"},
		{"reference with white space", observation(`"subject":{"reference":"Patient/1 "}`), "value Observation.subject.reference"},
		{"reference to a urn", observation(`"subject":{"reference":"urn:uuid:a"}`), ""},
		{"reference to another kind of url", observation(`"subject":{"reference":"http://x.org/a.html"}`), ""},
		{"type of wrong type", observation(`"subject":{"type":"Practitioner","display":"a"}`), "value Observation.subject.type"},
		{"type against reference", observation(`"subject":{"type":"Group","reference":"Patient/1"}`), "value Observation.subject.type"},
		{"reference to nothing contained", observation(`"subject":{"reference":"#p"}`), "invariant Observation.subject.reference"},
		{"contained of wrong type", observation(`"contained":[{"resourceType":"Practitioner","id":"p"}],"subject":{"reference":"#p"}`), "value Observation.subject.reference"},
		{"reference a string", observation(`"subject":"Patient/1"`), "structure Observation.subject"},
		{"reference an object", observation(`"subject":{"reference":{"reference":"Patient/1"}}`), "structure Observation.subject.reference"},

		{"contained without id", patient(`"contained":[{"resourceType":"Organization","name":"a"}]`), "required Patient.contained[0].id"},
		{"contained that nobody uses", patient(`"contained":[{"resourceType":"Organization","id":"o","name":"a"}]`), "invariant Patient.contained[0]"},
		{"contained twice", patient(`"contained":[{"resourceType":"Organization","id":"o","name":"a"},{"resourceType":"Organization","id":"o","name":"b"}],"managingOrganization":{"reference":"#o"}`), "structure Patient.contained[1].id"},
		{"contained in contained", patient(`"contained":[{"resourceType":"Organization","id":"o","name":"a","contained":[{"resourceType":"Organization","id":"p","name":"b"}],"partOf":{"reference":"#p"}}],"managingOrganization":{"reference":"#o"}`), "invariant Patient.contained[0].contained\ninvariant Patient.contained[0].partOf.reference"},
		{"contained with meta", patient(`"contained":[{"resourceType":"Organization","id":"o","name":"a","meta":{"versionId":"1"}}],"managingOrganization":{"reference":"#o"}`), "invariant Patient"},
		{"contained with an error", patient(`"contained":[{"resourceType":"Organization","id":"o","name":1}],"managingOrganization":{"reference":"#o"}`), "structure Patient.contained[0].name"},
		{"contained without type", patient(`"contained":[{"id":"o"}],"managingOrganization":{"reference":"#o"}`), "required Patient.contained[0].resourceType"},
		{"contained of a type that is not served", patient(`"contained":[{"resourceType":"Slot","id":"s","schedule":{"reference":"Schedule/1"},"status":"busy","start":"2026-01-01T00:00:00Z"}],"extension":[{"url":"u","valueReference":{"reference":"#s"}}]`), "required Patient.contained[0].end"},

		{"narrative without status", patient(`"text":{"div":"<div xmlns='http://www.w3.org/1999/xhtml'>a</div>"}`), "required Patient.text.status"},
		{"narrative without div", patient(`"text":{"status":"empty"}`), "required Patient.text.div"},
		{"narrative not well-formed", div(`<div xmlns="http://www.w3.org/1999/xhtml"><p>a</div>`), "structure Patient.text.div"},
		{"narrative without namespace", div(`<div>a</div>`), "structure Patient.text.div"},
		{"narrative with a script", div(`<div xmlns="http://www.w3.org/1999/xhtml"><script>a</script></div>`), "structure Patient.text.div"},
		{"narrative with an extension", patient(`"text":{"status":"empty","div":"<div xmlns='http://www.w3.org/1999/xhtml'>a</div>","_div":{"extension":[{"url":"u","valueId":"a"}]}}`), "structure Patient.text.div.extension"},

		{"period the wrong way round", patient(`"name":[{"text":"a","period":{"start":"2026-02","end":"2026-01-31"}}]`), "invariant Patient.name[0].period"},
		{"period of one day", patient(`"name":[{"text":"a","period":{"start":"2026-02-03T23:00:00-05:00","end":"2026-02-03"}}]`), ""},
		{"range the wrong way round", observation(`"valueRange":{"low":{"value":10},"high":{"value":9.99}}`), "invariant Observation.valueRange"},
		{"range in different units", observation(`"valueRange":{"low":{"value":10,"unit":"mm"},"high":{"value":2,"unit":"cm"}}`), ""},
		{"value and the reason why not", observation(`"valueString":"a","dataAbsentReason":{"text":"b"}`), "invariant Observation"},
		{"component with the same code", `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"s","code":"c"}]},"valueString":"a","component":[{"code":{"coding":[{"code":"c","system":"s"}]},"valueString":"b"}]}`, "invariant Observation"},
		{"activity with detail and reference", `{"resourceType":"CarePlan","status":"active","intent":"plan","subject":{"reference":"Patient/1"},"activity":[{"detail":{"status":"scheduled"},"reference":{"reference":"Task/1"}}]}`, "invariant CarePlan.activity[0]"},
		{"code without system", observation(`"valueQuantity":{"value":1,"code":"mg"}`), "invariant Observation.valueQuantity"},
		{"telecom of no system", patient(`"telecom":[{"value":"1"}]`), "invariant Patient.telecom[0]"},
		{"home of an organization", `{"resourceType":"Organization","name":"a","address":[{"use":"work","text":"b"},{"use":"home","text":"c"}]}`, "invariant Organization"},
		{"age of 0", `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"onsetAge":{"value":0,"system":"http://unitsofmeasure.org","code":"a"}}`, "invariant Condition.onsetAge"},

		{"transaction entry without request", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient"}}]}`, "invariant Bundle.entry[0]"},
		{"collection entry with request", `{"resourceType":"Bundle","type":"collection","entry":[{"request":{"method":"GET","url":"a"}}]}`, "invariant Bundle"},
		{"bundle without type", `{"resourceType":"Bundle"}`, "required Bundle.type"},
		{"entry with nothing", `{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:a"}]}`, "invariant Bundle.entry[0]"},
		{"fullUrl twice", `{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:a","resource":{"resourceType":"Patient"}},{"fullUrl":"urn:uuid:a","resource":{"resourceType":"Patient"}}]}`, "invariant Bundle"},
		{"resource in an entry", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","gender":"x"}},{"resource":{"resourceType":"Nobody"}}]}`, "code-invalid Bundle.entry[0].resource.gender\nvalue Bundle.entry[1].resource.resourceType"},
		{"contained is sought in its own entry", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Organization","id":"o","name":"a"}},{"resource":{"resourceType":"Patient","managingOrganization":{"reference":"#o"}}}]}`, "invariant Bundle.entry[1].resource.managingOrganization.reference"},
	} {
		t.Run(c.name, func(t *testing.T) {
			issues := validator(t).Resource(parse(t, c.json), "")
			if got := flat(issues); got != c.want {
				t.Errorf("got %q, want %q; %+v", got, c.want, issues)
			}
			for _, i := range issues {
				if i.Severity != "error" || i.Text == "" || !strings.HasSuffix(i.Text, ".") {
					t.Errorf("issue %+v is not an error with a sentence", i)
				}
			}
		})
	}
}

func TestTextsHelp(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{`{"resourceType":"Patient","GENDER":"male"}`, "gender"},
		{`{"resourceType":"patient"}`, "Patient"},
		{`{"resourceType":"Patient","_Birthdate":{}}`, "birthDate"},
		{`{"resourceType":"Patient","gender":"m"}`, "female, male, other, unknown"},
		{`{"resourceType":"Patient","deceased":true}`, "deceasedBoolean"},
		{`{"resourceType":"Patient","deceasedString":"a"}`, "boolean, dateTime"},
		{`{"resourceType":"Patient","managingOrganization":{"reference":"Patient/1"}}`, "Organization"},
		{`{"resourceType":"Patient","gender":["male"]}`, "array"},
	} {
		issues := validator(t).Resource(parse(t, c.json), "")
		if len(issues) == 0 || !strings.Contains(issues[0].Text, c.want) {
			t.Errorf("%s: %+v does not say %q", c.json, issues, c.want)
		}
	}
}

func TestPlaceBeginsWithAt(t *testing.T) {
	issues := validator(t).Resource(parse(t, `{"resourceType":"Patient","gender":"m","name":[{"given":[1]}]}`), "Bundle.entry[3].resource")
	want := "code-invalid Bundle.entry[3].resource.gender\nstructure Bundle.entry[3].resource.name[0].given[0]"
	if got := flat(issues); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := flat(validator(t).Resource(nil, "Parameters.parameter[0].resource")); got != "structure Parameters.parameter[0].resource" {
		t.Errorf("got %q for nothing", got)
	}
}

func TestManyIssuesAreCounted(t *testing.T) {
	for _, n := range []int{49, 50, 51, 1000} {
		names := strings.TrimSuffix(strings.Repeat(`{"text":1},`, n), ",")
		issues := validator(t).Resource(parse(t, `{"resourceType":"Patient","name":[`+names+`]}`), "")
		if n <= 50 && len(issues) != n {
			t.Errorf("%d issues for %d errors", len(issues), n)
		}
		if n > 50 && (len(issues) != 51 || !strings.Contains(issues[50].Text, fmt.Sprint(n-50, " more"))) {
			t.Errorf("%d issues for %d errors, the last is %+v", len(issues), n, issues[len(issues)-1])
		}
	}
}

func TestReferenceTypesCanBeOff(t *testing.T) {
	v, err := New(WithReferenceTypes(false))
	if err != nil {
		t.Fatal(err)
	}
	wrongType := `{"resourceType":"Patient","managingOrganization":{"reference":"Patient/1"}}`
	if issues := v.Resource(parse(t, wrongType), ""); len(issues) > 0 {
		t.Errorf("off: %+v", issues)
	}
	noReference := `{"resourceType":"Patient","managingOrganization":{"reference":"17"}}`
	if issues := v.Resource(parse(t, noReference), ""); len(issues) != 1 {
		t.Errorf("off, but not for what is no reference: %+v", issues)
	}
}

func TestServedTypesAreInTheTable(t *testing.T) {
	v := validator(t)
	for _, served := range fhir.ServedTypes() {
		if s := v.types[served.Name]; s == nil || s.kind != "resource" {
			t.Errorf("%s is served and not in the table", served.Name)
		}
	}
	resources := 0
	for _, s := range v.types {
		if s.kind == "resource" {
			resources++
		}
	}
	if resources != 146 {
		t.Errorf("%d resource types, R4 has 146", resources)
	}
}
