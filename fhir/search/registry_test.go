package search

import (
	"slices"
	"strings"
	"testing"

	"aftercare/definitions"
	"aftercare/fhir"
)

func registry(t testing.TB, extra ...string) *Registry {
	t.Helper()
	var nodes []*fhir.Node
	for _, e := range extra {
		nodes = append(nodes, node(t, e))
	}
	r, err := NewRegistry(nodes...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func node(t testing.TB, s string) *fhir.Node {
	t.Helper()
	n, err := fhir.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEveryServedTypeHasParameters(t *testing.T) {
	r := registry(t)
	for _, typ := range fhir.ServedTypes() {
		var codes []string
		for _, p := range r.Parameters(typ.Name) {
			if p.Type != typ.Name || p.Kind.Name() == "" {
				t.Errorf("%s: bad parameter %+v", typ.Name, p)
			}
			codes = append(codes, p.Code)
		}
		if !slices.IsSorted(codes) || !slices.Contains(codes, "_id") || !slices.Contains(codes, "_lastUpdated") {
			t.Errorf("%s: %v", typ.Name, codes)
		}
	}
	if r.Parameters("Nonsense") != nil {
		t.Error("an unknown type has parameters")
	}
}

func TestParameters(t *testing.T) {
	r := registry(t)
	for key, want := range map[string]struct {
		kind    Kind
		targets string
	}{
		"Patient.identifier":              {Token, ""},
		"Patient.name":                    {String, ""},
		"Patient.birthdate":               {Date, ""},
		"Patient._id":                     {ID, ""},
		"Procedure._lastUpdated":          {LastUpdated, ""},
		"Procedure.patient":               {Reference, "Patient"},
		"Procedure.subject":               {Reference, "Group Patient"},
		"Procedure.encounter":             {Reference, "Encounter"},
		"Observation.subject":             {Reference, "Device Group Location Patient"},
		"Observation.focus":               {Reference, ""},
		"DeviceUseStatement.patient":      {Reference, "Patient"},
		"CarePlan.activity-date":          {Date, ""},
		"CarePlan.activity-code":          {Token, ""},
		"Device.patient":                  {Reference, "Patient"},
		"Device.url":                      {URI, ""},
		"Provenance.target":               {Reference, ""},
		"DetectedIssue.implicated":        {Reference, ""},
		"CarePlan.instantiates-canonical": {Reference, "ActivityDefinition Measure OperationDefinition PlanDefinition Questionnaire"},
	} {
		typ, code, _ := strings.Cut(key, ".")
		p, ok := r.Lookup(typ, code)
		if !ok {
			t.Errorf("%s is not there", key)
			continue
		}
		if p.Kind != want.kind || strings.Join(p.Targets, " ") != want.targets || p.Key() != key {
			t.Errorf("%s: %+v", key, p)
		}
	}
	for _, key := range [][2]string{{"Patient", "code:text"}, {"Observation", "combo-code-value-concept$1"}, {"Task", "_list"}, {"Patient", "Name"}, {"X", "_id"}} {
		if _, ok := r.Lookup(key[0], key[1]); ok {
			t.Errorf("%v is there", key)
		}
	}
}

// All R4 parameters of the served types are there, of each kind.
func TestEveryOfficialParameterIsThere(t *testing.T) {
	r := registry(t)
	all, err := readFacts(parametersText)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 1250 {
		t.Fatalf("only %d official parameters", len(all))
	}
	kinds := make(map[string]int)
	for _, f := range all {
		p, ok := r.Lookup(f.typ, f.code)
		if _, known := loggedParameters[f.code]; logged(f.typ) && !known {
			if ok {
				t.Errorf("%s.%s is there", f.typ, f.code)
			}
			continue
		}
		if !ok || p.Kind.Name() != f.kind || p.Definition != f.definition || !strings.HasPrefix(p.Definition, "http://hl7.org/fhir/SearchParameter/") {
			t.Errorf("%s.%s: %+v", f.typ, f.code, p)
		}
		kinds[f.kind]++
		if e := r.entry(f.typ, f.code); e.paths == nil && e.composite == nil && p.Kind != ID && p.Kind != LastUpdated {
			t.Errorf("%s.%s has no values", f.typ, f.code)
		}
	}
	for _, kind := range []string{"string", "token", "reference", "date", "number", "quantity", "uri", "composite", "special"} {
		if kinds[kind] == 0 {
			t.Errorf("none is of type %s", kind)
		}
	}
	for _, typ := range fhir.StoredTypes() {
		if _, ok := r.Lookup(typ.Name, "_content"); !ok {
			t.Errorf("%s has no _content", typ.Name)
		}
		if _, ok := r.Lookup(typ.Name, "_text"); ok != (typ.Name != "Binary") {
			t.Errorf("%s._text: %v", typ.Name, ok)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, expression := range []string{
		"", "Patient", "Patient.", "Patient..name", "Patient.name[0]", "Procedure.code", "(Patient.name", "Patient.name)",
		"Patient.name.first()", "Patient.name |", "Patient.name as", "Patient as string", "Patient.where(",
		"Patient.telecom.where(system=email)", "Patient.telecom.where(system='email)", "Patient.telecom.where(system='it\\'s')",
		"Patient.link.other.where(resolve() is )", "Patient.name and Patient.birthDate", "Patient.extension(url)",
		"Patient.name.given = 'x'", "%resource.id", "Patient.name.exists()", "name", "Patients.name",
	} {
		if _, err := compile(expression, "Patient"); err == nil {
			t.Errorf("%q is accepted", expression)
		}
	}
}

func TestBranches(t *testing.T) {
	for _, c := range []struct{ expression, typ, want string }{
		{"Patient.name | Person.name", "Patient", "Patient.name"},
		{"PatientX.name | (Patient.a as b) | Patient", "Patient", "(Patient.a as b) | Patient"},
		{"(Person.a | Patient.b)", "Patient", ""},
		{"Patient.a.where(b='x | Patient.y')|Patient.c", "Patient", "Patient.a.where(b='x | Patient.y') | Patient.c"},
		{"", "Patient", ""},
	} {
		if got := Branches(c.expression, c.typ); got != c.want {
			t.Errorf("%q for %s: %q, want %q", c.expression, c.typ, got, c.want)
		}
	}
}

const painScore = `{"resourceType":"SearchParameter","url":"https://example.org/pain","code":"pain-score","base":["Observation","Task"],
	"type":"quantity","expression":"(Observation.value as Quantity) | (Observation.value as integer) | Task.input.value.as(Quantity)"}`

func TestExtraParameters(t *testing.T) {
	r := registry(t, painScore)
	p, ok := r.Lookup("Observation", "pain-score")
	if !ok || p.Kind != Quantity || p.Expression != "(Observation.value as Quantity) | (Observation.value as integer)" {
		t.Fatalf("%+v", p)
	}
	if _, ok := r.Lookup("Task", "pain-score"); !ok {
		t.Fatal("the second base is left out")
	}
}

func TestExtraParametersRefused(t *testing.T) {
	for name, s := range map[string]string{
		"no base":              `{"resourceType":"SearchParameter","code":"x","type":"token","expression":"Task.x"}`,
		"type not served":      `{"resourceType":"SearchParameter","code":"x","base":["Slot"],"type":"token","expression":"Slot.x"}`,
		"abstract base":        `{"resourceType":"SearchParameter","code":"x","base":["Resource"],"type":"token","expression":"Resource.x"}`,
		"exists already":       `{"resourceType":"SearchParameter","code":"status","base":["Task"],"type":"token","expression":"Task.status"}`,
		"composite of none":    `{"resourceType":"SearchParameter","code":"x","base":["Task"],"type":"composite","expression":"Task"}`,
		"composite of one":     `{"resourceType":"SearchParameter","code":"x","base":["Task"],"type":"composite","expression":"Task","component":[{"definition":"http://hl7.org/fhir/SearchParameter/Task-code","expression":"code"}]}`,
		"unknown component":    `{"resourceType":"SearchParameter","code":"x","base":["Task"],"type":"composite","expression":"Task","component":[{"definition":"http://hl7.org/fhir/SearchParameter/Task-code","expression":"code"},{"definition":"http://x/y","expression":"status"}]}`,
		"composed composite":   `{"resourceType":"SearchParameter","code":"x","base":["Observation"],"type":"composite","expression":"Observation","component":[{"definition":"http://hl7.org/fhir/SearchParameter/clinical-code","expression":"code"},{"definition":"http://hl7.org/fhir/SearchParameter/Observation-code-value-concept","expression":"code"}]}`,
		"bad component":        `{"resourceType":"SearchParameter","code":"x","base":["Task"],"type":"composite","expression":"Task","component":[{"definition":"http://hl7.org/fhir/SearchParameter/Task-code","expression":"code"},{"definition":"http://hl7.org/fhir/SearchParameter/Task-status","expression":"status.trace()"}]}`,
		"special parameter":    `{"resourceType":"SearchParameter","code":"_list","base":["Task"],"type":"token","expression":"Task.x"}`,
		"no expression":        `{"resourceType":"SearchParameter","code":"x","base":["Task"],"type":"token"}`,
		"not understood":       `{"resourceType":"SearchParameter","code":"x","base":["Task"],"type":"token","expression":"Task.x.trace('y')"}`,
		"no code":              `{"resourceType":"SearchParameter","base":["Task"],"type":"token","expression":"Task.x"}`,
		"code with a dot":      `{"resourceType":"SearchParameter","code":"a.b","base":["Task"],"type":"token","expression":"Task.x"}`,
		"a result parameter":   `{"resourceType":"SearchParameter","code":"_count","base":["Task"],"type":"token","expression":"Task.x"}`,
		"branch of no base":    `{"resourceType":"SearchParameter","code":"x","base":["Task","Goal"],"type":"token","expression":"Task.x"}`,
		"nothing but its type": `{"resourceType":"SearchParameter"}`,
		"base is not a text":   `{"resourceType":"SearchParameter","code":"x","base":[7],"type":"token","expression":"Task.x"}`,
		"one twice":            `{"resourceType":"SearchParameter","code":"x","base":["Task","Task"],"type":"token","expression":"Task.x"}`,
		"special":              `{"resourceType":"SearchParameter","code":"near","base":["Location"],"type":"special","expression":"Location.position"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewRegistry(node(t, s)); err == nil {
				t.Fatal("accepted")
			}
		})
	}
}

// The parameters of our own are understood.
func TestOwnDefinitions(t *testing.T) {
	all, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRegistry(all...)
	if err != nil {
		t.Fatal(err)
	}
	for key, kind := range map[[2]string]Kind{
		{"Observation", "pain-score"}: Quantity, {"CarePlan", "activity-code-date"}: Composite, {"Task", "due"}: Date, {"Flag", "status"}: Token,
	} {
		p, ok := r.Lookup(key[0], key[1])
		if !ok || p.Kind != kind || p.Definition == "" {
			t.Errorf("%v: %+v", key, p)
		}
	}
	rows := rowsOf(t, r, `{"resourceType":"CarePlan","activity":[{"detail":{"scheduledPeriod":{"start":"2026-01-01"}}},
		{"detail":{"code":{"coding":[{"code":"staples"}]},"scheduledString":"later"}},
		{"detail":{"code":{"coding":[{"code":"loading"}]},"scheduledPeriod":{"start":"2026-02-01","end":"2026-02-01"}}}]}`)
	if want := []string{"activity-code-date$1/3 |loading", "activity-code-date$2/3 2026-02-01T00:00:00Z..2026-02-02T00:00:00Z"}; !slices.Equal(rows[2:4], want) {
		t.Errorf("%q", rows)
	}
}
