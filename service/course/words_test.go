package course

import (
	"strings"
	"testing"
	"time"

	"aftercare/definitions"
	"aftercare/fhir"
)

func TestWords(t *testing.T) {
	all, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	rules, err := Read(all, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code   string
		values []string
		want   string
	}{
		{"no-site", nil, "No site reported"},
		{"window-between", []string{"window", "a {to} b", "from", "1", "to", "2"}, "a {to} b, 1 to 2"},
		{"trend", []string{"line", "Muscle", "slope", "-0.4", "low", "-0.5", "high", "-0.3"}, "Muscle; trend -0.4 a week (95 % interval -0.5 to -0.3)"},
	} {
		if got := rules.Words().Say(c.code, c.values...); got != c.want {
			t.Errorf("%s: %q", c.code, got)
		}
	}
	for _, n := range all {
		if n.Str("url") != wordsSystem {
			continue
		}
		if codes := n.Each("concept", "code"); len(codes) != len(wordsNeeded) {
			t.Errorf("%d codes, %d are used", len(codes), len(wordsNeeded))
		}
		less, err := fhir.Parse([]byte(strings.Replace(string(n.Raw), `"no-site"`, `"other"`, 1)))
		if err != nil {
			t.Fatal(err)
		}
		*n = *less
	}
	if _, err := Read(all, time.UTC); err == nil || !strings.Contains(err.Error(), "no-site") {
		t.Errorf("without a code: %v", err)
	}
}
