package search

import (
	"slices"
	"strings"
	"testing"

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

func TestDeclaredParameters(t *testing.T) {
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
			t.Errorf("%s is not declared", key)
			continue
		}
		if p.Kind != want.kind || strings.Join(p.Targets, " ") != want.targets || p.Key() != key {
			t.Errorf("%s: %+v", key, p)
		}
	}
	for _, key := range [][2]string{{"SearchParameter", "target"}, {"Patient", "phone"}, {"Patient", "Name"}, {"X", "_id"}} {
		if _, ok := r.Lookup(key[0], key[1]); ok {
			t.Errorf("%v is declared", key)
		}
	}
}

// Adding an R4 parameter is one line in declared.txt: all of them are understood but these.
func TestOfficialExpressionsAreUnderstood(t *testing.T) {
	all, err := readParameters(parametersText)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 1200 {
		t.Fatalf("only %d official parameters", len(all))
	}
	not := make(map[string]bool)
	for _, p := range all {
		if _, ok := kindByName(p.kind); !ok {
			continue
		}
		if _, err := compile(p.expression, p.typ); err != nil {
			not[p.typ+"."+p.code] = true
		}
	}
	want := map[string]bool{"Patient.deceased": true}
	for key := range not {
		if !want[key] {
			t.Errorf("%s is not understood", key)
		}
	}
	for key := range want {
		if !not[key] {
			t.Errorf("%s is understood now; take it off this list", key)
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
		"another resource":   `{"resourceType":"Patient"}`,
		"no base":            `{"resourceType":"SearchParameter","code":"x","type":"token","expression":"Task.x"}`,
		"type not served":    `{"resourceType":"SearchParameter","code":"x","base":["Slot"],"type":"token","expression":"Slot.x"}`,
		"abstract base":      `{"resourceType":"SearchParameter","code":"x","base":["Resource"],"type":"token","expression":"Resource.x"}`,
		"exists already":     `{"resourceType":"SearchParameter","code":"status","base":["Task"],"type":"token","expression":"Task.status"}`,
		"composite":          `{"resourceType":"SearchParameter","code":"x","base":["Task"],"type":"composite","expression":"Task"}`,
		"no expression":      `{"resourceType":"SearchParameter","code":"x","base":["Task"],"type":"token"}`,
		"not understood":     `{"resourceType":"SearchParameter","code":"x","base":["Task"],"type":"token","expression":"Task.x.trace('y')"}`,
		"no code":            `{"resourceType":"SearchParameter","base":["Task"],"type":"token","expression":"Task.x"}`,
		"code with a dot":    `{"resourceType":"SearchParameter","code":"a.b","base":["Task"],"type":"token","expression":"Task.x"}`,
		"a result parameter": `{"resourceType":"SearchParameter","code":"_count","base":["Task"],"type":"token","expression":"Task.x"}`,
		"branch of no base":  `{"resourceType":"SearchParameter","code":"x","base":["Task","Goal"],"type":"token","expression":"Task.x"}`,
		"nothing":            `{}`,
		"base is not a text": `{"resourceType":"SearchParameter","code":"x","base":[7],"type":"token","expression":"Task.x"}`,
		"one twice":          `{"resourceType":"SearchParameter","code":"x","base":["Task","Task"],"type":"token","expression":"Task.x"}`,
		"special":            `{"resourceType":"SearchParameter","code":"near","base":["Location"],"type":"special","expression":"Location.position"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewRegistry(node(t, s)); err == nil {
				t.Fatal("accepted")
			}
		})
	}
}

func TestDeclaredFileRefused(t *testing.T) {
	known, err := readParameters(parametersText)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"code of no parameter": "nonsense *",
		"no types":             "status",
		"type that lacks it":   "status Task Patient",
		"composite":            "code-value-date Observation",
		"not understood":       "deceased Patient",
		"declared twice":       "status Task\nstatus Task",
	} {
		t.Run(name, func(t *testing.T) {
			r := &Registry{types: map[string]*typeEntries{}}
			for _, typ := range fhir.ServedTypes() {
				r.types[typ.Name] = &typeEntries{byCode: map[string]*entry{}}
			}
			if err := r.declare(known, text); err == nil {
				t.Fatal("accepted")
			}
		})
	}
}
