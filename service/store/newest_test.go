package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// newestAfter checks that of a type what was written after a position is found, each resource once,
// in the order of commits, by pages.
func newestAfter(t *testing.T, open func() *Store) {
	s := open()
	newest := func(typ string, since int64, n int) (ids string, until int64) {
		t.Helper()
		if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
			found, position, err := r.Newest(ctx, typ, since, n)
			var list []string
			for _, res := range found {
				list = append(list, fmt.Sprint(res.ID, "/", res.Version))
			}
			ids, until = strings.Join(list, " "), position
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return ids, until
	}
	if ids, until := newest("CarePlan", 7, 10); ids != "" || until != 7 {
		t.Errorf("of a type that was never stored: %q up to %d", ids, until)
	}
	put(t, s, "CarePlan", "a")
	put(t, s, "Task", "t")
	put(t, s, "CarePlan", "b")
	_, between := newest("CarePlan", 0, 10)
	put(t, s, "CarePlan", "c")
	put(t, s, "CarePlan", "a")
	put(t, s, "CarePlan", "gone")
	remove(t, s, "CarePlan", "gone")
	if ids, _ := newest("CarePlan", 0, 10); ids != "b/1 c/1 a/2" {
		t.Errorf("of all: %q", ids)
	}
	if ids, _ := newest("CarePlan", between, 10); ids != "c/1 a/2" {
		t.Errorf("after a position: %q", ids)
	}
	ids, until := newest("CarePlan", between, 1)
	rest, last := newest("CarePlan", until, 1)
	if none, same := newest("CarePlan", last, 1); ids != "c/1" || rest != "a/2" || none != "" || same != last {
		t.Errorf("by pages: %q, %q, %q", ids, rest, none)
	}
}
