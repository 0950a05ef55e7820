package memory

import (
	"context"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"

	"pgregory.net/rapid"
)

// soon ends before the patience of a claim does.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func refused(t *testing.T, err error) {
	t.Helper()
	if fhir.KindOf(err) != fhir.Unavailable {
		t.Errorf("got %v, not one of kind Unavailable", err)
	}
}

func granted(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("it is refused: %v", err)
	}
}

// whole reports whether nobody holds anything of a part.
func (p *part) whole() bool {
	if !p.TryAcquire(p.size) {
		return false
	}
	p.Release(p.size)
	return true
}

func (b *Budget) whole() bool {
	return b.small.whole() && b.bodies.whole() && b.work.whole() && b.answers.whole()
}

func TestClaim(t *testing.T) {
	large := []byte(strings.Repeat(`{"a":1},`, 1<<20))
	b := New(64 << 20)
	first, second := b.Claim(), b.Claim()

	t.Run("what is larger than its part gets it alone", func(t *testing.T) {
		granted(t, first.Body(soon(t), 1<<40))
		granted(t, first.Work(soon(t), large))
		refused(t, second.Body(soon(t), SmallBody+1))
		refused(t, second.Work(soon(t), large))
	})
	t.Run("a small request does not wait for a large one", func(t *testing.T) {
		small := b.Claim()
		defer small.Release()
		granted(t, small.Body(soon(t), SmallBody))
		granted(t, small.Work(soon(t), []byte(`{"resourceType":"Patient"}`)))
		granted(t, small.Answer(FreeAnswer))
		granted(t, small.Answered(FreeAnswer))
	})
	t.Run("one that waits comes next", func(t *testing.T) {
		next := make(chan error)
		go func() { next <- second.Work(context.Background(), large) }()
		granted(t, first.Answered(0))
		granted(t, <-next)
	})
	t.Run("an answer does not wait, and grows to its size", func(t *testing.T) {
		third := b.Claim()
		granted(t, first.Answer(5<<20))
		granted(t, first.Answer(4<<20))
		refused(t, third.Answer(4<<20))
		granted(t, third.Answer(3<<20))
		refused(t, first.Answer(6<<20))
		third.Release()
		granted(t, first.Answer(6<<20))
	})
	t.Run("an answer may stay where it was made", func(t *testing.T) {
		granted(t, second.Answered(7<<20))
		if second.work.n != 7<<20 || second.answer.n != 0 {
			t.Errorf("it holds %d at work and %d of an answer", second.work.n, second.answer.n)
		}
	})
	t.Run("released is released", func(t *testing.T) {
		first.Release()
		first.Release()
		second.Release()
		granted(t, first.Answer(8<<20)) // of a request that has given up
		if !b.whole() {
			t.Error("something is held still")
		}
	})
	t.Run("no claim is refused nothing", func(t *testing.T) {
		none := Of(t.Context())
		granted(t, none.Body(t.Context(), 1<<50))
		granted(t, none.Work(t.Context(), large))
		granted(t, none.Answer(1<<50))
		granted(t, none.Answered(1<<50))
		none.Release()
	})
	t.Run("the context has the claim", func(t *testing.T) {
		if Of(With(t.Context(), first)) != first {
			t.Error("it has another")
		}
	})
}

// Whatever requests do in whatever order, all is given back at their end, and never more.
func TestNothingIsLost(t *testing.T) {
	ended, end := context.WithCancel(context.Background())
	end()
	rapid.Check(t, func(t *rapid.T) {
		b := New(rapid.Int64Range(0, 64<<20).Draw(t, "budget"))
		claims := []*Claim{b.Claim(), b.Claim(), b.Claim()}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			c := claims[rapid.IntRange(0, 2).Draw(t, "claim")]
			n := rapid.Int64Range(0, 32<<20).Draw(t, "bytes")
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				if c.body.n == 0 && !c.released {
					_ = c.Body(ended, n)
				}
			case 1:
				if c.work.n == 0 && !c.released {
					_ = c.Work(ended, make([]byte, n/16))
				}
			case 2:
				_ = c.Answer(n)
			case 3:
				_ = c.Answered(n)
			default:
				c.Release()
			}
		}
		for _, c := range claims {
			c.Release()
		}
		if !b.whole() {
			t.Fatal("something is held still")
		}
	})
}

// The estimate counts every value of a body.
func FuzzWorkOf(f *testing.F) {
	for _, body := range []string{`{}`, `[[],[[]]]`, `{"a":[1,2,{"b":"c,d"}],"e":null}`, `1`, `"a"`, `[{},{},[]]`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		n, err := fhir.Parse([]byte(body))
		if err != nil {
			return
		}
		inside := int64(valuesOf(n) - 1) // the outermost value follows nothing
		if got := workOf([]byte(body)); got < perByte*int64(len(body))+perValue*inside {
			t.Errorf("%d values in %d bytes are estimated at %d", inside, len(body), got)
		}
	})
}

func valuesOf(n *fhir.Node) int {
	count := 1
	for _, m := range n.Members {
		count += valuesOf(m.Value)
	}
	for _, item := range n.Items {
		count += valuesOf(item)
	}
	return count
}
