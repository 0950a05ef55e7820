package subset

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/fhir/validate"
)

var newValidator = sync.OnceValues(func() (*validate.Validator, error) {
	return validate.New(validate.WithReferenceTypes(false))
})

func validator(t testing.TB) *validate.Validator {
	t.Helper()
	v, err := newValidator()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// ask reads a query string.
func ask(t testing.TB, typ, query string) (Subset, []search.Pair, error) {
	t.Helper()
	pairs, err := search.ParsePairs(query)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(validator(t), []string{typ}, pairs)
}

func TestParse(t *testing.T) {
	for query, others := range map[string]string{
		"":                                      "",
		"name=x&_count=0":                       "name _count",
		"_summary=true":                         "",
		"_summary=text&name=x":                  "name",
		"_summary=false":                        "_summary",
		"_summary=count":                        "_summary",
		"_elements=name":                        "",
		"_elements=id,meta,extension,contained": "",
		"_elements=name,%20birthDate":           "",
		"_elements=Patient.name":                "",
		"_elements=deceased,multipleBirthInteger": "",
		"_elements=name&_summary=false":           "_summary",
	} {
		s, left, err := ask(t, "Patient", query)
		var names []string
		for _, p := range left {
			names = append(names, p.Name)
		}
		if err != nil || strings.Join(names, " ") != others {
			t.Errorf("%s: others are %q, %v", query, names, err)
		}
		if whole := !strings.Contains(query, "_elements") && !strings.Contains(query, "true") && !strings.Contains(query, "text"); s.Whole() != whole || (len(s.Applied) == 0) != whole {
			t.Errorf("%s: whole is %v, applied %v", query, s.Whole(), s.Applied)
		}
	}
	for name, query := range map[string]string{
		"unknown summary":         "_summary=most",
		"summary in capitals":     "_summary=True",
		"empty summary":           "_summary=",
		"empty elements":          "_elements=",
		"empty name":              "_elements=name,",
		"unknown element":         "_elements=shoe",
		"part of an element":      "_elements=name.family",
		"another type":            "_elements=Observation.code",
		"choice with brackets":    "_elements=deceased[x]",
		"summary twice":           "_summary=true&_summary=true",
		"false, then true":        "_summary=false&_summary=true",
		"elements twice":          "_elements=name&_elements=id",
		"both":                    "_elements=name&_summary=true",
		"both, the other way":     "_summary=data&_elements=name",
		"elements and a count":    "_summary=count&_elements=name",
		"a value that is unusual": "_elements=%00",
	} {
		if pairs, err := search.ParsePairs(query); err == nil {
			if _, _, err := Parse(validator(t), []string{"Patient"}, pairs); err == nil || fhir.KindOf(err) != fhir.BadRequest {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

const (
	head = `"id":"1","meta":{"versionId":"3","lastUpdated":"2026-03-02T09:30:00.000000Z"`
	tags = `"tag":[` + tag + `]`
)

func TestOf(t *testing.T) {
	const (
		patient = `{"resourceType":"Patient",` + head + `},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},` +
			`"extension":[{"url":"http://x.example","valueDecimal":1.50}],"modifierExtension":[{"url":"http://m.example","valueCode":"n"}],` +
			`"active":true,"name":[{"id":"n1","family":"L\u00f3pez","_family":{"extension":[{"url":"http://f.example","valueString":"x"}]}}],` +
			`"birthDate":"1815","_birthDate":{"id":"b"},"deceasedBoolean":false,"maritalStatus":{"text":"m"},"contact":[{"name":{"text":"c"}}],` +
			`"link":[{"other":{"reference":"Patient/2"},"type":"seealso"}]}`
		always = `"modifierExtension":[{"url":"http://m.example","valueCode":"n"}],"active":true,`
		ends   = `"deceasedBoolean":false,"link":[{"other":{"reference":"Patient/2"},"type":"seealso"}]}`
		name   = `"name":[{"id":"n1","family":"L\u00f3pez","_family":{"extension":[{"url":"http://f.example","valueString":"x"}]}}],`

		document = `{"resourceType":"DocumentReference",` + head + `},"status":"current","content":[{"id":"c","attachment":{"contentType":"text/plain","data":"YQ==","title":"t"},"format":{"code":"f"}},{"attachment":{"data":"YQ=="}}]}`

		contained = `{"resourceType":"Observation",` + head + `},"contained":[{"resourceType":"Patient","id":"p","managingOrganization":{"reference":"#o"}},{"resourceType":"Device","id":"d"},` +
			`{"resourceType":"Organization","id":"o","name":"O"}],"status":"final","code":{"text":"c"},"subject":{"reference":"\u0023p"},"device":{"reference":"#d"}}`
	)
	for name, c := range map[string]struct{ query, in, want string }{
		"summary": {"_summary=true", patient,
			`{"resourceType":"Patient",` + head + `,` + tags + `},` + always + name + `"birthDate":"1815","_birthDate":{"id":"b"},` + ends},
		"text": {"_summary=text", patient,
			`{"resourceType":"Patient",` + head + `,` + tags + `},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},` + always + ends},
		"data": {"_summary=data", patient,
			strings.Replace(patient[:strings.Index(patient, `"text"`)]+patient[strings.Index(patient, `"extension"`):], head+`}`, head+`,`+tags+`}`, 1)},
		"whole": {"_summary=false", patient, patient},
		"one element, with its partner": {"_elements=birthDate", patient,
			`{"resourceType":"Patient",` + head + `,` + tags + `},` + always + `"birthDate":"1815","_birthDate":{"id":"b"},` + ends},
		"a choice by its name, and an extension": {"_elements=deceased,extension", patient,
			`{"resourceType":"Patient",` + head + `,` + tags + `},"extension":[{"url":"http://x.example","valueDecimal":1.50}],` + always + ends},
		"a choice by its member, with its partner": {"_elements=multipleBirthInteger", `{"resourceType":"Patient","id":"1","meta":{},"multipleBirthInteger":2,"_multipleBirthInteger":{"id":"m"},"gender":"male"}`,
			`{"resourceType":"Patient","id":"1","meta":{` + tags + `},"multipleBirthInteger":2,"_multipleBirthInteger":{"id":"m"}}`},
		"an element that is absent": {"_elements=photo", patient,
			`{"resourceType":"Patient",` + head + `,` + tags + `},` + always + ends},
		"inner elements outside of the summary are left out, but never all": {"_summary=true", document,
			`{"resourceType":"DocumentReference",` + head + `,` + tags + `},"status":"current","content":[{"id":"c","attachment":{"contentType":"text/plain","title":"t"},"format":{"code":"f"}},{"attachment":{"data":"YQ=="}}]}`},
		"an element that is asked for by name is whole": {"_elements=content", document,
			strings.Replace(document, head, head+`,`+tags, 1)},
		"contained resources stay where they are referred to": {"_summary=true", contained,
			`{"resourceType":"Observation",` + head + `,` + tags + `},"status":"final","code":{"text":"c"},"subject":{"reference":"\u0023p"},"contained":[{"resourceType":"Patient","id":"p","managingOrganization":{"reference":"#o"}},{"resourceType":"Organization","id":"o","name":"O"}]}`},
		"contained resources go with what refers to them": {"_elements=status", contained,
			`{"resourceType":"Observation",` + head + `,` + tags + `},"status":"final","code":{"text":"c"}}`},
		"contained resources that are asked for": {"_elements=contained", contained,
			strings.NewReplacer(head, head+`,`+tags, `,"subject":{"reference":"\u0023p"},"device":{"reference":"#d"}`, ``).Replace(contained)},
		"other tags stay": {"_elements=name", `{"resourceType":"Patient","id":"1","meta":{"tag":[{"code":"x"}],"source":"urn:x"}}`,
			`{"resourceType":"Patient","id":"1","meta":{"tag":[{"code":"x"},` + tag + `],"source":"urn:x"}}`},
		"the tag stands once": {"_elements=name", `{"resourceType":"Patient","id":"1","meta":{"tag":[{"system":"` + tagSystem + `","code":"SUBSETTED"}]}}`,
			`{"resourceType":"Patient","id":"1","meta":{"tag":[{"system":"` + tagSystem + `","code":"SUBSETTED"}]}}`},
		"the same code of another system is another tag": {"_elements=name", `{"resourceType":"Patient","id":"1","meta":{"tag":[{"system":"urn:x","code":"SUBSETTED"}]}}`,
			`{"resourceType":"Patient","id":"1","meta":{"tag":[{"system":"urn:x","code":"SUBSETTED"},` + tag + `]}}`},
		"meta is made where there is none": {"_elements=name", `{"resourceType":"Patient","id":"1","gender":"male"}`,
			`{"resourceType":"Patient","id":"1","meta":{` + tags + `}}`},
		"mandatory elements are never left out": {"_elements=note", `{"resourceType":"Observation","id":"1","meta":{},"_status":{"extension":[{"url":"http://x.example","valueCode":"unknown"}]},"code":{"extension":[{"url":"http://x.example","valueCode":"masked"}]},"method":{"text":"m"}}`,
			`{"resourceType":"Observation","id":"1","meta":{` + tags + `},"_status":{"extension":[{"url":"http://x.example","valueCode":"unknown"}]},"code":{"extension":[{"url":"http://x.example","valueCode":"masked"}]}}`},
		"a value that is absent for a reason keeps the reason": {"_summary=true", `{"resourceType":"Observation","id":"1","meta":{},"status":"final","code":{"text":"c"},"subject":{"extension":[{"url":"http://x.example","valueCode":"masked"}]}}`,
			`{"resourceType":"Observation","id":"1","meta":{` + tags + `},"status":"final","code":{"text":"c"},"subject":{"extension":[{"url":"http://x.example","valueCode":"masked"}]}}`},
		"inner modifiers are whole": {"_summary=true", `{"resourceType":"Observation","id":"1","meta":{},"status":"final","code":{"text":"c"},"component":[{"modifierExtension":[{"url":"http://m.example","valueCode":"n"}],"code":{"text":"c"},"interpretation":[{"text":"i"}]}]}`,
			`{"resourceType":"Observation","id":"1","meta":{` + tags + `},"status":"final","code":{"text":"c"},"component":[{"modifierExtension":[{"url":"http://m.example","valueCode":"n"}],"code":{"text":"c"}}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			typ := c.in[strings.Index(c.in, `:"`)+2:]
			s, _, err := ask(t, typ[:strings.IndexByte(typ, '"')], c.query)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Of([]byte(c.in))
			if err != nil || string(got) != c.want {
				t.Errorf("got  %s %v\nwant %s", got, err, c.want)
			}
		})
	}
}

// resources are those of the test data, and the official examples where they lie beside
// the project; by name.
func resources(t testing.TB) map[string]*fhir.Node {
	t.Helper()
	root := os.Getenv("AFTERCARE_SHARED")
	if root == "" {
		root = "../../../shared"
	}
	found := map[string]*fhir.Node{}
	for _, folder := range []string{"../../testdata", "../../definitions", "../validate/testdata/valid", filepath.Join(root, "examples", "hl7-r4")} {
		_ = filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".json" {
				return nil
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			n, err := fhir.Parse(data)
			if err != nil {
				return nil // not a resource
			}
			found[filepath.Base(path)] = n
			for _, e := range n.Each("entry", "resource") {
				found[filepath.Base(path)+" "+e.Str("resourceType")+"/"+e.Str("id")] = e
			}
			return nil
		})
	}
	if len(found) < 20 {
		t.Fatalf("%d resources", len(found))
	}
	return found
}

// Whatever is asked for, a valid resource stays valid, says that it is not whole, and has
// nothing that was not there.
func TestSubsetsAreValid(t *testing.T) {
	v := validator(t)
	checked := 0
	for name, n := range resources(t) {
		typ := n.Str("resourceType")
		if _, served := fhir.Served(typ); !served || len(v.Resource(n, "")) > 0 {
			continue
		}
		checked++
		for _, query := range []string{"_summary=true", "_summary=text", "_summary=data", "_elements=id", "_elements=contained", "_elements=extension"} {
			s, _, err := ask(t, typ, query)
			if err != nil {
				if strings.HasPrefix(query, "_elements") {
					continue // Binary has neither
				}
				t.Fatal(err)
			}
			got, err := s.Of(n.Raw)
			if err != nil {
				t.Errorf("%s?%s: %v", name, query, err)
				continue
			}
			part, err := fhir.Parse(got)
			if err != nil {
				t.Fatalf("%s?%s: %v in %s", name, query, err, got)
			}
			for _, i := range v.Resource(part, "") {
				// A rule such as "a name or an identifier" can ask for what was left out.
				if i.Code == "invariant" && query != "_summary=data" && query != "_summary=true" && !strings.HasPrefix(i.Text, "ref-1") {
					continue
				}
				// R4 leaves snapshot and differential out of the summary of a StructureDefinition, and has a
				// rule that asks for either.
				if query == "_summary=true" && typ == "StructureDefinition" && strings.HasPrefix(i.Text, "sdf-6") {
					continue
				}
				t.Errorf("%s?%s: %s %s", name, query, i.Expression, i.Text)
			}
			if bytes.Count(got, []byte(`"SUBSETTED"`)) != 1 || part.Str("id") != n.Str("id") {
				t.Errorf("%s?%s: %.200s", name, query, got)
			}
			for _, m := range part.Members {
				was := n.Get(m.Name)
				if query != "_summary=true" && m.Name != "meta" && m.Name != "contained" && (was == nil || !bytes.Equal(was.Raw, m.Value.Raw)) {
					t.Errorf("%s?%s: %s is not what it was", name, query, m.Name)
				}
			}
			if hasText, want := part.Get("text") != nil, query == "_summary=text" && n.Get("text") != nil; hasText != want {
				t.Errorf("%s?%s: text is there: %v", name, query, hasText)
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d resources were checked", checked)
	}
	t.Logf("%d resources", checked)
}

func FuzzOf(f *testing.F) {
	for name, n := range resources(f) {
		if !strings.HasPrefix(name, "Bundle") {
			f.Add(n.Raw, "_summary=true")
			f.Add(n.Raw, "_elements=id,contained")
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, query string) {
		n, err := fhir.Parse(body)
		pairs, errPairs := search.ParsePairs(query)
		if err != nil || errPairs != nil || len(validator(t).Resource(n, "")) > 0 {
			return
		}
		s, _, err := Parse(validator(t), []string{n.Str("resourceType")}, pairs)
		if err != nil {
			return
		}
		got, err := s.Of(body)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fhir.Parse(got); err != nil {
			t.Errorf("%v in %s", err, got)
		}
	})
}

func BenchmarkOf(b *testing.B) {
	data, err := os.ReadFile("../validate/testdata/valid/careplan.json")
	if err != nil {
		b.Fatal(err)
	}
	s, _, err := ask(b, "CarePlan", "_summary=true")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Of(data); err != nil {
			b.Fatal(err)
		}
	}
}
