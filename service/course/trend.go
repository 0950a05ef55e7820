package course

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// TrendPoints is how many points a trend needs: the normal approximation of Kendall's S that the
// interval rests on is used from 10 points up (Gilbert 1987, section 16.4).
const TrendPoints = 10

// confidence is that of the interval.
const confidence = 0.95

// TrendMethod says in words what a Trend is.
const TrendMethod = "Theil-Sen slope with its 95 % confidence interval, from the points on and after the first operation; the steps of a scale are taken to be equal."

// Trend is how much the values change in a week.
type Trend struct {
	Slope, Low, High float64
	Points           int
}

// trend is the median of the slopes between all pairs of points of different days (Theil 1950, Sen
// 1968), with the interval that Gilbert 1987, section 16.5 gives, as
// https://vsp.pnnl.gov/help/vsample/Nonparametric_Estimate_of_Trend.htm tells. One outlier, or a
// quarter of them, does not turn it. The variance of Kendall's S is that for ties of days and of
// values (Kendall 1970, chapter 4). nil for fewer points than TrendPoints, or all of one day.
func trend(days, values []float64) *Trend {
	n := len(days)
	if n < TrendPoints {
		return nil
	}
	var slopes []float64
	for i := range days {
		for j := range i {
			if days[i] != days[j] {
				slopes = append(slopes, (values[i]-values[j])/(days[i]-days[j])*7)
			}
		}
	}
	if len(slopes) == 0 {
		return nil
	}
	slices.Sort(slopes)
	z := distuv.UnitNormal.Quantile(1 - (1-confidence)/2)
	c := z * math.Sqrt(varianceOfS(days, values))
	count := float64(len(slopes))
	return &Trend{Slope: at(slopes, (count-1)/2), Low: at(slopes, (count-c)/2-1), High: at(slopes, (count+c)/2), Points: n}
}

// at is the value at a rank from 0, on a line between its neighbours, and at the ends beyond them.
func at(sorted []float64, rank float64) float64 {
	rank = min(max(rank, 0), float64(len(sorted)-1))
	low := int(rank)
	if low == len(sorted)-1 {
		return sorted[low]
	}
	return sorted[low] + (rank-float64(low))*(sorted[low+1]-sorted[low])
}

func varianceOfS(days, values []float64) float64 {
	n := float64(len(days))
	t2, t3, t := ties(days)
	u2, u3, u := ties(values)
	return (n*(n-1)*(2*n+5)-t-u)/18 + t2*u2/(2*n*(n-1)) + t3*u3/(9*n*(n-1)*(n-2))
}

// ties are the sums of t(t-1), t(t-1)(t-2) and t(t-1)(2t+5) over the groups of equal values.
func ties(values []float64) (two, three, variance float64) {
	counts := map[float64]float64{}
	for _, v := range values {
		counts[v]++
	}
	for _, t := range counts { // sums of whole numbers: the order makes no difference
		two += t * (t - 1)
		three += t * (t - 1) * (t - 2)
		variance += t * (t - 1) * (2*t + 5)
	}
	return two, three, variance
}
