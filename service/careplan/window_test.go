package careplan

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func day(t testing.TB, s string) time.Time {
	t.Helper()
	if s == "" {
		return time.Time{}
	}
	d, err := time.Parse(dateLayout, s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOffset(t *testing.T) {
	for _, c := range []struct {
		from string
		n    int
		unit string
		want string
	}{
		{"2026-03-02", 0, "d", "2026-03-02"},
		{"2026-03-02", 5, "d", "2026-03-07"},
		{"2026-03-02", 6, "wk", "2026-04-13"},
		{"2026-01-31", 1, "mo", "2026-02-28"},
		{"2024-01-31", 1, "mo", "2024-02-29"},
		{"2026-01-31", 3, "mo", "2026-04-30"},
		{"2026-01-31", 6, "mo", "2026-07-31"},
		{"2026-08-31", 6, "mo", "2027-02-28"},
		{"2027-08-31", 6, "mo", "2028-02-29"},
		{"2026-12-31", 2, "mo", "2027-02-28"},
		{"2026-11-30", 3, "mo", "2027-02-28"},
		{"2024-02-29", 1, "a", "2025-02-28"},
		{"2024-02-29", 4, "a", "2028-02-29"},
		{"2026-03-28", 1, "d", "2026-03-29"}, // the clocks go forward
		{"2026-03-29", 1, "d", "2026-03-30"},
		{"2026-10-24", 1, "wk", "2026-10-31"}, // the clocks go back
		{"2026-12-31", 1, "d", "2027-01-01"},
	} {
		if got := (offset{c.n, c.unit}).from(day(t, c.from), 1); formatDate(got) != c.want {
			t.Errorf("%s + %d %s = %s, want %s", c.from, c.n, c.unit, formatDate(got), c.want)
		}
	}
	if got := (offset{1, "mo"}).from(day(t, "2026-03-31"), -1); formatDate(got) != "2026-02-28" {
		t.Errorf("a month before 31 March is %s", formatDate(got))
	}
}

func TestRelation(t *testing.T) {
	d := func(n int, unit string) *offset { return &offset{n, unit} }
	target := window{day(t, "2026-03-02"), day(t, "2026-03-09")}
	for name, c := range map[string]struct {
		r          relation
		start, end string
	}{
		"after the end, exact":      {relation{end: true, sign: 1, low: d(1, "d"), high: d(1, "d")}, "2026-03-10", "2026-03-10"},
		"after the start, exact":    {relation{sign: 1, low: d(1, "d"), high: d(1, "d")}, "2026-03-03", "2026-03-03"},
		"after the end, open":       {relation{end: true, sign: 1, open: true}, "2026-03-09", ""},
		"before the start, open":    {relation{sign: -1, open: true}, "", "2026-03-02"},
		"low only has no end":       {relation{end: true, sign: 1, low: d(1, "wk")}, "2026-03-16", ""},
		"high only has no start":    {relation{end: true, sign: 1, high: d(1, "mo")}, "", "2026-04-09"},
		"before turns the range":    {relation{sign: -1, low: d(1, "d"), high: d(1, "wk")}, "2026-02-23", "2026-03-01"},
		"before with a low only":    {relation{sign: -1, low: d(2, "d")}, "", "2026-02-28"},
		"range of different units":  {relation{end: true, sign: 1, low: d(6, "wk"), high: d(3, "mo")}, "2026-04-20", "2026-06-09"},
		"a range of years, clamped": {relation{sign: 1, low: d(1, "a"), high: d(2, "a")}, "2027-03-02", "2028-03-02"},
	} {
		t.Run(name, func(t *testing.T) {
			w, ok := c.r.apply(target)
			if !ok || formatDate(w.Start) != c.start || formatDate(w.End) != c.end {
				t.Errorf("got %s to %s", formatDate(w.Start), formatDate(w.End))
			}
		})
	}
	if _, ok := (relation{end: true, sign: 1, open: true}).apply(window{Start: day(t, "2026-03-02")}); ok {
		t.Error("the end of an open window is no base for a date")
	}
}

func TestIntersectIsWhatBothAllow(t *testing.T) {
	base := day(t, "2026-03-02")
	in := func(w window, d time.Time) bool {
		return (w.Start.IsZero() || !d.Before(w.Start)) && (w.End.IsZero() || !d.After(w.End))
	}
	edge := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "open") {
			return time.Time{}
		}
		return base.AddDate(0, 0, rapid.IntRange(-10, 10).Draw(t, "day"))
	})
	rapid.Check(t, func(t *rapid.T) {
		a := window{edge.Draw(t, "a start"), edge.Draw(t, "a end")}
		b := window{edge.Draw(t, "b start"), edge.Draw(t, "b end")}
		both := a.intersect(b)
		if both != b.intersect(a) {
			t.Fatal("the order matters")
		}
		for n := -12; n <= 12; n++ {
			if d := base.AddDate(0, 0, n); in(both, d) != (in(a, d) && in(b, d)) {
				t.Fatalf("%v and %v: day %d", a, b, n)
			}
		}
	})
}

func TestAddMonthsStaysInTheMonth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := time.Date(rapid.IntRange(1900, 2200).Draw(t, "year"), time.Month(rapid.IntRange(1, 12).Draw(t, "month")), rapid.IntRange(1, 28).Draw(t, "day"), 0, 0, 0, 0, time.UTC)
		from = from.AddDate(0, 0, rapid.IntRange(0, 3).Draw(t, "more"))
		n := rapid.IntRange(-60, 60).Draw(t, "months")
		got := addMonths(from, n)
		want := from.Year()*12 + int(from.Month()) + n
		if got.Year()*12+int(got.Month()) != want || got.Day() > from.Day() {
			t.Fatalf("%s and %d months is %s", formatDate(from), n, formatDate(got))
		}
		if got.Day() < from.Day() && got.AddDate(0, 0, 1).Day() != 1 {
			t.Fatalf("%s and %d months is %s, not the end of the month", formatDate(from), n, formatDate(got))
		}
	})
}

// The local date of an operation is that of the care site.
func TestPerformed(t *testing.T) {
	e := &Engine{zone: london(t)}
	for text, want := range map[string]string{
		`"performedDateTime":"2026-03-02"`:                                                            "2026-03-02",
		`"performedDateTime":"2026-07-01T23:30:00Z"`:                                                  "2026-07-02",
		`"performedDateTime":"2026-01-01T23:30:00Z"`:                                                  "2026-01-01",
		`"performedDateTime":"2026-07-01T00:30:00+02:00"`:                                             "2026-06-30",
		`"performedDateTime":"2026-03-29T00:59:59Z"`:                                                  "2026-03-29",
		`"performedPeriod":{"start":"2026-03-01T22:00:00Z","end":"2026-03-02T01:00:00Z"}`:             "2026-03-02",
		`"performedPeriod":{"start":"2026-03-01T22:00:00Z"}`:                                          "2026-03-01",
		`"performedPeriod":{"end":"2026-03-02"}`:                                                      "2026-03-02",
		`"performedPeriod":{"start":"2026-03-01","end":"2026-03"}`:                                    "",
		`"performedDateTime":"2026-03"`:                                                               "",
		`"performedDateTime":"2026"`:                                                                  "",
		`"performedDateTime":"2026-02-30"`:                                                            "",
		`"performedString":"last spring"`:                                                             "",
		`"performedAge":{"value":40,"unit":"a"}`:                                                      "",
		`"performedRange":{"low":{"value":1}}`:                                                        "",
		`"status":"completed"`:                                                                        "",
		`"performedDateTime":"2026-10-25T00:30:00Z","performedPeriod":{"end":"2026-10-26T00:30:00Z"}`: "2026-10-26",
	} {
		day, _, _ := e.performed(parse(t, "{"+text+"}"))
		if got := formatDate(day); got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}
