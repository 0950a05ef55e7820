package conformance

import (
	"strings"
	"testing"
)

// bundle is a Bundle of type transaction or batch.
func bundle(kind string, entries ...string) string {
	return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
}

// entry is a Bundle entry; line is "METHOD url". more are further members of the request,
// such as `"ifMatch":"W/\"1\""`, and a resource may be "".
func entry(line, resource string, more ...string) string {
	method, url, _ := strings.Cut(line, " ")
	out := `{`
	if resource != "" {
		out += `"resource":` + resource + `,`
	}
	return out + `"request":{"method":"` + method + `","url":"` + url + `"` + strings.Join(append([]string{""}, more...), ",") + `}}`
}

// named is an entry with a fullUrl.
func named(fullURL, entry string) string { return `{"fullUrl":"` + fullURL + `",` + entry[1:] }

// binary holds [{"op":"remove","path":"/gender"}], as a JSON Patch travels in a Bundle.
const binary = `{"resourceType":"Binary","contentType":"application/json-patch+json","data":"W3sib3AiOiJyZW1vdmUiLCJwYXRoIjoiL2dlbmRlciJ9XQ=="}`

// addition is a FHIRPath Patch that adds an element; value is such as `"valueCode":"en"`.
func addition(typ, name, value string) string {
	return `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},{"name":"path","valueString":"` + typ + `"},{"name":"name","valueString":"` + name + `"},{"name":"value",` + value + `}]}]}`
}

const (
	urn1 = "urn:uuid:6c3b2f0e-5b3a-4f0c-9a56-0d2f3a0c0001"
	urn2 = "urn:uuid:6c3b2f0e-5b3a-4f0c-9a56-0d2f3a0c0002"
)

// condition is a Condition about a subject.
func condition(id, subject, more string) string {
	if id != "" {
		id = `"id":"` + id + `",`
	}
	return `{"resourceType":"Condition",` + id + `"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]},"subject":{"reference":"` + subject + `"}` + more + `}`
}

// narrative is a text that links to and shows a target.
func narrative(target string) string {
	return `,"text":{"status":"additional","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"` + target + `\">the patient</a><img src='` + target + `' alt=\"\"/></div>"}`
}

// Transactions and batches, sentence by sentence
// (https://hl7.org/fhir/R4/http.html#transaction). Their Bundles are seeds of FuzzBundle too.
var transactions = map[string][]exchange{
	"the order is DELETE, POST, PUT and PATCH, GET, and the answers are in the request's": {
		{name: "there are some", line: "POST ", body: bundle("transaction",
			entry("PUT Patient/gone", patient("gone", identified("1"))), entry("PUT Patient/patched", patient("patched", female)), entry("PUT Patient/put", patient("put", female))), status: 200,
			want: []string{"type = transaction-response", "entry.response.status = 201 Created,201 Created,201 Created"}},
		{name: "backwards", line: "POST /", body: bundle("transaction",
			entry("GET Patient/put", ""), entry("GET Patient?identifier=urn:conformance|1", ""), entry("PATCH Patient/patched", fhirPathPatch("male")),
			entry("PUT Patient/put", patient("put", male)),
			entry("POST Patient", patient("", identified("1")+","+female), `"ifNoneExist":"identifier=urn:conformance|1"`),
			entry("DELETE Patient/gone", "")), status: 200,
			want: []string{
				"entry.response.status = 200 OK,200 OK,200 OK,200 OK,201 Created,204 No Content",
				"+ \"gender\":\"male\"", "- \"gone\""}},
		{name: "patched", line: "GET /Patient/patched", status: 200, want: []string{"gender = male"}},
		{name: "a JSON Patch", line: "POST ", body: bundle("transaction", entry("PATCH Patient/patched", binary)), status: 200, want: []string{"entry.response.status = 200 OK", `entry.response.etag = W/"3"`}},
		{name: "took the gender away", line: "GET /Patient/patched", status: 200, want: []string{"- gender"}},
		{name: "an empty one", line: "POST ", body: `{"resourceType":"Bundle","type":"transaction"}`, status: 200, want: []string{"type = transaction-response", "entry = "}},
	},
	"a response says where, which version and when": {
		{name: "create", line: "POST ", body: bundle("transaction", entry("POST Patient", patient("", female))), status: 200, keep: "location = entry.response.location",
			want: []string{`entry.response.etag = W/"1"`, "+ \"lastModified\":\"20", "+ \"location\":\"{base}/Patient/"}},
		{name: "is there", line: "GET {location}", status: 200, want: []string{"gender = female"}},
		{name: "representation", line: "POST ", headers: []string{"Prefer: return=representation"}, body: bundle("transaction", entry("POST Patient", patient("", male))), status: 200, want: []string{"entry.resource.gender = male"}},
		{name: "minimal", line: "POST ", headers: []string{"Prefer: return=minimal"}, body: bundle("transaction", entry("POST Patient", patient("", male))), status: 200, want: []string{"entry.resource = "}},
		{name: "outcome", line: "POST ", headers: []string{"Prefer: return=OperationOutcome"}, body: bundle("transaction", entry("POST Patient", patient("", male))), status: 200, want: []string{"entry.response.outcome.resourceType = OperationOutcome"}},
	},
	"a transaction is stored whole or not at all": {
		{name: "the last entry is bad", line: "POST ", body: bundle("transaction", entry("PUT Patient/a", patient("a", "")), entry("POST Patient", patient("", `"gender":"unheard-of"`))), status: 400, want: []string{"+ Bundle.entry[1].resource.gender"}},
		{name: "a", line: "GET /Patient/a", status: 404},
		{name: "the last entry finds nothing", line: "POST ", body: bundle("transaction", entry("PUT Patient/a", patient("a", "")), entry("GET Patient/none", "")), status: 404, want: []string{"+ Bundle.entry[1]"}},
		{name: "still no a", line: "GET /Patient/a", status: 404},
		{name: "the patch does not fit", line: "POST ", body: bundle("transaction", entry("PUT Patient/a", patient("a", "")), entry("PATCH Patient/none", fhirPathPatch("male"))), status: 404, want: []string{"+ Bundle.entry[1]"}},
		{name: "still no a at all", line: "GET /Patient/_history", status: 200, want: []string{"entry = "}},
		{name: "one is of an unknown type", line: "POST ", body: bundle("transaction", entry("PUT Patient/a", patient("a", "")), entry("POST Spaceship", `{"resourceType":"Spaceship"}`)), status: 404, want: []string{"+ Bundle.entry[1]"}},
		{name: "one is for the service alone", line: "POST ", body: bundle("transaction", entry("PUT Patient/a", patient("a", "")), entry("DELETE AuditEvent/a", "")), status: 405, want: []string{"+ Bundle.entry[1]"}},
		{name: "nothing", line: "GET /Patient/_history", status: 200, want: []string{"entry = "}},
	},
	"references among the entries are resolved, in narrative too": {
		{name: "by urn:uuid", line: "POST ", body: bundle("transaction",
			named(urn2, entry("POST Condition", condition("", urn1, narrative(urn1)))), named(urn1, entry("POST Patient", patient("", identified("1"))))), status: 200},
		{name: "the patient", line: "GET /Patient?identifier=urn:conformance|1", status: 200, keep: "id = entry.resource.id"},
		{name: "the condition", line: "GET /Condition?subject=Patient/{id}", status: 200, keep: "first = entry.resource.id",
			want: []string{"entry.resource.subject.reference = Patient/{id}", "- urn:uuid", `+ href=\"Patient/{id}\"`, `+ src='Patient/{id}'`}},
		{name: "to an entry that finds one", line: "POST ", body: bundle("transaction",
			named(urn1, entry("POST Patient", patient("", identified("1")), `"ifNoneExist":"identifier=urn:conformance|1"`)), entry("PUT Condition/c2", condition("c2", urn1, ""))), status: 200,
			want: []string{"entry.response.status = 200 OK,201 Created"}},
		{name: "is the one", line: "GET /Condition/c2", status: 200, want: []string{"subject.reference = Patient/{id}"}},
		{name: "to a conditional update", line: "POST ", body: bundle("transaction",
			named(urn1, entry("PUT Patient?identifier=urn:conformance|1", patient("", identified("1")+","+male))), entry("PUT Condition/c3", condition("c3", urn1, ""))), status: 200},
		{name: "is the one too", line: "GET /Condition/c3", status: 200, want: []string{"subject.reference = Patient/{id}"}},
		{name: "to a conditional update that makes one", line: "POST ", body: bundle("transaction",
			named(urn1, entry("PUT Patient?identifier=urn:conformance|2", patient("", identified("2")))), entry("PUT Condition/c4", condition("c4", urn1, ""))), status: 200},
		{name: "the made one", line: "GET /Patient?identifier=urn:conformance|2", status: 200, keep: "second = entry.resource.id"},
		{name: "is meant", line: "GET /Condition/c4", status: 200, want: []string{"subject.reference = Patient/{second}"}},
		{name: "conditional", line: "POST ", body: bundle("transaction", entry("PUT Condition/c5", condition("c5", "Patient?identifier=urn:conformance|1", ""))), status: 200},
		{name: "is resolved", line: "GET /Condition/c5", status: 200, want: []string{"subject.reference = Patient/{id}"}},
		{name: "conditional on what the same transaction deletes", line: "POST ", body: bundle("transaction", entry("DELETE Patient/{second}", ""), entry("PUT Condition/c6", condition("c6", "Patient?identifier=urn:conformance|2", ""))), status: 412, want: []string{"+ Bundle.entry[1].resource.subject"}},
		{name: "so it is not deleted", line: "GET /Patient/{second}", status: 200},
		{name: "to its own fullUrl that is a URL of ours", line: "POST ", body: bundle("transaction",
			named("{base}/Patient/temporary", entry("POST Patient", patient("", identified("3")))), entry("PUT Condition/c7", condition("c7", "{base}/Patient/temporary", ""))), status: 200},
		{name: "the one it became", line: "GET /Patient?identifier=urn:conformance|3", status: 200, keep: "third = entry.resource.id"},
		{name: "is the reference", line: "GET /Condition/c7", status: 200, want: []string{"subject.reference = Patient/{third}"}},
		{name: "a relative reference below the base of the fullUrl", line: "POST ", body: bundle("transaction",
			named("{base}/Patient/temporary2", entry("POST Patient", patient("", identified("4")))), named("{base}/Condition/x", entry("POST Condition", condition("", "Patient/temporary2", "")))), status: 200},
		{name: "finds the entry too", line: "GET /Patient?identifier=urn:conformance|4", status: 200, keep: "fourth = entry.resource.id"},
		{name: "and is rewritten", line: "GET /Condition?subject=Patient/{fourth}", status: 200, want: []string{"entry.resource.subject.reference = Patient/{fourth}"}},
	},
	"what cannot be resolved is refused with its place": {
		{name: "a urn of an entry that deletes", line: "POST ", body: bundle("transaction", named(urn1, entry("DELETE Patient?identifier=urn:conformance|none", "")), entry("POST Condition", condition("", urn1, ""))), status: 400, want: []string{"issue.expression = Bundle.entry[1].resource.subject.reference"}},
		{name: "a urn of no entry", line: "POST ", body: bundle("transaction", entry("POST Patient", patient("", "")), entry("POST Condition", condition("", urn1, ""))), status: 400, want: []string{"issue.expression = Bundle.entry[1].resource.subject.reference"}},
		{name: "a condition that finds none", line: "POST ", body: bundle("transaction", entry("POST Condition", condition("", "Patient?identifier=urn:conformance|1", ""))), status: 412, want: []string{"+ Bundle.entry[0].resource.subject"}},
		{name: "two of them", line: "POST ", body: bundle("transaction", entry("PUT Patient/a", patient("a", identified("1"))), entry("PUT Patient/b", patient("b", identified("1")))), status: 200},
		{name: "a condition that finds two", line: "POST ", body: bundle("transaction", entry("POST Condition", condition("", "Patient?identifier=urn:conformance|1", ""))), status: 412, want: []string{"+ Bundle.entry[0].resource.subject", "issue.code = multiple-matches"}},
		{name: "no condition was stored", line: "GET /Condition?_summary=count", status: 200, want: []string{"total = 0"}},
	},
	"two entries about one resource are refused": {
		{name: "two updates", line: "POST ", body: bundle("transaction", entry("PUT Patient/a", patient("a", "")), entry("PUT Patient/a", patient("a", female))), status: 400, want: []string{"issue.code = duplicate", "+ Bundle.entry[1]"}},
		{name: "a deletion and an update", line: "POST ", body: bundle("transaction", entry("DELETE Patient/a", ""), entry("PUT Patient/a", patient("a", female))), status: 400},
		{name: "two with one fullUrl", line: "POST ", body: bundle("transaction", named(urn1, entry("POST Patient", patient("", ""))), named(urn1, entry("POST Patient", patient("", "")))), status: 400},
		{name: "nothing was stored", line: "GET /Patient/_history", status: 200, want: []string{"entry = "}},
		{name: "one is made", line: "PUT /Patient/a", body: patient("a", identified("1")+","+female), status: 201},
		{name: "an update and a patch", line: "POST ", body: bundle("transaction", entry("PUT Patient/a", patient("a", identified("1"))), entry("PATCH Patient/a", fhirPathPatch("male"))), status: 400},
		{name: "an update by id and one by condition", line: "POST ", body: bundle("transaction", entry("PUT Patient/a", patient("a", identified("1")+","+female)), entry("PUT Patient?identifier=urn:conformance|1", patient("", identified("1")))), status: 400},
		{name: "a deletion by condition and an update by id", line: "POST ", body: bundle("transaction", entry("DELETE Patient?identifier=urn:conformance|1", ""), entry("PUT Patient/a", patient("a", female))), status: 400},
		{name: "it is as it was", line: "GET /Patient/a", status: 200, want: []string{"meta.versionId = 1"}},
		{name: "the same id of two types is two resources", line: "POST ", body: bundle("transaction", entry("PUT Patient/x", patient("x", "")), entry("PUT Practitioner/x", `{"resourceType":"Practitioner","id":"x"}`)), status: 200},
	},
	"GET and search work inside, on what the transaction wrote": {
		{name: "one is made", line: "PUT /Patient/a", body: patient("a", female), status: 201},
		{name: "all of them", line: "POST ", body: bundle("transaction", entry("GET Patient/a", ""), entry("GET Patient/a/_history/1", ""), entry("GET Patient?_id=a,b", ""), entry("GET Condition?subject=Patient/a&_summary=count", ""),
			entry("PUT Patient/b", patient("b", "")), entry("PUT Condition/c", condition("c", "Patient/a", ""))), status: 200,
			want: []string{"entry.response.status = 200 OK,200 OK,200 OK,200 OK,201 Created,201 Created", "entry.resource.type = searchset,searchset", "+ {base}/Patient/b", "+ \"total\":1"}},
		{name: "an unknown parameter is refused", line: "POST ", body: bundle("transaction", entry("GET Patient?shoe-size=42", "")), status: 400, want: []string{"+ Bundle.entry[0]"}},
	},
	"the conditions of a request work in entries": {
		{name: "one is made", line: "PUT /Patient/a", body: patient("a", identified("1")+","+female), status: 201},
		{name: "ifMatch of the version", line: "POST ", body: bundle("transaction", entry("PUT Patient/a", patient("a", identified("1")+","+male), `"ifMatch":"W/\"1\""`)), status: 200, want: []string{`entry.response.etag = W/"2"`}},
		{name: "ifMatch of an old one", line: "POST ", body: bundle("transaction", entry("PUT Patient/b", patient("b", "")), entry("PUT Patient/a", patient("a", female), `"ifMatch":"W/\"1\""`)), status: 412, want: []string{"+ Bundle.entry[1]"}},
		{name: "ifMatch on a deletion", line: "POST ", body: bundle("transaction", entry("DELETE Patient/a", "", `"ifMatch":"W/\"1\""`)), status: 412, want: []string{"+ Bundle.entry[0]"}},
		{name: "ifMatch on a patch", line: "POST ", body: bundle("transaction", entry("PATCH Patient/a", fhirPathPatch("female"), `"ifMatch":"W/\"1\""`)), status: 412, want: []string{"+ Bundle.entry[0]"}},
		{name: "ifNoneMatch on an update", line: "POST ", body: bundle("transaction", entry("PUT Patient/a", patient("a", female), `"ifNoneMatch":"*"`)), status: 412, want: []string{"+ Bundle.entry[0]"}},
		{name: "ifNoneMatch on a read", line: "POST ", body: bundle("transaction", entry("GET Patient/a", "", `"ifNoneMatch":"W/\"2\""`)), status: 200, want: []string{"entry.response.status = 304 Not Modified", "entry.resource = "}},
		{name: "a conditional patch", line: "POST ", body: bundle("transaction", entry("PATCH Patient?identifier=urn:conformance|1", fhirPathPatch("other"))), status: 200, want: []string{`entry.response.etag = W/"3"`}},
		{name: "a conditional deletion", line: "POST ", body: bundle("transaction", entry("DELETE Patient?identifier=urn:conformance|1", "")), status: 200, want: []string{"entry.response.status = 204 No Content"}},
		{name: "it is deleted, and b was not made", line: "GET /Patient?_id=a,b", status: 200, want: []string{"entry = "}},
	},
	"the entries of a batch stand alone": {
		{name: "there are two", line: "POST ", body: bundle("transaction", entry("PUT Patient/a", patient("a", female)), entry("PUT Patient/b", patient("b", female))), status: 200},
		{name: "good and bad", line: "POST ", body: bundle("batch",
			entry("GET Patient/a", ""), entry("GET Patient/none", ""), entry("POST Patient", patient("", `"gender":"unheard-of"`)), entry("POST Patient", patient("", identified("1"))),
			entry("PUT Patient/a", patient("a", male)), entry("PATCH Patient/b", binary), entry("DELETE Patient/none", ""), entry("DELETE AuditEvent/x", ""), entry("GET Patient?shoe-size=42", ""), entry("GET Patient/a/_history", "")), status: 200,
			want: []string{"type = batch-response",
				"entry.response.status = 200 OK,404 Not Found,400 Bad Request,201 Created,200 OK,200 OK,204 No Content,405 Method Not Allowed,400 Bad Request,200 OK",
				"entry.response.outcome.resourceType = OperationOutcome,OperationOutcome,OperationOutcome,OperationOutcome"}},
		{name: "what was good is stored", line: "GET /Patient?identifier=urn:conformance|1", status: 200, want: []string{"+ searchset", "+ urn:conformance"}},
		{name: "the update too", line: "GET /Patient/a", status: 200, want: []string{"gender = male"}},
		{name: "the conditions", line: "POST ", body: bundle("batch",
			entry("PUT Patient/a", patient("a", female), `"ifMatch":"W/\"1\""`), entry("POST Patient", patient("", ""), `"ifNoneExist":"identifier=urn:conformance|1"`),
			entry("PUT Patient?identifier=urn:conformance|9", patient("", identified("9"))), entry("DELETE Patient?identifier=urn:conformance|1", "")), status: 200,
			// The deletion comes first, as it would in a transaction.
			want: []string{"entry.response.status = 412 Precondition Failed,201 Created,201 Created,204 No Content"}},
		{name: "unknown method, and nothing at all", line: "POST ", body: bundle("batch", entry("BURN Patient/a", ""), "{}", entry("GET Patient/b", "")), status: 200,
			want: []string{"entry.response.status = 400 Bad Request,400 Bad Request,200 OK", "+ Bundle.entry[0].request.method", "+ Bundle.entry[1]"}},
		{name: "the format of an answer", line: "POST ", body: bundle("batch", entry("GET Patient/b?_format=xml", ""), entry("GET Patient/b?_format=json", "")), status: 200,
			want: []string{"entry.response.status = 406 Not Acceptable,200 OK"}},
		{name: "a reference to another", line: "POST ", body: bundle("batch", named(urn1, entry("POST Patient", patient("", identified("7")))), named(urn2, entry("POST Condition", condition("", urn1, "")))), status: 200,
			want: []string{"entry.response.status = 201 Created,400 Bad Request"}},
	},
	"a conditional write that makes a resource is alone with it afterwards": {
		{name: "two updates, the parameters swapped", line: "POST ", body: bundle("transaction",
			entry("PUT Patient?identifier=urn:conformance|1&birthdate=1990-01-01", patient("", identified("1")+`,"birthDate":"1990-01-01"`)), entry("PUT Patient?birthdate=1990-01-01&identifier=urn:conformance|1", patient("", identified("1")+`,"birthDate":"1990-01-01"`))),
			status: 412, want: []string{"issue.code = multiple-matches", "+ Bundle.entry[0]"}},
		{name: "an update and a create", line: "POST ", body: bundle("transaction",
			entry("POST Patient", patient("", identified("1"))), entry("PUT Patient?identifier=urn:conformance|1", patient("", identified("1")))), status: 412, want: []string{"+ Bundle.entry[1]"}},
		{name: "none was made", line: "GET /Patient?_summary=count", status: 200, want: []string{"total = 0"}},
	},
	"a conditional write that finds a resource is alone with it afterwards": {
		{name: "one is there", line: "PUT /Patient/f", body: patient("f", identified("1")+","+female), status: 201},
		{name: "an update and a create", line: "POST ", body: bundle("transaction",
			entry("POST Patient", patient("", identified("1"))), entry("PUT Patient?identifier=urn:conformance|1", patient("", identified("1")+","+male))), status: 412, want: []string{"issue.code = multiple-matches", "issue.expression = Bundle.entry[1]"}},
		{name: "a patch and an update", line: "POST ", body: bundle("transaction",
			entry("PATCH Patient?identifier=urn:conformance|1", fhirPathPatch("male")), entry("PUT Patient/g", patient("g", identified("1")))), status: 412, want: []string{"issue.code = multiple-matches", "issue.expression = Bundle.entry[0]"}},
		{name: "a create that finds it and one that does not ask", line: "POST ", body: bundle("transaction",
			entry("POST Patient", patient("", identified("1")), `"ifNoneExist":"identifier=urn:conformance|1"`), entry("POST Patient", patient("", identified("1")))), status: 412, want: []string{"issue.code = multiple-matches", "issue.expression = Bundle.entry[0]"}},
		{name: "an update that leaves the identifier to another", line: "POST ", body: bundle("transaction",
			entry("PUT Patient?identifier=urn:conformance|1", patient("", identified("2"))), entry("POST Patient", patient("", identified("1")))), status: 412, want: []string{"issue.code = multiple-matches", "issue.expression = Bundle.entry[0]"}},
		{name: "nothing was written", line: "GET /Patient/_history", status: 200, want: []string{"entry.resource.id = f", "entry.resource.meta.versionId = 1"}},
		{name: "a create that finds what an update changes", line: "POST ", body: bundle("transaction",
			entry("POST Patient", patient("", identified("1")), `"ifNoneExist":"identifier=urn:conformance|1"`), entry("PUT Patient/f", patient("f", identified("1")+","+male))), status: 200, want: []string{"entry.response.status = 200 OK,200 OK"}},
		{name: "a deletion, and what takes its place", line: "POST ", body: bundle("transaction",
			entry("DELETE Patient?identifier=urn:conformance|1", ""), entry("PUT Patient/g", patient("g", identified("1")))), status: 200, want: []string{"entry.response.status = 204 No Content,201 Created"}},
	},
	"a condition takes no parameter that hides matches": {
		{name: "one is there", line: "PUT /Patient/f", body: patient("f", identified("1")), status: 201},
		{name: "another is there", line: "PUT /Patient/g", body: patient("g", identified("1")), status: 201},
		{name: "the first page", line: "GET /Patient?identifier=urn:conformance|1&_count=1", status: 200, keep: "next = link.url"},
		{name: "a page size", line: "POST /Patient", headers: []string{"If-None-Exist: identifier=urn:conformance|1&_count=0"}, body: patient("", ""), status: 400, want: []string{"issue.expression = http._count"}},
		{name: "a summary", line: "PUT /Patient?identifier=urn:conformance|1&_summary=count", body: patient("", ""), status: 400, want: []string{"issue.expression = http._summary"}},
		{name: "a total", line: "DELETE /Patient?identifier=urn:conformance|1&_total=none", status: 400, want: []string{"issue.expression = http._total"}},
		{name: "a page link", line: "DELETE /Patient?identifier=urn:conformance|1&_cursor=AAAA", status: 400, want: []string{"issue.expression = http._cursor"}},
		{name: "in a transaction", line: "POST ", body: bundle("transaction", entry("POST Patient", patient("", ""), `"ifNoneExist":"identifier=urn:conformance|1&_count=1"`)), status: 400, want: []string{"issue.expression = Bundle.entry[0].request.ifNoneExist"}},
		{name: "in a batch", line: "POST ", body: bundle("batch", entry("POST Patient", patient("", ""), `"ifNoneExist":"identifier=urn:conformance|1&_count=1"`), entry("DELETE Patient?identifier=urn:conformance|1&_sort=_id", "")), status: 200, want: []string{"entry.response.outcome.issue.expression = Bundle.entry[0].request.ifNoneExist,Bundle.entry[1].request.url"}},
		{name: "the form of the answer may be asked for", line: "PUT /Patient?identifier=urn:conformance|3&_format=json&_pretty=true", body: patient("", identified("3")), status: 201},
	},
	"the CapabilityStatement can be asked for in a Bundle": {
		{name: "in a transaction", line: "POST ", body: bundle("transaction", entry("GET metadata", ""), entry("HEAD metadata?mode=full", "")), status: 200, want: []string{"entry.response.status = 200 OK,200 OK", "entry.resource.resourceType = CapabilityStatement"}},
		{name: "beside a write", line: "POST ", body: bundle("transaction", entry("GET metadata?_format=json", ""), entry("PUT Patient/m", patient("m", ""))), status: 200, want: []string{"entry.response.status = 200 OK,201 Created", "entry.resource.resourceType = CapabilityStatement"}},
		{name: "in a batch", line: "POST ", body: bundle("batch", entry("GET {base}/metadata", ""), entry("GET metadata?mode=terminology", ""), entry("GET metadata/x", ""), entry("DELETE metadata", ""), entry("GET metadata", "", `"ifNoneMatch":"*"`)), status: 200,
			want: []string{"entry.response.status = 200 OK,400 Bad Request,404 Not Found,405 Method Not Allowed,400 Bad Request", "entry.resource.resourceType = CapabilityStatement"}},
	},
	"an entry with a condition that says nothing is refused": {
		{name: "one is there", line: "PUT /Patient/a", body: patient("a", identified("1")), status: 201},
		{name: "in a batch", line: "POST ", body: bundle("batch",
			entry("GET Patient?identifier=urn:conformance|1", "", `"ifNoneMatch":"W/\"1\""`), entry("GET Patient?identifier=urn:conformance|1", "", `"ifModifiedSince":"2100-01-01T00:00:00Z"`),
			entry("GET Patient/a/_history", "", `"ifNoneMatch":"W/\"1\""`), entry("GET Patient/a", "", `"ifMatch":"W/\"1\""`), entry("GET Patient/a/_history/1", "", `"ifMatch":"W/\"2\""`),
			entry("PUT Patient/a", patient("a", female), `"ifModifiedSince":"2020-01-01T00:00:00Z"`), entry("POST Patient", patient("", ""), `"ifModifiedSince":"2020-01-01T00:00:00Z"`),
			entry("DELETE Patient/a", "", `"ifModifiedSince":"2020-01-01T00:00:00Z"`), entry("POST Patient", patient("", ""), `"ifNoneMatch":"*"`), entry("POST Patient/a/$meta-add", metaParameters, `"ifModifiedSince":"2020-01-01T00:00:00Z"`)), status: 200,
			want: []string{"entry.response.status = 400 Bad Request,400 Bad Request,400 Bad Request,400 Bad Request,400 Bad Request,400 Bad Request,400 Bad Request,400 Bad Request,400 Bad Request,400 Bad Request",
				"entry.response.outcome.issue.expression = Bundle.entry[0].request.ifNoneMatch,Bundle.entry[1].request.ifModifiedSince,Bundle.entry[2].request.ifNoneMatch,Bundle.entry[3].request.ifMatch,Bundle.entry[4].request.ifMatch,Bundle.entry[5].request.ifModifiedSince,Bundle.entry[6].request.ifModifiedSince,Bundle.entry[7].request.ifModifiedSince,Bundle.entry[8].request.ifNoneMatch,Bundle.entry[9].request.ifModifiedSince"}},
		{name: "in a transaction", line: "POST ", body: bundle("transaction", entry("GET Patient/a", "", `"ifMatch":"W/\"1\""`)), status: 400, want: []string{"issue.expression = Bundle.entry[0].request.ifMatch"}},
		{name: "those that are heeded", line: "POST ", body: bundle("transaction", entry("GET Patient/a", "", `"ifNoneMatch":"W/\"1\""`), entry("GET Patient/a/_history/1", "", `"ifModifiedSince":"2100-01-01T00:00:00Z"`)), status: 200, want: []string{"entry.response.status = 304 Not Modified,304 Not Modified"}},
		{name: "nothing was written", line: "GET /Patient/_history", status: 200, want: []string{"entry.resource.meta.versionId = 1"}},
	},
	"a page link that cannot be read is told with its place": {
		{name: "of a search", line: "GET /Patient?_cursor=x", status: 400, want: []string{"issue.expression = http._cursor"}},
		{name: "of a history", line: "GET /Patient/_history?_cursor=x", status: 400, want: []string{"issue.expression = http._cursor"}},
		{name: "of a search in a transaction", line: "POST ", body: bundle("transaction", entry("GET Patient?_cursor=x", "")), status: 400, want: []string{"issue.expression = Bundle.entry[0].request.url"}},
		{name: "of a history in a transaction", line: "POST ", body: bundle("transaction", entry("GET Patient/_history?_cursor=x", "")), status: 400, want: []string{"issue.expression = Bundle.entry[0].request.url"}},
		{name: "of both in a batch", line: "POST ", body: bundle("batch", entry("GET Patient?_cursor=x", ""), entry("GET Patient/_history?_cursor=x", "")), status: 200, want: []string{"entry.response.outcome.issue.expression = Bundle.entry[0].request.url,Bundle.entry[1].request.url"}},
	},
	"what a conditional update or deletion is about is looked up before anything is written": {
		{name: "one is made", line: "PUT /Patient/dd", body: patient("dd", identified("1")), status: 201},
		{name: "deletions by id and by condition", line: "POST ", body: bundle("transaction", entry("DELETE Patient/dd", ""), entry("DELETE Patient?identifier=urn:conformance|1", "")), status: 400, want: []string{"issue.code = duplicate", "+ Bundle.entry[1]"}},
		{name: "the other way round", line: "POST ", body: bundle("transaction", entry("DELETE Patient?identifier=urn:conformance|1", ""), entry("DELETE Patient/dd", "")), status: 400, want: []string{"issue.code = duplicate", "+ Bundle.entry[1]"}},
		{name: "an update and a deletion", line: "POST ", body: bundle("transaction", entry("PUT Patient?identifier=urn:conformance|1", patient("", identified("1"))), entry("DELETE Patient/dd", "")), status: 400, want: []string{"issue.code = duplicate"}},
		{name: "a version of what is not there", line: "POST ", body: bundle("transaction", entry("DELETE Patient?identifier=urn:conformance|2", "", `"ifMatch":"W/\"1\""`)), status: 412, want: []string{"+ Bundle.entry[0]"}},
		{name: "the same outside", line: "DELETE /Patient?identifier=urn:conformance|2", headers: []string{`If-Match: W/"1"`}, status: 412},
		{name: "it is as it was", line: "GET /Patient/dd", status: 200, want: []string{"meta.versionId = 1"}},
	},
	"a conditional reference is judged on the state after the writes": {
		{name: "one is made", line: "PUT /Patient/lt", body: patient("lt", identified("1")), status: 201},
		{name: "two meet it afterwards", line: "POST ", body: bundle("transaction", entry("POST Patient", patient("", identified("1"))), entry("PUT Condition/c", condition("c", "Patient?identifier=urn:conformance|1", ""))), status: 412, want: []string{"issue.code = multiple-matches", "+ Bundle.entry[1].resource.subject.reference"}},
		{name: "none meets it afterwards", line: "POST ", body: bundle("transaction", entry("PUT Patient/lt", patient("lt", identified("2"))), entry("PUT Condition/c", condition("c", "Patient?identifier=urn:conformance|1", ""))), status: 412, want: []string{"+ Bundle.entry[1].resource.subject.reference"}},
		{name: "in two steps", line: "POST ", body: bundle("transaction",
			entry("PUT Observation/o", `{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"focus":[{"reference":"Condition?identifier=urn:conformance|c"}]}`),
			entry("PUT Condition/c", condition("c", "Patient?identifier=urn:conformance|p", `,`+identified("c"))), entry("PUT Patient/p", patient("p", identified("p")))), status: 200},
		{name: "the second", line: "GET /Observation/o", status: 200, want: []string{"focus.reference = Condition/c"}},
		{name: "the first", line: "GET /Condition/c", status: 200, want: []string{"subject.reference = Patient/p"}},
	},
	"a urn in a narrative is resolved or refused": {
		{name: "of an entry, with a fragment", line: "POST ", body: bundle("transaction",
			named(urn1, entry("PUT Patient/a", patient("a", ""))), entry("PUT Condition/c", condition("c", urn1, narrative(urn1+"#x")))), status: 200},
		{name: "the link", line: "GET /Condition/c", status: 200, want: []string{`+ href=\"Patient/a#x\"`, "- urn:uuid"}},
		{name: "of no entry", line: "POST ", body: bundle("transaction", entry("PUT Condition/c", condition("c", "Patient/a", narrative(urn2)))), status: 400, want: []string{"issue.expression = Bundle.entry[0].resource.text.div"}},
	},
	"what a patch leaves as it is keeps its meaning": {
		{name: "a patient", line: "PUT /Patient/1", body: patient("1", identified("1")), status: 201},
		{name: "a condition of that patient", line: "PUT /Condition/k", body: condition("k", "Patient/1", narrative(urn2)), status: 201},
		{name: "another sender's Patient/1 is made beside a patch", line: "POST ", body: bundle("transaction",
			named("http://old.example/fhir/Patient/1", entry("POST Patient", patient("", identified("2")))),
			named("http://old.example/fhir/Condition/k", entry("PATCH Condition/k", addition("Condition", "language", `"valueCode":"en"`)))), status: 200},
		{name: "the condition is of the same patient", line: "GET /Condition/k", status: 200, want: []string{"subject.reference = Patient/1", "language = en", "+ " + urn2}},
		{name: "an entry has the name of an old link", line: "POST ", body: bundle("transaction",
			named(urn2, entry("POST Patient", patient("", identified("3")))), entry("PATCH Condition/k", addition("Condition", "recordedDate", `"valueDateTime":"2026-01-01"`))), status: 200},
		{name: "which stays", line: "GET /Condition/k", status: 200, want: []string{"+ " + urn2, "recordedDate = 2026-01-01"}},
		{name: "what a patch brings is resolved", line: "POST ", body: bundle("transaction",
			named(urn1, entry("PUT Patient/2", patient("2", ""))), entry("PATCH Condition/k", addition("Condition", "asserter", `"valueReference":{"reference":"`+urn1+`"}`))), status: 200},
		{name: "by the entry", line: "GET /Condition/k", status: 200, want: []string{"asserter.reference = Patient/2", "subject.reference = Patient/1"}},
	},
	"a link to a search in a narrative is a conditional reference where the resource refers by it": {
		{name: "one is made", line: "PUT /Patient/n", body: patient("n", identified("1")+`,"birthDate":"1990-01-01"`), status: 201},
		{name: "by the reference of the same resource, escaped as HTML", line: "POST ", body: bundle("transaction",
			entry("PUT Condition/n1", condition("n1", "Patient?identifier=urn:conformance|1&birthdate=1990-01-01", narrative("Patient?identifier=urn:conformance|1&amp;birthdate=1990-01-01")))), status: 200},
		{name: "is the patient", line: "GET /Condition/n1", status: 200, want: []string{`+ href=\"Patient/n\"`, "subject.reference = Patient/n"}},
		{name: "by that of another, and of what the transaction writes", line: "POST ", body: bundle("transaction",
			entry("PUT Condition/n2", condition("n2", "Patient/n", narrative("Patient?identifier=urn:conformance|1"))), entry("PUT Condition/n3", condition("n3", "Patient?identifier=urn:conformance|1", narrative("Patient?identifier=urn:conformance|1"))), entry("PUT Patient/n", patient("n", identified("1")+","+male))), status: 200},
		{name: "stays a link", line: "GET /Condition/n2", status: 200, want: []string{`+ href=\"Patient?identifier=urn:conformance|1\"`}},
		{name: "by that of another, and nothing else", line: "POST ", body: bundle("transaction",
			entry("PUT Condition/n4", condition("n4", "Patient/n", narrative("Patient?identifier=urn:conformance|1"))), entry("PUT Condition/n5", condition("n5", "Patient?identifier=urn:conformance|1", ""))), status: 200},
		{name: "stays a link too", line: "GET /Condition/n4", status: 200, want: []string{`+ href=\"Patient?identifier=urn:conformance|1\"`}},
		{name: "the other is resolved", line: "GET /Condition/n3", status: 200, want: []string{`+ href=\"Patient/n\"`}},
	},
	"operations stand in a transaction as other requests do": {
		{name: "what reads comes last", line: "POST ", body: bundle("transaction",
			entry("GET Patient/a/$everything", ""), entry("GET Patient/a/$meta", ""), entry("POST Patient/a/$everything", emptyParameters), entry("HEAD $meta", ""),
			entry("GET Patient/a/_history", ""), entry("PUT Patient/a", patient("a", female))), status: 200,
			want: []string{"entry.response.status = 200 OK,200 OK,200 OK,200 OK,200 OK,201 Created",
				"entry.resource.resourceType = Bundle,Parameters,Bundle,Bundle", "entry.resource.entry.resource.id = a,a,a", "entry.resource.parameter.valueMeta.versionId = 1"}},
		{name: "what changes is a part of it", line: "POST ", body: bundle("transaction",
			entry("POST Patient/a/$meta-add", metaParameters, `"ifMatch":"W/\"1\""`), entry("PUT Patient/b", patient("b", female))), status: 200,
			want: []string{"entry.response.status = 200 OK,201 Created", "entry.response.etag = W/\"2\",W/\"1\"", "entry.resource.parameter.valueMeta.tag.code = x"}},
		{name: "and is undone with it", line: "POST ", body: bundle("transaction",
			entry("POST Patient/a/$meta-delete", metaParameters), entry("GET Patient/none/$everything", "")), status: 404, want: []string{"issue.expression = Bundle.entry[1].request.url"}},
		{name: "as before", line: "GET /Patient/a", status: 200, want: []string{"meta.versionId = 2", "meta.tag.code = x"}},
		{name: "a resource is changed once", line: "POST ", body: bundle("transaction",
			entry("POST Patient/a/$meta-delete", metaParameters), entry("PATCH Patient/a", fhirPathPatch("male"))), status: 400, want: []string{"issue.code = duplicate", "+ Bundle.entry[1]"}},
		{name: "a change by GET", line: "POST ", body: bundle("transaction", entry("GET Patient/a/$meta-add", "")), status: 405, want: []string{"issue.expression = Bundle.entry[0].request.method"}},
		{name: "one that is not offered", line: "POST ", body: bundle("transaction", entry("GET Patient/$everything", "")), status: 404, want: []string{"issue.expression = Bundle.entry[0].request.url"}},
		{name: "a parameter that is unknown", line: "POST ", body: bundle("transaction", entry("GET Patient/a/$everything?colour=red", "")), status: 400, want: []string{"issue.expression = Bundle.entry[0].request.url"}},
		{name: "a resource in place of parameters", line: "POST ", body: bundle("transaction", entry("POST Patient/a/$meta", patient("", ""))), status: 400, want: []string{"issue.expression = Bundle.entry[0].resource"}},
	},
	"operations stand in a batch as other requests do": {
		{name: "there is one", line: "PUT /Patient/a", body: patient("a", female), status: 201},
		{name: "each", line: "POST ", body: bundle("batch",
			entry("GET Patient/a/$everything?_count=1", ""), entry("GET Observation/$lastn?patient=a&code=http://loinc.org|72514-3", ""), entry("POST Observation/$stats", statsParameters("a", "count")),
			entry("GET Composition/none/$document", ""), entry("GET $meta", ""), entry("POST Patient/a/$meta-add", metaParameters), entry("GET Patient/a/$everything?colour=red", ""), entry("POST Patient/a/$match", emptyParameters)), status: 200,
			want: []string{"entry.response.status = 200 OK,200 OK,200 OK,404 Not Found,200 OK,200 OK,400 Bad Request,404 Not Found",
				"entry.response.outcome.resourceType = OperationOutcome,OperationOutcome,OperationOutcome", "entry.response.etag = W/\"2\""}},
	},
	"a reference to the version that a new entry claims to be becomes one to the version that is made": {
		{name: "two that are new", line: "POST ", body: bundle("transaction",
			named("http://old.example/Patient/77", entry("POST Patient", patient("", `"meta":{"versionId":"5"},`+identified("1")))),
			named(urn1, entry("POST Condition", condition("", "http://old.example/Patient/77/_history/5", ""))),
			named(urn2, entry("POST Condition", condition("", "http://old.example/Patient/77/_history/4", `,"code":{"text":"of an older version"}`)))), status: 200},
		{name: "of the version", line: "GET /Condition?patient.identifier=urn:conformance%7C1", status: 200, want: []string{"entry.resource.resourceType = Condition", "+ /_history/1\"}"}},
		{name: "of another version", line: "GET /Condition?subject=http://old.example/Patient/77/_history/4", status: 200, want: []string{"entry.resource.code.text = of an older version"}},
	},
	"other Bundles are refused": {
		{name: "a searchset", line: "POST ", body: bundle("searchset"), status: 400},
		{name: "a collection", line: "POST ", body: `{"resourceType":"Bundle","type":"collection"}`, status: 400},
		{name: "without a type", line: "POST ", body: `{"resourceType":"Bundle"}`, status: 400},
		{name: "a Patient", line: "POST ", body: patient("", ""), status: 400},
		{name: "an entry without a request", line: "POST ", body: bundle("transaction", `{"resource":`+patient("", "")+`}`), status: 400, want: []string{"+ Bundle.entry[0].request"}},
		{name: "a POST with an id", line: "POST ", body: bundle("transaction", entry("POST Patient/a", patient("a", ""))), status: 400, want: []string{"+ Bundle.entry[0].request.url"}},
		{name: "a PUT without one", line: "POST ", body: bundle("transaction", entry("PUT Patient", patient("", ""))), status: 400, want: []string{"+ Bundle.entry[0].request.url"}},
		{name: "a PUT of another id", line: "POST ", body: bundle("transaction", entry("PUT Patient/a", patient("b", ""))), status: 400, want: []string{"+ Bundle.entry[0].resource.id"}},
		{name: "a PUT of another type", line: "POST ", body: bundle("transaction", entry("PUT Practitioner/a", patient("a", ""))), status: 400, want: []string{"+ Bundle.entry[0].resource"}},
		{name: "a URL of another server", line: "POST ", body: bundle("transaction", entry("PUT http://example.org/fhir/Patient/a", patient("a", ""))), status: 404, want: []string{"+ Bundle.entry[0].request.url"}},
		{name: "a URL that only begins as ours", line: "POST ", body: bundle("transaction", entry("PUT {base}Patient/a", patient("a", ""))), status: 404, want: []string{"+ Bundle.entry[0].request.url"}},
		{name: "a fullUrl of another id", line: "POST ", body: bundle("transaction", named("{base}/Patient/b", entry("PUT Patient/a", patient("a", "")))), status: 400, want: []string{"+ Bundle.entry[0].fullUrl"}},
		{name: "ifNoneExist on an update", line: "POST ", body: bundle("transaction", entry("PUT Patient/a", patient("a", ""), `"ifNoneExist":"identifier=urn:conformance|1"`)), status: 400, want: []string{"issue.expression = Bundle.entry[0].request.ifNoneExist"}},
		{name: "ifNoneMatch on an operation", line: "POST ", body: bundle("transaction", entry("GET Patient/a/$everything", "", `"ifNoneMatch":"*"`)), status: 400, want: []string{"issue.expression = Bundle.entry[0].request.ifNoneMatch"}},
		{name: "a resource in a deletion", line: "POST ", body: bundle("transaction", entry("DELETE Patient/a", patient("a", ""))), status: 400, want: []string{"issue.expression = Bundle.entry[0].resource"}},
		{name: "parameters in the body of a GET", line: "POST ", body: bundle("transaction", entry("GET Patient/a/$everything", emptyParameters)), status: 400, want: []string{"issue.expression = Bundle.entry[0].resource"}},
		{name: "a fullUrl that is relative", line: "POST ", body: bundle("transaction", named("Patient/b", entry("POST Patient", patient("", ""))), entry("PUT Condition/c", condition("c", "Patient/b", ""))), status: 400, want: []string{"issue.expression = Bundle.entry[0].fullUrl"}},
		{name: "a deletion of an id that is none", line: "POST ", body: bundle("transaction", entry("DELETE Patient/a_b", "")), status: 400, want: []string{"issue.expression = Bundle.entry[0].request.url"}},
		{name: "a patch of an id that is none", line: "POST ", body: bundle("transaction", entry("PATCH Patient/a_b", fhirPathPatch("male"))), status: 400, want: []string{"issue.expression = Bundle.entry[0].request.url"}},
		{name: "a write answered in XML", line: "POST ", body: bundle("transaction", entry("PUT Patient?identifier=urn:conformance|1&_format=xml", patient("", identified("1")))), status: 406, want: []string{"issue.expression = Bundle.entry[0].request.url"}},
		{name: "a POST without a resource", line: "POST ", body: bundle("transaction", entry("POST Patient", "")), status: 400, want: []string{"+ Bundle.entry[0].resource"}},
	},
	"if-none-exist is judged on the state before, so one Bundle cannot make two": {
		{name: "two entries with one condition", line: "POST ", body: bundle("transaction",
			entry("POST Patient", patient("", identified("1")), `"ifNoneExist":"identifier=urn:conformance|1"`),
			entry("POST Patient", patient("", identified("1")), `"ifNoneExist":"identifier=urn:conformance|1"`)), status: 400, want: []string{"issue.code = duplicate"}},
		{name: "none was made", line: "GET /Patient?_summary=count", status: 200, want: []string{"total = 0"}},
	},
}

func TestTransactions(t *testing.T) {
	for sentence, exchanges := range transactions {
		t.Run(sentence, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) { run(t, s, exchanges) })
		})
	}
}
