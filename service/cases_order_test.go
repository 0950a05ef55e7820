package service

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"aftercare/service/store"

	"github.com/google/go-cmp/cmp"
)

// orders is how many orders a case is tried in, if it has more than five messages.
const orders = 60

// The messages of a case come to the same in every order, and each sent twice. Only what is about
// the same resource stays in order, since the last message counts, and what edits or deletes stays
// behind all that it may be about.
func TestCasesInEveryOrder(t *testing.T) {
	if !strings.HasPrefix(newDatabase(t), "sqlite:") {
		t.Skip("what a message leads to is decided above the engines")
	}
	blank := sync.OnceValue(func() []byte { return blankDatabase(t) })
	for name, events := range cases(t) {
		if len(events) == 1 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := ""
			for _, order := range ordersOf(events) {
				sent := make([]event, len(order))
				names := make([]string, len(order))
				for k, i := range order {
					sent[k], names[k] = events[i], events[i].name
				}
				got := replay(t, blank(), siteOf(t, name), sent)
				if want == "" {
					want = got
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("in the order %v:\n%s", names, diff)
				}
			}
		})
	}
}

// ordersOf are the orders to try, the first that of the files.
func ordersOf(events []event) [][]int {
	straight := make([]int, len(events))
	for i := range straight {
		straight[i] = i
	}
	found := [][]int{straight}
	if len(events) <= 5 {
		permute(straight, 0, func(order []int) {
			if mayCome(events, order) && !slices.Equal(order, straight) {
				found = append(found, slices.Clone(order))
			}
		})
		return found
	}
	random := rand.New(rand.NewPCG(1, 2))
	for len(found) < orders {
		found = append(found, shuffled(events, random))
	}
	return found
}

func permute(list []int, from int, do func([]int)) {
	if from == len(list) {
		do(list)
		return
	}
	list = slices.Clone(list)
	for i := from; i < len(list); i++ {
		list[from], list[i] = list[i], list[from]
		permute(list, from+1, do)
	}
}

// shuffled is an order in which the messages may come: each time one of those that need not wait.
func shuffled(events []event, random *rand.Rand) []int {
	var order []int
	for len(order) < len(events) {
		var free []int
		for i := range events {
			if !slices.Contains(order, i) && mayCome(events, append(slices.Clone(order), i)) {
				free = append(free, i)
			}
		}
		order = append(order, free[random.IntN(len(free))])
	}
	return order
}

// mayCome reports that of the messages in an order, each has all before it that it must follow.
func mayCome(events []event, order []int) bool {
	for k, i := range order {
		for before := range i {
			if follows(events[i], events[before]) && !slices.Contains(order[:k], before) {
				return false
			}
		}
	}
	return true
}

// follows reports that a message cannot come before one that was sent earlier.
func follows(later, earlier event) bool {
	if later.edits() || earlier.edits() {
		return true
	}
	return slices.ContainsFunc(later.writes(), func(ref string) bool {
		return !strings.HasSuffix(ref, "/") && slices.Contains(earlier.writes(), ref)
	})
}

// blankDatabase is the file of a database with the built-in definitions.
func blankDatabase(t *testing.T) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "blank.db")
	st, err := store.Open(t.Context(), "sqlite:"+file, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	open(t, func(o *Options) { o.Store = st })
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// replay sends each message twice to a service on a copy of a database, which is quicker than
// making the tables anew, and gives what is in force afterwards.
func replay(t *testing.T, database []byte, site func(*Options), events []event) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(file, database, 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), "sqlite:"+file, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	s := open(t, site, func(o *Options) { o.Store = st })
	for _, e := range events {
		s.receive(t, e)
		if !e.edits() {
			s.receive(t, e)
		}
	}
	return inForce(t, s.made(t, events))
}
