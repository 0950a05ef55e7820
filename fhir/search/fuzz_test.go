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
	} {
		f.Add(s, true)
	}
	r := registry(f)
	o := Options{Zone: time.UTC, Base: base, DefaultCount: 20, MaxCount: 100}
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
		for _, c := range q.Clauses {
			if len(c.Values) == 0 == (len(c.Chain) == 0) {
				t.Fatalf("%+v has neither values nor a chain, or both", c)
			}
			for _, v := range c.Values {
				if c.Param.Kind == Date && c.Modifier == "" && v.Low >= v.High {
					t.Fatalf("%+v is empty", v)
				}
			}
		}
		// What was applied means the same when it is asked again.
		again, more, err := r.Parse(typ, q.Applied, o)
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
