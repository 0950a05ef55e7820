package validate

import (
	"os"
	"testing"

	"aftercare/fhir"
)

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkResource validates a care plan of about 6 KB: that of testdata with its first
// activity repeated.
func BenchmarkResource(b *testing.B) {
	n, v := bigPlan(b), validator(b)
	b.SetBytes(int64(len(n.Raw)))
	b.ReportAllocs()
	for b.Loop() {
		if issues := v.Resource(n, ""); len(issues) > 0 {
			b.Fatal(issues)
		}
	}
}

func BenchmarkLinks(b *testing.B) {
	n, v := bigPlan(b), validator(b)
	b.ReportAllocs()
	for b.Loop() {
		v.Links(n)
	}
}

func bigPlan(t testing.TB) *fhir.Node {
	data, err := os.ReadFile("testdata/valid/careplan.json")
	if err != nil {
		t.Fatal(err)
	}
	n := parse(t, string(data))
	for range 5 {
		activities := n.Get("activity")
		first := string(activities.Items[0].Raw)
		at := activities.Start + 1
		data = append(data[:at:at], append([]byte(first+","), data[at:]...)...)
		n = parse(t, string(data))
	}
	return n
}
