package patch

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"aftercare/fhir"
)

// bigPlan is a care plan of about 10 KB with 20 activities.
func bigPlan(b *testing.B) []byte {
	data, err := os.ReadFile("../validate/testdata/valid/careplan.json")
	if err != nil {
		b.Fatal(err)
	}
	activities := parse(b, string(data)).Get("activity")
	first := string(activities.Items[0].Raw)
	return []byte(strings.Replace(string(data), first, strings.TrimSuffix(strings.Repeat(first+",", 20), ","), 1))
}

func BenchmarkJSON(b *testing.B) {
	plan := bigPlan(b)
	for _, operations := range []int{1, 100, 1000} {
		one := `{"op":"replace","path":"/activity/19/detail/status","value":"completed"},`
		patch := []byte("[" + strings.TrimSuffix(strings.Repeat(one, operations), ",") + "]")
		b.Run(fmt.Sprintf("operations=%d", operations), func(b *testing.B) {
			b.SetBytes(int64(len(plan)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := JSON(plan, patch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFHIRPath has the resource parsed, as its caller does.
func BenchmarkFHIRPath(b *testing.B) {
	plan := bigPlan(b)
	schema := r4Schema(b)
	for name, path := range map[string]string{
		"index": "CarePlan.activity[19].detail.status",
		"where": "CarePlan.activity.where(detail.status.exists())[19].detail.status",
	} {
		parameters := parse(b, patchOf(replace(path, `"valueCode":"completed"`)))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(plan)))
			b.ReportAllocs()
			for b.Loop() {
				n, err := fhir.Parse(plan)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := FHIRPath(n, parameters, schema); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
