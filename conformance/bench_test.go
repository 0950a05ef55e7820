package conformance

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkRow36SmallWrites measures how long eight clients wait for their small writes,
// alone and while others send Bundles of 10,000 entries, one after the other. What is wanted
// is a 99th percentile with the Bundles of at most twice that without.
func BenchmarkRow36SmallWrites(b *testing.B) {
	for _, e := range engines {
		for _, way := range []struct {
			name    string
			bundles bool
		}{{"alone", false}, {"beside a Bundle of 10000", true}} {
			b.Run(e.name+"/"+way.name, func(b *testing.B) { smallWrites(b, start(b, e.new(b)), way.bundles) })
		}
	}
}

func smallWrites(b *testing.B, s *server, bundles bool) {
	const writers, size = 8, 10_000
	const shortest = 5 * time.Second // the time of a Bundle counts however few writes are asked for
	stop := make(chan struct{})
	var large sync.WaitGroup
	var took []time.Duration
	if bundles {
		entries := make([]string, size)
		for i := range entries {
			entries[i] = entry("POST Observation", strings.Replace(observed("", "a", "72514-3", fmt.Sprintf("2026-%02d-%02dT08:00:00Z", 1+i%12, 1+i%28), "4"), `"id":"",`, "", 1))
		}
		body := bundle("transaction", entries...)
		large.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				began := time.Now()
				if a := s.send(b, "POST ", body, "Prefer: return=minimal"); a.status != 200 {
					b.Errorf("the Bundle: %d %.300s", a.status, a.body)
					return
				}
				took = append(took, time.Since(began))
			}
		})
		time.Sleep(100 * time.Millisecond)
	}
	times := make([][]time.Duration, writers)
	b.ResetTimer()
	began := time.Now()
	var small sync.WaitGroup
	for w := range writers {
		small.Go(func() {
			for n := 0; n < b.N/writers || time.Since(began) < shortest; n++ {
				sent := time.Now()
				if a := s.send(b, "POST /Patient", `{"resourceType":"Patient"}`, "Prefer: return=minimal"); a.status != 201 {
					b.Errorf("%d %.300s", a.status, a.body)
					return
				}
				times[w] = append(times[w], time.Since(sent))
			}
		})
	}
	small.Wait()
	b.StopTimer()
	close(stop)
	large.Wait()
	all := slices.Concat(times...)
	slices.Sort(all)
	report := func(d time.Duration, unit string) { b.ReportMetric(float64(d.Microseconds())/1000, unit) }
	report(all[len(all)/2], "p50-ms")
	report(all[len(all)*99/100], "p99-ms")
	report(all[len(all)-1], "max-ms")
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "writes/s")
	if len(took) > 0 {
		report(slices.Max(took), "bundle-ms")
	}
}
