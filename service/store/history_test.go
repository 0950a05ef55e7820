package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// historyAt is part of the contract.
func historyAt(t *testing.T, open func() *Store) {
	s := open()
	d := draft(t, "Patient", "")
	after := func(seconds int, nanos ...time.Duration) time.Time {
		at := t0.Add(time.Duration(seconds) * time.Second)
		for _, n := range nanos {
			at = at.Add(n)
		}
		return at
	}
	// p0 has versions from 0 and 10, is deleted at 20 and made again at 30. The others are
	// committed later with earlier times.
	for _, step := range []struct {
		id      string
		seconds int
	}{{"p0", 0}, {"p0", 10}, {"-", 20}, {"p0", 30}, {"p2", 15}, {"p1", 5}} {
		if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) (err error) {
			if step.id == "-" {
				_, err = tx.Delete(ctx, "Patient", "p0", after(step.seconds), "DELETE")
			} else {
				_, err = tx.Put(ctx, d, step.id, after(step.seconds), "PUT", nil)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		low, high time.Time
		want      string
	}{
		"no bounds":                                {time.Time{}, time.Time{}, "p1/1 p2/1 p0/4 p0/3 p0/2 p0/1"},
		"before anything":                          {after(-9), after(0), ""},
		"a nanosecond into the first":              {after(-9), after(0, 1), "p0/1"},
		"the moment of a change":                   {after(10), after(10, time.Microsecond), "p1/1 p0/2"},
		"the moment before a change":               {after(10, -1), after(10), "p1/1 p0/1"},
		"a moment that ends with the change":       {after(9), after(10), "p1/1 p0/1"},
		"over a change":                            {after(9), after(11), "p1/1 p0/2 p0/1"},
		"the moment of the deletion":               {after(20), after(21), "p1/1 p2/1 p0/3"},
		"a nanosecond after the deletion":          {after(20, 1), after(21), "p1/1 p2/1"},
		"before the deletion":                      {after(19), after(20), "p1/1 p2/1 p0/2"},
		"while deleted":                            {after(22), after(29), "p1/1 p2/1"},
		"from a time on":                           {after(30), time.Time{}, "p1/1 p2/1 p0/4"},
		"until a time":                             {time.Time{}, after(6), "p1/1 p0/1"},
		"long after":                               {after(99999), after(99999, 1), "p1/1 p2/1 p0/4"},
		"between two nanoseconds of a microsecond": {after(10, -999), after(10, -998), "p1/1 p0/1"},
	} {
		for _, q := range []HistoryQuery{{}, {Type: "Patient"}, {Type: "Patient", ID: "p0"}} {
			for count := 1; count < 5; count++ {
				t.Run(fmt.Sprintf("%s, %s/%s by %d", name, q.Type, q.ID, count), func(t *testing.T) {
					q.Low, q.High, q.Count, q.Total = c.low, c.high, count, true
					want := ""
					for _, v := range strings.Fields(c.want) {
						if q.ID == "" || strings.HasPrefix(v, q.ID+"/") {
							want += v + " "
						}
					}
					got := ""
					for more := true; more; {
						page, err := history(t, s, q)
						if err != nil {
							t.Fatal(err)
						}
						for _, e := range page.Entries {
							got += fmt.Sprintf("%s/%d ", e.Resource.ID, e.Resource.Version)
						}
						if page.Total != int64(strings.Count(want, "/")) {
							t.Errorf("total is %d", page.Total)
						}
						q.Cursor, more = page.Next, page.Next != ""
					}
					if got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				})
			}
		}
	}
	first, err := history(t, s, HistoryQuery{Low: after(9), Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := history(t, s, HistoryQuery{Low: after(10), Count: 1, Cursor: first.Next}); err == nil {
		t.Error("a cursor of another time is taken")
	}
}
