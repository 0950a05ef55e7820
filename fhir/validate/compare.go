package validate

import (
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"

	"aftercare/fhir"
)

// compare orders two dates, two numbers or two quantities: -1, 0 or 1. The order is not
// known where one is absent or malformed, or in another unit, and 0 where the precision
// of two dates leaves it open.
func compare(a, b *fhir.Node) (order int, known bool) {
	if a == nil || b == nil || a.Kind != b.Kind {
		return 0, false
	}
	switch a.Kind {
	case fhir.String:
		return compareDates(a.Text, b.Text)
	case fhir.Number:
		return compareDecimals(a.Text, b.Text)
	case fhir.Object:
		x, y := a.Get("value"), b.Get("value")
		if x == nil || y == nil || !sameUnit(a, b) {
			return 0, false
		}
		return compareDecimals(x.Text, y.Text)
	}
	return 0, false
}

func sameUnit(a, b *fhir.Node) bool {
	if a.Str("code") == "" && b.Str("code") == "" {
		return a.Str("unit") == b.Str("unit")
	}
	return a.Str("system") == b.Str("system") && a.Str("code") == b.Str("code")
}

// zoneSlack is how far a date's zone can be from UTC.
const zoneSlack = 14 * time.Hour

// compareDates orders two dates or times by the spans that they may mean. A date has no
// zone, so against a time it may be in any.
func compareDates(a, b string) (order int, known bool) {
	x, err1 := fhir.ParseMoment(a, time.UTC)
	y, err2 := fhir.ParseMoment(b, time.UTC)
	if err1 != nil || err2 != nil {
		return 0, false
	}
	slack := time.Duration(0)
	if strings.Contains(a, "T") != strings.Contains(b, "T") {
		slack = zoneSlack
	}
	switch {
	case !x.Low.Add(-slack).Before(y.High):
		return 1, true
	case !y.Low.Add(-slack).Before(x.High):
		return -1, true
	}
	return 0, true
}

// maxDigits is how long a number may be to be compared. R4 asks for 18 digits
// (https://hl7.org/fhir/R4/datatypes.html#decimal); arithmetic on millions would take
// seconds.
const maxDigits = 1000

func compareDecimals(a, b string) (order int, known bool) {
	if len(a) > maxDigits || len(b) > maxDigits {
		return 0, false
	}
	x, _, err1 := apd.NewFromString(a)
	y, _, err2 := apd.NewFromString(b)
	if err1 != nil || err2 != nil {
		return 0, false
	}
	return x.Cmp(y), true
}
