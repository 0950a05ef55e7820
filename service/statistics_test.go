package service

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/cockroachdb/apd/v3"
	"pgregory.net/rapid"
)

func decimals(t interface {
	Helper()
	Fatal(...any)
}, texts ...string) sample {
	t.Helper()
	var values []*apd.Decimal
	for _, text := range texts {
		d, _, err := apd.NewFromString(text)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, d)
	}
	return newSample(values)
}

func TestStatisticsOfKnownSets(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []string
		want   map[string]string // code to result, "" for none
	}{
		{"no value", nil, map[string]string{"count": "0", "sum": "0", "average": "", "median": "", "minimum": "", "maximum": "", "std-dev": "", "variance": "", "skew": "", "kurtosis": "", "4-dev": "", "5-1": ""}},
		{"one value", []string{"7.0"}, map[string]string{"count": "1", "sum": "7.0", "average": "7", "median": "7.0", "std-dev": "0", "variance": "0", "skew": "", "kurtosis": "", "4-dev": "0"}},
		{"decimals that floats get wrong", []string{"0.1", "0.2"}, map[string]string{"sum": "0.3", "average": "0.15", "median": "0.15"}},
		{"the textbook", []string{"9", "2", "4", "4", "4", "5", "5", "7"}, map[string]string{
			"count": "8", "sum": "40", "average": "5", "variance": "4", "std-dev": "2", "median": "4.5", "minimum": "2", "maximum": "9",
			"4-lower": "4", "4-upper": "5.5", "4-dev": "0.75", "20-percent": "4", "80-percent": "6.2", "5-2": "4", "5-3": "5", "skew": "0.65625", "kurtosis": "2.78125"}},
		{"thirds are rounded", []string{"1", "0", "0"}, map[string]string{"average": "0.333333333333333333", "variance": "0.222222222222222222"}},
		{"the sum keeps its digits", []string{"1.50", "2.5"}, map[string]string{"sum": "4.00", "average": "2"}},
		{"negative ones", []string{"-3", "-1", "-2"}, map[string]string{"minimum": "-3", "maximum": "-1", "median": "-2", "sum": "-6", "skew": "0"}},
		{"very large and very small", []string{"1E30", "1E-30"}, map[string]string{"sum": "1000000000000000000000000000000.000000000000000000000000000001"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := decimals(t, c.values...)
			for code, want := range c.want {
				i := slices.IndexFunc(statisticCodes, func(s statistic) bool { return s.code == code })
				d, err := statisticCodes[i].of(s)
				if err != nil {
					t.Fatal(err)
				}
				got := ""
				if d != nil {
					got = plain(d)
				}
				if got != want {
					t.Errorf("%s = %q, want %q", code, got, want)
				}
			}
		})
	}
}

func TestSumThatCannotBeExactIsRefused(t *testing.T) {
	if d, err := decimals(t, "1E300", "1E-300").sum(); !errors.Is(err, errTooWide) {
		t.Errorf("sum = %v, %v", d, err)
	}
	if d, err := decimals(t, "1E90000", "1E90000").variance(); err == nil && d.Sign() != 0 {
		t.Errorf("variance = %v", d)
	}
}

// Floats are a judge that knows nothing of decimals, to within their own error.
func TestStatisticsAgreeWithFloats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tenths := rapid.SliceOfN(rapid.IntRange(-10_000, 10_000), 1, 40).Draw(t, "tenths")
		var texts []string
		var floats []float64
		total := 0
		for _, n := range tenths {
			texts = append(texts, apd.New(int64(n), -1).Text('f'))
			floats = append(floats, float64(n)/10)
			total += n
		}
		slices.Sort(floats)
		s := decimals(t, texts...)
		if sum, err := s.sum(); err != nil || sum.Cmp(apd.New(int64(total), -1)) != 0 {
			t.Fatalf("sum = %v, %v, want %d tenths", sum, err, total)
		}
		n := float64(len(floats))
		mean, variance := float64(total)/10/n, 0.0
		for _, f := range floats {
			variance += (f - mean) * (f - mean) / n
		}
		near := func(name string, d *apd.Decimal, err error, want float64) {
			if err != nil {
				t.Fatal(err)
			}
			got, _ := strconv.ParseFloat(plain(d), 64)
			if math.Abs(got-want) > 1e-6*(1+math.Abs(want)) {
				t.Fatalf("%s of %v = %v, want %v", name, texts, got, want)
			}
		}
		d, err := s.average()
		near("average", d, err, mean)
		d, err = s.variance()
		near("variance", d, err, variance)
		d, err = s.deviation()
		near("std-dev", d, err, math.Sqrt(variance))
		for _, parts := range []int{2, 4, 5} {
			last := s[0]
			for part := 1; part < parts; part++ {
				d, err := s.quantile(part, parts)
				if err != nil || d.Cmp(last) < 0 || d.Cmp(s[len(s)-1]) > 0 {
					t.Fatalf("quantile %d/%d = %v, %v", part, parts, d, err)
				}
				last = d
				at := (n - 1) * float64(part) / float64(parts)
				low := int(at)
				want := floats[low]
				if low+1 < len(floats) {
					want += (at - float64(low)) * (floats[low+1] - floats[low])
				}
				near("quantile", d, err, want)
			}
		}
	})
}
