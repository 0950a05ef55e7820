package conformance

import (
	"strings"
	"testing"

	"aftercare/fhir"
)

// What the page on searches (https://hl7.org/fhir/R4/search.html) says of values, modifiers and links,
// where it is easy to go wrong. The tests are named by the rule.
func TestRulesOfSearch(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		const mg = "|http://unitsofmeasure.org|mg"
		for _, body := range []string{
			`{"resourceType":"Patient","id":"a","name":[{"family":"van de Straße","given":["José"]}],"gender":"female","active":true,"telecom":[{"system":"phone","value":"123"}],"identifier":[{"system":"urn:x","value":"A,1"},{"value":"plain"}]}`,
			`{"resourceType":"Patient","id":"gone","name":[{"family":"Gone"}]}`,
			`{"resourceType":"PlanDefinition","id":"long","status":"draft","version":"2.0-RC","description":"` + strings.Repeat("= ", 300) + `after day Ten the loading begins"}`,
			`{"resourceType":"Observation","id":"named","status":"final","code":{"text":"Loose screw"},"subject":{"identifier":{"system":"urn:x","value":"9"}},"valueQuantity":{"value":5,"comparator":"<","system":"http://unitsofmeasure.org","code":"mg"}}`,
			`{"resourceType":"Observation","id":"away","status":"final","code":{"coding":[{"code":"z"}]},"subject":{"reference":"http://other.example/fhir/Patient/a/_history/3"}}`,
			`{"resourceType":"Observation","id":"version","status":"final","code":{"coding":[{"code":"y"}]},"subject":{"reference":"Patient/a/_history/1"},"valueCodeableConcept":{"coding":[{"system":"s","code":"1"},{"system":"t","code":"2"}]}}`,
			`{"resourceType":"Observation","id":"left","status":"final","code":{"coding":[{"code":"y"}]},"subject":{"reference":"Patient/gone"},"hasMember":[{"reference":"Observation/left"},{"reference":"Observation/version"}],"valueCodeableConcept":{"coding":[{"code":"1"}]}}`,
			`{"resourceType":"Location","id":"l1","name":"One","partOf":{"reference":"Location/l2"}}`,
			`{"resourceType":"Location","id":"l2","name":"Two","partOf":{"reference":"Location/l1"}}`,
		} {
			n, err := fhir.Parse([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			s.must(t, 201, "PUT /"+n.Str("resourceType")+"/"+n.Str("id"), body)
		}
		s.must(t, 204, "DELETE /Patient/gone", "")
		for name, searches := range map[string]found{
			"string: a long text is looked into as a whole": {
				"/PlanDefinition?description:contains=day%20ten%20THE&status=draft": "long", "/PlanDefinition?description:contains=begins&status=draft": "long", "/PlanDefinition?description:contains=q&status=draft": "", "/PlanDefinition?description:contains=daytime&status=draft": "",
				"/PlanDefinition?_filter=description%20ew%20%22loading%20begins%22%20and%20status%20eq%20draft": "long", "/PlanDefinition?_filter=description%20ew%20%22loading%22": "",
				"/PlanDefinition?description==%20=%20=": "long", "/PlanDefinition?description:contains=" + strings.Repeat("=%20", 240) + "=": "400",
			},
			"string: the beginning counts, and neither case nor accents": {
				"/Patient?family=VAN%20DE": "a", "/Patient?family=strasse": "", "/Patient?family:contains=STRASSE": "a", "/Patient?given=jose": "a", "/Patient?name:exact=jos%C3%A9": "", "/Patient?name=%25": "", "/Patient?name:contains=_": "",
			},
			"missing: what a modifier finds is there": {
				"/Observation?code:missing=true": "", "/Observation?code:missing=false&code:text=loose": "named", "/Observation?subject:missing=true": "", "/Observation?subject:missing=false&subject:identifier=urn:x|9": "named",
				"/Observation?encounter:missing=true&_id=named": "named", "/Observation?_filter=code%20pr%20false": "", "/Patient?_has:Observation:subject:code:missing=true": "", "/Observation?has-member.value-concept:missing=true": "",
			},
			"token: a string has no case, a boolean two values, and neither has a system": {
				"/PlanDefinition?version=2.0-rc": "long", "/PlanDefinition?version=2.0-RC": "long", "/PlanDefinition?version:not=2.0-rc&status=draft": "", "/PlanDefinition?version=2.0": "", "/PlanDefinition?version=urn:x|2.0-RC": "400",
				"/Patient?active=true": "a", "/Patient?active=yes": "400", "/Patient?active=TRUE": "400", "/Patient?deceased=no": "400", "/Patient?phone=phone|123": "400",
			},
			"token: other codes have case, and systems": {
				"/Patient?gender=Female": "", "/Patient?identifier=urn:x|A%5C,1": "a", "/Patient?identifier=urn:x|a%5C,1": "", "/Patient?identifier=|plain": "a", "/Patient?identifier=|A%5C,1": "", "/Patient?identifier=urn:x|": "a", "/Patient?identifier=URN:X|": "",
				"/Observation?value-concept=1": "version left", "/Observation?value-concept=|1": "left", "/Observation?value-concept:not=2,z&_id=version,left": "left", "/Observation?value-concept:not=s|1&_id=version,left,away": "away left",
			},
			"quantity: less than 5 is not 5": {
				"/Observation?value-quantity=ge5" + mg: "", "/Observation?value-quantity=lt5" + mg: "named", "/Observation?value-quantity=eb5000|http://unitsofmeasure.org|ug": "named", "/Observation?value-quantity=gt4||mg": "named", "/Observation?value-quantity=5" + mg: "",
			},
			"reference: of a version, the resource is asked for": {
				"/Observation?subject=http://other.example/fhir/Patient/a": "away", "/Observation?subject=http://other.example/fhir/Patient/a/_history/3": "away", "/Observation?subject=http://other.example/fhir/Patient/a/_history/4": "",
				"/Observation?subject=Patient/a": "version", "/Observation?subject=" + s.base + "/Patient/a": "version", "/Observation?subject=Patient/a/_history/1": "400", "/Observation?patient.given=jose": "version",
			},
			"chain: what is deleted is not there, and what refers to it is": {
				"/Observation?subject.name=gone": "", "/Observation?subject=Patient/gone": "left", "/Patient?_has:Observation:subject:_id=left": "", "/Patient/gone/Observation": "410", "/Patient/gone/*": "410",
			},
			"chain: round in circles, and no further than 4 links": {
				"/Location?partof.partof.partof.partof.name=one": "l1", "/Location?partof.partof.partof.partof.partof.name=one": "400", "/Location?_has:Location:partof:_has:Location:partof:_id=l1": "l1",
				"/Observation?has-member.has-member.has-member.code=y": "left", "/Observation?_has:Observation:has-member:_id=left": "version left",
			},
			"escaping: a backslash comes before what it escapes": {"/Patient?family=a%5Cb": "400", "/Patient?family=a%5C": "400", "/Patient?family=a%5C,b,van": "a"},
		} {
			t.Run(name, func(t *testing.T) { searches.try(t, s) })
		}
		t.Run("include: each once, none that is deleted, the current one for a version", func(t *testing.T) {
			for line, want := range map[string]string{
				"/Observation?_id=left&_include=Observation:subject":                      "",
				"/Observation?_id=version&_include=Observation:subject":                   "Patient/a",
				"/Observation?_id=away&_include=*":                                        "",
				"/Observation?_id=left&_include:iterate=*":                                "Observation/version Patient/a",
				"/Location?_id=l1&_include:iterate=Location:partof":                       "Location/l2",
				"/Location?_id=l1&_revinclude:iterate=Location:partof&_include=*":         "Location/l2",
				"/Patient?_id=a&_revinclude=Observation:patient&_count=1&_total=estimate": "Observation/version",
				"?_id=left,l1&_include=*":                                                 "Observation/version Location/l2",
				"?_id=left,a&_include:iterate=*&_revinclude:iterate=*":                    "Observation/version",
				"/Patient?_id=a&_revinclude=*&_summary=count":                             "",
				"/Patient?_id=a&_revinclude=*&_count=0":                                   "",
			} {
				if got := strings.Join(s.must(t, 200, "GET "+line, "").entries("include"), " "); got != want {
					t.Errorf("%s includes %q, want %q", line, got, want)
				}
			}
		})
	})
}
