package search

import (
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
)

func FuzzParsePairs(f *testing.F) {
	for _, s := range []string{"", "a=1&b=2", "a=%41+x&&c", "a=%ff", "%00=1", "a;b=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		pairs, err := ParsePairs(raw)
		if err != nil {
			if fhir.KindOf(err) != fhir.BadRequest {
				t.Fatal(err)
			}
			return
		}
		for _, p := range pairs {
			if !storable(p.Name) || !storable(p.Value) {
				t.Fatalf("%q", p)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"Procedure?patient.identifier=a|b,c&date=ge2024-01-01T00:00+01:00", "Patient?name:missing=true&_count=0", `Task?code=\,\|`,
		"CarePlan?instantiates-canonical=http://x/y|1", "Observation?subject:Patient.birthdate=1970", "Task?focus.status=x&_cursor=y",
		"Patient?_has:Observation:patient:_has:Provenance:target:agent=1&identifier:of-type=a|b|c&_id:not=1", "Patient?_text=(a or \"b c\") not d&_list=1",
		"Observation?code-value-quantity=a$5|http://unitsofmeasure.org|mg&component-code-value-concept=a$b,c$d&_sort=-date,code&_include:iterate=*",
		"Observation?code:in=http://vs&code:below=http://t|x&value-quantity=ap5.40||mg&_revinclude=Provenance:target", "Location?near=1|2|3|km&near:missing=true",
		`Patient?_filter=name co "x" and (birthdate gt 2000)`, "PlanDefinition?url:above=http://x/y&name:exact=A&name:contains=b",
	} {
		f.Add(s, true)
	}
	r := registry(f)
	o := terms(Options{Zone: time.UTC, Base: base, DefaultCount: 20, MaxCount: 100})
	f.Fuzz(func(t *testing.T, s string, lenient bool) {
		typ, raw, _ := strings.Cut(s, "?")
		pairs, err := ParsePairs(raw)
		if err != nil {
			return
		}
		o.Lenient = lenient
		q, warnings, err := r.Parse(typ, pairs, o)
		if err != nil {
			if k := fhir.KindOf(err); k != fhir.BadRequest && k != fhir.NotFound {
				t.Fatal(err)
			}
			return
		}
		if q.Count < 0 || q.Count > o.MaxCount || q.Count == 0 && !q.Total {
			t.Fatalf("%+v", q)
		}
		wellFormed(t, q.Clauses)
		// What was applied means the same when it is asked again.
		again, more, err := r.Parse(typ, q.Applied, o)
		if err == nil && (len(again.Sort) != len(q.Sort) || len(again.Include) != len(q.Include)) {
			t.Fatalf("%+v, then %+v", q, again)
		}
		if err != nil || len(more) > 0 || len(again.Clauses) != len(q.Clauses) || again.Count != q.Count || again.Total != q.Total {
			t.Fatalf("%+v, then %+v %v %v", q, again, more, err)
		}
		_ = warnings
	})
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"Patient.name", "(Patient.a as B) | Patient.c.where(d='e').f", "Patient.x.where(resolve() is Y)", "Patient.extension('u')"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		paths, err := compile(s, "Patient")
		if err == nil && len(paths) == 0 {
			t.Fatalf("%q has no paths", s)
		}
		if branches := Branches(s, "Patient"); err == nil && branches == "" && strings.Contains(s, "Patient") && !strings.Contains(s, "Resource") && !strings.HasPrefix(s, "(") {
			t.Fatalf("%q has no branches", s)
		}
	})
}

func FuzzExtract(f *testing.F) {
	f.Add(`{"resourceType":"Patient","name":[{"family":"x"}],"birthDate":"1970"}`)
	f.Add(observation)
	f.Add(`{"resourceType":"CarePlan","subject":{"reference":"Patient/1"},"activity":[{"detail":{"scheduledTiming":{"event":["2024"]}}}]}`)
	r := registry(f)
	f.Fuzz(func(t *testing.T, s string) {
		n, err := fhir.Parse([]byte(s))
		if err != nil {
			return
		}
		if _, served := fhir.Served(n.Str("resourceType")); !served {
			return
		}
		rows, err := r.Extract(n, time.UTC, base)
		if err != nil {
			if fhir.KindOf(err) != fhir.Unprocessable {
				t.Fatal(err)
			}
			return
		}
		seen := make(map[Row]bool)
		for _, row := range rows {
			if seen[row] {
				t.Fatalf("%+v twice", row)
			}
			seen[row] = true
			if row.Param.Kind == Date && row.Low >= row.High {
				t.Fatalf("%+v is empty", row)
			}
		}
	})
}

// wellFormed checks that each clause has one of the forms that the store knows.
func wellFormed(t *testing.T, clauses []Clause) {
	each(clauses, func(c *Clause) {
		forms := 0
		for _, is := range []bool{c.Param != nil, c.Has != nil, len(c.Together) > 0, len(c.All) > 0, len(c.Any) > 0, c.Not != nil} {
			if is {
				forms++
			}
		}
		if forms != 1 || c.Param != nil && len(c.Values) == 0 == (len(c.Chain) == 0) {
			t.Fatalf("%+v", c)
		}
		if c.Param == nil {
			return
		}
		if c.Param.Kind == Composite || c.Param.Kind == Special {
			t.Fatalf("%+v is on what has no rows", c)
		}
		for _, v := range c.Values {
			if c.Param.Kind == Date && c.Modifier == "" && v.Low >= v.High {
				t.Fatalf("%+v is empty", v)
			}
			if v.NumberLow > v.Number || v.Number > v.NumberHigh {
				t.Fatalf("%+v is no range", v)
			}
		}
	})
}

func FuzzDate(f *testing.F) {
	for _, s := range []string{"2024", "ge2024-02-29", "2024-03-10T12:00:00.123456789Z", "ap2024-03-10T12:00+01:00", "2024-12-31T23:59:60Z", "0001", "9999-12-31"} {
		f.Add(s)
	}
	zone := london(f)
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseDate(&asked{zone: zone}, s)
		if err == nil && (v.Low >= v.High || !prefixes[v.Prefix]) {
			t.Fatalf("%q: %+v", s, v)
		}
	})
}

func FuzzQuantity(f *testing.F) {
	for _, s := range []string{"5", "ap5.40|http://unitsofmeasure.org|mg", "-1e-3||x", "98.6|http://unitsofmeasure.org|[degF]", "1e300", `5|a\|b|c`, "0.0"} {
		f.Add(s)
	}
	e := registry(f).entry("Observation", "value-quantity")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseQuantity(&asked{entry: e, param: e.param}, s)
		if err == nil && (!(v.NumberLow <= v.Number) || !(v.Number <= v.NumberHigh) || !prefixes[v.Prefix]) {
			t.Fatalf("%q: %+v", s, v)
		}
		if !numberPattern.MatchString(s) {
			return
		}
		// What is stored is found by what it is written as.
		d, tooLarge := readDecimal(s)
		if tooLarge != nil {
			return
		}
		row := Row{Param: e.param, NumberLow: d.float(), NumberHigh: d.float()}
		if err != nil || !holds(row, v) {
			t.Fatalf("%q: %+v does not match %+v", s, v, row)
		}
	})
}
