package fhir

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Precision is how exactly a date is known.
type Precision int

// The precisions that R4 date, dateTime and instant can have.
const (
	YearPrecision Precision = iota + 1
	MonthPrecision
	DayPrecision
	MinutePrecision // only in search values
	SecondPrecision
	FractionPrecision
)

// Moment is a FHIR date, dateTime or instant: the half-open span of time that it may
// mean, and how precise it is.
type Moment struct {
	Low, High time.Time
	Precision Precision
}

var momentPattern = regexp.MustCompile(
	`^([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9})[0-9]*)?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?$`)

// ParseMoment reads a date, dateTime or instant
// (https://hl7.org/fhir/R4/datatypes.html#dateTime). zone is used where s names none.
// It refuses impossible dates such as 2026-02-30; a leap second :60 is accepted. It is
// lenient about a missing zone and missing seconds, which search values may lack; use
// the validate package for the rules of a resource's own elements.
func ParseMoment(s string, zone *time.Location) (Moment, error) {
	if year, month, day, ok := plainDate(s); ok { // the most frequent form, without the pattern
		low := time.Date(year, month, day, 0, 0, 0, 0, zone)
		return Moment{low, time.Date(year, month, day+1, 0, 0, 0, 0, zone), DayPrecision}, nil
	}
	m := momentPattern.FindStringSubmatch(s)
	if m == nil {
		return Moment{}, fmt.Errorf("not a FHIR date or dateTime")
	}
	num := func(i, absent int) int {
		if m[i] == "" {
			return absent
		}
		n, _ := strconv.Atoi(m[i]) // digits by the pattern
		return n
	}
	year, month, day := num(1, 0), num(2, 1), num(3, 1)
	hour, minute, second := num(4, 0), num(5, 0), num(6, 0)
	if year == 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, time.Month(month)) ||
		hour > 23 || minute > 59 || second > 60 {
		return Moment{}, fmt.Errorf("no such date or time")
	}
	nanos := 0
	if m[7] != "" {
		nanos, _ = strconv.Atoi((m[7] + "000000000")[:9])
	}
	if m[8] != "" {
		z, err := parseZone(m[8])
		if err != nil {
			return Moment{}, err
		}
		zone = z
	}
	low := time.Date(year, time.Month(month), day, hour, minute, second, nanos, zone)
	switch {
	case m[2] == "":
		return Moment{low, time.Date(year+1, 1, 1, 0, 0, 0, 0, zone), YearPrecision}, nil
	case m[3] == "":
		return Moment{low, time.Date(year, time.Month(month)+1, 1, 0, 0, 0, 0, zone), MonthPrecision}, nil
	case m[4] == "":
		return Moment{low, time.Date(year, time.Month(month), day+1, 0, 0, 0, 0, zone), DayPrecision}, nil
	case m[6] == "":
		return Moment{low, low.Add(time.Minute), MinutePrecision}, nil
	case m[7] == "":
		return Moment{low, low.Add(time.Second), SecondPrecision}, nil
	}
	unit := time.Second
	for range m[7] {
		unit /= 10
	}
	return Moment{low, low.Add(unit), FractionPrecision}, nil
}

// plainDate reads a date that exists, such as 2026-02-28.
func plainDate(s string) (year int, month time.Month, day int, ok bool) {
	if len(s) != len(time.DateOnly) || s[4] != '-' || s[7] != '-' {
		return 0, 0, 0, false
	}
	var numbers [3]int
	for i, field := range [3]string{s[:4], s[5:7], s[8:]} {
		for _, c := range []byte(field) {
			if c < '0' || c > '9' {
				return 0, 0, 0, false
			}
			numbers[i] = numbers[i]*10 + int(c-'0')
		}
	}
	year, month, day = numbers[0], time.Month(numbers[1]), numbers[2]
	ok = year > 0 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)
	return year, month, day, ok
}

func parseZone(s string) (*time.Location, error) {
	if s == "Z" {
		return time.UTC, nil
	}
	h, _ := strconv.Atoi(s[1:3])
	m, _ := strconv.Atoi(s[4:6])
	if h > 14 || m > 59 || (h == 14 && m > 0) {
		return nil, fmt.Errorf("no such time zone")
	}
	offset := (h*60 + m) * 60
	if s[0] == '-' {
		offset = -offset
	}
	return time.FixedZone(s, offset), nil
}

func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
