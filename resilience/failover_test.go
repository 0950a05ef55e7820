package resilience

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"aftercare/service/store/postgrestest"
)

// TestFailover kills the primary under load and promotes the standby that has every commit.
func TestFailover(t *testing.T) {
	t.Parallel()
	for round := range 3 {
		t.Run(fmt.Sprint(round+1), failover)
	}
}

func failover(t *testing.T) {
	primary := postgrestest.Start(t, "fsync=on")
	standby := primary.Standby(t, primary.Address())
	primary.Exec(t, "postgres", "CREATE DATABASE aftercare")
	url := "postgres://postgres@" + primary.Address() + "," + standby.Address() + "/aftercare?target_session_attrs=read-write&sslmode=disable"
	p := newProgram(t, url)
	p.start(t)
	ledger := newLedger()
	load := startLoad(t, p.client(t), ledger, "failover")
	probe := startProbe(p.client(t))
	time.Sleep(1500 * time.Millisecond)

	primary.Kill(t)
	time.Sleep(300 * time.Millisecond) // until somebody has noticed
	standby.Promote(t)
	probe.switched()
	eventually(t, "writes are stored again", probe.back)
	time.Sleep(1500 * time.Millisecond)

	load.stop()
	probe.stop()
	if probe.relapses != 0 {
		t.Errorf("%d writes failed after the service was back", probe.relapses)
	}
	if p.client(t).send("GET /readyz", "").status != 200 {
		t.Error("it is not ready")
	}
	after := standby.URL("aftercare")
	settle(t, p, after)
	ledger.check(t, p.client(t))
	p.stop(t)
	checkTables(t, after)
	t.Logf("%.2f seconds without service", probe.away.Seconds())
}

// TestFailoverBeforeCopy kills the primary when it has a commit on disk that the standby has not.
// The standby gives the number of that transaction to the next one, which is another process's:
// its commit must not be taken for the one that was lost.
func TestFailoverBeforeCopy(t *testing.T) {
	t.Parallel()
	primary := postgrestest.Start(t, "fsync=on")
	copying := newLink(t, primary.Address())
	standby := primary.Standby(t, copying.listener.Addr().String())
	primary.Exec(t, "postgres", "CREATE DATABASE aftercare")
	url := "postgres://postgres@" + primary.Address() + "," + standby.Address() + "/aftercare?sslmode=disable"
	one, two := newProgram(t, url), newProgram(t, url)
	one.start(t)
	two.start(t)
	works(t, one.client(t), "before")
	ledger := newLedger()
	copying.stall()
	var under sync.WaitGroup
	send := func(c *client, mark string) outcome {
		a := c.send("POST /fhir/Patient", marked(patient, mark))
		ref, number := fromLocation(a.header.Get("Location"))
		if a.outcome() == stored {
			ledger.wrote(ref, number, fact{body: a.body})
		}
		ledger.promised(mark, a.outcome(), 1, ref)
		return a.outcome()
	}
	first, second := one.client(t), two.client(t)
	under.Go(func() { send(first, "lost") })
	primary.WaitFor(t, "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	for writer := range 4 {
		under.Go(func() {
			for i := 0; send(second, fmt.Sprintf("next-%d-%d", writer, i)) != stored; i++ {
				time.Sleep(time.Millisecond)
			}
		})
	}
	copying.refuse()
	primary.Kill(t)
	standby.Promote(t)
	under.Wait()
	works(t, one.client(t), "after")
	works(t, two.client(t), "after")
	ledger.check(t, one.client(t))
	one.stop(t)
	two.stop(t)
	checkTables(t, standby.URL("aftercare"))
}

// probe writes a small resource again and again.
type probe struct {
	mu       sync.Mutex
	promoted bool          // whether there is a new primary
	returned bool          // whether a write was stored that began after that
	away     time.Duration // the longest time between two writes that were stored
	relapses int           // writes that failed after the service had returned

	end  chan struct{}
	done sync.WaitGroup
}

func startProbe(c *client) *probe {
	p := &probe{end: make(chan struct{})}
	p.done.Go(func() {
		last := time.Now()
		for i := 0; ; i++ {
			select {
			case <-p.end:
				return
			case <-time.After(5 * time.Millisecond):
			}
			p.mu.Lock()
			promoted := p.promoted
			p.mu.Unlock()
			ok := c.send("PUT /fhir/Basic/probe", named("probe", fmt.Sprint("probe-", i))).outcome() == stored
			p.mu.Lock()
			switch {
			case ok:
				p.away, last = max(p.away, time.Since(last)), time.Now()
				p.returned = p.returned || promoted
			case p.returned:
				p.relapses++
			}
			p.mu.Unlock()
		}
	})
	return p
}

// switched tells that there is a new primary.
func (p *probe) switched() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.promoted = true
}

func (p *probe) back() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.returned
}

func (p *probe) stop() {
	close(p.end)
	p.done.Wait()
}
