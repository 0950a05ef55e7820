package conformance

import (
	"fmt"
	"testing"
)

const (
	instant  = `20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z`
	httpDate = `[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} 20\d\d \d\d:\d\d:\d\d GMT`
	anyID    = `[A-Za-z0-9.-]{1,64}`
)

// patient is a Patient with an id and further members, such as `"gender":"female"`.
func patient(id, members string) string {
	body := `{"resourceType":"Patient"`
	if id != "" {
		body += `,"id":"` + id + `"`
	}
	if members != "" {
		body += "," + members
	}
	return body + "}"
}

// identified is an identifier member under a system of the tests' own.
func identified(value string) string {
	return `"identifier":[{"system":"urn:conformance","value":"` + value + `"}]`
}

const (
	jsonPatch = "Content-Type: application/json-patch+json"
	female    = `"gender":"female"`
	male      = `"gender":"male"`
)

// fhirPathPatch replaces Patient.gender.
func fhirPathPatch(gender string) string {
	return `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},
	 {"name":"path","valueString":"Patient.gender"},{"name":"value","valueCode":"` + gender + `"}]}]}`
}

// The single interactions, sentence by sentence.
func TestInteractions(t *testing.T) {
	sentences := map[string][]exchange{
		"a read answers 304 to who has the version already": {
			{name: "there is one", line: "PUT /Patient/a", body: patient("a", female), status: 201},
			{name: "read", line: "GET /Patient/a", status: 200, keep: "modified = Last-Modified",
				want: []string{`ETag: W/"1"`, "Last-Modified: " + httpDate, "Content-Type: application/fhir\\+json.*", "id = a", "meta.versionId = 1", "gender = female"}},
			{name: "the same tag", line: "GET /Patient/a", headers: []string{`If-None-Match: W/"1"`}, status: 304, want: []string{"empty", `ETag: W/"1"`, "Last-Modified: " + httpDate}},
			{name: "the same tag without W", line: "GET /Patient/a", headers: []string{`If-None-Match: "1"`}, status: 304, want: []string{"empty"}},
			{name: "one of several tags", line: "GET /Patient/a", headers: []string{`If-None-Match: W/"7", W/"1"`}, status: 304, want: []string{"empty"}},
			{name: "any", line: "GET /Patient/a", headers: []string{`If-None-Match: *`}, status: 304},
			{name: "another tag", line: "GET /Patient/a", headers: []string{`If-None-Match: W/"2"`}, status: 200, want: []string{"id = a"}},
			{name: "not modified since", line: "GET /Patient/a", headers: []string{"If-Modified-Since: {modified}"}, status: 304, want: []string{"empty"}},
			{name: "modified since", line: "GET /Patient/a", headers: []string{"If-Modified-Since: Mon, 02 Mar 2026 09:00:00 GMT"}, status: 200},
			{name: "the tag counts before the time", line: "GET /Patient/a", headers: []string{`If-None-Match: W/"2"`, "If-Modified-Since: {modified}"}, status: 200},
			{name: "a time that is none is passed over", line: "GET /Patient/a", headers: []string{"If-Modified-Since: yesterday"}, status: 200},
			{name: "HEAD", line: "HEAD /Patient/a", headers: []string{`If-None-Match: W/"1"`}, status: 304},
		},
		"what is unknown is 404 and what is deleted is 410": {
			{name: "unknown id", line: "GET /Patient/none", status: 404, want: []string{"issue.code = not-found"}},
			{name: "id that cannot be", line: "GET /Patient/a_b", status: 404},
			{name: "unknown type", line: "GET /Spaceship/a", status: 404, want: []string{"issue.code = not-supported"}},
			{name: "type in the wrong case", line: "GET /patient/a", status: 404},
			{name: "unknown history", line: "GET /Patient/none/_history", status: 404},
			{name: "unknown version of nothing", line: "GET /Patient/none/_history/1", status: 404},
			{name: "one is made", line: "PUT /Patient/a", body: patient("a", female), status: 201},
			{name: "unknown version", line: "GET /Patient/a/_history/2", status: 404},
			{name: "version that cannot be", line: "GET /Patient/a/_history/first", status: 404},
			{name: "version with a leading zero", line: "GET /Patient/a/_history/01", status: 404},
			{name: "and deleted", line: "DELETE /Patient/a", status: 204, want: []string{"empty"}},
			{name: "read", line: "GET /Patient/a", status: 410, want: []string{"issue.code = deleted", "- female"}},
			{name: "the deletion", line: "GET /Patient/a/_history/2", status: 410},
			{name: "the version before it", line: "GET /Patient/a/_history/1", status: 200, want: []string{"gender = female", `ETag: W/"1"`}},
			{name: "it is not found", line: "GET /Patient?_id=a", status: 200, want: []string{"entry = "}},
			{name: "a patch", line: "PATCH /Patient/a", body: fhirPathPatch("male"), status: 410},
			{name: "again", line: "DELETE /Patient/a", status: 204, want: []string{"empty"}},
			{name: "which made no version", line: "GET /Patient/a/_history/3", status: 404},
			{name: "one that never was", line: "DELETE /Patient/never", status: 204, want: []string{"empty"}},
			{name: "and still is not", line: "GET /Patient/never", status: 404},
			{name: "back to life", line: "PUT /Patient/a", body: patient("a", male), status: 201, want: []string{`ETag: W/"3"`, "Location: {base}/Patient/a/_history/3"}},
			{name: "read again", line: "GET /Patient/a", status: 200, want: []string{"gender = male", "meta.versionId = 3"}},
		},
		"a vread gives that version": {
			{name: "first", line: "PUT /Patient/a", body: patient("a", female), status: 201},
			{name: "second", line: "PUT /Patient/a", body: patient("a", male), status: 200},
			{name: "vread 1", line: "GET /Patient/a/_history/1", status: 200, want: []string{"gender = female", `ETag: W/"1"`, "meta.versionId = 1", "Last-Modified: " + httpDate}},
			{name: "vread 2", line: "GET /Patient/a/_history/2", status: 200, want: []string{"gender = male", `ETag: W/"2"`, "meta.versionId = 2"}},
			{name: "conditional", line: "GET /Patient/a/_history/1", headers: []string{`If-None-Match: W/"1"`}, status: 304},
		},
		"a create makes a resource under an id of the server's": {
			{name: "with the caller's id and meta", line: "POST /Patient", body: patient("mine", `"meta":{"versionId":"9","lastUpdated":"2001-01-01T00:00:00Z","tag":[{"code":"kept"}]},`+female), status: 201,
				want: []string{"Location: {base}/Patient/" + anyID + "/_history/1", `ETag: W/"1"`, "Last-Modified: " + httpDate, "meta.versionId = 1", "meta.tag.code = kept", `- "mine"`, `- "2001-01-01`},
				keep: "location = Location"},
			{name: "is where Location says", line: "GET {location}", status: 200, want: []string{"gender = female"}},
			{name: "not under the caller's id", line: "GET /Patient/mine", status: 404},
			{name: "of another type", line: "POST /Patient", body: `{"resourceType":"Group","type":"person","actual":true}`, status: 400},
			{name: "without a type", line: "POST /Patient", body: `{}`, status: 400},
			{name: "without a body", line: "POST /Patient", status: 400},
			{name: "that is no JSON", line: "POST /Patient", body: "{", status: 400},
			{name: "that is null", line: "POST /Patient", body: "null", status: 400},
			{name: "with an unknown element", line: "POST /Patient", body: patient("", `"shoeSize":42`), status: 400, want: []string{"issue.expression = Patient.shoeSize"}},
			{name: "with a member twice", line: "POST /Patient", body: patient("", female+","+male), status: 400},
			{name: "without a required element", line: "POST /Observation", body: `{"resourceType":"Observation","code":{"text":"pain"}}`, status: 400, want: []string{"+ Observation.status"}},
			{name: "of what the service alone writes", line: "POST /AuditEvent", body: `{"resourceType":"AuditEvent"}`, status: 405, want: []string{"Allow: .*GET.*"}},
			{name: "at an address with an id", line: "POST /Patient/a", body: patient("a", ""), status: 405, want: []string{"Allow: .*PUT.*"}},
		},
		"an update makes the next version": {
			{name: "update as create", line: "PUT /Patient/a", body: patient("a", female), status: 201, want: []string{`ETag: W/"1"`, "Location: {base}/Patient/a/_history/1", "Last-Modified: " + httpDate}},
			{name: "update", line: "PUT /Patient/a", body: patient("a", male), status: 200, want: []string{`ETag: W/"2"`, "meta.versionId = 2", "gender = male", "Last-Modified: " + httpDate}},
			{name: "the caller's version is not taken", line: "PUT /Patient/a", body: patient("a", `"meta":{"versionId":"77"},`+female), status: 200, want: []string{`ETag: W/"3"`, "meta.versionId = 3"}},
			{name: "without an id in the body", line: "PUT /Patient/a", body: patient("", male), status: 400, want: []string{"issue.expression = Patient.id"}},
			{name: "with another id in the body", line: "PUT /Patient/a", body: patient("b", male), status: 400, want: []string{"issue.expression = Patient.id"}},
			{name: "of another type", line: "PUT /Patient/a", body: `{"resourceType":"Practitioner","id":"a"}`, status: 400},
			{name: "under an id that cannot be", line: "PUT /Patient/a_b", body: patient("a_b", male), status: 400},
			{name: "under an id that is too long", line: "PUT /Patient/a1234567890123456789012345678901234567890123456789012345678901234", body: patient("a1234567890123456789012345678901234567890123456789012345678901234", male), status: 400},
			{name: "none of which changed it", line: "GET /Patient/a", status: 200, want: []string{"meta.versionId = 3", "gender = female"}},
		},
		"an update or patch that changes nothing makes no new version": {
			{name: "there is one", line: "PUT /Patient/a", body: patient("a", female), status: 201},
			{name: "the same update", line: "PUT /Patient/a", body: patient("a", female), status: 200, want: []string{`ETag: W/"1"`}},
			{name: "what was read", line: "GET /Patient/a", status: 200, keep: "read = meta.lastUpdated"},
			{name: "is sent back", line: "PUT /Patient/a", body: patient("a", `"meta":{"versionId":"1","lastUpdated":"{read}"},`+female), status: 200, want: []string{`ETag: W/"1"`}},
			{name: "with other white space", line: "PUT /Patient/a", body: "\n" + ` { "resourceType" : "Patient" , "id":"a", "gender" : "female" } `, status: 200, want: []string{`ETag: W/"1"`}},
			{name: "a JSON Patch to the same", line: "PATCH /Patient/a", headers: []string{jsonPatch}, body: `[{"op":"replace","path":"/gender","value":"female"}]`, status: 200, want: []string{`ETag: W/"1"`}},
			{name: "an empty JSON Patch", line: "PATCH /Patient/a", headers: []string{jsonPatch}, body: `[]`, status: 200, want: []string{`ETag: W/"1"`}},
			{name: "there and back", line: "PATCH /Patient/a", headers: []string{jsonPatch}, body: `[{"op":"remove","path":"/gender"},{"op":"add","path":"/gender","value":"female"}]`, status: 200, want: []string{`ETag: W/"1"`}},
			{name: "a FHIRPath Patch to the same", line: "PATCH /Patient/a", body: fhirPathPatch("female"), status: 200, want: []string{`ETag: W/"1"`}},
			{name: "one version", line: "GET /Patient/a/_history", status: 200, want: []string{"total = 1"}},
		},
		"a patch changes what it names, in two languages": {
			{name: "there is one", line: "PUT /Patient/a", body: patient("a", female+`,"name":[{"family":"Adeyemi"}]`), status: 201},
			{name: "JSON Patch", line: "PATCH /Patient/a", headers: []string{jsonPatch}, body: `[{"op":"test","path":"/gender","value":"female"},{"op":"replace","path":"/gender","value":"male"},{"op":"add","path":"/name/0/given","value":["Grace"]}]`, status: 200,
				want: []string{`ETag: W/"2"`, "Last-Modified: " + httpDate, "gender = male", "name.given = Grace", "name.family = Adeyemi", "meta.versionId = 2"}},
			{name: "FHIRPath Patch", line: "PATCH /Patient/a", body: fhirPathPatch("other"), status: 200, want: []string{`ETag: W/"3"`, "gender = other", "name.given = Grace"}},
			{name: "a test that fails", line: "PATCH /Patient/a", headers: []string{jsonPatch}, body: `[{"op":"replace","path":"/gender","value":"male"},{"op":"test","path":"/gender","value":"female"}]`, status: 422},
			{name: "a place that is not there", line: "PATCH /Patient/a", headers: []string{jsonPatch}, body: `[{"op":"remove","path":"/birthDate"}]`, status: 422},
			{name: "an operation that is unknown", line: "PATCH /Patient/a", headers: []string{jsonPatch}, body: `[{"op":"burn","path":"/gender"}]`, status: 400},
			{name: "that is no JSON", line: "PATCH /Patient/a", headers: []string{jsonPatch}, body: `[`, status: 400},
			{name: "the id", line: "PATCH /Patient/a", headers: []string{jsonPatch}, body: `[{"op":"replace","path":"/id","value":"b"}]`, status: 422},
			{name: "the type", line: "PATCH /Patient/a", headers: []string{jsonPatch}, body: `[{"op":"replace","path":"/resourceType","value":"Group"}]`, status: 422},
			{name: "a whole resource is no patch", line: "PATCH /Patient/a", body: patient("a", male), status: 400},
			{name: "XML Patch", line: "PATCH /Patient/a", headers: []string{"Content-Type: application/xml-patch+xml"}, body: `<diff/>`, status: 415},
			{name: "of what is not there", line: "PATCH /Patient/none", body: fhirPathPatch("male"), status: 404},
			{name: "none of which changed it", line: "GET /Patient/a", status: 200, want: []string{"meta.versionId = 3", "gender = other"}},
		},
		"the result of a patch is validated like any write": {
			{name: "there is one", line: "PUT /Patient/a", body: patient("a", female), status: 201},
			{name: "a code that is unknown", line: "PATCH /Patient/a", headers: []string{jsonPatch}, body: `[{"op":"replace","path":"/gender","value":"gone"}]`, status: 422, want: []string{"+ Patient.gender"}},
			{name: "the same by FHIRPath", line: "PATCH /Patient/a", body: fhirPathPatch("gone"), status: 422},
			{name: "an unknown element", line: "PATCH /Patient/a", headers: []string{jsonPatch}, body: `[{"op":"add","path":"/shoeSize","value":42}]`, status: 422},
			{name: "an observation", line: "PUT /Observation/o", body: pain("o", "7"), status: 201},
			{name: "without its status", line: "PATCH /Observation/o", headers: []string{jsonPatch}, body: `[{"op":"remove","path":"/status"}]`, status: 422},
			{name: "with a score above the scale", line: "PATCH /Observation/o", headers: []string{jsonPatch}, body: `[{"op":"replace","path":"/valueQuantity/value","value":11}]`, status: 422},
			{name: "is as it was", line: "GET /Observation/o", status: 200, want: []string{"meta.versionId = 1", "status = final", "valueQuantity.value = 7"}},
		},
		"If-Match is honoured on update, patch and delete": {
			{name: "there is one", line: "PUT /Patient/a", body: patient("a", female), status: 201},
			{name: "update of the version", line: "PUT /Patient/a", headers: []string{`If-Match: W/"1"`}, body: patient("a", male), status: 200, want: []string{`ETag: W/"2"`}},
			{name: "update of an old one", line: "PUT /Patient/a", headers: []string{`If-Match: W/"1"`}, body: patient("a", female), status: 412},
			{name: "update of an old one that changes nothing", line: "PUT /Patient/a", headers: []string{`If-Match: W/"1"`}, body: patient("a", male), status: 412},
			{name: "update of one to come", line: "PUT /Patient/a", headers: []string{`If-Match: W/"3"`}, body: patient("a", female), status: 412},
			{name: "update of none", line: "PUT /Patient/a", headers: []string{`If-Match: rubbish`}, body: patient("a", female), status: 412},
			{name: "update of what is not there", line: "PUT /Patient/b", headers: []string{`If-Match: W/"1"`}, body: patient("b", female), status: 412},
			{name: "which is still not there", line: "GET /Patient/b", status: 404},
			{name: "patch of an old one", line: "PATCH /Patient/a", headers: []string{`If-Match: W/"1"`}, body: fhirPathPatch("other"), status: 412},
			{name: "patch of the version", line: "PATCH /Patient/a", headers: []string{`If-Match: W/"2"`}, body: fhirPathPatch("other"), status: 200, want: []string{`ETag: W/"3"`}},
			{name: "deletion of an old one", line: "DELETE /Patient/a", headers: []string{`If-Match: W/"2"`}, status: 412},
			{name: "is as it was", line: "GET /Patient/a", status: 200, want: []string{"meta.versionId = 3", "gender = other"}},
			{name: "deletion of the version", line: "DELETE /Patient/a", headers: []string{`If-Match: W/"3"`}, status: 204},
			{name: "update of what is deleted", line: "PUT /Patient/a", headers: []string{`If-Match: W/"4"`}, body: patient("a", female), status: 412},
		},
		"If-None-Match: * on PUT makes and never replaces": {
			{name: "there is none", line: "PUT /Patient/a", headers: []string{"If-None-Match: *"}, body: patient("a", female), status: 201, want: []string{`ETag: W/"1"`}},
			{name: "there is one", line: "PUT /Patient/a", headers: []string{"If-None-Match: *"}, body: patient("a", male), status: 412},
			{name: "which is as it was", line: "GET /Patient/a", status: 200, want: []string{"gender = female", "meta.versionId = 1"}},
			{name: "it is deleted", line: "DELETE /Patient/a", status: 204},
			{name: "there is none again", line: "PUT /Patient/a", headers: []string{"If-None-Match: *"}, body: patient("a", male), status: 201},
		},
		"a conditional create finds one or makes one": {
			{name: "none", line: "POST /Patient", headers: []string{"If-None-Exist: identifier=urn:conformance|1"}, body: patient("", identified("1")+","+female), status: 201, keep: "location = Location"},
			{name: "one", line: "POST /Patient", headers: []string{"If-None-Exist: identifier=urn:conformance|1"}, body: patient("", identified("1")+","+male), status: 200, want: []string{"Location: {location}", `ETag: W/"1"`}},
			{name: "the body is not taken", line: "GET {location}", status: 200, want: []string{"gender = female", "meta.versionId = 1"}},
			{name: "with a question mark", line: "POST /Patient", headers: []string{"If-None-Exist: ?identifier=urn%3Aconformance%7C1"}, body: patient("", identified("1")), status: 200, want: []string{"Location: {location}"}},
			{name: "a second one, without condition", line: "POST /Patient", body: patient("", identified("1")), status: 201},
			{name: "several", line: "POST /Patient", headers: []string{"If-None-Exist: identifier=urn:conformance|1"}, body: patient("", identified("1")), status: 412, want: []string{"issue.code = multiple-matches"}},
			{name: "an unknown parameter", line: "POST /Patient", headers: []string{"If-None-Exist: shoe-size=42"}, body: patient("", ""), status: 400},
			{name: "no condition in it", line: "POST /Patient", headers: []string{"If-None-Exist: _count=1"}, body: patient("", ""), status: 400},
			{name: "empty", line: "POST /Patient", headers: []string{"If-None-Exist: "}, body: patient("", ""), status: 400},
			{name: "asked by If-None-Match", line: "POST /Patient", headers: []string{"If-None-Match: *"}, body: patient("", identified("1")), status: 400, want: []string{"issue.code = not-supported", "+ If-None-Exist"}},
			{name: "asked by If-Match", line: "POST /Patient", headers: []string{`If-Match: W/"1"`}, body: patient("", identified("1")), status: 400, want: []string{"+ If-None-Exist"}},
			{name: "If-None-Exist on an update", line: "PUT /Patient/new", headers: []string{"If-None-Exist: identifier=urn:conformance|1"}, body: patient("new", identified("1")), status: 400, want: []string{"+ If-None-Match: *"}},
			{name: "If-None-Exist on a conditional update", line: "PUT /Patient?identifier=urn:conformance|3", headers: []string{"If-None-Exist: identifier=urn:conformance|1"}, body: patient("", identified("3")), status: 400},
			{name: "If-None-Exist on a Bundle", line: "POST ", headers: []string{"If-None-Exist: identifier=urn:conformance|1"}, body: bundle("transaction", entry("POST Patient", patient("", identified("1")))), status: 400, want: []string{"+ ifNoneExist"}},
			{name: "two stayed two", line: "GET /Patient?_summary=count", status: 200, want: []string{"total = 2"}},
		},
		"a conditional update changes the one or makes one": {
			{name: "none", line: "PUT /Patient?identifier=urn:conformance|1", body: patient("", identified("1")+","+female), status: 201, want: []string{`ETag: W/"1"`, "Location: {base}/Patient/" + anyID + "/_history/1"}, keep: "id = id"},
			{name: "one", line: "PUT /Patient?identifier=urn:conformance|1", body: patient("", identified("1")+","+male), status: 200, want: []string{`ETag: W/"2"`, "gender = male", "id = {id}"}},
			{name: "one and its id", line: "PUT /Patient?identifier=urn:conformance|1", body: patient("{id}", identified("1")+","+female), status: 200, want: []string{`ETag: W/"3"`}},
			{name: "one and another id", line: "PUT /Patient?identifier=urn:conformance|1", body: patient("other", identified("1")), status: 400},
			{name: "one and an old version", line: "PUT /Patient?identifier=urn:conformance|1", headers: []string{`If-Match: W/"2"`}, body: patient("", identified("1")), status: 412},
			{name: "none and a free id", line: "PUT /Patient?identifier=urn:conformance|2", body: patient("free", identified("1")), status: 201, want: []string{"id = free"}},
			{name: "none and a taken id", line: "PUT /Patient?identifier=urn:conformance|2", body: patient("free", identified("2")), status: 400},
			{name: "several", line: "PUT /Patient?identifier=urn:conformance|1", body: patient("", identified("1")), status: 412, want: []string{"issue.code = multiple-matches"}},
			{name: "without a condition", line: "PUT /Patient", body: patient("", ""), status: 400},
			{name: "with a condition that is none", line: "PUT /Patient?_count=1", body: patient("", ""), status: 400},
			{name: "with an unknown parameter", line: "PUT /Patient?shoe-size=42", body: patient("", ""), status: 400},
		},
		"a conditional patch changes the one": {
			{name: "none", line: "PATCH /Patient?identifier=urn:conformance|1", body: fhirPathPatch("male"), status: 404},
			{name: "there is one", line: "PUT /Patient/a", body: patient("a", identified("1")+","+female), status: 201},
			{name: "one", line: "PATCH /Patient?identifier=urn:conformance|1", body: fhirPathPatch("male"), status: 200, want: []string{`ETag: W/"2"`, "gender = male", "id = a"}},
			{name: "one by JSON Patch", line: "PATCH /Patient?identifier=urn:conformance|1", headers: []string{jsonPatch}, body: `[{"op":"remove","path":"/gender"}]`, status: 200, want: []string{`ETag: W/"3"`}},
			{name: "one and an old version", line: "PATCH /Patient?identifier=urn:conformance|1", headers: []string{`If-Match: W/"2"`}, body: fhirPathPatch("male"), status: 412},
			{name: "there are two", line: "PUT /Patient/b", body: patient("b", identified("1")), status: 201},
			{name: "several", line: "PATCH /Patient?identifier=urn:conformance|1", headers: []string{jsonPatch}, body: `[]`, status: 412, want: []string{"issue.code = multiple-matches"}},
			{name: "without a condition", line: "PATCH /Patient", headers: []string{jsonPatch}, body: `[]`, status: 400},
		},
		"a conditional delete deletes the one": {
			{name: "none", line: "DELETE /Patient?identifier=urn:conformance|1", status: 204, want: []string{"empty"}},
			{name: "there is one", line: "PUT /Patient/a", body: patient("a", identified("1")), status: 201},
			{name: "and an old version", line: "DELETE /Patient?identifier=urn:conformance|1", headers: []string{`If-Match: W/"9"`}, status: 412},
			{name: "none of a version", line: "DELETE /Patient?identifier=urn:conformance|2", headers: []string{`If-Match: W/"1"`}, status: 412},
			{name: "there are two", line: "PUT /Patient/b", body: patient("b", identified("1")), status: 201},
			{name: "several", line: "DELETE /Patient?identifier=urn:conformance|1", status: 412, want: []string{"issue.code = multiple-matches"}},
			{name: "neither is deleted", line: "GET /Patient?identifier=urn:conformance|1&_summary=count", status: 200, want: []string{"total = 2"}},
			{name: "the other is", line: "DELETE /Patient/b", status: 204},
			{name: "one", line: "DELETE /Patient?identifier=urn:conformance|1", status: 204, want: []string{"empty"}},
			{name: "it is deleted", line: "GET /Patient/a", status: 410},
			{name: "without a condition", line: "DELETE /Patient", status: 400},
			{name: "with an unknown parameter", line: "DELETE /Patient?shoe-size=42", status: 400},
		},
		"Prefer says what a write answers with": {
			{name: "nothing said", line: "PUT /Patient/a", body: patient("a", female), status: 201, want: []string{"resourceType = Patient"}},
			{name: "minimal create", line: "POST /Patient", headers: []string{"Prefer: return=minimal"}, body: patient("", ""), status: 201, want: []string{"empty", "Location: {base}/Patient/.*", `ETag: W/"1"`, "Last-Modified: " + httpDate}},
			{name: "representation create", line: "POST /Patient", headers: []string{"Prefer: return=representation"}, body: patient("", ""), status: 201, want: []string{"resourceType = Patient"}},
			{name: "outcome create", line: "POST /Patient", headers: []string{"Prefer: return=OperationOutcome"}, body: patient("", ""), status: 201, want: []string{"resourceType = OperationOutcome", "Location: {base}/Patient/.*"}},
			{name: "minimal update", line: "PUT /Patient/a", headers: []string{"Prefer: return=minimal"}, body: patient("a", male), status: 200, want: []string{"empty", `ETag: W/"2"`}},
			{name: "outcome update", line: "PUT /Patient/a", headers: []string{"Prefer: return=OperationOutcome"}, body: patient("a", female), status: 200, want: []string{"resourceType = OperationOutcome", `ETag: W/"3"`}},
			{name: "minimal patch", line: "PATCH /Patient/a", headers: []string{"Prefer: return=minimal"}, body: fhirPathPatch("male"), status: 200, want: []string{"empty", `ETag: W/"4"`}},
			{name: "outcome patch", line: "PATCH /Patient/a", headers: []string{"Prefer: return=OperationOutcome"}, body: fhirPathPatch("female"), status: 200, want: []string{"resourceType = OperationOutcome"}},
			{name: "one that is unknown is passed over", line: "PUT /Patient/a", headers: []string{"Prefer: return=cake, wait=10"}, body: patient("a", male), status: 200, want: []string{"resourceType = Patient"}},
			{name: "lenient search", line: "GET /Patient?shoe-size=42", headers: []string{"Prefer: handling=lenient"}, status: 200, want: []string{"- shoe-size=42"}},
			{name: "strict search", line: "GET /Patient?shoe-size=42", headers: []string{"Prefer: handling=strict"}, status: 400},
			{name: "outcome delete", line: "DELETE /Patient/a", headers: []string{"Prefer: return=OperationOutcome"}, status: 200, want: []string{"resourceType = OperationOutcome"}},
		},
	}
	for sentence, exchanges := range sentences {
		t.Run(sentence, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) { run(t, s, exchanges) })
		})
	}
}

// Last-Modified has whole seconds: in the second of a change it means this version only where
// there is no other of that second.
func TestIfModifiedSinceWithinASecond(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for try := range 20 {
			id := fmt.Sprintf("p%d", try)
			first := s.must(t, 201, "PUT /Patient/"+id, patient(id, female))
			since := "If-Modified-Since: " + first.header.Get("Last-Modified")
			s.must(t, 304, "GET /Patient/"+id, "", since)
			second := s.must(t, 200, "PUT /Patient/"+id, patient(id, male))
			if a := s.must(t, 200, "GET /Patient/"+id, "", since); a.at("gender") != "male" {
				t.Errorf("%s", a.body)
			}
			if second.header.Get("Last-Modified") != first.header.Get("Last-Modified") {
				continue // the clock has struck in between
			}
			s.must(t, 304, "GET /Patient/"+id, "", "If-None-Match: "+second.header.Get("ETag"), since)
			s.must(t, 304, "GET /Patient/"+id+"/_history/2", "", since)
			return
		}
		t.Error("two updates are never made within a second")
	})
}

// A part of a resource, as _summary and _elements give, is never stored.
func TestAPartIsNotStored(t *testing.T) {
	const tags = `[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]`
	outcome := []string{"issue.code = business-rule"}
	onEachEngine(t, func(t *testing.T, s *server) {
		s.must(t, 201, "PUT /Patient/a", patient("a", female+`,"birthDate":"1961-04-01"`))
		part := s.must(t, 200, "GET /Patient/a?_elements=gender", "").body
		run(t, s, []exchange{
			{name: "an update", line: "PUT /Patient/a", body: part, status: 422, want: []string{"issue.code = business-rule", "issue.expression = Patient.meta.tag"}},
			{name: "one that makes", line: "PUT /Patient/b", body: patient("b", `"meta":{"tag":`+tags+`}`), status: 422, want: outcome},
			{name: "a create", line: "POST /Patient", body: part, status: 422, want: outcome},
			{name: "an entry", line: "POST ", body: bundle("transaction", entry("PUT Patient/a", part)), status: 422, want: []string{"issue.expression = Bundle.entry[0].resource.meta.tag"}},
			{name: "a patch that tags the whole", line: "PATCH /Patient/a", headers: []string{jsonPatch}, body: `[{"op":"add","path":"/meta/tag","value":` + tags + `}]`, status: 422, want: outcome},
			{name: "$meta-add that tags the whole", line: "POST /Patient/a/$meta-add", body: `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":` + tags + `}}]}`, status: 422, want: outcome},
			{name: "it is whole", line: "GET /Patient/a", status: 200, want: []string{"birthDate = 1961-04-01", "meta.versionId = 1", "- SUBSETTED"}},
		})
	})
}

// pain is a pain score from 0 to 10 of Patient/a.
func pain(id, score string) string {
	return `{"resourceType":"Observation","id":"` + id + `","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"72514-3"}]},
	 "subject":{"reference":"Patient/a"},"effectiveDateTime":"2026-03-02T08:00:00Z",
	 "valueQuantity":{"value":` + score + `,"system":"http://unitsofmeasure.org","code":"{score}"}}`
}
