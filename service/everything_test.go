package service

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"

	"pgregory.net/rapid"
)

// Every parameter that a record is found by has to be switched on, or $everything fails.
func TestRecordIsFoundByParametersThatAreSwitchedOn(t *testing.T) {
	s := open(t)
	types, err := record()
	if err != nil {
		t.Fatal(err)
	}
	if len(types) < 30 {
		t.Errorf("only %d types", len(types))
	}
	for _, typ := range types {
		if typ.name == "Patient" {
			t.Error("another patient would be a part of the record")
		}
		for _, code := range append(slices.Clone(typ.members), typ.begin, typ.end) {
			if _, ok := s.registry.Lookup(typ.name, code); !ok && code != "" {
				t.Errorf("%s.%s is not switched on", typ.name, code)
			}
		}
	}
	for typ, want := range map[string][]string{"Device": {"patient"}, "Task": {"patient"}, "Observation": {"subject", "performer"}} {
		i := slices.IndexFunc(types, func(r recordType) bool { return r.name == typ })
		if i < 0 || !slices.Equal(types[i].members, want) {
			t.Errorf("%s is not found by %v", typ, want)
		}
	}
}

func TestRecordDataIsRefused(t *testing.T) {
	for name, additions := range map[string]string{
		"unknown word":       "owner Device patient",
		"type not served":    "member Claim patient",
		"member of nothing":  "member Device",
		"time of no member":  "time Location date",
		"three times":        "time Observation a b c",
		"shared with a code": "shared Observation subject",
		"no type":            "shared",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := readRecord("Observation subject", additions); err == nil {
				t.Errorf("accepted: %+v", got)
			}
		})
	}
}

const observation = `{"resourceType":"Observation","id":"%s","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/%s"}%s}`

func obs(id, patient, more string) string { return fmt.Sprintf(observation, id, patient, more) }

// family is a record with one of each difficulty: p is the patient, q is somebody else.
func family(t testing.TB) *Service {
	s := open(t)
	s.keep(t,
		`{"resourceType":"Organization","id":"clinic","name":"clinic","partOf":{"reference":"Organization/trust"}}`,
		`{"resourceType":"Organization","id":"trust","name":"trust"}`,
		`{"resourceType":"Organization","id":"unrelated","name":"unrelated"}`,
		`{"resourceType":"Practitioner","id":"surgeon"}`,
		`{"resourceType":"Device","id":"software"}`,
		`{"resourceType":"Patient","id":"p","managingOrganization":{"reference":"Organization/clinic"},"link":[{"other":{"reference":"Patient/q"},"type":"seealso"}]}`,
		`{"resourceType":"Patient","id":"q","link":[{"other":{"reference":"Patient/p"},"type":"seealso"}]}`,
		`{"resourceType":"Device","id":"anchor","patient":{"reference":"Patient/p"}}`,
		`{"resourceType":"Device","id":"anchor-of-q","patient":{"reference":"Patient/q"}}`,
		`{"resourceType":"Task","id":"staples","status":"requested","intent":"order","for":{"reference":"Patient/p"},"requester":{"reference":"Device/software"},"owner":{"reference":"Practitioner/surgeon"}}`,
		`{"resourceType":"Task","id":"task-of-q","status":"requested","intent":"order","for":{"reference":"Patient/q"}}`,
		obs("mine", "p", `,"performer":[{"reference":"Patient/p"},{"reference":"Practitioner/surgeon"}],"device":{"reference":"Device/anchor-of-q"}`),
		obs("of-q", "q", ""),
		obs("of-q-by-p", "q", `,"performer":[{"reference":"Patient/p"}]`),
		`{"resourceType":"Binary","id":"scan","contentType":"text/plain","securityContext":{"reference":"Patient/p"}}`,
		`{"resourceType":"Binary","id":"scan-of-q","contentType":"text/plain","securityContext":{"reference":"Observation/of-q"}}`,
		`{"resourceType":"Binary","id":"leaflet","contentType":"text/plain"}`,
		`{"resourceType":"DocumentReference","id":"letter","status":"current","subject":{"reference":"Patient/p"},"content":[{"attachment":{"url":"Binary/scan"}},{"attachment":{"url":"`+base+`/Binary/scan-of-q"}},{"attachment":{"url":"Binary/leaflet"}},{"attachment":{"url":"Organization/unrelated"}},{"attachment":{"url":"https://y.example/Binary/leaflet"}}]}`,
		`{"resourceType":"Appointment","id":"alone","status":"proposed","participant":[{"actor":{"reference":"Patient/p"},"status":"accepted"}]}`,
		`{"resourceType":"Appointment","id":"together","status":"proposed","participant":[{"actor":{"reference":"Patient/p"},"status":"accepted"},{"actor":{"reference":"Patient/q"},"status":"accepted"}]}`,
		`{"resourceType":"Group","id":"study","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/p"}},{"entity":{"reference":"Patient/q"}}]}`,
	)
	return s
}

func TestEverythingIsTheRecordAndNobodyElses(t *testing.T) {
	s := family(t)
	want := []string{"Patient/p",
		"Appointment/alone", "Device/anchor", "DocumentReference/letter", "Observation/mine", "Task/staples",
		"Binary/leaflet", "Binary/scan", "Device/software", "Organization/clinic", "Practitioner/surgeon", "OperationOutcome"}
	bundle := s.ask(t, "Patient/p/$everything", "")
	if got := refs(bundle); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	entries := bundle.Each("entry")
	for i, e := range entries {
		mode := "match"
		if i > 5 {
			mode = "include"
		}
		if i == len(entries)-1 {
			mode = "outcome"
			if code := e.Each("resource", "issue", "code")[0].Text; code != "suppressed" {
				t.Errorf("outcome of code %s", code)
			}
		}
		if got := e.Str("search", "mode"); got != mode {
			t.Errorf("entry %d has mode %s, want %s", i, got, mode)
		}
	}
	if strings.Contains(string(bundle.Raw), `"id":"q"`) {
		t.Error("the other patient is there")
	}
	if got := refs(s.ask(t, "Patient/p/$everything", `{"resourceType":"Parameters","parameter":[{"name":"_type","valueCode":"Observation"},{"name":"_type","valueCode":"Practitioner,Task"},{"name":"_count","valueInteger":7}]}`)); !slices.Equal(got, []string{"Observation/mine", "Task/staples", "Practitioner/surgeon", "OperationOutcome"}) {
		t.Errorf("by POST: %v", got)
	}
	if got := refs(s.ask(t, "Patient/p/$everything?_type=Organization", "")); !slices.Equal(got, []string{"Organization/clinic"}) {
		t.Errorf("only support: %v", got)
	}
}

func TestEverythingInPagesIsTheSame(t *testing.T) {
	s := family(t)
	whole := s.pages(t, "Patient/p/$everything")
	if len(whole) != 1 {
		t.Fatalf("%d pages", len(whole))
	}
	resources := func(page []string) []string {
		return slices.DeleteFunc(slices.Clone(page), func(ref string) bool { return ref == "OperationOutcome" })
	}
	all := resources(whole[0])
	for count := 1; count <= len(all)+1; count++ {
		var got []string
		for i, page := range s.pages(t, fmt.Sprintf("Patient/p/$everything?_count=%d", count)) {
			if n := len(resources(page)); n > count || n == 0 && i > 0 && count > 1 {
				t.Errorf("_count=%d: %d on page %d", count, n, i)
			}
			got = append(got, resources(page)...)
		}
		if !slices.Equal(got, all) {
			t.Errorf("_count=%d: %v", count, got)
		}
	}
}

func TestEverythingCursorBelongsToItsQuestion(t *testing.T) {
	s := family(t)
	next := nextLink(s.ask(t, "Patient/p/$everything?_count=2&_type=Patient,Observation,Task", ""))
	if next == "" {
		t.Fatal("no next page")
	}
	s.ask(t, next, "")
	s.ask(t, strings.Replace(next, "_count=2", "_count=3", 1), "") // another page size is the same question
	for name, changed := range map[string]string{
		"another patient": strings.Replace(next, "Patient/p/", "Patient/q/", 1),
		"another type":    strings.Replace(next, "Task", "Goal", 1),
		"another time":    next + "&start=2026-01-01",
		"since":           next + "&_since=2026-01-01T00:00:00Z",
		"a changed end":   next[:len(next)-1] + map[bool]string{true: "B", false: "A"}[next[len(next)-1] == 'A'],
	} {
		if _, err := s.Operate(ctx, Anonymous, called(t, changed, "")); fhir.KindOf(err) != fhir.BadRequest || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEverythingOfATime(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`,
		obs("jan", "p", `,"effectiveDateTime":"2026-01-15"`),
		obs("feb", "p", `,"effectiveDateTime":"2026-02-15T08:00:00Z"`),
		obs("jan-to-mar", "p", `,"effectivePeriod":{"start":"2026-01-20","end":"2026-03-20"}`),
		obs("from-feb", "p", `,"effectivePeriod":{"start":"2026-02-20"}`),
		obs("undated", "p", ""),
		`{"resourceType":"AllergyIntolerance","id":"old","patient":{"reference":"Patient/p"},"recordedDate":"1990-01-01","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]}}`,
		`{"resourceType":"Condition","id":"chronic","subject":{"reference":"Patient/p"},"onsetDateTime":"1990","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]}}`,
		`{"resourceType":"Condition","id":"healed","subject":{"reference":"Patient/p"},"onsetDateTime":"1990","abatementDateTime":"1991","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"resolved"}]}}`,
		`{"resourceType":"Condition","id":"later","subject":{"reference":"Patient/p"},"onsetDateTime":"2026-04-01","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]}}`,
	)
	always := []string{"Patient/p", "AllergyIntolerance/old", "Observation/undated"}
	for query, more := range map[string][]string{
		"start=2026-02-01&end=2026-02-28": {"Condition/chronic", "Observation/feb", "Observation/jan-to-mar", "Observation/from-feb"},
		"end=2026-01-31":                  {"Condition/chronic", "Condition/healed", "Observation/jan", "Observation/jan-to-mar"},
		"start=2026-03-20":                {"Condition/chronic", "Condition/later", "Observation/jan-to-mar", "Observation/from-feb"},
		"start=2026-03-21":                {"Condition/chronic", "Condition/later", "Observation/from-feb"},
		"end=1990":                        {"Condition/chronic", "Condition/healed"},
		"start=2026-02-15&end=2026-02-15": {"Condition/chronic", "Observation/feb", "Observation/jan-to-mar"},
		"start=2026-02":                   {"Condition/chronic", "Condition/later", "Observation/feb", "Observation/jan-to-mar", "Observation/from-feb"},
	} {
		want := slices.Sorted(slices.Values(append(slices.Clone(always), more...)))
		got := refs(s.ask(t, "Patient/p/$everything?"+query, ""))
		if got[0] != "Patient/p" {
			t.Errorf("%s: %s comes first", query, got[0])
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: got  %v\nwant %v", query, got, want)
		}
		var paged []string
		for _, page := range s.pages(t, "Patient/p/$everything?_count=1&"+query) {
			paged = append(paged, page...)
		}
		if slices.Sort(paged); !slices.Equal(paged, want) {
			t.Errorf("%s in pages: %v", query, paged)
		}
	}
}

func TestEverythingSince(t *testing.T) {
	now := time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)
	s := open(t, func(o *Options) { o.Now = func() time.Time { return now } })
	s.keep(t, `{"resourceType":"Practitioner","id":"a"}`, `{"resourceType":"Practitioner","id":"b"}`, `{"resourceType":"Patient","id":"p"}`,
		obs("old", "p", `,"performer":[{"reference":"Practitioner/a"}]`))
	now = now.Add(time.Hour)
	s.keep(t, obs("new", "p", `,"performer":[{"reference":"Practitioner/b"}]`))
	since := func() string {
		return strings.Join(refs(s.ask(t, "Patient/p/$everything?_since=2026-05-01T10:00:00Z", "")), " ")
	}
	if got := since(); got != "Patient/p Observation/new Practitioner/b" {
		t.Errorf("what a new resource refers to comes with it: %s", got)
	}
	s.keep(t, `{"resourceType":"Practitioner","id":"a","active":true}`)
	if got := since(); got != "Patient/p Observation/new Practitioner/a Practitioner/b" {
		t.Errorf("what an old resource refers to comes when it has changed: %s", got)
	}
}

// However records are made up, pages of any size put together are the record once, and
// hold nothing of others.
func TestEverythingIsEachMemberOnce(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Practitioner","id":"d0"}`, `{"resourceType":"Practitioner","id":"d1"}`)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		patients := []string{fmt.Sprintf("a%d", run), fmt.Sprintf("b%d", run)}
		want := map[string]bool{"Patient/" + patients[0]: true}
		var resources []string
		for _, p := range patients {
			resources = append(resources, `{"resourceType":"Patient","id":"`+p+`"}`)
		}
		for i := range rapid.IntRange(0, 12).Draw(t, "resources") {
			id := fmt.Sprintf("r%d-%d", run, i)
			subject := rapid.SampledFrom(patients).Draw(t, "subject")
			performer := rapid.SampledFrom([]string{"Patient/" + patients[0], "Patient/" + patients[1], "Practitioner/d0", "Practitioner/d1"}).Draw(t, "performer")
			typ := rapid.SampledFrom([]string{"Observation", "Procedure", "Task"}).Draw(t, "type")
			switch typ {
			case "Observation":
				resources = append(resources, obs(id, subject, `,"performer":[{"reference":"`+performer+`"}]`))
			case "Procedure":
				resources = append(resources, `{"resourceType":"Procedure","id":"`+id+`","status":"completed","subject":{"reference":"Patient/`+subject+`"},"performer":[{"actor":{"reference":"`+performer+`"}}]}`)
			case "Task":
				resources = append(resources, `{"resourceType":"Task","id":"`+id+`","status":"requested","intent":"order","for":{"reference":"Patient/`+subject+`"},"owner":{"reference":"`+performer+`"}}`)
			}
			if subject == patients[0] {
				want[typ+"/"+id] = true
				if strings.HasPrefix(performer, "Practitioner") {
					want[performer] = true
				}
			}
		}
		for _, body := range resources {
			n, err := fhir.Parse([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Update(ctx, Anonymous, n.Str("resourceType"), n.Str("id"), []byte(body), Preconditions{}); err != nil {
				t.Fatalf("%v in %s", err, body)
			}
		}
		url := fmt.Sprintf("Patient/%s/$everything?_count=%d", patients[0], rapid.IntRange(1, 15).Draw(t, "count"))
		seen := map[string]bool{}
		for url != "" {
			path, query, _ := strings.Cut(url, "?")
			a, err := s.Operate(ctx, Anonymous, everythingRequest(path, query))
			if err != nil {
				t.Fatal(err)
			}
			n, err := fhir.Parse(a.Body)
			if err != nil {
				t.Fatal(err)
			}
			for _, ref := range refs(n) {
				if ref == "OperationOutcome" {
					continue
				}
				if seen[ref] {
					t.Fatalf("%s comes twice", ref)
				}
				seen[ref] = true
			}
			url = nextLink(n)
		}
		if !maps.Equal(seen, want) {
			t.Fatalf("got %v\nwant %v", slices.Sorted(maps.Keys(seen)), slices.Sorted(maps.Keys(want)))
		}
	})
}

func everythingRequest(path, query string) OperationRequest {
	pairs, err := search.ParsePairs(query)
	if err != nil {
		panic(err) // made here, or by the service
	}
	return OperationRequest{Name: "everything", Type: "Patient", ID: strings.Split(path, "/")[1], Pairs: pairs}
}

func BenchmarkEverything(b *testing.B) {
	s := open(b)
	s.keep(b, `{"resourceType":"Patient","id":"p"}`, `{"resourceType":"Practitioner","id":"d"}`)
	for i := range 500 {
		s.keep(b, obs(fmt.Sprintf("o%d", i), "p", `,"effectiveDateTime":"2026-02-15T08:00:00Z","performer":[{"reference":"Practitioner/d"}]`))
	}
	for _, query := range []string{"", "?_count=50", "?start=2026-01-01&end=2026-12-31"} {
		b.Run("500 observations"+query, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Operate(ctx, Anonymous, everythingRequest("Patient/p/$everything", strings.TrimPrefix(query, "?"))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The record of each sample patient has the operation, the plan, the tasks and the anchor.
func TestEverythingOfTheSamplePatients(t *testing.T) {
	for name, body := range surgeries(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.process(t, body)
			for _, raw := range s.find(t, "Patient", "") {
				n, err := fhir.Parse(raw)
				if err != nil {
					t.Fatal(err)
				}
				got := refs(s.ask(t, "Patient/"+n.Str("id")+"/$everything", ""))
				for _, typ := range []string{"Procedure", "CarePlan", "Task", "Device", "Observation"} {
					for _, raw := range s.find(t, typ, "patient=Patient/"+n.Str("id")) {
						r, err := fhir.Parse(raw)
						if err != nil {
							t.Fatal(err)
						}
						if ref := typ + "/" + r.Str("id"); !slices.Contains(got, ref) {
							t.Errorf("%s is not in the record", ref)
						}
					}
				}
				if !slices.ContainsFunc(got, func(ref string) bool { return strings.HasPrefix(ref, "Procedure/") }) {
					t.Errorf("no operation in %v", got)
				}
			}
		})
	}
}
