package careplan

import "testing"

// The rules alone, on records that have been read: a report with a site, and one with nothing, for
// which every cause is looked at.
func BenchmarkInterpretPain(b *testing.B) {
	e := builtIn(b)
	for _, c := range painCases(b) {
		if c.ID != "C10" && c.ID != "C30" {
			continue
		}
		record, report := c.records(b)
		anchors, err := e.Anchors(record)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.ID, func(b *testing.B) {
			for b.Loop() {
				if _, err := e.interpret(anchors, report); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
