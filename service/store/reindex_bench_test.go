package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"aftercare/fhir"
)

// BenchmarkReindex indexes resources again, for one parameter that is new and for all, and says how
// many it does in a second and how long small writes take meanwhile, and without it.
func BenchmarkReindex(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) {
			url := "sqlite:x"
			if engine == "postgres" {
				url = "postgres:"
			}
			s := openURL(b, freshURL(b, url), Options{})
			w := siteWith(b)
			w.declare(b, s)
			const many = 20_000
			for first := 0; first < many; first += 500 {
				if err := s.Write(b.Context(), func(ctx context.Context, tx *Tx) error {
					for i := first; i < first+500; i++ {
						n, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Observation","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"survey"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"72514-3","display":"Pain severity"}]},"subject":{"reference":"Patient/p%d"},"bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"%d"}]},"effectiveDateTime":"2026-01-%02dT10:00:00Z","valueQuantity":{"value":%d,"system":"http://unitsofmeasure.org","code":"{score}"}}`, i%1000, i%50, 1+i%28, i%11))
						if err != nil {
							return err
						}
						rows, err := w.rows(&fhir.Resource{Body: n.Raw})
						if err != nil {
							return err
						}
						if _, err := tx.Create(ctx, fhir.NewDraft(n), fmt.Sprint("o", i), t0, "POST", rows); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					b.Fatal(err)
				}
			}
			small := func(stop func() bool) []time.Duration {
				var took []time.Duration
				for i := 0; !stop(); i++ {
					began := time.Now()
					w.mustPut(b, s, "small", fmt.Sprintf(`{"resourceType":"Patient","id":"small","name":[{"family":"f%d"}]}`, i))
					took = append(took, time.Since(began))
					time.Sleep(2 * time.Millisecond)
				}
				slices.Sort(took)
				return took
			}
			tell := func(b *testing.B, took []time.Duration, what string) {
				for _, p := range []int{50, 99} {
					b.ReportMetric(float64(took[len(took)*p/100].Microseconds())/1000, fmt.Sprintf("ms-p%d-%s", p, what))
				}
			}
			run := func(b *testing.B, ask func(round int)) {
				alone := 0
				tell(b, small(func() bool { alone++; return alone > 500 }), "alone")
				total := time.Duration(0)
				var all []time.Duration
				for round := range b.N {
					ask(round)
					ctx, end := context.WithCancel(b.Context())
					done := make(chan struct{})
					go func() { defer close(done); s.KeepIndexed(ctx, w.rows) }()
					began := time.Now()
					all = append(all, small(func() bool {
						left, err := s.Backlog(b.Context())
						return err != nil || !left.any()
					})...)
					total += time.Since(began)
					end()
					<-done
				}
				slices.Sort(all)
				tell(b, all, "meanwhile")
				b.ReportMetric(float64(many*b.N)/total.Seconds(), "resources/s")
				b.ReportMetric(0, "ns/op")
			}
			b.Run("one", func(b *testing.B) {
				run(b, func(round int) {
					w = siteWith(b, fmt.Sprintf("Observation x%d-%d token Observation.bodySite", b.N, round))
					w.declare(b, s)
				})
			})
			b.Run("all", func(b *testing.B) {
				run(b, func(int) {
					if err := s.Reindex(b.Context(), "Observation"); err != nil {
						b.Fatal(err)
					}
				})
			})
		})
	}
}
