package search

import (
	"strings"
	"testing"
)

const observation = `{"resourceType":"Observation","id":"o1","meta":{"versionId":"1","lastUpdated":"2026-03-01T10:00:00.000000Z"},
	"identifier":[{"system":"https://clinic.example/id","value":"77"}],"basedOn":[{"reference":"CarePlan/c1"}],"status":"final",
	"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"survey"}]}],
	"code":{"coding":[{"system":"http://loinc.org","code":"72514-3","display":"Pain severity"}],"text":"Pain"},
	"subject":{"reference":"Patient/p1"},"focus":[{"reference":"Device/d1"}],"encounter":{"reference":"Encounter/e1"},
	"effectiveDateTime":"2026-03-01T09:30:00+00:00","valueQuantity":{"value":6,"unit":"score","system":"http://unitsofmeasure.org","code":"{score}"},
	"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"100752-5"}]},"valueString":"x"}]}`

func BenchmarkExtractObservation(b *testing.B) {
	r, n, zone := registry(b), node(b, observation), london(b)
	b.ReportAllocs()
	for b.Loop() {
		if rows, err := r.Extract(n, zone, base); err != nil || len(rows) != 26 {
			b.Fatal(len(rows), err)
		}
	}
}

func BenchmarkExtractPatient(b *testing.B) {
	r, zone := registry(b), london(b)
	n := node(b, `{"resourceType":"Patient","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9000000009"}],
		"name":[{"family":"Müller","given":["José","Peter"]}],"birthDate":"1970-03-28"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Extract(n, zone, base); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExtractCarePlan(b *testing.B) {
	r, zone := registry(b, activityCodeDate), london(b)
	n := node(b, `{"resourceType":"CarePlan","identifier":[{"system":"https://clinic.example/plan","value":"77"}],"status":"active","intent":"plan",
		"category":[{"coding":[{"system":"http://snomed.info/sct","code":"734163000"}]}],"subject":{"reference":"Patient/p1"},"period":{"start":"2026-03-01"},
		"instantiatesCanonical":["https://clinic.example/PlanDefinition/a|1"],"activity":[`+strings.TrimSuffix(strings.Repeat(`{"detail":{"code":{"coding":[
		{"system":"https://clinic.example/activity","code":"staples"}]},"status":"scheduled","scheduledPeriod":{"start":"2026-03-21","end":"2026-03-22"}}},`, 20), ",")+`]}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Extract(n, zone, base); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	r, o := registry(b), options(b)
	b.ReportAllocs()
	for b.Loop() {
		pairs, err := ParsePairs("patient=Patient/p1&code=http://loinc.org|72514-3&date=ge2026-01-01&date=lt2027&_count=20")
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := r.Parse("Observation", pairs, o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewRegistry(b *testing.B) {
	for b.Loop() {
		registry(b)
	}
}
