package recent

import (
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// The map never grows beyond its bound, gives nothing but what was put, and keeps the half of its
// bound that was used last.
func TestWhatWasUsedLastIsKept(t *testing.T) {
	const most = 8
	rapid.Check(t, func(t *rapid.T) {
		m := New[int, int](most)
		put := map[int]int{}
		var used []int // keys, the last one last
		use := func(k int) {
			for i, u := range used {
				if u == k {
					used = append(used[:i], used[i+1:]...)
					break
				}
			}
			used = append(used, k)
		}
		for i := range rapid.IntRange(0, 60).Draw(t, "steps") {
			k := rapid.IntRange(0, 12).Draw(t, "key")
			switch rapid.SampledFrom([]string{"put", "get", "get or put", "remove"}).Draw(t, "step") {
			case "put":
				m.Put(k, i)
				put[k] = i
				use(k)
			case "get":
				if v, ok := m.Get(k); ok {
					if want, known := put[k]; !known || v != want {
						t.Fatalf("%d is %d, was %d", k, v, want)
					}
					use(k)
				}
			case "get or put":
				if v := m.GetOrPut(k, func() int { return i }); v != i && v != put[k] {
					t.Fatalf("%d is %d, was %d", k, v, put[k])
				} else {
					put[k] = v
				}
				use(k)
			case "remove":
				m.Remove(k)
				delete(put, k)
				if _, ok := m.Get(k); ok {
					t.Fatalf("%d is there after it was removed", k)
				}
			}
			if n := len(m.new) + len(m.old); n > most {
				t.Fatalf("it holds %d entries", n)
			}
			for _, u := range used[max(0, len(used)-most/2):] {
				if _, there := put[u]; !there {
					continue
				}
				if _, ok := m.new[u]; !ok {
					if _, ok := m.old[u]; !ok {
						t.Fatalf("%d was used lately and is gone: %v", u, used)
					}
				}
			}
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	m := New[int, *int](4)
	var wait sync.WaitGroup
	got := make([]*int, 16)
	for i := range got {
		wait.Go(func() { got[i] = m.GetOrPut(1, func() *int { return new(int) }) })
	}
	wait.Wait()
	for _, p := range got {
		if p != got[0] {
			t.Fatal("two were made")
		}
	}
}
