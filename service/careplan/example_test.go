package careplan

import (
	"os"
	"slices"
	"testing"

	"aftercare/fhir"
)

// testdata/derived holds a plan written by hand to show the shape. For the same operation
// we prescribe the same activities: id, kind, codes, dates, prohibition and facts.
func TestSameAsTheExampleByHand(t *testing.T) {
	data, err := os.ReadFile("../../testdata/derived/careplan-single-stage.json")
	if err != nil {
		t.Fatal(err)
	}
	example := parse(t, string(data))
	ours := plan1(t, derive(t, builtIn(t), readBundle(t, "../../testdata/surgery/single-stage-femur-left.json")))
	if len(example.Each("activity")) != len(ours.Each("activity")) {
		t.Fatalf("%d activities, want %d", len(ours.Each("activity")), len(example.Each("activity")))
	}
	for _, want := range example.Each("activity") {
		id := want.Str("id")
		got := find(ours, id)
		if got == nil {
			t.Errorf("no activity %s", id)
			continue
		}
		for _, member := range []string{"kind", "status", "doNotPerform", "scheduledPeriod", "scheduledTiming"} {
			if a, b := compact(want.Get("detail", member)), compact(got.Get("detail", member)); a != b {
				t.Errorf("%s.%s is %s, want %s", id, member, b, a)
			}
		}
		for i, c := range codingsAt(want, "detail", "code", "coding") {
			if found := codingsAt(got, "detail", "code", "coding"); len(found) <= i || found[i].key() != c.key() {
				t.Errorf("%s is coded %v, want %v", id, found, c)
			}
		}
		if (want.Get("detail", "scheduledString") == nil) != (got.Get("detail", "scheduledString") == nil) {
			t.Errorf("%s: only one of the two has a date", id)
		}
		for _, fact := range factsOf(want) {
			if !slices.Contains(factsOf(got), fact) {
				t.Errorf("%s does not name the fact %s", id, fact)
			}
		}
	}
	for _, member := range []string{"period", "status", "intent", "language", "title", "author"} {
		if a, b := compact(example.Get(member)), compact(ours.Get(member)); a != b {
			t.Errorf("%s is %s, want %s", member, b, a)
		}
	}
}

func compact(n *fhir.Node) string {
	if n == nil {
		return ""
	}
	return string(compacted(n).Raw)
}

func factsOf(a *fhir.Node) []string {
	var found []string
	for _, x := range a.Each("extension") {
		if x.Str("url") == factExtension {
			found = append(found, x.Str("valueCoding", "code"))
		}
	}
	return found
}
