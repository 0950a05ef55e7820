package service

import (
	"strings"
	"testing"

	"aftercare/fhir"
)

// Entries that ask for what cannot be: a transaction is refused, and in a batch they fail
// alone.
func TestRequestsOfEntriesAreRefused(t *testing.T) {
	const patient = `{"resourceType":"Patient","id":"p"}`
	for name, c := range map[string]struct {
		entry string
		kind  fhir.ErrorKind
		place string
	}{
		"ifNoneExist on PUT":                  {entryOf("", patient, "PUT", "Patient/p", `,"ifNoneExist":"identifier=1"`), fhir.BadRequest, "request.ifNoneExist"},
		"ifNoneExist on PATCH":                {entryOf("", birth, "PATCH", "Patient/p", `,"ifNoneExist":"identifier=1"`), fhir.BadRequest, "request.ifNoneExist"},
		"ifNoneExist on DELETE":               {entryOf("", "", "DELETE", "Patient/p", `,"ifNoneExist":"identifier=1"`), fhir.BadRequest, "request.ifNoneExist"},
		"ifNoneExist on GET":                  {entryOf("", "", "GET", "Patient/p", `,"ifNoneExist":"identifier=1"`), fhir.BadRequest, "request.ifNoneExist"},
		"ifNoneExist on HEAD of a search":     {entryOf("", "", "HEAD", "Patient?_id=p", `,"ifNoneExist":"identifier=1"`), fhir.BadRequest, "request.ifNoneExist"},
		"ifNoneExist on GET of an operation":  {entryOf("", "", "GET", "Patient/p/$everything", `,"ifNoneExist":"identifier=1"`), fhir.BadRequest, "request.ifNoneExist"},
		"ifNoneExist on POST of an operation": {entryOf("", "", "POST", "Patient/p/$everything", `,"ifNoneExist":"identifier=1"`), fhir.BadRequest, "request.ifNoneExist"},
		"ifNoneMatch on GET of an operation":  {entryOf("", "", "GET", "Patient/p/$everything", `,"ifNoneMatch":"W/\"1\""`), fhir.BadRequest, "request.ifNoneMatch"},
		"ifNoneMatch on HEAD of an operation": {entryOf("", "", "HEAD", "$meta", `,"ifNoneMatch":"*"`), fhir.BadRequest, "request.ifNoneMatch"},
		"ifNoneMatch on POST of one":          {entryOf("", "", "POST", "$meta", `,"ifNoneMatch":"*"`), fhir.BadRequest, "request.ifNoneMatch"},
		"ifMatch on GET of an operation":      {entryOf("", "", "GET", "$meta", `,"ifMatch":"*"`), fhir.BadRequest, "request.ifMatch"},
		"ifModifiedSince on an operation":     {entryOf("", "", "GET", "$meta", `,"ifModifiedSince":"2026-01-01T00:00:00Z"`), fhir.BadRequest, "request.ifModifiedSince"},
		"a base without a slash":              {entryOf("", patient, "PUT", base+"Patient/p", ""), fhir.NotFound, "request.url"},
		"the fullUrl of another id":           {entryOf(base+"/Patient/q", patient, "PUT", "Patient/p", ""), fhir.BadRequest, "fullUrl"},
		"the fullUrl of another type":         {entryOf("https://old.example/Device/p", patient, "PUT", "Patient/p", ""), fhir.BadRequest, "fullUrl"},
		"the fullUrl of another id on POST":   {entryOf("https://old.example/Patient/q", patient, "POST", "Patient", ""), fhir.BadRequest, "fullUrl"},
		"the fullUrl of another id on PATCH":  {entryOf(base+"/Patient/q", birth, "PATCH", "Patient/p", ""), fhir.BadRequest, "fullUrl"},
		"the fullUrl of another id on DELETE": {entryOf(base+"/Patient/q", "", "DELETE", "Patient/p", ""), fhir.BadRequest, "fullUrl"},
		"a method that R4 does not have":      {entryOf("", "", "TRACE", "Patient/p", ""), fhir.BadRequest, "request.method"},
		"an empty entry":                      {`{}`, fhir.BadRequest, ""},
		"an entry that is a text":             {`"x"`, fhir.BadRequest, ""},
		"an entry with another member":        {`{"shoe":1,"request":{"method":"GET","url":"Patient"}}`, fhir.BadRequest, ""},
		"a time that is none":                 {entryOf("", "", "GET", "Patient/p", `,"ifModifiedSince":"yesterday"`), fhir.BadRequest, "request.ifModifiedSince"},
		"a read as XML":                       {entryOf("", "", "GET", "Patient/p?_format=xml", ""), fhir.NotAcceptable, "request.url"},
		"a vread as XML":                      {entryOf("", "", "GET", "Patient/p/_history/1?_format=application/fhir%2Bxml", ""), fhir.NotAcceptable, "request.url"},
		"a search as XML":                     {entryOf("", "", "GET", "Patient?_id=p&_format=xml", ""), fhir.NotAcceptable, "request.url"},
		"a history as XML":                    {entryOf("", "", "GET", "Patient/p/_history?_format=text/turtle", ""), fhir.NotAcceptable, "request.url"},
		"an operation as XML":                 {entryOf("", "", "GET", "Patient/p/$meta?_format=xml", ""), fhir.NotAcceptable, "request.url"},
		"an operation of another version":     {entryOf("", "", "GET", "Patient/p/$meta?_format=application/fhir%2Bjson%3BfhirVersion%3D5.0", ""), fhir.NotAcceptable, "request.url"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			_, err := s.Process(ctx, Anonymous, bundleOf("transaction", entryOf("", `{"resourceType":"Basic","code":{"text":"x"}}`, "POST", "Basic", ""), c.entry), "")
			refused(t, err, c.kind, strings.TrimSuffix("Bundle.entry[1]."+c.place, "."))
			r := s.process(t, bundleOf("batch", c.entry, entryOf("", `{"resourceType":"Basic","code":{"text":"x"}}`, "POST", "Basic", "")))
			if got, want := r.Entry[0].Response.Status, statusLine(c.kind.Status()); got != want || r.Entry[1].Response.Status != "201 Created" {
				t.Errorf("in a batch: %s and %s", got, r.Entry[1].Response.Status)
			}
			if place := strings.TrimSuffix("Bundle.entry[0]."+c.place, "."); !strings.Contains(string(r.Entry[0].Response.Outcome), place) {
				t.Errorf("%s does not name %s", r.Entry[0].Response.Outcome, place)
			}
			if got := s.census(t); len(got) != 1 || got["Basic"] != 1 {
				t.Errorf("stored %v", got)
			}
		})
	}
}

// What fits is taken.
func TestRequestsOfEntriesAreTaken(t *testing.T) {
	const patient = `{"resourceType":"Patient","id":"p"}`
	for name, entry := range map[string]string{
		"the fullUrl of the resource":           entryOf(base+"/Patient/p", patient, "PUT", "Patient/p", ""),
		"the fullUrl at another server":         entryOf("https://old.example/fhir/r4/Patient/p", patient, "PUT", "Patient/p", ""),
		"a fullUrl that is not of the REST API": entryOf("https://old.example/documents/q", patient, "PUT", "Patient/p", ""),
		"a fullUrl on POST without an id":       entryOf("https://old.example/Patient/q", `{"resourceType":"Patient"}`, "POST", "Patient", ""),
		"a urn":                                 entryOf(urnOne, patient, "PUT", "Patient/p", ""),
		"a conditional update with a fullUrl":   entryOf("https://old.example/Patient/q", `{"resourceType":"Patient"}`, "PUT", "Patient?identifier=1", ""),
		"a conditional patch":                   entryOf("https://old.example/Patient/q", birth, "PATCH", "Patient?identifier=9", ""),
		"a search as JSON":                      entryOf("", "", "GET", "Patient?_format=application/fhir%2Bjson", ""),
		"a search as json":                      entryOf("", "", "GET", "Patient?_format=json", ""),
	} {
		for _, kind := range []string{"batch", "transaction"} {
			t.Run(name+" in a "+kind, func(t *testing.T) {
				s := open(t)
				s.keep(t, `{"resourceType":"Patient","id":"other","identifier":[{"value":"9"}]}`)
				for _, e := range s.process(t, bundleOf(kind, entry)).Entry {
					if e.Response.Status[0] != '2' {
						t.Errorf("%s %s", e.Response.Status, e.Response.Outcome)
					}
				}
			})
		}
	}
}

// What is wrong with a batch as a whole fails it.
func TestABatchFailsAsAWhole(t *testing.T) {
	s := open(t)
	before := s.census(t)
	post := entryOf(urnOne, patientWith("1"), "POST", "Patient", "")
	for name, c := range map[string]struct{ body, place string }{
		"a fullUrl twice":                {string(bundleOf("batch", post, post)), "Bundle"},
		"a fullUrl twice, and an empty":  {string(bundleOf("batch", "{}", post, post)), "Bundle"},
		"an unknown member":              {strings.Replace(string(bundleOf("batch", post, "{}")), `{`, `{"shoe":1,`, 1), "Bundle"},
		"an entry in a list in the list": {string(bundleOf("batch", "["+post+"]")), "Bundle.entry[0]"},
		"entries in a list in the list":  {string(bundleOf("batch", "["+post+",{}]")), "Bundle.entry[0]"},
		"an entry without a list":        {`{"resourceType":"Bundle","type":"batch","entry":` + post + `}`, "Bundle.entry"},
		"many entries, and a member":     {strings.TrimSuffix(string(bundleOf("batch", post+strings.Repeat(",{}", 80))), `}`) + `,"shoe":1}`, "Bundle"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Process(ctx, Anonymous, []byte(c.body), "")
			refused(t, err, fhir.BadRequest, c.place)
			if got := s.census(t); len(got) != len(before) {
				t.Errorf("stored %v", got)
			}
		})
	}
	r := s.process(t, bundleOf("batch", strings.Repeat("{},", 80)+post))
	if len(r.Entry) != 81 || r.Entry[79].Response.Status != "400 Bad Request" || r.Entry[80].Response.Status != "201 Created" {
		t.Errorf("%d entries: %+v", len(r.Entry), r.Entry[len(r.Entry)-1].Response)
	}
}
