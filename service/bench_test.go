package service

import (
	"fmt"
	"strings"
	"testing"

	"aftercare/fhir"
)

// BenchmarkTransaction posts a surgery of a new patient each time: parse, validate,
// resolve, store, derive the plan, commit to disk.
func BenchmarkTransaction(b *testing.B) {
	body := string(surgeries(b)["single-stage-femur-left"])
	s := open(b)
	i := 0
	for b.Loop() {
		i++
		fresh := strings.NewReplacer("9990001170", fmt.Sprintf("bench-%d", i), "ssf1", fmt.Sprintf("bench-%d", i)).Replace(body)
		if _, err := s.Process(ctx, Anonymous, []byte(fresh), ""); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkResend posts the same surgery again: nothing changes.
func BenchmarkResend(b *testing.B) {
	body := surgeries(b)["single-stage-femur-left"]
	s := open(b)
	s.process(b, body)
	for b.Loop() {
		if _, err := s.Process(ctx, Anonymous, body, ""); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCreateProcedure posts one triggering Procedure of a new patient each time.
func BenchmarkCreateProcedure(b *testing.B) {
	for _, clients := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			s := open(b, func(o *Options) { o.NewID = newID })
			b.SetParallelism(clients)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Create(ctx, Anonymous, "Procedure", []byte(procedureOf(newID())), ""); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func procedureOf(patient string) string {
	return `{"resourceType":"Procedure","status":"completed","code":{"coding":[{"system":"` + fhir.Canonical + `/CodeSystem/osseointegration","code":"single-stage"}]},` +
		`"subject":{"reference":"Patient/` + patient + `"},"performedDateTime":"2026-03-02",` +
		`"bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"},{"system":"http://snomed.info/sct","code":"7771000"}]}],` +
		`"usedCode":[{"coding":[{"system":"http://snomed.info/sct","code":"386014009"}]}]}`
}

// BenchmarkCreateObservation posts one pain score, which no protocol reads.
func BenchmarkCreateObservation(b *testing.B) {
	s := open(b, func(o *Options) { o.NewID = newID })
	body := []byte(pain(`"valueInteger":6`))
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Create(ctx, Anonymous, "Observation", body, ""); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
