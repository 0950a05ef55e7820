package form

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"aftercare/fhir"
)

func parse(t testing.TB, s string) *fhir.Node {
	t.Helper()
	n, err := fhir.Parse([]byte(s))
	if err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	return n
}

func diary(t testing.TB) *fhir.Node {
	t.Helper()
	data, err := os.ReadFile("../../definitions/Questionnaire-pain-diary.json")
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(data))
}

const ours = `"system":"https://aftercare.example/fhir/CodeSystem/osseointegration",`

func response(items string, more ...string) string {
	return `{"resourceType":"QuestionnaireResponse","questionnaire":"https://aftercare.example/fhir/Questionnaire/pain-diary","status":"completed",` +
		`"subject":{"reference":"Patient/p"},"authored":"2026-07-02T08:30:00+01:00"` + strings.Join(append([]string{""}, more...), ",") + `,"item":[` + items + `]}`
}

// pain is one group of the diary; below are the answers under the score.
func pain(score string, below ...string) string {
	items := ""
	if len(below) > 0 {
		items = `,"item":[` + strings.Join(below, ",") + `]`
	}
	return `{"linkId":"pain","item":[{"linkId":"score","answer":[{"valueInteger":` + score + items + `}]}]}`
}

func choice(linkID string, codings ...string) string {
	var answers []string
	for _, c := range codings {
		answers = append(answers, `{"valueCoding":{`+c+`}}`)
	}
	return `{"linkId":"` + linkID + `","answer":[` + strings.Join(answers, ",") + `]}`
}

func TestADiaryBecomesObservations(t *testing.T) {
	full := pain("6", choice("site", ours+`"code":"muscle","display":"In the muscle"`), choice("side", `"system":"http://snomed.info/sct","code":"7771000","display":"Left"`),
		choice("trigger", ours+`"code":"pull"`, ours+`"code":"twist"`), `{"linkId":"onset","answer":[{"valueDate":"2026-07-01"}]}`, `{"linkId":"quality","answer":[{"valueString":"burning \"hot\""}]}`)
	all, err := Extract(diary(t), parse(t, response(full+","+pain("0"), `"id":"r1","basedOn":[{"reference":"CarePlan/c"}],"author":{"reference":"Patient/p"},"partOf":[{"reference":"Observation/o"},{"reference":"Procedure/x"}]`)), "QuestionnaireResponse/r1")
	if err != nil || len(all) != 2 {
		t.Fatalf("%d, %v", len(all), err)
	}
	want := `{"resourceType":"Observation","identifier":[{"system":"https://aftercare.example/fhir/identifier/extracted-observation","value":"` + all[0].Key + `"}],` +
		`"basedOn":[{"reference":"CarePlan/c"}],"partOf":[{"reference":"Procedure/x"}],"status":"final",` +
		`"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"survey"}]}],` +
		`"code":{"coding":[{"system":"http://loinc.org","code":"72514-3","display":"Pain severity - 0-10 verbal numeric rating [Score] - Reported"}]},` +
		`"subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-07-02T08:30:00+01:00","issued":"2026-07-02T08:30:00+01:00","performer":[{"reference":"Patient/p"}],` +
		`"valueQuantity":{"value":6,"unit":"score","system":"http://unitsofmeasure.org","code":"{score}"},` +
		`"bodySite":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"muscle"},{"system":"http://snomed.info/sct","code":"7771000"}],"text":"In the muscle; Left"},` +
		`"derivedFrom":[{"reference":"QuestionnaireResponse/r1"}],"component":[` +
		`{"code":{"coding":[{"system":"http://loinc.org","code":"100752-5","display":"Exacerbating factors - Reported"}]},"valueCodeableConcept":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"pull"}]}},` +
		`{"code":{"coding":[{"system":"http://loinc.org","code":"100752-5","display":"Exacerbating factors - Reported"}]},"valueCodeableConcept":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"twist"}]}},` +
		`{"code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"pain-onset","display":"Date of onset of pain"}]},"valueDateTime":"2026-07-01"},` +
		`{"code":{"coding":[{"system":"http://loinc.org","code":"56823-8","display":"Problem quality or description"}]},"valueString":"burning \"hot\""}]}`
	got, err := json.Marshal(json.RawMessage(all[0].Body))
	if err != nil || !sameJSON(t, string(got), want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if all[1].Key == all[0].Key || strings.Contains(string(all[1].Body), "bodySite") || strings.Contains(string(all[1].Body), "component") {
		t.Errorf("the second pain: %s", all[1].Body)
	}
	if all[0].Place != "QuestionnaireResponse.item[0].item[0].answer[0]" || all[1].Place != "QuestionnaireResponse.item[1].item[0].answer[0]" {
		t.Errorf("places %s, %s", all[0].Place, all[1].Place)
	}
}

func sameJSON(t testing.TB, a, b string) bool {
	t.Helper()
	return string(parse(t, a).Raw) == string(parse(t, b).Raw)
}

func TestKeysTellResponsesApart(t *testing.T) {
	keys := func(r string) string {
		all, err := Extract(diary(t), parse(t, r), "")
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range all {
			out = append(out, e.Key)
		}
		return strings.Join(out, " ")
	}
	identified := `"identifier":{"system":"https://app.example","value":"7"}`
	one := keys(response(pain("6"), identified))
	if one != keys(response(pain("2"), identified, `"id":"x"`)) {
		t.Error("an amended value, or an id beside the identifier, gives another key")
	}
	if one == keys(response(pain("6"), `"identifier":{"system":"https://app.example","value":"8"}`)) || one == keys(response(pain("6"), `"id":"7"`)) || one == keys(response(pain("6"))) {
		t.Error("two responses have one key")
	}
	first, again := keys(response(pain("6"))), keys(response(pain("6")))
	if first != again || first == keys(response(pain("7"))) {
		t.Error("what has no identity is not told apart by its content")
	}
	if two := strings.Fields(keys(response(pain("6")+","+pain("6"), identified))); two[0] == two[1] || two[0] != one {
		t.Error("two equal pains of one response have one key, or the first has another than alone")
	}
}

func TestResponsesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ response, place, code string }{
		"not completed":               {strings.Replace(response(pain("6")), "completed", "in-progress", 1), "QuestionnaireResponse.status", "business-rule"},
		"entered in error":            {strings.Replace(response(pain("6")), "completed", "entered-in-error", 1), "QuestionnaireResponse.status", "business-rule"},
		"about nobody":                {strings.Replace(response(pain("6")), `"subject":{"reference":"Patient/p"},`, "", 1), "QuestionnaireResponse.subject", "required"},
		"at no time":                  {strings.Replace(response(pain("6")), `"authored":"2026-07-02T08:30:00+01:00"`, `"language":"en"`, 1), "QuestionnaireResponse.authored", "required"},
		"no such item":                {response(`{"linkId":"mood"}`), "QuestionnaireResponse.item[0].linkId", "not-found"},
		"an item at another level":    {response(`{"linkId":"score","answer":[{"valueInteger":3}]}`), "QuestionnaireResponse.item[0].linkId", "not-found"},
		"no score":                    {response(`{"linkId":"pain"}`), "QuestionnaireResponse.item[0]", "required"},
		"a score without an answer":   {response(`{"linkId":"pain","item":[{"linkId":"score"}]}`), "QuestionnaireResponse.item[0].item[0]", "required"},
		"above":                       {response(pain("11")), "QuestionnaireResponse.item[0].item[0].answer[0].valueInteger", "value"},
		"below":                       {response(pain("0") + "," + pain("-1")), "QuestionnaireResponse.item[1].item[0].answer[0].valueInteger", "value"},
		"a decimal":                   {strings.Replace(response(pain("5")), "valueInteger", "valueDecimal", 1), "QuestionnaireResponse.item[0].item[0].answer[0].valueDecimal", "value"},
		"two scores":                  {response(`{"linkId":"pain","item":[{"linkId":"score","answer":[{"valueInteger":3},{"valueInteger":4}]}]}`), "QuestionnaireResponse.item[0].item[0].answer[1]", "structure"},
		"the score twice":             {response(`{"linkId":"pain","item":[{"linkId":"score","answer":[{"valueInteger":3}]},{"linkId":"score","answer":[{"valueInteger":4}]}]}`), "QuestionnaireResponse.item[0].item[1]", "structure"},
		"an answer to a group":        {response(`{"linkId":"pain","answer":[{"valueInteger":3}],"item":[{"linkId":"score","answer":[{"valueInteger":4}]}]}`), "QuestionnaireResponse.item[0].answer", "structure"},
		"below the item, not answer":  {response(`{"linkId":"pain","item":[{"linkId":"score","answer":[{"valueInteger":4}],"item":[{"linkId":"onset"}]}]}`), "QuestionnaireResponse.item[0].item[0].item", "structure"},
		"a site that is not offered":  {response(pain("3", choice("site", ours+`"code":"ear"`))), "QuestionnaireResponse.item[0].item[0].answer[0].item[0].answer[0].valueCoding", "code-invalid"},
		"a site of another system":    {response(pain("3", choice("site", `"system":"http://x.example","code":"muscle"`))), "QuestionnaireResponse.item[0].item[0].answer[0].item[0].answer[0].valueCoding", "code-invalid"},
		"two sides":                   {response(pain("3", choice("side", `"system":"http://snomed.info/sct","code":"7771000"`, `"system":"http://snomed.info/sct","code":"24028007"`))), "QuestionnaireResponse.item[0].item[0].answer[0].item[0].answer[1]", "structure"},
		"an answer without its value": {response(`{"linkId":"pain","item":[{"linkId":"score","answer":[{"extension":[{"url":"http://x.example"}]}]}]}`), "QuestionnaireResponse.item[0].item[0].answer[0]", "required"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Extract(diary(t), parse(t, c.response), "")
			var e *fhir.Error
			if !errors.As(err, &e) || e.Kind != fhir.Unprocessable || len(e.Issues) != 1 || e.Issues[0].Expression[0] != c.place || e.Issues[0].Code != c.code {
				t.Errorf("got %v, want %s at %s", err, c.code, c.place)
			}
		})
	}
}

func TestUnansweredItemsGiveNothing(t *testing.T) {
	for name, items := range map[string]string{"no group": "", "an item without answers": ""} {
		t.Run(name, func(t *testing.T) {
			r := strings.Replace(response(items), `,"item":[]`, "", 1)
			all, err := Extract(diary(t), parse(t, r), "")
			if err != nil || len(all) != 0 {
				t.Errorf("got %d, %v", len(all), err)
			}
		})
	}
	all, err := Extract(diary(t), parse(t, response(pain("3", `{"linkId":"site"}`, `{"linkId":"quality"}`))), "")
	if err != nil || len(all) != 1 || strings.Contains(string(all[0].Body), "bodySite") {
		t.Errorf("got %v, %v", all, err)
	}
}

func TestQuestionnairesThatAreNotUnderstood(t *testing.T) {
	x := func(value string) string {
		return `"extension":[{"url":"` + extractExtension + `",` + value + `}]`
	}
	for name, item := range map[string]string{
		"a component of nothing":      `{"linkId":"a","type":"integer",` + x(`"valueCode":"component"`) + `}`,
		"a member":                    `{"linkId":"a","type":"integer",` + x(`"valueCode":"member"`) + `}`,
		"an observation without code": `{"linkId":"a","type":"integer",` + x(`"valueBoolean":true`) + `}`,
		"a panel":                     `{"linkId":"a","type":"group","code":[{"code":"c"}],` + x(`"valueBoolean":true`) + `}`,
		"a site of nothing":           `{"linkId":"a","type":"choice","definition":"` + siteDefinition + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Extract(parse(t, `{"resourceType":"Questionnaire","item":[`+item+`]}`), parse(t, response("")), "")
			var e *fhir.Error
			if !errors.As(err, &e) || e.Kind != fhir.Unprocessable || e.Issues[0].Expression[0] != "Questionnaire.item.where(linkId = 'a')" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The extension at the root is for every question that has a code, unless the item says no.
func TestTheRootAsksForAllCodedQuestions(t *testing.T) {
	q := `{"resourceType":"Questionnaire","extension":[{"url":"` + extractExtension + `","valueBoolean":true}],"item":[
	 {"linkId":"a","type":"decimal","code":[{"system":"s","code":"a"}]},{"linkId":"b","type":"decimal"},
	 {"linkId":"c","type":"boolean","code":[{"system":"s","code":"c"}],"extension":[{"url":"` + extractExtension + `","valueBoolean":false}]}]}`
	r := response(`{"linkId":"a","answer":[{"valueDecimal":1.50}]},{"linkId":"b","answer":[{"valueDecimal":2}]},{"linkId":"c","answer":[{"valueBoolean":true}]}`)
	all, err := Extract(parse(t, q), parse(t, r), "")
	if err != nil || len(all) != 1 || !strings.Contains(string(all[0].Body), `"valueQuantity":{"value":1.50}`) {
		t.Errorf("got %v, %v", all, err)
	}
}

func FuzzExtract(f *testing.F) {
	q := diary(f)
	f.Add([]byte(response(pain("6", choice("site", ours+`"code":"muscle"`)))))
	f.Add([]byte(response(`{"linkId":"pain","item":[{"linkId":"score","answer":[{"valueDecimal":1e999999999}]}]}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := fhir.Parse(data)
		if err != nil {
			return
		}
		all, err := Extract(q, n, "")
		if err != nil && fhir.KindOf(err) != fhir.Unprocessable {
			t.Errorf("kind %v: %v", fhir.KindOf(err), err)
		}
		again, _ := Extract(q, n, "")
		seen := map[string]bool{}
		for i, e := range all {
			if seen[e.Key] || again[i].Key != e.Key {
				t.Error("a key is not the observation's own")
			}
			seen[e.Key] = true
		}
		body, err := Bundle(all, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fhir.Parse(body); err != nil {
			t.Errorf("%v in %s", err, body)
		}
	})
}
