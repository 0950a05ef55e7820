package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkStage stores 10,000 observations of 1.2 KB with 5 index rows ahead, and reveals
// them: how long that write takes is how long others wait.
func BenchmarkStage(b *testing.B) {
	benchEngines(b, benchmarkStage)
}

func benchmarkStage(b *testing.B, fresh func(testing.TB) func() *Store) {
	s := fresh(b)()
	d := draft(b, "Observation", `,"note":[{"text":"`+strings.Repeat("x", 1100)+`"}]`)
	var adding, revealing time.Duration
	round := 0
	for b.Loop() {
		round++
		news := make([]New, 10_000)
		for i := range news {
			news[i] = New{Draft: d, ID: fmt.Sprintf("o%d-%d", round, i), Method: "POST", Rows: observationRows(fmt.Sprint("p", i%1000), i)}
		}
		began := time.Now()
		g := stage(b, s, news...)
		added := time.Now()
		if err := s.Write(context.Background(), func(ctx context.Context, tx *Tx) error { return tx.Reveal(ctx, g) }); err != nil {
			b.Fatal(err)
		}
		adding, revealing = adding+added.Sub(began), revealing+time.Since(added)
	}
	b.ReportMetric(float64(adding.Milliseconds())/float64(round), "add-ms")
	b.ReportMetric(float64(revealing.Milliseconds())/float64(round), "reveal-ms")
}
