package main

import (
	"fmt"
	"io"
	"time"
)

// progressEvery is the time between two lines of progress.
const progressEvery = 5 * time.Second

// progress tells now and then how far a long command has come.
type progress struct {
	out         io.Writer
	verb        string // such as "exported"
	noun        string // what is counted
	done, total int64
	before      int64 // what was done before this run
	began, told time.Time
}

func newProgress(out io.Writer, verb string, before, total int64) *progress {
	now := time.Now()
	return &progress{out: out, verb: verb, noun: "versions", done: before, total: total, before: before, began: now, told: now}
}

func (p *progress) add(n int) {
	p.done += int64(n)
	if now := time.Now(); now.Sub(p.told) >= progressEvery {
		p.told = now
		p.tell("")
	}
}

// reach is add for what is counted from the start.
func (p *progress) reach(done, total int64) {
	p.total = total
	p.add(int(done - p.done))
}

// tell prints a line; what stands before it.
func (p *progress) tell(what string) {
	rate := float64(p.done-p.before) / max(time.Since(p.began).Seconds(), 1e-3)
	fmt.Fprintf(p.out, "%s%s %d of %d %s (%d%%), %.0f per second\n", what, p.verb, p.done, p.total, p.noun, 100*p.done/max(p.total, 1), rate)
}
