package conformance

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// ward fills a server with what the searches of this file look for. Patient a has all, Patient b
// some, Patient c nothing.
func ward(t *testing.T, s *server) {
	t.Helper()
	for _, body := range []string{
		`{"resourceType":"Organization","id":"o","name":"North","partOf":{"reference":"Organization/top"}}`,
		`{"resourceType":"Organization","id":"top","name":"Trust"}`,
		`{"resourceType":"Practitioner","id":"dr","name":[{"family":"Okafor"}]}`,
		`{"resourceType":"Patient","id":"a","identifier":[{"system":"urn:x","value":"1"}],"name":[{"family":"Öberg","given":["Ann"]}],"gender":"female","birthDate":"1980-05-05",
		 "generalPractitioner":[{"reference":"Practitioner/dr"}],"managingOrganization":{"reference":"Organization/o"},"telecom":[{"system":"phone","value":"123"}]}`,
		`{"resourceType":"Patient","id":"b","identifier":[{"system":"urn:x","value":"2"}],"name":[{"family":"Brown"}],"gender":"male","birthDate":"1980-05-05","managingOrganization":{"reference":"Organization/o"}}`,
		`{"resourceType":"Patient","id":"c","birthDate":"1980-05-05","link":[{"other":{"reference":"Patient/b"},"type":"seealso"}]}`,
		`{"resourceType":"CodeSystem","id":"sites","url":"http://x.example/sites","status":"active","content":"complete","hierarchyMeaning":"is-a","concept":[{"code":"limb","concept":[{"code":"leg","concept":[{"code":"thigh"}]},{"code":"arm"}]}]}`,
		`{"resourceType":"ValueSet","id":"legs","url":"http://x.example/legs","version":"2","status":"active","compose":{"include":[{"system":"http://x.example/sites","filter":[{"property":"concept","op":"is-a","value":"leg"}]}]}}`,
		`{"resourceType":"ValueSet","id":"legs-1","url":"http://x.example/legs","version":"1","status":"active","compose":{"include":[{"system":"http://x.example/sites","concept":[{"code":"arm"}]}]}}`,
		`{"resourceType":"Observation","id":"pain","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"72514-3"}]},"subject":{"reference":"Patient/a"},"performer":[{"reference":"Practitioner/dr"}],
		 "bodySite":{"coding":[{"system":"http://x.example/sites","code":"thigh"}]},"effectiveDateTime":"2026-03-02","valueQuantity":{"value":7,"system":"http://unitsofmeasure.org","code":"{score}"}}`,
		`{"resourceType":"Observation","id":"pain-int","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"72514-3"}]},"subject":{"reference":"Patient/a"},
		 "effectiveDateTime":"2026-03-03","valueInteger":3}`,
		`{"resourceType":"Observation","id":"bp","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}]},"subject":{"reference":"Patient/b"},
		 "effectivePeriod":{"start":"2026-03-02","end":"2026-03-04"},"component":[
		 {"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":120,"system":"http://unitsofmeasure.org","code":"mm[Hg]"}},
		 {"code":{"coding":[{"system":"http://loinc.org","code":"8462-4"}]},"valueQuantity":{"value":80,"system":"http://unitsofmeasure.org","code":"mm[Hg]"}}]}`,
		`{"resourceType":"Goal","id":"walk","lifecycleStatus":"active","description":{"text":"Walk"},"subject":{"reference":"Patient/a"}}`,
		`{"resourceType":"CarePlan","id":"dated","status":"active","intent":"plan","subject":{"reference":"Patient/a"},"goal":[{"reference":"Goal/walk"}],"instantiatesCanonical":["http://x.example/plan|1"],
		 "activity":[{"detail":{"code":{"coding":[{"code":"load"}]},"status":"scheduled","scheduledTiming":{"repeat":{"boundsPeriod":{"start":"2026-04-01","end":"2026-04-30"}}}}},
		 {"detail":{"code":{"coding":[{"code":"staples"}]},"status":"scheduled","scheduledPeriod":{"start":"2026-05-01","end":"2026-05-02"}}}]}`,
		`{"resourceType":"CarePlan","id":"undated","status":"active","intent":"plan","subject":{"reference":"Patient/a"}}`,
		`{"resourceType":"Task","id":"due","status":"requested","intent":"order","for":{"reference":"Patient/a"},"restriction":{"period":{"start":"2026-04-01","end":"2026-04-02"}}}`,
		`{"resourceType":"Device","id":"anchor","patient":{"reference":"Patient/a"}}`,
		`{"resourceType":"List","id":"seen","status":"current","mode":"working","subject":{"reference":"Patient/c"},"entry":[{"item":{"reference":"Patient/a"}}]}`,
		`{"resourceType":"Basic","id":"note","code":{"text":"note"},"subject":{"reference":"Patient/b"},"meta":{"tag":[{"system":"urn:t","code":"x"}],"profile":["http://x.example/p"],"source":"http://x.example/feed","security":[{"system":"urn:s","code":"R"}]},
		 "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">The quick <b>brown</b> fox</div>"}}`,
	} {
		n, err := fhir.Parse([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		s.must(t, 201, "PUT /"+n.Str("resourceType")+"/"+n.Str("id"), body)
	}
}

// found are searches, each a URL below the base, with the matches, of which the types are left out.
// "400" stands for a refusal. A plus sign in a URL is one.
type found map[string]string

func (f found) try(t *testing.T, s *server) {
	t.Helper()
	for line, want := range f {
		a := s.send(t, "GET "+strings.ReplaceAll(line, "+", "%2B"), "")
		var ids []string
		for _, ref := range a.entries("match") {
			_, id, _ := strings.Cut(ref, "/")
			ids = append(ids, id)
		}
		got := strings.Join(ids, " ")
		if a.status != 200 {
			got = fmt.Sprint(a.status)
		}
		if got != want {
			t.Errorf("%s: got %s, want %s: %.500s", line, got, want, a.body)
		}
	}
}

// The tests are named for a fault of other servers that users have met.
func TestSearchFaultsOfOthers(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ward(t, s)
		for name, searches := range map[string]found{
			"row 4: what has no value of the sort key comes last": {
				"/CarePlan?_sort=activity-date": "dated undated", "/CarePlan?_sort=-activity-date": "dated undated",
				"/Patient?_sort=family": "b a c", "/Patient?_sort=-family": "a b c", "/Patient?_sort=-gender,birthdate": "b a c",
			},
			"row 9: what is unknown is refused": {
				"/Patient?colour=red": "400", "/Patient?name:colour=x": "400", "/Patient?birthdate=soon": "400", "/Patient?gender:below=x": "400", "/Patient?_sort=colour": "400",
				"/Patient?_include=Patient:colour": "400", "/Patient?_total=some": "400", "?_type=Patient,Colour": "400", "?gender=male": "400", "/Patient?_contained=true": "400", "/Patient?_query=x": "400",
			},
			"row 10: repeated parameters must all hold": {
				"/Observation?date=ge2026-03-03&date=le2026-03-03": "pain-int bp", "/Patient?_has:Observation:subject:code=72514-3&_has:CarePlan:subject:status=active": "a",
				"/Patient?_has:Observation:subject:code=72514-3&_has:Observation:subject:code=85354-9": "", "/Patient?given=ann&given=nobody": "", "/Patient?_id=a,b&_id=b,c": "b",
			},
			"row 11: eq is containment": {
				"/Observation?date=2026-03-02": "pain", "/Observation?date=2026-03": "pain pain-int bp", "/Observation?date=ne2026-03-02": "pain-int bp", "/Observation?date=sa2026-03-02": "pain-int",
				"/Observation?date=eb2026-03-03": "pain", "/Observation?date=gt2026-03-03": "bp", "/Observation?date=lt2026-03-03": "pain bp", "/Observation?date=ap2026-03-03": "pain pain-int bp",
				"/Patient?birthdate=1980": "a b c", "/Patient?birthdate=1980-05-05T00:00:00+01:00": "",
			},
			"row 12: a day is that of the care site": {
				"/Observation?_id=pain&date=ge2026-03-02T23:59:00Z": "pain", "/Observation?_id=pain&date=ge2026-03-03T00:00:00Z": "", "/Patient?_id=a&birthdate=lt1980-05-05T00:30:00+01:00": "a",
				"/Patient?_id=a&birthdate=lt1980-05-04T23:00:00Z": "", "/Patient?_id=a&birthdate=lt1980-05-04T23:30:00Z": "a",
			},
			"row 13: a composite asks for values that stand together": {
				"/Observation?component-code-value-quantity=8480-6$120": "bp", "/Observation?component-code-value-quantity=8480-6$80": "", "/Observation?combo-code-value-quantity=http://loinc.org|8462-4$lt100": "bp",
				"/Observation?code-value-quantity=72514-3$ge7": "pain", "/Observation?code-value-quantity=85354-9$120": "", "/CarePlan?activity-code-date=load$2026-04": "dated", "/CarePlan?activity-code-date=load$2026-05": "",
				"/CarePlan?activity-code-date=staples$ge2026-05-01": "dated", "/Observation?component-code-value-quantity=8480-6": "400", "/Observation?component-code-value-quantity:missing=true": "400",
			},
			"row 14: a chain over one target needs no type": {
				"/Observation?patient.identifier=urn:x|1": "pain pain-int", "/Observation?subject.identifier=urn:x|2": "bp", "/Observation?subject:Patient.family=brown": "bp", "/Observation?subject:Group.identifier=1": "",
				"/Observation?patient.organization.partof.name=trust": "pain pain-int bp", "/Observation?patient.organization:Patient.name=x": "400", "/Observation?code.text=x": "400",
			},
			"row 18: pain scores compare, as quantities and integers": {
				"/Observation?value-quantity=ge7": "pain", "/Observation?pain-score=ge3": "pain pain-int", "/Observation?pain-score=lt7": "pain-int", "/Observation?pain-score=7||{score}": "pain", "/Observation?pain-score=7|http://unitsofmeasure.org|{score}": "pain",
				"/Observation?pain-score=ge8": "", "/Observation?value-quantity=120": "", "/Observation?_sort=pain-score": "pain-int pain bp", "/Observation?_sort=-pain-score": "pain pain-int bp",
			},
			"row 19: a plan is found by what it is made of": {
				"/CarePlan?instantiates-canonical=http://x.example/plan": "dated", "/CarePlan?instantiates-canonical=http://x.example/other": "", "/CarePlan?activity-date=2026-04": "dated", "/CarePlan?activity-date=ge2026-05-03": "",
				"/CarePlan?activity-code=load": "dated", "/CarePlan?goal=Goal/walk": "dated", "/CarePlan?goal:missing=true": "undated", "/Task?due=2026-04": "due", "/Task?due=2026-05": "", "/Task?due=ge2026-04-01": "due", "/Task?due=ge2026-04-02": "",
			},
			"row 20: $lastn gives the newest of each code": {
				"/Observation/$lastn?patient=a&code=72514-3": "pain-int", "/Observation/$lastn?patient=a&code=72514-3&max=2": "pain-int pain", "/Observation/$lastn?patient=b&code=85354-9": "bp",
				"/Observation/$lastn?patient=a&code:not-in=http://x.example/legs": "pain-int", "/Observation/$lastn?patient=a&code=72514-3&_has:Provenance:target:agent=x": "",
				"/Observation/$lastn?patient=a&code=72514-3&_sort=date": "400", "/Observation/$lastn?patient=a&code=72514-3&_include=Observation:subject": "400", "/Observation/$lastn?_filter=code%20eq%20x": "400",
			},
			"row 21: $everything of who is not there is refused": {"/Patient/none/$everything": "404", "/Patient/none/Observation": "404", "/Patient/none/*": "404"},
			"a compartment is what belongs to a patient": {
				"/Patient/a/Observation": "pain pain-int", "/Patient/a/Observation?code=85354-9": "", "/Patient/b/Observation": "bp", "/Patient/c/Observation": "", "/Patient/a/Device": "anchor", "/Patient/a/Task": "due",
				"/Patient/a/Patient": "a", "/Patient/b/Patient": "b c", "/Patient/c/*": "c seen", "/Patient/b/*": "b c bp note", "/Patient/b/*?_type=Observation,Basic": "bp note", "/Patient/b/*?_type=Practitioner": "400",
				"/Patient/a/Practitioner": "404", "/Patient/a/Observation?_type=Observation": "400", "/Patient/b/*?_sort=-_lastUpdated": "note bp c b",
			},
			"several types, or all": {
				"?_type=Goal,Task": "walk due", "?_type=Patient&gender=male": "b", "?_type=Goal,Task,Patient&_id=walk,due,c": "c walk due", "?_tag=urn:t|x": "note", "?_profile=http://x.example/p": "note", "?_security=urn:s|R": "note",
				"?_source=http://x.example/feed": "note", "?_content=fox": "note", "?_type=Goal&_sort=_id": "walk", "?_type=Goal,Goal": "walk", "?_list=seen": "a", "?_type=": "400", "?_type=Goal&_type=Task": "400", "?_type=Goal,Task&_sort=due": "400",
			},
			"lists, texts and filters": {
				"/Patient?_list=seen": "a", "/Patient?_list=none": "", "/Basic?_text=brown": "note", "/Basic?_text=%22quick%20brown%22": "note", "/Basic?_text=%22brown%20quick%22": "", "/Basic?_content=feed": "note", "/Basic?_text=feed": "",
				"/Basic?_text=fox%20AND%20NOT%20dog": "note", "/Patient?_filter=gender%20eq%20male%20or%20given%20co%20%22nn%22": "a b", "/Patient?_filter=not(gender%20eq%20male)": "a c", "/Patient?_filter=gender%20is%20x": "400",
			},
			"terminology": {
				"/Observation?code:in=http://x.example/none": "400", "/Observation?value-concept:in=http://x.example/legs": "", "/Basic?code:in=http://x.example/legs": "",
				"/Condition?body-site:below=http://x.example/sites|limb": "", "/Condition?body-site:below=http://x.example/sites|none": "400", "/Condition?body-site:in=legs": "400",
			},
			"modifiers of references, strings and URIs": {
				"/Observation?subject:Patient=a": "pain pain-int", "/Patient?name:exact=Öberg": "a", "/Patient?name:exact=öberg": "", "/Patient?name=oberg": "a", "/Patient?name:contains=row": "b", "/Patient?gender:missing=true": "c",
				"/Patient?gender:not=male": "a c", "/Patient?phone=123": "a", "/ValueSet?url:below=http://x.example": "legs legs-1", "/ValueSet?url:below=http://x.exam": "", "/ValueSet?url:above=http://x.example/legs/long": "legs legs-1",
			},
		} {
			t.Run(name, func(t *testing.T) { searches.try(t, s) })
		}
		t.Run("codes of value sets are those of what is stored", func(t *testing.T) {
			for id, code := range map[string]string{"c-thigh": "thigh", "c-arm": "arm", "c-limb": "limb"} {
				s.must(t, 201, "PUT /Condition/"+id, `{"resourceType":"Condition","id":"`+id+`","subject":{"reference":"Patient/b"},"bodySite":[{"coding":[{"system":"http://x.example/sites","code":"`+code+`"}]}]}`)
			}
			found{
				"/Condition?body-site:in=http://x.example/legs|2&_sort=_id": "c-thigh", "/Condition?body-site:in=http://x.example/legs|1": "c-arm", "/Condition?body-site:in=http://x.example/legs|3": "400",
				"/Condition?body-site:in=ValueSet/legs": "c-thigh", "/Condition?body-site:in=" + s.base + "/ValueSet/legs": "c-thigh", "/Condition?body-site:in=ValueSet/none": "400", "/Condition?body-site:not-in=ValueSet/legs&_sort=_id": "c-arm c-limb",
				"/Condition?body-site:below=http://x.example/sites|leg": "c-thigh", "/Condition?body-site:above=http://x.example/sites|leg": "c-limb", "/Patient?_has:Condition:patient:body-site:in=ValueSet/legs": "b",
				"/Procedure?_filter=code%20in%20http://x.example/none": "400", "/Patient/b/Condition?body-site:in=ValueSet/legs": "c-thigh",
			}.try(t, s)
			s.must(t, 400, "DELETE /Condition?body-site:in=ValueSet/legs", "")
			batch := s.must(t, 200, "POST ", bundle("transaction", entry("GET Condition?body-site:in=ValueSet/new", ""), entry("PUT ValueSet/new", `{"resourceType":"ValueSet","id":"new","status":"active","compose":{"include":[{"system":"http://x.example/sites","concept":[{"code":"arm"}]}]}}`)))
			if got := batch.at("entry.resource.entry.resource.id"); got != "c-arm" {
				t.Errorf("a transaction that brings the value set finds %q", got)
			}
		})
	})
}

// What is asked of an answer does not change which matches it has (row 5), and the self link tells
// what was asked (row 8).
func TestAnswersOfSearches(t *testing.T) {
	const all = "/Observation?subject=Patient/a,Patient/b"
	onEachEngine(t, func(t *testing.T, s *server) {
		ward(t, s)
		for _, part := range []string{"_total=none", "_total=accurate", "_total=estimate", "_summary=true", "_summary=text", "_summary=data", "_summary=false", "_elements=status", "_pretty=true"} {
			a := s.must(t, 200, "GET "+all+"&"+part, "")
			if got := strings.Join(a.entries("match"), " "); got != "Observation/pain Observation/pain-int Observation/bp" {
				t.Errorf("row 5: %s gives %s", part, got)
			}
			total := ""
			if part == "_total=accurate" || part == "_total=estimate" {
				total = "3"
			}
			if got := a.at("total"); got != total {
				t.Errorf("%s: total %q", part, got)
			}
			if self := linkOf(a, "self"); !strings.HasSuffix(self, "&"+part) || !strings.Contains(self, "/Observation?subject=Patient%2Fa%2CPatient%2Fb&") {
				t.Errorf("row 8: %s has the self link %s", part, self)
			}
		}
		run(t, s, []exchange{
			{name: "row 8: a lenient search says what it left out", line: "GET /Patient?colour=red&gender=male&_count=5", headers: []string{"Prefer: handling=lenient"}, status: 200,
				want: []string{"entry.search.mode = match,outcome", "entry.resource.issue.severity = warning", "link.url = {base}/Patient?gender=male&_count=5", "- red"}},
			{name: "a count alone", line: "GET " + all + "&_summary=count&_include=Observation:subject", status: 200, want: []string{"total = 3", "entry = "}},
			{name: "a page of 0", line: "GET " + all + "&_count=0", status: 200, want: []string{"total = 3", "entry = ", "link.relation = self"}},
			{name: "a summary has its tag", line: "GET /Patient?_id=a&_summary=true", status: 200, want: []string{"entry.resource.meta.tag.code = SUBSETTED"}},
			{name: "an include is not counted, and is there once", line: "GET " + all + "&_include=Observation:subject&_total=accurate", status: 200,
				want: []string{"total = 3", "entry.search.mode = match,match,match,include,include", "entry.resource.id = pain,pain-int,bp,a,b", "+ {base}/Patient/a"}},
			{name: "a summary of an include", line: "GET /Observation?_id=pain&_include=Observation:subject&_summary=data", status: 200, want: []string{"entry.resource.meta.tag.code = SUBSETTED,SUBSETTED"}},
			{name: "elements of an include", line: "GET /Observation?_id=pain&_include=Observation:subject&_elements=Observation.status,Patient.gender", status: 200, want: []string{"entry.resource.gender = female", "- Öberg"}},
			{name: "no texts of includes", line: "GET /Observation?_include=Observation:subject&_summary=text", status: 400, want: []string{"issue.expression = http._include"}},
			{name: "an include of an include", line: "GET /Observation?_id=pain&_include=Observation:subject&_include:iterate=Patient:organization&_include:iterate=Organization:partof", status: 200, want: []string{"entry.resource.id = pain,a,o,top"}},
			{name: "all references", line: "GET /Observation?_id=pain&_include=*", status: 200, want: []string{"entry.search.mode = match,include,include"}},
			{name: "what refers to a match", line: "GET /Patient?_id=a&_revinclude=Observation:subject&_revinclude=CarePlan:patient", status: 200, want: []string{"entry.resource.id = a,pain,pain-int,dated,undated"}},
			{name: "what refers to it of any type", line: "GET /Goal?_id=walk&_revinclude=*", status: 200, want: []string{"entry.resource.id = walk,dated"}},
			{name: "an include in a compartment", line: "GET /Patient/b/*?_type=Observation&_include=*", status: 200, want: []string{"entry.resource.id = bp,b"}},
			{name: "by form", line: "POST /Patient/_search?gender=female", body: "family=oberg&_count=3", headers: []string{formType}, status: 200, want: []string{"entry.resource.id = a", "link.url = {base}/Patient?gender=female&family=oberg&_count=3"}},
			{name: "by form in the system", line: "POST /_search", body: "_type=Goal", headers: []string{formType}, status: 200, want: []string{"entry.resource.id = walk", "link.url = {base}?_type=Goal"}},
			{name: "by form in a compartment", line: "POST /Patient/b/*/_search", body: "_type=Basic", headers: []string{formType}, status: 200, want: []string{"entry.resource.id = note", "link.url = {base}/Patient/b/*?_type=Basic"}},
			{name: "in a batch", line: "POST ", body: bundle("batch", entry("GET ?_type=Goal", ""), entry("GET Patient/b/Basic", ""), entry("GET Patient/none/Basic", ""), entry("GET Patient/b/*?_type=Basic", "")), status: 200,
				want: []string{"entry.resource.entry.resource.id = walk,note,note", "entry.response.status = 200 OK,200 OK,404 Not Found,200 OK"}},
			{name: "in a transaction", line: "POST ", body: bundle("transaction", entry("GET ?_type=Goal", ""), entry("GET Patient/b/*?_type=Basic", "")), status: 200, want: []string{"entry.resource.entry.resource.id = walk,note"}},
			{name: "no writes at a compartment", line: "POST ", body: bundle("batch", entry("DELETE Patient/b/Basic?code=x", ""), entry("PUT ?_id=x", patient("", "")), entry("POST Patient/b/Basic", patient("", ""))), status: 200,
				want: []string{"entry.response.status = 400 Bad Request,400 Bad Request,400 Bad Request"}},
			{name: "a deleted patient", line: "DELETE /Patient/c", status: 204},
			{name: "has no compartment", line: "GET /Patient/c/List", status: 410},
		})
		for _, asked := range []string{"_count=1", "_sort=status", "_include=Patient:link", "_revinclude=Basic:patient", "_summary=count", "_elements=id", "_total=accurate"} {
			s.must(t, 400, "PUT /Patient?identifier=9&"+asked, patient("", ""))
			s.must(t, 400, "DELETE /Patient?identifier=9&"+asked, "")
			s.must(t, 400, "POST /Patient", patient("", ""), "If-None-Exist: identifier=9&"+asked)
		}
	})
}

const formType = "Content-Type: application/x-www-form-urlencoded"

// The pages put together are the result, whatever is asked and in which order (rows 1, 2, 3 and 6).
func TestPagesAreTheResult(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ward(t, s)
		var entries []string
		for i := range 40 {
			entries = append(entries, entry("POST Observation", fmt.Sprintf(`{"resourceType":"Observation","status":"final","code":{"coding":[{"code":"c%d"}]},"subject":{"reference":"Patient/%c"},"effectiveDateTime":"2026-0%d-01","valueInteger":%d}`, i%3, 'a'+i%3, 1+i%2, i%5)))
			entries = append(entries, entry("POST Patient", patient("", fmt.Sprintf(`"birthDate":"19%d0-01-01","generalPractitioner":[{"reference":"Practitioner/dr"}]`, 5+i%3))))
		}
		s.must(t, 200, "POST ", bundle("transaction", entries...))
		for _, line := range []string{
			"/Observation?", "/Observation?code=c1", "/Observation?subject:Patient.birthdate=1980", "/Observation?status:not=draft", "/Observation?_filter=code%20eq%20c1%20or%20code%20eq%20c2",
			"/Patient?_has:Observation:subject:code=c1,c2", "/Patient?general-practitioner.name=okafor", "/Patient?_sort=birthdate", "/Patient?_sort=-birthdate,_id", "/Observation?_sort=date,-code,pain-score", "/Observation?_sort=-_lastUpdated",
			"/Patient/a/*?", "/Patient/a/Observation?_sort=-date", "?_type=Patient,Observation", "?_type=Patient,Observation&_sort=-_lastUpdated", "?_content=final", "/Observation?code:in=http://x.example/legs&_sort=date", "/Observation?_include=*&_sort=code",
		} {
			whole := s.must(t, 200, "GET "+line+"&_count=1000&_total=accurate", "")
			want := whole.entries("match")
			if got := whole.at("total"); got != fmt.Sprint(len(want)) {
				t.Errorf("%s: total %s of %d", line, got, len(want))
			}
			for _, count := range []int{2, 7, 33} {
				var got []string
				length, first := 0, ""
				next := s.base + line + fmt.Sprintf("&_count=%d", count)
				for page := 0; next != ""; page++ {
					a := s.must(t, 200, "GET "+next, "")
					got = append(got, a.entries("match")...)
					if self := linkOf(a, "self"); page > 0 && self != next {
						t.Errorf("%s: the self link of page %d is %s, not %s", line, page, self, next)
					}
					if page == 0 {
						first = linkOf(a, "self")
					}
					next = linkOf(a, "next")
					if next != "" && length > 0 && len(next) != length {
						t.Errorf("row 6: %s: the link has %d bytes, then %d", line, length, len(next))
					}
					if len(want) > count && linkOf(a, "first") != first {
						t.Errorf("%s: the first page is said to be %q", line, linkOf(a, "first"))
					}
					length = len(next)
					if page > len(want) {
						t.Fatalf("%s does not end", line)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s by %d: %d matches, want %d", line, count, len(got), len(want))
				}
			}
		}
		t.Run("a link is good for its query alone", func(t *testing.T) {
			next := linkOf(s.must(t, 200, "GET /Patient?_count=1&gender=male,female", ""), "next")
			s.must(t, 400, "GET "+strings.Replace(next, "female", "other", 1), "")
			u, err := url.Parse(next)
			if err != nil {
				t.Fatal(err)
			}
			cursor := u.Query().Get("_cursor")
			s.must(t, 400, "GET /Patient?_count=1&gender=male,female&_cursor="+cursor[16:]+cursor[:16], "")
			s.must(t, 400, "GET /Patient/a/Patient?_count=1&gender=male,female&_cursor="+cursor, "")
		})
	})
}

// Rows 2 and 6: 10,000 matches come in pages that end, under links of the same length.
func TestManyPages(t *testing.T) {
	registry, err := search.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	onEachEngine(t, func(t *testing.T, s *server) {
		const all = 10_000
		var bodies []string
		for i := range all {
			bodies = append(bodies, fmt.Sprintf(`{"resourceType":"Basic","id":"b%d","created":"20%02d-01-01","code":{"text":"x"}}`, i, i%7))
		}
		s.put(t, registry, bodies...)
		for _, line := range []string{"/Basic?_count=900", "/Basic?_count=900&_sort=-created"} {
			seen, lengths := map[string]bool{}, map[int]bool{}
			for next := s.base + line; next != ""; {
				a := s.must(t, 200, "GET "+next, "")
				for _, ref := range a.entries("match") {
					if seen[ref] {
						t.Fatalf("%s: %s comes twice", line, ref)
					}
					seen[ref] = true
				}
				if next = linkOf(a, "next"); next != "" {
					lengths[len(next)] = true
				}
			}
			if len(seen) != all || len(lengths) != 1 {
				t.Errorf("%s: %d resources, links of lengths %v", line, len(seen), lengths)
			}
		}
	})
}

// Row 15: many includes and large pages are an answer or a clear refusal.
func TestIncludesOfLargePages(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ward(t, s)
		for _, count := range []string{"1", "2", "50", "1000", "1000000"} {
			for _, includes := range []string{"_revinclude=*", "_revinclude=*&_include=*", "_revinclude:iterate=*&_include:iterate=*", "_revinclude=Observation:subject&_revinclude=CarePlan:subject&_revinclude=Device:patient&_include:iterate=CarePlan:goal"} {
				a := s.must(t, 200, "GET /Patient?_count="+count+"&"+includes, "")
				all := append(a.entries("match"), a.entries("include")...)
				if slices.Sort(all); len(slices.Compact(slices.Clone(all))) != len(all) {
					t.Errorf("%s %s: a resource is there twice: %v", count, includes, all)
				}
			}
		}
	})
}

// What is included is limited in bytes, too.
func TestIncludesOfLargeResources(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.must(t, 201, "PUT /Patient/a", patient("a", ""))
		note := `{"text":"` + strings.Repeat("a long word of the note ", 40_000) + `"}`
		for _, id := range []string{"one", "two", "three"} {
			s.must(t, 201, "PUT /Observation/"+id, `{"resourceType":"Observation","id":"`+id+`","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/a"},"note":[`+note+strings.Repeat(","+note, 5)+`]}`)
		}
		run(t, s, []exchange{
			{name: "too much", line: "GET /Patient?_revinclude=Observation:subject", status: 400, want: []string{"issue.code = too-costly", "issue.expression = http._include"}},
			{name: "one", line: "GET /Observation?_id=one&_include=Observation:subject", status: 200, want: []string{"entry.search.mode = match,include"}},
			{name: "found by its words", line: "GET /Observation?_content=%22note%20a%20long%22&_summary=count", status: 200, want: []string{"total = 3"}},
		})
	})
}

// Rows 16 and 17: a parameter means the same wherever it stands, with each modifier; or is refused
// in the same way.
func TestParametersMeanTheSameEverywhere(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ward(t, s)
		tried := 0
		for _, name := range []string{"code", "code:not", "code:text", "code:in", "code:not-in", "code:below", "code:of-type", "code:missing", "subject", "subject:Patient", "subject:identifier", "subject:missing",
			"date", "date:missing", "date:exact", "value-string", "value-string:exact", "value-string:contains", "value-string:missing", "value-quantity", "value-quantity:missing", "pain-score", "code-value-quantity",
			"code-value-quantity:missing", "component-code-value-quantity", "_id", "_id:missing", "_id:not", "_lastUpdated", "_lastUpdated:missing", "_tag", "_tag:not", "_profile", "_profile:below", "_text", "_content", "_list", "_filter",
			"patient.family", "subject.family:exact", "patient.gender:missing", "patient.gender:not", "patient.organization.name", "patient.organization:missing", "performer:Practitioner.name", "patient._has:CarePlan:subject:status", "_has:Provenance:target:agent",
		} {
			for _, value := range []string{"http://loinc.org|72514-3", "72514-3", "true", "false", "Patient/a", "a", "pain", "2026-03-02", "ge2026-03-03", "lt7", "7", "72514-3$7", "8480-6$120", "Öberg", "urn:x|1", "female", "http://x.example/legs", "code eq 72514-3", "active", "okafor"} {
				plain := s.send(t, "GET /Observation?"+query(name, value), "")
				if plain.status != 200 && plain.status != 400 {
					t.Errorf("%s=%s: %d", name, value, plain.status)
				}
				subjects := map[string]bool{}
				for _, ref := range plain.entries("match") {
					if ref == "Observation/bp" {
						subjects["Patient/b"] = true
					} else {
						subjects["Patient/a"] = true
					}
				}
				tried++
				has := s.send(t, "GET /Patient?_id=a,b&"+query("_has:Observation:subject:"+name, value), "")
				if has.status != plain.status {
					t.Errorf("_has of %s=%s: %d, but plain %d: %.300s", name, value, has.status, plain.status, has.body)
				}
				if got := has.entries("match"); len(got) != len(subjects) || slices.ContainsFunc(got, func(ref string) bool { return !subjects[ref] }) {
					t.Errorf("_has of %s=%s: %v, want %v", name, value, got, subjects)
				}
			}
		}
		// What is asked of a Patient, through a chain.
		for _, name := range []string{"family", "name:contains", "name:exact", "gender", "gender:not", "gender:missing", "birthdate", "identifier", "identifier:of-type", "identifier:text", "phone", "organization", "organization:missing", "organization.name",
			"general-practitioner:Practitioner", "_id", "_id:not", "_lastUpdated", "_tag:not", "_list", "_filter", "_content", "_text", "_has:CarePlan:subject:activity-date", "link", "deceased", "phonetic"} {
			for _, value := range []string{"oberg", "Öberg", "male", "true", "false", "1980", "lt1970", "urn:x|1", "123", "Organization/o", "o", "a", "seen", "gender eq male", "ge2026-05-01", "dr", "Patient/b"} {
				plain := s.send(t, "GET /Patient?_id=a,b&"+query(name, value), "")
				want := map[string]bool{}
				for _, ref := range plain.entries("match") {
					if ref == "Patient/a" {
						want["Observation/pain"], want["Observation/pain-int"] = true, true
					} else {
						want["Observation/bp"] = true
					}
				}
				tried++
				chain := s.send(t, "GET /Observation?"+query("patient."+name, value), "")
				if chain.status != plain.status || plain.status != 200 && plain.status != 400 {
					t.Errorf("a chain to %s=%s: %d, but plain %d: %.300s", name, value, chain.status, plain.status, chain.body)
				}
				if got := chain.entries("match"); len(got) != len(want) || slices.ContainsFunc(got, func(ref string) bool { return !want[ref] }) {
					t.Errorf("a chain to %s=%s: %v, want %v", name, value, got, want)
				}
			}
		}
		t.Logf("%d parameters with values", tried)
	})
}
