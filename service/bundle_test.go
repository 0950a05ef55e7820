package service

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
)

const (
	urnOne = "urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f7c01"
	urnTwo = "urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f7c02"
)

// bundleOf is a Bundle of the given type.
func bundleOf(kind string, entries ...string) []byte {
	return []byte(`{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`)
}

// entryOf is an entry; fullURL, resource and extra may be "".
func entryOf(fullURL, resource, method, url, extra string) string {
	e := `{`
	if fullURL != "" {
		e += `"fullUrl":"` + fullURL + `",`
	}
	if resource != "" {
		e += `"resource":` + resource + `,`
	}
	return e + `"request":{"method":"` + method + `","url":"` + url + `"` + extra + `}}`
}

func patientWith(value string) string {
	return `{"resourceType":"Patient","identifier":[{"system":"http://x.example","value":"` + value + `"}]}`
}

func about(reference string) string {
	return `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"` + reference + `"}}`
}

// subjects are the subjects of all Observations.
func (s *Service) subjects(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, body := range s.find(t, "Observation", "") {
		n, err := fhir.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n.Str("subject", "reference"))
	}
	return out
}

func TestConditionalReferenceMayMeanAnEntryOfTheSameTransaction(t *testing.T) {
	patient := entryOf(urnOne, patientWith("1"), "POST", "Patient", `,"ifNoneExist":"identifier=http://x.example|1"`)
	observation := entryOf(urnTwo, about("Patient?identifier=http://x.example|1"), "POST", "Observation", "")
	for name, entries := range map[string][]string{"target first": {patient, observation}, "target last": {observation, patient}} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			for range 2 {
				s.process(t, bundleOf("transaction", entries...))
			}
			found, err := fhir.Parse(s.find(t, "Patient", "identifier=http://x.example|1")[0])
			if err != nil {
				t.Fatal(err)
			}
			ref := "Patient/" + found.Str("id")
			if got := s.subjects(t); !slices.Equal(got, []string{ref, ref}) {
				t.Errorf("subjects are %q, want %s twice", got, ref)
			}
		})
	}
	t.Run("none meets it", func(t *testing.T) {
		s := open(t)
		_, err := s.Process(ctx, Anonymous, bundleOf("transaction",
			entryOf(urnOne, patientWith("1"), "POST", "Patient", ""), entryOf(urnTwo, about("Patient?identifier=2"), "POST", "Observation", "")), "")
		refused(t, err, fhir.PreconditionFailed, "Bundle.entry[1].resource.subject.reference")
		if got := len(s.find(t, "Patient", "")); got != 0 {
			t.Errorf("%d patients were stored", got)
		}
	})
	t.Run("two meet it", func(t *testing.T) {
		_, err := open(t).Process(ctx, Anonymous, bundleOf("transaction",
			entryOf(urnOne, patientWith("1"), "POST", "Patient", ""), entryOf("", patientWith("1"), "POST", "Patient", ""),
			entryOf(urnTwo, about("Patient?identifier=1"), "POST", "Observation", "")), "")
		refused(t, err, fhir.PreconditionFailed, "Bundle.entry[2].resource.subject.reference")
	})
}

// A relative reference in a Bundle means the entry under the same root.
func TestRelativeReferencesBetweenEntries(t *testing.T) {
	for _, root := range []string{"https://old.example/fhir", "http://base.example/fhir"} {
		s := open(t)
		s.process(t, bundleOf("transaction",
			entryOf(root+"/Observation/1", about("Patient/77"), "POST", "Observation", ""),
			entryOf(root+"/Patient/77", `{"resourceType":"Patient","id":"77"}`, "POST", "Patient", ""),
			entryOf(urnOne, about("Patient/77"), "POST", "Observation", ""),
			entryOf("https://other.example/fhir/Observation/2", about("Patient/77"), "POST", "Observation", "")))
		n, err := fhir.Parse(s.find(t, "Patient", "")[0])
		if err != nil {
			t.Fatal(err)
		}
		got := s.subjects(t)
		slices.Sort(got)
		want := []string{"Patient/77", "Patient/77", "Patient/" + n.Str("id")}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("subjects are %q, want %q", got, want)
		}
	}
}

// A reference to a version means the entry that claims to be that version.
func TestReferencesToVersionsOfEntries(t *testing.T) {
	const old = "https://old.example/fhir/"
	versioned := func(resource string) string {
		return strings.Replace(resource, `{`, `{"meta":{"versionId":"7"},`, 1)
	}
	for name, c := range map[string]struct {
		fullURL, patient, method, url, extra string
		from, reference                      string // the entry that refers to it
		want                                 string // with "new" for the id of the new patient; "" for a refusal
	}{
		"absolute":                       {old + "Patient/77", versioned(patientWith("1")), "POST", "Patient", "", urnTwo, old + "Patient/77/_history/7", "Patient/new/_history/1"},
		"relative":                       {old + "Patient/77", versioned(patientWith("1")), "POST", "Patient", "", old + "Observation/1", "Patient/77/_history/7", "Patient/new/_history/1"},
		"relative, under another root":   {old + "Patient/77", versioned(patientWith("1")), "POST", "Patient", "", "https://other.example/fhir/Observation/1", "Patient/77/_history/7", "Patient/77/_history/7"},
		"of a urn":                       {urnOne, versioned(patientWith("1")), "POST", "Patient", "", urnTwo, urnOne + "/_history/7", "Patient/new/_history/1"},
		"an older version":               {old + "Patient/77", versioned(patientWith("1")), "POST", "Patient", "", urnTwo, old + "Patient/77/_history/6", old + "Patient/77/_history/6"},
		"an older version of a urn":      {urnOne, versioned(patientWith("1")), "POST", "Patient", "", urnTwo, urnOne + "/_history/6", ""},
		"no version in the entry":        {old + "Patient/77", patientWith("1"), "POST", "Patient", "", urnTwo, old + "Patient/77/_history/7", old + "Patient/77/_history/7"},
		"no version in the entry of urn": {urnOne, patientWith("1"), "POST", "Patient", "", urnTwo, urnOne + "/_history/7", ""},
		"found by a condition":           {old + "Patient/77", versioned(patientWith("9")), "POST", "Patient", `,"ifNoneExist":"identifier=9"`, urnTwo, old + "Patient/77/_history/7", "Patient/there/_history/2"},
		"not found by a condition":       {old + "Patient/77", versioned(patientWith("8")), "POST", "Patient", `,"ifNoneExist":"identifier=8"`, urnTwo, old + "Patient/77/_history/7", "Patient/new/_history/1"},
		"updated": {old + "Patient/there", strings.Replace(versioned(patientWith("9")), `{`, `{"id":"there",`, 1), "PUT", "Patient/there", "", urnTwo, old + "Patient/there/_history/7",
			old + "Patient/there/_history/7"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.keep(t, `{"resourceType":"Patient","id":"there"}`, strings.Replace(patientWith("9"), `{`, `{"id":"there",`, 1))
			body := bundleOf("transaction", entryOf(c.from, about(c.reference), "POST", "Observation", ""), entryOf(c.fullURL, c.patient, c.method, c.url, c.extra))
			if c.want == "" {
				_, err := s.Process(ctx, Anonymous, body, "")
				refused(t, err, fhir.BadRequest, "Bundle.entry[0].resource.subject.reference")
				return
			}
			made := strings.Split(s.process(t, body).Entry[1].Response.Location, "/")
			want := strings.Replace(c.want, "new", made[len(made)-3], 1)
			if got := s.subjects(t); !slices.Equal(got, []string{want}) {
				t.Errorf("the subject is %q, want %q", got, want)
			}
		})
	}
}

func TestABatchEntryFailsAlone(t *testing.T) {
	var broken strings.Builder // more issues than are listed
	for i := range 60 {
		fmt.Fprintf(&broken, `,"a%d":1`, i)
	}
	const patient = `{"resourceType":"Patient"}`
	for name, c := range map[string]struct{ entry, status string }{
		"unknown type":       {entryOf("", "", "GET", "Slot/1", ""), "404"},
		"no resource":        {entryOf("", "", "POST", "Patient", ""), "400"},
		"HEAD":               {entryOf("", "", "HEAD", "Patient/1", ""), "404"},
		"PUT without id":     {entryOf("", patient, "PUT", "Patient", ""), "400"},
		"many issues":        {entryOf("", `{"resourceType":"Patient"`+broken.String()+`}`, "POST", "Patient", ""), "400"},
		"resource is a text": {entryOf("", `"x"`, "POST", "Patient", ""), "400"},
		"nothing as the id":  {entryOf("", "", "GET", "Patient/", ""), "400"},
		"no version":         {entryOf("", "", "GET", "Patient/1/_history/", ""), "400"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			body, err := s.Process(ctx, Anonymous, bundleOf("batch", c.entry, entryOf("", patient, "POST", "Patient", "")), "")
			if err != nil {
				t.Fatal(err)
			}
			var b struct {
				Entry []struct{ Response struct{ Status string } }
			}
			if err := json.Unmarshal(body, &b); err != nil {
				t.Fatal(err)
			}
			if len(b.Entry) != 2 || !strings.HasPrefix(b.Entry[0].Response.Status, c.status) || !strings.HasPrefix(b.Entry[1].Response.Status, "201") {
				t.Errorf("got %s", body)
			}
		})
	}
}

func TestConditionsOfABundleAreKept(t *testing.T) {
	const a = `{"resourceType":"Patient","id":"a","active":true}`
	s := open(t)
	s.process(t, bundleOf("transaction", entryOf("", a, "PUT", "Patient/a", "")))
	for name, c := range map[string]struct {
		entries []string
		place   string
		kind    fhir.ErrorKind
	}{
		"ifNoneMatch of a write": {[]string{entryOf("", `{"resourceType":"Patient","id":"a","active":false}`, "PUT", "Patient/a", `,"ifNoneMatch":"*"`)},
			"Bundle.entry[0]", fhir.PreconditionFailed},
		"one identity by two conditions": {[]string{
			entryOf(urnOne, patientWith("1"), "POST", "Patient", `,"ifNoneExist":"identifier=http://x.example|1"`),
			entryOf(urnTwo, patientWith("1"), "POST", "Patient", `,"ifNoneExist":"identifier=1"`)},
			"Bundle.entry[0]", fhir.PreconditionFailed},
		"unknown parameter in ifNoneExist": {[]string{entryOf("", patientWith("1"), "POST", "Patient", `,"ifNoneExist":"shoe=1"`)},
			"Bundle.entry[0].request.ifNoneExist", fhir.BadRequest},
		"unknown parameter in a reference": {[]string{entryOf("", about("Patient?shoe=1"), "POST", "Observation", "")},
			"Bundle.entry[0].resource.subject.reference", fhir.BadRequest},
		"unknown parameter in a search": {[]string{entryOf("", "", "GET", "Patient?shoe=1", "")},
			"Bundle.entry[0].request.url", fhir.BadRequest},
		"entry is an object": {[]string{`null`}, "Bundle.entry[0]", fhir.BadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Process(ctx, Anonymous, bundleOf("transaction", c.entries...), "")
			refused(t, err, c.kind, c.place)
		})
	}
	if got := s.find(t, "Patient", ""); len(got) != 1 || !strings.Contains(string(got[0]), `"versionId":"1"`) {
		t.Errorf("patients are now %s", got)
	}
}

// Deletes come first, so a condition that was ambiguous before may not be after.
func TestADeleteMayMakeAConditionExact(t *testing.T) {
	s := open(t)
	for _, id := range []string{"a", "b"} {
		s.process(t, bundleOf("transaction", entryOf("", strings.Replace(patientWith("1"), `{`, `{"id":"`+id+`",`, 1), "PUT", "Patient/"+id, "")))
	}
	s.process(t, bundleOf("transaction", entryOf("", about("Patient?identifier=1"), "POST", "Observation", ""), entryOf("", "", "DELETE", "Patient/a", "")))
	if got := s.subjects(t); !slices.Equal(got, []string{"Patient/b"}) {
		t.Errorf("subjects are %q", got)
	}
}

func TestAWrongTypeIsPlaced(t *testing.T) {
	s := open(t)
	for body, place := range map[string]string{
		`{"active":true}`: "Patient.resourceType", `{"resourceType":5}`: "Patient.resourceType",
		`{"resourceType":"Device"}`: "Patient.resourceType", `[]`: "Patient",
	} {
		_, err := s.Create(ctx, Anonymous, "Patient", []byte(body), "")
		refused(t, err, fhir.BadRequest, place)
	}
}

// The time that narratives take must not grow by the square of the entries.
func TestManyNarratives(t *testing.T) {
	entries := make([]string, 3000)
	for i := range entries {
		entries[i] = entryOf(fmt.Sprintf("urn:uuid:%08x-0000-4000-8000-000000000000", i),
			`{"resourceType":"Basic","code":{"text":"x"},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href = 'urn:uuid:00000000-0000-4000-8000-000000000000'>x</a>`+
				strings.Repeat("word ", 100)+`</div>"}}`, "POST", "Basic", "")
	}
	s := open(t)
	s.process(t, bundleOf("transaction", entries...))
	if got := string(s.find(t, "Basic", "")[0]); !strings.Contains(got, `<a href = 'Basic/`) {
		t.Errorf("the link was not rewritten: %s", got)
	}
}
