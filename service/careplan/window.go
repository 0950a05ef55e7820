package careplan

import "time"

const dateLayout = "2006-01-02"

// window is an inclusive span of local dates, each held as midnight UTC. A zero Start or
// End is an open end.
type window struct{ Start, End time.Time }

func (w window) closed() bool { return !w.Start.IsZero() && !w.End.IsZero() }

// empty reports that no day is in w.
func (w window) empty() bool { return w.closed() && w.End.Before(w.Start) }

// writable reports that FHIR can write the dates of w, which have four-digit years.
func (w window) writable() bool {
	return w.Start.Year() >= 1 && w.Start.Year() <= 9999 && w.End.Year() >= 1 && w.End.Year() <= 9999
}

// singleDay reports that exactly one day is in w.
func (w window) singleDay() bool { return w.closed() && w.Start.Equal(w.End) }

// intersect is the span that is in both.
func (w window) intersect(o window) window {
	if w.Start.IsZero() || o.Start.After(w.Start) {
		w.Start = o.Start
	}
	if w.End.IsZero() || !o.End.IsZero() && o.End.Before(w.End) {
		w.End = o.End
	}
	return w
}

func formatDate(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(dateLayout)
}

// offset is a calendar distance. Months and years are calendar units, not the mean
// lengths that UCUM gives them: protocols mean the same day of a later month.
type offset struct {
	n    int
	unit string // d, wk, mo or a
}

// from adds o to a date, sign +1 or -1 times. A day that the target month does not have
// becomes its last day: 31 August and six months is 28 February.
func (o offset) from(day time.Time, sign int) time.Time {
	n := o.n * sign
	switch o.unit {
	case "wk":
		return day.AddDate(0, 0, 7*n)
	case "mo":
		return addMonths(day, n)
	case "a":
		return addMonths(day, 12*n)
	default:
		return day.AddDate(0, 0, n)
	}
}

func addMonths(day time.Time, n int) time.Time {
	first := time.Date(day.Year(), day.Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(day.Day(), last)-1)
}

// relation is one PlanDefinition.action.relatedAction: how far from the start or end of
// another step.
type relation struct {
	target *step
	// end: counted from the target's last day, not its first.
	end bool
	// sign is +1 for after, -1 for before.
	sign      int
	low, high *offset
	// open: no offset, the whole time after (or before) the base.
	open bool
}

// apply gives the window that the relation allows, with ok false where the target leaves
// the base open.
func (r relation) apply(target window) (w window, ok bool) {
	base := target.Start
	if r.end {
		base = target.End
	}
	if base.IsZero() {
		return window{}, false
	}
	if r.open {
		if r.sign < 0 {
			return window{End: base}, true
		}
		return window{Start: base}, true
	}
	if r.low != nil {
		w.Start = r.low.from(base, r.sign)
	}
	if r.high != nil {
		w.End = r.high.from(base, r.sign)
	}
	if r.sign < 0 {
		w.Start, w.End = w.End, w.Start
	}
	return w, true
}
