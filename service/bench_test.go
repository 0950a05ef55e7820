package service

import (
	"fmt"
	"slices"
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

// BenchmarkCreatePain posts reports of pain of patients with an anchor, with the rules for pain and
// without: the difference is what interpretation adds to a create. There are 20 patients, of whom each
// has sent one before.
func BenchmarkCreatePain(b *testing.B) {
	for _, c := range []struct{ name, report string }{
		{"muscle", painBody("x", nrs, "2026-07-02", "4", `"bodySite":{"coding":[{"system":"`+fhir.Canonical+`/CodeSystem/osseointegration","code":"muscle"}]}`)},
		{"task and flag", hurting("x", "2026-07-02", "5", "twist")},
		{"loading on hold", hurting("x", "2026-03-05", "5", "twist")},
	} {
		for _, rules := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/rules=%t", c.name, rules), func(b *testing.B) {
				s := open(b, func(o *Options) {
					o.NewID = newID
					if rules {
						return
					}
					o.Definitions = slices.DeleteFunc(slices.Clone(o.Definitions), func(n *fhir.Node) bool {
						return strings.HasPrefix(n.Str("id"), "pain-") && n.Str("resourceType") == "PlanDefinition"
					})
				})
				for i := range 20 {
					if _, err := s.Create(ctx, Anonymous, "Procedure", []byte(procedureOf(fmt.Sprintf("p%d", i))), ""); err != nil {
						b.Fatal(err)
					}
				}
				body := strings.Replace(c.report, `"id":"x",`, "", 1)
				send := func(i int) {
					if _, err := s.Create(ctx, Anonymous, "Observation", []byte(strings.Replace(body, "Patient/p", fmt.Sprintf("Patient/p%d", i%20), 1)), ""); err != nil {
						b.Fatal(err)
					}
				}
				for i := range 20 {
					send(i)
				}
				for i := 0; b.Loop(); i++ {
					send(i)
				}
			})
		}
	}
}
