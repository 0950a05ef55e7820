package course

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func TestTrend(t *testing.T) {
	line := func(n int, f func(int) (day, value float64)) (days, values []float64) {
		for i := range n {
			d, v := f(i)
			days, values = append(days, d), append(values, v)
		}
		return days, values
	}
	t.Run("too few points give none", func(t *testing.T) {
		if trend(line(TrendPoints-1, func(i int) (float64, float64) { return float64(i), float64(i) })) != nil {
			t.Error("there is one")
		}
	})
	t.Run("points of one day give none", func(t *testing.T) {
		if trend(line(20, func(i int) (float64, float64) { return 3, float64(i) })) != nil {
			t.Error("there is one")
		}
	})
	t.Run("a line has its slope, and no doubt", func(t *testing.T) {
		got := trend(line(12, func(i int) (float64, float64) { return float64(i), 8 - float64(i)/2 }))
		if got == nil || !near(got.Slope, -3.5) || !near(got.Low, -3.5) || !near(got.High, -3.5) || got.Points != 12 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("an outlier does not turn it", func(t *testing.T) {
		got := trend(line(12, func(i int) (float64, float64) {
			if i == 11 {
				return 11, 1000
			}
			return float64(i), 8 - float64(i)/2
		}))
		if got == nil || !near(got.Slope, -3.5) || got.High < got.Slope || got.Low > got.Slope {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("no change is no slope", func(t *testing.T) {
		got := trend(line(10, func(i int) (float64, float64) { return float64(i), 4 }))
		if got == nil || got.Slope != 0 || got.Low != 0 || got.High != 0 {
			t.Errorf("got %+v", got)
		}
	})
	// Without ties the variance is n(n-1)(2n+5)/18.
	if got := varianceOfS([]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, []float64{3, 1, 4, 10, 5, 9, 2, 6, 8, 7}); !near(got, 125) {
		t.Errorf("variance %v, want 125", got)
	}
	// One pair of equal values takes off 1 (2*1*9/18).
	if got := varianceOfS([]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, []float64{3, 1, 4, 10, 5, 9, 2, 6, 8, 8}); !near(got, 124) {
		t.Errorf("variance %v, want 124", got)
	}
	// Zigzag: 45 slopes, C = 1.96 sqrt(124...): the interval is wide and holds 0.
	got := trend(line(10, func(i int) (float64, float64) { return float64(i), float64((i * 7) % 10) }))
	if got == nil || !(got.Low < 0 && got.High > 0) {
		t.Errorf("got %+v", got)
	}
}

// The order of the points makes no difference; later days, and values that are turned over, move
// the trend with them.
func TestTrendProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(TrendPoints, 25).Draw(t, "n")
		days := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 60), func(i int) float64 { return float64(i) }), n, n).Draw(t, "days")
		values := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 10), func(i int) float64 { return float64(i) }), n, n).Draw(t, "values")
		got := trend(days, values)
		if got == nil {
			if slices.Min(days) != slices.Max(days) {
				t.Fatal("no trend")
			}
			return
		}
		if !(got.Low <= got.Slope && got.Slope <= got.High) {
			t.Fatalf("the slope is outside of its interval: %+v", got)
		}
		moved, turned, backwards := slices.Clone(days), slices.Clone(values), slices.Clone(values)
		for i := range moved {
			moved[i] += 100
			turned[i] = 10 - turned[i]
		}
		slices.Reverse(backwards)
		reversed := slices.Clone(days)
		slices.Reverse(reversed)
		same := func(o *Trend) bool { return near(o.Slope, got.Slope) && near(o.Low, got.Low) && near(o.High, got.High) }
		if !same(trend(moved, values)) || !same(trend(reversed, backwards)) {
			t.Fatal("the trend depends on the first day or on the order")
		}
		if o := trend(days, turned); !near(o.Slope, -got.Slope) || !near(o.Low, -got.High) {
			t.Fatalf("turned over: %+v and %+v", got, o)
		}
	})
}
