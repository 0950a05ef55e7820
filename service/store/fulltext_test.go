package store

import (
	"slices"
	"strings"
	"testing"

	"aftercare/fhir/search"

	"pgregory.net/rapid"
)

// TestWords checks that words are cut once, and are safe in the query of either engine.
func TestWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		folded := search.Fold(text)
		whole := words(folded)
		if asked := words(strings.Join(search.Words(text), " ")); !slices.Equal(asked, whole) {
			t.Fatalf("%q is asked for as %q", whole, asked)
		}
		for _, w := range whole {
			if w == "" || strings.ContainsAny(w, ` "'\:()<>&|!*`) || len(w) > wordLimit {
				t.Fatalf("%q is a word", w)
			}
		}
		if again := words(strings.Join(whole, " ")); !slices.Equal(again, whole) {
			t.Fatalf("%q of %q", again, whole)
		}
	})
}

func TestLongWordsDiffer(t *testing.T) {
	long := strings.Repeat("é", 500)
	if a, b := words(long)[0], words(long + "x")[0]; a == b || len(a) > wordLimit || !strings.HasPrefix(a, "éé") {
		t.Errorf("%q and %q", a, b)
	}
}

// TestVectors checks that no phrase is cut, and no limit is passed.
func TestVectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.IntRange(1, 400).Draw(t, "different words")
		all := make([]string, rapid.IntRange(0, 40_000).Draw(t, "words"))
		for i := range all {
			all[i] = strings.Repeat("w", 1+i*i%few)
		}
		covered := 0 // words before it are in a vector together with phraseLimit-1 that follow
		for _, v := range vectors(all) {
			n := 0
			for _, entry := range strings.Fields(v) {
				_, places, _ := strings.Cut(entry, ":")
				k := strings.Count(places, ",") + 1
				if n += k; k > vectorRepeats {
					t.Fatalf("a word has %d places", k)
				}
			}
			if n > vectorPlaces || len(v) > 1<<20 {
				t.Fatalf("a vector of %d words and %d bytes", n, len(v))
			}
			covered += n - (phraseLimit - 1)
		}
		if len(all) > 0 {
			covered += phraseLimit - 1
		}
		if covered != len(all) {
			t.Fatalf("%d of %d words are covered", covered, len(all))
		}
	})
}
